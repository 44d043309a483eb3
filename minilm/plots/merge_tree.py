"""The tree that byte-pair encoding grows over a word, merge by merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from minilm.errors import InvalidInput
from minilm.plots import COLORS, INK, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Node:
    """One token on the way: its text, where it hangs, and the merge that made it."""

    token: str
    x: float  # in symbols of the word, from 0
    step: int  # 0 for a symbol of the word, else the number of the merge, from 1
    rank: int | None = None
    parts: tuple[Node, ...] = ()


def grow(symbols: Sequence[str], ranks: Mapping[tuple[str, str], int]) -> list[Node]:
    """Merge a word and keep every token that appears on the way.

    symbols: the symbols of one word
    ranks: pair → rank; the lowest rank merges first, leftmost first

    Returns the roots: one node for each token that is left at the end.
    """
    nodes = [Node(symbol, float(at), step=0) for at, symbol in enumerate(symbols)]
    step = 0
    while True:
        tokens = [node.token for node in nodes]
        known = [(ranks[pair], at) for at, pair in enumerate(pairwise(tokens)) if pair in ranks]
        if not known:
            return nodes
        step += 1
        rank, at = min(known)
        left, right = nodes[at : at + 2]
        x = (left.x + right.x) / 2
        nodes[at : at + 2] = [Node(left.token + right.token, x, step, rank, (left, right))]


def merge_tree(symbols: Sequence[str], ranks: Mapping[tuple[str, str], int]) -> Figure:
    """Draw how the symbols of a word become tokens.

    symbols: the symbols of one word, at least one
    ranks: pair → rank, as for `minilm.tokenization.bpe.apply_merges`

    Returns a figure: the symbols at the foot, each merge one step higher with its rank beside
    it, the tokens that are left in dark boxes.
    Raises InvalidInput for a word without symbols.
    """
    if not symbols:
        raise InvalidInput("merge_tree([]) has nothing to draw. Give a word with a symbol.")
    roots = grow(symbols, ranks)
    top = max(root.step for root in roots)
    longest = max(len(root.token) for root in roots)
    figure, axes = canvas(
        width=max(3.0, 0.75 * len(symbols), 0.12 * longest + 1.5), height=1.0 + 0.55 * (top + 1)
    )
    for root in roots:
        _draw(axes, root, is_root=True)
    axes.set_xlim(-0.7, len(symbols) - 0.3)
    axes.set_ylim(-0.6, top + 0.6)
    axes.set_yticks(range(top + 1), ["symbols", *(f"merge {step}" for step in range(1, top + 1))])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(visible=False, axis="x")
    axes.spines[:].set_visible(False)
    return figure


def _draw(axes: Axes, node: Node, is_root: bool) -> None:
    for part in node.parts:
        # Straight up from the part, then across to the middle: the brackets of a family tree.
        axes.plot([part.x, part.x, node.x], [part.step, node.step, node.step], color=INK, ls="-")
        _draw(axes, part, is_root=False)
    box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": INK}
    if is_root:
        box["facecolor"] = COLORS[0]
    ink = "white" if is_root else INK
    axes.text(
        node.x,
        node.step,
        node.token,
        color=ink,
        bbox=box,
        zorder=3,
        ha="center",
        va="center",
        family="DejaVu Sans Mono",
        fontsize=10,
        parse_math=False,  # "$x$" is three characters, no formula
    )
    if node.rank is not None:
        axes.annotate(
            f"rank {node.rank}",
            (node.x, node.step),
            xytext=(0, -11),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=7.5,
            color=INK,
            zorder=4,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"},
        )
