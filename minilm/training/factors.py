"""Factors that a learning rate is multiplied by, step by step, besides the line and the cosine.

Each takes how many updates were made before, and returns a factor; the numbers are transformers'.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def share(step: float, num_warmup_steps: float, num_training_steps: float) -> float:
    """Say how much of the time after the rise is over, 0 to 1 and beyond.

    step: how many updates were made before    num_warmup_steps: how many the rise takes
    num_training_steps: how many there are, rise and fall together
    """
    return (step - num_warmup_steps) / max(1.0, num_training_steps - num_warmup_steps)


def constant(step: int, num_warmup_steps: int = 0) -> float:
    """Rise in a line, and stay.

    step, num_warmup_steps: as in `share`
    """
    return step / num_warmup_steps if step < num_warmup_steps else 1.0


def restarting(
    step: int, num_warmup_steps: int, num_training_steps: int, num_cycles: float
) -> float:
    """Rise in a line, and fall along a cosine several times, each time from the top again.

    step, num_warmup_steps, num_training_steps: as in `share`    num_cycles: how many times
    """
    if step < num_warmup_steps:
        return step / num_warmup_steps
    progress = share(step, num_warmup_steps, num_training_steps)
    if progress >= 1.0:
        return 0.0
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * ((float(num_cycles) * progress) % 1.0))))


def polynomial(
    step: int,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_init: float,
    lr_end: float,
    power: float,
) -> float:
    """Rise in a line, and fall as a power of the time that is left.

    step, num_warmup_steps, num_training_steps: as in `share`
    lr_init, lr_end: learning rates at the top and at the end    power: 1 is a line
    """
    if step < num_warmup_steps:
        return step / num_warmup_steps
    if step > num_training_steps:
        return lr_end / lr_init
    left = 1 - (step - num_warmup_steps) / max(1, num_training_steps - num_warmup_steps)
    return ((lr_init - lr_end) * left**power + lr_end) / lr_init


def inverse_sqrt(step: int, num_warmup_steps: int, timescale: int) -> float:
    """Rise in a line, and fall as 1/√time.

    step, num_warmup_steps: as in `share`    timescale: updates until it has fallen to 1/√2
    """
    if step < num_warmup_steps:
        return step / num_warmup_steps
    return 1.0 / math.sqrt((step + timescale - num_warmup_steps) / timescale)


def cosine_from_one(
    step: int,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float,
    min_lr_rate: float,
    warmup_lr_rate: float | None,
) -> float:
    """Rise from above 0, and fall along a cosine; the first step of each counts as made.

    step, num_warmup_steps, num_training_steps: as in `share`
    num_cycles: waves of the cosine    min_lr_rate: the factor at the bottom
    warmup_lr_rate: that of the first update; 1/num_warmup_steps if None
    """
    if step < num_warmup_steps:
        if warmup_lr_rate is None:
            return (step + 1.0) / max(1.0, num_warmup_steps)
        return warmup_lr_rate + (1.0 - warmup_lr_rate) * step / max(1, num_warmup_steps - 1)
    progress = share(step + 1.0, num_warmup_steps, num_training_steps)
    factor = 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress))
    return max(0.0, factor * (1 - min_lr_rate) + min_lr_rate)


# From 0 to 1 along the way: how far a rise has come. A fall is its mirror, but for the last.
RISES: dict[str, Callable[[float], float]] = {
    "linear": lambda way: way,
    "cosine": lambda way: 0.5 * (1.0 - math.cos(math.pi * way)),
    "1-sqrt": lambda way: 1.0 - math.sqrt(1.0 - way),
}
FALLS: dict[str, Callable[[float, float], float]] = {
    "linear": lambda way, cycles: 1.0 - way,
    "cosine": lambda way, cycles: 0.5 * (1.0 + math.cos(math.pi * cycles * 2.0 * way)),
    "1-sqrt": lambda way, cycles: 1.0 - math.sqrt(way),
}


def warmup_stable_decay(
    step: int,
    num_warmup_steps: int,
    num_stable_steps: int,
    num_decay_steps: int,
    warmup_type: str,
    decay_type: str,
    min_lr_ratio: float,
    num_cycles: float,
) -> float:
    """Rise, stay and fall.

    step: how many updates were made before
    num_warmup_steps, num_stable_steps, num_decay_steps: updates of the three parts
    warmup_type, decay_type: of RISES and FALLS    min_lr_ratio: the factor at both ends
    num_cycles: waves of a falling cosine
    """
    if step < num_warmup_steps:
        factor = RISES[warmup_type](step / num_warmup_steps)
        return max(0.0, factor * (1.0 - min_lr_ratio) + min_lr_ratio)
    falling = step - num_warmup_steps - num_stable_steps
    if falling < 0:
        return 1.0
    if falling < num_decay_steps:
        factor = FALLS[decay_type](falling / max(1, num_decay_steps), float(num_cycles))
        return max(0.0, factor * (1.0 - min_lr_ratio) + min_lr_ratio)
    return min_lr_ratio
