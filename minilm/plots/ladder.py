"""A ladder of speeds: each rung does the same work, and does it faster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from minilm.errors import InvalidInput
from minilm.plots import COLORS, HATCHES, canvas, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def ladder(speeds: Mapping[str, float], *, xlabel: str, beside: str = "") -> Figure:
    """Draw a bar for each step, and how often faster than the first it is.

    speeds: name of a step → what it does in a second    xlabel: what is measured
    beside: the name of a bar that is no step but a comparison; it is hatched

    Returns a figure. Raises InvalidInput for no speed, or one that is not above 0.
    """
    if not speeds or not all(speed > 0 for speed in speeds.values()):
        raise InvalidInput("ladder() needs speeds above 0, one or more.")
    first = next(iter(speeds.values()))
    from matplotlib import rc_context

    with style(), rc_context({"hatch.color": COLORS[0]}):
        figure, axes = canvas(width=8.2, height=0.9 + 0.36 * len(speeds))
        for at, (name, speed) in enumerate(speeds.items()):
            look = {"color": COLORS[0]}
            if name == beside:
                look = {"color": "white", "edgecolor": COLORS[0], "hatch": HATCHES[1]}
            axes.barh(at, speed, 0.66, **look)
            axes.annotate(
                f"{speed:,.0f}   × {speed / first:.1f}",
                (speed, at),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axes.set_yticks(range(len(speeds)), list(speeds))
        axes.invert_yaxis()
        axes.set_xlim(0, 1.25 * max(speeds.values()))
        axes.set_xlabel(xlabel)
        axes.grid(visible=False, axis="y")
    return figure
