"""How long a run is: examples, batches, optimizer steps, epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from minilm.errors import InvalidInput
from minilm.training import order


@dataclass(frozen=True)
class Plan:
    """Say how the examples of a run become optimizer steps.

    examples: in the dataset    batch_size: B, of one process    accumulation: batches of a step
    world_size: processes    rank: which of them this is    drop_last: leave out what fills no batch
    shuffle: whether each epoch has an order of its own    seed: of these orders
    batches_per_epoch, steps_per_epoch: of one process    max_steps, num_epochs: of the whole run
    """

    examples: int
    batch_size: int
    accumulation: int
    world_size: int
    rank: int
    drop_last: bool
    shuffle: bool
    seed: int
    batches_per_epoch: int
    steps_per_epoch: int
    max_steps: int
    num_epochs: int

    @property
    def examples_per_step(self) -> int:
        """Examples of an optimizer step, over all processes; the last of an epoch may have fewer."""
        return self.batch_size * self.accumulation * self.world_size

    @property
    def examples_of_the_run(self) -> float:
        """Examples that are seen from the first step to the last."""
        return self.examples * self.max_steps / self.steps_per_epoch

    def batches(self, epoch: int, done: int) -> list[list[int]]:
        """Which examples the batches of an epoch consist of, for this process.

        epoch: from 0    done: optimizer steps of it that are done already
        """
        examples = list(range(self.examples))
        if self.shuffle:
            examples = order.epoch_order(self.examples, self.seed, epoch)
        batches = order.cut(examples, self.batch_size, self.drop_last)
        if self.drop_last:
            del batches[self.batches_per_epoch * self.world_size :]
        return order.deal(batches, self.rank, self.world_size)[done * self.accumulation :]


def make_plan(examples: int, args: Any, rank: int, world_size: int) -> Plan:
    """Work out how long a run is.

    examples: in the dataset    args: the TrainingArguments    rank, world_size: of the processes

    Raises InvalidInput if not a single step can be made.
    """
    size = args.per_device_train_batch_size
    rounding = math.floor if args.dataloader_drop_last else math.ceil
    batches = rounding(rounding(examples / size) / world_size)
    if not batches:
        raise InvalidInput(
            f"{examples} examples fill no batch of {size} × {world_size}, and "
            "dataloader_drop_last=True leaves out what fills none. Make the batch smaller."
        )
    steps = math.ceil(batches / args.gradient_accumulation_steps)
    if args.max_steps > 0:
        max_steps = args.max_steps
        epochs = math.ceil(max_steps / steps)
    else:
        max_steps = math.ceil(args.num_train_epochs * steps)
        epochs = math.ceil(args.num_train_epochs)
    return Plan(
        examples=examples,
        batch_size=size,
        accumulation=args.gradient_accumulation_steps,
        world_size=world_size,
        rank=rank,
        drop_last=args.dataloader_drop_last,
        shuffle=args.train_sampling_strategy == "random",
        seed=args.seed if args.data_seed is None else args.data_seed,
        batches_per_epoch=batches,
        steps_per_epoch=steps,
        max_steps=max_steps,
        num_epochs=epochs,
    )
