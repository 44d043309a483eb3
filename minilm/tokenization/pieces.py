"""Reading and writing the pieces of a tokenizer.json: one class per `type`, one clear error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, TypeVar

from minilm.errors import InvalidInput

_TYPES: dict[str, tuple[Any, ...]] = {
    "bool": (bool,),
    "bool | None": (bool, type(None)),
    "int": (int,),
    "str": (str,),
    "str | None": (str, type(None)),
}

Self = TypeVar("Self", bound="Piece")


@dataclass
class Piece:
    """A piece of a tokenizer that stands in tokenizer.json as an object with a `type`."""

    section: ClassVar[str] = ""

    @classmethod
    def from_json(cls: type[Self], data: Mapping[str, Any]) -> Self:
        """Make the piece from its JSON object; raises InvalidInput for a missing or wrong field."""
        values = {}
        for field in fields(cls):
            if field.name in data:
                values[field.name] = cls._checked(field.name, str(field.type), data[field.name])
            elif field.default is MISSING:
                raise cls._wrong(f"lacks the field {field.name!r}")
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """The JSON object that `from_json` makes the piece from."""
        return {"type": type(self).__name__} | {
            field.name: getattr(self, field.name) for field in fields(self)
        }

    @classmethod
    def _checked(cls, name: str, wanted: str, value: Any) -> Any:
        types = _TYPES[wanted]
        # A bool is an int to Python, and not to JSON.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise cls._wrong(f"has {name} = {value!r}, and {wanted} was expected")
        if wanted == "int" and value < 0:
            raise cls._wrong(f"has {name} = {value}, and a number from 0 was expected")
        return value

    @classmethod
    def _wrong(cls, what: str) -> InvalidInput:
        return InvalidInput(
            f"In tokenizer.json, the {cls.section} of type {cls.__name__!r} {what}. "
            "Compare the file with its original."
        )


def read_piece(data: Any, kinds: Mapping[str, type[Piece]], section: str) -> Any:
    """Make the piece that a JSON object describes, or None for null.

    data: the object, with its `type`
    kinds: type name → class
    section: the name of the part of tokenizer.json, for messages
    """
    if data is None:
        return None
    if not isinstance(data, Mapping) or not isinstance(data.get("type"), str):
        raise InvalidInput(
            f"In tokenizer.json, the {section} is {_short(data)}; an object with a 'type' "
            "or null was expected. Compare the file with its original."
        )
    if data["type"] not in kinds:
        raise InvalidInput(
            f"In tokenizer.json, the {section} has the unknown type {data['type']!r}. "
            f"Known are: {', '.join(sorted(kinds))}."
        )
    return kinds[data["type"]].from_json(data)


def read_pieces(
    data: Mapping[str, Any], key: str, kinds: Mapping[str, type[Piece]], section: str
) -> list[Any]:
    """The pieces of a Sequence, whose list stands under `key`."""
    items = data.get(key)
    if not isinstance(items, list) or any(item is None for item in items):
        raise InvalidInput(
            f"In tokenizer.json, the {section} of type 'Sequence' has {key} = {_short(items)}; "
            "a list of objects was expected. Compare the file with its original."
        )
    return [read_piece(item, kinds, section) for item in items]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."
