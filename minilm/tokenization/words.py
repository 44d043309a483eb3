"""Cutting text into words before any pair is counted, as GPT-2 does it."""

from __future__ import annotations

import re
from itertools import accumulate, pairwise

import regex

from minilm.tokenization.unicode_tables import as_oniguruma_sees

# Contractions; then letters, digits or other signs, each with at most one space in front; then
# white space: all but its last character when a word follows, so that the word keeps its space.
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def split_words(text: str) -> list[str]:
    """Cut a text into words that no token will ever cross (Radford et al. 2019).

    text: any text

    Returns the words, each with the space before it; joined, they are the text again.
    Equals the cuts of tokenizers' `ByteLevel` pre-tokenizer.

    >>> split_words("It's 42  cats.")
    ['It', "'s", ' 42', ' ', ' cats', '.']
    """
    return regex.findall(GPT2_PATTERN, text)


_own_split_words = split_words


def split_words_exactly(text: str) -> list[str]:
    """Do what `split_words` does, faster, and with the letters that tokenizers knows.

    text: any text

    Returns the words. Letters that came into Unicode after the reference's tables are no letters
    to it; here they are none either.
    """
    if split_words is _own_split_words:  # a reader's own would decide
        pattern = _cutter.pattern_for(text)
        if pattern is not None:
            return pattern.findall(text)
    known = as_oniguruma_sees(text)
    found = split_words(known)
    if known is text:
        return found
    ends = [0, *accumulate(map(len, found))]
    return [text[start:end] for start, end in pairwise(ends)]


class _Cutter:
    """GPT-2's pattern for Python's own `re`, which names all letters, digits and spaces one by one.

    That makes it more than twice as fast. It knows ASCII, and learns the other characters it
    meets until they are `limit`; for the texts of most languages that is enough.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ascii = frozenset(map(chr, range(128)))
        # One attribute, so that another thread sees characters and pattern that belong together.
        self._known = frozenset[str](), _pattern_with("")

    def pattern_for(self, text: str) -> re.Pattern[str] | None:
        """Return the pattern, if it knows all characters of the text."""
        others, pattern = self._known
        if text.isascii():
            return pattern
        new = set(text) - self._ascii - others
        if len(others) + len(new) > self._limit:
            return None
        if new:
            others |= new
            pattern = _pattern_with("".join(sorted(others)))
            self._known = others, pattern
        return pattern


def _pattern_with(others: str) -> re.Pattern[str]:
    """Return the pattern for texts of ASCII and these other characters."""
    letters, digits, spaces = "A-Za-z", "0-9", r" \t\n\r\f\v"
    for character, seen in zip(others, as_oniguruma_sees(others), strict=True):
        letters += character if regex.match(r"\p{L}", seen) else ""
        digits += character if regex.match(r"\p{N}", seen) else ""
        spaces += character if regex.match(r"\s", seen) else ""
    return re.compile(
        rf"'(?:[sdmt]|ll|ve|re)| ?[{letters}]+| ?[{digits}]+| ?[^{spaces}{letters}{digits}]+"
        rf"|[{spaces}]+(?![^{spaces}])|[{spaces}]+"
    )


_cutter = _Cutter(limit=200)
