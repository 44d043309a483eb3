"""What an evaluation gathers, batch by batch and from all processes: losses, predictions, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from minilm.losses import IGNORE
from minilm.training import steps
from minilm.training.distributed import World


class Mean:
    """A mean over labels, whichever batches and processes they come in."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.counts: list[int] = []

    def add(self, loss: float, count: int) -> None:
        """Take in the mean loss of a batch, and over how many labels it is.

        loss: NaN is passed over where the count is 0, since nothing was judged
        """
        if count:
            self.losses.append(loss)
            self.counts.append(count)

    @property
    def value(self) -> float:
        """The mean per label; NaN if there was none."""
        total = sum(loss * count for loss, count in zip(self.losses, self.counts))
        return total / sum(self.counts) if self.counts else float("nan")

    @property
    def perplexity(self) -> float:
        """E to the mean per label."""
        return steps.perplexity(self.losses, self.counts) if self.counts else float("nan")


class Collected:
    """Gather tensors of batches, and put them together as numpy arrays."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def add(self, value: Any) -> None:
        """Take in a tensor or a tuple of them; None is passed over."""
        if value is not None:
            self.parts.append(_to_numpy(value))

    def together(self) -> Any:
        """All of them, rows filled up with −100 to one length; None if there are none."""
        if not self.parts:
            return None
        if isinstance(self.parts[0], tuple):
            return tuple(_joined(list(column)) for column in zip(*self.parts))
        return _joined(self.parts)


def _to_numpy(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, list | tuple):
        return tuple(_to_numpy(each) for each in value)
    return np.asarray(value)


def _joined(arrays: list[Any]) -> Any:
    arrays = [np.atleast_1d(array) for array in arrays]
    if arrays[0].ndim > 1 and len({array.shape[1] for array in arrays}) > 1:
        longest = max(array.shape[1] for array in arrays)
        arrays = [_filled(array, longest) for array in arrays]
    return np.concatenate(arrays)


def _filled(array: Any, length: int) -> Any:
    room = [(0, 0)] * array.ndim
    room[1] = (0, length - array.shape[1])
    return np.pad(array, room, constant_values=IGNORE)


def of_all_processes(world: World, mean: Mean, *collected: Collected) -> tuple[Any, ...]:
    """Put together what each process gathered; the batches were dealt to them in turn.

    mean, collected: of this process
    """
    if world.size == 1:
        return mean, *collected
    mine = (mean.losses, mean.counts, *(each.parts for each in collected))
    shares = world.gather(mine)
    whole = Mean()
    for losses, counts, *_ in shares:
        whole.losses += losses
        whole.counts += counts
    for place, each in enumerate(collected, start=2):
        longest = max(len(share[place]) for share in shares)
        each.parts = [
            share[place][i] for i in range(longest) for share in shares if i < len(share[place])
        ]
    return whole, *collected
