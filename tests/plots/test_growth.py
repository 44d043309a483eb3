"""The growth of the vocabulary: what is drawn, and what cannot be."""

from __future__ import annotations

import pytest

from minilm import plots
from minilm.errors import InvalidInput
from minilm.plots.growth import growth

SIZES, LENGTHS = [256, 512, 2048], [1.0, 2.25, 2.0]


def test_the_curve_goes_through_every_figure():
    curve, _ = growth(SIZES, LENGTHS).axes
    (line,) = curve.get_lines()
    assert list(line.get_xdata()) == SIZES
    assert list(line.get_ydata()) == LENGTHS
    assert line.get_marker() != "None", "the measured points can be told from the line between"


def test_there_is_a_bar_for_every_step_with_its_gain_written_on_it():
    _, bars = growth(SIZES, LENGTHS).axes
    assert [bar.get_height() for bar in bars.patches] == [1.25, -0.25]
    assert [text.get_text() for text in bars.texts] == ["+1.25", "-0.25"]
    assert [tick.get_text() for tick in bars.get_xticklabels()] == ["256 to 512", "512 to 2,048"]


def test_the_axis_shows_the_sizes_that_were_given_and_no_others():
    curve, _ = growth(SIZES, LENGTHS).axes
    assert [tick.get_text() for tick in curve.get_xticklabels()] == ["256", "512", "2,048"]
    assert not list(curve.xaxis.get_minorticklocs())


def test_the_scale_of_tokens_begins_at_zero():
    curve, _ = growth([2, 4], [3.0, 3.1]).axes
    assert curve.get_ylim()[0] == 0


@pytest.mark.parametrize(
    ("sizes", "lengths"),
    [([], []), ([256], [1.0]), ([1, 2], [1.0]), ([2, 2], [1.0, 2.0]), ([4, 2], [1.0, 2.0])],
)
def test_figures_that_make_no_curve_are_refused(sizes, lengths):
    with pytest.raises(InvalidInput):
        growth(sizes, lengths)


def test_a_size_of_zero_has_no_place_on_the_scale():
    with pytest.raises(InvalidInput, match="above zero"):
        growth([0, 2], [1.0, 2.0])


def test_it_draws_the_same_bytes_each_time(capsys):
    pictures = {plots._png(growth(SIZES, LENGTHS)) for _ in range(2)}
    assert len(pictures) == 1
    assert capsys.readouterr().err == ""
