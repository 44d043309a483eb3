"""What a model would say, and where: a word in each cell, the darker the surer it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput
from minilm.plots import COLORS, canvas, style, text_color

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL_HEIGHT = 0.36  # inches
LETTER = 0.085  # inches, about, at the size the words are written in


def word_grid(
    words: Sequence[Sequence[str]],
    shares: Any,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    right: Sequence[str | None] = (),
    xlabel: str = "",
    ylabel: str = "",
) -> Figure:
    """Draw a table of words, each on a shade that says how sure it is.

    words: a row for each of rows, in it a word for each of columns
    shares: (rows, columns), from 0 (white) to 1 (dark), a tensor, an array or nested lists
    rows, columns: their names; the first row is on top, the columns are named above it
    right: for each column the word that is right there, or None; cells that say it get a frame
    xlabel, ylabel: what a column is, and what a row is

    Returns a figure with a bar that explains the shades.
    Raises InvalidInput if the parts do not fit together, or a share is not from 0 to 1.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    table = np.asarray(shares.detach().cpu() if hasattr(shares, "detach") else shares, dtype=float)
    wanted = (len(rows), len(columns))
    lengths = {len(row) for row in words}
    if not table.size or table.shape != wanted or len(words) != wanted[0] or lengths != {wanted[1]}:
        raise InvalidInput(
            f"word_grid() was given {len(words)} rows of {sorted(lengths)} words and shares of the "
            f"shape {table.shape}, for {wanted[0]} names of rows and {wanted[1]} of columns."
        )
    if not ((table >= -1e-6) & (table <= 1 + 1e-6)).all():
        raise InvalidInput("word_grid() takes shares from 0 to 1, such as a softmax gives.")
    if right and len(right) != wanted[1]:
        raise InvalidInput(f"right has {len(right)} words for {wanted[1]} columns.")

    longest = max(len(word) for row in [*words, columns] for word in row)
    across = max(0.4, LETTER * longest + 0.12)
    width = across * wanted[1] + LETTER * max(map(len, rows)) + 1.3
    shades = LinearSegmentedColormap.from_list("shades", ["#ffffff", COLORS[4], COLORS[0]])
    with style():
        figure, axes = canvas(width=width, height=CELL_HEIGHT * wanted[0] + 0.75)
        image = axes.imshow(table.clip(0, 1), cmap=shades, vmin=0, vmax=1, aspect="auto")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.tick_params(length=0)
        axes.set_xticks(range(wanted[1]), columns, fontweight="bold")
        axes.set_yticks(range(wanted[0]), rows)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        for row, said in enumerate(words):
            for column, word in enumerate(said):
                ink = text_color(image.cmap(image.norm(table[row, column])))
                axes.text(column, row, word, ha="center", va="center", fontsize=9, color=ink)
                if right and right[column] is not None and right[column] == word:
                    _frame(axes, row, column)
        bar = figure.colorbar(image, ax=axes, shrink=0.9, aspect=16, pad=0.01)
        bar.outline.set_visible(False)
    return figure


def _frame(axes: Any, row: int, column: int) -> None:
    """Draw a frame inside a cell."""
    from matplotlib.patches import Rectangle

    corner = (column - 0.45, row - 0.42)
    axes.add_patch(Rectangle(corner, 0.9, 0.84, fill=False, linewidth=1.6, edgecolor=COLORS[1]))
