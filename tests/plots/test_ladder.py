"""A ladder of speeds: one bar a step, and its ratio to the first."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from minilm.errors import InvalidInput
from minilm.plots.ladder import ladder


def test_each_bar_is_as_long_as_its_speed_and_tells_how_often_faster_it_is():
    axes = ladder({"naive": 50.0, "cache": 150.0, "theirs": 100.0}, xlabel="tokens").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [50, 150, 100]
    assert [text.get_text() for text in axes.texts] == ["50   × 1.0", "150   × 3.0", "100   × 2.0"]


def test_the_comparison_is_hatched():
    axes = ladder({"a": 1.0, "theirs": 2.0}, xlabel="tokens", beside="theirs").axes[0]
    assert [bool(bar.get_hatch()) for bar in axes.patches] == [False, True]


def test_the_hatching_can_be_seen():
    assert inks(ladder({"a": 9.0, "theirs": 9.0}, xlabel="tokens", beside="theirs"), 1) > 0.02
    assert inks(ladder({"a": 9.0, "theirs": 9.0}, xlabel="tokens"), 1) == 1


def inks(figure, bar):
    """The share of a bar's inside that is dark."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    grey = np.asarray(canvas.buffer_rgba())[..., :3].mean(-1)
    box = figure.axes[0].patches[bar].get_window_extent()
    height, inside = len(grey), 3  # pixels that the edge takes
    rows = slice(height - int(box.y1) + inside, height - int(box.y0) - inside)
    return (grey[rows, int(box.x0) + inside : int(box.x1) - inside] < 128).mean()


@pytest.mark.parametrize("speeds", [{}, {"a": 0.0}])
def test_no_speed_is_refused(speeds):
    with pytest.raises(InvalidInput):
        ladder(speeds, xlabel="tokens")
