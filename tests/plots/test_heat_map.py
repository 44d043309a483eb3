"""Tables as pictures: the numbers are where they belong, on one scale from light to dark."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from minilm import plots
from minilm.errors import InvalidInput
from minilm.plots.heat_map import heat_map

TABLE = torch.tensor([[0.0, 0.5, 1.0], [-1.0, 0.25, -0.001]])


def drawn(tables, **options):
    return heat_map(tables, xlabel="dimension", ylabel="position", **options)


def test_every_number_is_a_cell_with_the_first_row_on_top():
    panel = drawn({"six": TABLE}).axes[0]
    (image,) = panel.images
    assert torch.equal(torch.tensor(image.get_array().data), TABLE.double())
    assert panel.get_ylim()[0] > panel.get_ylim()[1]
    assert (panel.get_title("left"), panel.get_xlabel()) == ("six", "dimension")


def test_a_small_table_has_its_numbers_written_in():
    panel = drawn({"six": TABLE}).axes[0]
    assert [text.get_text() for text in panel.texts] == [
        *("0.00", "0.50", "1.00"),
        *("−1.00", "0.25", "0.00"),
    ]
    assert [text.get_position() for text in panel.texts][:4] == [(0, 0), (1, 0), (2, 0), (0, 1)]


def test_numbers_can_be_read_on_their_shade():
    (image,) = drawn({"six": TABLE}).axes[0].images
    for text, value in zip(drawn({"six": TABLE}).axes[0].texts, TABLE.flatten(), strict=True):
        ground = plots.luminance(image.cmap(image.norm(float(value))))
        ink = plots.luminance(text.get_color())
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) > 3


def test_a_large_table_has_none():
    assert not drawn({"large": torch.zeros(20, 20)}).axes[0].texts


def test_larger_is_darker_in_grey_too():
    (image,) = drawn({"a": TABLE}, limits=(-1, 1)).axes[0].images
    shades = [plots.luminance(image.cmap(step / 20)) for step in range(21)]
    assert all(a > b for a, b in pairwise(shades))


def test_tables_side_by_side_share_one_scale():
    figure = drawn({"a": [[0.0, 1.0]], "b": [[4.0, 2.0]]})
    limits = [panel.images[0].get_clim() for panel in figure.axes[:2]]
    assert limits == [(0.0, 4.0), (0.0, 4.0)]
    assert [panel.get_ylabel() for panel in figure.axes[:2]] == ["position", ""]


def test_limits_can_be_given():
    assert drawn({"a": [[0.0, 1.0]]}, limits=(-1, 1)).axes[0].images[0].get_clim() == (-1, 1)


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"a": [1.0, 2.0]},
        {"a": torch.zeros(2, 0)},
        {"a": [[float("nan")]]},
        {"a": [[float("-inf"), 0.0]]},
    ],
)
def test_what_is_no_table_is_refused(tables):
    with pytest.raises(InvalidInput):
        drawn(tables)


def test_a_table_that_is_being_trained_is_drawn_as_it_is():
    assert drawn({"a": torch.ones(2, 2, requires_grad=True)}).axes[0].images


def test_it_draws_the_same_bytes_each_time(capsys):
    assert len({plots._png(drawn({"a": TABLE})) for _ in range(2)}) == 1
    assert capsys.readouterr().err == ""
