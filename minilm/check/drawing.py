"""Drawing tensors for the cases of an exercise: the same for the same seed, and short to read."""

from __future__ import annotations

import random
from typing import Any

from minilm.check.later import torch


def normal(
    draw: random.Random,
    *shape: int,
    scale: float = 1.0,
    digits: int | None = 1,
    dtype: Any = None,
) -> Any:
    """A tensor of normal random numbers.

    scale: their standard deviation    digits: rounded to so many decimals; None = not rounded
    dtype: float32 unless given
    """
    generator = torch.Generator().manual_seed(draw.getrandbits(48))
    numbers = scale * torch.randn(*shape, generator=generator, dtype=torch.float64)
    if digits is not None:
        numbers = numbers.round(decimals=digits) + 0.0  # no -0.0
    return numbers.to(dtype or torch.float32)


def real_tokens(lengths: list[int], total: int, side: str = "left") -> Any:
    """An attention mask, int64 (B, total): 1 = real, 0 = padding.

    lengths: how many tokens of each row are real    side: on which the padding stands
    """
    rows = []
    for length in lengths:
        padding, real = [0] * (total - length), [1] * length
        rows.append(padding + real if side == "left" else real + padding)
    return torch.tensor(rows)


def may_attend(
    draw: random.Random, *shape: int, share: float = 0.7, none_at: tuple[int, ...] | None = None
) -> Any:
    """A random boolean mask, True = may attend, in which every row may look somewhere.

    shape: the last axis counts the keys    share: of True, about
    none_at: the index of a row that may look nowhere after all; fewer axes are the last ones
    """
    generator = torch.Generator().manual_seed(draw.getrandbits(48))
    mask = torch.rand(*shape, generator=generator) < share
    somewhere = torch.randint(shape[-1], (*shape[:-1], 1), generator=generator)
    mask.scatter_(-1, somewhere, True)
    if none_at is not None:
        mask[(..., *none_at, slice(None))] = False
    return mask
