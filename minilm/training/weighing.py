"""How the losses of several batches become one mean: by how many labels each of them judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from minilm.training import steps
from minilm.training.batches import StandIn
from minilm.training.data import Batch

if TYPE_CHECKING:
    from minilm.training.trainer import Trainer


def weigh(
    trainer: Trainer, batches: list[Batch], of_all: bool = True
) -> tuple[Tensor | None, list[float] | int | None]:
    """Say how the losses of batches become one mean.

    trainer: knows what its model's loss is divided by    batches: of one step
    of_all: over all processes

    Returns what the model divides its sums by; or, for a model that only gives means, each
    batch's share of the labels (as their number, where all shares are equal).
    """
    labels = batches[0].get("labels")
    world, shifts = trainer.world, trainer.shifts_labels
    takes_items = trainer.model_accepts_loss_kwargs or trainer.compute_loss_func is not None
    num_items = None
    if takes_items and isinstance(labels, Tensor) and not labels.is_floating_point():
        judged = [batch for batch in batches if not isinstance(batch, StandIn)]
        if not judged:
            num_items = torch.zeros((), dtype=torch.int64, device=trainer.device)
        elif "shift_labels" in batches[0]:
            counted = [{"labels": batch["shift_labels"]} for batch in judged]
            num_items = steps.count_targets(counted, False)
        else:
            num_items = steps.count_targets(judged, shifts and labels.dim() > 1)
        num_items = world.sum(num_items) if of_all else num_items
    scaled = trainer.loss_is_scaled_for_ga
    if scaled is None:
        scaled = num_items is not None or trainer.compute_loss_func is not None
    if scaled or not of_all:
        return num_items, None
    counts = [count_items(batch, shifts) for batch in batches]
    if world.size == 1 and len(set(counts)) == 1:
        return num_items, len(batches)
    (total,) = world.sum_numbers(sum(counts))
    return num_items, [count / max(total, 1) for count in counts]


def count_items(batch: Mapping[str, Any], shifts: bool) -> int:
    """Count what the mean loss of a batch is a mean over.

    batch: for the model    shifts: as `shifts_labels` says

    Returns the number of labels that are judged; without labels, the number of rows; 0 for a batch
    that only stands in.
    """
    if isinstance(batch, StandIn):
        return 0
    labels = batch.get("labels")
    if isinstance(labels, Tensor):
        if labels.is_floating_point() or not labels.dim():
            return labels.numel()
        return int(steps.count_targets([dict(batch)], shifts and labels.dim() > 1))
    return count_rows(batch)


def count_rows(batch: Mapping[str, Any]) -> int:
    """Count the examples of a batch.

    batch: for the model
    """
    return next((len(each) for each in batch.values() if isinstance(each, Tensor)), 0)
