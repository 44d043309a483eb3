"""A small world can be gone through: every text once, and the probabilities are those of one."""

from __future__ import annotations

import math

import pytest

from minilm.world.choices import enumerate_all, readings
from minilm.world.plots import PLOTS


@pytest.mark.parametrize("first", [0, 1, 3])
@pytest.mark.parametrize("plot", PLOTS)
def test_every_text_is_told_in_one_way_and_the_probabilities_sum_to_one(small_world, plot, first):
    told = {}
    for teller in enumerate_all(small_world(plot, first)):
        assert teller.text not in told
        told[teller.text] = math.exp(teller.log_prob)
    assert len(told) > 100
    assert math.fsum(told.values()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("plot", PLOTS)
def test_the_same_with_two_forms_for_some_sentences(small_world, plot):
    """The first thousands of a world in which sentences of four forms may be said in two."""
    told = set()
    for number, teller in enumerate(enumerate_all(small_world(plot, 2, 4))):
        assert teller.text not in told
        told.add(teller.text)
        if number == 4000:
            break


@pytest.mark.parametrize("plot", PLOTS)
def test_the_reader_finds_each_story_of_a_small_world_once(small_world, plot):
    world = small_world(plot, 2)
    for number, teller in enumerate(enumerate_all(world)):
        if number % 61 == 0:
            found, furthest = readings(world, teller.text)
            assert len(found) == 1
            assert furthest == len(teller.text)
            assert found[0].choices == teller.choices
            assert found[0].log_prob == teller.log_prob


@pytest.mark.parametrize("plot", PLOTS)
def test_with_all_plots_and_forms_there_is_still_one_way(small_world, few_words_world, plot):
    """What only some forms can say is not said by other forms or plots as well."""
    for first in (0, 4):
        # The same words in the same order, so that the objects are found again.
        for number, teller in enumerate(enumerate_all(small_world(plot, first))):
            if number % 401 == 0:
                found, _ = readings(few_words_world, teller.text)
                assert len(found) == 1, teller.text


def test_a_swapped_word_gives_another_story_or_none(small_world):
    """Brute force: what the reader says of changed texts is what the enumeration says."""
    world = small_world("broken", 0)
    told = {teller.text: teller.log_prob for teller in enumerate_all(world)}
    words = sorted({word for text in told for word in text.split()})
    possible = 0
    for text in list(told)[:: len(told) // 2]:
        before = text.split()
        for place in range(len(before)):
            for word in words:
                changed = " ".join([*before[:place], word, *before[place + 1 :]])
                found, _ = readings(world, changed)
                if changed in told:
                    possible += changed != text
                    assert [reader.log_prob for reader in found] == [told[changed]]
                else:
                    assert not found, changed
    assert possible > 0
