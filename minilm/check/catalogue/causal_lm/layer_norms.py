"""The exercise layer_norm and its known mistakes."""

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


def reference_layer_norm(x, weight, bias, eps=1e-5):
    """The module that transformers' GPT-2 takes for ln_1, ln_2 and ln_f."""
    from transformers.models.gpt2.modeling_gpt2 import nn

    module = nn.LayerNorm(x.shape[-1], eps=eps).to(x.dtype)
    return torch.func.functional_call(module, {"weight": weight, "bias": bias}, x)


def mean(x, dim=-1):
    return x.mean(dim, keepdim=True)


def root(x):
    return x.sqrt()


def norming(
    center: Callable = lambda x: x - mean(x),
    spread: Callable = lambda x: mean((x - mean(x)).pow(2)),
    divisor: Callable = lambda variance, eps: root(variance + eps),
    shape: Callable = lambda x, weight, bias: x * weight + bias,
    told: Callable = lambda eps: eps,
) -> Callable:
    """Make a layer_norm that takes one of its steps in another way."""

    def layer_norm(x, weight, bias, eps=1e-5):
        return shape(center(x) / divisor(spread(x), told(eps)), weight, bias)

    return layer_norm


def over(*dims: int) -> Callable:
    """Make a layer_norm that takes mean and variance over other axes."""

    def layer_norm(x, weight, bias, eps=1e-5):
        centered = x - x.mean(dims, keepdim=True)
        variance = centered.pow(2).mean(dims, keepdim=True)
        return centered / (variance + eps).sqrt() * weight + bias

    return layer_norm


def over_everything(x, weight, bias, eps=1e-5):
    centered = x - x.mean()
    return centered / (centered.pow(2).mean() + eps).sqrt() * weight + bias


def without_keepdim(x, weight, bias, eps=1e-5):
    centered = x - x.mean(-1)
    variance = centered.pow(2).mean(-1)
    return centered / (variance + eps).sqrt() * weight + bias


def in_place(x, weight, bias, eps=1e-5):
    x -= x.mean(-1, keepdim=True)
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight + bias


def parameters_of_its_own(x, weight, bias, eps=1e-5):
    module = torch.nn.LayerNorm(x.shape[-1], eps=eps)
    module.weight, module.bias = (torch.nn.Parameter(each) for each in (weight, bias))
    return module(x)


def always_float(x, weight, bias, eps=1e-5):
    return norming()(x.float(), weight.float(), bias.float(), eps)


def by_torch(x, weight, bias, eps=1e-5):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)


def by_var_mean(x, weight, bias, eps=1e-5):
    variance, middle = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
    return (x - middle) / torch.sqrt(variance + eps) * weight + bias


def by_mean_of_squares(x, weight, bias, eps=1e-5):
    wide = x.double()
    middle = wide.mean(-1, keepdim=True)
    variance = (wide * wide).mean(-1, keepdim=True) - middle**2
    normed = (wide - middle) * torch.rsqrt(variance + eps)
    return (normed * weight + bias).to(x.dtype)


def by_vectors(x, weight, bias, eps=1e-5):
    rows = []
    for row in x.reshape(-1, x.shape[-1]):
        middle = sum(row) / len(row)
        variance = sum((number - middle) ** 2 for number in row) / len(row)
        rows.append((row - middle) / (variance + eps) ** 0.5 * weight + bias)
    return torch.stack(rows).reshape(x.shape)


def by_length(x, weight, bias, eps=1e-5):
    centered = x - x.mean(-1, keepdim=True)
    squares = torch.linalg.vector_norm(centered, dim=-1, keepdim=True).square()
    return weight * centered / (squares / x.shape[-1] + eps).sqrt() + bias


def draw_vectors(draw: random.Random) -> list[Case]:
    cases: list[Case] = []

    def add(*shape: int, scale: float = 1.0, at: float = 0.0, dtype: Any = None, **rest: Any):
        digits = 1 if scale >= 1 else 4
        x = normal(draw, *shape, scale=scale, digits=digits, dtype=dtype) + at
        weight = 1 + normal(draw, shape[-1], scale=0.5, dtype=dtype)
        bias = normal(draw, shape[-1], scale=0.5, dtype=dtype)
        cases.append({"x": x, "weight": weight, "bias": bias, **rest})

    add(2, at=1.0)
    for shape in [(1, 2), (2, 2), (2, 3), (3, 3), (1, 2, 3), (2, 1, 4), (2, 3, 4), (3, 4, 5)]:
        add(*shape, at=draw.choice([1.0, -2.0]))
    add(2, 3, 4, scale=3.0, at=5.0)
    # Small vectors, among which eps is seen.
    add(2, 3, scale=0.004)
    add(2, 3, 4, scale=0.004, at=0.01)
    add(2, 3, scale=0.01, eps=1e-12)
    add(2, 3, 4, eps=0.1)
    add(3, 2, 5, scale=0.1, eps=1e-3)
    # All numbers alike: no variance.
    level = torch.full((2, 3), draw.choice([1.0, -2.0, 4.0]))
    weight, bias = normal(draw, 3), normal(draw, 3)
    cases.append({"x": level, "weight": weight, "bias": bias})
    add(2, 3, 4, at=1.0, dtype=torch.float64)
    add(2, 5, 16, at=0.5)
    # In float64: the gradients of a vector whose numbers are nearly alike are large, and so is
    # their noise.
    wide = {name: value.double() for name, value in cases[7].items()}
    cases.append(learning(wide))
    return cases


LAYER_NORM = Exercise(
    answer="minilm.layers:layer_norm",
    lesson=LESSON,
    cases=draw_vectors,
    reference=asked(reference_layer_norm),
    use=use_with_gradients,
    reference_name="the LayerNorm of transformers' GPT-2",
    compare=alike_with_gradients(),
    mistakes=[
        Mistake(
            "never takes the mean away",
            norming(lambda x: x, lambda x: mean(x.pow(2))),
            "The mean is never subtracted, so the vectors keep it. That is RMSNorm, which comes "
            "later in this lesson; GPT-2 was trained with the mean taken away.",
        ),
        Mistake(
            "takes the mean away from the squares only",
            norming(center=lambda x: x),
            "The variance is right, and what you divide is still x with its mean. Divide the "
            "centred vector.",
        ),
        Mistake(
            "squares x instead of its distance from the mean",
            norming(spread=lambda x: mean(x.pow(2))),
            "You take the mean of x², which is the variance only where the mean is 0. Square what "
            "is left when the mean has been taken away.",
        ),
        Mistake(
            "divides the variance by C - 1",
            norming(spread=lambda x: x.var(-1, keepdim=True)),
            "`var` and `std` divide by C - 1 unless told otherwise. Here the C numbers are all "
            "there are: unbiased=False, or the mean of the squares. With 768 numbers the "
            "difference is too small to see in a text, and it is there in every layer.",
        ),
        Mistake(
            "adds eps outside the root",
            norming(divisor=lambda variance, eps: root(variance) + eps),
            "You add eps to the standard deviation. It belongs to the variance, inside the root: "
            "√(variance + eps). With vectors of ordinary size the two can hardly be told apart.",
        ),
        Mistake(
            "divides by C - 1, and adds eps outside the root",
            norming(
                spread=lambda x: x.var(-1, keepdim=True),
                divisor=lambda variance, eps: root(variance) + eps,
            ),
            "(x - mean) / (x.std() + eps): `std` divides by C - 1, and eps stands outside the root. "
            "This LayerNorm is in many tutorials, and in no checkpoint.",
        ),
        Mistake(
            "squares eps",
            norming(divisor=lambda variance, eps: root(variance + eps**2)),
            "You add eps² to the variance, which is next to nothing. It is eps itself that is "
            "added, inside the root.",
        ),
        Mistake(
            "takes eps for a floor",
            norming(divisor=lambda variance, eps: root(variance).clamp(min=eps)),
            "`clamp` lets eps count for the smallest vectors only. It is added to the variance of "
            "every vector, inside the root.",
        ),
        Mistake(
            "has no eps",
            norming(divisor=lambda variance, eps: root(variance)),
            "eps is not used. Where all numbers of a vector are alike you divide 0 by 0, which is "
            "NaN, and small vectors come out too large.",
        ),
        Mistake(
            "knows one eps only",
            norming(told=lambda eps: 1e-5),
            "You always take 1e-5, whatever `eps` says. BERT's is 1e-12.",
        ),
        Mistake(
            "leaves eps to torch",
            norming(told=lambda eps: 1e-6),
            "You always take 1e-6, whatever `eps` says. GPT-2's is 1e-5.",
        ),
        Mistake(
            "divides by the variance",
            norming(divisor=lambda variance, eps: variance + eps),
            "The root is missing: you divide by the variance. A vector twice as long then comes "
            "out half as long.",
        ),
        Mistake(
            "multiplies by the root",
            norming(divisor=lambda variance, eps: 1 / root(variance + eps)),
            "You multiply by the standard deviation. Divide by it (`rsqrt` is 1/√), so that every "
            "vector gets the same size.",
        ),
        Mistake(
            "forgets weight and bias",
            norming(shape=lambda x, weight, bias: x),
            "The vectors are normed, and weight and bias are not used. In a new model they are 1 "
            "and 0 and nobody notices; in a trained one they carry a good part of what it knows.",
        ),
        Mistake(
            "forgets the weight",
            norming(shape=lambda x, weight, bias: x + bias),
            "The weight is not used. It is 1 in a new model, so that only a trained one shows it.",
        ),
        Mistake(
            "forgets the bias",
            norming(shape=lambda x, weight, bias: x * weight),
            "The bias is not used. It is 0 in a new model, so that only a trained one shows it.",
        ),
        Mistake(
            "adds the bias before the weight",
            norming(shape=lambda x, weight, bias: (x + bias) * weight),
            "You add the bias first, and then the weight scales it too. Scale, then shift.",
        ),
        Mistake(
            "exchanges weight and bias",
            norming(shape=lambda x, weight, bias: x * bias + weight),
            "The bias multiplies and the weight is added. Exchange the two.",
        ),
        Mistake(
            "norms over axis 1",
            over(1),
            "dim=1 is the last axis where there are two. Of (B, T, C) it is the tokens, and each "
            "is mixed with those that come after it. dim=-1 is the last one always.",
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
            "Mean and variance are taken over dim -2, so each token is mixed with the others, also "
            "with those that come after it. Each vector is normed by itself: dim=-1.",
        ),
        Mistake(
            "norms over the first axis",
            over(0),
            "Mean and variance are taken over dim 0, as batch norm does. What a text comes out as "
            "then depends on the texts beside it. Each vector is normed by itself: dim=-1.",
        ),
        Mistake(
            "norms each text as a whole",
            over(-2, -1),
            "Mean and variance are taken over tokens and numbers together, so a token also sees "
            "those that come after it. Each vector is normed by itself: dim=-1 alone.",
        ),
        Mistake(
            "norms everything at once",
            over_everything,
            "`x.mean()` without a dim is the mean of the whole batch. Each vector is normed by "
            "itself: dim=-1, and keepdim=True.",
        ),
        Mistake(
            "forgets keepdim",
            without_keepdim,
            "The mean over dim=-1 has one axis less. Lined up from the right, the tokens' means "
            "meet the numbers of a vector: an error, or nonsense where there are as many tokens as "
            "numbers. keepdim=True.",
        ),
        Mistake(
            "writes into x",
            in_place,
            "`x -= …` changes the tensor that was handed in. It is the residual stream, and it is "
            "still needed as it was: x - mean makes a new one.",
        ),
        Mistake(
            "always float32",
            always_float,
            "float64 comes out as float32. It is right to widen smaller dtypes; give the answer "
            "back in the dtype of x.",
        ),
        Mistake(
            "makes parameters of its own",
            parameters_of_its_own,
            "`nn.Parameter(weight)` is a new parameter with the same numbers. It gets the "
            "gradient, and the weight that was handed in never learns. F.layer_norm takes both "
            "as they are.",
        ),
        Mistake(
            "loses the gradients",
            lambda x, weight, bias, eps=1e-5: norming()(x, weight, bias, eps).detach(),
            NO_GRADIENTS,
        ),
    ],
    accepts=[norming(), by_torch, by_var_mean, by_mean_of_squares, by_vectors, by_length],
)
