"""A text that was written with guesses: which tokens were guessed, and which were refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minilm.errors import InvalidInput
from minilm.plots import COLORS, INK, canvas, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 88  # characters in a line
Round = tuple[Sequence[str], Sequence[str]]


def guesses(rounds: Sequence[Round]) -> Figure:
    """Draw a text as it was written, guess by guess.

    rounds: for each call of the model the words that were kept, the last of them its own, and those
        that were refused

    Returns a figure: kept guesses on a dark ground, the model's own words framed, refused guesses
    small and struck through. Raises InvalidInput for no round, or one that kept nothing.
    """
    if not rounds or not all(kept for kept, _ in rounds):
        raise InvalidInput("guesses() needs a round, and each keeps a word: the model's own.")
    pieces = []  # (word, kind)
    for kept, refused in rounds:
        pieces += [(word, "guessed") for word in kept[:-1]] + [(kept[-1], "own")]
        pieces += [(word, "refused") for word in refused]
    places, at, line = [], 0, 0
    for word, _ in pieces:
        width = len(_shown(word)) + 1
        if at + width > WIDE:
            at, line = 0, line + 1
        places.append((at, line))
        at += width
    with style():
        figure, axes = canvas(width=8.2, height=0.75 + 0.36 * (line + 1))
        for (word, kind), (x, y) in zip(pieces, places, strict=True):
            _draw(axes, _shown(word), kind, x, -y)
        for i, (label, kind) in enumerate(
            [("guessed, kept", "guessed"), ("the model's own", "own"), ("refused", "refused")]
        ):
            _draw(axes, label, kind, 24 * i, 1.4)
        axes.set_xlim(-1, WIDE + 1)
        axes.set_ylim(-line - 0.6, 2.0)
        axes.set_axis_off()
    return figure


def _shown(word: str) -> str:
    return word.strip().replace("\n", "⏎") or "␣"


def _draw(axes: Axes, word: str, kind: str, x: float, y: float) -> None:
    looks = {"guessed": (COLORS[0], COLORS[0], "white"), "own": ("white", INK, INK)}
    face, edge, ink = looks.get(kind, ("none", "none", "#5a5a5a"))
    axes.text(
        x,
        y,
        word,
        va="center",
        color=ink,
        family="DejaVu Sans Mono",
        fontsize=7.5,
        parse_math=False,
        bbox={"boxstyle": "square,pad=0.18", "facecolor": face, "edgecolor": edge, "lw": 0.7},
    )
    if kind == "refused":
        axes.plot([x, x + 0.93 * len(word)], [y, y], color=COLORS[1], lw=1.2, ls="-")
