"""The exercise sinusoid_table, and its known mistakes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from minilm.check.comparing import alike
from minilm.check.exercise import Exercise, Mistake
from minilm.check.later import torch

LESSON = "03_positions"


def reference_table(length, width, layout="half"):
    if layout == "half":
        from transformers.models.marian.modeling_marian import (
            MarianSinusoidalPositionalEmbedding as Marian,
        )

        return Marian(length, width).create_weight()
    from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings

    table = torch.empty(length, width)
    create_sinusoidal_embeddings(length, width, out=table)
    return table


def waving(
    exponent: Callable[[Any, int], Any] = lambda j, width: 2 * j / width,
    first: int = 0,
    sign: int = -1,
    turns: float = 1.0,
    sine: Callable[[Any], Any] = lambda angles: angles.sin(),
    cosine: Callable[[Any], Any] = lambda angles: angles.cos(),
    arrange: Callable[[str], str] = lambda layout: layout,
    finish: Callable[[Any], Any] = lambda table: table.float(),
) -> Callable[..., Any]:
    """Make a sinusoid_table in which one step may be wrong."""

    def sinusoid_table(length, width, layout="half"):
        j = torch.arange(width // 2, dtype=torch.float64)
        frequencies = 10000.0 ** (sign * exponent(j, width))
        angles = turns * torch.outer(torch.arange(length) + float(first), frequencies)
        table = torch.empty(length, width, dtype=torch.float64)
        if arrange(layout) == "half":
            table[:, : width // 2], table[:, width // 2 :] = sine(angles), cosine(angles)
        else:
            table[:, 0::2], table[:, 1::2] = sine(angles), cosine(angles)
        return finish(table)

    return sinusoid_table


right_table = waving()


def table_with_a_frequency_each(length, width, layout="half"):
    """Every dimension its own frequency: `i` where the paper has `2i`, for sine and cosine."""
    dimensions = torch.arange(width, dtype=torch.float64)
    if layout == "half":
        dimensions = torch.cat([dimensions[0::2], dimensions[1::2]])
    angles = torch.arange(length)[:, None] / 10000 ** (dimensions / width)
    cosines = torch.arange(width) % 2 == 1
    if layout == "half":
        cosines = torch.arange(width) >= width // 2
    return torch.where(cosines, angles.cos(), angles.sin()).float()


def table_twice_as_fast(length, width, layout="half"):
    """As in the paper's formula, with the dimension in the place of the pair."""
    table = torch.zeros(length, width)
    for position in range(length):
        for i in range(0, width, 2):
            angle = position / 10000 ** (2 * i / width)
            places = (i, i + 1) if layout == "interleaved" else (i // 2, (i + width) // 2)
            table[position, places[0]] = math.sin(angle)
            table[position, places[1]] = math.cos(angle)
    return table


def table_by_loops(length, width, layout="half"):
    rows = []
    for position in range(length):
        angles = [position / 10000 ** (2 * j / width) for j in range(width // 2)]
        pairs = [(math.sin(angle), math.cos(angle)) for angle in angles]
        if layout == "half":
            rows.append([sine for sine, _ in pairs] + [cosine for _, cosine in pairs])
        else:
            rows.append([number for pair in pairs for number in pair])
    return torch.tensor(rows)


def table_by_logarithm(length, width, layout="half"):
    """The way it stands in many tutorials, in float32."""
    position = torch.arange(length).unsqueeze(1)
    div_term = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    pe = torch.zeros(length, width)
    halves = layout == "half"
    pe[:, : width // 2 if halves else None : 1 if halves else 2] = torch.sin(position * div_term)
    pe[:, width // 2 if halves else 1 :: 1 if halves else 2] = torch.cos(position * div_term)
    return pe


def table_by_numpy(length, width, layout="half"):
    import numpy as np

    angles = np.arange(length)[:, None] / np.power(10000, np.arange(width) // 2 * 2 / width)
    table = np.where(np.arange(width) % 2 == 0, np.sin(angles), np.cos(angles))
    if layout == "half":
        table = np.concatenate([table[:, 0::2], table[:, 1::2]], axis=1)
    return torch.tensor(table, dtype=torch.float32)


def table_by_stacking(length, width, layout="half"):
    frequencies = torch.logspace(0, -4, width // 2 + 1, dtype=torch.float64)[:-1]
    angles = torch.einsum("t,j->tj", torch.arange(length, dtype=torch.float64), frequencies)
    waves = torch.stack([angles.sin(), angles.cos()], dim=1 if layout == "half" else 2)
    return waves.reshape(length, width).to(torch.float32)


def draw_sizes(draw: random.Random) -> list[dict]:
    sizes = [(1, 2), (2, 4), (3, 2), (6, 4), (6, 8), (4, 6), (40, 12), (12, 40)]
    sizes += [(draw.randint(2, 39), 2 * draw.randint(2, 20)) for _ in range(4)]
    cases: list[dict[str, Any]] = [{"length": 2, "width": 6}]
    for length, width in sizes:
        cases += [
            {"length": length, "width": width, "layout": layout}
            for layout in ("half", "interleaved")
        ]
    return cases


SINUSOID_TABLE = Exercise(
    answer="minilm.positions.sinusoidal:sinusoid_table",
    lesson=LESSON,
    cases=draw_sizes,
    reference=reference_table,
    reference_name="Marian's table, and DistilBERT's",
    # Angles of 40 and less: whoever rounds them to float32 is within this.
    compare=alike(tolerance=1e-5),
    mistakes=[
        Mistake(
            "always interleaves",
            waving(arrange=lambda layout: "interleaved"),
            "Sines and cosines come by turns whatever layout says. Marian was trained with all "
            "sines first: the same numbers at other places are other positions to it.",
        ),
        Mistake(
            "always halves",
            waving(arrange=lambda layout: "half"),
            "All sines come first whatever layout says. With layout='interleaved' they alternate "
            "with the cosines, as in the paper.",
        ),
        Mistake(
            "swaps the layouts",
            waving(arrange=lambda layout: {"half": "interleaved"}.get(layout, "half")),
            "What you return for 'half' is the interleaved table, and the other way round.",
        ),
        Mistake(
            "puts the cosines first",
            waving(sine=lambda angles: angles.cos(), cosine=lambda angles: angles.sin()),
            "Row 0 begins with ones: that is cos 0. The sines come first.",
        ),
        Mistake(
            "has no cosines",
            waving(cosine=lambda angles: angles.sin()),
            "Both halves are sines of the same angles. One sine alone cannot tell 0 from pi; its "
            "cosine can.",
        ),
        Mistake(
            "halves the exponent",
            waving(exponent=lambda j, width: j / width),
            "Your frequencies end at 1/100 and not near 1/10000: the exponent of pair j is "
            "2j/width, since there are only width/2 pairs.",
        ),
        Mistake(
            "doubles the exponent",
            table_twice_as_fast,
            "In 10000^(2i/width) i numbers the pairs: 0, 1, 2 … You put in the dimension, 0, 2, "
            "4 …, so the frequencies fall twice as fast, to 1/100,000,000.",
        ),
        Mistake(
            "gives each dimension its own frequency",
            table_with_a_frequency_each,
            "A sine and its cosine share one frequency: only then is a step of k positions a "
            "rotation, the same wherever it starts.",
        ),
        Mistake(
            "ends at the lowest frequency",
            waving(exponent=lambda j, width: j / max(width // 2 - 1, 1)),
            "You spread the frequencies so that the last is exactly 1/10000, as tensor2tensor and "
            "fairseq do. The paper's formula, and Marian, divide by width/2 and stop short of it.",
        ),
        Mistake(
            "turns the fraction upside down",
            waving(sign=1),
            "You multiply by 10000^(2j/width) where it divides, so later pairs turn faster and "
            "faster. They must turn ever slower.",
        ),
        Mistake(
            "divides without remainder",
            waving(exponent=lambda j, width: 2 * j // width),
            "With // every exponent is 0, and all pairs turn at the same speed.",
        ),
        Mistake(
            "begins at position 1",
            waving(first=1),
            "Your first row is position 1. Row 0 is position 0: sines 0, cosines 1.",
        ),
        Mistake(
            "counts whole turns",
            waving(turns=2 * math.pi),
            "The factor 2 pi makes the first pair turn fully at each step, so it never changes. "
            "The angle is position times frequency, in radians.",
        ),
        Mistake(
            "turns backwards",
            waving(turns=-1.0),
            "Every sine has the wrong sign: the angle is +position times frequency.",
        ),
        Mistake(
            "lays the table on its side",
            lambda length, width, layout="half": right_table(length, width, layout).T,
            "There is a column for each position. A row for each is wanted, (length, width).",
        ),
        Mistake(
            "stays in float64",
            waving(finish=lambda table: table),
            "The angles want float64, the table does not: a model in float32 cannot add it. Round "
            "at the end, .float().",
        ),
    ],
    accepts=[table_by_loops, table_by_logarithm, table_by_numpy, table_by_stacking],
)
