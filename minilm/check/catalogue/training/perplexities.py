"""The exercise perplexity and its known mistakes."""

from __future__ import annotations

import math
import random

from minilm.check.catalogue.training.common import LESSON, TOLERANCE, plain
from minilm.check.comparing import alike
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


def reference_perplexity(losses, counts):
    """Every token with its batch's loss, averaged one by one."""
    each = torch.tensor(losses, dtype=torch.float64).repeat_interleave(torch.tensor(counts))
    return math.exp(each.mean().item()) if each.mean() < 709 else math.inf


def use_perplexity(function, losses, counts):
    return plain(function(losses=losses, counts=counts))


def total(losses, counts):
    return sum(loss * count for loss, count in zip(losses, counts, strict=True))


def safe_exp(x):
    return math.exp(min(x, 700.0))


def by_numpy(losses, counts):
    import numpy as np

    with np.errstate(over="ignore"):
        return float(np.exp(np.average(losses, weights=counts)))


def by_torch(losses, counts):
    losses, counts = torch.tensor(losses, dtype=torch.float64), torch.tensor(counts)
    return torch.exp((losses * counts).sum() / counts.sum())


def by_try(losses, counts):
    mean = total(losses, counts) / sum(counts)
    try:
        return math.e**mean
    except OverflowError:
        return math.inf


def by_shares(losses, counts):
    whole = sum(counts)
    mean = sum(loss * (count / whole) for loss, count in zip(losses, counts, strict=True))
    return math.exp(mean) if mean < 700 else float("inf")


def draw_losses(draw: random.Random) -> list[Case]:
    cases: list[Case] = [
        {"losses": [2.0], "counts": [3]},
        {"losses": [0.0], "counts": [5]},
        {"losses": [1.0, 3.0], "counts": [1, 1]},
        {"losses": [1.0, 3.0], "counts": [3, 1]},
        {"losses": [1.0, 2.0, 0.5], "counts": [4, 4, 2]},
        {"losses": [2.5, 9.0], "counts": [6, 0]},
        {"losses": [800.0, 900.0], "counts": [2, 1]},
    ]
    for _ in range(6):
        size = draw.randint(2, 5)
        losses = [round(draw.uniform(0.5, 6), 2) for _ in range(size)]
        cases.append({"losses": losses, "counts": [draw.randint(1, 90) for _ in range(size)]})
    return cases


PERPLEXITY = Exercise(
    answer="minilm.training.steps:perplexity",
    lesson=LESSON,
    cases=draw_losses,
    reference=reference_perplexity,
    reference_name="the mean over all tokens, one by one",
    use=use_perplexity,
    compare=alike(tolerance=TOLERANCE),
    mistakes=[
        Mistake(
            "takes the mean of the batches",
            lambda losses, counts: safe_exp(sum(losses) / len(losses)),
            "Every batch counts the same, however few labels it has. A last batch of three tokens "
            "then weighs as much as one of a thousand: weight each loss by its count.",
        ),
        Mistake(
            "takes the mean of the perplexities",
            lambda losses, counts: sum(map(safe_exp, losses)) / len(losses),
            "exp is taken of each batch, and then the mean. exp bends upwards, so that one hard "
            "batch rules the mean. Average the losses first, then take exp.",
        ),
        Mistake(
            "takes the weighted mean of the perplexities",
            lambda losses, counts: total(map(safe_exp, losses), counts) / sum(counts),
            "exp is taken of each batch, and then the mean, weighted. exp bends upwards, so that "
            "one hard batch rules the mean. Average the losses first, then take exp.",
        ),
        Mistake(
            "returns the loss",
            lambda losses, counts: total(losses, counts) / sum(counts),
            "This is the mean loss, in nats. The perplexity is e to that.",
        ),
        Mistake(
            "returns the mean loss of the batches",
            lambda losses, counts: sum(losses) / len(losses),
            "This is the mean loss of the batches, each counted alike. Weight it by the counts, "
            "and take e to that.",
        ),
        Mistake(
            "takes 2 to the loss",
            lambda losses, counts: 2.0 ** min(total(losses, counts) / sum(counts), 1000),
            "2 to the mean belongs to losses in bits. torch's losses are in nats: e to the mean.",
        ),
        Mistake(
            "divides by the number of batches",
            lambda losses, counts: safe_exp(total(losses, counts) / len(losses)),
            "The weighted sum is divided by the number of batches. It holds a loss for each label, "
            "so divide by the number of labels.",
        ),
        Mistake(
            "does not divide",
            lambda losses, counts: safe_exp(total(losses, counts)),
            "This is e to the *sum*, one over the probability of the whole text. Divide by the "
            "number of labels first.",
        ),
        Mistake(
            "divides the sum of the means by all labels",
            lambda losses, counts: safe_exp(sum(losses) / sum(counts)),
            "The losses are means already. Multiply each by its count before you divide by the "
            "number of all.",
        ),
        Mistake(
            "has the sign the other way round",
            lambda losses, counts: math.exp(-total(losses, counts) / sum(counts)),
            "e to *minus* the loss is the probability of a word, in the geometric mean. The "
            "perplexity is one over that.",
        ),
        Mistake(
            "breaks off when the loss is large",
            lambda losses, counts: math.exp(total(losses, counts) / sum(counts)),
            "math.exp raises OverflowError above 709, and an evaluation at the start of a bad run "
            "would end it. Return math.inf there.",
        ),
        Mistake(
            "gives nothing when the loss is large",
            lambda losses, counts: (
                math.exp(total(losses, counts) / sum(counts))
                if total(losses, counts) / sum(counts) < 700
                else None
            ),
            "A large loss gives None, and whoever compares or prints it stops with an error. What "
            "no float can hold is math.inf.",
        ),
        Mistake(
            "takes 10 to the loss",
            lambda losses, counts: 10.0 ** min(total(losses, counts) / sum(counts), 300),
            "10 to the mean belongs to losses in decimal digits. torch's losses are in nats: e to "
            "the mean.",
        ),
        Mistake(
            "stops at some largest number",
            lambda losses, counts: safe_exp(total(losses, counts) / sum(counts)),
            "A large loss is cut off before exp. What no float can hold is math.inf.",
        ),
        Mistake(
            "takes the last batch only",
            lambda losses, counts: safe_exp(losses[-1]),
            "Only the last batch is looked at. The perplexity is that of all of them together.",
        ),
        Mistake(
            "takes off one",
            lambda losses, counts: math.expm1(min(total(losses, counts) / sum(counts), 700)),
            "A perplexity of 1 means that nothing surprises; it is e to the mean, with nothing "
            "taken off.",
        ),
    ],
    accepts=[by_numpy, by_torch, by_try, by_shares],
)
