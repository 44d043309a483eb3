"""Stories of the whole world: the same everywhere, readable, and exactly as probable as said."""

from __future__ import annotations

import hashlib
import math
import random
import re
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm import world
from minilm.errors import InvalidInput, OutOfRange, WrongType
from minilm.world import lexicon
from minilm.world.choices import readings
from minilm.world.telling import WORLD

# The first digits of the sha256 of the texts of the seeds 0 to 49. They must never change: a
# model's floor, and the numbers in the book, hang on them.
HASHES = [
    "e656e695",
    "db2d10af",
    "1fc9619f",
    "6e329279",
    "f2c05da7",
    "4fde1425",
    "4a0ca648",
    "27cd31f3",
    "47da76df",
    "fcb1b6a2",
    "ef547ffb",
    "d9ab3e4e",
    "e696a42b",
    "b61e5943",
    "d69ed531",
    "4ea179a7",
    "111ac2b3",
    "e836fb3d",
    "63864a44",
    "ce73616b",
    "54954233",
    "ccd146f7",
    "658b6a8e",
    "3704b46d",
    "482eaf55",
    "62b9e8c1",
    "495eab3a",
    "2f28ac9d",
    "6b86be88",
    "d4b7a0f8",
    "970764fe",
    "2ec5b185",
    "9a1559b1",
    "9e6894d0",
    "3401b9ff",
    "260e24d6",
    "f1e63581",
    "19edca0d",
    "74fdffcb",
    "73c0b0eb",
    "cc4d4d30",
    "ec03a508",
    "00b4d83d",
    "d65c7a01",
    "6f54be29",
    "300e53af",
    "04e5ad9d",
    "1cf88345",
    "a96f2dfd",
    "14cc12e7",
]

STORIES = [world.sample(seed) for seed in range(10_000, 10_400)]
COLOURED = sum(thing.coloured for thing in lexicon.THINGS)
TEXTS = [story.text for story in STORIES]


def test_a_seed_tells_the_same_story_on_every_machine():
    texts = [world.sample(seed).text for seed in range(len(HASHES))]
    assert [hashlib.sha256(text.encode()).hexdigest()[:8] for text in texts] == HASHES


def test_nothing_depends_on_how_python_hashes():
    """Questions and labels too."""
    script = (
        "import hashlib; from minilm import world; s = [world.sample(n) for n in range(20)];"
        "print(hashlib.sha256(repr([(x, x.sentences, x.questions, x.entities) for x in s])"
        ".encode()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(seen) == 1


def test_the_reader_says_exactly_what_the_sampler_knew():
    for story in STORIES:
        assert world.log_prob(story.text) == story.log_prob
        assert world.read(story.text) == story
        assert world.read(story.text).questions == story.questions


def test_no_story_of_the_world_can_be_told_in_two_ways():
    for text in TEXTS:
        found, furthest = readings(WORLD, text)
        assert len(found) == 1
        assert furthest == len(text)


def test_stories_have_40_to_120_words():
    counts = [len(text.split()) for text in TEXTS]
    assert min(counts) >= 40
    assert max(counts) <= 120
    assert 75 < sum(counts) / len(counts) < 90


def test_the_longest_and_shortest_forms_stay_within_40_to_120_words():
    counts = [len(world.sample(seed).text.split()) for seed in range(4000)]
    assert min(counts) >= 40
    assert max(counts) <= 120


def test_the_world_has_some_hundreds_of_words():
    words = {word for seed in range(3000) for word in re.findall(r"[A-Za-zé']+", _text(seed))}
    assert 350 <= len({word.lower() for word in words}) <= 600


def _text(seed: int) -> str:
    return world.sample(seed).text


def test_half_of_the_stories_end_well_in_every_plot():
    ends = Counter((story.plot, story.ends_well) for story in map(world.sample, range(4000)))
    plots = {plot for plot, _ in ends}
    assert len(plots) == 7
    for plot in plots:
        share = ends[plot, True] / (ends[plot, True] + ends[plot, False])
        assert 0.42 < share < 0.58, plot


def test_neither_the_first_nor_the_last_sentence_tells_the_end():
    """The best rule by a sentence's words alone, learned from 3000 stories, on 1000 others.

    The names are taken out, so that sentences of one form count as one.
    """
    names = {word for pool in (lexicon.CHILDREN, lexicon.THINGS, lexicon.TOWNS) for word in pool}
    pattern = re.compile("|".join(rf"\b{re.escape(word.shown)}\b" for word in names))
    told = [world.sample(seed) for seed in range(4000)]
    for place in (0, -1):
        seen: dict[str, Counter[bool]] = {}
        right = 0
        for number, story in enumerate(told):
            form = pattern.sub("_", story.sentences[place].english)
            if number < 3000:
                seen.setdefault(form, Counter())[story.ends_well] += 1
            else:
                counts = seen.get(form, Counter())
                right += (counts[True] >= counts[False]) == story.ends_well
        assert right / 1000 < 0.6


def test_single_words_do_not_tell_the_end():
    """Whichever word a story has or has not: at most 65 of 100 stories are told by it."""
    told = [world.sample(seed) for seed in range(3000)]
    having: dict[str, Counter[bool]] = {}
    for story in told:
        for word in set(re.findall(r"[\w']+", story.text.lower())):
            having.setdefault(word, Counter())[story.ends_well] += 1
    well = sum(story.ends_well for story in told)
    for word, counts in having.items():
        right = counts[True] + (len(told) - well - counts[False])
        assert max(right, len(told) - right) / len(told) < 0.65, word


def test_a_or_an_as_it_should_be():
    for text in TEXTS:
        for article, word in re.findall(r"\b([Aa]n?) (\w+)", text):
            sounds_open = word[0] in "aeiou" or word == "hour"
            assert (article.lower() == "an") == sounds_open, (article, word)


def test_no_word_comes_twice_in_a_row_and_the_spaces_are_single():
    for text in TEXTS:
        assert not re.search(r"\b(\w+) \1\b", text), text
        assert "  " not in text
        assert text == text.strip()
        assert "{" not in text
        assert text.count('"') % 2 == 0


def test_pronouns_have_the_gender_of_somebody_in_the_story():
    men = {who.shown for who in (*lexicon.CHILDREN, *lexicon.GROWN_UPS) if who.gender == "m"}
    women = {who.shown for who in (*lexicon.CHILDREN, *lexicon.GROWN_UPS) if who.gender == "f"}
    fathers = {who.shown for who in lexicon.RELATIVES if who.gender == "m"}
    mothers = {who.shown for who in lexicon.RELATIVES if who.gender == "f"}
    for text in TEXTS:
        if re.search(r"\b([Hh]e|[Hh]is|[Hh]im)\b", text):
            assert any(who in text for who in men | fathers), text
        if re.search(r"\b([Ss]he|[Hh]er)\b", text):
            assert any(who in text for who in women | mothers), text


def test_nobody_is_called_by_a_name_whose_genitive_is_hard():
    people = (*lexicon.CHILDREN, *lexicon.GROWN_UPS, *lexicon.ANIMALS)
    assert not [who.german for who in people if who.german[-1] in "sxzß"]
    assert len({who.shown for who in people}) == len(people)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "Once upon a time there was a cat.",
        TEXTS[0] + " ",
        " " + TEXTS[0],
        TEXTS[0] + " " + TEXTS[1],
        TEXTS[0][:-1],
        TEXTS[0].lower(),
        TEXTS[0].replace(". ", ".  ", 1),
        TEXTS[0].replace(". ", ".\n", 1),
        TEXTS[0].rsplit(". ", 1)[0] + ".",
    ],
)
def test_what_is_no_story_has_probability_zero(text):
    assert world.log_prob(text) == -math.inf
    with pytest.raises(InvalidInput, match="no story of the world"):
        world.read(text)


def test_the_error_says_where_reading_broke_off():
    text = TEXTS[0]
    end = STORIES[0].sentences[3].end
    with pytest.raises(InvalidInput) as caught:
        world.read(text[:end] + " Then a dragon came.")
    assert repr(text[:end][-40:]) in str(caught.value)
    assert "Then a dragon came." in str(caught.value)


def test_a_changed_word_gives_another_story_of_the_world_or_none():
    """Where it is one, it is told again by its own choices, and is as probable as they are."""
    words = sorted({word for text in TEXTS for word in text.split()})
    draw = random.Random(0).random
    for text in TEXTS[:100]:
        before = text.split(" ")
        for _ in range(8):
            place, word = int(draw() * len(before)), words[int(draw() * len(words))]
            changed = " ".join([*before[:place], word, *before[place + 1 :]])
            known = world.log_prob(changed)
            if known > -math.inf:
                again = world.read(changed)
                assert again.text == changed
                assert again.log_prob == known


def test_another_adjective_gives_a_story_that_is_as_probable():
    changed = 0
    for story in STORIES:
        if len(re.findall(r"\bold\b", story.text)) == 1 and "an old man" not in story.text:
            text = re.sub(r"\b([Aa])n old\b", r"\1 big", story.text).replace(" old ", " big ")
            assert world.log_prob(text) == pytest.approx(story.log_prob, abs=1e-9)
            changed += 1
            # A big thing may not always be yellow: a colour is for some things only.
            yellow = world.log_prob(text.replace(" big ", " yellow "))
            assert yellow == -math.inf or yellow == pytest.approx(
                story.log_prob + math.log(len(lexicon.THINGS) / COLOURED), abs=0.1
            )
    assert changed > 10


def test_another_name_in_every_place_is_as_probable():
    """All children are equally likely, so a story with two of a gender exchanged is too."""
    for story in STORIES[:60]:
        text = story.text
        if "Rose" in text or "Robin" in text:
            continue  # they are streets, towns, or both at once
        changed = re.sub(
            r"\b(Mia|Anna)\b", lambda found: {"Mia": "Anna", "Anna": "Mia"}[found[0]], text
        )
        assert world.log_prob(changed) == pytest.approx(story.log_prob, abs=1e-9)
    for story in STORIES:
        if "Tom" in story.text and "Finn" not in story.text:
            assert world.log_prob(story.text.replace("Tom", "Finn")) == pytest.approx(
                story.log_prob
            )


def test_the_thing_that_is_told_of_is_always_the_same():
    for story in STORIES:
        if story.plot in ("lost", "hidden", "lent", "broken", "meeting", "errand"):
            names = {entity.text for entity in story.entities if entity.label == "THING"}
            assert len(names) == 1, story.text


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=0, max_value=2**70))
def test_every_seed_tells_a_story_that_is_read_again(seed):
    story = world.sample(seed)
    assert world.read(story.text) == story
    assert -75 < story.log_prob < -25
    assert 40 <= len(story.text.split()) <= 120


@pytest.mark.parametrize(
    ("seed", "error"),
    [(-1, OutOfRange), (1.0, WrongType), ("1", WrongType), (None, WrongType), (True, WrongType)],
)
def test_a_seed_is_a_whole_number(seed, error):
    with pytest.raises(error, match="Give a whole number"):
        world.sample(seed)


def test_a_text_is_a_string():
    with pytest.raises(WrongType, match="one string"):
        world.log_prob(["Mia"])
    with pytest.raises(WrongType, match="one string"):
        world.read(None)
