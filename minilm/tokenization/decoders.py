"""How tokens become text again: one class per `type` of tokenizer.json's decoders.

Each turns a list of strings into another; the last list, joined, is the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

from minilm.tokenization import byte_alphabet, byte_fallback
from minilm.tokenization.normalizers import compile_spans, replace_spans
from minilm.tokenization.pieces import Piece, read_piece, read_pieces
from minilm.tokenization.pre_tokenizers import Metaspace as MetaspacePreTokenizer
from minilm.tokenization.pre_tokenizers import one_character


@dataclass
class Decoder(Piece):
    """A step from tokens towards text."""

    section: ClassVar[str] = "decoder"

    def decode(self, tokens: list[str]) -> list[str]:
        """The strings that the tokens become."""
        raise NotImplementedError


@dataclass
class ByteLevel(Decoder):
    """Printable stand-ins back to bytes, and the bytes of all tokens together to text."""

    add_prefix_space: bool = True
    trim_offsets: bool = True
    use_regex: bool = True

    def decode(self, tokens: list[str]) -> list[str]:
        return [byte_alphabet.tokens_to_text(tokens)]


# English written without the spaces that cutting it up has put in, in the order of the reference.
CLEANUP = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def clean_up(text: str) -> str:
    """Take out the spaces that stand before punctuation and contractions in cut-up English."""
    for old, new in CLEANUP:
        text = text.replace(old, new)
    return text


@dataclass
class WordPiece(Decoder):
    """A space before each token, but none before one that continues a word."""

    prefix: str
    cleanup: bool

    def decode(self, tokens: list[str]) -> list[str]:
        result = []
        for position, token in enumerate(tokens):
            if position:
                token = (
                    token.removeprefix(self.prefix)
                    if token.startswith(self.prefix)
                    else f" {token}"
                )
            result.append(clean_up(token) if self.cleanup else token)
        return result


@dataclass
class Metaspace(Decoder):
    """Visible spaces back to spaces; those of the first token were put there and go."""

    replacement: str
    prepend_scheme: str = "always"
    split_words: bool = True

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Metaspace:
        same = MetaspacePreTokenizer.from_json(data)  # both are written alike
        return cls(same.replacement, same.prepend_scheme, same.split_words)

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "Metaspace",
            "replacement": self.replacement,
            "prepend_scheme": self.prepend_scheme,
            "split": self.split_words,
        }

    def decode(self, tokens: list[str]) -> list[str]:
        result = [token.replace(self.replacement, " ") for token in tokens]
        if tokens and self.prepend_scheme != "never":
            result[0] = tokens[0].replace(self.replacement, "")
        return result


@dataclass
class BPEDecoder(Decoder):
    """A mark at the end of words back to a space, but not at the end of the text."""

    suffix: str

    def decode(self, tokens: list[str]) -> list[str]:
        result = [token.replace(self.suffix, " ") for token in tokens]
        if tokens:
            result[-1] = tokens[-1].replace(self.suffix, "")
        return result


@dataclass
class CTC(Decoder):
    """Speech models' output: repeats become one, padding goes, a mark stands for the space."""

    pad_token: str
    word_delimiter_token: str
    cleanup: bool

    def decode(self, tokens: list[str]) -> list[str]:
        result = []
        for token, _ in groupby(tokens):
            text = token.replace(self.pad_token, "")
            if self.cleanup:
                text = clean_up(text).replace(self.word_delimiter_token, " ")
            if text:
                result.append(text)
        return result


@dataclass
class Replace(Decoder):
    """Every match of a string or regular expression replaced, token by token.

    pattern: {"String": …} or {"Regex": …}
    """

    pattern: Any
    content: str

    def __post_init__(self) -> None:
        self._spans = compile_spans(self.pattern, type(self))
        self._plain = self.pattern.get("String")

    @classmethod
    def _checked(cls, name: str, wanted: str, value: Any) -> Any:
        return value if name == "pattern" else super()._checked(name, wanted, value)

    def decode(self, tokens: list[str]) -> list[str]:
        if self._plain:
            return [token.replace(self._plain, self.content) for token in tokens]
        return [replace_spans(token, self._spans(token), self.content) for token in tokens]


@dataclass
class Fuse(Decoder):
    """All tokens joined to one."""

    def decode(self, tokens: list[str]) -> list[str]:
        return ["".join(tokens)]


@dataclass
class Strip(Decoder):
    """A character taken from the ends of every token, at most so many times.

    content: the character
    start, stop: how many to take at the beginning, at the end
    """

    content: str
    start: int
    stop: int

    @classmethod
    def _checked(cls, name: str, wanted: str, value: Any) -> Any:
        value = super()._checked(name, wanted, value)
        return one_character(cls, name, value) if name == "content" else value

    def decode(self, tokens: list[str]) -> list[str]:
        return [self._strip(token) for token in tokens]

    def _strip(self, token: str) -> str:
        first = min(len(token) - len(token.lstrip(self.content)), self.start)
        token = token[first:]
        last = min(len(token) - len(token.rstrip(self.content)), self.stop)
        return token[: len(token) - last]


@dataclass
class ByteFallback(Decoder):
    """Pieces like <0xC3> back to bytes, and runs of them to text."""

    def decode(self, tokens: list[str]) -> list[str]:
        return byte_fallback.join_byte_pieces(tokens)


@dataclass
class Sequence(Decoder):
    """Several decoders, one after the other."""

    decoders: list[Decoder]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sequence:
        return cls(read_pieces(data, "decoders", DECODERS, cls.section))

    def to_json(self) -> dict[str, Any]:
        return {"type": "Sequence", "decoders": [item.to_json() for item in self.decoders]}

    def decode(self, tokens: list[str]) -> list[str]:
        for decoder in self.decoders:
            tokens = decoder.decode(tokens)
        return tokens


DECODERS: dict[str, type[Decoder]] = {
    kind.__name__: kind
    for kind in (
        BPEDecoder,
        ByteFallback,
        ByteLevel,
        CTC,
        Fuse,
        Metaspace,
        Replace,
        Sequence,
        Strip,
        WordPiece,
    )
}


def decoder_from_json(data: Any) -> Decoder | None:
    """The decoder that tokenizer.json describes, or None for null."""
    return read_piece(data, DECODERS, Decoder.section)
