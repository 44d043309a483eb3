"""The exercises gelu_new and swiglu, and their known mistakes."""

from __future__ import annotations

import math
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

ROOT = math.sqrt(2 / math.pi)
BEND = 0.044715


def reference_gelu_new(x):
    from transformers.activations import ACT2FN

    return ACT2FN["gelu_new"](x)


def bending(
    inner: Callable = lambda x: ROOT * (x + BEND * x**3),
    gate: Callable = lambda z: 1 + torch.tanh(z),
    outer: Callable = lambda x, gate: 0.5 * x * gate,
) -> Callable:
    """Make a gelu_new that takes one of its steps in another way."""
    return lambda x: outer(x, gate(inner(x)))


def tanh_by_powers(z):
    powers = torch.exp(2 * z)
    return (powers - 1) / (powers + 1)


def gelu_by_torch(x):
    return torch.nn.functional.gelu(x, approximate="tanh")


def gelu_by_sigmoid(x):
    return x * torch.sigmoid(2 * ROOT * (x + BEND * x * x * x))


def gelu_by_numbers(x):
    def one(number):
        return number / 2 * (1 + math.tanh(ROOT * (number + BEND * number**3)))

    return torch.tensor([one(n) for n in x.flatten().tolist()], dtype=x.dtype).reshape(x.shape)


def gelu_in_parts(x):
    cube = torch.pow(x, 3.0)
    z = (x + BEND * cube) * ROOT
    return x.mul(0.5).mul(torch.tanh(z).add(1.0))


def draw_numbers(draw: random.Random) -> list[Case]:
    shapes = [(2,), (3,), (5,), (2, 2), (2, 3), (1, 2, 4), (2, 3, 4)]
    cases = [{"x": torch.tensor([1.0])}, {"x": torch.tensor([-1.0, 2.0])}]
    cases += [{"x": normal(draw, *shape, scale=2.0)} for shape in shapes]
    cases.append({"x": torch.tensor([draw.choice([60.0, 80.0]), -draw.choice([50.0, 90.0]), 0.0])})
    cases.append({"x": normal(draw, 3, 4, scale=2.0, dtype=torch.float64)})
    cases.append({"x": normal(draw, 4, 5, 6, scale=1.5, digits=None)})
    cases += [learning(cases[2]), learning(cases[5])]
    return cases


GELU_NEW = Exercise(
    answer="minilm.layers:gelu_new",
    lesson=LESSON,
    cases=draw_numbers,
    reference=asked(reference_gelu_new),
    use=use_with_gradients,
    reference_name="transformers' NewGELUActivation",
    # Finer than elsewhere, or 0.0447 would pass for 0.044715.
    compare=alike_with_gradients(3e-6),
    mistakes=[
        Mistake(
            "takes the exact GELU",
            lambda x: torch.nn.functional.gelu(x),
            "This is GELU by way of erf, torch's default, and BERT's. GPT-2 was trained with the "
            "tanh approximation; the two differ by up to 0.0005, in every layer.",
        ),
        Mistake(
            "takes the quick GELU",
            lambda x: x * torch.sigmoid(1.702 * x),
            "x · sigmoid(1.702 x) is a rougher approximation, which CLIP uses. GPT-2's goes by way "
            "of tanh and x³.",
        ),
        Mistake(
            "takes SiLU",
            lambda x: x * torch.sigmoid(x),
            "x · sigmoid(x) is SiLU, also called Swish: Llama's. GPT-2's GELU goes by way of tanh "
            "and x³.",
        ),
        Mistake(
            "takes ReLU",
            lambda x: torch.relu(x),
            "ReLU cuts negative numbers off. GELU lets small ones through, the less the lower.",
        ),
        Mistake(
            "forgets the cube",
            bending(lambda x: ROOT * x),
            "The x³ inside the tanh is missing. Without it the curve is off by up to a few "
            "hundredths around 2.",
        ),
        Mistake(
            "takes the square for the cube",
            bending(lambda x: ROOT * (x + BEND * x**2)),
            "You add 0.044715 x², and it is x³. The square has lost the sign, so negative numbers "
            "come out wrong.",
        ),
        Mistake(
            "cubes the constant too",
            bending(lambda x: ROOT * (x + (BEND * x) ** 3)),
            "(0.044715 x)³ cubes the constant as well, and next to nothing is left of it. "
            "0.044715 · x³.",
        ),
        Mistake(
            "subtracts the cube",
            bending(lambda x: ROOT * (x - BEND * x**3)),
            "The cube is subtracted; it is added.",
        ),
        Mistake(
            "has the comma of the constant one place to the right",
            bending(lambda x: ROOT * (x + 10 * BEND * x**3)),
            "The constant is 0.044715, not 0.44715: count the zeros.",
        ),
        Mistake(
            "has the comma of the constant one place to the left",
            bending(lambda x: ROOT * (x + BEND / 10 * x**3)),
            "The constant is 0.044715, not 0.0044715: count the zeros.",
        ),
        Mistake(
            "rounds the constant",
            bending(lambda x: ROOT * (x + round(BEND, 4) * x**3)),
            "The constant is 0.044715, with all its digits. The curve of 0.0447 is nearly the same "
            "and another.",
        ),
        Mistake(
            "rounds the factor",
            bending(lambda x: 0.8 * (x + BEND * x**3)),
            "√(2/π) is 0.79788…, not 0.8. Let `math.sqrt(2 / math.pi)` have all the digits.",
        ),
        Mistake(
            "scales x alone",
            bending(lambda x: ROOT * x + BEND * x**3),
            "√(2/π) multiplies x and not the cube. It stands before the bracket: "
            "√(2/π) · (x + 0.044715 x³).",
        ),
        Mistake(
            "takes no root of 2/π",
            bending(lambda x: 2 / math.pi * (x + BEND * x**3)),
            "The factor before the bracket is the root of 2/π, 0.798; you take 2/π, 0.637.",
        ),
        Mistake(
            "takes the root of 2π",
            bending(lambda x: math.sqrt(2 * math.pi) * (x + BEND * x**3)),
            "The factor before the bracket is √(2/π), 0.798; you take √(2π), 2.507.",
        ),
        Mistake(
            "takes the root of 2 alone",
            bending(lambda x: math.sqrt(2) / math.pi * (x + BEND * x**3)),
            "The root ends too early: √2/π instead of √(2/π).",
        ),
        Mistake(
            "forgets the factor before the bracket",
            bending(lambda x: x + BEND * x**3),
            "√(2/π) is missing before the bracket.",
        ),
        Mistake(
            "forgets the half",
            bending(outer=lambda x, gate: x * gate),
            "1 + tanh goes from 0 to 2, so large numbers come out twice as large. Take half.",
        ),
        Mistake(
            "forgets the one",
            bending(gate=lambda z: torch.tanh(z)),
            "tanh goes from -1 to 1, so negative numbers come out positive. 1 + tanh goes from 0 "
            "to 2.",
        ),
        Mistake(
            "returns the gate alone",
            bending(outer=lambda x, gate: 0.5 * gate),
            "This is the share of x that is let through, a number from 0 to 1. Multiply x by it.",
        ),
        Mistake(
            "leaves the tanh out",
            bending(gate=lambda z: 1 + z),
            "What stands inside the tanh is used as it is. tanh keeps it between -1 and 1.",
        ),
        Mistake(
            "takes the sigmoid for the tanh",
            bending(gate=lambda z: 1 + torch.sigmoid(z)),
            "1 + sigmoid goes from 1 to 2, so nothing is ever shut. It is tanh; or "
            "x · sigmoid(2 · …), which is the same.",
        ),
        Mistake(
            "opens the sigmoid half as fast",
            lambda x: x * torch.sigmoid(ROOT * (x + BEND * x**3)),
            "(1 + tanh(z)) / 2 is sigmoid(2z). The 2 is missing.",
        ),
        Mistake(
            "overflows",
            bending(gate=lambda z: 1 + tanh_by_powers(z)),
            "tanh by way of exp: for large x both powers are infinite, and ∞/∞ is NaN. "
            "`torch.tanh` knows better.",
        ),
        Mistake(
            "loses the gradients",
            gelu_by_numbers,
            NO_GRADIENTS,
        ),
    ],
    accepts=[bending(), gelu_by_torch, gelu_by_sigmoid, gelu_in_parts],
)


def reference_swiglu(gate, up):
    """Llama's own network; its matrices pick gate and up apart, and give the product as it is."""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaMLP

    F = gate.shape[-1]
    config = LlamaConfig(hidden_size=2 * F, intermediate_size=F, num_attention_heads=1)
    module = LlamaMLP(config).to(gate.dtype)
    everything = torch.eye(2 * F, dtype=gate.dtype)
    with torch.no_grad():
        module.gate_proj.weight.copy_(everything[:F])
        module.up_proj.weight.copy_(everything[F:])
        module.down_proj.weight.copy_(everything[:, :F])
    return module(torch.cat([gate, up], dim=-1))[..., :F]


def gating(act: Callable, mix: Callable = lambda gate, up: gate * up) -> Callable:
    """Make a swiglu with another activation, or another way to put gate and up together."""
    return lambda gate, up: mix(act(gate), up)


def silu(x):
    return x * torch.sigmoid(x)


def swiglu_by_torch(gate, up):
    return torch.nn.functional.silu(gate).mul(up)


def swiglu_by_division(gate, up):
    return up * gate / (1 + torch.exp(-gate))


def swiglu_by_numbers(gate, up):
    pairs = zip(gate.flatten().tolist(), up.flatten().tolist(), strict=True)
    numbers = [g * u * (1 + math.tanh(g / 2)) / 2 for g, u in pairs]
    return torch.tensor(numbers, dtype=gate.dtype).reshape(gate.shape)


def swiglu_by_powers(gate, up):
    return torch.mul(gate, up) * (1 + torch.tanh(gate / 2)) / 2


def powers_above_and_below(x):
    return x * torch.exp(x) / (1 + torch.exp(x))


def in_place(gate, up):
    gate *= torch.sigmoid(gate)
    return gate * up


def draw_pairs(draw: random.Random) -> list[Case]:
    shapes = [(2,), (3,), (2, 2), (2, 3), (1, 2, 4), (2, 3, 4), (2, 3, 8)]
    cases: list[Case] = [{"gate": torch.tensor([1.0]), "up": torch.tensor([2.0])}]
    cases += [
        {"gate": normal(draw, *shape, scale=2.0), "up": normal(draw, *shape, scale=2.0)}
        for shape in shapes
    ]
    large = torch.tensor([draw.choice([100.0, 200.0]), -20.0, 0.0])
    cases.append({"gate": large, "up": normal(draw, 3)})
    double = [normal(draw, 2, 3, 4, scale=2.0, dtype=torch.float64) for _ in range(2)]
    cases.append({"gate": double[0], "up": double[1]})
    cases += [learning(cases[2]), learning(cases[5])]
    return cases


SWIGLU = Exercise(
    answer="minilm.layers:swiglu",
    lesson=LESSON,
    cases=draw_pairs,
    reference=asked(reference_swiglu),
    use=use_with_gradients,
    reference_name="transformers' LlamaMLP",
    compare=alike_with_gradients(),
    mistakes=[
        Mistake(
            "bends up instead of gate",
            lambda gate, up: gate * silu(up),
            "silu is on the other one. Both are projections of the same vector and have the same "
            "shape, so nothing but a comparison tells them apart.",
        ),
        Mistake(
            "bends both",
            lambda gate, up: silu(gate) * silu(up),
            "silu is on both. Only the gate is bent; what it lets through stays as it is.",
        ),
        Mistake(
            "bends the product",
            lambda gate, up: silu(gate * up),
            "silu comes after the product. It bends the gate, before.",
        ),
        Mistake(
            "bends nothing",
            lambda gate, up: gate * up,
            "Nothing is bent: gate · up. The gate goes through silu first.",
        ),
        Mistake(
            "takes the sigmoid for silu",
            gating(lambda x: torch.sigmoid(x)),
            "sigmoid(gate) · up is the first gated unit, GLU. silu(x) is x · sigmoid(x): the gate "
            "is multiplied in as well.",
        ),
        Mistake(
            "lets up open the gate",
            lambda gate, up: gate * torch.sigmoid(up),
            "gate · sigmoid(up): that is GLU with the two exchanged. It is silu(gate) · up.",
        ),
        Mistake(
            "takes the exact GELU",
            gating(lambda x: torch.nn.functional.gelu(x)),
            "GELU for the gate makes GEGLU. Llama's gate goes through silu, x · sigmoid(x).",
        ),
        Mistake(
            "takes GPT-2's GELU",
            gating(lambda x: torch.nn.functional.gelu(x, approximate="tanh")),
            "GELU for the gate makes GEGLU, as Gemma has it. Llama's gate goes through silu, "
            "x · sigmoid(x).",
        ),
        Mistake(
            "takes ReLU",
            gating(lambda x: torch.relu(x)),
            "ReLU for the gate makes ReGLU. Llama's gate goes through silu, x · sigmoid(x), which "
            "lets small negative numbers through.",
        ),
        Mistake(
            "takes tanh",
            gating(lambda x: torch.tanh(x)),
            "tanh(gate) · up: Llama's gate goes through silu, x · sigmoid(x).",
        ),
        Mistake(
            "takes the quick GELU",
            gating(lambda x: x * torch.sigmoid(1.702 * x)),
            "x · sigmoid(1.702 x) is an approximation of GELU. silu has no constant: x · sigmoid(x).",
        ),
        Mistake(
            "forgets up",
            lambda gate, up: silu(gate),
            "up is not used. The gate alone says how far to open; up is what goes through.",
        ),
        Mistake(
            "adds instead of multiplying",
            gating(silu, lambda gate, up: gate + up),
            "You add the two. A gate multiplies: where it is 0, nothing gets through.",
        ),
        Mistake(
            "puts both side by side",
            gating(silu, lambda gate, up: torch.cat([gate, up], dim=-1)),
            "The answer is twice as wide. Multiply number by number.",
        ),
        Mistake(
            "divides the gate out among its numbers",
            gating(lambda x: x.softmax(-1)),
            "softmax lets the numbers of the gate compete. Each opens by itself: x · sigmoid(x).",
        ),
        Mistake(
            "overflows",
            gating(powers_above_and_below),
            "exp(100) is too large for float32, and ∞/∞ is NaN. 1 / (1 + exp(-x)), or "
            "`torch.sigmoid`, is the same and never overflows.",
        ),
        Mistake(
            "writes into the gate",
            in_place,
            "`gate *= …` changes the tensor that was handed in; the gradients still need it as it "
            "was. gate * … makes a new one.",
        ),
        Mistake(
            "loses the gradients",
            swiglu_by_numbers,
            NO_GRADIENTS,
        ),
    ],
    accepts=[gating(silu), swiglu_by_torch, swiglu_by_division, swiglu_by_powers],
)
