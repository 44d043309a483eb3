"""Tables of numbers as pictures: a cell for each number, the darker the larger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput
from minilm.plots import COLORS, canvas, style, text_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

NUMBERS_FIT = 8  # so many columns, and each number can be written into its cell
SIDE = 3.1  # inches that a table takes at most in either direction


def heat_map(
    tables: Mapping[str, Any],
    *,
    xlabel: str,
    ylabel: str,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw one table or several side by side, all on one scale from light to dark.

    tables: title → (rows, columns), a tensor, an array or nested lists
    xlabel, ylabel: what a column is, and what a row is
    limits: the values drawn lightest and darkest; the smallest and the largest unless given

    Returns a figure with a bar that explains the shades; small tables have their numbers in them.
    Raises InvalidInput if there is no table, or one is not a table of finite numbers.
    """
    import numpy as np

    arrays = {title: _array(title, table) for title, table in tables.items()}
    if not arrays:
        raise InvalidInput("heat_map() was given no table. Give it {'a title': a table}.")
    everything = np.concatenate([array.ravel() for array in arrays.values()])
    low, high = limits or (float(everything.min()), float(everything.max()))
    sizes = [_size(array) for array in arrays.values()]
    with style():
        figure, axes = canvas(
            1,
            len(arrays),
            width=sum(width for width, _ in sizes) + 0.9 + 0.5 * len(arrays),
            height=max(height for _, height in sizes) + 0.9,
            squeeze=False,
            width_ratios=[width for width, _ in sizes],
        )
        for at, (panel, (title, array)) in enumerate(zip(axes[0], arrays.items(), strict=True)):
            image = _draw(panel, array, low, high)
            panel.set(title=title, xlabel=xlabel)
            if at == 0:
                panel.set_ylabel(ylabel)
        bar = figure.colorbar(image, ax=list(axes[0]), shrink=0.9, aspect=22)
        bar.outline.set_visible(False)
    return figure


def _array(title: str, table: Any) -> Any:
    """Turn what was given into a two-dimensional array of finite numbers."""
    import numpy as np

    plain = table.detach().cpu() if hasattr(table, "detach") else table
    array = np.asarray(plain, dtype=float)
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise InvalidInput(
            f"The table '{title}' has the shape {array.shape}; heat_map() takes rows and columns "
            "of finite numbers."
        )
    return array


def _size(array: Any) -> tuple[float, float]:
    """Return width and height in inches: cells are square unless the table is very long."""
    rows, columns = array.shape
    cell = min(0.55, SIDE / columns, SIDE / rows)
    return max(cell * columns, 0.8), max(cell * rows, 0.8)


def _draw(axes: Axes, array: Any, low: float, high: float) -> AxesImage:
    """Draw one table, its first row on top, with numbers in the cells if there is room."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("shades", ["#ffffff", COLORS[4], COLORS[0]])
    image = axes.imshow(array, cmap=shades, vmin=low, vmax=high, aspect="auto")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#888888", linewidth=0.6)
    rows, columns = array.shape
    for axis, count in ((axes.xaxis, columns), (axes.yaxis, rows)):
        step = 1 if count <= NUMBERS_FIT else -(-count // 8)
        axis.set_ticks(range(0, count, step))
    if columns <= NUMBERS_FIT and rows <= 2 * NUMBERS_FIT:
        for row in range(rows):
            for column in range(columns):
                value = array[row, column]
                ink = text_color(image.cmap(image.norm(value)))
                text = f"{value + 0.0:.2f}".replace("-0.00", "0.00").replace("-", "\N{MINUS SIGN}")
                axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=ink)
    return image
