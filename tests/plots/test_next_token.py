"""The next token's distribution: what was cut is told apart from what is left."""

from __future__ import annotations

import math

import pytest
import torch
from matplotlib.colors import to_rgb

from minilm.errors import InvalidInput
from minilm.plots.next_token import next_token

WORDS = [" a", " b", " c", " d"]
SCORES = torch.tensor([0.0, 3.0, 1.0, 2.0])


def without(*tokens):
    scores = SCORES.clone()
    scores[list(tokens)] = -math.inf
    return scores


def bars(figure):
    """label → the heights of its bars."""
    axes = figure.axes[0]
    return {c.get_label(): [bar.get_height() for bar in c] for c in axes.containers}


def test_the_likeliest_token_stands_first():
    figure = next_token(WORDS, {"scores": SCORES})
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["b", "d", "c", "a"]


def test_each_token_is_cut_by_the_first_filter_that_cuts_it():
    figure = next_token(WORDS, {"scores": SCORES, "top_k": without(0), "top_p": without(0, 2)})
    found = bars(figure)
    p = SCORES.softmax(-1)
    assert found["cut by top_k"] == pytest.approx([100 * float(p[0])])
    assert found["cut by top_p"] == pytest.approx([100 * float(p[2])])
    assert sum(found["drawn from"]) == pytest.approx(100)
    assert found["before the cuts"] == pytest.approx([100 * float(p[1]), 100 * float(p[3])])


def test_filters_are_told_apart_by_hatching_that_is_seen_on_white():
    figure = next_token(WORDS, {"scores": SCORES, "top_k": without(0), "top_p": without(0, 2)})
    cuts = [c[0] for c in figure.axes[0].containers if c.get_label().startswith("cut")]
    assert len({bar.get_hatch() for bar in cuts}) == 2
    for bar in cuts:
        assert bar.get_facecolor()[:3] == to_rgb("white")
        assert sum(to_rgb(bar._hatch_color)) < 1.5


def test_the_title_counts_what_is_left():
    figure = next_token(WORDS, {"scores": SCORES, "top_k": without(0)}, most=2)
    titles = [figure.axes[0].get_title(place) for place in ("left", "center")]
    assert "3 of 4 tokens are left" in titles


@pytest.mark.parametrize("stages", [{}, {"scores": torch.zeros(3)}, {"scores": torch.zeros(1, 4)}])
def test_scores_that_do_not_fit_are_refused(stages):
    with pytest.raises(InvalidInput):
        next_token(WORDS, stages)
