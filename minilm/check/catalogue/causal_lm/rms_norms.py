"""The exercise rms_norm and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

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


def reference_rms_norm(x, weight, eps=1e-6):
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    module = LlamaRMSNorm(x.shape[-1], eps=eps).to(x.dtype)
    return torch.func.functional_call(module, {"weight": weight}, x)


def mean_square(x, dim=-1):
    return x.pow(2).mean(dim, keepdim=True)


def norming(
    size: Callable = mean_square,
    divisor: Callable = lambda square, eps: (square + eps).sqrt(),
    center: Callable = lambda x: x,
    shape: Callable = lambda x, weight: x * weight,
    told: Callable = lambda eps: eps,
) -> Callable:
    """Make an rms_norm that takes one of its steps in another way."""

    def rms_norm(x, weight, eps=1e-6):
        wide = center(x.to(torch.promote_types(x.dtype, torch.float32)))
        return shape((wide / divisor(size(wide), told(eps))).to(x.dtype), weight)

    return rms_norm


def over(*dims: int) -> Callable:
    """Make an rms_norm that takes the mean square over other axes."""

    def rms_norm(x, weight, eps=1e-6):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        square = wide.pow(2).mean(dims, keepdim=True)
        return weight * (wide / (square + eps).sqrt()).to(x.dtype)

    return rms_norm


def in_its_own_dtype(x, weight, eps=1e-6):
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight


def stays_wide(x, weight, eps=1e-6):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return wide / (mean_square(wide) + eps).sqrt() * weight


def without_keepdim(x, weight, eps=1e-6):
    wide = x.float()
    return (wide / (wide.pow(2).mean(-1) + eps).sqrt()).to(x.dtype) * weight


def in_place(x, weight, eps=1e-6):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    x *= torch.rsqrt(mean_square(wide) + eps).to(x.dtype)
    return x * weight


def by_torch(x, weight, eps=1e-6):
    return torch.nn.functional.rms_norm(x.float(), x.shape[-1:], None, eps).to(x.dtype) * weight


def by_length(x, weight, eps=1e-6):
    wide = x.double()
    squares = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square() / x.shape[-1]
    return weight * (wide / torch.sqrt(squares + eps)).to(x.dtype)


def by_vectors(x, weight, eps=1e-6):
    rows = []
    for row in x.float().reshape(-1, x.shape[-1]):
        square = sum(number * number for number in row) / len(row)
        rows.append((row / (square + eps) ** 0.5).to(x.dtype) * weight)
    return torch.stack(rows).reshape(x.shape)


def scaled_at_the_end(x, weight, eps=1e-6):
    wide, scale = x.to(torch.float32), weight.to(torch.float32)
    root = torch.einsum("...c,...c->...", wide, wide).div(x.shape[-1]).add(eps).rsqrt()
    return (scale * wide * root[..., None]).type_as(x)


def draw_vectors(draw: random.Random) -> list[Case]:
    cases: list[Case] = []

    def add(*shape: int, scale: float = 1.0, at: float = 0.0, dtype: Any = None, **rest: Any):
        digits = 1 if scale >= 1 else 5
        x = normal(draw, *shape, scale=scale, digits=digits, dtype=dtype) + at
        weight = 1 + normal(draw, shape[-1], scale=0.5, dtype=dtype)
        cases.append({"x": x, "weight": weight, **rest})

    add(2, at=1.0)
    for shape in [(1, 2), (2, 2), (2, 3), (3, 3), (1, 2, 3), (2, 1, 4), (2, 3, 4), (3, 4, 5)]:
        add(*shape, at=draw.choice([1.0, -2.0]))
    add(2, 3, 4, scale=3.0, at=5.0)
    # Small vectors, among which eps is seen.
    add(2, 3, scale=0.002)
    add(2, 3, 4, scale=0.001)
    add(2, 3, scale=0.01, eps=1e-5)
    add(2, 3, 4, eps=0.1)
    add(3, 2, 5, scale=0.1, eps=1e-3)
    zeros = torch.zeros(2, 3)
    cases.append({"x": zeros, "weight": normal(draw, 3)})
    add(2, 3, 4, at=1.0, dtype=torch.float64)
    add(2, 3, 4, at=1.0, dtype=torch.bfloat16)
    # 300² is more than float16 holds.
    add(2, 3, scale=100.0, at=300.0, dtype=torch.float16)
    add(2, 3, 4, scale=200.0, at=300.0, dtype=torch.float16)
    add(2, 5, 16, at=0.5)
    # In float64: the gradients of a vector whose numbers are nearly alike are large, and so is
    # their noise.
    wide = {name: value.double() for name, value in cases[7].items()}
    cases.append(learning(wide))
    return cases


RMS_NORM = Exercise(
    answer="minilm.layers:rms_norm",
    lesson=LESSON,
    cases=draw_vectors,
    reference=asked(reference_rms_norm),
    use=use_with_gradients,
    reference_name="transformers' LlamaRMSNorm",
    compare=alike_with_gradients(),
    mistakes=[
        Mistake(
            "takes the mean away",
            norming(center=lambda x: x - x.mean(-1, keepdim=True)),
            "You subtract the mean first: that is LayerNorm without a bias. RMSNorm leaves the "
            "mean in, and saves the work.",
        ),
        Mistake(
            "takes the mean away from the squares only",
            norming(size=lambda x: x.var(-1, unbiased=False, keepdim=True)),
            "You divide by the standard deviation, which is measured from the mean. RMSNorm "
            "measures from 0: the mean of x².",
        ),
        Mistake(
            "divides by torch's std",
            norming(size=lambda x: x.var(-1, keepdim=True)),
            "`std` and `var` measure from the mean, and divide by C - 1. RMSNorm takes the mean of "
            "x² as it is.",
        ),
        Mistake(
            "divides the mean square by C - 1",
            norming(size=lambda x: x.pow(2).sum(-1, keepdim=True) / max(x.shape[-1] - 1, 1)),
            "The sum of the squares is divided by C - 1. The C numbers are all there are: divide by C.",
        ),
        Mistake(
            "adds eps outside the root",
            norming(divisor=lambda square, eps: square.sqrt() + eps),
            "You add eps to the root. It belongs inside: √(mean of x² + eps). With vectors of "
            "ordinary size the two can hardly be told apart.",
        ),
        Mistake(
            "squares eps",
            norming(divisor=lambda square, eps: (square + eps**2).sqrt()),
            "You add eps² to the mean square, which is next to nothing. It is eps itself that is "
            "added, inside the root.",
        ),
        Mistake(
            "takes eps for a floor",
            norming(divisor=lambda square, eps: square.sqrt().clamp(min=eps)),
            "`clamp` lets eps count for the smallest vectors only. It is added to the mean square "
            "of every vector, inside the root.",
        ),
        Mistake(
            "leaves eps to torch",
            lambda x, weight, eps=1e-6: torch.nn.functional.rms_norm(x, x.shape[-1:], weight),
            "Without an eps F.rms_norm takes the smallest number that the dtype can add to 1, "
            "1.2e-07 for float32. Hand yours on.",
        ),
        Mistake(
            "has no eps",
            norming(divisor=lambda square, eps: square.sqrt()),
            "eps is not used: a vector of zeros gives 0/0, which is NaN, and small vectors come "
            "out too large.",
        ),
        Mistake(
            "knows one eps only",
            norming(told=lambda eps: 1e-6),
            "You always take 1e-6, whatever `eps` says. Llama 2's is 1e-5.",
        ),
        Mistake(
            "keeps LayerNorm's eps",
            norming(told=lambda eps: 1e-5),
            "You always take 1e-5, whatever `eps` says. The default here is 1e-6.",
        ),
        Mistake(
            "takes the sum of the squares",
            norming(size=lambda x: x.pow(2).sum(-1, keepdim=True)),
            "You divide by the length, the root of the *sum*, so every vector gets the length 1. "
            "Take the mean of the squares: the numbers then are about 1, however many there are.",
        ),
        Mistake(
            "divides by the mean of the sizes",
            norming(
                size=lambda x: x.abs().mean(-1, keepdim=True),
                divisor=lambda square, eps: square + eps,
            ),
            "You divide by the mean of |x|. RMS is the root of the mean of the squares, in which "
            "large numbers count for more.",
        ),
        Mistake(
            "divides by the mean square",
            norming(divisor=lambda square, eps: square + eps),
            "The root is missing. A vector twice as long then comes out half as long.",
        ),
        Mistake(
            "multiplies by the root",
            norming(divisor=lambda square, eps: torch.rsqrt(square + eps)),
            "You multiply by the root mean square. Divide by it (`rsqrt` is 1/√).",
        ),
        Mistake(
            "forgets the weight",
            norming(shape=lambda x, weight: x),
            "The weight is not used. It is 1 in a new model, so that only a trained one shows it.",
        ),
        Mistake(
            "adds one to the weight",
            norming(shape=lambda x, weight: x * (1 + weight)),
            "You scale by 1 + weight. Gemma stores its weights so, around 0; Llama's stand around 1.",
        ),
        Mistake(
            "norms over axis 1",
            over(1),
            "dim=1 is the last axis where there are two. Of (B, T, C) it is the tokens, and each "
            "depends on those that come after it. dim=-1 is the last one always.",
        ),
        Mistake(
            "norms over axis 2",
            over(2),
            "dim=2 is the last axis where there are three, and x may have fewer or more. dim=-1 "
            "is the last one always.",
        ),
        Mistake(
            "norms over the tokens",
            over(-2),
            "The mean square is taken over dim -2, so each token depends on the others, also on "
            "those that come after it. Each vector is normed by itself: dim=-1.",
        ),
        Mistake(
            "norms over the first axis",
            over(0),
            "The mean square is taken over dim 0, so what a text comes out as depends on the texts "
            "beside it. Each vector is normed by itself: dim=-1.",
        ),
        Mistake(
            "norms everything at once",
            lambda x, weight, eps=1e-6: over(*range(x.dim()))(x, weight, eps),
            "`mean()` without a dim runs over the whole batch. Each vector is normed by itself: "
            "dim=-1, and keepdim=True.",
        ),
        Mistake(
            "forgets keepdim",
            without_keepdim,
            "The mean over dim=-1 has one axis less. Lined up from the right, the tokens' sizes "
            "meet the numbers of a vector: an error, or nonsense where there are as many tokens as "
            "numbers. keepdim=True.",
        ),
        Mistake(
            "squares in half precision",
            in_its_own_dtype,
            "float16 ends at 65,504, and 300² is more: the mean square is infinite, and the vector "
            "becomes zeros. Square in float32, then go back to the dtype of x.",
        ),
        Mistake(
            "changes the dtype",
            stays_wide,
            "Half precision comes out as float32. It is right to take the root in float32; then go "
            "back with `.to(x.dtype)`.",
        ),
        Mistake(
            "writes into x",
            in_place,
            "`x *= …` changes the tensor that was handed in. It is the residual stream, and it is "
            "still needed as it was.",
        ),
        Mistake(
            "loses the gradients",
            lambda x, weight, eps=1e-6: norming()(x, weight, eps).detach(),
            NO_GRADIENTS,
        ),
    ],
    accepts=[norming(), by_torch, by_length, by_vectors, scaled_at_the_end],
)
