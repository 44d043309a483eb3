"""Learning-rate schedules: number for number those of transformers."""

from __future__ import annotations

import pytest
import torch
import transformers

from minilm.errors import InvalidInput, MinilmError, WrongType
from minilm.training import schedules

SPECIAL = {
    "cosine": [{"num_cycles": 1.5}],
    "cosine_with_restarts": [{"num_cycles": 3}],
    "polynomial": [{"power": 2.0, "lr_end": 1e-4}],
    "inverse_sqrt": [{"timescale": 7}],
    "cosine_with_min_lr": [{"min_lr": 1e-4}, {"min_lr_rate": 0.2, "num_cycles": 0.8}],
    "cosine_warmup_with_min_lr": [{"min_lr": 1e-4}, {"min_lr_rate": 0.2, "warmup_lr_rate": 0.3}],
    "warmup_stable_decay": [
        {"num_decay_steps": 3},
        {"num_decay_steps": 2, "num_stable_steps": 4},
        {
            "num_decay_steps": 4,
            "warmup_type": "1-sqrt",
            "decay_type": "1-sqrt",
            "min_lr_ratio": 0.1,
        },
        {"num_decay_steps": 4, "warmup_type": "cosine", "decay_type": "linear", "num_cycles": 2},
    ],
}
NEEDS_MORE = {"cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay"}
BY_STEP = sorted(set(schedules.SCHEDULES) - {"reduce_lr_on_plateau"})


def optimizer_of(lr=3e-3):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(get, name, warmup, total, special, updates=16):
    optimizer = optimizer_of()
    scheduler = get(name, optimizer, warmup, total, scheduler_specific_kwargs=special)
    found = []
    for _ in range(updates):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.filterwarnings("ignore:Both num_training_steps")
@pytest.mark.parametrize(("warmup", "total"), [(0, 10), (3, 10), (1, 2), (10, 7), (0, 1)])
@pytest.mark.parametrize("name", BY_STEP)
def test_every_learning_rate_is_that_of_transformers(name, warmup, total):
    plain = [] if name in NEEDS_MORE else [{}]
    for special in plain + SPECIAL.get(name, []):
        ours = rates(schedules.get_scheduler, name, warmup, total, special)
        theirs = rates(transformers.get_scheduler, name, warmup, total, special)
        assert ours == pytest.approx(theirs, abs=1e-15, rel=1e-12), special


def test_all_names_are_there():
    ours, theirs = set(schedules.SCHEDULES), {str(n.value) for n in transformers.SchedulerType}
    assert theirs - ours == {"greedy"}
    assert ours <= theirs


def test_a_schedule_is_also_found_by_transformers_own_enum():
    scheduler = schedules.get_scheduler(transformers.SchedulerType.LINEAR, optimizer_of(), 2, 4)
    assert scheduler.get_last_lr() == [0.0]


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial"])
def test_a_schedule_is_saved_and_goes_on(name):
    optimizer = optimizer_of()
    scheduler = schedules.get_scheduler(name, optimizer, 2, 9)
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    again = optimizer_of()
    going_on = schedules.get_scheduler(name, again, 2, 9)
    going_on.load_state_dict(scheduler.state_dict())
    theirs = transformers.get_scheduler(name, optimizer_of(), 2, 9)
    theirs.load_state_dict(scheduler.state_dict())
    for one in (scheduler, going_on, theirs):
        one.optimizer.step()
        one.step()
    assert scheduler.get_last_lr() == going_on.get_last_lr() == theirs.get_last_lr()


def test_a_rate_that_falls_on_a_plateau():
    optimizer = optimizer_of(lr=1.0)
    scheduler = schedules.get_scheduler(
        "reduce_lr_on_plateau", optimizer, scheduler_specific_kwargs={"patience": 0, "factor": 0.5}
    )
    for loss in (3.0, 3.0, 3.0):
        scheduler.step(loss)
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_warmup_as_long_as_all_reaches_the_top_and_ends():
    found = rates(schedules.get_scheduler, "polynomial", 3, 3, {}, updates=5)
    assert found[:4] == pytest.approx([0.0, 1e-3, 2e-3, 3e-3])
    assert found[4] == pytest.approx(1e-7)


@pytest.mark.parametrize(
    ("name", "given", "kind", "message"),
    [
        ("linaer", {}, InvalidInput, "Did you mean 'linear'"),
        ("greedy", {}, InvalidInput, "There is no learning-rate schedule 'greedy'"),
        ("linear", {"num_training_steps": 4}, InvalidInput, "'linear' needs num_warmup_steps"),
        ("cosine", {"num_warmup_steps": 4}, InvalidInput, "'cosine' needs num_training_steps"),
        ("cosine_with_min_lr", {}, InvalidInput, "Give one of them"),
        ("cosine_with_min_lr", {"min_lr": 1, "min_lr_rate": 1}, InvalidInput, "Give one of them"),
        ("polynomial", {"lr_end": 1.0}, InvalidInput, "smaller lr_end"),
        ("warmup_stable_decay", {}, WrongType, "num_decay_steps"),
        ("warmup_stable_decay", {"num_decay_steps": 1, "decay_type": "log"}, InvalidInput, "log"),
        ("linear", {"num_cycles": 1}, WrongType, "num_cycles"),
    ],
)
def test_what_cannot_be_scheduled_is_said(name, given, kind, message):
    steps = {"num_warmup_steps": 1, "num_training_steps": 5}
    if "num_training_steps" in given or "num_warmup_steps" in given:
        steps, given = given, {}
    with pytest.raises(kind, match=message) as caught:
        schedules.get_scheduler(name, optimizer_of(), **steps, scheduler_specific_kwargs=given)
    assert isinstance(caught.value, MinilmError)


def test_a_readers_schedule_is_the_one_that_is_asked(monkeypatch):
    scheduler = schedules.get_scheduler("linear", optimizer_of(lr=1.0), 0, 10)
    monkeypatch.setattr(schedules, "linear_with_warmup", lambda step, **given: 0.25)
    scheduler.optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.25]
