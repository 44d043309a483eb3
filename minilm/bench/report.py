"""What a benchmark found, as a table and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from minilm.bench.comparing import Row

_PACKAGES = ("minilm", "transformers", "tokenizers", "torch", "regex", "numpy")
_HEADINGS = ("", "minilm", "transformers", "unit", "ratio", "wanted", "met")


def as_table(rows: Sequence[Row]) -> str:
    """Lay rows out as text, one line each, numbers to the right.

    rows: the rows, in order
    """
    lines = [_HEADINGS]
    for row in rows:
        met = {True: "yes", False: "NO", None: ""}[row.met]
        figures = (_figure(row.ours), _figure(row.theirs), row.unit, _figure(row.ratio))
        lines.append((row.name, *figures, row.wanted or "", met))
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    written = []
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        for place, (cell, width) in enumerate(zip(line[1:], widths[1:], strict=True), 1):
            cells.append(cell.ljust(width) if place in (3, 6) else cell.rjust(width))
        written.append("  ".join(cells).rstrip())
    return "\n".join(written)


def as_json(rows: Sequence[Row], threads: int, quick: bool) -> dict[str, Any]:
    """Return rows as JSON data, together with what they were measured on.

    rows: the rows, in order
    threads: how many threads each side was given
    quick: whether the texts were cut short, so that the figures say little
    """
    return {
        "versions": {name: _version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "threads": threads,
        "quick": quick,
        "rows": [asdict(row) for row in rows],
    }


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return (
        f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
