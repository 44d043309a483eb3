"""Strips: every piece lies where the ones before it end, and each kind looks the same everywhere."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from minilm import plots
from minilm.errors import InvalidInput
from minilm.plots.strips import FILLS, strips

FILE = [("attention", 30.0), ("norms", 1.0), ("attention", 20.0), ("tokens", 49.0)]


def bars(panel, row=0):
    """The pieces of one strip, from left to right."""
    found = [bar for bar in panel.patches if bar.get_y() < row < bar.get_y() + bar.get_height()]
    return sorted(found, key=lambda bar: bar.get_x())


def drawn(rows, **options):
    return strips(rows, xlabel="byte", **options).axes[0]


def test_pieces_follow_each_other_in_their_order():
    pieces = bars(drawn({"file": FILE}))
    assert [bar.get_width() for bar in pieces] == [30, 1, 20, 49]
    assert pieces[0].get_x() == 0
    for one, other in pairwise(pieces):
        assert one.get_x() + one.get_width() == pytest.approx(other.get_x())


def test_a_kind_looks_the_same_wherever_it_comes():
    panel = drawn({"file": FILE, "other": [("tokens", 5), ("attention", 5)]})
    first, _, again, tokens = bars(panel)
    assert first.get_facecolor() == again.get_facecolor() != tokens.get_facecolor()
    assert bars(panel, 1)[0].get_facecolor() == tokens.get_facecolor()
    assert bars(panel, 1)[0].get_hatch() == tokens.get_hatch()


def test_every_kind_is_named_once_in_the_order_they_come():
    names = [text.get_text() for text in drawn({"file": FILE}).get_legend().get_texts()]
    assert names == ["attention", "norms", "tokens"]


def test_two_figures_agree_on_looks_if_they_are_given_the_kinds():
    kinds = ["tokens", "head", "attention", "norms"]
    panel = drawn({"file": FILE}, kinds=kinds)
    other = drawn({"file": [("norms", 1), ("tokens", 1)]}, kinds=kinds)
    assert [text.get_text() for text in panel.get_legend().get_texts()] == kinds
    assert bars(panel)[3].get_facecolor() == bars(other)[1].get_facecolor()


def test_shares_fill_every_strip_and_are_written_where_there_is_room():
    panel = drawn(
        {"small": [("a", 1), ("b", 3)], "large": [("a", 20), ("b", 979), ("c", 1)]}, shares=True
    )
    assert [bar.get_width() for bar in bars(panel)] == [25, 75]
    assert sum(bar.get_width() for bar in bars(panel, 1)) == pytest.approx(100)
    assert [text.get_text() for text in panel.texts] == ["25", "75", "98"]


def test_the_first_strip_is_on_top_and_each_has_its_name():
    panel = drawn({"first": FILE, "second": FILE})
    assert [text.get_text() for text in panel.get_yticklabels()] == ["first", "second"]
    low, high = panel.get_ylim()
    assert low > high


def test_a_piece_too_thin_for_a_line_has_none():
    _, thin, thick = bars(drawn({"file": [("a", 500), ("b", 1), ("c", 500)]}))
    assert thin.get_linewidth() == 0
    assert thick.get_linewidth() > 0


def test_numbers_can_be_read_on_their_fill():
    panel = drawn({"all": [(str(at), 1) for at in range(len(FILLS))]}, shares=True)
    for bar, text in zip(bars(panel), panel.texts, strict=True):
        ground, ink = (
            plots.luminance(each) for each in (bar.get_facecolor()[:3], text.get_color())
        )
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) > 4


def test_fills_can_be_told_apart_in_grey():
    for one, other in combinations(FILLS, 2):
        assert abs(plots.luminance(one) - plots.luminance(other)) > 0.02


@pytest.mark.parametrize(
    "rows",
    [
        {},
        {"file": []},
        {"file": [("a", 0)]},
        {"file": [("a", -1), ("b", 2)]},
        {"file": [(str(at), 1) for at in range(len(FILLS) + 1)]},
    ],
)
def test_what_cannot_be_drawn_is_refused(rows):
    with pytest.raises(InvalidInput):
        drawn(rows)
