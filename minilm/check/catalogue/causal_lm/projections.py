"""The exercise conv1d and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable

from minilm.check.catalogue.causal_lm.common import (
    LESSON,
    NO_GRADIENTS,
    alike_with_gradients,
    asked,
    learning,
    use_with_gradients,
)
from minilm.check.drawing import normal
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


def reference_conv1d(x, weight, bias):
    from transformers.pytorch_utils import Conv1D

    module = Conv1D(weight.shape[1], weight.shape[0]).to(x.dtype)
    return torch.func.functional_call(module, {"weight": weight, "bias": bias}, x)


def projecting(change: Callable) -> Callable:
    """Make a conv1d that multiplies by something else than the weight."""
    return lambda x, weight, bias: x @ change(weight, x) + bias


def whichever_fits(weight, x):
    return weight.T if weight.shape[1] == x.shape[-1] else weight


def reshaped(x, weight, bias):
    return torch.nn.functional.linear(x, weight.reshape(weight.shape[1], weight.shape[0]), bias)


def flattened(x, weight, bias):
    return torch.addmm(bias, x.reshape(-1, x.shape[-1]), weight)


def first_text_only(x, weight, bias):
    return (x[0] if x.dim() == 3 else x) @ weight + bias


def by_columns(x, weight, bias):
    return torch.stack([(x * column).sum(-1) for column in weight.T], dim=-1) + bias


def by_linear_turned(x, weight, bias):
    return torch.nn.functional.linear(x, weight.transpose(0, 1), bias)


def by_einsum(x, weight, bias):
    return torch.einsum("...i,io->...o", x, weight) + bias


def by_addmm(x, weight, bias):
    return flattened(x, weight, bias).view(*x.shape[:-1], weight.shape[1])


def by_a_real_convolution(x, weight, bias):
    rows = x.reshape(1, -1, x.shape[-1]).mT
    turned = weight.T.unsqueeze(-1)  # (C_out, C_in, 1)
    moved = torch.nn.functional.conv1d(rows, turned, bias)[0].T
    return moved.reshape(*x.shape[:-1], -1)


def draw_projections(draw: random.Random) -> list[Case]:
    shapes = [
        ((1,), 2),
        ((2,), 3),
        ((1, 2), 2),
        ((2, 2), 2),
        ((2, 3), 2),
        ((1, 2, 3), 3),
        ((2, 2, 2), 4),
        ((2, 3, 4), 4),
        ((2, 3, 4), 12),
        ((3, 2, 6), 5),
        ((2, 5, 8), 8),
    ]
    cases: list[Case] = [
        {
            "x": normal(draw, *shape),
            "weight": normal(draw, shape[-1], width),
            "bias": normal(draw, width),
        }
        for shape, width in shapes
    ]
    double = [normal(draw, *shape, dtype=torch.float64) for shape in [(2, 3), (3, 4), (4,)]]
    cases.append(dict(zip(("x", "weight", "bias"), double, strict=True)))
    cases += [learning(cases[2]), learning(cases[5])]
    return cases


CONV1D = Exercise(
    answer="minilm.layers:conv1d",
    lesson=LESSON,
    cases=draw_projections,
    reference=asked(reference_conv1d),
    use=use_with_gradients,
    reference_name="transformers' Conv1D",
    compare=alike_with_gradients(),
    mistakes=[
        Mistake(
            "turns the weight round",
            projecting(lambda weight, x: weight.T),
            "You multiply by the weight's transpose, as nn.Linear and F.linear do. GPT-2's lies as "
            "(in, out) already. Where it is not square the shapes say so; where it is, as in attention's "
            "c_proj, nothing does.",
        ),
        Mistake(
            "turns it round wherever that fits",
            projecting(whichever_fits),
            "You look at the shape to see which way the weight lies. A square one fits both ways, "
            "and you guess wrong. It always lies as (in, out).",
        ),
        Mistake(
            "reshapes instead of transposing",
            reshaped,
            "`view` and `reshape` to (out, in) give the shape that F.linear wants and tear the "
            "rows apart. Transposing moves the numbers along.",
        ),
        Mistake(
            "forgets the bias",
            lambda x, weight, bias: x @ weight,
            "The bias is not used. It is 0 in a new model, so that only a trained one shows it.",
        ),
        Mistake(
            "subtracts the bias",
            lambda x, weight, bias: x @ weight - bias,
            "The bias is subtracted; it is added.",
        ),
        Mistake(
            "adds the bias first",
            lambda x, weight, bias: (x + bias) @ weight,
            "You add the bias to x, so it goes through the weight. It belongs to what comes out: "
            "it has C_out numbers.",
        ),
        Mistake(
            "adds the bias to the tokens",
            lambda x, weight, bias: x @ weight + bias[:, None],
            "bias[:, None] gives each token one number. It has one number for each column: lined "
            "up from the right it fits as it is.",
        ),
        Mistake(
            "loses the shape of the batch",
            flattened,
            "The rows of all texts lie in one table (B·T, C_out). Give them back as they came: "
            "(..., C_out).",
        ),
        Mistake(
            "multiplies number by number",
            lambda x, weight, bias: x[..., None] * weight + bias,
            "x and weight are multiplied and never summed, so there is an axis too many. `@` sums "
            "over C_in.",
        ),
        Mistake(
            "adds x to it",
            lambda x, weight, bias: x + x @ weight + bias,
            "x itself is added on top. That is the block's business; a projection is x @ weight + "
            "bias.",
        ),
        Mistake(
            "takes the first text only",
            first_text_only,
            "Only x[0] is projected. `@` takes all axes before the last along.",
        ),
        Mistake(
            "loses the gradients",
            lambda x, weight, bias: (x @ weight + bias).detach(),
            NO_GRADIENTS,
        ),
    ],
    accepts=[by_columns, by_linear_turned, by_einsum, by_addmm, by_a_real_convolution],
)
