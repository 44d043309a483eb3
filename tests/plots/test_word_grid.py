"""Words on shades: each where it belongs, the surer the darker, and a frame where it is right."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from matplotlib.patches import Rectangle

from minilm import plots
from minilm.errors import InvalidInput
from minilm.plots.word_grid import word_grid

WORDS = [["a", "cat"], ["cat", "sat"], ["the", "mat"]]
SHARES = torch.tensor([[0.0, 0.25], [0.5, 0.75], [0.9, 1.0]])


def drawn(words=WORDS, shares=SHARES, rows=("one", "two", "three"), **options):
    return word_grid(words, shares, rows=rows, columns=["The", "cat"], **options)


def test_each_word_stands_in_its_cell_with_the_first_row_on_top():
    panel = drawn().axes[0]
    said = {text.get_position(): text.get_text() for text in panel.texts}
    assert said == {(c, r): word for r, row in enumerate(WORDS) for c, word in enumerate(row)}
    assert panel.get_ylim()[0] > panel.get_ylim()[1]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["one", "two", "three"]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["The", "cat"]
    assert torch.allclose(torch.tensor(panel.images[0].get_array().data), SHARES.double())


def test_surer_is_darker_in_grey_too_and_the_scale_is_always_the_same():
    (image,) = drawn(shares=SHARES / 2).axes[0].images
    assert image.get_clim() == (0, 1)
    shades = [plots.luminance(image.cmap(step / 20)) for step in range(21)]
    assert all(a > b for a, b in pairwise(shades))


def test_words_can_be_read_on_their_shade():
    panel = drawn().axes[0]
    (image,) = panel.images
    for text, share in zip(panel.texts, SHARES.flatten(), strict=True):
        ground = plots.luminance(image.cmap(image.norm(float(share))))
        ink = plots.luminance(text.get_color())
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) > 3


def test_cells_that_say_what_is_right_get_a_frame():
    panel = drawn(right=["cat", None]).axes[0]
    frames = [patch for patch in panel.patches if isinstance(patch, Rectangle)]
    centers = {tuple(round(c) for c in frame.get_center()) for frame in frames}
    assert centers == {(0, 1)}
    assert not drawn().axes[0].patches


def test_wider_words_get_wider_cells():
    long = [[word * 4 for word in row] for row in WORDS]
    assert drawn(long).get_figwidth() > drawn().get_figwidth()


@pytest.mark.parametrize(
    ("words", "shares", "right"),
    [
        (WORDS[:2], SHARES, ()),
        (WORDS, SHARES[:2], ()),
        (WORDS, SHARES[:, :1], ()),
        ([["a"], ["cat", "sat"], ["the", "mat"]], SHARES, ()),
        (WORDS, SHARES * 2, ()),
        (WORDS, SHARES * torch.nan, ()),
        (WORDS, SHARES, ["cat"]),
    ],
)
def test_what_does_not_fit_is_refused(words, shares, right):
    with pytest.raises(InvalidInput):
        drawn(words, shares, right=right)


def test_an_empty_table_is_refused():
    with pytest.raises(InvalidInput):
        word_grid([], torch.zeros(0, 0), rows=[], columns=[])


def test_it_draws_the_same_bytes_each_time(capsys):
    assert len({plots._png(drawn(right=["cat", "mat"])) for _ in range(2)}) == 1
    assert capsys.readouterr().err == ""
