"""One step of training, in pieces: count what is judged, sum the gradients, move the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from minilm.losses import IGNORE

Batch = dict[str, Any]


def count_targets(batches: Sequence[Batch], shifts: bool = True) -> Tensor:
    """Count the labels that the loss of a step judges, over all of its batches, as one int64.

    batches: with labels (B, T), −100 = not judged    shifts: whether the loss moves them one place
    """
    labels = [batch["labels"][:, 1:] if shifts else batch["labels"] for batch in batches]
    return torch.stack([(each != IGNORE).sum() for each in labels]).sum()


def accumulate(
    batches: Sequence[Batch],
    loss_of: Callable[[Batch, Any], Tensor],
    num_items: int | Tensor,
) -> Tensor:
    """Take several batches as one: add up their gradients, with room for one batch only.

    batches: one or more    num_items: how many labels all of them judge together
    loss_of: (batch, num_items) → the sum of the batch's losses divided by num_items

    Returns the loss of all together, without a graph; the gradients are in the parameters.
    """
    total = torch.zeros(())
    for batch in batches:
        loss = loss_of(batch, num_items)
        loss.backward()  # adds to the gradients, and frees the graph of this batch
        total = total.to(loss.device) + loss.detach()
    return total


def optimizer_step(
    parameters: Iterable[nn.Parameter],
    optimizer: Optimizer,
    scheduler: LRScheduler | None = None,
    max_grad_norm: float | None = 1.0,
) -> Tensor:
    """Move the weights once, along gradients that are not too long.

    parameters: whose gradients are there    scheduler: sets the learning rate of the next step
    max_grad_norm: longer gradients, all taken as one vector, are shortened to this; None, 0: never

    Returns how long they were. Leaves no gradients behind.
    """
    norm = clip_grad_norm_(parameters, max_grad_norm or math.inf)
    optimizer.step()
    if scheduler is not None:
        scheduler.step()
    optimizer.zero_grad()
    return norm


def adamw_update(
    weight: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    step: int,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> tuple[Tensor, Tensor, Tensor]:
    """Do what AdamW does to one weight in one step (Loshchilov, Hutter 2019, algorithm 2).

    weight, gradient: of any shape    mean, square: running means of gradient and gradient², from 0
    step: 1, 2, 3 …    Returns the new weight, mean and square. Equals torch.optim.AdamW.
    """
    mean = betas[0] * mean + (1 - betas[0]) * gradient
    square = betas[1] * square + (1 - betas[1]) * gradient**2
    # Means that began at 0 are too small at first.
    fair_mean = mean / (1 - betas[0] ** step)
    fair_square = square / (1 - betas[1] ** step)
    weight = weight - lr * weight_decay * weight
    return weight - lr * fair_mean / (fair_square.sqrt() + eps), mean, square


def perplexity(losses: Sequence[float], counts: Sequence[int]) -> float:
    """Return e to the mean loss per label: among how many words a model hesitates. May be inf.

    losses: nats per label, the mean of each batch    counts: how many labels each batch judged
    """
    mean = sum(loss * count for loss, count in zip(losses, counts)) / sum(counts)
    return math.exp(mean) if mean < 709 else math.inf
