"""One text, cut by several tokenizers, each token in its own shade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput
from minilm.plots import canvas
from minilm.plots.glyphs import drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Span = tuple[int, int]

# Far apart in lightness as well as in colour, so that a grey print tells neighbours apart.
_SHADES = ("#fdefc0", "#a3c4e8")
_CELL = 0.11  # width of a character, in inches
_LINE = 0.27  # height of a line, in inches
_MARGIN = 0.12
_FAMILY = "DejaVu Sans Mono"


def colored_tokens(text: str, spans: Mapping[str, Sequence[Span]], columns: int = 64) -> Figure:
    """Draw a text once per tokenizer, with a shade for every token and a line where it starts.

    text: what was tokenised
    spans: the name of each tokenizer, and the (start, end) of its tokens in the text, in characters;
        tokens that share a span (the bytes of one character) share its width; an empty span, such as
        [CLS] has, is counted and not drawn
    columns: characters per line

    Returns the figure: characters that belong to no token stay white.
    Raises `InvalidInput` for a span outside the text.
    """
    if columns < 1:
        raise InvalidInput(f"columns is {columns}; a line needs room for at least 1 character.")
    lines = max(1, -(-len(text) // columns))
    rows = len(spans) * (lines + 1.5)
    width = min(max(len(text), 24), columns) * _CELL + 2 * _MARGIN
    figure, axes = canvas(width=width, height=rows * _LINE + 2 * _MARGIN)
    figure.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    axes.set_xlim(-_MARGIN / _CELL, (width - _MARGIN) / _CELL)
    axes.set_ylim(rows + _MARGIN / _LINE, -_MARGIN / _LINE)  # downwards, as we read
    axes.axis("off")
    top = 0.0
    for name, tokens in spans.items():
        count = f"{len(tokens)} token" + ("" if len(tokens) == 1 else "s")
        axes.text(0, top + 0.5, f"{name}: {count}", va="center", fontsize=10, fontweight="bold")
        _draw_tokens(axes, text, _checked(name, tokens, len(text)), columns, top + 1)
        top += lines + 1.5
    return figure


def _checked(name: str, tokens: Sequence[Span], length: int) -> list[Span]:
    for start, end in tokens:
        if not 0 <= start <= end <= length:
            raise InvalidInput(
                f"{name} has a token at ({start}, {end}), and the text has {length} characters. "
                "Give the offsets that belong to this text."
            )
    return [(start, end) for start, end in tokens if start < end]


def _draw_tokens(axes: Any, text: str, tokens: list[Span], columns: int, top: float) -> None:
    """Shade every token, mark where it starts, then write the characters over the shades."""
    for number, (start, end) in enumerate(tokens):
        sharing = [other for other, span in enumerate(tokens) if span == (start, end)]
        share = (end - start) / len(sharing)
        left = start + sharing.index(number) * share
        _draw_span(axes, left, left + share, _SHADES[number % len(_SHADES)], columns, top)
    for position, character in enumerate(text):
        row, column = divmod(position, columns)
        axes.text(
            column + 0.5,
            top + row + 0.5,
            drawable(character, _FAMILY),
            ha="center",
            va="center",
            family=_FAMILY,
            fontsize=11,
            parse_math=False,
        )


def _draw_span(axes: Any, left: float, right: float, shade: str, columns: int, top: float) -> None:
    """Shade from left to right, over as many lines as that takes."""
    start = left
    while start < right:
        row = int(start // columns)
        end = min(right, (row + 1) * columns)
        x, y = start - row * columns, top + row + 0.06
        axes.fill_between([x, x + end - start], y, y + 0.88, color=shade, linewidth=0)
        if start == left:  # a token carried over starts once
            axes.plot([x, x], [y, y + 0.88], "-", color="black", linewidth=1.3)
        start = end
