"""What a model returns: by name, as a mapping, or as a tuple of what is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from minilm.errors import UnknownToken


class ModelOutput(Mapping[str, Any]):
    """Give results by name (`output.logits`, `output["logits"]`) or by place (`output[0]`).

    What a model did not compute is None as an attribute, and absent from the mapping and the tuple.
    Behaves as transformers' `ModelOutput`.
    """

    def __getitem__(self, key: str | int | slice) -> Any:  # type: ignore[override]
        if isinstance(key, str):
            names = _names(self)
            value = getattr(self, key) if key in names else None
            if value is not None:
                return value
            if key in names:
                raise UnknownToken(
                    f"{key} was not computed; the output has {', '.join(self)}. Ask the model for it."
                )
            raise UnknownToken(
                f"{type(self).__name__} has no '{key}'; it may have {', '.join(names)}."
            )
        return self.to_tuple()[key]

    def __iter__(self) -> Iterator[str]:
        return (name for name in _names(self) if getattr(self, name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    # Tensors are not equal or unequal as a whole: an output equals itself alone.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def to_tuple(self) -> tuple[Any, ...]:
        """Return what is there, in order, without names."""
        return tuple(getattr(self, name) for name in self)


def _names(output: Any) -> list[str]:
    return [field.name for field in fields(output)]


@dataclass(eq=False)
class BaseModelOutputWithPast(ModelOutput):
    """What a body without a head returns.

    last_hidden_state: (B, T, C), after the final norm
    past_key_values: the cache, with this call's tokens in it
    hidden_states: of the embeddings and of each layer, (B, T, C) each, the last after the final norm
    attentions: weights of each layer, (B, H, T, S) each
    """

    last_hidden_state: Tensor | None = None
    past_key_values: Any = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass(eq=False)
class CausalLMOutputWithPast(ModelOutput):
    """What a language model returns.

    loss: mean of −log p(next token), if labels were given
    logits: (B, T or logits_to_keep, V), scores of every next token
    past_key_values, hidden_states, attentions: as in `BaseModelOutputWithPast`
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
