"""The tree of a beam search: every continuation that was ever a beam, and the one that won."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minilm.errors import InvalidInput
from minilm.plots import COLORS, INK, canvas, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Path = tuple[str, ...]


def beam_tree(
    steps: Sequence[Sequence[Path]], finished: Sequence[Path], prompt: str = ""
) -> Figure:
    """Draw how beams grew, word by word.

    steps: for each step the texts that went on as beams, each as its words after the prompt, the
        best first    finished: texts that ended, the best first    prompt: what they all begin with

    Returns a figure: from left to right one column a step; the best finished text is a thick line,
    other finished ones end in a dark box, beams that were given up just end.
    Raises InvalidInput for no step.
    """
    if not steps or not any(steps):
        raise InvalidInput("beam_tree() was given no step. Give the beams of one step or more.")
    texts = {tuple(text) for step in steps for text in step} | {tuple(text) for text in finished}
    nodes = {text[:n] for text in texts for n in range(len(text) + 1)}
    leaves = sorted(node for node in nodes if not any(_is_child(other, node) for other in nodes))
    heights = {leaf: float(-at) for at, leaf in enumerate(leaves)}
    for node in sorted(nodes - set(leaves), key=len, reverse=True):
        below = [heights[other] for other in nodes if _is_child(other, node)]
        heights[node] = sum(below) / len(below)
    best = tuple(finished[0]) if finished else ()
    ends = {tuple(text) for text in finished}
    depth = max(map(len, nodes))
    with style():
        figure, axes = canvas(width=max(4.0, 1.05 * (depth + 1)), height=0.6 + 0.3 * len(leaves))
        for node in nodes - {()}:
            on_best = best[: len(node)] == node
            axes.plot(
                [len(node) - 1, len(node)],
                [heights[node[:-1]], heights[node]],
                color=COLORS[1] if on_best else INK,
                linewidth=2.6 if on_best else 0.7,
                linestyle="-",
                zorder=1,
            )
        for node in nodes:
            is_end = node in ends
            axes.text(
                len(node),
                heights[node],
                (node[-1].strip() or "␣") if node else prompt,
                ha="center",
                va="center",
                fontsize=8,
                color="white" if is_end else INK,
                parse_math=False,
                bbox={
                    "boxstyle": "round,pad=0.2",
                    "facecolor": COLORS[0] if is_end else "white",
                    "edgecolor": "none",
                },
            )
        axes.set_xlim(-0.6, depth + 0.6)
        axes.set_ylim(0.8 - len(leaves), 0.8)
        axes.set_axis_off()
    return figure


def _is_child(node: Path, of: Path) -> bool:
    return len(node) == len(of) + 1 and node[:-1] == of
