"""What is put around the tokens of a text: one class per `type` of tokenizer.json's section."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from minilm.tokenization.byte_alphabet import STAND_INS
from minilm.tokenization.encoding import Encoding
from minilm.tokenization.pieces import Piece, read_piece, read_pieces
from minilm.tokenization.unicode_tables import WHITE_SPACE, character_class

Template = list[tuple[str, int]]


def fill_template(
    template: Template, sequences: Mapping[str, list[int]], special_ids: Mapping[str, list[int]]
) -> tuple[list[int], list[int]]:
    """Put the ids of one or two texts, and those of special tokens, where a template says.

    template: (name, token type) in order, such as [("[CLS]", 0), ("A", 0), ("[SEP]", 0)]
    sequences: the ids of the texts, "A" and maybe "B"
    special_ids: special token → its ids; a name that stands in both is a text

    Returns the ids and, for each, its token type.
    Equals tokenizers' `TemplateProcessing`.

    >>> fill_template([("[CLS]", 0), ("A", 0), ("B", 1)], {"A": [5, 6], "B": [7]}, {"[CLS]": [1]})
    ([1, 5, 6, 7], [0, 0, 0, 1])
    """
    ids: list[int] = []
    type_ids: list[int] = []
    for name, type_id in template:
        piece = sequences[name] if name in sequences else special_ids[name]
        ids += piece
        type_ids += [type_id] * len(piece)
    return ids, type_ids


@dataclass
class PostProcessor(Piece):
    """A step that puts special tokens around texts, or trims offsets."""

    section: ClassVar[str] = "post_processor"

    def template(self, pair: bool) -> Template | None:
        """What the finished sequence looks like; None where nothing is put around it."""
        return None

    def special_ids(self) -> dict[str, list[int]]:
        """The ids of the special tokens that the template names."""
        return {}

    def special_tokens(self, name: str) -> list[str]:
        """The tokens, as written, that stand for one name of the template."""
        return [name]

    def added(self, pair: bool) -> int:
        """How many special tokens are put around one text, or around a pair."""
        special = self.special_ids()
        return sum(len(special.get(name, [])) for name, _ in self.template(pair) or [])

    def process(self, encodings: list[Encoding], add_special_tokens: bool) -> list[Encoding]:
        """The encodings in the order in which they are joined, special tokens between them."""
        template = self.template(len(encodings) == 2)
        if template is None:
            return encodings
        names = {"A": 0, "B": 1}
        special = self.special_ids()
        result = []
        for name, type_id in template:
            if name in names and names[name] < len(encodings):
                # One object, and its state at the end: a text that stands twice in a template
                # is copied each time.
                encoding = encodings[names[name]]
                encoding.type_ids = [type_id] * len(encoding)
                encoding.set_sequence(names[name])
                result.append(encoding.copy())
            elif add_special_tokens:
                result.append(_special(special[name], self.special_tokens(name), type_id))
        return result


def _special(ids: list[int], tokens: list[str], type_id: int) -> Encoding:
    count = len(ids)
    return Encoding(
        ids=list(ids),
        tokens=list(tokens),
        offsets=[(0, 0)] * count,
        word_ids=[None] * count,
        type_ids=[type_id] * count,
        special_tokens_mask=[1] * count,
        attention_mask=[1] * count,
    )


# White space, and what stands for the space in byte-level tokens.
_BLANK = STAND_INS[ord(" ")] + "".join(
    re.findall(f"[{character_class(WHITE_SPACE)}]", "".join(map(chr, range(0x3001))))
)


def trim_offsets(encoding: Encoding, add_prefix_space: bool) -> None:
    """Take the spaces at both ends of each token out of its offsets, here and in the overflow.

    add_prefix_space: a single space at the very beginning was not in the text: leave it alone
    """
    for position, token in enumerate(encoding.tokens):
        leading = len(token) - len(token.lstrip(_BLANK))
        trailing = len(token) - len(token.rstrip(_BLANK))
        if not leading and not trailing:
            continue
        start, end = encoding.offsets[position]
        if leading:
            is_first = position == 0 or start == 0
            if is_first and add_prefix_space and leading == 1:
                leading = 0
            start = min(start + leading, end)
        if trailing and end >= trailing:
            end = max(end - trailing, start)
        encoding.offsets[position] = (start, end)
    for other in encoding.overflowing:
        trim_offsets(other, add_prefix_space)


@dataclass
class ByteLevel(PostProcessor):
    """Trims the offsets of byte-level tokens; adds nothing."""

    add_prefix_space: bool
    trim_offsets: bool
    use_regex: bool = True

    def process(self, encodings: list[Encoding], add_special_tokens: bool) -> list[Encoding]:
        if self.trim_offsets:
            for encoding in encodings:
                trim_offsets(encoding, self.add_prefix_space)
        for number, encoding in enumerate(encodings):
            encoding.set_sequence(number)
        return encodings


@dataclass
class _ClsSep(PostProcessor):
    """What BERT's and RoBERTa's have in common.

    sep, cls: (token, id)
    """

    sep: Any
    cls: Any

    @classmethod
    def _checked(cls, name: str, wanted: str, value: Any) -> Any:
        if name not in ("sep", "cls"):
            return super()._checked(name, wanted, value)
        match value:
            case [str(), int() as number] if not isinstance(number, bool) and number >= 0:
                return value
        raise cls._wrong(f"has {name} = {value!r}, and [token, id] was expected")

    def special_ids(self) -> dict[str, list[int]]:
        return {"cls": [self.cls[1]], "sep": [self.sep[1]]}

    def special_tokens(self, name: str) -> list[str]:
        return [self.cls[0] if name == "cls" else self.sep[0]]


@dataclass
class BertProcessing(_ClsSep):
    """[CLS] A [SEP], and B [SEP] behind it."""

    def template(self, pair: bool) -> Template:
        single = [("cls", 0), ("A", 0), ("sep", 0)]
        return [*single, ("B", 1), ("sep", 1)] if pair else single


@dataclass
class RobertaProcessing(_ClsSep):
    """<s> A </s>, and </s> B </s> behind it; every token is of type 0."""

    trim_offsets: bool
    add_prefix_space: bool

    def template(self, pair: bool) -> Template:
        single = [("cls", 0), ("A", 0), ("sep", 0)]
        return [*single, ("sep", 0), ("B", 0), ("sep", 0)] if pair else single

    def process(self, encodings: list[Encoding], add_special_tokens: bool) -> list[Encoding]:
        if self.trim_offsets:
            for encoding in encodings:
                trim_offsets(encoding, self.add_prefix_space)
        for encoding in encodings:
            for other in encoding.overflowing:
                other.type_ids = [0] * len(other)
        return super().process(encodings, add_special_tokens)


@dataclass
class TemplateProcessing(PostProcessor):
    """Special tokens and texts in the order of a template.

    single, pair: lists of {"SpecialToken": {"id", "type_id"}} and {"Sequence": {"id", "type_id"}}
    special_tokens: name → {"id", "ids", "tokens"}
    """

    single: Any
    pair: Any
    special_tokens_by_name: Any

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TemplateProcessing:
        for name in ("single", "pair", "special_tokens"):
            if name not in data:
                raise cls._wrong(f"lacks the field {name!r}")
        special = data["special_tokens"]
        if not isinstance(special, dict) or not all(map(_is_special_token, special.values())):
            raise cls._wrong(
                f"has special_tokens = {special!r}, and an object of objects with as many 'ids' "
                "as 'tokens' was expected"
            )
        for name in ("single", "pair"):
            pieces = data[name]
            if not isinstance(pieces, list) or not all(map(_is_template_piece, pieces)):
                raise cls._wrong(
                    f"has {name} = {pieces!r}, and a list of 'SpecialToken' and 'Sequence' "
                    "objects was expected"
                )
            for piece in pieces:
                token = piece.get("SpecialToken", {}).get("id")
                if token is not None and token not in special:
                    raise cls._wrong(
                        f"names the special token {token!r}, which special_tokens does not have"
                    )
        if any(_piece_name(piece) == "B" for piece in data["single"]):
            raise cls._wrong("uses the second text in the template for a single one")
        return cls(data["single"], data["pair"], special)

    def __post_init__(self) -> None:
        self._templates = {
            pair: [(_piece_name(piece), next(iter(piece.values()))["type_id"]) for piece in pieces]
            for pair, pieces in ((False, self.single), (True, self.pair))
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "TemplateProcessing",
            "single": self.single,
            "pair": self.pair,
            "special_tokens": self.special_tokens_by_name,
        }

    def template(self, pair: bool) -> Template:
        return self._templates[pair]

    def special_ids(self) -> dict[str, list[int]]:
        return {
            _special_name(name): token["ids"] for name, token in self.special_tokens_by_name.items()
        }

    def special_tokens(self, name: str) -> list[str]:
        tokens = self.special_tokens_by_name
        return next(t["tokens"] for key, t in tokens.items() if _special_name(key) == name)


def _special_name(name: str) -> str:
    """A special token that is called "A" or "B" must not be taken for a text."""
    return f"special token {name}" if name in ("A", "B") else name


def _piece_name(piece: dict[str, Any]) -> str:
    if "Sequence" in piece:
        return piece["Sequence"]["id"]
    return _special_name(piece["SpecialToken"]["id"])


def _is_template_piece(piece: Any) -> bool:
    match piece:
        case {"Sequence": {"id": "A" | "B", "type_id": int()}}:
            return len(piece) == 1
        case {"SpecialToken": {"id": str(), "type_id": int()}}:
            return len(piece) == 1
    return False


def _is_special_token(token: Any) -> bool:
    match token:
        case {"ids": [*ids], "tokens": [*tokens]}:
            return (
                len(ids) == len(tokens)
                and all(type(number) is int and number >= 0 for number in ids)
                and all(isinstance(text, str) for text in tokens)
            )
    return False


@dataclass
class Sequence(PostProcessor):
    """Several post-processors, one after the other."""

    processors: list[PostProcessor]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sequence:
        return cls(read_pieces(data, "processors", POST_PROCESSORS, cls.section))

    def to_json(self) -> dict[str, Any]:
        return {"type": "Sequence", "processors": [item.to_json() for item in self.processors]}

    def added(self, pair: bool) -> int:
        return sum(item.added(pair) for item in self.processors)

    def process(self, encodings: list[Encoding], add_special_tokens: bool) -> list[Encoding]:
        for item in self.processors:
            encodings = item.process(encodings, add_special_tokens)
        return encodings

    def template_steps(self) -> list[PostProcessor]:
        """The steps, in order, that put something around the texts."""
        return [step for item in self.processors for step in template_steps(item)]


def template_steps(post_processor: PostProcessor | None) -> list[PostProcessor]:
    """The steps of a post-processor that put something around the texts."""
    if isinstance(post_processor, Sequence):
        return post_processor.template_steps()
    if post_processor is None or post_processor.template(False) is None:
        return []
    return [post_processor]


POST_PROCESSORS: dict[str, type[PostProcessor]] = {
    kind.__name__: kind
    for kind in (BertProcessing, ByteLevel, RobertaProcessing, Sequence, TemplateProcessing)
}


def post_processor_from_json(data: Any) -> PostProcessor | None:
    """The post-processor that tokenizer.json describes, or None for null."""
    return read_piece(data, POST_PROCESSORS, PostProcessor.section)
