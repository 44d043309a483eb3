"""The exercises rotary_frequencies and rotary_cos_sin, and their known mistakes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from minilm.check.comparing import alike
from minilm.check.exercise import Exercise, Mistake
from minilm.check.later import torch

LESSON = "03_positions"


def reference_frequencies(head_dim, base=10000.0):
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding as Llama

    config = SimpleNamespace(head_dim=head_dim, rope_parameters={"rope_theta": base})
    return Llama.compute_default_rope_parameters(config)[0]


def falling(
    exponent: Callable[[Any, int], Any] = lambda i, head_dim: 2 * i / head_dim,
    base_of: Callable[[float], float] = lambda base: base,
    finish: Callable[[Any], Any] = lambda frequencies: frequencies,
    double: bool = False,
) -> Callable[..., Any]:
    """Make a rotary_frequencies in which one step may be wrong."""

    def rotary_frequencies(head_dim, base=10000.0):
        i = torch.arange(head_dim // 2, dtype=torch.float64)
        frequencies = finish(base_of(base) ** -exponent(i, head_dim))
        return frequencies if double else frequencies.float()

    return rotary_frequencies


def frequencies_for_every_dimension(head_dim, base=10000.0):
    return base ** -(torch.arange(head_dim) / head_dim)


def frequencies_by_product(head_dim, base=10000.0):
    exponents = torch.arange(0, head_dim, 2).float() / head_dim
    return 1.0 / (base * exponents)


def falling_too_late(head_dim, base=10000.0):
    i = torch.arange(0, head_dim, 2)
    return 1.0 / base**i / head_dim


def frequencies_by_list(head_dim, base=10000.0):
    return torch.tensor([base ** (-2 * i / head_dim) for i in range(head_dim // 2)])


def frequencies_by_logarithm(head_dim, base=10000.0):
    steps = torch.arange(0, head_dim, 2, dtype=torch.float32)
    return torch.exp(-math.log(base) * steps / head_dim)


def frequencies_by_multiplying(head_dim, base=10000.0):
    frequencies = [1.0]
    while len(frequencies) < head_dim // 2:
        frequencies.append(frequencies[-1] / base ** (2 / head_dim))
    return torch.tensor(frequencies)


def draw_head_dims(draw: random.Random) -> list[dict]:
    cases: list[dict[str, Any]] = [{"head_dim": d} for d in (2, 4, 6, 8, 64, 128)]
    cases += [
        {"head_dim": d, "base": base}
        for d, base in [(4, 100.0), (6, 1000.0), (8, 500000.0), (10, 1e6), (80, 5e5), (32, 1e4)]
    ]
    for _ in range(4):
        cases.append({"head_dim": 2 * draw.randint(3, 60), "base": draw.uniform(50, 1e6)})
    return cases


ROTARY_FREQUENCIES = Exercise(
    answer="minilm.positions.rotary:rotary_frequencies",
    lesson=LESSON,
    cases=draw_head_dims,
    reference=reference_frequencies,
    reference_name="LlamaRotaryEmbedding's inv_freq",
    mistakes=[
        Mistake(
            "halves the exponent",
            falling(exponent=lambda i, head_dim: i / head_dim),
            "The exponent of pair i is 2i/D. With i/D the slowest pair turns a hundred times too "
            "fast at base 10,000.",
        ),
        Mistake(
            "doubles the exponent",
            falling(exponent=lambda i, head_dim: 4 * i / head_dim),
            "You take every second number, 0, 2, 4 …, and double it again (or divide by D/2). "
            "The exponents 2i/D end below 1.",
        ),
        Mistake(
            "has one for every dimension",
            frequencies_for_every_dimension,
            "You return D frequencies. A pair of dimensions turns together, so there are D/2.",
        ),
        Mistake(
            "writes every frequency twice",
            falling(finish=lambda frequencies: torch.cat([frequencies, frequencies])),
            "D/2 frequencies are asked for, one a pair. They are laid out for all D dimensions "
            "later, with the angles.",
        ),
        Mistake(
            "multiplies where it divides",
            falling(exponent=lambda i, head_dim: -2 * i / head_dim),
            "Your frequencies grow: base^(+2i/D), what one should divide by. The later pairs are "
            "the slow ones, so the exponent is negative.",
        ),
        Mistake(
            "multiplies base by the exponent",
            frequencies_by_product,
            "base * (2i/D) is 0 for the first pair, so its frequency is infinite. It is a power: "
            "base ** (2i/D).",
        ),
        Mistake(
            "divides by D too late",
            falling_too_late,
            "`1 / base ** i / D` is (1 / base^i) / D: powers come first, then division from left to "
            "right. D belongs to the exponent: `base ** (i / D)`.",
        ),
        Mistake(
            "mixes two kinds of logarithm",
            lambda head_dim, base=10000.0: torch.exp(
                -torch.arange(0, head_dim, 2) / head_dim * math.log2(base)
            ),
            "You take the logarithm to base 2 and then the power of e. Take both of the same kind: "
            "exp with math.log, or exp2 with math.log2.",
        ),
        Mistake(
            "ignores the base",
            falling(base_of=lambda base: 10000.0),
            "You always use 10,000. Llama 3 has 500,000: with another base every pair but the "
            "first turns at another speed.",
        ),
        Mistake(
            "ends at 1/base",
            falling(exponent=lambda i, head_dim: i / max(head_dim // 2 - 1, 1)),
            "The last frequency is exactly 1/base. Llama divides by D/2 and not by D/2 - 1, so it "
            "stops one step before.",
        ),
        Mistake(
            "begins with the second pair",
            falling(exponent=lambda i, head_dim: 2 * (i + 1) / head_dim),
            "Pairs are counted from 0, and the first turns one radian for each position: base^0.",
        ),
        Mistake(
            "takes the odd numbers",
            falling(exponent=lambda i, head_dim: (2 * i + 1) / head_dim),
            "Your exponents are 1/D, 3/D, 5/D … They are 0/D, 2/D, 4/D …: the first pair turns one "
            "radian for each position.",
        ),
        Mistake(
            "divides without remainder",
            falling(exponent=lambda i, head_dim: 2 * i // head_dim),
            "With // every exponent is 0 and all pairs turn alike: one clock hand in place of many.",
        ),
        Mistake(
            "gives wavelengths",
            falling(finish=lambda frequencies: 2 * math.pi / frequencies),
            "You return how many positions a full turn takes. Asked for is how far a pair turns "
            "for each position, in radians.",
        ),
        Mistake(
            "counts whole turns",
            falling(finish=lambda frequencies: 2 * math.pi * frequencies),
            "The factor 2 pi makes the first pair turn fully at each step, so it never moves. "
            "Pair i turns base^(-2i/D) radians.",
        ),
        Mistake(
            "puts the slow ones first",
            falling(finish=lambda frequencies: frequencies.flip(0)),
            "The order is reversed: pair 0 turns fastest. A model's weights know which is which.",
        ),
        Mistake(
            "stays in float64",
            falling(double=True),
            "The answer is float64. Frequencies are float32 here, as in Llama: return .float().",
        ),
    ],
    accepts=[frequencies_by_list, frequencies_by_logarithm, frequencies_by_multiplying],
)


def reference_cos_sin(position_ids, inv_freq):
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = LlamaConfig(hidden_size=2 * len(inv_freq), num_attention_heads=1)
    rotary = LlamaRotaryEmbedding(config)
    rotary.inv_freq = inv_freq
    return rotary(torch.zeros(()), position_ids)


def turning(
    angles_of: Callable[[Any, Any], Any] = lambda p, f: p[:, :, None].float() * f,
    spread: Callable[[Any], Any] = lambda angles: torch.cat([angles, angles], dim=-1),
    finish: Callable[[Any], Any] = lambda angles: (angles.cos(), angles.sin()),
) -> Callable[..., Any]:
    """Make a rotary_cos_sin in which one step may be wrong."""

    def rotary_cos_sin(position_ids, inv_freq):
        return finish(spread(angles_of(position_ids, inv_freq)))

    return rotary_cos_sin


def scaled(factor: float) -> Callable[..., Any]:
    return lambda p, f: factor * (p[:, :, None].float() * f)


def angles_of_columns(position_ids, inv_freq):
    columns = torch.arange(position_ids.shape[1]).expand_as(position_ids)
    return columns[:, :, None].float() * inv_freq


def cos_sin_by_loops(position_ids, inv_freq):
    angles = [
        [[p * f for f in inv_freq.tolist() * 2] for p in row] for row in position_ids.tolist()
    ]
    cos = [[[math.cos(a) for a in dims] for dims in row] for row in angles]
    sin = [[[math.sin(a) for a in dims] for dims in row] for row in angles]
    return torch.tensor(cos), torch.tensor(sin)


def cos_sin_by_einsum(position_ids, inv_freq):
    angles = torch.einsum("bt,d->btd", position_ids.to(inv_freq.dtype), inv_freq)
    return angles.cos().repeat(1, 1, 2), angles.sin().repeat(1, 1, 2)


def cos_sin_by_matmul(position_ids, inv_freq):
    """As transformers wrote it for years, with a transposition."""
    inv_freq_expanded = inv_freq[None, :, None].float().expand(position_ids.shape[0], -1, 1)
    freqs = (inv_freq_expanded @ position_ids[:, None, :].float()).transpose(1, 2)
    emb = torch.cat((freqs, freqs), dim=-1)
    return [emb.cos(), emb.sin()]


def cos_sin_by_table(position_ids, inv_freq):
    table = torch.outer(torch.arange(int(position_ids.max()) + 1, dtype=torch.float64), inv_freq)
    angles = torch.cat([table, table], dim=1)[position_ids]
    return angles.cos().float(), angles.sin().float()


def cos_sin_by_complex(position_ids, inv_freq):
    angles = position_ids[..., None] * inv_freq
    turned = torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real] * 2, -1), torch.cat([turned.imag] * 2, -1)


def draw_positions(draw: random.Random) -> list[dict]:
    half = torch.tensor
    cases: list[dict[str, Any]] = [
        {"position_ids": half([[1]]), "inv_freq": half([1.0, 0.25])},
        {"position_ids": half([[0, 1]]), "inv_freq": half([1.0, 0.25])},
        {"position_ids": half([[3]]), "inv_freq": half([1.0])},
        {"position_ids": half([[5, 6, 7]]), "inv_freq": half([1.0, 0.25])},
        {"position_ids": half([[0, 0, 1, 2], [0, 1, 2, 3]]), "inv_freq": half([1.0, 0.1, 0.01])},
        {"position_ids": half([[4], [9], [2]]), "inv_freq": half([0.8, 0.2])},
        {"position_ids": half([[2, 1, 0]]), "inv_freq": half([0.5, 0.05])},
        {"position_ids": half([[0, 0, 0, 7], [0, 0, 5, 6]]), "inv_freq": half([1.0, 0.3])},
        # Far away, but with frequencies that make every angle exact in float32.
        {"position_ids": half([[1, 4097]]), "inv_freq": half([1.0, 0.25])},
    ]
    for _ in range(6):
        batch, tokens, pairs = draw.sample([1, 2, 3, 4, 5, 7], k=3)
        rows = [[draw.randint(0, 120) for _ in range(tokens)] for _ in range(batch)]
        frequencies = sorted((draw.uniform(0.001, 1.0) for _ in range(pairs)), reverse=True)
        cases.append({"position_ids": half(rows), "inv_freq": half(frequencies)})
    return cases


ROTARY_COS_SIN = Exercise(
    answer="minilm.positions.rotary:rotary_cos_sin",
    lesson=LESSON,
    cases=draw_positions,
    reference=reference_cos_sin,
    reference_name="LlamaRotaryEmbedding",
    # An angle of 120 in float32 is known to 4e-6; whoever computes in float64 is right too.
    compare=alike(tolerance=1e-5),
    mistakes=[
        Mistake(
            "interleaves the angles",
            turning(spread=lambda angles: angles.repeat_interleave(2, dim=-1)),
            "Angle i stands at dimensions 2i and 2i + 1, as Meta's own files pair them. Llama in "
            "transformers pairs i with i + D/2: write all angles once, then all of them again.",
        ),
        Mistake(
            "writes each angle once",
            turning(spread=lambda angles: angles),
            "You return D/2 numbers a position. Each angle serves two dimensions, i and i + D/2: "
            "lay the angles down twice, one row after the other.",
        ),
        Mistake(
            "returns the sine first",
            turning(finish=lambda angles: (angles.sin(), angles.cos())),
            "The two are swapped: at position 0, cos is all ones. Whoever takes them in order "
            "turns by a quarter more and backwards.",
        ),
        Mistake(
            "counts columns",
            turning(angles_of=angles_of_columns),
            "You number the columns and never look at position_ids. With padding, or behind a "
            "cache, a token's position is not its column.",
        ),
        Mistake(
            "counts from the first column",
            turning(angles_of=lambda p, f: scaled(1.0)(p - p[:, :1], f)),
            "You subtract the first position of the row. Behind a cache of five tokens the next "
            "one stands at 5, and its keys must fit those that were turned before.",
        ),
        Mistake(
            "has no batch",
            turning(angles_of=lambda p, f: scaled(1.0)(p[:1], f)),
            "You use the first row's positions alone. In a padded batch each row has its own.",
        ),
        Mistake(
            "drops the batch dimension",
            turning(angles_of=lambda p, f: scaled(1.0)(p[:1], f)[0]),
            "You return (T, D), from the first row alone. The answer is (B, T, D): in a padded "
            "batch each row has its own positions.",
        ),
        Mistake(
            "squeezes",
            turning(finish=lambda angles: (angles.cos().squeeze(), angles.sin().squeeze())),
            "`squeeze()` throws away every dimension of length 1, the batch too where there is one "
            "text. The answer is (B, T, D), also for B = 1 and T = 1.",
        ),
        Mistake(
            "counts columns, for no batch",
            turning(angles_of=lambda p, f: angles_of_columns(p[:1], f)[0]),
            "You turn by 0, 1, 2 … for one row, (T, D), and never look at position_ids. With "
            "padding, or behind a cache, each row of the batch stands elsewhere: (B, T, D).",
        ),
        Mistake(
            "begins at 1",
            turning(angles_of=lambda p, f: scaled(1.0)(p + 1, f)),
            "You add one to each position. Rotary models hardly notice, since only differences "
            "count, but keys from elsewhere (a cache, another library) no longer fit.",
        ),
        Mistake(
            "turns backwards",
            turning(angles_of=scaled(-1.0)),
            "Every sine has the wrong sign. The distance to a token behind is taken for one ahead.",
        ),
        Mistake(
            "turns half the angle",
            turning(angles_of=scaled(0.5)),
            "The angles are half of what they should be: position times frequency, no more.",
        ),
        Mistake(
            "counts whole turns",
            turning(angles_of=scaled(2 * math.pi)),
            "Frequencies are in radians for each position already; the factor 2 pi is too much.",
        ),
        Mistake(
            "returns the angles",
            turning(finish=lambda angles: (angles, angles)),
            "What you return are the angles, not their cosine and sine.",
        ),
        Mistake(
            "rounds the positions",
            turning(angles_of=lambda p, f: p[:, :, None].bfloat16().float() * f),
            "Half precision knows every whole number only up to 256 (bfloat16) or 2,048 (float16); "
            "here 4,097 became 4,096. Positions are integers or float32, whatever the model is.",
        ),
        Mistake(
            "divides by the frequencies",
            turning(angles_of=lambda p, f: p[:, :, None].float() / f),
            "inv_freq has the inverse in it already: the angle is position times inv_freq.",
        ),
        Mistake(
            "cosines in one half, sines in the other",
            turning(
                spread=lambda angles: angles,
                finish=lambda a: (torch.cat([a.cos(), a.sin()], -1),) * 2,
            ),
            "You lay cosines and sines side by side, as in the sinusoid table. Here each of the "
            "two has all its angles twice: cos (B, T, D) and sin (B, T, D).",
        ),
        Mistake(
            "stays in float64",
            turning(angles_of=lambda p, f: p[:, :, None].double() * f),
            "The answer is float64. Return cos and sin in float32, as Llama does.",
        ),
    ],
    accepts=[
        cos_sin_by_loops,
        cos_sin_by_einsum,
        cos_sin_by_matmul,
        cos_sin_by_table,
        cos_sin_by_complex,
    ],
)
