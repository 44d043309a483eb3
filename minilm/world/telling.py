"""The program of the world: set the stage, choose a plot, tell it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minilm.world.choices import Program, Teller
from minilm.world.forms import Form
from minilm.world.lexicon import Lexicon
from minilm.world.plots import PLOTS
from minilm.world.scenes import stage


def program(
    lexicon: Lexicon,
    plots: Sequence[str] = tuple(PLOTS),
    some: Callable[[Sequence[Form]], Sequence[Form]] | None = None,
) -> Program:
    """Return the program that tells the stories of these words and plots.

    For a smaller world, `some` picks those of a sentence's forms that it may use.
    """
    domains = stage(lexicon)

    def tell(story: Teller) -> None:
        story.domains.update(domains)
        story.some = some
        PLOTS[story.choose("plot", **dict.fromkeys(plots, 1))].tell(story)

    return tell


WORLD = program(Lexicon())
