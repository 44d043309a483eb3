"""Strips cut into pieces: what lies where in a file, and what makes up a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput
from minilm.plots import COLORS, HATCHES, canvas, style, text_color

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pieces = Sequence[tuple[str, float]]
# From dark to light, a grey that stands between nothing, and at last the lightest.
FILLS = (*COLORS, "#e3e3e3")
FILL_HATCHES = (*HATCHES, "")
HEIGHT = 0.62  # of a strip; the distance between two is 1
# A piece shorter than this part of the longest strip has no room for a line around it.
HAIR = 0.004


def strips(
    rows: Mapping[str, Pieces],
    *,
    xlabel: str,
    shares: bool = False,
    kinds: Iterable[str] = (),
    height: float = 0.55,
) -> Figure:
    """Draw each row as a strip, cut into pieces that follow each other.

    rows: name of a strip → its pieces in order, each a kind and a size; a kind may come again
    xlabel: what is measured    shares: draw all strips equally long, and each piece as a share of
        its own strip, in percent    height: inches for each strip
    kinds: in which order kinds get their looks, so that two figures agree; otherwise as they come

    Returns a figure. A kind has one look in all strips, told apart in grey too, and is named once
    above them; of shares, those that have room are written in.
    Raises InvalidInput for no strip, an empty one, a size below zero, or more than six kinds.
    """
    looks = _looks(rows, list(kinds))
    widths = {name: _sizes(pieces, shares) for name, pieces in rows.items()}
    longest = max(map(sum, widths.values()))
    with style():
        figure, axes = canvas(width=8.2, height=height * len(rows) + 1.15)
        for at, (name, pieces) in enumerate(rows.items()):
            left = 0.0
            for (kind, _), width in zip(pieces, widths[name], strict=True):
                look = looks[kind]
                thin = width < HAIR * longest
                bare = {"linewidth": 0, "hatch": ""} if thin else {}
                axes.barh(at, width, HEIGHT, left, **(look | bare))
                if shares and width >= 4:
                    axes.text(
                        left + width / 2,
                        at,
                        f"{width:.0f}",
                        ha="center",
                        va="center",
                        fontsize=9,
                        color=text_color(look["facecolor"]),
                        bbox={"facecolor": look["facecolor"], "edgecolor": "none", "pad": 1.2},
                    )
                left += width
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set(xlabel=xlabel, xlim=(0, longest), ylim=(len(rows) - 0.5, -0.5))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        _name_kinds(axes, looks)
    return figure


def _looks(rows: Mapping[str, Pieces], order: list[str]) -> dict[str, dict[str, Any]]:
    """The look of each kind that is there; a refusal of what cannot be drawn."""
    if not rows or not all(rows.values()):
        raise InvalidInput("strips() has nothing to draw. Give each strip a piece: (kind, size).")
    for name, pieces in rows.items():
        if any(size < 0 for _, size in pieces) or not any(size for _, size in pieces):
            raise InvalidInput(f"The sizes in '{name}' must be 0 or more, and not all of them 0.")
    there = dict.fromkeys(kind for pieces in rows.values() for kind, size in pieces if size)
    names = list(dict.fromkeys([*order, *there]))
    if len(names) > len(FILLS):
        raise InvalidInput(
            f"{len(names)} kinds were given; {len(FILLS)} can be told apart. Put some together."
        )
    return {
        kind: {"facecolor": fill, "hatch": hatch, "edgecolor": "white", "linewidth": 0.8}
        for kind, fill, hatch in zip(names, FILLS, FILL_HATCHES, strict=False)
    }


def _sizes(pieces: Pieces, shares: bool) -> list[float]:
    total = sum(size for _, size in pieces)
    return [size * 100 / total if shares else size for _, size in pieces]


def _name_kinds(axes: Any, looks: Mapping[str, dict[str, Any]]) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(**look, label=kind) for kind, look in looks.items()]
    axes.legend(
        handles=patches,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=len(looks),
        fontsize=9,
        handlelength=1.6,
        columnspacing=1.3,
        borderaxespad=0.2,
    )
