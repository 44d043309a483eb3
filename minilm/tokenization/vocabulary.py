"""Reading the "model" section of a tokenizer.json with errors that say what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minilm.errors import InvalidInput, WrongType


def field(data: Mapping[str, Any], name: str, kinds: type | tuple[type, ...], default: Any) -> Any:
    """Return one field of a model section, checked.

    data: the section
    name: the field
    kinds: the type or types it may have
    default: what a missing field means; Ellipsis = the field must be there

    Raises WrongType when the section is no object or the field has another type, and InvalidInput
    when a field that must be there is missing.
    """
    if not isinstance(data, Mapping):
        raise WrongType(
            f"The model section is {_described(data)}, and an object was expected. "
            "Take the 'model' entry of a tokenizer.json."
        )
    if name not in data:
        if default is ...:
            raise InvalidInput(
                f"The model section has no '{name}'. It has: {', '.join(map(str, data)) or 'nothing'}. "
                "The file is incomplete: fetch or save it again."
            )
        return default
    value = data[name]
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    # True is an int to Python, and 1 is a fine float in JSON.
    fits = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if not fits:
        expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise WrongType(
            f"The field '{name}' of the model section is {_described(value)}, "
            f"and {expected} was expected."
        )
    return value


def checked_vocab(vocab: Any) -> dict[str, int]:
    """Return a vocabulary as a dict of its own, or raise an error that names the bad entry.

    vocab: token → id; ids may leave gaps, and no two tokens may share one
    """
    if not isinstance(vocab, Mapping):
        raise WrongType(f"The vocabulary is {_described(vocab)}, and token → id was expected.")
    # First at one glance, since vocabularies have hundreds of thousands of tokens.
    numbers = vocab.values()
    right_types = set(map(type, vocab)) <= {str} and set(map(type, numbers)) <= {int}
    if right_types and min(numbers, default=0) >= 0 and len(set(numbers)) == len(vocab):
        return dict(vocab)
    token_of: dict[int, str] = {}
    for token, number in vocab.items():
        if not isinstance(token, str):
            raise WrongType(f"The token {token!r} of the vocabulary is not a string.")
        if not isinstance(number, int) or isinstance(number, bool):
            raise WrongType(f"The id of token {token!r} is {_described(number)}, not an integer.")
        if number < 0:
            raise InvalidInput(f"The id of token {token!r} is {number}. Ids count from 0.")
        if number in token_of:
            raise InvalidInput(
                f"The tokens {token_of[number]!r} and {token!r} both have the id {number}. "
                "Give each its own."
            )
        token_of[number] = token
    return dict(vocab)


def _described(value: Any) -> str:
    text = repr(value)
    if len(text) > 60:
        text = text[:57] + "..."
    return f"{text} ({type(value).__name__})"
