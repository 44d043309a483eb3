"""Showing tensors and arrays as small tables, big ones around the place that matters."""

from __future__ import annotations

import itertools
import math
from typing import Any

from minilm.check.arrays import Shape, as_array, is_tensor

# No line of a table is much wider, and no table longer, unless the caller says otherwise.
WIDEST = 76
MOST_LINES = 18


def table(value: Any, path: tuple[Any, ...] = (), limit: int = 400) -> str:
    """A tensor or array as a head with its shape and dtype, and its numbers in rows and columns.

    value: anything with a shape and a dtype
    path: the index of an element; of what is too long to show, the part around it is shown
    limit: about how many characters

    A mask is shown as 1 and 0. More than two axes: one block for each index of the first ones.
    """
    head = f"{tuple(value.shape)} {_kind(value)}"
    try:
        values = as_array(value)
    except Exception:  # without numbers to show: on the device meta, sparse, quantized
        return head
    if not values.size:
        return f"{head}, empty"
    if values.ndim == 0:
        return f"{head}: {_cells(values.reshape(1))[0]}"
    index = _index(path, values.shape)
    rows = math.prod(values.shape[:-1])
    if values.size <= 2 * limit:
        blocks = _blocks(values)
        if rows == 1 and len(head) + len(blocks[0][1][0]) < WIDEST:
            return f"{head}: {blocks[0][1][0].strip()}"
        lines = _side_by_side(blocks)
        if len(lines) <= MOST_LINES and len("\n".join(lines)) <= limit + len(lines):
            return "\n".join([head, *lines])
    return _around(values, index, head, limit)


def _kind(value: Any) -> str:
    name = str(value.dtype).removeprefix("torch.")
    if not is_tensor(value):
        name = f"numpy {name}"
    if name.endswith("bool"):
        name += ", 1 = True"
    if is_tensor(value) and value.device.type != "cpu":
        name += f" on {value.device}"
    return name


def _index(path: tuple[Any, ...], shape: Shape) -> Shape:
    """An index that leads to an element, as near as possible to where a path leads."""
    steps = [step if isinstance(step, int) else 0 for step in path[: len(shape)]]
    steps += [0] * (len(shape) - len(steps))
    return tuple(max(0, min(step, length - 1)) for step, length in zip(steps, shape, strict=True))


def _cells(values: Any) -> list[str]:
    """The texts of the numbers of a one-dimensional array, all of one width."""
    import numpy as np

    if values.dtype.kind == "b":
        texts = ["1" if value else "0" for value in values]
    elif values.dtype.kind == "f":
        finite = np.abs(values[np.isfinite(values)])
        big = float(finite.max()) if finite.size else 0.0
        decimals = _decimals(values, big)
        texts = [_float(float(value), decimals) for value in values]
    else:
        texts = [str(value) for value in values.tolist()]
    width = max(map(len, texts))
    return [text.rjust(width) for text in texts]


def _decimals(values: Any, big: float) -> int:
    """How many decimals show four digits of the biggest number, and no more than are there."""
    import numpy as np

    shown = values[np.isfinite(values)]
    if big >= 1e4 or not shown.size:
        return 0
    most = 4 - len(str(int(big))) if big >= 1 else 4
    for decimals in range(1, most):
        if np.abs(shown - np.round(shown, decimals)).max() < 1e-6 * max(1.0, big):
            return decimals
    return max(most, 1)


def _float(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return str(value)
    text = f"{value:.{decimals}f}"
    if (value and not text.strip("-0.")) or abs(value) >= 1e7:
        return f"{value:.1e}"
    return text.removeprefix("-") if not text.strip("-0.") else text


Block = tuple[str, list[str]]


def _blocks(values: Any) -> list[Block]:
    """For each index of all axes but the last two, a title and the lines of a table."""
    cells = iter(_cells(values.reshape(-1)))
    columns = values.shape[-1]
    rows = values.shape[-2] if values.ndim > 1 else 1
    many = math.prod(values.shape[:-2]) > 1
    blocks = []
    for index in itertools.product(*map(range, values.shape[:-2])):
        lines = [" ".join(itertools.islice(cells, columns)) for _ in range(rows)]
        blocks.append((str(list(index)) if many else "", lines))
    return blocks


def _side_by_side(blocks: list[Block]) -> list[str]:
    """The lines of several tables, as many beside each other as fit."""
    width = max(len(line) for title, lines in blocks for line in (title, *lines))
    abreast = max(1, (WIDEST + 3) // (width + 3))
    result: list[str] = []
    for start in range(0, len(blocks), abreast):
        strip = blocks[start : start + abreast]
        rows = zip(*[[title, *lines] if title else lines for title, lines in strip], strict=True)
        result += ["   ".join(part.ljust(width) for part in row).rstrip() for row in rows]
    return result


def _around(values: Any, index: Shape, head: str, limit: int) -> str:
    """The table that an element stands in if it is short enough, or else the middle of its row."""
    block = values[index[:-2]] if values.ndim > 2 else values
    place = f"{list(index[:-2])}" if values.ndim > 2 else ""
    if values.ndim > 2 and block.size <= limit:
        [(_, lines)] = _blocks(block)
        if len(lines) <= MOST_LINES and len("\n".join(lines)) <= limit + len(lines):
            return "\n".join([f"{head}; of it {place}:", *lines])
    row = values[index[:-1]]
    low = high = index[-1]
    line = " ".join(_cells(row[low : high + 1]))
    room = min(limit, WIDEST - 10)
    while low > 0 or high < len(row) - 1:
        wider = max(0, low - 1), min(len(row) - 1, high + 2)
        text = " ".join(_cells(row[wider[0] : wider[1] + 1]))
        if len(text) > room:
            break
        (low, high), line = wider, text
    before, after = "… " if low > 0 else "", " …" if high < len(row) - 1 else ""
    where = f"row {list(index[:-1])}" if values.ndim > 1 else "its numbers"
    span = f" from {low} on" if low > 0 else ""
    return f"{head}; {where}{span}:\n{before}{line}{after}"
