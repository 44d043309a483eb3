"""What the mask exercises share: places of queries and keys, and answers asked for a device."""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib import import_module
from typing import Any

LESSON = "04_masks"

# A device that holds shapes and no numbers. Every torch has it, so it can stand for a graphics card.
ELSEWHERE = "meta"

INVERTED = (
    "You say which keys are hidden. Everywhere in minilm, and in torch's "
    "scaled_dot_product_attention, True means: may look. (torch's MultiheadAttention has it the "
    "other way round, so code is copied wrongly every day.)"
)
NUMBERS = (
    "Ones and zeros look like True and False, but ~ turns an integer 1 into -2, and torch's "
    "attention adds a float mask to the scores instead of hiding anything. Make it boolean."
)
SCORES = (
    "These are scores to be added, 0 and minus infinity. Masks stay boolean until the very end, so "
    "that they combine with &; mask_to_scores does the rest."
)
HERE = (
    "The device is ignored, so the mask is on the processor while the model is on a graphics card, "
    "and the first `&` or addition stops. (`meta` stands for such a device here: it holds shapes "
    "and no numbers.) Pass `device=device` to what makes the tensor."
)


class _Torch:
    """torch, imported when something of it is first asked for: lesson 01 needs none of it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module("torch"), name)


torch: Any = _Torch()


def masking() -> Any:
    """The module of transformers that everything here is compared with."""
    import transformers.masking_utils as module

    return module


def theirs(rule: Any, query_length: int, key_length: int, batch_size: int = 1) -> Any:
    """transformers' mask (B, 1, T, S) for a rule of its own kind, queries last."""
    return masking().sdpa_mask(
        batch_size=batch_size,
        q_length=query_length,
        kv_length=key_length,
        q_offset=key_length - query_length,
        mask_function=rule,
        allow_is_causal_skip=False,
    )


def places(query_length: int, key_length: int, device: Any = None) -> tuple[Any, Any]:
    """Where the queries (T, 1) and the keys (S,) stand, counted from the first key."""
    query = torch.arange(key_length - query_length, key_length, device=device)[:, None]
    return query, torch.arange(key_length, device=device)


def lengths(draw: random.Random, extra: int = 12) -> list[tuple[int, int]]:
    """Query and key lengths: one token, no cache, one new token, several new ones."""
    small = [(1, 1), (1, 2), (1, 4), (2, 2), (2, 3), (3, 3), (2, 5), (3, 7), (4, 4), (6, 6)]
    drawn = []
    for at in range(extra):
        query_length = draw.randint(1, 7)
        # Mostly without: whoever forgets the cache as well is still told what else is wrong.
        cached = draw.choice([1, 2, 5]) if at % 4 == 3 else 0
        drawn.append((query_length, query_length + cached))
    return small + sorted(drawn, key=lambda pair: pair[0] * pair[1])


def use_with_device(function: Callable[..., Any], **case: Any) -> Any:
    """The mask; or only where it is, for a case that asks for another device."""
    if "device" not in case:
        return function(**case)
    try:
        return function(**case).device.type
    except (NotImplementedError, RuntimeError) as error:
        if "is not on the expected device" in str(error):
            raise  # one of its tensors is elsewhere, another here: no device can do that
        # It reads a number of its own tensor, which is right elsewhere and impossible here.
        return ELSEWHERE
