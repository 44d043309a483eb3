"""Measured curves, each named at its end: how a quantity grows with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput
from minilm.plots import COLORS, canvas, look, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Series = Mapping[str, Sequence[float]]
APART = 12.0  # points between the names of two curves


def curves(
    x: Sequence[float],
    panels: Mapping[str, Series],
    *,
    xlabel: str,
    log: Sequence[str] = (),
) -> Figure:
    """Draw curves over the same figures, one panel beside the other.

    x: above zero and growing, two or more; drawn at equal steps of their logarithm
    panels: title → (name of a curve → a figure for each x)
    xlabel: what x is    log: titles of the panels whose figures go by powers of ten

    Returns a figure. The name of each curve stands at its end, so that no legend is needed.
    Raises InvalidInput if a curve is longer or shorter than x, or x is no such list.
    """
    if len(x) < 2 or x[0] <= 0 or any(a >= b for a, b in pairwise(x)):
        raise InvalidInput(f"x={list(x)} must be two or more figures above zero that grow.")
    for title, series in panels.items():
        for name, values in series.items():
            if len(values) != len(x):
                raise InvalidInput(
                    f"The curve '{name}' in '{title}' has {len(values)} figures for {len(x)} "
                    "places on the axis; it needs one for each."
                )
    if not panels or not all(panels.values()):
        raise InvalidInput("curves() has nothing to draw. Give each panel a curve.")
    with style():
        figure, axes = canvas(1, len(panels), width=4.4 * len(panels), height=3.1, squeeze=False)
        for panel, (title, series) in zip(axes[0], panels.items(), strict=True):
            for index, (_, values) in enumerate(series.items()):
                panel.plot(x, values, **look(index))
            panel.set_xscale("log", base=2)
            panel.set_xticks(list(x), [f"{value:,}" for value in x], rotation=45, ha="right")
            panel.minorticks_off()
            panel.set(title=title, xlabel=xlabel)
            if title in log:
                panel.set_yscale("log")
            else:
                panel.set_ylim(bottom=min(0.0, *(min(values) for values in series.values())))
            _name_ends(figure, panel, x[-1], series)
    return figure


def _name_ends(figure: Figure, axes: Axes, last: float, series: Series) -> None:
    """Write each name behind its curve, moved apart where two would touch."""
    figure.draw_without_rendering()  # so that the scales know their limits

    def height(value: float) -> float:
        return float(axes.transData.transform((last, value))[1]) * 72.0 / figure.dpi

    ends: list[tuple[float, int, str, Any]] = sorted(
        (height(values[-1]), index, name, values[-1])
        for index, (name, values) in enumerate(series.items())
    )
    above = -float("inf")
    for at, index, name, value in ends:
        place = max(at, above + APART)
        axes.annotate(
            name,
            (last, value),
            xytext=(9, place - at),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=COLORS[index % len(COLORS)] if index < 3 else "#1a1a1a",
            annotation_clip=False,
        )
        above = place
