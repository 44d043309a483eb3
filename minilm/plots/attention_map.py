"""Where attention looks: a row for each query, a column for each key, dark where the weight is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput, OutOfRange
from minilm.plots import COLORS, canvas, style, text_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

NUMBERS_FIT = 10  # so many keys, and each weight can be written into its cell
HIDDEN = "#c9c9c9"


def attention_map(
    maps: Mapping[str, Any], queries: Sequence[str], keys: Sequence[str] | None = None
) -> Figure:
    """Draw one map of attention weights, or several side by side.

    maps: title → (T, S), weights from 0 to 1, a tensor or nested lists
    queries: a name for each row    keys: a name for each column; those of the rows unless given

    Returns a figure: dark cells weigh much, cells with a stroke weigh exactly nothing; where a map
    has few keys the weights stand in their cells.
    Raises InvalidInput if the names or the values do not fit the weights.
    """
    if not maps:
        raise InvalidInput("attention_map({}) has nothing to draw. Give it a map with a title.")
    keys = queries if keys is None else keys
    drawn = {title: _weights(weights, "(T, S)") for title, weights in maps.items()}
    for title, weights in drawn.items():
        if weights.shape != (len(queries), len(keys)):
            raise InvalidInput(
                f"The map '{title}' has the shape {weights.shape}, and there are {len(queries)} "
                f"names for queries and {len(keys)} for keys; it takes a name for each."
            )
    n_maps, n_queries, n_keys = len(drawn), len(queries), len(keys)
    cell = 0.47 if n_keys <= NUMBERS_FIT else 0.24
    longest = max(map(len, queries))
    width = n_maps * (cell * n_keys + 0.35) + 0.09 * longest + 0.5
    height = cell * n_queries + 0.07 * max(map(len, keys)) + 0.6
    with style():
        figure, axes = canvas(1, n_maps, width=width, height=height, squeeze=False, sharey=True)
        for at, (panel, (title, weights)) in enumerate(zip(axes[0], drawn.items(), strict=True)):
            _heat(panel, weights)
            _name(panel, queries if at == 0 else (), keys)
            panel.set_title(title)
            if n_keys <= NUMBERS_FIT:
                _write(panel, weights)
        axes[0, 0].set_ylabel("query: who looks")
        axes[0, 0].set_xlabel("key: who is looked at")
    return figure


def head_maps(maps: Any, words: Sequence[str], layer: int = 1, head: int = 1) -> Figure:
    """Draw the map of one head large, and beside it those of all heads, to step through.

    maps: (L, H, T, T), the weights of every head of every layer over one text
    words: the text's T words    layer, head: the one drawn large, counted from 1

    Returns a figure.
    Raises InvalidInput if words and maps do not fit; OutOfRange where there is no such head.
    """
    drawn = _weights(maps, "(L, H, T, T)")
    n_layers, n_heads, length, n_keys = drawn.shape
    if len(words) != length or length != n_keys:
        raise InvalidInput(
            f"head_maps() was given {len(words)} words and maps of {length} queries × {n_keys} "
            "keys; it takes as many words as each map has queries and keys."
        )
    if not (1 <= layer <= n_layers and 1 <= head <= n_heads):
        raise OutOfRange(
            f"There is no head {head} in layer {layer}: the maps are of {n_layers} layers with "
            f"{n_heads} heads, both counted from 1."
        )
    side = 0.24 * length
    small = min(1.3, side / n_heads)
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(side + 1.6 + (small + 0.15) * n_layers, side + 1.3))
        # Layers beside each other, heads below each other: as tall as the large map.
        grid = figure.add_gridspec(1, 2, width_ratios=(side + 1.0, (small + 0.15) * n_layers))
        large = figure.add_subplot(grid[0])
        shades = _heat(large, drawn[layer - 1, head - 1])
        _name(large, words, words)
        large.set(title=f"layer {layer}, head {head}", ylabel="query: who looks")
        figure.colorbar(
            shades,
            ax=large,
            location="bottom",
            shrink=0.6,
            aspect=30,
            pad=0.02,
            label="weight of a key (stroke: exactly 0)",
        )
        overview = grid[1].subgridspec(n_heads, n_layers)
        for row in range(n_heads):
            for column in range(n_layers):
                panel = figure.add_subplot(overview[row, column])
                is_chosen = (column, row) == (layer - 1, head - 1)
                _small(panel, drawn[column, row], f"{column + 1}.{row + 1}", is_chosen)
    return figure


def _small(axes: Axes, weights: Any, name: str, is_chosen: bool) -> None:
    """Draw a map too small for words; the chosen one in a frame."""
    _heat(axes, weights, strokes=False)
    axes.set_xticks([])
    axes.set_yticks([])
    weight = "bold" if is_chosen else "normal"
    axes.set_title(name, fontsize=9, loc="center", fontweight=weight, pad=3)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_linewidth(3.0 if is_chosen else 0.6)
    axes.spines[:].set_color(COLORS[1] if is_chosen else HIDDEN)


def _weights(weights: Any, form: str) -> Any:
    """Return weights as an array of the form that is asked for, or say what does not fit."""
    import numpy

    if hasattr(weights, "detach"):
        weights = weights.detach().cpu().double()
    array = numpy.asarray(weights, dtype=float)
    if array.ndim != len(form.split(",")) or array.size == 0:
        raise InvalidInput(
            f"Weights of the shape {array.shape} were given; this picture takes {form}, none of "
            "them 0. Of a batch or of several heads, choose one: weights[0]."
        )
    if not ((array >= -1e-6) & (array <= 1 + 1e-6)).all():
        raise InvalidInput(
            f"Weights of attention lie between 0 and 1, and these reach from {array.min():.3g} to "
            f"{array.max():.3g}. Give what comes after softmax, not the scores."
        )
    return array


def _colors() -> Colormap:
    """From white to the book's darkest colour: as even in grey as on a screen."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("weights", ["white", COLORS[4], COLORS[0]])


def _heat(axes: Axes, weights: Any, strokes: bool = True) -> AxesImage:
    """Draw the cells, the first query at the top, with a stroke through each that weighs nothing.

    White alone could be a small weight.
    """
    from matplotlib.collections import LineCollection

    n_queries, n_keys = weights.shape
    image = axes.imshow(weights, cmap=_colors(), vmin=0.0, vmax=1.0, aspect="equal", zorder=1)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if strokes:
        lines = [[(-0.5, at - 0.5), (n_keys - 0.5, at - 0.5)] for at in range(n_queries + 1)]
        lines += [[(at - 0.5, -0.5), (at - 0.5, n_queries - 0.5)] for at in range(n_keys + 1)]
        axes.add_collection(LineCollection(lines, colors="#e4e4e4", linewidths=0.5, zorder=2))
        hidden = [(row, column) for (row, column), weight in _cells(weights) if weight == 0]
        marks = [[(c - 0.3, r + 0.3), (c + 0.3, r - 0.3)] for r, c in hidden]
        axes.add_collection(LineCollection(marks, colors=HIDDEN, linewidths=0.8, zorder=2))
    return image


def _name(axes: Axes, queries: Sequence[str], keys: Sequence[str]) -> None:
    """Put the words at the edges, keys on top of their columns."""
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.xaxis.set_label_position("bottom")
    axes.set_xticks(range(len(keys)), _plain(keys), rotation=90)
    if queries:
        axes.set_yticks(range(len(queries)), _plain(queries))
    else:
        axes.tick_params(labelleft=False)


def _plain(words: Sequence[str]) -> list[str]:
    """A dollar sign is a word like any other, no formula."""
    return [word.replace("$", r"\$") for word in words]


def _write(axes: Axes, weights: Any) -> None:
    colors = _colors()
    for (row, column), weight in _cells(weights):
        if weight:
            axes.text(
                column,
                row,
                f"{weight:.2f}",
                ha="center",
                va="center",
                fontsize=8.5,
                color=text_color(colors(weight)),
                zorder=3,
            )


def _cells(weights: Any) -> list[tuple[tuple[int, int], float]]:
    n_queries, n_keys = weights.shape
    return [((q, k), float(weights[q, k])) for q in range(n_queries) for k in range(n_keys)]
