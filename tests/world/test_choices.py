"""The machinery, on programs that fit on a page."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from minilm.world.choices import Domain, Sampler, enumerate_all, readings
from minilm.world.forms import Form
from minilm.world.lexicon import CHILDREN, Word
from minilm.world.story import _together

GREETING = (Form("{hero} waved.", "{hero} winkte."), Form("There was {hero}.", "Da war {hero}."))
AGAIN = (
    Form("{Who hero} laughed.", "{who hero} lachte."),
    Form("{hero} slept.", "{hero} schlief."),
)


def greet(story):
    story.let("hero", Domain(CHILDREN[:3]))
    story.say("greeting", GREETING)
    if story.choose("more", yes=3, no=1) == "yes":
        story.say("again", AGAIN)


def test_all_choices_are_gone_through_in_their_order():
    texts = [teller.text for teller in enumerate_all(greet)]
    assert len(texts) == len(set(texts)) == 2 * 3 * (2 + 1)
    assert texts[:3] == ["Mia waved. She laughed.", "Mia waved. Mia slept.", "Mia waved."]


def test_the_probability_is_the_product_of_the_weights():
    probabilities = {teller.text: math.exp(teller.log_prob) for teller in enumerate_all(greet)}
    assert probabilities["Mia waved."] == pytest.approx(1 / 2 / 3 / 4)
    assert probabilities["There was Anna. She laughed."] == pytest.approx(1 / 2 / 3 * 3 / 4 / 2)
    assert math.fsum(probabilities.values()) == pytest.approx(1)


def test_drawn_stories_come_as_often_as_they_are_probable():
    drawn = Counter()
    for seed in range(6000):
        sampler = Sampler(seed)
        greet(sampler)
        drawn[sampler.text] += 1
    for teller in enumerate_all(greet):
        expected = 6000 * math.exp(teller.log_prob)
        assert abs(drawn[teller.text] - expected) < 5 * math.sqrt(expected)


def test_a_text_is_read_as_it_was_told():
    for teller in enumerate_all(greet):
        (reader,), furthest = readings(greet, teller.text)
        assert reader.choices == teller.choices
        assert reader.log_prob == teller.log_prob
        assert reader.values == teller.values
        assert furthest == len(teller.text)


@pytest.mark.parametrize(
    ("text", "followed"),
    [
        ("", ""),
        ("Mia", ""),
        ("Mia waved. ", "Mia waved."),
        ("Mia waved.  She laughed.", "Mia waved."),
        ("Mia waved. He laughed.", "Mia waved."),
        ("Mia waved. Anna slept.", "Mia waved."),
        ("Mia waved. She laughed. She laughed.", "Mia waved. She laughed."),
        ("There was Tom.", ""),
    ],
)
def test_what_the_program_cannot_say_is_not_read(text, followed):
    found, furthest = readings(greet, text)
    assert not found
    assert text[:furthest] == followed


def test_two_ways_to_say_the_same_are_both_counted():
    """The world has no such text; if it had one, the probability would still be exact."""

    def twice(story):
        story.say("first", (Form("Good day.", ""), Form("Good day.", ""), Form("Hello.", "")))

    found, _ = readings(twice, "Good day.")
    assert len(found) == 2
    assert _together(found) == pytest.approx(math.log(2 / 3))


def test_a_value_is_drawn_from_what_fits_what_is_known():
    def pair(story):
        story.let("one", Domain([Word("a", ""), Word("b", "")]))
        other = Domain(
            story.domains["one"].pool,
            lambda values: lambda word: word is not values["one"],
        )
        story.let("two", other)
        story.say("pair", (Form("{one} and {two}.", ""),))

    assert [teller.text for teller in enumerate_all(pair)] == ["A and b.", "B and a."]
    assert [teller.log_prob for teller in enumerate_all(pair)] == [math.log(1 / 2)] * 2
    assert not readings(pair, "A and a.")[0]
