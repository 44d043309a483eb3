"""Two vectors that turn: what is drawn is what was given."""

from __future__ import annotations

import math

import pytest
from matplotlib.patches import Wedge

from minilm import plots
from minilm.errors import InvalidInput
from minilm.plots.turning import turning

QUERY, KEY = (1.0, 0.0), (0.0, 0.5)


def turned(vector, angle):
    x, y = vector
    cos, sin = math.cos(angle), math.sin(angle)
    return [x * cos - y * sin, y * cos + x * sin]


def panels_of(*angles):
    drawn = [(f"at {a} and {b}", turned(QUERY, a), turned(KEY, b)) for a, b in angles]
    return turning(QUERY, KEY, drawn).axes


def wedge_of(panel):
    (wedge,) = [patch for patch in panel.patches if isinstance(patch, Wedge)]
    return wedge.theta2 - wedge.theta1


def test_there_is_a_panel_for_each_with_its_title_and_product():
    panels = panels_of((0.0, 0.0), (0.5, 0.0), (math.pi / 2, 0.0))
    assert panels[1].get_title() == "at 0.5 and 0.0"
    assert [panel.get_xlabel() for panel in panels] == [
        "query · key = 0.00",
        f"query · key = {0.5 * math.sin(0.5):.2f}",
        "query · key = 0.50",
    ]


def test_a_product_below_zero_has_a_minus():
    (panel,) = panels_of((-math.pi / 2, 0.0))
    assert panel.get_xlabel() == "query · key = −0.50"


def test_the_angle_stays_when_both_turn_alike():
    panels = panels_of((0.3, 0.1), (2.3, 2.1), (5.3, 5.1))
    assert [wedge_of(panel) for panel in panels] == pytest.approx([wedge_of(panels[0])] * 3)
    assert wedge_of(panels[0]) == pytest.approx(90 - math.degrees(0.2))


def test_the_angle_is_the_smaller_of_the_two_between_them():
    for step in range(24):
        (panel,) = panels_of((step * math.pi / 12, 0.0))
        assert 0 <= wedge_of(panel) <= 180 + 1e-6


def test_query_and_key_are_named_and_told_apart_by_more_than_colour():
    (panel,) = panels_of((0.3, 0.1))
    assert [text.get_text() for text in panel.texts if text.get_text()] == ["query", "key"]
    shafts = [line for line in panel.get_lines() if line.get_linewidth() > 2]
    assert len({line.get_linestyle() for line in shafts}) == 2


@pytest.mark.parametrize("step", range(12))
def test_the_names_do_not_lie_on_each_other(step):
    angle = step * math.pi / 6
    axes = turning(QUERY, KEY, [("", turned(QUERY, angle), turned(KEY, angle - math.pi / 2))]).axes
    figure = axes[0].figure
    figure.canvas.draw()
    first, second = (t.get_window_extent() for t in axes[0].texts if t.get_text())
    assert not first.overlaps(second)


def test_the_vectors_before_turning_stay_in_sight():
    (panel,) = panels_of((1.0, 1.0))
    thin = [line for line in panel.get_lines() if line.get_linewidth() == 1.0]
    ends = [(line.get_xdata()[1], line.get_ydata()[1]) for line in thin]
    assert ends == [pytest.approx((0.93 * x, 0.93 * y)) for x, y in (QUERY, KEY)]


@pytest.mark.parametrize(
    ("query", "key", "panels"),
    [
        (QUERY, KEY, []),
        ((1.0,), KEY, [("a", QUERY, KEY)]),
        (QUERY, (0.0, 0.0), [("a", QUERY, KEY)]),
        (QUERY, KEY, [("a", QUERY, (1.0, 2.0, 3.0))]),
    ],
)
def test_what_is_no_pair_of_arrows_is_refused(query, key, panels):
    with pytest.raises(InvalidInput):
        turning(query, key, panels)


def test_it_draws_the_same_bytes_each_time(capsys):
    pictures = {plots._png(turning(QUERY, KEY, [("a", QUERY, KEY)])) for _ in range(2)}
    assert len(pictures) == 1
    assert capsys.readouterr().err == ""
