"""What a tokenizer returns: columns for the model, and a way back to the text."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from minilm.errors import InvalidInput, MissingPackage, OutOfRange, UnknownToken, WrongType

if TYPE_CHECKING:
    from minilm.tokenization.encoding import Encoding

TENSOR_TYPES = ("pt", "np")


class CharSpan(NamedTuple):
    """A stretch of characters, from start up to but without end."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """A stretch of tokens, from start up to but without end."""

    start: int
    end: int


class BatchEncoding(UserDict[str, Any]):
    """Columns such as input_ids and attention_mask, as a dict whose values are attributes, too.

    data: column name → list of rows, one row, or a tensor
    encoding: one `Encoding` per row (tokens, offsets, words), or a function that makes them when
        they are first asked for, because most callers never ask
    tensor_type: "pt" or "np" turns the columns into tensors
    prepend_batch_axis: give the columns a first axis of length 1 before that
    n_sequences: 1 for texts, 2 for pairs; None = as in the first encoding

    `batch["input_ids"]` and `batch.input_ids` are the column, `batch[0]` is the first encoding.
    Equals transformers' BatchEncoding.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        encoding: Encoding | Sequence[Encoding] | Callable[[], Sequence[Encoding]] | None = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
    ) -> None:
        super().__init__(data)
        if encoding is not None and not callable(encoding) and not isinstance(encoding, Sequence):
            encoding = [encoding]
        self._encodings: Any = encoding
        self._n_sequences = n_sequences
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    # -- columns -------------------------------------------------------------------------------

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, str):
            if item not in self.data:
                raise UnknownToken(f"There is no column '{item}' here, only {list(self.data)}.")
            return self.data[item]
        if not isinstance(item, (int, slice)):
            raise WrongType(
                "A BatchEncoding is indexed by a column's name, a row's number or a slice, and "
                f"not by {type(item).__name__}."
            )
        encodings = self.encodings
        if encodings is not None:
            try:
                return encodings[item]
            except IndexError:
                raise OutOfRange(
                    f"There is no row {item}: this batch has {len(encodings)}."
                ) from None
        if isinstance(item, slice):
            return {name: column[item] for name, column in self.data.items()}
        raise UnknownToken(
            f"This BatchEncoding keeps no encodings, so there is no row {item}. "
            f"Ask for a column: {list(self.data)}."
        )

    def __getattr__(self, name: str) -> Any:
        # Asked only for what is no ordinary attribute; while unpickling there is no data yet.
        data = self.__dict__.get("data", {})
        if name in data:
            return data[name]
        raise AttributeError(f"BatchEncoding has no '{name}'; its columns are {list(data)}")

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "encodings": self.encodings, "n_sequences": self._n_sequences}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.data = state["data"]
        self._encodings = state["encodings"]
        self._n_sequences = state["n_sequences"]

    def convert_to_tensors(
        self, tensor_type: str | None = None, prepend_batch_axis: bool = False
    ) -> BatchEncoding:
        """Turn every column that is a list into a tensor, in place.

        tensor_type: "pt" (torch), "np" (numpy) or None (leave all as it is)
        prepend_batch_axis: add a first axis of length 1

        Raises `InvalidInput` where rows differ in length, and tells how to make them equal.
        (transformers makes numpy arrays of dtype object from unequal rows, which no model takes.)
        """
        if tensor_type is None:
            return self
        kind = getattr(tensor_type, "value", tensor_type)
        if not isinstance(kind, str) or kind not in TENSOR_TYPES:
            raise InvalidInput(
                f"return_tensors is {tensor_type!r}. Give 'pt' for torch tensors, 'np' for numpy "
                "arrays, or None."
            )
        make, is_made = _torch_maker() if kind == "pt" else _numpy_maker()
        for name, column in self.data.items():
            if prepend_batch_axis:
                column = [column]
            elif is_made(column):
                continue
            _check_equal_rows(name, column)
            try:
                self.data[name] = make(column)
            except (ValueError, TypeError, RuntimeError) as error:
                raise InvalidInput(
                    f"The column '{name}' cannot become a tensor: {error}. "
                    "Its rows must hold numbers and be equally long."
                ) from error
        return self

    def to(self, device: Any, *, non_blocking: bool = False) -> BatchEncoding:
        """Move every torch tensor to a device, in place.

        device: "cpu", "cuda:0", a number or a torch.device
        non_blocking: let the copy run beside what follows
        """
        try:
            import torch
        except ImportError:
            raise MissingPackage("Moving tensors to a device needs torch. Install torch.") from None
        if not isinstance(device, (str, int, torch.device)):
            raise WrongType(
                f"A device is a name such as 'cpu', a number or a torch.device, and not {device!r}."
            )
        for name, column in self.data.items():
            if isinstance(column, torch.Tensor):
                self.data[name] = column.to(device=device, non_blocking=non_blocking)
        return self

    # -- the way back to the text --------------------------------------------------------------

    @property
    def encodings(self) -> list[Encoding] | None:
        """One `Encoding` per row, or None when this batch was made without a text."""
        if callable(self._encodings):
            self._encodings = list(self._encodings())
        return self._encodings

    @property
    def is_fast(self) -> bool:
        """Whether the way from tokens back to the text is known."""
        return self._encodings is not None

    @property
    def n_sequences(self) -> int | None:
        """1 for texts, 2 for pairs of texts, None when unknown."""
        if self._n_sequences is None and self.encodings:
            self._n_sequences = self.encodings[0].n_sequences
        return self._n_sequences

    def _row(self, batch_index: int) -> Encoding:
        encodings = self.encodings
        if not encodings:
            raise InvalidInput(
                "This BatchEncoding was made without a text, so there is no way from its tokens to "
                "words or characters. Call the tokenizer on the text."
            )
        if not -len(encodings) <= batch_index < len(encodings):
            raise OutOfRange(
                f"There is no row {batch_index}: this batch has {len(encodings)}, counted from 0."
            )
        return encodings[batch_index]

    def _row_and_index(self, first: int, second: int | None) -> tuple[Encoding, int]:
        """Read (index) as in row 0, and (row, index) as it stands."""
        if second is None:
            return self._row(0), first
        return self._row(first), second

    def _row_and_token(self, first: int, second: int | None) -> tuple[Encoding, int]:
        row, token = self._row_and_index(first, second)
        return row, token + len(row.ids) if token < 0 else token

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row, as strings."""
        return self._row(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token of a row the number of its word; None for special tokens."""
        return self._row(batch_index).word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token of a row its text of the pair, 0 or 1; None for special tokens."""
        return self._row(batch_index).sequence_ids

    def token_to_sequence(
        self, batch_or_token_index: int, token_index: int | None = None
    ) -> int | None:
        """From which text of a pair a token comes. Called with (token) or (row, token)."""
        row, token = self._row_and_token(batch_or_token_index, token_index)
        return row.token_to_sequence(token)

    def token_to_word(
        self, batch_or_token_index: int, token_index: int | None = None
    ) -> int | None:
        """Which word a token belongs to. Called with (token) or (row, token)."""
        row, token = self._row_and_token(batch_or_token_index, token_index)
        return row.token_to_word(token)

    def token_to_chars(
        self, batch_or_token_index: int, token_index: int | None = None
    ) -> CharSpan | None:
        """Which characters of the text a token covers. Called with (token) or (row, token)."""
        row, token = self._row_and_token(batch_or_token_index, token_index)
        span = row.token_to_chars(token)
        return None if span is None else CharSpan(*span)

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """Which tokens a word became. Called with (word) or (row, word)."""
        row, word = self._row_and_index(batch_or_word_index, word_index)
        span = row.word_to_tokens(word, sequence_index)
        return None if span is None else TokenSpan(*span)

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan | None:
        """Which characters a word covers. Called with (word) or (row, word)."""
        row, word = self._row_and_index(batch_or_word_index, word_index)
        span = row.word_to_chars(word, sequence_index)
        return None if span is None else CharSpan(*span)

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """Which token covers a character. Called with (character) or (row, character)."""
        row, char = self._row_and_index(batch_or_char_index, char_index)
        return row.char_to_token(char, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """Which word covers a character. Called with (character) or (row, character)."""
        row, char = self._row_and_index(batch_or_char_index, char_index)
        return row.char_to_word(char, sequence_index)


def _torch_maker() -> tuple[Callable[[Any], Any], Callable[[Any], bool]]:
    try:
        import torch
    except ImportError:
        raise MissingPackage(
            "return_tensors='pt' needs torch. Install torch, or use return_tensors='np'."
        ) from None

    def make(column: Any) -> Any:
        if isinstance(column, list) and column and type(column[0]).__module__ == "numpy":
            import numpy

            return torch.from_numpy(numpy.array(column))
        # torch takes an empty list for floats, and ids are whole numbers.
        return torch.tensor(column, dtype=torch.int64 if _is_empty(column) else None)

    return make, torch.is_tensor


def _numpy_maker() -> tuple[Callable[[Any], Any], Callable[[Any], bool]]:
    import numpy

    def make(column: Any) -> Any:
        return numpy.asarray(column, dtype=numpy.int64 if _is_empty(column) else None)

    return make, lambda column: isinstance(column, numpy.ndarray)


def _is_empty(column: Any) -> bool:
    """Whether a column holds no number at all, such as [] and [[], []]."""
    return isinstance(column, (list, tuple)) and all(map(_is_empty, column))


def _check_equal_rows(name: str, column: Any) -> None:
    if not isinstance(column, (list, tuple)):
        return
    lengths = {len(row) for row in column if isinstance(row, (list, tuple))}
    if len(lengths) > 1:
        raise InvalidInput(
            f"The rows of '{name}' have between {min(lengths)} and {max(lengths)} entries, and a "
            "tensor needs rows of one length. Pass padding=True (and truncation=True for texts "
            "that are too long)."
        )
