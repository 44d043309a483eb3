"""What a call of the tokenizer asks for, checked: the texts, and the many options."""

from __future__ import annotations

import difflib
import operator
import sys
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from minilm.errors import InvalidInput, WrongType

PADDING = ("longest", "max_length", "do_not_pad")
TRUNCATION = ("longest_first", "only_first", "only_second", "do_not_truncate")
SIDES = ("right", "left")
# transformers writes "no limit" as 10 ** 30; anything this large is taken for it.
NO_LIMIT = 10**20

TextOrWords = str | list[str]


@dataclass
class Rows:
    """The texts of a call, one entry per row.

    texts, pairs: a string, or its words when they come pre-split; no pair = None
    batched: whether the caller gave a batch, and expects one back
    """

    texts: list[TextOrWords]
    pairs: list[TextOrWords | None]
    batched: bool


@dataclass
class Options:
    """The options of a call, after all defaults are settled.

    padding, truncation: one of PADDING, one of TRUNCATION
    max_length: in tokens, special ones counted; None = no limit
    columns: which ones to return, in order
    """

    add_special_tokens: bool = True
    padding: str = "do_not_pad"
    truncation: str = "do_not_truncate"
    max_length: int | None = None
    stride: int = 0
    is_split_into_words: bool = False
    pad_to_multiple_of: int | None = None
    padding_side: str = "right"
    truncation_side: str = "right"
    return_tensors: str | None = None
    return_overflowing_tokens: bool = False
    split_special_tokens: bool = False
    verbose: bool = True
    columns: list[str] = field(default_factory=lambda: ["input_ids"])

    @property
    def truncates(self) -> bool:
        """Whether rows are cut at max_length."""
        return self.truncation != "do_not_truncate"

    @property
    def pads(self) -> bool:
        """Whether short rows are filled up."""
        return self.padding != "do_not_pad"

    def padded_length(self, lengths: Iterable[int]) -> int:
        """How long the rows of a batch become.

        lengths: of the rows, in tokens
        """
        if self.padding == "max_length" and self.max_length is not None:
            length = self.max_length
        else:
            length = max(lengths, default=0)
        multiple = self.pad_to_multiple_of or 1
        return -(-length // multiple) * multiple


def read_padding(padding: Any) -> str:
    """Read the option padding: True, False, a name or transformers' own constant.

    padding: as the caller gave it
    """
    return _read_choice("padding", padding, PADDING, {True: "longest", False: "do_not_pad"})


def read_truncation(truncation: Any) -> str:
    """Read the option truncation: True, False, None, a name or transformers' own constant.

    truncation: as the caller gave it
    """
    if truncation is None:
        return "do_not_truncate"
    words = {True: "longest_first", False: "do_not_truncate"}
    return _read_choice("truncation", truncation, TRUNCATION, words)


def read_side(name: str, side: Any) -> str:
    """Read padding_side or truncation_side.

    name: which of the two, for the error message
    side: "right" or "left"
    """
    return _read_choice(name, side, SIDES, {})


def _read_choice(name: str, value: Any, choices: Sequence[str], words: dict[bool, str]) -> str:
    if isinstance(value, bool) and value in words:
        return words[value]
    value = getattr(value, "value", value)
    if isinstance(value, str) and value in choices:
        return str(value)
    allowed = [*map(str, words), *map(repr, choices)]
    near = difflib.get_close_matches(str(value), choices, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise InvalidInput(f"{name} is {value!r}, and it must be one of {', '.join(allowed)}.{hint}")


def read_flag(name: str, value: Any) -> bool:
    """Read an option that is on or off.

    name: the option, for the error message
    value: True or False, or 1 or 0
    """
    number = value.item() if type(value).__module__ == "numpy" and value.ndim == 0 else value
    if not isinstance(number, (bool, int)) or number not in (0, 1):
        raise WrongType(f"{name} must be True or False, and {value!r} is {kind_of(value)}.")
    return bool(number)


def read_count(name: str, value: Any, at_least: int = 0) -> int:
    """Read a number of tokens.

    name: the option, for the error message
    value: a whole number
    at_least: the smallest that makes sense
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise WrongType(
            f"{name} must be a whole number, and {value!r} is {kind_of(value)}."
        ) from None
    if number < at_least:
        raise InvalidInput(f"{name} is {number}, and it must be at least {at_least}.")
    return number


def settle_lengths(
    padding: str,
    truncation: str,
    max_length: int | None,
    model_max_length: int,
    pad_to_multiple_of: int | None,
    verbose: bool = True,
) -> tuple[str, int | None]:
    """Settle how padding, truncation and max_length go together.

    padding, truncation: as read by `read_padding` and `read_truncation`
    max_length: as the caller gave it, or None
    model_max_length: what takes its place; huge = unknown
    pad_to_multiple_of: as the caller gave it, or None
    verbose: warn about options without effect

    Returns the truncation that remains, and the max_length.
    Raises `InvalidInput` for padding='max_length' with no length known. (transformers does not pad
    then, and says nothing.)
    """
    if (
        padding == "longest"
        and max_length is not None
        and truncation == "do_not_truncate"
        and verbose
    ):
        warn(
            "max_length has no effect with padding=True and no truncation. Pass "
            "padding='max_length' to pad to it, or truncation=True to cut at it."
        )
    needed = padding == "max_length" or truncation != "do_not_truncate"
    if max_length is None and needed:
        if model_max_length <= NO_LIMIT:
            max_length = model_max_length
        elif padding == "max_length":
            raise InvalidInput(
                "padding='max_length' needs a length: max_length is not given, and the tokenizer "
                "knows no model_max_length. Pass max_length=…, or padding=True for the longest "
                "row's length."
            )
        else:
            if verbose:
                warn(
                    f"truncation='{truncation}' has no effect: max_length is not given, and the "
                    "tokenizer knows no model_max_length. Pass max_length=…."
                )
            truncation = "do_not_truncate"
    if (
        truncation != "do_not_truncate"
        and padding != "do_not_pad"
        and pad_to_multiple_of is not None
        and max_length is not None
        and max_length % pad_to_multiple_of != 0
    ):
        raise InvalidInput(
            f"Rows are cut at max_length={max_length} and padded to a multiple of "
            f"{pad_to_multiple_of}, which contradict each other. Make max_length such a multiple."
        )
    return truncation, max_length


def refuse_unknown(given: Iterable[str], known: Collection[str], what: str) -> None:
    """Raise for an argument that nobody reads, and name the nearest one that exists.

    given: the names of the arguments
    known: the names there are
    what: the function, for the error message
    """
    for name in given:
        if name in known:
            continue
        near = difflib.get_close_matches(name, list(known), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else f" It takes {', '.join(sorted(known))}."
        raise WrongType(f"{what} has no argument '{name}'.{hint}")


def read_rows(text: Any, text_pair: Any, split: bool, name: str = "text") -> Rows:
    """Read the texts of a call: one or a batch, alone or in pairs, whole or split into words.

    text, text_pair: as the caller gave them
    split: is_split_into_words
    name: what to call text in error messages

    A batch may also hold pairs itself: [("question", "context"), …].
    Raises `WrongType` that says which entry is wrong, `InvalidInput` for an empty batch, for
    batches of unequal size, and for text that is not valid Unicode.
    """
    pair_name = f"{name}_pair"
    if split:
        batched = (
            isinstance(text, (list, tuple)) and bool(text) and isinstance(text[0], (list, tuple))
        )
    else:
        batched = isinstance(text, (list, tuple))
    if not batched:
        first = _read_one(text, split, name)
        # As in transformers, an empty text_pair of a single text is no pair at all.
        second = _read_one(text_pair, split, pair_name) if _is_given(text_pair) else None
        return Rows([first], [second], batched=False)
    if not text:
        raise InvalidInput(f"{name} is an empty batch. Give at least one text.")
    if text_pair is None:
        rows = [_read_row(row, split, f"{name}[{i}]") for i, row in enumerate(text)]
        return Rows([first for first, _ in rows], [second for _, second in rows], batched=True)
    if not isinstance(text_pair, (list, tuple)):
        raise WrongType(
            f"{name} is a batch of {len(text)}, so {pair_name} must be a list of as many, and not "
            f"{kind_of(text_pair)}."
        )
    if len(text_pair) != len(text):
        raise InvalidInput(
            f"{name} is a batch of {len(text)} and {pair_name} one of {len(text_pair)}. Give one "
            "pair text per text."
        )
    return Rows(
        [_read_one(row, split, f"{name}[{i}]") for i, row in enumerate(text)],
        [_read_one(row, split, f"{pair_name}[{i}]") for i, row in enumerate(text_pair)],
        batched=True,
    )


def _is_given(text: Any) -> bool:
    return text is not None and not (isinstance(text, (str, list, tuple)) and not text)


def _read_row(row: Any, split: bool, name: str) -> tuple[TextOrWords, TextOrWords | None]:
    """Read one row of a batch, which may be a pair of its own."""
    is_list = isinstance(row, (list, tuple))
    if not split and is_list:
        if len(row) == 2:
            return _read_one(row[0], split, f"{name}[0]"), _read_one(row[1], split, f"{name}[1]")
        raise WrongType(
            f"{name} is a list of {len(row)}. A row of a batch is one text, or a pair of two; for "
            "texts that are split into words pass is_split_into_words=True."
        )
    if split and is_list and row and isinstance(row[0], (list, tuple)):
        if len(row) == 2:
            return _read_one(row[0], split, f"{name}[0]"), _read_one(row[1], split, f"{name}[1]")
        raise WrongType(
            f"{name} holds {len(row)} lists of words. A row is one list of words, or a pair of two."
        )
    return _read_one(row, split, name), None


def _read_one(text: Any, split: bool, name: str) -> TextOrWords:
    if split:
        if not isinstance(text, (list, tuple)):
            hint = " Split it, or leave is_split_into_words out." if isinstance(text, str) else ""
            raise WrongType(
                f"With is_split_into_words=True, {name} must be a list of words, and it is "
                f"{kind_of(text)}.{hint}"
            )
        return [_read_text(word, f"{name}[{i}]") for i, word in enumerate(text)]
    return _read_text(text, name)


def _read_text(text: Any, name: str) -> str:
    if not isinstance(text, str):
        hints = {
            "bytes": " Decode it first: text.decode('utf-8').",
            "NoneType": " Leave it out, or give an empty string.",
            "list": " Words of one text need is_split_into_words=True.",
            "tuple": " Words of one text need is_split_into_words=True.",
            "dict": " A chat goes through apply_chat_template.",
            "generator": " Make it a list.",
        }
        raise WrongType(
            f"{name} must be text (str), and it is "
            f"{kind_of(text)}.{hints.get(type(text).__name__, '')}"
        )
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(
                f"{name} holds a lone surrogate, U+{ord(text[error.start]):04X}, at position "
                f"{error.start}: half a character, which is no valid Unicode. Read the text with "
                "the right encoding, or drop it: text.encode('utf-8', 'replace').decode()."
            ) from None
    return text


def warn(message: str) -> None:
    """Warn whoever called minilm, at the line where they did.

    message: what to say
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("minilm."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def kind_of(value: Any) -> str:
    """Say what a value is, for an error message.

    value: anything
    """
    return "None" if value is None else f"of type {type(value).__name__}"
