"""Curves that carry their names: what is drawn, and what cannot be."""

from __future__ import annotations

from itertools import pairwise

import pytest

from minilm import plots
from minilm.errors import InvalidInput
from minilm.plots.curves import APART, curves

X = [4, 16, 1024]
TWO = {"up": [1.0, 2.0, 30.0], "down": [3.0, 2.0, 1.0]}


def names(axes) -> dict[str, tuple[float, float]]:
    """Each name beside the curves, and how far it stands from its curve's end, in points."""
    return {text.get_text(): text.xyann for text in axes.texts}


def test_a_curve_goes_through_every_figure_and_is_told_apart_without_colour():
    (axes,) = curves(X, {"growth": TWO}, xlabel="size").axes
    up, down = axes.get_lines()
    assert list(up.get_xdata()) == X
    assert list(up.get_ydata()) == TWO["up"]
    assert (up.get_linestyle(), up.get_marker()) != (down.get_linestyle(), down.get_marker())
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["4", "16", "1,024"]
    assert axes.get_xlabel() == "size"


def test_each_panel_has_its_title_and_its_scale():
    left, right = curves(X, {"plain": TWO, "powers": TWO}, xlabel="n", log=["powers"]).axes
    assert (left.get_title("left"), right.get_title("left")) == ("plain", "powers")
    assert (left.get_yscale(), right.get_yscale()) == ("linear", "log")
    assert left.get_ylim()[0] == 0


def test_figures_below_zero_are_not_cut_off():
    (axes,) = curves(X, {"a": {"x": [-2.0, 1.0, 3.0]}}, xlabel="n").axes
    assert axes.get_ylim()[0] <= -2.0


def test_every_curve_is_named_at_its_end():
    (axes,) = curves(X, {"growth": TWO}, xlabel="n").axes
    assert set(names(axes)) == {"up", "down"}
    assert all(text.xy[0] == X[-1] for text in axes.texts)
    assert [text.xy[1] for text in axes.texts] == [1.0, 30.0]


def test_names_of_curves_that_meet_do_not_touch():
    ends = {name: [1.0, 2.0, 3.0 + 0.001 * n] for n, name in enumerate("abcd")}
    figure = curves(X, {"close": ends}, xlabel="n")
    (axes,) = figure.axes
    figure.draw_without_rendering()
    heights = sorted(text.get_window_extent().y0 * 72 / figure.dpi for text in axes.texts)
    assert all(above - below > 0.8 * APART for below, above in pairwise(heights))


@pytest.mark.parametrize(
    ("x", "panels", "message"),
    [
        ([4], {"a": {"x": [1.0]}}, "two or more"),
        ([4, 4], {"a": {"x": [1.0, 2.0]}}, "grow"),
        ([0, 4], {"a": {"x": [1.0, 2.0]}}, "above zero"),
        (X, {"a": {"x": [1.0, 2.0]}}, "'x' in 'a' has 2 figures for 3"),
        (X, {}, "nothing to draw"),
        (X, {"a": {}}, "nothing to draw"),
    ],
)
def test_figures_that_make_no_curve_are_refused(x, panels, message):
    with pytest.raises(InvalidInput, match=message):
        curves(x, panels, xlabel="n")


def test_it_draws_the_same_bytes_each_time(capsys):
    pictures = {plots._png(curves(X, {"growth": TWO}, xlabel="n")) for _ in range(2)}
    assert len(pictures) == 1
    assert capsys.readouterr().err == ""
