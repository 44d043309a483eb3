"""The four Unicode normalization forms, with every character's change told as it happens."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import regex

from minilm.tokenization.unicode_tables import NOT_NORMALIZED, character_class, characters

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]

_not_normalized = re.compile(f"([{character_class(NOT_NORMALIZED)}])")
_untouched = characters(NOT_NORMALIZED)
# CPython sorts combining marks by insertion, in quadratic time. Runs this long take our own way.
_long_run = regex.compile(r"[\P{Canonical_Combining_Class=0}\u0f73\u0f75\u0f81]{200}")


def normalize(form: Form, text: str) -> str:
    """A text in one of Unicode's normalization forms, by the reference's Unicode version.

    form: "NFC", "NFD", "NFKC" or "NFKD"
    text: any text

    Raises nothing. A character newer than the reference's tables stays as it is.
    """
    if text.isascii():
        return text
    if _long_run.search(text):
        return "".join(character for character, _ in normalization_changes(form, text))
    if not _untouched.isdisjoint(text):
        return "".join(
            part if part in _untouched else unicodedata.normalize(form, part)
            for part in _not_normalized.split(text)
        )
    return unicodedata.normalize(form, text)


def normalization_changes(form: Form, text: str) -> Iterator[tuple[str, int]]:
    """A normalized text as a stream of (character, change) for `AlignedText.transform`.

    form: "NFC", "NFD", "NFKC" or "NFKD"
    text: any text

    Follows the Unicode standard, annex 15. The counting of changes is that of the crate
    unicode-normalization-alignments: of a decomposed character the first part replaces it and
    the others are put in; marks that change places take their counts along.
    """
    decomposed = _decomposed("NFD" if form in ("NFC", "NFD") else "NFKD", text)
    return _composed(decomposed) if form in ("NFC", "NFKC") else decomposed


@lru_cache(maxsize=4096)
def _parts(form: Form, character: str) -> tuple[tuple[int, str, int], ...]:
    """The parts of a character: (combining class, part, change)."""
    if character in _untouched:
        return ((0, character, 0),)
    parts = unicodedata.normalize(form, character)
    return tuple((unicodedata.combining(c), c, min(i, 1)) for i, c in enumerate(parts))


def _decomposed(form: Form, text: str) -> Iterator[tuple[str, int]]:
    pending: list[tuple[int, str, int]] = []  # marks, to be sorted when the run of them ends
    for character in text:
        for part in _parts(form, character):
            if part[0] == 0 and pending:
                pending.sort(key=_combining_class)
                yield from ((c, change) for _, c, change in pending)
                pending.clear()
            if part[0] == 0:
                yield part[1], part[2]
            else:
                pending.append(part)
    pending.sort(key=_combining_class)
    yield from ((c, change) for _, c, change in pending)


def _combining_class(part: tuple[int, str, int]) -> int:
    return part[0]


@lru_cache(maxsize=4096)
def _pair(first: str, second: str) -> str | None:
    """The one character that two make, or None."""
    if first in _untouched or second in _untouched:
        return None
    composed = unicodedata.normalize("NFC", first + second)
    return composed if len(composed) == 1 else None


def _composed(stream: Iterator[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    starter: tuple[str, int] | None = None
    waiting: list[tuple[str, int]] = []  # marks behind the starter that did not join it
    last_class = -1  # the class of the last of them; -1: none, the next may join directly
    for character, change in stream:
        here = 0 if character in _untouched else unicodedata.combining(character)
        if starter is None:
            if here:
                yield character, change
            else:
                starter = character, change
            continue
        joined = _pair(starter[0], character) if last_class < here else None
        if joined is not None:
            starter = joined, starter[1] + change - 1
        elif here == 0:
            yield starter
            yield from waiting
            starter, waiting, last_class = (character, change), [], -1
        else:
            waiting.append((character, change))
            last_class = here
    if starter is not None:
        yield starter
    yield from waiting
