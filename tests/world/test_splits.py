"""The three splits, and the floor."""

from __future__ import annotations

import itertools
import math
from hashlib import sha256
from types import SimpleNamespace

import pytest

from minilm import world
from minilm.errors import InvalidInput, OutOfRange, WrongType


def test_no_story_is_in_two_splits():
    splits = {split: {s.text for s in world.stories(split, 60)} for split in world.SHARES}
    for one, other in itertools.combinations(splits.values(), 2):
        assert not one & other
    for split, texts in splits.items():
        assert len(texts) == 60
        assert all(world.split_of(text) == split for text in texts)


# The first digits of the sha256 of the first four stories of each split. They must not change:
# what one has trained on is not to be another's test.
FIRST = {
    "train": ["e656e695", "db2d10af", "1fc9619f", "6e329279"],
    "validation": ["f2c05da7", "89eef479", "f3dea290", "e50519d0"],
    "test": ["1888039d", "281430d0", "6a230437", "1e19ac60"],
}


def test_the_splits_stay_what_they_are():
    for split, digits in FIRST.items():
        told = world.stories(split, 4)
        assert [sha256(story.text.encode()).hexdigest()[:8] for story in told] == digits


def test_the_shares_are_those_that_are_said():
    assert math.fsum(world.SHARES.values()) == pytest.approx(1)
    found = [world.split_of(world.sample(seed).text) for seed in range(4000)]
    for split, share in world.SHARES.items():
        expected = 4000 * share
        assert abs(found.count(split) - expected) < 5 * math.sqrt(4000 * share * (1 - share))


def test_a_seed_gives_the_same_stories_and_another_seed_others():
    first = list(world.stories("train", 30))
    assert list(world.stories("train", 30, seed=0)) == first
    assert not {s.text for s in world.stories("train", 30, seed=1)} & {s.text for s in first}


def test_without_a_count_the_stories_do_not_end():
    endless = world.stories("train", seed=3)
    assert len(list(itertools.islice(endless, 25))) == 25
    assert list(world.stories("train", 0)) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("dev",), InvalidInput),
        ((None,), InvalidInput),
        ((["train"],), InvalidInput),
        (("train", -1), OutOfRange),
        (("train", 2.0), WrongType),
        (("train", True), WrongType),
        (("train", 2, -1), OutOfRange),
        (("train", 2, "0"), WrongType),
        (("train", 2, None), WrongType),
    ],
)
def test_what_is_asked_for_wrongly_is_said_at_once(arguments, error):
    with pytest.raises(error):
        world.stories(*arguments)


def test_the_entropy_is_stable():
    mean, error = world.entropy(1500)
    again, _ = world.entropy(1500, seed=5)
    assert 45.0 < mean < 46.0
    assert 0.05 < error < 0.15
    assert abs(mean - again) < 5 * error


@pytest.mark.parametrize("count", [0, 1])
def test_an_entropy_needs_stories(count):
    with pytest.raises(OutOfRange, match="2 stories or more"):
        world.entropy(count)


def test_the_floor_is_the_surprise_per_token_with_one_for_the_end():
    told = list(world.stories("test", 20))
    surprise = -sum(story.log_prob for story in told)
    words = sum(len(story.text.split()) for story in told)
    assert world.floor(told, str.split) == pytest.approx(surprise / (words + 20))


def test_the_floor_takes_the_tokenizers_there_are():
    told = list(world.stories("test", 5))
    by_list = SimpleNamespace(encode=lambda text, add_special_tokens: list(text))
    by_ids = SimpleNamespace(
        encode=lambda text, add_special_tokens: SimpleNamespace(ids=list(text))
    )
    assert world.floor(told, by_list) == world.floor(told, by_ids) == world.floor(told, list)
    assert world.floor(iter(told), list) == world.floor(told, list)


def test_a_floor_needs_stories():
    with pytest.raises(InvalidInput, match="at least one"):
        world.floor([], list)
