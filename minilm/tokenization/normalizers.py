"""What is done to a text before it is cut: one class per `type` of tokenizer.json's normalizers.

Each has two ways: `normalize` on a plain string, fast, and `normalize_aligned` on a text that
remembers its origins. Both give the same characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import regex

from minilm.errors import InvalidInput
from minilm.tokenization import byte_alphabet, canonical_forms, onig_patterns
from minilm.tokenization.aligned_text import AlignedText
from minilm.tokenization.pieces import Piece, read_piece, read_pieces
from minilm.tokenization.precompiled import CharacterMap
from minilm.tokenization.unicode_tables import (
    CHINESE,
    CONTROL,
    MARKS,
    NONSPACING_MARKS,
    WHITE_SPACE,
    character_class,
)

_spaces = re.compile(f"[{character_class(WHITE_SPACE)}]+")
_spaces_left = re.compile(f"[{character_class(WHITE_SPACE)}]*")


@dataclass
class Normalizer(Piece):
    """A step that changes the text."""

    section: ClassVar[str] = "normalizer"

    def normalize(self, text: str) -> str:
        """The changed text."""
        raise NotImplementedError

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        """The changed text, which still knows where its characters came from."""
        raise NotImplementedError


def _without(text: AlignedText, unwanted: re.Pattern[str]) -> AlignedText:
    """The text without the characters that match."""
    if not unwanted.search(text.text):
        return text
    kept = [i for i, character in enumerate(text.text) if not unwanted.match(character)]
    return text.gather("".join(text.text[i] for i in kept), kept)


def _expanded(text: AlignedText, parts: list[str]) -> AlignedText:
    """The text with every character written as one of `parts`, in order."""
    sources = [i for i, part in enumerate(parts) for _ in part]
    return text.gather("".join(parts), sources)


def lowercase(text: str) -> str:
    """Each character in lower case by itself, as Rust's `char::to_lowercase`.

    Python's `str.lower` writes a capital sigma at the end of a word as the final sigma; here
    every one becomes the same.
    """
    return text.replace("\u03a3", "\u03c3").lower()


@dataclass
class Lowercase(Normalizer):
    """Every character in lower case."""

    def normalize(self, text: str) -> str:
        return lowercase(text)

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        lower = lowercase(text.text)
        if len(lower) == len(text) and "\u0130" not in text.text:
            return text.with_text(lower)
        return _expanded(text, [lowercase(character) for character in text.text])


@dataclass
class _CanonicalForm(Normalizer):
    def normalize(self, text: str) -> str:
        return canonical_forms.normalize(type(self).__name__, text)  # type: ignore[arg-type]

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        form = type(self).__name__
        if self.normalize(text.text) == text.text:
            return text
        return text.transform(canonical_forms.normalization_changes(form, text.text))  # type: ignore[arg-type]


@dataclass
class NFC(_CanonicalForm):
    """Unicode's composed form."""


@dataclass
class NFD(_CanonicalForm):
    """Unicode's decomposed form."""


@dataclass
class NFKC(_CanonicalForm):
    """Unicode's composed form, with look-alikes made equal."""


@dataclass
class NFKD(_CanonicalForm):
    """Unicode's decomposed form, with look-alikes made equal."""


@dataclass
class Strip(Normalizer):
    """White space taken from the ends."""

    strip_left: bool = True
    strip_right: bool = True

    def _range(self, text: str) -> tuple[int, int]:
        start, end = 0, len(text)
        if self.strip_left:
            match = _spaces_left.match(text)
            start = match.end() if match else 0
        if self.strip_right:
            while end > start and _spaces.match(text[end - 1]):
                end -= 1
        return start, end

    def normalize(self, text: str) -> str:
        start, end = self._range(text)
        return text[start:end]

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        start, end = self._range(text.text)
        return text.gather(text.text[start:end], range(start, end))


@dataclass
class StripAccents(Normalizer):
    """Marks deleted; the text is expected in decomposed form."""

    _marks: ClassVar[re.Pattern[str]] = re.compile(f"[{character_class(MARKS)}]+")

    def normalize(self, text: str) -> str:
        return text if text.isascii() else self._marks.sub("", text)

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        return _without(text, self._marks)


@dataclass
class Nmt(Normalizer):
    """Control characters deleted, other invisible ones made spaces, as sentencepiece's NMT rules."""

    _deleted: ClassVar[re.Pattern[str]] = re.compile(f"[{character_class('1-8 B E-1F 7F 8F 9F')}]+")
    _to_space: ClassVar[dict[int, str]] = dict.fromkeys(
        [9, 0xA, 0xC, 0xD, 0x1680, *range(0x200B, 0x2010), 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD],
        " ",
    )

    def normalize(self, text: str) -> str:
        return self._deleted.sub("", text).translate(self._to_space)

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        kept = _without(text, self._deleted)
        return kept.with_text(kept.text.translate(self._to_space))


@dataclass
class Prepend(Normalizer):
    """A string put before every text that is not empty."""

    prepend: str

    def normalize(self, text: str) -> str:
        return self.prepend + text if text else text

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        if not text.text:
            return text
        sources = [*[0] * len(self.prepend), *range(len(text))]
        return text.gather(self.prepend + text.text, sources)


@dataclass
class Replace(Normalizer):
    """Every match of a string or regular expression replaced by a fixed string.

    pattern: {"String": …} or {"Regex": …}
    """

    pattern: Any
    content: str

    def __post_init__(self) -> None:
        self.spans = compile_spans(self.pattern, type(self))

    @classmethod
    def _checked(cls, name: str, wanted: str, value: Any) -> Any:
        return value if name == "pattern" else super()._checked(name, wanted, value)

    @property
    def _plain(self) -> str | None:
        return self.pattern.get("String") or None

    def normalize(self, text: str) -> str:
        if self._plain is not None:
            return text.replace(self._plain, self.content)
        return replace_spans(text, self.spans(text), self.content)

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        # New characters stand for the last character of what they replace.
        spans = self.spans(text.text)
        if not spans:
            return text
        sources: list[int] = []
        end = 0
        for start, stop in spans:
            sources += range(end, start)
            sources += [stop - 1] * len(self.content)
            end = stop
        sources += range(end, len(text))
        return text.gather(replace_spans(text.text, spans, self.content), sources)


def compile_spans(pattern: Any, owner: type[Piece]) -> Any:
    """A function text → list of (start, end) of all matches, for a pattern of tokenizer.json."""
    match pattern:
        case {"String": str(plain)} if len(pattern) == 1:
            compiled = regex.compile(regex.escape(plain, special_only=True), regex.VERSION1)
        case {"Regex": str(expression)} if len(pattern) == 1:
            compiled = onig_patterns.compile_pattern(expression)
        case _:
            raise InvalidInput(
                f"In tokenizer.json, the {owner.section} of type {owner.__name__!r} has the "
                f"pattern {pattern!r}; {{'String': …}} or {{'Regex': …}} was expected. "
                "Compare the file with its original."
            )
    return lambda text: onig_patterns.find_spans(compiled, text)


def replace_spans(text: str, spans: list[tuple[int, int]], content: str) -> str:
    """The text with `content` in place of each of the spans."""
    parts: list[str] = []
    end = 0
    for start, stop in spans:
        parts += (text[end:start], content)
        end = stop
    return "".join([*parts, text[end:]])


@dataclass
class BertNormalizer(Normalizer):
    """BERT's cleaning: no control characters, spaces around Chinese, no accents, lower case.

    strip_accents: None means "if lowercase"
    """

    clean_text: bool
    handle_chinese_chars: bool
    strip_accents: bool | None
    lowercase: bool

    _control: ClassVar[re.Pattern[str]] = re.compile(f"[{character_class(CONTROL)}]+")
    _chinese: ClassVar[re.Pattern[str]] = re.compile(f"([{character_class(CHINESE)}])")
    _accents: ClassVar[re.Pattern[str]] = re.compile(f"[{character_class(NONSPACING_MARKS)}]+")

    def __post_init__(self) -> None:
        self._strips_accents = self.lowercase if self.strip_accents is None else self.strip_accents
        self._table = _CharacterTable(self._in_full)

    def normalize(self, text: str) -> str:
        # Each character by itself, unless marks remain that could change places.
        result = self._table.translate(text)
        return self._in_full(text) if result is None else result

    def _in_full(self, text: str) -> str:
        if self.clean_text:
            text = _spaces_one_by_one(self._control.sub("", text))
        if self.handle_chinese_chars:
            text = self._chinese.sub(r" \1 ", text)
        if self._strips_accents:
            text = self._accents.sub("", canonical_forms.normalize("NFD", text))
        return lowercase(text) if self.lowercase else text

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        if self.clean_text:
            text = _without(text, self._control)
            text = text.with_text(_spaces_one_by_one(text.text))
        if self.handle_chinese_chars and self._chinese.search(text.text):
            text = _expanded(text, [f" {c} " if self._chinese.match(c) else c for c in text.text])
        if self._strips_accents:
            text = _without(NFD().normalize_aligned(text), self._accents)
        return Lowercase().normalize_aligned(text) if self.lowercase else text


def _spaces_one_by_one(text: str) -> str:
    """Every white-space character as a plain space."""
    return _spaces.sub(lambda match: " " * len(match[0]), text)


class _CharacterTable(dict[int, str]):
    """What a normalizer makes of each single character, worked out when it first comes up.

    work_out: the normalizer, for any text
    """

    _ascii = re.compile(r"([\x00-\x7f]+)")

    def __init__(self, work_out: Callable[[str], str]) -> None:
        super().__init__()
        self._work_out = work_out
        self._movable: set[str] = set()

    def __missing__(self, code: int) -> str:
        result = self._work_out(chr(code))
        if any(map(unicodedata.combining, result)):
            self._movable.add(chr(code))
        self[code] = result
        return result

    def translate(self, text: str) -> str | None:
        """The normalized text; None where characters do not come singly, and it takes it all."""
        # Python translates pure ASCII many times faster than anything else.
        parts = [text] if text.isascii() else self._ascii.split(text)
        result = "".join([part.translate(self) for part in parts])
        return result if not self._movable or self._movable.isdisjoint(text) else None


@dataclass
class ByteLevel(Normalizer):
    """Every byte of the UTF-8 text written as one of GPT-2's 256 printable characters."""

    def normalize(self, text: str) -> str:
        return byte_alphabet.text_to_symbols(text)

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        return spell_bytes(text)


def spell_bytes(text: AlignedText) -> AlignedText:
    """Every byte of the UTF-8 text as one of GPT-2's printable characters, with its origin."""
    symbols = byte_alphabet.text_to_symbols(text.text)
    if len(symbols) == len(text):
        return text.with_text(symbols)
    widths = [
        1 if c < "\x80" else 2 if c < "\u0800" else 3 if c < "\U00010000" else 4 for c in text.text
    ]
    return text.gather(symbols, [i for i, width in enumerate(widths) for _ in range(width)])


@dataclass
class Precompiled(Normalizer):
    """sentencepiece's normalization rules, from the compiled table in its model files.

    precompiled_charsmap: the table in base64
    longest_match: read it as the sentencepiece library does, see `CharacterMap`; tokenizers passes
        over this field
    """

    precompiled_charsmap: str
    longest_match: bool = False

    def __post_init__(self) -> None:
        self.characters = CharacterMap(self.precompiled_charsmap, self.longest_match)

    def to_json(self) -> dict[str, Any]:
        data = super().to_json()
        if not self.longest_match:
            del data["longest_match"]
        return data

    def normalize(self, text: str) -> str:
        return self.characters.normalize(text)

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        changes = self.characters.changes(text.text)
        return text if changes is None else text.transform(changes)


@dataclass
class Sequence(Normalizer):
    """Several normalizers, one after the other."""

    normalizers: list[Normalizer]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sequence:
        return cls(read_pieces(data, "normalizers", NORMALIZERS, cls.section))

    def to_json(self) -> dict[str, Any]:
        return {"type": "Sequence", "normalizers": [item.to_json() for item in self.normalizers]}

    def normalize(self, text: str) -> str:
        for normalizer in self.normalizers:
            text = normalizer.normalize(text)
        return text

    def normalize_aligned(self, text: AlignedText) -> AlignedText:
        for normalizer in self.normalizers:
            text = normalizer.normalize_aligned(text)
        return text


NORMALIZERS: dict[str, type[Normalizer]] = {
    kind.__name__: kind
    for kind in (
        BertNormalizer,
        ByteLevel,
        Lowercase,
        NFC,
        NFD,
        NFKC,
        NFKD,
        Nmt,
        Precompiled,
        Prepend,
        Replace,
        Sequence,
        Strip,
        StripAccents,
    )
}


def normalizer_from_json(data: Any) -> Normalizer | None:
    """The normalizer that tokenizer.json describes, or None for null."""
    return read_piece(data, NORMALIZERS, Normalizer.section)
