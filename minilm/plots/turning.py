"""Two vectors that turn: where they stand changes, the angle between them does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput
from minilm.plots import COLORS, LINE_STYLES, canvas, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Vector = Sequence[float]
REST = "#9a9a9a"


def turning(
    query: Vector,
    key: Vector,
    turned: Sequence[tuple[str, Vector, Vector]],
) -> Figure:
    """Draw a query and a key before and after they are turned by their positions.

    query, key: two numbers each, before turning; drawn thin in every panel
    turned: for each panel a title, the turned query and the turned key

    Returns a figure with a circle for each panel, the two vectors, the angle from key to query
    between them, and their product below.
    Raises InvalidInput if there is no panel or a vector is not two numbers, not both zero.
    """
    for vector in [query, key, *(v for _, q, k in turned for v in (q, k))]:
        if len(vector) != 2 or not math.hypot(*vector) > 0:
            raise InvalidInput(f"{list(vector)} was given; turning() takes two numbers for each.")
    if not turned:
        raise InvalidInput(
            "turning() was given no panel. Give it (title, query, key) once or more."
        )
    reach = 1.28 * max(math.hypot(*vector) for vector in (query, key))
    with style():
        figure, axes = canvas(1, len(turned), width=2.75 * len(turned), height=3.4, squeeze=False)
        for panel, (title, turned_query, turned_key) in zip(axes[0], turned, strict=True):
            _prepare(panel, reach)
            for vector in (query, key):
                _arrow(panel, vector, color=REST, linewidth=1.0)
            _draw_pair(panel, turned_query, turned_key, reach)
            product = sum(a * b for a, b in zip(turned_query, turned_key, strict=True))
            panel.set_title(title, loc="center")
            panel.set_xlabel(
                f"query · key = {product:.2f}".replace("-", "\N{MINUS SIGN}"), fontsize=11
            )
    return figure


def _prepare(axes: Axes, reach: float) -> None:
    """Make room for a circle: square, no ticks, a faint cross through the middle."""
    axes.set_aspect("equal")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    for line in (axes.axhline, axes.axvline):
        line(0, color="#e2e2e2", linewidth=0.8, zorder=0)


def _draw_pair(axes: Axes, query: Vector, key: Vector, reach: float) -> None:
    """Draw the turned query and key with their names, and the angle between them."""
    from matplotlib.patches import Wedge

    angles = [math.atan2(vector[1], vector[0]) for vector in (query, key)]
    between = math.remainder(angles[0] - angles[1], 2 * math.pi)
    start, end = sorted((math.degrees(angles[1]), math.degrees(angles[1] + between)))
    axes.add_patch(Wedge((0, 0), 0.3 * reach, start, end, facecolor=COLORS[4], zorder=1))
    # Where the two nearly coincide, their names step aside.
    aside = math.copysign(max(0.0, 0.22 - abs(between) / 2), between)
    pairs = (("query", query, angles[0] + aside), ("key", key, angles[1] - aside))
    for at, (name, vector, angle) in enumerate(pairs):
        _arrow(axes, vector, color=COLORS[at], linewidth=2.4, linestyle=LINE_STYLES[at])
        length = math.hypot(*vector)
        axes.plot(*_circle(length), color="#dddddd", linewidth=0.8, linestyle="-", zorder=0)
        far = length + 0.12 * reach  # behind the arrow's head
        side = "center" if abs(math.cos(angle)) < 0.6 else ("left", "right")[math.cos(angle) < 0]
        place = far * math.cos(angle), far * math.sin(angle)
        axes.text(*place, name, color=COLORS[at], fontsize=9.5, ha=side, va="center")


def _circle(radius: float) -> tuple[list[float], list[float]]:
    steps = [2 * math.pi * step / 120 for step in range(121)]
    return [radius * math.cos(s) for s in steps], [radius * math.sin(s) for s in steps]


def _arrow(axes: Axes, vector: Vector, **looks: Any) -> None:
    """Draw a vector from the middle; its shaft keeps its line style, its head is filled."""
    linestyle = looks.pop("linestyle", "-")
    axes.plot([0, vector[0] * 0.93], [0, vector[1] * 0.93], linestyle=linestyle, zorder=3, **looks)
    axes.annotate(
        "",
        xy=(vector[0], vector[1]),
        xytext=(vector[0] * 0.9, vector[1] * 0.9),
        arrowprops={
            "arrowstyle": "-|>",
            "color": looks["color"],
            "linewidth": looks["linewidth"],
            "mutation_scale": 11 + 2 * looks["linewidth"],
            "shrinkA": 0,
            "shrinkB": 0,
        },
        zorder=3,
    )
