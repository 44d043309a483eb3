"""Who may look at whom: a mask as a board of squares, a row per query and a column per key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from minilm.errors import InvalidInput, WrongType
from minilm.plots import COLORS, INK, style
from minilm.plots.glyphs import drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SEEN, _HIDDEN, _ALARM = COLORS[0], "#e9e6df", COLORS[1]
_SMALL = 32  # with up to so many tokens each has its square, its label and its count
_MOST = 16  # boards in a picture
_LONGEST = 12  # characters of a label
# In inches: the figure, a square, a large board, and the space around a board.
_WIDEST = 9.0
_SQUARE, _SMALLEST_SQUARE = 0.36, 0.125
_BOARD, _LARGEST_BOARD, _SMALLEST_BOARD, _THINNEST_BOARD = 4.0, 5.5, 2.0, 0.35
_GAP, _PAD = 0.3, 0.07
_CORNER = ("key →", "query ↓")


class _Board(NamedTuple):
    """One mask of one text, as it is drawn."""

    name: str
    seen: Any  # bool array (T, S)
    keys: list[str]
    queries: list[str]
    first_self: int | None  # the column in which the first query is a key; None = in none


def mask_picture(
    mask: Any,
    tokens: Sequence[str] | Sequence[Sequence[str]] | None = None,
    query_tokens: Sequence[str] | Sequence[Sequence[str]] | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """Draw who may look at whom: dark where a query (row) may attend to a key (column).

    mask: bool (T, S), (B, 1, T, S) or whatever can be spread to that; None = plain causal order; or
        names and such masks, drawn side by side in one size. Every text and every head that a mask
        tells apart has a board of its own
    tokens: the S keys, or such a list per text; the queries are the last T of them. Positions
        unless given
    query_tokens: the T queries where they are not among the keys, as in cross attention
    title: above the picture

    A ring marks where a query is itself the key, a line parts cached tokens from new ones, numbers
    at the right count what each query sees, and a row that sees nothing is hatched. Beyond 32
    tokens the picture keeps the dark, the line and the hatching.
    Returns the figure. Its size depends on shapes and tokens alone: a slider does not make it jump.
    Raises InvalidInput or WrongType for masks and tokens that do not fit.
    """
    boards = _boards(mask, tokens, query_tokens)
    return _drawn(boards, title)


def _boards(mask: Any, tokens: Any, query_tokens: Any) -> list[_Board]:
    """Spread the masks to one size and give every text and head of each its board."""
    import numpy as np

    named = dict(mask) if isinstance(mask, Mapping) else {"": mask}
    arrays = {name: None if one is None else _array(name, one) for name, one in named.items()}
    key_lists, query_lists = (
        _token_lists("tokens", tokens),
        _token_lists("query_tokens", query_tokens),
    )
    rows, columns = _size(arrays, key_lists, query_lists)
    among_keys = query_lists is None and columns >= rows
    # (B, 1, 1, S) hides the same from every query: its one row stands for all of them.
    for_all = (
        query_lists is None
        and rows == 1
        and all(one is not None and one.ndim == 4 for one in arrays.values())
    )
    boards = []
    for name, array in arrays.items():
        if array is None:
            array = np.tri(rows, columns, columns - rows, dtype=bool)  # (T, S)
        array = array.reshape((1,) * (4 - array.ndim) + array.shape)  # (B, H, T, S)
        array = np.broadcast_to(array, (*array.shape[:2], rows, columns))
        for text, heads in enumerate(array):
            keys = _of_text(key_lists, text, columns) or [str(key) for key in range(columns)]
            if for_all:
                queries = ["every query"]
            elif among_keys:
                queries = keys[columns - rows :]
            else:
                queries = _of_text(query_lists, text, rows) or [str(row) for row in range(rows)]
            for head, seen in enumerate(heads):
                parts = [
                    name,
                    f"text {text}" if len(array) > 1 else "",
                    f"head {head}" if len(heads) > 1 else "",
                ]
                first_self = columns - rows if among_keys and not for_all else None
                label = ", ".join(part for part in parts if part)
                boards.append(_Board(label, seen, keys, queries, first_self))
    if len(boards) > _MOST:
        raise InvalidInput(
            f"These masks make {len(boards)} boards; {_MOST} can be looked at. Choose some texts and "
            "heads: mask[:2, :1]."
        )
    return boards


def _array(name: str, mask: Any) -> Any:
    """Read a mask as a bool array of 2 or 4 dimensions."""
    import numpy as np

    what = f"mask {name!r}" if name else "mask"
    if hasattr(mask, "detach"):
        mask = mask.detach().cpu()
    array = np.asarray(mask)
    if array.dtype.kind not in "biu":
        raise WrongType(
            f"{what} holds {array.dtype}; give booleans, True = may attend: scores == 0 for a mask "
            "of scores that are added."
        )
    if array.ndim not in (2, 4) or 0 in array.shape:
        raise InvalidInput(
            f"{what} has the shape {array.shape}; give (T, S), or (B, H, T, S) where B, H and T may "
            "be 1."
        )
    return array.astype(bool)


def _token_lists(name: str, tokens: Any) -> list[list[str]] | None:
    """Read tokens as a list per text."""
    if tokens is None:
        return None
    if isinstance(tokens, str):
        raise WrongType(f"{name} is one text; give a list with a text per token: list({name}).")
    lists = [list(tokens)] if all(isinstance(t, str) for t in tokens) else [list(t) for t in tokens]
    return [[_label(token) for token in one] for one in lists]


def _label(token: str) -> str:
    """Make a token fit to be read on an axis: spaces that would not be seen get a sign."""
    inner = token.strip(" ")
    at = token.index(inner)
    text = "␣" * at + inner + "␣" * (len(token) - at - len(inner))
    return drawable(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def _size(
    arrays: Mapping[str, Any],
    key_lists: list[list[str]] | None,
    query_lists: list[list[str]] | None,
) -> tuple[int, int]:
    """Find the rows and columns that every mask can be spread to, and the tokens fit."""
    shapes = [array.shape[-2:] for array in arrays.values() if array is not None]
    columns = max((shape[1] for shape in shapes), default=0)
    if key_lists and columns <= 1:
        columns = max(len(one) for one in key_lists)
    rows = max((shape[0] for shape in shapes), default=0)
    if query_lists and rows <= 1:
        rows = max(len(one) for one in query_lists)
    rows = rows or columns
    columns = columns or rows
    if not arrays or not columns:
        raise InvalidInput("There is nothing to draw. Give a mask, or tokens for a causal one.")
    for shape in shapes:
        if shape[0] not in (1, rows) or shape[1] not in (1, columns):
            sizes = " and ".join(f"{shape[0]} × {shape[1]}" for shape in dict.fromkeys(shapes))
            raise InvalidInput(
                f"The masks are of {sizes}. Side by side they need the same queries and keys: call "
                "mask_picture once for each."
            )
    return rows, columns


def _of_text(lists: list[list[str]] | None, text: int, length: int) -> list[str] | None:
    """Choose the tokens of one text, and see that there are as many as the mask has."""
    if lists is None:
        return None
    if len(lists) > 1 and text >= len(lists):
        raise InvalidInput(
            f"The tokens are of {len(lists)} texts and the mask has more. Give a list per text."
        )
    tokens = lists[text if len(lists) > 1 else 0]
    if len(tokens) != length:
        raise InvalidInput(
            f"{len(tokens)} tokens were given and the mask has {length}. Give a text for each: the "
            "keys, cached and new, as tokens; queries that are no keys as query_tokens."
        )
    return tokens


class _Layout(NamedTuple):
    """Where things stand, in inches."""

    per_line: int  # boards side by side
    width: float  # of a board
    height: float
    font: float  # size of the labels, in points
    left: float  # of a board whose rows are labelled
    top: float  # for title and key labels
    right: float  # for the counts
    bottom: float  # for "cached" and "new"
    sideways: bool  # key labels are turned
    labelled_once: bool  # the rows of all boards have the same labels, told at the left alone
    small: bool

    def line_width(self) -> float:
        first = self.left + self.width + self.right
        other = first if not self.labelled_once else self.width + self.right
        return first + (self.per_line - 1) * (other + _GAP)


def _layout(boards: list[_Board]) -> _Layout:
    """Choose the largest squares with which the boards fit side by side, else begin a new line."""
    rows, columns = boards[0].seen.shape
    longer = max(rows, columns)
    small = longer <= _SMALL
    smallest = (
        max(_SMALLEST_SQUARE, min(0.22, 3.4 / longer)) if small else _SMALLEST_BOARD / columns
    )
    key_width = _longest([board.keys for board in boards]) if small else 0.0
    query_width = _longest([board.queries for board in boards] if small else [[str(columns)]])
    for lines in range(1, len(boards) + 1):
        per_line = -(-len(boards) // lines)
        square = min(_SQUARE, _LARGEST_BOARD / longer) if small else _BOARD / longer
        while square >= smallest or per_line == 1:
            font = min(10.0, max(6.5, square * 72 * 0.55)) if small else 8.0
            sideways = key_width * font > square * 0.92
            key_height = key_width * font if sideways else font / 72
            layout = _Layout(
                per_line=per_line,
                width=max(columns * square, _THINNEST_BOARD),
                height=max(rows * square, _THINNEST_BOARD),
                font=font,
                left=max(query_width * font, _text_width(_CORNER[1], 7.5)) + 2 * _PAD,
                top=key_height + 2 * _PAD + (0.2 if any(board.name for board in boards) else 0.0),
                right=_text_width("sees", font * 0.85) + 2 * _PAD if small else 0.12,
                bottom=0.22 if any(_cached(board) for board in boards) else 0.0,
                sideways=sideways,
                labelled_once=all(board.queries == boards[0].queries for board in boards),
                small=small,
            )
            if layout.line_width() <= _WIDEST:
                return layout
            square *= 0.96
    raise AssertionError("one board alone always fits in the end")


def _longest(lists: list[list[str]]) -> float:
    """Measure the widest of all labels, in inches for every point of the font's size."""
    return max(_text_width(label, 10) for label in {each for one in lists for each in one}) / 10


def _cached(board: _Board) -> int:
    """How many keys stand before the first query."""
    return board.first_self or 0


def _text_width(text: str, font: float) -> float:
    """Measure a label, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    plain = text.replace("$", "S").strip()  # a dollar sign would begin a formula
    if not plain:
        return 0.0
    family = FontProperties(family="DejaVu Sans")
    return float(TextPath((0, 0), plain, size=font, prop=family).get_extents().width) / 72


def _drawn(boards: list[_Board], title: str | None) -> Figure:
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    with style():
        rcParams["hatch.color"] = _ALARM  # style() puts the old one back at its end
        layout = _layout(boards)
        lines = -(-len(boards) // layout.per_line)
        width = max(layout.line_width(), 3.5) + 2 * _PAD
        legend = _legend_lines(layout, width)
        line_height = layout.top + layout.height + layout.bottom
        header = 0.36 if title else 0.0
        height = header + lines * line_height + (lines - 1) * 0.2 + 0.24 * len(legend) + 0.1
        figure = Figure(figsize=(width, height))
        figure.set_layout_engine("none")
        for number, board in enumerate(boards):
            line, column = divmod(number, layout.per_line)
            x = _PAD + layout.left
            step = layout.width + layout.right + _GAP
            x += column * (step if layout.labelled_once else step + layout.left)
            y = height - header - line * (line_height + 0.2) - layout.top - layout.height
            place = (x / width, y / height, layout.width / width, layout.height / height)
            axes = figure.add_axes(place)
            _draw_board(axes, board, layout, column == 0 or not layout.labelled_once)
        for line, entries in enumerate(legend):
            _draw_legend(figure, entries, 0.12 + 0.24 * (len(legend) - 1 - line))
        if title:
            x, y = _PAD / width, 1 - 0.04 / height
            looks: dict[str, Any] = {"fontsize": 12, "fontweight": "bold", "parse_math": False}
            figure.suptitle(drawable(title), x=x, y=y, ha="left", va="top", **looks)
        return figure


def _draw_board(axes: Any, board: _Board, layout: _Layout, labelled: bool) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    rows, columns = board.seen.shape
    axes.imshow(
        board.seen.astype(float),
        cmap=LinearSegmentedColormap.from_list("mask", [_HIDDEN, _SEEN]),
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
    )
    axes.grid(False)
    axes.set_frame_on(False)
    axes.tick_params(length=0, pad=2, labelsize=layout.font)
    axes.xaxis.tick_top()
    if layout.small:
        _label_squares(axes, board, layout, labelled)
    else:
        _label_places(axes, board, layout, labelled)
    _hatch_blind_rows(axes, board.seen)
    if cached := _cached(board):
        axes.axvline(cached - 0.5, color="white", linewidth=4, linestyle="-")
        axes.axvline(cached - 0.5, color=INK, linewidth=1.6, linestyle="-")
        below = {"y": rows - 0.5 + 0.06 * rows / layout.height, "va": "top", "fontsize": 8}
        beside = 0.05 * columns / layout.width
        axes.text(cached - 0.5 - beside, s="cached", ha="right", style="italic", **below)
        axes.text(cached - 0.5 + beside, s="new", ha="left", style="italic", **below)
    if labelled:
        corner = {"transform": axes.transAxes, "fontsize": 7.5, "color": "#555555", "ha": "right"}
        above = 0.05 if layout.small else 0.12  # clear of the first row's number
        x, y = -_PAD / layout.width, 1 + above / layout.height
        axes.text(x, y, "\n".join(_CORNER), va="bottom", style="italic", **corner)
    if board.name:
        above = 1 + (layout.top - 0.17) / layout.height
        looks: dict[str, Any] = {"fontsize": 10.5, "fontweight": "bold", "parse_math": False}
        axes.set_title(drawable(board.name), loc="left", y=above, pad=0, **looks)


def _label_squares(axes: Any, board: _Board, layout: _Layout, labelled: bool) -> None:
    """Part the squares, name every row and column, ring the query itself, count what it sees."""
    rows, columns = board.seen.shape
    for row in range(1, rows):
        axes.axhline(row - 0.5, color="white", linewidth=1.3, linestyle="-")
    for column in range(1, columns):
        axes.axvline(column - 0.5, color="white", linewidth=1.3, linestyle="-")
    turned = {"rotation": 90} if layout.sideways else {}
    axes.set_xticks(range(columns), board.keys, parse_math=False, **turned)
    axes.set_yticks(range(rows), board.queries if labelled else [""] * rows, parse_math=False)
    square = layout.width / columns
    if board.first_self is not None:
        for row in range(rows):
            itself = board.first_self + row
            axes.plot(
                itself,
                row,
                "o",
                markersize=square * 72 * 0.34,
                markerfacecolor="none",
                markeredgecolor="white" if board.seen[row, itself] else INK,
                markeredgewidth=1.3,
            )
    edge = columns - 0.5 + (layout.right - _PAD) / square
    count_looks: dict[str, Any] = {"ha": "right", "fontsize": layout.font * 0.95}
    for row, seen in enumerate(board.seen.sum(-1).tolist()):
        alarm = {"color": _ALARM, "fontweight": "bold"} if seen == 0 else {"color": "#555555"}
        axes.text(edge, row, str(seen), va="center", **count_looks, **alarm)
    count_looks["fontsize"] = layout.font * 0.85
    above = -0.5 - 0.05 * columns / layout.width
    axes.text(edge, above, "sees", va="bottom", color="#555555", style="italic", **count_looks)


def _label_places(axes: Any, board: _Board, layout: _Layout, labelled: bool) -> None:
    """Number some of many rows and columns, as places in the text."""
    from matplotlib.ticker import MaxNLocator

    rows, columns = board.seen.shape
    first = board.first_self or 0
    for axis, length, start, room in [
        (axes.xaxis, columns, 0, layout.width / 0.5),
        (axes.yaxis, rows, first, layout.height / 0.3),
    ]:
        locator = MaxNLocator(nbins=max(2, min(6, int(room))), integer=True)
        places = locator.tick_values(start, start + length)
        shown = [int(place) for place in places if start <= place < start + length]
        axis.set_ticks([place - start for place in shown], [str(place) for place in shown])
    if not labelled:
        axes.set_yticklabels([])


def _hatch_blind_rows(axes: Any, seen: Any) -> None:
    """Hatch the rows that see nothing, neighbours together."""
    from matplotlib.patches import Rectangle

    columns = seen.shape[1]
    blind = [(row, not sees) for row, sees in enumerate(seen.any(-1).tolist())]
    for is_blind, run in groupby(blind, key=lambda pair: pair[1]):
        if not is_blind:
            continue
        band = [row for row, _ in run]
        axes.add_patch(
            Rectangle(
                (-0.5, band[0] - 0.5),
                columns,
                len(band),
                facecolor="none",
                edgecolor=_ALARM,
                hatch="////",
                linewidth=0,
            )
        )


_LEGEND = ("may attend", "hidden", "itself", "sees nothing")


def _legend_lines(layout: _Layout, width: float) -> list[list[tuple[float, str]]]:
    """Lay the legend out in lines: for each entry its place from the left, in inches."""
    lines: list[list[tuple[float, str]]] = []
    x = width
    for entry in _LEGEND:
        if entry == "itself" and not layout.small:
            continue
        step = 0.22 + _text_width(entry, 8.5) + 0.16
        if x + step > width:
            lines.append([])
            x = _PAD
        lines[-1].append((x, entry))
        x += step
    return lines


def _draw_legend(figure: Figure, entries: list[tuple[float, str]], y: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    side = 0.13
    for x, entry in entries:
        looks: dict[str, Any] = {"facecolor": _HIDDEN, "linewidth": 0}
        if entry in ("may attend", "itself"):
            looks["facecolor"] = _SEEN
        if entry == "sees nothing":
            looks |= {"hatch": "//////", "edgecolor": _ALARM}
        figure.add_artist(Rectangle((x / width, y / height), side / width, side / height, **looks))
        if entry == "itself":
            figure.add_artist(
                Line2D(
                    [(x + side / 2) / width],
                    [(y + side / 2) / height],
                    marker="o",
                    markersize=4.5,
                    markerfacecolor="none",
                    markeredgecolor="white",
                    markeredgewidth=1.1,
                )
            )
        figure.text(
            (x + side + 0.07) / width, (y + side / 2) / height, entry, va="center", fontsize=8.5
        )
