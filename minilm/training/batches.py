"""The batches of an epoch, one after the other, on the device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from minilm.training import seeding
from minilm.training.data import Batch, Reading


class StandIn(dict[str, Any]):
    """A batch for a process that has none left while others have: it counts for nothing.

    The process must take part in the step; what it computes is multiplied by zero.
    """


class Batches(Iterator[Batch]):
    """Give the batches of an epoch, on the device, with the next one read ahead.

    Reading may draw random numbers (a collator that hides tokens does), and the one that is read
    ahead draws before the model's dropout does, as in transformers. Hence `before_next`: where the
    generators stood before it was read, without which a run could not be resumed exactly.
    """

    def __init__(
        self,
        dataset: Any,
        batches: list[list[int]],
        reading: Reading,
        device: torch.device,
        workers: dict[str, Any] | None = None,
        at: dict[str, Any] | None = None,
    ) -> None:
        # What a DataLoader seeds its workers with; it is drawn without any as well.
        self.source = (
            iter(self._in_workers(dataset, batches, reading, workers)) if workers else None
        )
        if self.source is None:
            torch.empty((), dtype=torch.int64).random_()
        self.dataset, self.batches, self.reading, self.device = dataset, batches, reading, device
        self.pinned = device.type == "cuda"
        self.place = 0
        if at is not None:
            seeding.set_rng_state(at)
        self.before_next: Any = None
        self.next = self._read()

    def _in_workers(
        self, dataset: Any, batches: list[list[int]], reading: Reading, workers: dict[str, Any]
    ) -> Any:
        from torch.utils.data import DataLoader

        items = _Numbered(dataset)
        batches = [indices or [0] for indices in batches]
        return DataLoader(items, batch_sampler=batches, collate_fn=reading.collate, **workers)

    def _read(self) -> Batch | None:
        if self.source is not None:
            batch = next(self.source, None)
            self.place += 1
            if batch is None or self.batches[self.place - 1]:
                return batch
            return StandIn(batch)
        if self.place >= len(self.batches):
            self.before_next = None
            return None
        self.before_next = seeding.snapshot()
        indices = self.batches[self.place]
        self.place += 1
        if not indices:
            return StandIn(self.reading(self.dataset, [0]))
        return self.reading(self.dataset, indices)

    def __next__(self) -> Batch:
        batch, self.next = self.next, None
        if batch is None:
            raise StopIteration
        batch = type(batch)(to_device(batch, self.device, self.pinned))
        self.next = self._read()
        return batch


class _Numbered(torch.utils.data.Dataset[Any]):
    """A dataset as worker processes want it."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]


def to_device(value: Any, device: torch.device, pinned: bool = False) -> Any:
    """Move tensors, also within dicts and lists.

    value: anything    device: where to    pinned: let the copy run beside the computing
    """
    if isinstance(value, Tensor):
        if value.device == device or device.type == "cpu":
            return value.to(device)
        return (value.pin_memory() if pinned else value).to(device, non_blocking=pinned)
    if isinstance(value, Mapping):
        return {name: to_device(each, device, pinned) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_device(each, device, pinned) for each in value)
    return value
