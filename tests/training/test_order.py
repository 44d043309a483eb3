"""Which examples come when, over processes, and how long a run is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from minilm.errors import InvalidInput
from minilm.training import order, seeding
from minilm.training.arguments import TrainingArguments
from minilm.training.plan import make_plan


@given(
    examples=some.integers(1, 60),
    batch=some.integers(1, 4),
    accumulation=some.integers(1, 3),
    processes=some.integers(1, 4),
    drop_last=some.booleans(),
)
def test_processes_together_see_in_each_step_what_one_alone_would(
    examples: int, batch: int, accumulation: int, processes: int, drop_last: bool
) -> None:
    def plan(rank: int, size: int, of: int, parts: int) -> Any:
        args = TrainingArguments(
            per_device_train_batch_size=of,
            gradient_accumulation_steps=parts,
            dataloader_drop_last=drop_last,
        )
        return make_plan(examples, args, rank, size)

    try:
        alone = plan(0, 1, batch * processes, accumulation)
    except InvalidInput:
        assert drop_last and examples < batch * processes
        return
    shares = [plan(rank, processes, batch, accumulation) for rank in range(processes)]
    assert {share.max_steps for share in shares} == {alone.max_steps}
    assert {share.examples_per_step for share in shares} == {alone.examples_per_step}
    for step in range(alone.steps_per_epoch):
        place = slice(0, accumulation)
        one = {i for part in alone.batches(1, step)[place] for i in part}
        dealt = [i for share in shares for part in share.batches(1, step)[place] for i in part]
        assert sorted(dealt) == sorted(one)
    assert len({len(share.batches(0, 0)) for share in shares}) == 1


def test_each_epoch_has_an_order_of_its_own_and_the_same_each_time() -> None:
    first, second = order.epoch_order(50, 42, 0), order.epoch_order(50, 42, 1)
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
    assert first == order.epoch_order(50, 42, 0)


@pytest.mark.parametrize(
    ("settings", "steps", "epochs"),
    [
        ({"num_train_epochs": 2}, 6, 2),
        ({"num_train_epochs": 0.5}, 2, 1),
        ({"max_steps": 7}, 7, 3),
        ({"gradient_accumulation_steps": 2, "num_train_epochs": 1}, 2, 1),
        ({"dataloader_drop_last": True, "num_train_epochs": 1}, 2, 1),
    ],
)
def test_a_run_is_as_long_as_it_says(settings: Any, steps: int, epochs: int) -> None:
    plan = make_plan(10, TrainingArguments(per_device_train_batch_size=4, **settings), 0, 1)
    assert (plan.max_steps, plan.num_epochs) == (steps, epochs)


def test_every_generator_is_seeded_and_put_back() -> None:
    import random

    import numpy as np
    import torch

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), torch.rand(()).item()

    seeding.set_seed(7)
    first = draw()
    there = seeding.savable(seeding.snapshot())
    second = draw()
    seeding.set_seed(7)
    assert draw() == first
    seeding.set_rng_state(there)
    assert draw() == second != first


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, "42"])
def test_a_seed_that_not_all_take_is_refused(seed: Any) -> None:
    with pytest.raises(InvalidInput, match="whole number"):
        seeding.set_seed(seed)
