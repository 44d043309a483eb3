"""All ways to cut a word into known pieces, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput
from minilm.plots import canvas
from minilm.plots.glyphs import drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STEP = 1.25  # inches from one letter to the next
_RISE = 0.62  # how much higher an arc rises for each letter it spans


def lattice(
    text: str,
    scores: Mapping[str, float],
    path: Sequence[str] = (),
    unk_score: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the lattice of a word: an arc for every piece of the vocabulary, from where it starts to where it ends.

    text: the word
    scores: each piece's score (log probability)
    path: the pieces of the best cut, in order; drawn thick. Their texts joined give `text`
    unk_score: the score of a letter that is no piece; such letters get a dashed arc. None = no arc
    title: above the picture; the path and its total unless given

    Returns the figure.
    Raises `InvalidInput` for a path that does not spell the text.
    """
    if path and "".join(path) != text:
        raise InvalidInput(
            f"path spells {''.join(path)!r} and the word is {text!r}. Give the pieces of this word."
        )
    edges = _edges(text, scores, unk_score)
    chosen = _spans(path)
    tallest = max((end - start for start, end in edges), default=1)
    figure, axes = canvas(width=_STEP * len(text) + 0.6, height=_RISE * tallest + 1.5)
    figure.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    axes.axis("off")
    axes.set_xlim(-0.25, len(text) + 0.25)
    axes.set_ylim(-0.75, _RISE * tallest + 0.85)
    for (start, end), score in edges.items():
        _draw_edge(
            axes, text, (start, end), score, (start, end) in chosen, text[start:end] in scores
        )
    for place in range(len(text) + 1):
        axes.plot(place, 0, "o", markersize=9, color="white", markeredgecolor="black", zorder=4)
        if place < len(text):
            axes.text(
                place + 0.5, -0.38, drawable(text[place]), fontsize=17, parse_math=False, **_CENTRE
            )
    if title is None and path:
        total = sum(edges.get(span, 0.0) for span in chosen)
        title = f"{' + '.join(path)}   (total {total:.1f})"
    axes.text(
        len(text) / 2,
        _RISE * tallest + 0.6,
        drawable(title or ""),
        fontsize=12,
        fontweight="bold",
        parse_math=False,
        **_CENTRE,
    )
    return figure


_CENTRE: dict[str, Any] = {"ha": "center", "va": "center"}


def _edges(
    text: str, scores: Mapping[str, float], unk_score: float | None
) -> dict[tuple[int, int], float]:
    edges = {}
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            score = scores.get(text[start:end], unk_score if end == start + 1 else None)
            if score is not None:
                edges[start, end] = score
    return edges


def _spans(path: Sequence[str]) -> list[tuple[int, int]]:
    spans, start = [], 0
    for piece in path:
        spans.append((start, start + len(piece)))
        start += len(piece)
    return spans


def _draw_edge(
    axes: Any, text: str, span: tuple[int, int], score: float, chosen: bool, known: bool
) -> None:
    """Draw one arc with its piece and score: thick and dark on the best path, thin and grey beside it."""
    import numpy as np

    start, end = span
    along = np.linspace(0, np.pi, 60)
    height = _RISE * (end - start)
    x = (start + end) / 2 - np.cos(along) * (end - start) / 2
    axes.plot(
        x,
        height * np.sin(along) ** 0.8,
        color="black" if chosen else "#9a9a9a",
        linewidth=3.2 if chosen else 1.1,
        linestyle="-" if known else "--",
        zorder=3 if chosen else 1,
    )
    axes.text(
        (start + end) / 2,
        height,
        f"{drawable(text[start:end])}  {score:.1f}",
        fontsize=10.5,
        fontweight="bold" if chosen else "normal",
        color="black" if chosen else "#555555",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        zorder=5,
        parse_math=False,
        **_CENTRE,
    )
