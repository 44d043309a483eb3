"""Measuring two ways to do the same thing side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

Measure = Callable[[], float]


@dataclass
class Comparison:
    """Something to measure, minilm's way and the reference's.

    name: what is measured
    unit: of both figures, such as "MB/s" or "s"
    ours, theirs: each does one run and returns its figure; what is set up inside is not timed.
        theirs = None: there is nothing to compare with
    at_least, at_most: the wanted ratio ours / theirs; without theirs the wanted figure itself
    runs: how often each is measured
    """

    name: str
    unit: str
    ours: Measure
    theirs: Measure | None = None
    at_least: float | None = None
    at_most: float | None = None
    runs: int = 5


@dataclass
class Row:
    """What a comparison came to; `ratio` and `met` are None where there is nothing to judge."""

    name: str
    ours: float
    theirs: float | None
    unit: str
    ratio: float | None
    wanted: str | None
    met: bool | None


def measure(comparison: Comparison) -> Row:
    """Run both sides in turns (ours, theirs, ours, theirs …) and compare the medians.

    comparison: what to run, and how often

    A machine that is slow for a while is so for both.
    """
    ours, theirs = [], []
    for _ in range(comparison.runs):
        ours.append(comparison.ours())
        if comparison.theirs is not None:
            theirs.append(comparison.theirs())
    figure, other = median(ours), median(theirs) if theirs else None
    ratio = figure / other if other else None
    judged = figure if comparison.theirs is None else ratio
    wanted, met = None, None
    if comparison.at_least is not None:
        wanted = f"≥ {comparison.at_least:g}"
        met = judged is not None and judged >= comparison.at_least
    elif comparison.at_most is not None:
        wanted = f"≤ {comparison.at_most:g}"
        met = judged is not None and judged <= comparison.at_most
    if wanted and comparison.theirs is None:
        wanted += f" {comparison.unit}"
    return Row(comparison.name, figure, other, comparison.unit, ratio, wanted, met)


def seconds(work: Callable[[], Any]) -> float:
    """Return how long a piece of work takes, in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
