"""Small panels over one axis: the same question, asked of several things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput
from minilm.plots import COLORS, LINE_STYLES, canvas, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lines = Mapping[str, Sequence[float]]


def panels(
    x: Sequence[float],
    drawn: Mapping[str, Lines],
    *,
    xlabel: str,
    ylabel: str = "",
    columns: int = 3,
    height: float = 1.9,
) -> Figure:
    """Draw lines over the same x, in one panel or in several laid out in rows.

    x: where the figures belong on the axis; growing, two or more
    drawn: title → (name of a line → a figure for each x)
    xlabel, ylabel: what the axes are    columns: panels in a row    height: of a panel, in inches

    Returns a figure. Each panel has its own scale; lines with the same name look alike in all, and
    are named once, in the first panel that has the most of them.
    Raises InvalidInput if there is nothing to draw, or a line does not fit x.
    """
    if len(x) < 2 or any(a >= b for a, b in pairwise(x)):
        raise InvalidInput("x must be two or more figures that grow.")
    if not drawn or not all(drawn.values()):
        raise InvalidInput("panels() has nothing to draw. Give each panel a line.")
    for title, lines in drawn.items():
        for name, values in lines.items():
            if len(values) != len(x):
                raise InvalidInput(
                    f"The line '{name}' in '{title}' has {len(values)} figures for {len(x)} "
                    "places on the axis; it needs one for each."
                )
    names = list(dict.fromkeys(name for lines in drawn.values() for name in lines))
    columns = min(columns, len(drawn))
    rows = -(-len(drawn) // columns)
    legend = max(drawn, key=lambda title: len(drawn[title]))
    with style():
        figure, axes = canvas(
            rows,
            columns,
            width=8.2 if columns > 1 else 6.4,
            height=height * rows + 0.5,
            squeeze=False,
            sharex=True,
        )
        for panel in axes.flat[len(drawn) :]:
            panel.set_visible(False)
        for at, (panel, (title, lines)) in enumerate(zip(axes.flat, drawn.items(), strict=False)):
            for name, values in lines.items():
                panel.plot(x, values, label=name, **_look(names.index(name)))
            panel.set_title(title)
            panel.margins(x=0.01)
            everything = [value for values in lines.values() for value in values]
            if min(everything) == max(everything):
                panel.set_ylim(everything[0] - 1, everything[0] + 1)
            if at + columns >= len(drawn):
                panel.set_xlabel(xlabel)
                panel.tick_params(labelbottom=True)
            if at % columns == 0:
                panel.set_ylabel(ylabel)
            if title == legend and len(names) > 1:
                panel.legend(fontsize=8.5, loc="best")
    return figure


def _look(index: int) -> dict[str, Any]:
    """The first line is a broad light band, the others dark on it: two that coincide are both seen."""
    at = index % len(COLORS)
    return {
        "color": COLORS[at - 1],
        "linestyle": LINE_STYLES[at],
        "linewidth": 1.6 if index else 4.5,
        "solid_capstyle": "butt",
    }
