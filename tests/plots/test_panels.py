"""Small panels over one axis: every line is where it belongs, and two that coincide are both seen."""

from __future__ import annotations

import pytest

from minilm import plots
from minilm.errors import InvalidInput
from minilm.plots.panels import panels

X = [0, 1, 3]


def drawn(given, **options):
    return panels(X, given, xlabel="distance", **options)


def shown(figure):
    return [panel for panel in figure.axes if panel.get_visible()]


def test_each_line_goes_through_its_figures():
    (panel,) = shown(drawn({"a": {"one": [1.0, 2.0, 4.0], "two": [3.0, 2.0, 1.0]}}))
    assert [list(line.get_ydata()) for line in panel.get_lines()] == [[1, 2, 4], [3, 2, 1]]
    assert all(list(line.get_xdata()) == X for line in panel.get_lines())


def test_panels_fill_rows_and_the_lowest_name_the_axis():
    given = {name: {"one": [1.0, 2.0, 4.0]} for name in "abcde"}
    visible = shown(drawn(given, columns=3, ylabel="score"))
    assert [panel.get_title("left") for panel in visible] == [*"abcde"]
    assert [panel.get_xlabel() for panel in visible] == ["", "", "distance", "distance", "distance"]
    assert [panel.get_ylabel() for panel in visible] == ["score", "", "", "score", ""]


def test_a_line_looks_alike_in_every_panel():
    given = {"a": {"one": [1, 2, 3], "two": [1, 2, 3]}, "b": {"two": [1, 2, 3]}}
    first, second = shown(drawn(given))
    assert first.get_lines()[1].get_color() == second.get_lines()[0].get_color()
    assert first.get_lines()[1].get_linestyle() == second.get_lines()[0].get_linestyle()


def test_lines_are_named_once():
    given = {"a": {"one": [1, 2, 3]}, "b": {"one": [1, 2, 3], "two": [3, 2, 1]}}
    legends = [panel.get_legend() for panel in shown(drawn(given))]
    assert legends[0] is None
    assert [text.get_text() for text in legends[1].get_texts()] == ["one", "two"]


def test_one_line_alone_needs_no_name():
    assert [panel.get_legend() for panel in shown(drawn({"a": {"one": [1, 2, 3]}}))] == [None]


def test_two_lines_that_coincide_are_both_seen_in_grey():
    (panel,) = shown(drawn({"a": {"one": [1, 2, 3], "two": [1, 2, 3]}}))
    below, above = panel.get_lines()
    assert below.get_linewidth() > 2 * above.get_linewidth()
    assert plots.luminance(below.get_color()) > plots.luminance(above.get_color()) + 0.2
    assert below.get_linestyle() != above.get_linestyle()


def test_a_line_that_never_changes_lies_in_the_middle():
    (panel,) = shown(drawn({"a": {"one": [0.0, 0.0, 0.0]}}))
    assert panel.get_ylim() == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("x", "given"),
    [
        (X, {}),
        (X, {"a": {}}),
        (X, {"a": {"one": [1, 2]}}),
        ([1], {"a": {"one": [1]}}),
        ([1, 1], {"a": {"one": [1, 2]}}),
    ],
)
def test_what_makes_no_panel_is_refused(x, given):
    with pytest.raises(InvalidInput):
        panels(x, given, xlabel="distance")


def test_it_draws_the_same_bytes_each_time(capsys):
    pictures = {plots._png(drawn({"a": {"one": [1, 2, 3]}})) for _ in range(2)}
    assert len(pictures) == 1
    assert capsys.readouterr().err == ""
