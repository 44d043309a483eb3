"""The beam tree: every beam is in it once, and the winner is seen."""

from __future__ import annotations

import pytest

from minilm.errors import InvalidInput
from minilm.plots.beam_tree import beam_tree

STEPS = [[("a",), ("b",)], [("a", "c"), ("b", "d")]]
FINISHED = [("b", "d", "."), ("a", ".")]


def texts(figure):
    return sorted(text.get_text() for text in figure.axes[0].texts)


def test_every_word_of_a_beam_or_an_end_stands_there_once():
    assert texts(beam_tree(STEPS, FINISHED, "Mia")) == sorted([*"abcd..", "Mia"])


def test_the_best_text_is_a_thick_line_from_the_prompt_to_its_end():
    thick = [line for line in beam_tree(STEPS, FINISHED).axes[0].lines if line.get_linewidth() > 2]
    assert sorted(line.get_xdata()[1] for line in thick) == [1, 2, 3]


def test_ends_are_in_dark_boxes():
    dark = [
        t.get_text() for t in beam_tree(STEPS, FINISHED).axes[0].texts if t.get_color() == "white"
    ]
    assert dark == [".", "."]


def test_nothing_is_no_tree():
    with pytest.raises(InvalidInput):
        beam_tree([], [])
