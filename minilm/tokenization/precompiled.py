"""sentencepiece's compiled normalization table: a trie of bytes and the strings it leads to."""

from __future__ import annotations

import base64
import binascii
import re
import sys
from array import array
from itertools import repeat

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

    Raises InvalidInput where it is not base64, cut off, or not UTF-8.

    The text is taken grapheme by grapheme, as tokenizers does: a grapheme of less than six
    bytes is looked up whole, then, if the table has no prefix of it, character by character.
    """

    def __init__(self, encoded: str) -> None:
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
        self._known: dict[str, str | None] = {}
        self._whole: dict[str, str] = {}
        ascii_changes = {code: self.replacement(chr(code)) for code in range(128)}
        self._ascii = {code: new for code, new in ascii_changes.items() if new is not None}

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
        if text.isascii():
            return self._normalize_ascii(text)
        return "".join(
            part
            and (
                "".join(map(self._normalize_grapheme, _grapheme.findall(part)))
                if zone
                else self._normalize_ascii(part)
            )
            for zone, part in self._parts(text)
        )

    @staticmethod
    def _parts(text: str) -> list[tuple[bool, str]]:
        return [(number % 2 == 1, part) for number, part in enumerate(_zone.split(text))]

    def _normalize_ascii(self, text: str) -> str:
        if "\r\n" in text:
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
            for grapheme in _grapheme.findall(part):
                for old, new in self._replacements(grapheme):
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
