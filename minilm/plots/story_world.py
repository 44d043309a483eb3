"""The world of stories as a graph: columns of what can be chosen, and stories as ways through."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput, OutOfRange
from minilm.plots import COLORS, canvas, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("plot", "hero", "thing", "friend", "town", "outcome")
# Letters that fit side by side below the graph.
WIDTH = 138
FAINT, INK = "#c9cdd6", "#1a1a1a"


def story_world(
    stories: Sequence[Any],
    lit: int = 0,
    *,
    paths: int = 10,
    columns: Sequence[str] = COLUMNS,
) -> Figure:
    """Draw what stories choose from, the ways that some of them take, and one of them in full.

    stories: with `choices`, pairs of a name and a value, and `text`; what they chose makes the graph
    lit: which one is drawn dark and told below    paths: how many, from the first, are drawn
    columns: names of choices, from left to right

    Returns a figure whose size depends on the stories alone, so that a slider may turn `lit`.
    Raises InvalidInput if no story has made such choices, OutOfRange if there is no story `lit`.
    """
    if not -len(stories) <= lit < len(stories):
        raise OutOfRange(f"There is no story {lit}; story_world() was given {len(stories)}.")
    chosen = [dict(reversed(story.choices)) for story in stories]  # the first of a name counts
    values = {name: _values(chosen, name) for name in columns}
    if not any(values.values()):
        raise InvalidInput(
            f"None of the stories has chosen any of {', '.join(columns)}. Name choices of theirs."
        )
    texts = [textwrap.wrap(story.text, WIDTH) for story in stories]
    lines = max(map(len, [*texts[: max(paths, 1)], texts[lit]]))
    tallest = max(map(len, values.values()))
    height = 0.145 * tallest + 0.17 * lines + 0.55
    places = _places(values, tallest)
    with style():
        figure, axes = canvas(width=8.2, height=height)
        axes.set_axis_off()
        axes.set_xlim(-0.35, len(columns) - 0.35)
        axes.set_ylim(-1.2 - 1.2 * lines, tallest + 1.2)
        for at, name in enumerate(columns):
            axes.text(at, tallest + 0.4, name, ha="center", fontsize=9, fontweight="bold")
        for path in chosen[:paths]:
            _draw_path(axes, path, columns, places, color=FAINT, linewidth=0.9, zorder=1)
        _draw_path(axes, chosen[lit], columns, places, color=COLORS[0], linewidth=2.2, zorder=2)
        for (name, value), (x, y) in places.items():
            taken = chosen[lit].get(name) == value
            axes.text(
                *(x, y, str(value)),
                ha="center",
                va="center",
                fontsize=7,
                zorder=4 if taken else 3,
                color="white" if taken else INK,
                bbox={
                    "boxstyle": "round,pad=0.22",
                    "facecolor": COLORS[0] if taken else "white",
                    "edgecolor": "none",
                },
            )
        axes.text(
            *(-0.35, -1.0, "\n".join(texts[lit])),
            va="top",
            fontsize=7.6,
            linespacing=1.35,
            color=INK,
        )
    return figure


def _values(chosen: list[dict[str, Any]], name: str) -> list[Any]:
    """What was chosen under a name, in the order of the alphabet."""
    return sorted({choices[name] for choices in chosen if name in choices}, key=str)


def _places(values: dict[str, list[Any]], tallest: int) -> dict[tuple[str, Any], Any]:
    """Where each value stands: columns from left to right, each spread over the whole height."""
    places = {}
    for at, (name, column) in enumerate(values.items()):
        for row, value in enumerate(column):
            places[name, value] = (at, tallest - (row + 0.5) * tallest / len(column))
    return places


def _draw_path(
    axes: Any, path: dict[str, Any], columns: Sequence[str], places: Any, **look: Any
) -> None:
    """Draw the way of a story; a choice that it did not have to make is passed over."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    stops = [places[name, path[name]] for name in columns if name in path]
    if len(stops) < 2:
        return
    points, codes = [stops[0]], [Path.MOVETO]
    for (x, y), (to_x, to_y) in pairwise(stops):
        middle = (x + to_x) / 2
        points += [(middle, y), (middle, to_y), (to_x, to_y)]
        codes += [Path.CURVE4] * 3
    color = look.pop("color")
    axes.add_patch(PathPatch(Path(points, codes), fill=False, edgecolor=color, **look))
