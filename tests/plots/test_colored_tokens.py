"""The picture of a text coloured by token."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from minilm.errors import InvalidInput
from minilm.plots import luminance
from minilm.plots.colored_tokens import _CELL, _LINE, _MARGIN, _SHADES, colored_tokens
from minilm.plots.glyphs import drawable


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def grid_of_shades(figure, columns: int, row: float) -> list[str]:
    """For each column of a line: "0" or "1" for a shade, "." for white, in the middle of the cell.

    row: lines from the top, so that 1.0 is the first line of text under the first name
    """
    for text in figure.findobj(Text):
        text.set_visible(False)
    dpi = 200
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(dpi)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    found = []
    for column in range(columns):
        x = (_MARGIN + (column + 0.5) * _CELL) * dpi
        y = (_MARGIN + (row + 0.5) * _LINE) * dpi
        color = pixels[int(y), int(x)]
        marks = {"0": _SHADES[0], "1": _SHADES[1], ".": "white"}
        found.append(min(marks, key=lambda m: np.abs(color - to_rgb(marks[m])).sum()))
    return found


def test_neighbouring_tokens_have_different_shades_and_gaps_stay_white():
    figure = colored_tokens("ab cd e", {"words": [(0, 1), (1, 2), (3, 5), (6, 7)]})
    assert "".join(grid_of_shades(figure, 7, 1.0)) == "01.00.1"


def test_a_token_goes_on_in_the_next_line():
    figure = colored_tokens("abcdef", {"x": [(0, 2), (2, 5), (5, 6)]}, columns=3)
    assert "".join(grid_of_shades(figure, 3, 1.0)) == "001"
    assert (
        "".join(
            grid_of_shades(
                colored_tokens("abcdef", {"x": [(0, 2), (2, 5), (5, 6)]}, columns=3), 3, 2.0
            )
        )
        == "110"
    )


def test_each_tokenizer_gets_its_name_and_its_count():
    figure = colored_tokens("ab", {"letters": [(0, 1), (1, 2)], "whole": [(0, 2)], "none": []})
    found = texts(figure)
    assert "letters: 2 tokens" in found
    assert "whole: 1 token" in found
    assert "none: 0 tokens" in found


def test_a_token_without_a_span_is_counted_and_not_drawn():
    figure = colored_tokens("ab", {"bert": [(0, 0), (0, 2), (0, 0)]})
    assert "bert: 3 tokens" in texts(figure)
    assert "".join(grid_of_shades(figure, 2, 1.0)) == "00"


def test_bytes_of_one_character_share_its_width():
    figure = colored_tokens("é", {"bytes": [(0, 1), (0, 1)]})
    starts = sorted(line.get_xdata()[0] for line in figure.axes[0].lines)
    assert starts == [0, 0.5]


def test_the_shades_differ_in_grey_and_let_black_letters_be_read():
    light, dark = sorted(map(luminance, _SHADES))
    assert dark - light >= 0.25
    assert (light + 0.05) / 0.05 >= 7


@pytest.mark.parametrize("span", [(0, 4), (-1, 1), (2, 1)])
def test_a_span_outside_the_text_is_refused(span):
    with pytest.raises(InvalidInput, match="offsets"):
        colored_tokens("abc", {"x": [span]})


def test_a_line_has_room_for_a_character():
    with pytest.raises(InvalidInput, match="columns is 0"):
        colored_tokens("abc", {"x": []}, columns=0)


def test_any_character_can_be_drawn_without_a_warning(recwarn):
    text = "a\n\tb$1$\x00 🙂 日本 \ud800"
    figure = colored_tokens(text, {"x": [(0, len(text))]})
    FigureCanvasAgg(figure)
    figure.savefig(io.BytesIO(), format="png")
    assert not list(recwarn)
    assert {"↵", "→", "▯", "$"} <= set(texts(figure))


def test_a_sign_stands_for_each_character_that_cannot_be_drawn():
    assert drawable("a\nb\tc\x00🙂é") == "a↵b→c▯▯é"
    assert drawable("") == ""


def test_an_empty_text_makes_an_empty_picture():
    colored_tokens("", {"x": []}).savefig(io.BytesIO(), format="png")
