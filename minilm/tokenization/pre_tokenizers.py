"""How a text is cut into words: one class per `type` of tokenizer.json's pre-tokenizers.

Each has two ways: `split` on a plain string, fast, and `split_aligned` on a text that remembers
its origins. Both give the same words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, ClassVar

import regex

from minilm.errors import InvalidInput
from minilm.tokenization import byte_alphabet, words
from minilm.tokenization.aligned_text import AlignedText
from minilm.tokenization.normalizers import compile_spans, spell_bytes
from minilm.tokenization.onig_patterns import compile_pattern
from minilm.tokenization.pieces import Piece, read_piece, read_pieces
from minilm.tokenization.unicode_tables import (
    NEWER_NUMBERS,
    PUNCTUATION,
    SCRIPTLESS,
    WHITE_SPACE,
    as_oniguruma_sees,
    character_class,
)

Spans = list[tuple[int, int]]
BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")

_SPACE = character_class(WHITE_SPACE)
_PUNCTUATION = character_class(PUNCTUATION)


def cut_at(length: int, matches: Spans, behavior: str, invert: bool = False) -> Spans:
    """Where to cut a text at some matches, as tokenizers' `SplitDelimiterBehavior`.

    length: of the text, in characters
    matches: (start, end) of the delimiters, in order
    behavior: "Removed", "Isolated" (a piece each), "MergedWithPrevious", "MergedWithNext", or
        "Contiguous" (one piece for delimiters that touch)
    invert: what lies between the matches are the delimiters

    Returns the (start, end) of the pieces, in order; some may be empty.
    """
    stretches: list[tuple[int, int, bool]] = []
    end = 0
    for start, stop in matches:
        if start > end:
            stretches.append((end, start, invert))
        stretches.append((start, stop, not invert))
        end = stop
    if end < length:
        stretches.append((end, length, invert))
    if behavior == "Removed":
        return [(start, stop) for start, stop, delimiter in stretches if not delimiter]
    if behavior == "Isolated":
        return [(start, stop) for start, stop, _ in stretches]
    backwards = behavior == "MergedWithNext"
    pieces: Spans = []
    before = False  # was the stretch before this one a delimiter?
    for start, stop, delimiter in reversed(stretches) if backwards else stretches:
        merges = delimiter == before if behavior == "Contiguous" else delimiter and not before
        if merges and pieces:
            # the last piece grows over this stretch
            pieces[-1] = (start, pieces[-1][1]) if backwards else (pieces[-1][0], stop)
        else:
            pieces.append((start, stop))
        before = delimiter
    return pieces[::-1] if backwards else pieces


@dataclass
class PreTokenizer(Piece):
    """A step that cuts the text into words, and may respell it before and after.

    There are the same three moves on a plain string and on a text that knows its origins:
    prepare the text, cut it, spell each word.
    """

    section: ClassVar[str] = "pre_tokenizer"

    def prepare(self, text: AlignedText) -> AlignedText:
        """The text as it is cut."""
        return text

    def spans(self, text: str) -> Spans:
        """Where a prepared text is cut; spans may be empty."""
        raise NotImplementedError

    def spell(self, word: AlignedText) -> AlignedText:
        """A word as the next step sees it."""
        return word

    def words(self, text: str) -> list[str]:
        """The words of a text before they are spelled, none empty."""
        return [text[start:end] for start, end in self.spans(text) if start < end]

    def spelled(self, word: str) -> str:
        """A word as the next step sees it; depends on the word alone."""
        return word

    def split(self, text: str) -> list[str]:
        """The words of a text, none empty."""
        return self.words(text)

    def split_aligned(self, text: AlignedText) -> list[AlignedText]:
        """The words of a text, none empty; they still know where their characters came from."""
        text = self.prepare(text)
        return [
            self.spell(text.slice(*span)) for span in self.spans(text.text) if span[0] < span[1]
        ]

    def needs_position(self) -> bool:
        """Whether what happens depends on where in the original a text stands."""
        return False


def _all_matches(pattern: re.Pattern[str], text: str) -> Spans:
    return [match.span() for match in pattern.finditer(text)]


@dataclass
class _Found(PreTokenizer):
    """A step whose words are all the matches of one pattern."""

    def pattern_of_words(self) -> re.Pattern[str]:
        """What a word looks like; without groups."""
        raise NotImplementedError

    def words(self, text: str) -> list[str]:
        return self.pattern_of_words().findall(text)

    def spans(self, text: str) -> Spans:
        return _all_matches(self.pattern_of_words(), text)


@lru_cache(maxsize=64)
def pattern_of_pieces(delimiter: str, other: str, behavior: str) -> re.Pattern[str] | None:
    """A pattern for the pieces of a text that is cut at single characters.

    delimiter, other: character classes, for the delimiters and for all the rest
    behavior: see `cut_at`

    Returns None for MergedWithPrevious, which takes more than a pattern.
    """
    forms = {
        "Removed": f"{other}+",
        "Isolated": f"{delimiter}|{other}+",
        "Contiguous": f"{delimiter}+|{other}+",
        "MergedWithNext": f"{delimiter}{other}*|{other}+",
    }
    return re.compile(forms[behavior]) if behavior in forms else None


@dataclass
class ByteLevel(PreTokenizer):
    """GPT-2's: cut by its pattern, then every byte written as a printable character.

    add_prefix_space: put a space before a text that does not begin with one
    trim_offsets: belongs to the post-processor of the same name
    use_regex: False leaves out the cutting
    """

    add_prefix_space: bool
    trim_offsets: bool
    use_regex: bool = True

    def _prepends(self, text: str) -> bool:
        return self.add_prefix_space and text != "" and not text.startswith(" ")

    def prepare(self, text: AlignedText) -> AlignedText:
        if self._prepends(text.text):
            return text.gather(" " + text.text, [0, *range(len(text))])
        return text

    def spans(self, text: str) -> Spans:
        if not self.use_regex:
            return [(0, len(text))]
        ends = list(accumulate(map(len, words.split_words_exactly(text))))
        return list(zip([0, *ends[:-1]], ends, strict=True)) if ends else []

    def spell(self, word: AlignedText) -> AlignedText:
        return spell_bytes(word)

    def words(self, text: str) -> list[str]:
        if self._prepends(text):
            text = " " + text
        return words.split_words_exactly(text) if self.use_regex else [text]

    def spelled(self, word: str) -> str:
        return byte_alphabet.text_to_symbols(word)

    def split(self, text: str) -> list[str]:
        return [self.spelled(word) for word in self.words(text)]


@dataclass
class Split(PreTokenizer):
    """Cut at the matches of a string or regular expression.

    pattern: {"String": …} or {"Regex": …}
    behavior: what becomes of the matches, see `cut_at`
    invert: what lies between the matches are the delimiters
    """

    pattern: Any
    behavior: str
    invert: bool

    def __post_init__(self) -> None:
        self._matches = compile_spans(self.pattern, type(self))
        expression = self.pattern.get("Regex")
        self._compiled = None if expression is None else compile_pattern(expression)

    @classmethod
    def _checked(cls, name: str, wanted: str, value: Any) -> Any:
        if name == "pattern":
            return value
        return checked_behavior(cls, name, super()._checked(name, wanted, value))

    def spans(self, text: str) -> Spans:
        return cut_at(len(text), self._matches(text), self.behavior, self.invert)

    def words(self, text: str) -> list[str]:
        # Where the pattern finds every word, `findall` does at once what spans do one by one.
        if (
            self._compiled is not None
            and not self._compiled.groups
            and as_oniguruma_sees(text) is text
        ):
            found = self._compiled.findall(text)
            if "" not in found:
                if self.behavior == "Removed" and self.invert:
                    return found
                if not found:
                    return [text] if text else []
                whole = sum(map(len, found)) == len(text)
                if whole and self.behavior == "Isolated":
                    return found
        return super().words(text)


def checked_behavior(cls: type[Piece], name: str, value: Any) -> Any:
    """The value of a field, after a look whether a behavior is one of the five."""
    if name == "behavior" and value not in BEHAVIORS:
        raise InvalidInput(
            f"In tokenizer.json, the pre_tokenizer of type {cls.__name__!r} has the behavior "
            f"{value!r}; known are: {', '.join(BEHAVIORS)}."
        )
    return value


@dataclass
class Whitespace(_Found):
    r"""Words of letters, digits and underscores, and runs of other signs: \w+|[^\w\s]+."""

    _pattern: ClassVar[regex.Pattern[str]] = regex.compile(
        r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]+"
        r"|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d\s]+",
        regex.VERSION1,
    )

    def pattern_of_words(self) -> re.Pattern[str]:
        return self._pattern  # type: ignore[return-value]

    def words(self, text: str) -> list[str]:
        # Rust's regular expressions know the same Unicode as Oniguruma.
        if as_oniguruma_sees(text) is text:
            return super().words(text)
        return [text[start:end] for start, end in self.spans(text)]

    def spans(self, text: str) -> Spans:
        return super().spans(as_oniguruma_sees(text))


@dataclass
class WhitespaceSplit(_Found):
    """Cut at white space, which is dropped."""

    _pattern: ClassVar[re.Pattern[str]] = re.compile(f"[^{_SPACE}]+")
    # What str.split() takes for white space and Rust does not.
    _python_only: ClassVar[re.Pattern[str]] = re.compile("[\x1c-\x1f]")

    def pattern_of_words(self) -> re.Pattern[str]:
        return self._pattern

    def words(self, text: str) -> list[str]:
        return super().words(text) if self._python_only.search(text) else text.split()


@dataclass
class Punctuation(PreTokenizer):
    """Cut at every punctuation character."""

    behavior: str = "Isolated"

    _pattern: ClassVar[re.Pattern[str]] = re.compile(f"[{_PUNCTUATION}]")

    @classmethod
    def _checked(cls, name: str, wanted: str, value: Any) -> Any:
        return checked_behavior(cls, name, super()._checked(name, wanted, value))

    def words(self, text: str) -> list[str]:
        pattern = pattern_of_pieces(f"[{_PUNCTUATION}]", f"[^{_PUNCTUATION}]", self.behavior)
        return super().words(text) if pattern is None else pattern.findall(text)

    def spans(self, text: str) -> Spans:
        return cut_at(len(text), _all_matches(self._pattern, text), self.behavior)


@dataclass
class BertPreTokenizer(_Found):
    """Cut at white space, which is dropped, and around every punctuation character."""

    _pattern: ClassVar[re.Pattern[str]] = re.compile(f"[^{_SPACE}{_PUNCTUATION}]+|[{_PUNCTUATION}]")

    def pattern_of_words(self) -> re.Pattern[str]:
        return self._pattern


@dataclass
class Digits(_Found):
    """Cut at numbers: each digit a piece, or each run of them."""

    individual_digits: bool

    _number: ClassVar[str] = rf"[\p{{N}}--[{character_class(NEWER_NUMBERS)}]]"
    _other: ClassVar[str] = rf"[\P{{N}}{character_class(NEWER_NUMBERS)}]"
    _each: ClassVar[regex.Pattern[str]] = regex.compile(f"{_number}|{_other}+", regex.VERSION1)
    _runs: ClassVar[regex.Pattern[str]] = regex.compile(f"{_number}+|{_other}+", regex.VERSION1)

    def pattern_of_words(self) -> re.Pattern[str]:
        return self._each if self.individual_digits else self._runs  # type: ignore[return-value]


@dataclass
class CharDelimiterSplit(PreTokenizer):
    """Cut at one character, which is dropped."""

    delimiter: str

    @classmethod
    def _checked(cls, name: str, wanted: str, value: Any) -> Any:
        return one_character(cls, name, super()._checked(name, wanted, value))

    def words(self, text: str) -> list[str]:
        return [part for part in text.split(self.delimiter) if part]

    def spans(self, text: str) -> Spans:
        pattern = re.compile(re.escape(self.delimiter))
        return cut_at(len(text), _all_matches(pattern, text), "Removed")


def one_character(cls: type[Piece], name: str, value: Any) -> Any:
    """The value of a field, after a look whether a string is one character."""
    if isinstance(value, str) and len(value) != 1:
        raise cls._wrong(f"has {name} = {value!r}, and one character was expected")
    return value


@dataclass
class Metaspace(PreTokenizer):
    """sentencepiece's: spaces become visible, and each word begins with its own.

    replacement: the visible space
    prepend_scheme: where to put one before the text: "always", "never", or "first" (only before
        a piece that stands at the very beginning of the original)
    split: False leaves out the cutting
    """

    replacement: str
    prepend_scheme: str = "always"
    split_words: bool = True

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Metaspace:
        old_scheme = "always"
        if "add_prefix_space" in data:  # as files of older tokenizers say it
            prefix = cls._checked("add_prefix_space", "bool", data["add_prefix_space"])
            old_scheme = "always" if prefix else "never"
            scheme = data.get("prepend_scheme", old_scheme)
            if not prefix and scheme != "never":
                raise cls._wrong(
                    f"has add_prefix_space = False and prepend_scheme = {scheme!r}, "
                    "which contradict each other"
                )
        if "replacement" not in data:
            raise cls._wrong("lacks the field 'replacement'")
        replacement = cls._checked("replacement", "str", data["replacement"])
        scheme = cls._checked("prepend_scheme", "str", data.get("prepend_scheme", old_scheme))
        if scheme not in ("always", "never", "first"):
            raise cls._wrong(f"has prepend_scheme = {scheme!r}; known are always, never, first")
        split = cls._checked("split", "bool", data.get("split", True))
        return cls(one_character(cls, "replacement", replacement), scheme, split)

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "Metaspace",
            "replacement": self.replacement,
            "prepend_scheme": self.prepend_scheme,
            "split": self.split_words,
        }

    def needs_position(self) -> bool:
        return self.prepend_scheme == "first"

    def _prepends(self, text: str, at_beginning: bool) -> bool:
        wanted = self.prepend_scheme == "always" or (
            self.prepend_scheme == "first" and at_beginning
        )
        return wanted and text != "" and not text.startswith(self.replacement)

    def prepare(self, text: AlignedText) -> AlignedText:
        text = text.with_text(text.text.replace(" ", self.replacement))
        if self._prepends(text.text, text.origin == 0):
            return text.gather(self.replacement + text.text, [0, *range(len(text))])
        return text

    def spans(self, text: str) -> Spans:
        if not self.split_words:
            return [(0, len(text))]
        return _all_matches(metaspace_words(self.replacement), text)

    def words(self, text: str, at_beginning: bool = True) -> list[str]:
        """The words of a text.

        at_beginning: whether the text stands at the very beginning of the original
        """
        text = text.replace(" ", self.replacement)
        if self._prepends(text, at_beginning):
            text = self.replacement + text
        if not self.split_words:
            return [text] if text else []
        return metaspace_words(self.replacement).findall(text)


@lru_cache(maxsize=8)
def metaspace_words(replacement: str) -> re.Pattern[str]:
    """A pattern for words that begin with a visible space, or at the beginning of the text."""
    space = re.escape(replacement)
    return re.compile(f"{space}[^{space}]*|[^{space}]+")


@dataclass
class UnicodeScripts(PreTokenizer):
    """Cut where the script changes; Japanese counts as one script with Chinese."""

    def spans(self, text: str) -> Spans:
        starts: list[int] = []
        last: str | None = None
        for position, character in enumerate(text):
            script = _script(character)
            if script != "Any":
                if script != last and last != "Any":
                    starts.append(position)
                last = script
        return list(pairwise([*starts, len(text)]))


@dataclass
class FixedLength(PreTokenizer):
    """Cut after every `length` characters."""

    length: int = 5

    @classmethod
    def _checked(cls, name: str, wanted: str, value: Any) -> Any:
        if super()._checked(name, wanted, value) == 0:
            raise cls._wrong("has length = 0, and a number from 1 was expected")
        return value

    def spans(self, text: str) -> Spans:
        return [
            (start, min(start + self.length, len(text)))
            for start in range(0, len(text), self.length)
        ]


@dataclass
class Sequence(PreTokenizer):
    """Several pre-tokenizers, each cutting what the one before made."""

    pretokenizers: list[PreTokenizer]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sequence:
        return cls(read_pieces(data, "pretokenizers", PRE_TOKENIZERS, cls.section))

    def to_json(self) -> dict[str, Any]:
        items = [item.to_json() for item in self.pretokenizers]
        return {"type": "Sequence", "pretokenizers": items}

    def split(self, text: str) -> list[str]:
        parts = [text] if text else []
        for pre_tokenizer in self.pretokenizers:
            parts = [word for part in parts for word in pre_tokenizer.split(part)]
        return parts

    def split_aligned(self, text: AlignedText) -> list[AlignedText]:
        parts = [text] if text.text else []
        for pre_tokenizer in self.pretokenizers:
            parts = [word for part in parts for word in pre_tokenizer.split_aligned(part)]
        return parts

    def needs_position(self) -> bool:
        return any(pre_tokenizer.needs_position() for pre_tokenizer in self.pretokenizers)

    def flat(self) -> list[PreTokenizer]:
        """The pre-tokenizers in order, those of inner sequences included."""
        return [step for item in self.pretokenizers for step in flat_steps(item)]


def flat_steps(pre_tokenizer: PreTokenizer | None) -> list[PreTokenizer]:
    """The single steps of a pre-tokenizer, in order; [] for None."""
    if pre_tokenizer is None:
        return []
    return pre_tokenizer.flat() if isinstance(pre_tokenizer, Sequence) else [pre_tokenizer]


PRE_TOKENIZERS: dict[str, type[PreTokenizer]] = {
    kind.__name__: kind
    for kind in (
        BertPreTokenizer,
        ByteLevel,
        CharDelimiterSplit,
        Digits,
        FixedLength,
        Metaspace,
        Punctuation,
        Sequence,
        Split,
        UnicodeScripts,
        Whitespace,
        WhitespaceSplit,
    )
}


def pre_tokenizer_from_json(data: Any) -> PreTokenizer | None:
    """The pre-tokenizer that tokenizer.json describes, or None for null."""
    return read_piece(data, PRE_TOKENIZERS, PreTokenizer.section)


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    """The script that `UnicodeScripts` counts a character to; "Any" goes with every script."""
    if _scriptless.match(character):
        return "Any"
    if character == "\u30fc":
        return "Han"
    if character in "\u0589\u061c":  # of one script only since a later Unicode
        return "Common"
    found = _scripts().match(character)
    script = found.lastgroup if found and found.lastgroup else "Any"
    return "Han" if script in ("Hiragana", "Katakana") else script


_scriptless = re.compile(f"[{character_class(SCRIPTLESS)}]")


@lru_cache(maxsize=1)
def _scripts() -> regex.Pattern[str]:
    known = []
    for script in _SCRIPTS.split():
        known.append(rf"(?P<{script}>\p{{Script={script}}})")
    return regex.compile("|".join(known), regex.VERSION1)


_SCRIPTS = """
Common Inherited Latin Greek Cyrillic Han Hiragana Katakana Hangul Arabic Hebrew Thai Devanagari
Adlam Ahom Anatolian_Hieroglyphs Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali
Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian
Chakma Cham Cherokee Coptic Cuneiform Cypriot Deseret Duployan Egyptian_Hieroglyphs Elbasan
Ethiopic Georgian Glagolitic Gothic Grantha Gujarati Gurmukhi Hanunoo Hatran
Imperial_Aramaic Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Kayah_Li
Kharoshthi Khmer Khojki Khudawadi Lao Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani
Malayalam Mandaic Manichaean Marchen Meetei_Mayek Mende_Kikakui Meroitic_Cursive
Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean New_Tai_Lue Newa Nko Ogham
Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_South_Arabian
Old_Turkic Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician
Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala
Sora_Sompeng Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil
Tangut Telugu Thaana Tibetan Tifinagh Tirhuta Ugaritic Vai Warang_Citi Yi
"""
