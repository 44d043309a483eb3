"""What encoding a text gives: ids, and for every id where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field

from minilm.errors import InvalidInput
from minilm.tokenization import truncation

Offsets = tuple[int, int]

_DIRECTIONS = ("left", "right")


@dataclass
class Encoding:
    """The tokens of one text (or pair of texts) and where each came from, as tokenizers' `Encoding`.

    ids, tokens: the tokens, as numbers and as written in the vocabulary
    offsets: per token, its (start, end) in characters of the original text; (0, 0) if it has none
    word_ids: per token, the number of the word it is part of; None for special tokens and padding
    type_ids: per token, 0 or 1, as the post-processor says
    special_tokens_mask, attention_mask: per token, 1 or 0
    overflowing: what truncation cut off, window by window
    sequence_ranges: sequence number → (start, end) in tokens; empty = all tokens are sequence 0
    """

    ids: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    offsets: list[Offsets] = field(default_factory=list)
    word_ids: list[int | None] = field(default_factory=list)
    type_ids: list[int] = field(default_factory=list)
    special_tokens_mask: list[int] = field(default_factory=list)
    attention_mask: list[int] = field(default_factory=list)
    overflowing: list[Encoding] = field(default_factory=list)
    sequence_ranges: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_sequences(self) -> int:
        """How many texts are joined in here."""
        return len(self.sequence_ranges) or 1

    @property
    def sequence_ids(self) -> list[int | None]:
        """Per token, the number of the text it belongs to; None for special tokens and padding."""
        sequences: list[int | None] = [None] * len(self)
        for number in range(self.n_sequences):
            start, end = self.sequence_range(number)
            sequences[start:end] = [number] * (end - start)
        return sequences

    def sequence_range(self, sequence: int) -> tuple[int, int]:
        """The (start, end) in tokens of one of the joined texts; all tokens where nothing is known."""
        return self.sequence_ranges.get(sequence, (0, len(self)))

    def set_sequence(self, sequence: int) -> None:
        """Note that all tokens here belong to the text of this number."""
        self.sequence_ranges[sequence] = (0, len(self))

    def copy(self) -> Encoding:
        """A copy that shares nothing that can be changed."""
        result = self._part(0, len(self))
        result.overflowing = [other.copy() for other in self.overflowing]
        result.sequence_ranges = dict(self.sequence_ranges)
        return result

    def _part(self, start: int, end: int) -> Encoding:
        """Tokens start to end, without overflow and without sequence ranges."""
        return Encoding(
            ids=self.ids[start:end],
            tokens=self.tokens[start:end],
            offsets=self.offsets[start:end],
            word_ids=self.word_ids[start:end],
            type_ids=self.type_ids[start:end],
            special_tokens_mask=self.special_tokens_mask[start:end],
            attention_mask=self.attention_mask[start:end],
        )

    # Looking things up

    def token_to_sequence(self, token: int) -> int | None:
        """The number of the text that a token belongs to, or None."""
        if not 0 <= token < len(self):
            return None
        if not self.sequence_ranges:
            return 0
        for number, (start, end) in self.sequence_ranges.items():
            if start <= token < end:
                return number
        return None

    def token_to_chars(self, token: int) -> Offsets | None:
        """The (start, end) in characters of a token, or None for a token of no text."""
        return None if self.token_to_sequence(token) is None else self.offsets[token]

    def token_to_word(self, token: int) -> int | None:
        """The number of the word that a token is part of, or None."""
        return None if self.token_to_sequence(token) is None else self.word_ids[token]

    def word_to_tokens(self, word: int, sequence: int = 0) -> tuple[int, int] | None:
        """The (start, end) in tokens of a word of one of the texts, or None."""
        start, end = self.sequence_range(sequence)
        inside = [i for i in range(start, end) if self.word_ids[i] == word]
        return (inside[0], inside[-1] + 1) if inside else None

    def word_to_chars(self, word: int, sequence: int = 0) -> Offsets | None:
        """The (start, end) in characters of a word of one of the texts, or None."""
        tokens = self.word_to_tokens(word, sequence)
        return (
            None if tokens is None else (self.offsets[tokens[0]][0], self.offsets[tokens[1] - 1][1])
        )

    def char_to_token(self, char: int, sequence: int = 0) -> int | None:
        """The first token that covers a character of one of the texts, or None."""
        for token in range(*self.sequence_range(sequence)):
            start, end = self.offsets[token]
            if start <= char < end:
                return token
        return None

    def char_to_word(self, char: int, sequence: int = 0) -> int | None:
        """The word that covers a character of one of the texts, or None."""
        token = self.char_to_token(char, sequence)
        return None if token is None else self.token_to_word(token)

    # Changing the length

    def truncate(self, max_length: int, stride: int = 0, direction: str = "right") -> None:
        """Keep at most `max_length` tokens; what is cut off goes to `overflowing`, in windows.

        max_length: tokens to keep; 0 keeps none and makes the whole encoding its own overflow
        stride: how many tokens each window repeats of the one before; smaller than max_length
        direction: "right" cuts at the end, "left" at the beginning

        Raises InvalidInput where stride is not smaller than max_length.
        """
        _check_direction(direction)
        if max_length < 0 or stride < 0:
            raise InvalidInput(
                f"max_length is {max_length} and stride {stride}; both must be 0 or more."
            )
        length = len(self)
        if max_length >= length:
            return
        if max_length == 0:
            whole = self.copy()
            self.__dict__.update(vars(Encoding(overflowing=[whole])))
            return
        if stride >= max_length:
            raise InvalidInput(
                f"stride is {stride} and max_length {max_length}: with windows that overlap by "
                "that much nothing new comes in. Choose a stride smaller than max_length."
            )
        windows = truncation.windows(length, max_length, stride)
        if direction == "left":
            windows = [(length - end, length - start) for start, end in windows]
        first, *others = [self._part(start, end) for start, end in windows]
        first.overflowing = others
        self.__dict__.update(vars(first))

    def pad(
        self,
        length: int,
        pad_id: int = 0,
        pad_type_id: int = 0,
        pad_token: str = "[PAD]",
        direction: str = "right",
    ) -> None:
        """Fill up to `length` tokens; the overflowing windows are filled up too.

        length: tokens wanted; an encoding that is longer already stays as it is
        pad_id, pad_token, pad_type_id: what to fill with
        direction: "right" fills at the end, "left" at the beginning
        """
        _check_direction(direction)
        for other in self.overflowing:
            other.pad(length, pad_id, pad_type_id, pad_token, direction)
        missing = length - len(self)
        if missing <= 0:
            return
        padding = Encoding(
            ids=[pad_id] * missing,
            tokens=[pad_token] * missing,
            offsets=[(0, 0)] * missing,
            word_ids=[None] * missing,
            type_ids=[pad_type_id] * missing,
            special_tokens_mask=[1] * missing,
            attention_mask=[0] * missing,
        )
        if direction == "right":
            # tokenizers counts padding as part of the text where no ranges are known.
            self._extend(padding)
        else:
            ranges = self.sequence_ranges
            old = self._part(0, len(self))
            for name in _LISTS:
                setattr(self, name, getattr(padding, name))
            self._extend(old)
            self.sequence_ranges = {
                number: (start + missing, end + missing) for number, (start, end) in ranges.items()
            }

    def _extend(self, other: Encoding) -> None:
        for name in _LISTS:
            getattr(self, name).extend(getattr(other, name))

    def append(self, other: Encoding) -> None:
        """Put another encoding behind this one, and combine what overflows of both.

        The order of the combinations is tokenizers': each overflow of the first with the second
        and with each overflow of the second, then the first with each overflow of the second.
        """
        combinations = [
            _joined(mine, theirs)
            for mine in self.overflowing
            for theirs in [other, *other.overflowing]
        ]
        combinations += [_joined(self, theirs) for theirs in other.overflowing]
        shift = len(self)
        for number, (start, end) in other.sequence_ranges.items():
            self.sequence_ranges[number] = (start + shift, end + shift)
        self._extend(other)
        self.overflowing = combinations


_LISTS = (
    "ids",
    "tokens",
    "offsets",
    "word_ids",
    "type_ids",
    "special_tokens_mask",
    "attention_mask",
)


def _joined(first: Encoding, second: Encoding) -> Encoding:
    result = first.copy()
    result.append(second)
    return result


def join_encodings(encodings: list[Encoding]) -> Encoding:
    """One encoding of several, one behind the other (see `Encoding.append`)."""
    result = Encoding()
    for encoding in encodings:
        result.append(encoding)
    return result


def _check_direction(direction: str) -> None:
    if direction not in _DIRECTIONS:
        raise InvalidInput(f"direction is {direction!r}; it must be 'left' or 'right'.")
