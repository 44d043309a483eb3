"""The graph of a world: every choice is a node, every story a way through, one of them dark."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from matplotlib.patches import PathPatch

from minilm import plots, world
from minilm.errors import InvalidInput, OutOfRange
from minilm.plots.story_world import FAINT, story_world


def story(text="A story.", **choices):
    return SimpleNamespace(text=text, choices=tuple(choices.items()))


STORIES = [
    story(plot="lost", hero="Mia", outcome="well"),
    story(plot="gift", hero="Ben", outcome="badly"),
    story(plot="lost", outcome="badly"),
]


def paths_of(figure):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, PathPatch)]


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def dark(figure):
    return {
        text.get_text()
        for text in figure.axes[0].texts
        if text.get_bbox_patch() is not None and text.get_color() == "white"
    }


def test_every_choice_is_a_node_under_the_name_of_its_column():
    figure = story_world(STORIES, columns=["plot", "hero", "outcome"])
    assert words(figure)[:-1] == [
        *("plot", "hero", "outcome"),
        *("gift", "lost", "Ben", "Mia", "badly", "well"),
    ]


def test_one_story_is_dark_and_told_below():
    figure = story_world(STORIES, lit=1, columns=["plot", "hero", "outcome"])
    assert dark(figure) == {"gift", "Ben", "badly"}
    assert words(figure)[-1] == "A story."


def test_each_story_is_a_way_and_a_choice_not_made_is_passed_over():
    figure = story_world(STORIES, lit=2, columns=["plot", "hero", "outcome"])
    ways = paths_of(figure)
    assert len(ways) == 4  # three, and the dark one once more
    stops = [len(way.get_path().vertices) // 3 + 1 for way in ways]
    assert stops == [3, 3, 2, 2]
    assert ways[-1].get_linewidth() > ways[0].get_linewidth()


def test_only_the_first_stories_are_drawn_but_all_make_the_graph():
    figure = story_world(STORIES, paths=1, columns=["plot", "outcome"])
    assert len(paths_of(figure)) == 2
    assert "gift" in words(figure)


def test_the_first_choice_of_a_name_counts():
    twice = SimpleNamespace(text="x", choices=(("plot", "a"), ("hero", "b"), ("hero", "c")))
    assert dark(story_world([twice], columns=["plot", "hero"])) == {"a", "b"}


def test_turning_to_another_story_does_not_change_the_size():
    long = story("word " * 100, plot="lost", hero="Mia", outcome="well")
    sizes = {tuple(story_world([*STORIES, long], lit=at).get_size_inches()) for at in range(4)}
    assert len(sizes) == 1


def test_the_stories_of_the_world_have_all_columns():
    stories = [world.sample(seed) for seed in range(40)]
    figure = story_world(stories, lit=3)
    assert {"plot", "hero", "thing", "friend", "town", "outcome", "well", "badly"} <= set(
        words(figure)
    )
    assert len(dark(figure)) >= 5
    assert FAINT != "white"


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"lit": 3}, OutOfRange, "no story 3"),
        ({"columns": ["weather"]}, InvalidInput, "weather"),
    ],
)
def test_what_cannot_be_drawn_is_said(given, kind, message):
    with pytest.raises(kind, match=message):
        story_world(STORIES, **given)


def test_it_draws_the_same_bytes_each_time(capsys):
    pictures = {plots._png(story_world(STORIES)) for _ in range(2)}
    assert len(pictures) == 1
    assert capsys.readouterr().err == ""
