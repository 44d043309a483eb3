"""Guesses along a text: kept, refused, and the model's own."""

from __future__ import annotations

import pytest

from minilm.errors import InvalidInput
from minilm.plots.guesses import guesses

LEGEND = 3


def test_every_word_stands_there_in_its_order():
    figure = guesses([(["the", "cat"], ["sat", "on"]), (["ran"], [])])
    words = [text.get_text() for text in figure.axes[0].texts][:-LEGEND]
    assert words == ["the", "cat", "sat", "on", "ran"]


def test_refused_words_are_struck_through():
    figure = guesses([(["the", "cat"], ["sat", "on"])])
    assert len(figure.axes[0].lines) == 2 + 1  # and the one in the legend


def test_guesses_and_own_words_look_different():
    texts = guesses([(["the", "cat"], [])]).axes[0].texts
    assert texts[0].get_color() == "white" != texts[1].get_color()


def test_a_long_text_goes_on_in_the_next_line():
    figure = guesses([(["word"] * 40, [])])
    assert len({text.get_position()[1] for text in figure.axes[0].texts[:-LEGEND]}) == 3


@pytest.mark.parametrize("rounds", [[], [([], ["a"])]])
def test_a_round_that_kept_nothing_is_refused(rounds):
    with pytest.raises(InvalidInput):
        guesses(rounds)
