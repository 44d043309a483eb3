"""The exercise linear_with_warmup and its known mistakes."""

from __future__ import annotations

import random

from minilm.check.catalogue.training.common import LESSON, plain
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


def reference_factor(step, num_warmup_steps, num_training_steps):
    from transformers import get_linear_schedule_with_warmup

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, num_warmup_steps, num_training_steps)
    return float(schedule.lr_lambdas[0](step))


def use_factor(function, **case):
    answer = plain(function(**case))
    return float(answer) if isinstance(answer, int) else answer


def up(step, warmup, total):
    return step / warmup


def down(step, warmup, total):
    return max(0.0, (total - step) / max(1, total - warmup))


def turning(rise=up, fall=down, rises=lambda step, warmup: step < warmup):
    """Make a linear_with_warmup that takes one of its steps in another way."""

    def linear_with_warmup(step, num_warmup_steps, num_training_steps):
        given = step, num_warmup_steps, num_training_steps
        return rise(*given) if rises(step, num_warmup_steps) else fall(*given)

    return linear_with_warmup


def by_min(step, num_warmup_steps, num_training_steps):
    left = max(num_training_steps - step, 0) / max(num_training_steps - num_warmup_steps, 1)
    return left if step >= num_warmup_steps else step / num_warmup_steps


def by_interpolation(step, num_warmup_steps, num_training_steps):
    import numpy as np

    if num_warmup_steps >= num_training_steps:
        return turning()(step, num_warmup_steps, num_training_steps)
    places, heights = [num_warmup_steps, num_training_steps], [1.0, 0.0]
    if num_warmup_steps:
        places, heights = [0, *places], [0.0, *heights]
    return np.interp(step, places, heights)


def by_progress(step, num_warmup_steps, num_training_steps):
    if step < num_warmup_steps:
        return float(step) / float(max(1, num_warmup_steps))
    done = (step - num_warmup_steps) / max(1, num_training_steps - num_warmup_steps)
    return max(0.0, (1.0 - done) if num_training_steps > num_warmup_steps else 0.0)


def draw_steps(draw: random.Random) -> list[Case]:
    places = [
        (0, 2, 4),
        (1, 2, 4),
        (2, 2, 4),
        (3, 2, 4),
        (4, 2, 4),
        (6, 2, 4),
        (0, 0, 4),
        (1, 0, 4),
        (3, 3, 3),
        (4, 3, 3),
        (2, 5, 3),
    ]
    for _ in range(12):
        total = draw.randint(5, 200)
        warmup = draw.randint(1, total - 2)
        places.append((draw.randint(0, total), warmup, total))
    names = ("step", "num_warmup_steps", "num_training_steps")
    return [dict(zip(names, place, strict=True)) for place in places]


LINEAR_WITH_WARMUP = Exercise(
    answer="minilm.training.schedules:linear_with_warmup",
    lesson=LESSON,
    cases=draw_steps,
    reference=reference_factor,
    reference_name="transformers' get_linear_schedule_with_warmup",
    use=use_factor,
    mistakes=[
        Mistake(
            "begins one step too late",
            turning(rise=lambda step, warmup, total: (step + 1) / warmup),
            "The rise begins at 1/num_warmup_steps instead of 0. It is a good idea, and another "
            "schedule: here step 0 has the factor 0.",
        ),
        Mistake(
            "has no rise",
            turning(rises=lambda step, warmup: False),
            "There is no rise: before num_warmup_steps the factor is above 1, larger than the "
            "learning rate that was asked for.",
        ),
        Mistake(
            "has no rise and falls from the start",
            lambda step, num_warmup_steps, num_training_steps: max(
                0.0, 1 - step / max(1, num_training_steps)
            ),
            "The rise is missing, and the fall runs over all steps. Up to num_warmup_steps the "
            "factor is step / num_warmup_steps.",
        ),
        Mistake(
            "falls as if there had been no rise",
            turning(fall=lambda step, warmup, total: max(0.0, (total - step) / max(1, total))),
            "The fall is divided by all steps, so that the factor jumps down at the end of the "
            "rise. Divide by the steps of the fall alone: all minus the rise.",
        ),
        Mistake(
            "stays at the top",
            turning(fall=lambda step, warmup, total: 1.0),
            "After the rise the factor stays 1. That is the schedule constant_with_warmup; the "
            "linear one falls to 0.",
        ),
        Mistake(
            "falls below zero",
            turning(fall=lambda step, warmup, total: (total - step) / max(1, total - warmup)),
            "After the last step the factor is negative, and the weights would go *up* the hill. "
            "It stays at 0: max(0, …).",
        ),
        Mistake(
            "falls the other way round",
            turning(
                fall=lambda step, warmup, total: min(1.0, (step - warmup) / max(1, total - warmup))
            ),
            "This is how much of the fall is over, and it grows from 0 to 1. The factor is how "
            "much is left.",
        ),
        Mistake(
            "rises the other way round",
            turning(rise=lambda step, warmup, total: 1 - step / warmup),
            "During the rise the factor falls from 1 to 0. Rising, it is step / num_warmup_steps.",
        ),
        Mistake(
            "rises over the whole run",
            turning(rise=lambda step, warmup, total: step / total),
            "The rise is divided by all steps, so that it ends far below 1. It takes "
            "num_warmup_steps.",
        ),
        Mistake(
            "counts steps instead of shares",
            turning(
                rise=lambda step, warmup, total: step,
                fall=lambda step, warmup, total: max(0, total - step),
            ),
            "These are numbers of steps. A factor lies between 0 and 1: divide by how long the "
            "rise takes, and the fall.",
        ),
        Mistake(
            "reaches the top one step early",
            turning(rise=lambda step, warmup, total: step / max(1, warmup - 1)),
            "The rise is divided by num_warmup_steps - 1, so that its last step is at the top. The "
            "top comes at step num_warmup_steps.",
        ),
        Mistake(
            "reaches zero one step early",
            turning(
                fall=lambda step, warmup, total: max(
                    0.0, (total - 1 - step) / max(1, total - 1 - warmup)
                )
            ),
            "The fall ends at the last step, which would then change nothing. Zero is reached at "
            "num_training_steps, one step after the last.",
        ),
        Mistake(
            "divides in whole numbers",
            turning(
                rise=lambda step, warmup, total: step // warmup,
                fall=lambda step, warmup, total: max(0, (total - step) // max(1, total - warmup)),
            ),
            "// divides in whole numbers, and everything below 1 becomes 0. Use /.",
        ),
        Mistake(
            "divides by zero without a rise",
            lambda step, num_warmup_steps, num_training_steps: min(
                step / num_warmup_steps, down(step, num_warmup_steps, num_training_steps)
            ),
            "Without a rise num_warmup_steps is 0, and you divide by it. Look first whether the "
            "step lies in the rise.",
        ),
        Mistake(
            "divides by zero without a fall",
            turning(fall=lambda step, warmup, total: max(0.0, (total - step) / (total - warmup))),
            "If the rise takes all steps, there are none left to fall, and you divide by 0. "
            "Divide by max(1, …).",
        ),
        Mistake(
            "counts the fall from its own end",
            turning(
                fall=lambda step, warmup, total: (
                    max(0.0, (total - step) / max(1, total - warmup)) ** 2
                )
            ),
            "The fall is a parabola: the share that is left, squared. A line is asked for.",
        ),
    ],
    accepts=[turning(), by_min, by_interpolation, by_progress],
)
