"""What a larger vocabulary buys: characters per token, and what each doubling adds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from minilm.errors import InvalidInput
from minilm.plots import canvas, look

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def growth(vocab_sizes: Sequence[int], chars_per_token: Sequence[float]) -> Figure:
    """Draw the length of the average token against the size of the vocabulary.

    vocab_sizes: number of tokens, growing; two or more
    chars_per_token: characters of text per token, one figure for each size

    Returns a figure with the curve on the left and the gain from each size to the next as bars
    on the right.
    Raises InvalidInput if the lists differ in length, are too short, or the sizes do not grow.
    """
    if len(vocab_sizes) != len(chars_per_token) or len(vocab_sizes) < 2:
        raise InvalidInput(
            f"growth() was given {len(vocab_sizes)} sizes and {len(chars_per_token)} figures; "
            "it takes two lists of the same length, at least two long."
        )
    if vocab_sizes[0] < 1 or any(left >= right for left, right in pairwise(vocab_sizes)):
        raise InvalidInput(f"vocab_sizes={list(vocab_sizes)} must be above zero and must grow.")
    names = [f"{size:,}" for size in vocab_sizes]
    gains = [right - left for left, right in pairwise(chars_per_token)]
    figure, (curve, bars) = canvas(1, 2, width=8.0, height=3.2)

    curve.plot(vocab_sizes, chars_per_token, **look(0))
    curve.set_xscale("log", base=2)
    curve.set_xticks(vocab_sizes, names, rotation=45, ha="right")
    curve.minorticks_off()
    curve.set_ylim(bottom=0)
    curve.set(title="How long a token is", xlabel="tokens in the vocabulary")
    curve.set_ylabel("characters per token")

    bars.bar(range(len(gains)), gains, width=0.7, **look(0, "bar"))
    steps = [f"{left} to {right}" for left, right in pairwise(names)]
    bars.set_xticks(range(len(gains)), steps, rotation=45, ha="right")
    bars.grid(visible=False, axis="x")
    bars.set(title="What each step adds", ylabel="characters per token gained")
    for at, gain in enumerate(gains):
        bars.annotate(f"{gain:+.2f}", (at, max(gain, 0.0)), ha="center", va="bottom", fontsize=9)
    bars.margins(y=0.15)
    return figure
