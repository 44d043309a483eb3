"""Worlds that are small enough to go through all their stories."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from minilm.world import lexicon
from minilm.world.choices import Program
from minilm.world.forms import Form
from minilm.world.lexicon import Lexicon
from minilm.world.telling import program

KINDS = ("street", "house")


def few_words(children: int = 3, places: int = 4) -> Lexicon:
    """Two or three children, three or four places, and next to nothing else."""
    streets, houses = (
        [place for place in lexicon.PLACES if place.kind == kind][:2] for kind in KINDS
    )
    return Lexicon(
        children=(lexicon.CHILDREN[0], lexicon.CHILDREN[-4], lexicon.CHILDREN[3])[:children],
        grown_ups=(lexicon.GROWN_UPS[0], lexicon.GROWN_UPS[6]),
        animals=lexicon.ANIMALS[2:3],
        things=(lexicon.THINGS[4], lexicon.THINGS[18]),
        colours=lexicon.COLOURS[:1],
        looks=lexicon.LOOKS[:1],
        places=(*streets, *houses)[:places],
        spots={kind: lexicon.SPOTS[kind][:1] for kind in KINDS},
        towns=lexicon.TOWNS[:1],
        relatives=lexicon.RELATIVES[:2],
        times=lexicon.TIMES[:1],
        hours=lexicon.HOURS[:3],
        voices=lexicon.VOICES[:1],
    )


# What each plot cannot do without.
SIZES = {
    "lost": (2, 3),
    "hidden": (2, 4),
    "lent": (3, 3),
    "broken": (2, 3),
    "errand": (2, 3),
    "gift": (2, 3),
    "meeting": (2, 3),
}


def some_forms(first: int, two: int | None) -> Callable[[Sequence[Form]], Sequence[Form]]:
    """Of each sentence one form, the `first` and round again; of those with `two` forms both."""

    def some(forms: Sequence[Form]) -> Sequence[Form]:
        wanted = 2 if len(forms) == two else 1
        return [forms[(first + step) % len(forms)] for step in range(wanted)]

    return some


@pytest.fixture
def small_world() -> Callable[..., Program]:
    """Make the program of one plot in a small world."""

    def make(plot: str, first: int, two: int | None = None) -> Program:
        return program(few_words(*SIZES[plot]), (plot,), some_forms(first, two))

    return make


@pytest.fixture
def few_words_world() -> Program:
    """The program of all plots and all forms, with few words."""
    return program(few_words())
