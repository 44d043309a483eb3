"""sentencepiece's compiled normalization table: a trie of bytes and the strings it leads to."""

from __future__ import annotations

import base64
import binascii
import re
import sys
from array import array
from collections.abc import Iterator
from itertools import chain, repeat

import regex

from minilm.errors import InvalidInput

# `regex` joins an Indic consonant to any sign for joining. Only one that follows another Indic
# consonant should join; all of those lie above U+0800.
_EXTENDS = r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]"
# And it counts a run of flag letters anew for each of them, in quadratic time; they go by pairs.
_grapheme = regex.compile(
    rf"[ -~\u00a0-\u00ac\u00ae-\u061b\u061d-\u07ff]{_EXTENDS}+(?=\p{{Lo}})"
    rf"|\p{{Regional_Indicator}}{{1,2}}{_EXTENDS}*|\X",
    regex.VERSION1,
)
# Where a grapheme can have several characters, a carriage return with its line feed aside: at
# characters beyond ASCII, together with one printable ASCII character on each side.
_zone = re.compile(r"([ -~]?(?:[^\x00-\x7f]+[ -~]?)+)")
# Graphemes of so many bytes are not looked up whole.
_LONG = 6


class CharacterMap:
    """The table `precompiled_charsmap` of a sentencepiece model (Darts double array + strings).

    encoded: the table in base64, as tokenizer.json holds it
    longest_match: whether to read the table as the sentencepiece library does: at each place the
        longest key that the text goes on with is replaced

    Raises InvalidInput where it is not base64, cut off, or not UTF-8.

    Otherwise the text is taken grapheme by grapheme, as tokenizers does: a grapheme of less than
    six bytes is looked up whole, then, if the table has no prefix of it, character by character.
    What is found for a prefix stands for the whole grapheme, so that the second accent on a letter
    is lost: of a Vietnamese "a" with two marks one remains.
    """

    def __init__(self, encoded: str, longest_match: bool = False) -> None:
        try:
            table = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise _damaged("is not base64") from None
        size = int.from_bytes(table[:4], "little")
        if len(table) < 4 or len(table) < 4 + size or size % 4:
            raise _damaged("is cut off")
        self._units = array("I", table[4 : 4 + size])
        if sys.byteorder == "big":
            self._units.byteswap()
        self._strings = table[4 + size :]
        try:
            self._strings.decode("utf-8")
        except UnicodeDecodeError:
            raise _damaged("holds strings that are not UTF-8") from None
        self._longest_match = longest_match
        self._matches: dict[str, tuple[int, str | None]] = {}
        self._known: dict[str, str | None] = {}
        self._whole: dict[str, str] = {}
        ascii_changes = {code: self.replacement(chr(code)) for code in range(128)}
        self._ascii = {code: new for code, new in ascii_changes.items() if new is not None}
        self._has_ascii_pairs = longest_match and any(map(self._goes_on_in_ascii, range(1, 128)))

    def _prefix(self, key: bytes) -> int | None:
        """Where the string for the shortest known prefix of `key` begins, or None."""
        units = self._units
        try:
            position = _offset(units[0])
            for byte in key:
                if byte == 0:
                    return None
                position ^= byte
                unit = units[position]
                if unit & 0x800000FF != byte:
                    return None
                position ^= _offset(unit)
                if unit >> 8 & 1:
                    return units[position] & 0x7FFFFFFF
        except IndexError:
            return None
        return None

    def _goes_on_in_ascii(self, first: int) -> bool:
        """Whether the table has keys of this and another ASCII character (only made by hand)."""
        units = self._units
        try:
            place = _offset(units[0]) ^ first
            if units[place] & 0x800000FF != first:
                return False
            place ^= _offset(units[place])
            return any(units[place ^ byte] & 0x800000FF == byte for byte in range(1, 128))
        except IndexError:
            return False

    def replacement(self, chunk: str) -> str | None:
        """What a grapheme or character is replaced by, or None if the table does not know it.

        As in tokenizers, what counts is the shortest prefix that the table knows.
        """
        if chunk not in self._known:
            if len(self._known) > 50_000:  # graphemes are endless, memory is not
                self._known.clear()
            start = self._prefix(chunk.encode("utf-8"))
            self._known[chunk] = (
                None
                if start is None or start > len(self._strings)
                else self._strings[start:].split(b"\0", 1)[0].decode("utf-8")
            )
        return self._known[chunk]

    def normalize(self, text: str) -> str:
        """The text with everything replaced that the table knows.

        text: any text
        """
        if text.isascii() and not self._has_ascii_pairs:
            return self._normalize_ascii(text)
        return "".join(
            part and (self._normalize_zone(part) if zone else self._normalize_ascii(part))
            for zone, part in self._parts(text)
        )

    def _zone_replacements(self, part: str) -> Iterator[tuple[str, str | None]]:
        if self._longest_match:
            return self._longest_matches(part)
        return chain.from_iterable(map(self._replacements, _grapheme.findall(part)))

    def _normalize_zone(self, part: str) -> str:
        if not self._longest_match:
            return "".join(map(self._normalize_grapheme, _grapheme.findall(part)))
        return "".join(old if new is None else new for old, new in self._longest_matches(part))

    def _parts(self, text: str) -> list[tuple[bool, str]]:
        if self._has_ascii_pairs:
            return [(True, text)]
        return [(number % 2 == 1, part) for number, part in enumerate(_zone.split(text))]

    def _normalize_ascii(self, text: str) -> str:
        if "\r\n" in text and not self._longest_match:
            line_end = self._normalize_grapheme("\r\n")
            return line_end.join(part.translate(self._ascii) for part in text.split("\r\n"))
        return text.translate(self._ascii)

    def _normalize_grapheme(self, grapheme: str) -> str:
        if grapheme in self._whole:
            return self._whole[grapheme]
        result = "".join(old if new is None else new for old, new in self._replacements(grapheme))
        if len(self._whole) > 50_000:
            self._whole.clear()
        if len(grapheme) < _LONG:
            self._whole[grapheme] = result
        return result

    def _replacements(self, grapheme: str) -> list[tuple[str, str | None]]:
        """(old, new) for the grapheme, or for each of its characters; new is None for no change."""
        if len(grapheme) < _LONG and len(grapheme.encode("utf-8")) < _LONG:
            whole = self.replacement(grapheme)
            if whole is not None or len(grapheme) == 1:
                return [(grapheme, whole)]
        return [(character, self.replacement(character)) for character in grapheme]

    def _longest_matches(self, text: str) -> Iterator[tuple[str, str | None]]:
        """(old, new) for one key of the table after the other, new is None for no change."""
        position = 0
        while position < len(text):
            two = text[position : position + 2]
            length, new = self._matches.get(two) or self._longest(text, position)
            yield text[position : position + length], new
            position += length

    def _longest(self, text: str, start: int) -> tuple[int, str | None]:
        """How long the longest key at this place is, and its replacement; (1, None) if none is."""
        units, place = self._units, _offset(self._units[0])
        found: tuple[int, str | None] = (1, None)
        length = 0
        try:
            for length in range(1, len(text) - start + 1):
                for byte in text[start + length - 1].encode("utf-8"):
                    place ^= byte
                    unit = units[place]
                    if byte == 0 or unit & 0x800000FF != byte:
                        raise IndexError
                    place ^= _offset(unit)
                if unit >> 8 & 1:
                    new = self._strings[units[place] & 0x7FFFFFFF :].split(b"\0", 1)[0]
                    found = length, new.decode("utf-8")
        except IndexError:  # the table knows no key that goes on like this
            if length <= 2:  # and nothing beyond two characters has been looked at
                if len(self._matches) > 50_000:
                    self._matches.clear()
                self._matches[text[start : start + 2]] = found
        return found

    def changes(self, text: str) -> list[tuple[str, int]] | None:
        """The normalized text as (character, change) for `AlignedText.transform`; None: no change.

        text: any text
        """
        result: list[tuple[str, int]] = []
        changed = False
        for zone, part in self._parts(text):
            if not zone and "\r" not in part and part.translate(self._ascii) == part:
                result += zip(part, repeat(0))
                continue
            for old, new in self._zone_replacements(part):
                if new is None:
                    result.append((old, 0))
                    continue
                changed = True
                more = len(new) - len(old)
                result += [(c, 0 if i < len(old) else 1) for i, c in enumerate(new)]
                # What is missing counts as removed behind the character before; at the very
                # beginning there is none, and tokenizers then lets the places slip by one.
                if more < 0 and result:
                    result[-1] = (result[-1][0], result[-1][1] + more)
        return result if changed else None


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & 0x200) >> 6)


def _damaged(what: str) -> InvalidInput:
    return InvalidInput(
        f"The precompiled_charsmap of tokenizer.json {what}. Fetch or save the file again."
    )
