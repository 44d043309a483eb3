"""Learning rates over time: every schedule is a factor that the learning rate is multiplied by.

The factor at step 0 is that of the first update. All names, and all numbers, are transformers'.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from minilm.errors import InvalidInput, WrongType
from minilm.training import factors


def linear_with_warmup(step: int, num_warmup_steps: int, num_training_steps: int) -> float:
    """Let the learning rate rise from 0 in a line, and then fall to 0 in another.

    step: how many updates were made before    num_warmup_steps: how many the rise takes
    num_training_steps: how many there are, rise and fall together

    Returns the factor, 0 to 1; 0 after the end. Equals transformers' "linear" schedule.
    """
    if step < num_warmup_steps:
        return step / num_warmup_steps
    return max(0, num_training_steps - step) / max(1, num_training_steps - num_warmup_steps)


def cosine_with_warmup(
    step: int,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    min_lr_rate: float = 0.0,
) -> float:
    """Let the learning rate rise in a line, and then fall along a cosine (Loshchilov, Hutter 2017).

    step, num_warmup_steps, num_training_steps: as in `linear_with_warmup`
    num_cycles: waves of the cosine; half a wave falls once    min_lr_rate: the factor at the bottom

    Returns the factor.
    """
    if step < num_warmup_steps:
        return step / num_warmup_steps
    progress = factors.share(step, num_warmup_steps, num_training_steps)
    factor = 0.5 * (1.0 + math.cos(math.pi * float(num_cycles) * 2.0 * progress))
    return max(0.0, factor * (1 - min_lr_rate) + min_lr_rate)


# A reader's own schedule is found under its name each time a factor is asked for.
def _linear(step: int, **given: Any) -> float:
    return linear_with_warmup(step, **given)


def _cosine(step: int, **given: Any) -> float:
    return cosine_with_warmup(step, **given)


def get_constant_schedule(optimizer: Optimizer, last_epoch: int = -1) -> LambdaLR:
    """Keep the learning rate as it is.

    optimizer: whose learning rate is set    last_epoch: the step to go on from
    """
    return LambdaLR(optimizer, partial(factors.constant), last_epoch)


def get_constant_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Let the learning rate rise from 0, and keep it then.

    optimizer, last_epoch: as in `get_constant_schedule`    num_warmup_steps: updates of the rise
    """
    return LambdaLR(
        optimizer, partial(factors.constant, num_warmup_steps=num_warmup_steps), last_epoch
    )


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Let the learning rate rise and fall in lines, see `linear_with_warmup`.

    optimizer, last_epoch: as in `get_constant_schedule`
    num_warmup_steps, num_training_steps: updates of the rise, and of all
    """
    factor = partial(
        _linear, num_warmup_steps=num_warmup_steps, num_training_steps=num_training_steps
    )
    return LambdaLR(optimizer, factor, last_epoch)


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Let the learning rate rise in a line and fall along a cosine, see `cosine_with_warmup`.

    optimizer, num_warmup_steps, num_training_steps, last_epoch: as in the linear schedule
    num_cycles: waves of the cosine; half a wave falls once
    """
    factor = partial(
        _cosine,
        num_warmup_steps=num_warmup_steps,
        num_training_steps=num_training_steps,
        num_cycles=num_cycles,
    )
    return LambdaLR(optimizer, factor, last_epoch)


def get_cosine_with_hard_restarts_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: int = 1,
    last_epoch: int = -1,
) -> LambdaLR:
    """Let the learning rate fall along a cosine several times, each time from the top again.

    optimizer, num_warmup_steps, num_training_steps, last_epoch: as in the linear schedule
    num_cycles: how many times it falls
    """
    factor = partial(
        factors.restarting,
        num_warmup_steps=num_warmup_steps,
        num_training_steps=num_training_steps,
        num_cycles=num_cycles,
    )
    return LambdaLR(optimizer, factor, last_epoch)


def get_polynomial_decay_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float = 1e-7,
    power: float = 1.0,
    last_epoch: int = -1,
) -> LambdaLR:
    """Let the learning rate rise in a line and fall as a power of the time that is left.

    optimizer, num_warmup_steps, num_training_steps, last_epoch: as in the linear schedule
    lr_end: the learning rate at the end    power: 1 is a line

    Raises InvalidInput if lr_end is not below the optimizer's learning rate.
    """
    lr_init = optimizer.defaults["lr"]
    if not lr_init > lr_end:
        raise InvalidInput(
            f"lr_end is {lr_end}, and the learning rate {lr_init}. A decay ends below its start: "
            "give a smaller lr_end."
        )
    factor = partial(
        factors.polynomial,
        num_warmup_steps=num_warmup_steps,
        num_training_steps=num_training_steps,
        lr_init=lr_init,
        lr_end=lr_end,
        power=power,
    )
    return LambdaLR(optimizer, factor, last_epoch)


def get_inverse_sqrt_schedule(
    optimizer: Optimizer, num_warmup_steps: int, timescale: int | None = None, last_epoch: int = -1
) -> LambdaLR:
    """Let the learning rate rise in a line and fall as 1/√time, without an end.

    optimizer, num_warmup_steps, last_epoch: as in the linear schedule
    timescale: updates until it has fallen to 1/√2; the length of the rise unless given
    """
    timescale = num_warmup_steps or 10_000 if timescale is None else timescale
    factor = partial(factors.inverse_sqrt, num_warmup_steps=num_warmup_steps, timescale=timescale)
    return LambdaLR(optimizer, factor, last_epoch)


def _rate_at_the_bottom(
    optimizer: Optimizer, min_lr: float | None, min_lr_rate: float | None
) -> float:
    if (min_lr is None) == (min_lr_rate is None):
        raise InvalidInput(
            f"min_lr is {min_lr} and min_lr_rate {min_lr_rate}. Give one of them, with "
            "lr_scheduler_kwargs: the lowest learning rate, or its share of the highest."
        )
    return min_lr_rate if min_lr is None else min_lr / optimizer.defaults["lr"]  # type: ignore[return-value]


def get_cosine_with_min_lr_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> LambdaLR:
    """Let the learning rate fall along a cosine to a lowest one above 0.

    optimizer, num_warmup_steps, num_training_steps, num_cycles, last_epoch: as in the cosine schedule
    min_lr, min_lr_rate: the lowest learning rate, or its share of the highest; one of them

    Raises InvalidInput if none or both of the two are given.
    """
    factor = partial(
        _cosine,
        num_warmup_steps=num_warmup_steps,
        num_training_steps=num_training_steps,
        num_cycles=num_cycles,
        min_lr_rate=_rate_at_the_bottom(optimizer, min_lr, min_lr_rate),
    )
    return LambdaLR(optimizer, factor, last_epoch)


def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> LambdaLR:
    """Let the learning rate rise from above 0, and fall along a cosine to a lowest one above 0.

    optimizer, num_warmup_steps, num_training_steps, num_cycles, last_epoch: as in the cosine schedule
    min_lr, min_lr_rate: the lowest learning rate, or its share of the highest; one of them
    warmup_lr_rate: the factor of the first update; 1/num_warmup_steps unless given

    Raises InvalidInput if none or both of min_lr and min_lr_rate are given.
    """
    factor = partial(
        factors.cosine_from_one,
        num_warmup_steps=num_warmup_steps,
        num_training_steps=num_training_steps,
        num_cycles=num_cycles,
        min_lr_rate=_rate_at_the_bottom(optimizer, min_lr, min_lr_rate),
        warmup_lr_rate=warmup_lr_rate,
    )
    return LambdaLR(optimizer, factor, last_epoch)


def get_wsd_schedule(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Let the learning rate rise, stay, and fall at the end: warmup, stable, decay.

    optimizer, last_epoch: as in the linear schedule
    num_warmup_steps, num_stable_steps, num_decay_steps: updates of the three parts; of
        num_training_steps, what the others leave is stable
    warmup_type, decay_type: "linear", "cosine" or "1-sqrt"
    min_lr_ratio: the factor at both ends    num_cycles: waves of a falling cosine

    Raises InvalidInput if the stable part is not known, or a type is not.
    """
    if num_stable_steps is None:
        if num_training_steps is None:
            raise InvalidInput("Give num_training_steps, or num_stable_steps.")
        num_stable_steps = num_training_steps - num_warmup_steps - num_decay_steps
    for name, kind in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        if kind not in factors.RISES:
            raise InvalidInput(f"{name} is {kind!r}; give one of {', '.join(factors.RISES)}.")
    factor = partial(
        factors.warmup_stable_decay,
        num_warmup_steps=num_warmup_steps,
        num_stable_steps=num_stable_steps,
        num_decay_steps=num_decay_steps,
        warmup_type=warmup_type,
        decay_type=decay_type,
        min_lr_ratio=min_lr_ratio,
        num_cycles=num_cycles,
    )
    return LambdaLR(optimizer, factor, last_epoch)


def get_reduce_on_plateau_schedule(optimizer: Optimizer, **settings: Any) -> ReduceLROnPlateau:
    """Lower the learning rate whenever a metric has stopped getting better.

    optimizer: whose learning rate is set    settings: of torch's ReduceLROnPlateau
    """
    return ReduceLROnPlateau(optimizer, **settings)


SCHEDULES: dict[str, Callable[..., LRScheduler]] = {
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
    "cosine_with_restarts": get_cosine_with_hard_restarts_schedule_with_warmup,
    "polynomial": get_polynomial_decay_schedule_with_warmup,
    "constant": get_constant_schedule,
    "constant_with_warmup": get_constant_schedule_with_warmup,
    "inverse_sqrt": get_inverse_sqrt_schedule,
    "reduce_lr_on_plateau": get_reduce_on_plateau_schedule,
    "cosine_with_min_lr": get_cosine_with_min_lr_schedule_with_warmup,
    "cosine_warmup_with_min_lr": get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
    "warmup_stable_decay": get_wsd_schedule,
}
_NO_WARMUP = ("constant", "reduce_lr_on_plateau")
_NO_END = ("constant_with_warmup", "inverse_sqrt", *_NO_WARMUP)


def get_scheduler(
    name: Any,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: dict[str, Any] | None = None,
) -> LRScheduler:
    """Make the learning-rate schedule of a name.

    name: "linear", "cosine", "constant" … (`SCHEDULES` has all), or transformers' SchedulerType
    optimizer: whose learning rate is set
    num_warmup_steps, num_training_steps: updates of the rise, and of all
    scheduler_specific_kwargs: what else the schedule takes, such as num_cycles

    Returns a scheduler, whose `step` is called after each update. Raises InvalidInput for an unknown
    name, and where a number of steps is missing; WrongType for settings that a schedule does not take.
    """
    name = getattr(name, "value", name)
    check_name(name)
    if name == "constant":
        return get_constant_schedule(optimizer)
    steps: dict[str, int] = {}
    if name not in _NO_WARMUP:
        steps["num_warmup_steps"] = _asked("num_warmup_steps", num_warmup_steps, name)
    if name == "constant_with_warmup":
        return get_constant_schedule_with_warmup(optimizer, **steps)
    special = scheduler_specific_kwargs or {}
    if name == "warmup_stable_decay":
        if num_training_steps is not None:
            steps["num_training_steps"] = num_training_steps
    elif name not in _NO_END:
        steps["num_training_steps"] = _asked("num_training_steps", num_training_steps, name)
    try:
        inspect.signature(SCHEDULES[name]).bind(optimizer, **steps, **special)
    except TypeError as error:
        raise WrongType(f"The schedule {name!r} with {special}: {error}.") from None
    return SCHEDULES[name](optimizer, **steps, **special)


def check_name(name: Any) -> None:
    """Refuse a name that no learning-rate schedule has.

    name: lr_scheduler_type

    Raises InvalidInput that lists those there are.
    """
    if not isinstance(name, str) or name not in SCHEDULES:
        near = difflib.get_close_matches(str(name).lower(), SCHEDULES, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise InvalidInput(
            f"There is no learning-rate schedule {name!r}. {hint}There are {', '.join(SCHEDULES)}."
        )


def _asked(what: str, count: int | None, name: str) -> int:
    if count is None:
        raise InvalidInput(f"The schedule {name!r} needs {what}. Give a number of updates.")
    return count
