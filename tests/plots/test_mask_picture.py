"""The picture of a mask: what is dark, what is named, what is marked."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from minilm.errors import InvalidInput, WrongType
from minilm.masks import causal_mask, decoder_mask, padding_mask, prefix_mask, sliding_window_mask
from minilm.plots import luminance
from minilm.plots.mask_picture import _ALARM, _HIDDEN, _SEEN, mask_picture

WORDS = ["The", "cat", "sat", "on", "the", "mat"]


def texts(artist) -> list[str]:
    return [text.get_text() for text in artist.findobj(Text) if text.get_text()]


def labels(axis) -> list[str]:
    return [tick.get_text() for tick in axis.get_ticklabels()]


def board(axes) -> np.ndarray:
    """What a board shows as dark, (T, S)."""
    (image,) = axes.images
    return np.asarray(image.get_array()) == 1


def rings(axes) -> list[tuple[int, int]]:
    """The (row, column) of every ring."""
    found = [line for line in axes.lines if line.get_marker() == "o"]
    return [(int(line.get_ydata()[0]), int(line.get_xdata()[0])) for line in found]


def hatched(axes) -> list[tuple[int, int]]:
    """The first row and the number of rows of every hatched band."""
    bands = [patch for patch in axes.findobj(Rectangle) if patch.get_hatch()]
    return [(round(band.get_y() + 0.5), round(band.get_height())) for band in bands]


def counts(axes) -> list[int]:
    return [int(text.get_text()) for text in axes.texts if text.get_text().isdigit()]


def parts(axes) -> list[str]:
    return [text for text in texts(axes) if text in ("cached", "new")]


def pixels(figure) -> np.ndarray:
    raw = io.BytesIO()
    figure.savefig(raw, format="rgba", dpi=50)
    return np.frombuffer(raw.getvalue(), dtype=np.uint8)


def test_a_square_is_dark_where_a_query_may_attend():
    (axes,) = mask_picture(prefix_mask(6, 6, 3), WORDS).axes
    assert np.array_equal(board(axes), prefix_mask(6, 6, 3).numpy())
    assert labels(axes.xaxis) == labels(axes.yaxis) == WORDS


@pytest.mark.parametrize(
    "make",
    [
        lambda mask: mask,
        lambda mask: mask[None, None],
        lambda mask: mask.int(),
        lambda mask: mask.numpy(),
        lambda mask: mask.tolist(),
    ],
)
def test_a_mask_may_be_given_in_any_form(make):
    (axes,) = mask_picture(make(causal_mask(2, 5))).axes
    assert np.array_equal(board(axes), causal_mask(2, 5).numpy())


def test_with_a_cache_the_queries_are_named_by_the_last_tokens_and_the_rest_is_cached():
    (axes,) = mask_picture(causal_mask(2, 6), WORDS).axes
    assert labels(axes.yaxis) == ["the", "mat"]
    assert parts(axes) == ["cached", "new"]
    assert rings(axes) == [(0, 4), (1, 5)]
    (whole,) = mask_picture(causal_mask(6, 6), WORDS).axes
    assert parts(whole) == []


def test_without_tokens_the_positions_are_named():
    (axes,) = mask_picture(causal_mask(2, 4)).axes
    assert labels(axes.xaxis) == ["0", "1", "2", "3"]
    assert labels(axes.yaxis) == ["2", "3"]


def test_masks_stand_side_by_side_under_their_names_in_one_size():
    attention_mask = torch.tensor([[0, 1, 1]])
    figure = mask_picture(
        {"causal": causal_mask(3, 3), "padding": padding_mask(attention_mask)}, ["<pad>", "a", "b"]
    )
    left, right = figure.axes
    assert [axes.get_title("left") for axes in figure.axes] == ["causal", "padding"]
    assert board(right).tolist() == [[False, True, True]] * 3
    assert labels(left.yaxis) == ["<pad>", "a", "b"]
    assert [label for label in labels(right.yaxis) if label] == []  # told once, at the left
    assert left.get_position().y0 == right.get_position().y0
    assert left.get_position().size == pytest.approx(right.get_position().size)


def test_many_masks_begin_a_new_line():
    figure = mask_picture({str(number): causal_mask(6, 6) for number in range(6)}, WORDS)
    rows = {round(axes.get_position().y0, 3) for axes in figure.axes}
    assert len(rows) == 2
    assert figure.get_size_inches()[0] <= 9.2


def test_every_text_and_every_head_has_its_board():
    mask = decoder_mask(2, 2, torch.tensor([[0, 1], [1, 1]]))
    figure = mask_picture({"left": mask}, [["<pad>", "a"], ["b", "c"]])
    assert [axes.get_title("left") for axes in figure.axes] == ["left, text 0", "left, text 1"]
    assert [labels(axes.xaxis) for axes in figure.axes] == [["<pad>", "a"], ["b", "c"]]
    assert [board(axes).sum() for axes in figure.axes] == [1, 3]
    heads = mask_picture(torch.ones(1, 3, 2, 2, dtype=torch.bool))
    assert [axes.get_title("left") for axes in heads.axes] == ["head 0", "head 1", "head 2"]


def test_a_padding_mask_alone_is_one_row_for_every_query():
    (axes,) = mask_picture(padding_mask(torch.tensor([[0, 1, 1]])), ["<pad>", "a", "b"]).axes
    assert labels(axes.yaxis) == ["every query"]
    assert rings(axes) == []
    assert parts(axes) == []


def test_queries_that_are_no_keys_have_names_of_their_own_and_no_ring():
    mask = padding_mask(torch.tensor([[1, 1, 0]]))
    (axes,) = mask_picture(mask, ["Die", "Katze", "<pad>"], ["The", "cat"]).axes
    assert board(axes).tolist() == [[True, True, False]] * 2
    assert labels(axes.yaxis) == ["The", "cat"]
    assert rings(axes) == []
    assert parts(axes) == []


def test_a_row_that_sees_nothing_is_hatched_and_counted_as_none():
    mask = decoder_mask(5, 5, torch.tensor([[0, 0, 1, 1, 1]]))
    (axes,) = mask_picture(mask).axes
    assert hatched(axes) == [(0, 2)]
    assert counts(axes) == [0, 0, 1, 2, 3]
    (zero, *_rest) = [text for text in axes.texts if text.get_text() == "0"]
    assert zero.get_fontweight() == "bold"
    (healthy,) = mask_picture(causal_mask(5, 5)).axes
    assert hatched(healthy) == []


def test_none_is_drawn_as_plain_causal_order():
    (axes,) = mask_picture(None, WORDS).axes
    assert np.array_equal(board(axes), causal_mask(6, 6).numpy())
    figure = mask_picture({"none": None, "given": sliding_window_mask(2, 4, 2)})
    assert np.array_equal(board(figure.axes[0]), causal_mask(2, 4).numpy())


def test_a_slider_does_not_make_the_picture_jump():
    drawn = [
        mask_picture({"near": decoder_mask(8, 8, sliding_window=window), "prefix": prefix})
        for window, prefix in [(1, None), (4, prefix_mask(8, 8, 5)), (8, ~causal_mask(8, 8))]
    ]
    sizes = [tuple(figure.get_size_inches()) for figure in drawn]
    assert len(set(sizes)) == 1
    boxes = [[axes.get_position().bounds for axes in figure.axes] for figure in drawn]
    assert boxes[0] == boxes[1] == boxes[2]
    assert not np.array_equal(pixels(drawn[0]), pixels(drawn[1]))


@pytest.mark.parametrize(("rows", "columns"), [(512, 512), (40, 300), (1, 1000), (300, 40)])
def test_many_tokens_make_a_picture_with_some_places_numbered(rows, columns):
    mask = torch.ones(rows, columns, dtype=torch.bool)
    mask[: rows // 2] = False
    (axes,) = mask_picture(mask).axes
    assert board(axes).shape == (rows, columns)
    assert 2 <= len(labels(axes.xaxis)) <= 8
    assert len(labels(axes.yaxis)) <= 8
    assert hatched(axes) == ([(0, rows // 2)] if rows > 1 else [])
    assert rings(axes) == []
    if columns > rows:
        shown = [int(label) for label in labels(axes.yaxis)]
        assert all(columns - rows <= place < columns for place in shown)
        assert [tick + columns - rows for tick in axes.get_yticks()] == shown


def test_the_picture_is_no_wider_than_a_page():
    for number, length in [(1, 6), (1, 32), (4, 20), (3, 512), (16, 3)]:
        masks = {f"mask {one}": causal_mask(length, length) for one in range(number)}
        width, height = mask_picture(masks).get_size_inches()
        assert width <= 9.2
        assert height <= 16


def test_dark_hidden_and_alarm_are_told_apart_in_grey():
    seen, hidden, alarm = (luminance(to_rgb(color)) for color in (_SEEN, _HIDDEN, _ALARM))
    assert (hidden + 0.05) / (seen + 0.05) >= 7
    assert (hidden + 0.05) / (alarm + 0.05) >= 3


def test_rings_can_be_seen_on_dark_and_on_light():
    for mask, ground in [(causal_mask(3, 3), _SEEN), (~causal_mask(3, 3), _HIDDEN)]:
        (axes,) = mask_picture(mask).axes
        found = [line for line in axes.lines if line.get_marker() == "o"]
        assert len(found) == 3
        for line in found:
            bright, dark = sorted(
                (luminance(line.get_markeredgecolor()), luminance(ground)), reverse=True
            )
            assert (bright + 0.05) / (dark + 0.05) >= 7


def test_spaces_are_seen_and_long_tokens_are_cut():
    (axes,) = mask_picture(causal_mask(3, 3), [" cat", "  ", "incomprehensibilities"]).axes
    assert labels(axes.xaxis) == ["␣cat", "␣␣", "incomprehen…"]


def test_tokens_of_any_script_are_drawn_without_a_warning(recwarn):
    tokens = ["$x$", "日本", "день", "🙂", "\n", "\x00", "שלום", ""]
    figure = mask_picture({"$a$": causal_mask(8, 8)}, tokens, title="$t$\n")
    figure.savefig(io.BytesIO(), format="png")
    assert not list(recwarn)
    assert labels(figure.axes[0].xaxis) == ["$x$", "▯▯", "день", "▯", "↵", "▯", "שלום", ""]


def test_the_title_and_the_legend_are_on_the_picture():
    found = texts(mask_picture(causal_mask(3, 3), title="Who looks"))
    assert {"Who looks", "may attend", "hidden", "itself", "sees nothing"} <= set(found)
    assert "itself" not in texts(mask_picture(causal_mask(99, 99)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.zeros(3, 3),), WrongType, "holds float32.*scores == 0"),
        (({"a": torch.zeros(3, 3)},), WrongType, "mask 'a' holds"),
        ((torch.ones(3, dtype=torch.bool),), InvalidInput, r"shape \(3,\)"),
        ((torch.ones(2, 3, 3, dtype=torch.bool),), InvalidInput, r"\(2, 3, 3\)"),
        ((torch.ones(0, 3, dtype=torch.bool),), InvalidInput, r"\(0, 3\)"),
        ((None,), InvalidInput, "nothing to draw"),
        (({},), InvalidInput, "nothing to draw"),
        ((None, []), InvalidInput, "nothing to draw"),
        (({"a": causal_mask(2, 3), "b": causal_mask(3, 3)},), InvalidInput, "2 × 3 and 3 × 3"),
        ((causal_mask(3, 3), ["a", "b"]), InvalidInput, "2 tokens.*mask has 3"),
        ((causal_mask(3, 3), ["a"] * 3, ["b"] * 2), InvalidInput, "query_tokens"),
        ((causal_mask(3, 3), "abc"), WrongType, "one text.*list"),
        ((causal_mask(3, 3).expand(17, 1, 3, 3),), InvalidInput, "17 boards"),
        (
            (causal_mask(2, 2).expand(3, 1, 2, 2), [["a", "b"], ["c", "d"]]),
            InvalidInput,
            "tokens are of 2 texts",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        mask_picture(*arguments)
