"""The exercise alibi_slopes, and its known mistakes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch

LESSON = "03_positions"


def reference_slopes(n_heads):
    from transformers.models.bloom.modeling_bloom import _get_alibi_slopes

    return _get_alibi_slopes(n_heads, torch.device("cpu"))


def even_steps(n_heads):
    """The slopes of a power of two: equal steps of the exponent, down to 2^-8."""
    return [2.0 ** (-8 * (head + 1) / n_heads) for head in range(n_heads)]


def below(n_heads):
    return 2 ** int(math.log2(n_heads))


def sloping(
    powers: Callable[[int], list[float]] = even_steps,
    extra: Callable[[int, int], list[float]] = lambda low, n: even_steps(2 * low)[0::2][:n],
    double: bool = False,
) -> Callable[..., Any]:
    """Make an alibi_slopes in which one step may be wrong."""

    def alibi_slopes(n_heads):
        low = below(n_heads)
        slopes = torch.tensor([*powers(low), *extra(low, n_heads - low)], dtype=torch.float64)
        return slopes if double else slopes.float()

    return alibi_slopes


right_slopes = sloping()


def slopes_for_any(power: Callable[[int, int], float]) -> Callable[..., Any]:
    """One formula for every number of heads."""
    return lambda n_heads: torch.tensor([power(head, n_heads) for head in range(1, n_heads + 1)])


def slopes_of_the_next_power(n_heads):
    above = 2 ** math.ceil(math.log2(n_heads))
    return torch.tensor(even_steps(above)[:n_heads])


def slopes_by_recursion(n_heads):
    if n_heads & (n_heads - 1) == 0:
        start = 2 ** (-(2 ** -(math.log2(n_heads) - 3)))
        return torch.tensor([start * start**i for i in range(n_heads)])
    lower = 1 << (n_heads.bit_length() - 1)
    others = slopes_by_recursion(2 * lower)[0::2][: n_heads - lower]
    return torch.cat([slopes_by_recursion(lower), others])


def slopes_by_exponents(n_heads):
    low = 1
    while low * 2 <= n_heads:
        low *= 2
    exponents = torch.arange(1, low + 1) * (8 / low)
    more = torch.arange(1, 2 * (n_heads - low) + 1, 2) * (4 / low)
    return torch.exp2(-torch.cat([exponents, more]))


def slopes_by_multiplying(n_heads):
    low = below(n_heads)
    slopes = [0.5 ** (8 / low)]
    while len(slopes) < low:
        slopes.append(slopes[-1] * slopes[0])
    between = [math.sqrt(slopes[0])]
    while len(between) < low:
        between.append(between[-1] * slopes[0])
    return torch.tensor((slopes + between)[:n_heads])


def draw_heads(draw: random.Random) -> list[Case]:
    counts = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 25, 32, 71, 112, draw.randint(33, 63)]
    return [{"n_heads": n} for n in counts]


ALIBI_SLOPES = Exercise(
    answer="minilm.positions.alibi:alibi_slopes",
    lesson=LESSON,
    cases=draw_heads,
    reference=reference_slopes,
    reference_name="the slopes of transformers' BLOOM",
    mistakes=[
        Mistake(
            "is right for eight heads alone",
            slopes_for_any(lambda head, n: 2.0**-head),
            "1/2, 1/4, 1/8 … are the slopes of eight heads. For H heads the exponents are 8/H, "
            "16/H … 8; with 32 heads, yours would end at 2^-32, which is no slope at all.",
        ),
        Mistake(
            "takes one formula for every number",
            slopes_for_any(lambda head, n: 2.0 ** (-8 * head / n)),
            "That is right for powers of two. For 12 heads BLOOM takes the 8 slopes of 8 heads, "
            "and then the 1st, 3rd, 5th and 7th of 16.",
        ),
        Mistake(
            "takes the next power and cuts it off",
            slopes_of_the_next_power,
            "You take the first slopes of the power of two above. They lie too close together and "
            "the gentle ones are missing. Begin with all of the power below.",
        ),
        Mistake(
            "begins at no slope",
            sloping(powers=lambda n: [2.0 ** (-8 * head / n) for head in range(n)]),
            "Your first head has 2^0 = 1. Heads are counted from 1 here: the first slope is "
            "2^(-8/H) and the last is 2^-8.",
        ),
        Mistake(
            "grows",
            sloping(powers=lambda n: [1 / slope for slope in even_steps(n)]),
            "The sign of the exponent is lost, so a penalty is up to 256 for each token. Slopes "
            "are below 1.",
        ),
        Mistake(
            "is negative",
            lambda n_heads: -right_slopes(n_heads),
            "The minus comes with the distance, when the bias is made. Twice minus would reward "
            "what is far away.",
        ),
        Mistake(
            "puts the gentle ones first",
            sloping(powers=lambda n: even_steps(n)[::-1]),
            "The order is reversed: the first head has the steepest slope. Weights of a trained "
            "model belong to their head.",
        ),
        Mistake(
            "takes the first ones for the rest",
            sloping(extra=lambda low, n: even_steps(2 * low)[:n]),
            "For the heads that are left you take the first slopes of the next power of two. Every "
            "second of those is there already: take the 1st, 3rd, 5th and so on.",
        ),
        Mistake(
            "takes the others for the rest",
            sloping(extra=lambda low, n: even_steps(2 * low)[1::2][:n]),
            "[1::2] picks slopes that the first heads already have, so two heads would do the "
            "same. The new ones are in [0::2].",
        ),
        Mistake(
            "sorts them",
            lambda n_heads: right_slopes(n_heads).sort(descending=True).values,
            "You sort all slopes together. BLOOM keeps the power of two first and puts the others "
            "behind; weights of a trained model belong to their head.",
        ),
        Mistake(
            "puts the rest in front",
            lambda n_heads: right_slopes(n_heads).roll(n_heads - below(n_heads)),
            "The slopes of the power of two come first, and the others follow.",
        ),
        Mistake(
            "leaves the rest out",
            lambda n_heads: right_slopes(below(n_heads)),
            "You return slopes for the power of two below. Every head needs one.",
        ),
        Mistake(
            "steps evenly down",
            slopes_for_any(lambda head, n: 1 - (head - 1) / n),
            "Your slopes lie on a straight line. They are powers: each is the one before times "
            "the same factor.",
        ),
        Mistake(
            "forgets the eight",
            sloping(powers=lambda n: [2.0 ** (-head / n) for head in range(1, n + 1)]),
            "The exponents end at 1, so all slopes are 1/2 or more and no head sees far. They end "
            "at 8.",
        ),
        Mistake(
            "stays in float64",
            sloping(double=True),
            "The answer is float64. The scores it is added to are float32.",
        ),
    ],
    accepts=[slopes_by_recursion, slopes_by_exponents, slopes_by_multiplying],
)
