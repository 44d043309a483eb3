"""The distribution of the next token, and what each filter cuts away from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput
from minilm.plots import COLORS, HATCHES, canvas, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def next_token(
    words: Sequence[str], stages: Mapping[str, Any], most: int = 16, title: str = ""
) -> Figure:
    """Draw the likeliest tokens as bars, and by which filter each was cut away.

    words: of the vocabulary, as they are to be written
    stages: name of a filter → the scores (V,) after it, in their order; the first is before any cut
    most: how many tokens are drawn, the likeliest of the first stage    title: above the picture

    Returns a figure: a light bar is the share before the cuts, in the looks of the filter that cut
    it; a dark bar is what is drawn from in the end.
    Raises InvalidInput for no stage, or scores that do not fit the words.
    """
    from matplotlib import rc_context

    if not stages:
        raise InvalidInput("next_token() was given no scores. Give at least {'scores': scores}.")
    for name, scores in stages.items():
        if tuple(scores.shape) != (len(words),):
            raise InvalidInput(
                f"The scores of '{name}' have shape {tuple(scores.shape)}; there are "
                f"{len(words)} words, and each needs one score."
            )
    names = list(stages)
    before = stages[names[0]].softmax(-1)
    after = stages[names[-1]].softmax(-1)
    shown = before.argsort(descending=True, stable=True)[:most].tolist()
    with style(), rc_context({"hatch.color": COLORS[0]}):
        figure, axes = canvas(width=8.2, height=3.0)
        for number, name in enumerate(["stays", *names[1:]]):
            cut = [i for i, token in enumerate(shown) if _cut_by(stages, token) == name]
            if not cut:
                continue
            shares = [100 * float(before[shown[i]]) for i in cut]
            if name == "stays":
                end = [100 * float(after[shown[i]]) for i in cut]
                axes.bar(cut, end, 0.72, color=COLORS[0], label="drawn from")
                axes.bar(cut, shares, 0.4, color=COLORS[4], label="before the cuts")
                continue
            look = {"hatch": HATCHES[number % len(HATCHES)], "edgecolor": COLORS[0]}
            axes.bar(cut, shares, 0.72, color="white", label=f"cut by {name}", **look)
        axes.set_xticks(range(len(shown)), [words[token].strip() or "␣" for token in shown])
        axes.tick_params(axis="x", rotation=60, length=0)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("percent")
        axes.legend(loc="upper right")
        kept = int(stages[names[-1]].isfinite().sum())
        axes.set_title(f"{title + ': ' if title else ''}{kept} of {len(words)} tokens are left")
    return figure


def _cut_by(stages: Mapping[str, Any], token: int) -> str:
    """The first filter after which a token is gone, or "stays"."""
    gone = [name for name, scores in stages.items() if not bool(scores[token].isfinite())]
    return gone[0] if gone else "stays"
