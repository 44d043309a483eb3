"""The maps of attention: what is drawn where, what is marked, and what cannot be."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from matplotlib.collections import LineCollection

from minilm import plots
from minilm.errors import InvalidInput, OutOfRange
from minilm.plots.attention_map import HIDDEN, attention_map, head_maps

CAUSAL = [[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.5, 0.001, 0.499]]
WORDS = ["we", "cost", "$5"]


def heads(n_layers: int = 2, n_heads: int = 3, length: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(n_layers, n_heads, length, length, generator=generator).softmax(-1)


def strokes(axes) -> set[tuple[int, int]]:
    """The cells (row, column) that are struck through."""
    from matplotlib.colors import to_rgba

    found = set()
    for collection in axes.collections:
        if isinstance(collection, LineCollection) and tuple(collection.get_color()[0]) == to_rgba(
            HIDDEN
        ):
            for segment in collection.get_segments():
                column, row = segment.mean(axis=0)
                found.add((round(row), round(column)))
    return found


def ticks(axis) -> list[str]:
    return [label.get_text().replace("\\$", "$") for label in axis.get_ticklabels()]


def test_a_row_is_a_query_and_a_column_a_key():
    (axes,) = attention_map({"one": [[0.5, 0.3, 0.2]]}, ["q"], ["a", "b", "c"]).axes
    (image,) = axes.get_images()
    assert image.get_array().shape == (1, 3)
    assert ticks(axes.xaxis) == ["a", "b", "c"]
    assert ticks(axes.yaxis) == ["q"]
    assert axes.yaxis_inverted(), "the first query is at the top"


def test_every_small_weight_is_written_and_only_exact_zeros_are_struck_through():
    (axes,) = attention_map({"causal": CAUSAL}, WORDS).axes
    written = {
        (text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts
    }
    assert written[1, 0] == "0.25"
    assert written[2, 1] == "0.00", "small is not nothing"
    assert strokes(axes) == {(0, 1), (0, 2), (1, 2)}
    assert set(written) == {(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)}


def test_numbers_are_left_out_where_they_would_not_fit():
    (axes,) = attention_map({"wide": torch.eye(30)}, [str(n) for n in range(30)]).axes
    assert not axes.texts
    assert len(strokes(axes)) == 30 * 29


def test_several_maps_stand_side_by_side_on_one_scale():
    figure = attention_map({"left": CAUSAL, "right": torch.full((3, 3), 1 / 3)}, WORDS)
    assert [axes.get_title("left") for axes in figure.axes] == ["left", "right"]
    assert {axes.get_images()[0].get_clim() for axes in figure.axes} == {(0.0, 1.0)}


def test_a_dollar_sign_begins_no_formula():
    figure = attention_map({"costs": torch.eye(2)}, ["$x$", "$_$"])
    plots._png(figure)
    assert ticks(figure.axes[0].xaxis) == ["$x$", "$_$"]


def test_darker_means_more_in_grey_too():
    (axes,) = attention_map({"one": [[0.0, 1.0]]}, ["q"], ["a", "b"]).axes
    image = axes.get_images()[0]
    brightness = [plots.luminance(image.cmap(weight)) for weight in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    assert brightness == sorted(brightness, reverse=True)
    assert all(lighter - darker > 0.02 for lighter, darker in pairwise(brightness))


def test_a_number_can_be_read_on_its_cell():
    (axes,) = attention_map({"causal": CAUSAL}, WORDS).axes
    image = axes.get_images()[0]
    for text in axes.texts:
        column, row = text.get_position()
        ground = plots.luminance(image.cmap(CAUSAL[row][column]))
        ink = plots.luminance(text.get_color())
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) > 4.5


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({}, "nothing to draw"),
        ({"a": torch.eye(2)}, "names"),
        ({"a": torch.zeros(1, 1, 3, 3)}, "choose one"),
        ({"a": torch.zeros(0, 3)}, "none of them 0"),
        ({"a": torch.eye(3) * 7}, "not the scores"),
        ({"a": -torch.eye(3)}, "not the scores"),
        ({"a": torch.full((3, 3), float("nan"))}, "between 0 and 1"),
    ],
)
def test_what_is_no_map_over_the_words_is_refused(maps, message):
    with pytest.raises(InvalidInput, match=message):
        attention_map(maps, WORDS)


def test_weights_that_still_carry_gradients_can_be_drawn():
    weights = torch.randn(3, 3, requires_grad=True).softmax(-1).bfloat16()
    assert attention_map({"a": weights}, WORDS).axes[0].get_images()


def test_the_chosen_head_is_large_and_framed_among_all():
    maps = heads()
    figure = head_maps(maps, WORDS, layer=2, head=3)
    large, *small = [axes for axes in figure.axes if axes.get_images()]
    assert large.get_title("left") == "layer 2, head 3"
    assert torch.equal(torch.tensor(large.get_images()[0].get_array()), maps[1, 2].double())
    assert [axes.get_title("center") for axes in small] == [
        "1.1",
        "2.1",
        "1.2",
        "2.2",
        "1.3",
        "2.3",
    ]
    framed = [axes for axes in small if axes.spines["left"].get_linewidth() > 1]
    assert [axes.get_title("center") for axes in framed] == ["2.3"]
    for axes in small:
        layer, head = map(int, axes.get_title("center").split("."))
        shown = torch.tensor(axes.get_images()[0].get_array())
        assert torch.equal(shown, maps[layer - 1, head - 1].double())


def test_one_layer_with_one_head_can_be_drawn():
    assert plots._png(head_maps(heads(1, 1, 1), ["alone"]))


@pytest.mark.parametrize(("layer", "head"), [(0, 1), (3, 1), (1, 0), (1, 4), (-1, 1)])
def test_a_head_that_is_not_there_is_named(layer, head):
    with pytest.raises(OutOfRange, match=f"no head {head} in layer {layer}"):
        head_maps(heads(), WORDS, layer, head)


@pytest.mark.parametrize("maps", [heads(length=4), heads()[0], heads()[..., :2]])
def test_maps_that_do_not_fit_the_words_are_refused(maps):
    with pytest.raises(InvalidInput):
        head_maps(maps, WORDS)


def test_it_draws_the_same_bytes_each_time(capsys):
    for draw in (lambda: attention_map({"a": CAUSAL}, WORDS), lambda: head_maps(heads(), WORDS)):
        assert len({plots._png(draw()) for _ in range(2)}) == 1
    assert capsys.readouterr().err == ""
