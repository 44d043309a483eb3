"""What the exercises of lesson 08 share: scores to choose from."""

from __future__ import annotations

import random
from typing import Any

from minilm.check.later import torch

LESSON = "08_generation"
FEW = 12  # tokens in the vocabulary of cases in which texts are written


def distinct(draw: random.Random, rows: int, vocab_size: int, scale: float = 0.1) -> Any:
    """Scores (B, V) of which no two in a row are equal, so that each has its place."""
    numbers = [draw.sample(range(-30, 31), vocab_size) for _ in range(rows)]
    return (torch.tensor(numbers, dtype=torch.float64) * scale).round(decimals=2).float() + 0.0


def without(scores: Any, *places: tuple[int, int]) -> Any:
    """The same scores, some tokens cut away."""
    scores = scores.clone()
    for row, token in places:
        scores[row, token] = -torch.inf
    return scores
