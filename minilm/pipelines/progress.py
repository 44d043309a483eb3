"""A bar for long work, where somebody is there to see it."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

# From how many inputs on a call is long enough for a bar.
LONG = 33


def progress_bar(total: int, shown: bool | None = None, description: str = "") -> Any:
    """Make a tqdm bar.

    total: how many inputs    shown: None = for LONG inputs or more, in a terminal or on a page of a
    notebook    description: stands before the bar
    """
    from tqdm import tqdm

    on_page = _on_page()
    if shown is None:
        seen = on_page or sys.stderr.isatty()
        # Pages that are made to be the same each time keep no bar.
        shown = total >= LONG and seen and os.environ.get("MINILM_STATIC") != "1"
    if not shown:
        return tqdm(total=total, disable=True)
    made: Any = tqdm
    # Without ipywidgets, the plain bar does.
    if on_page and find_spec("ipywidgets") is not None:
        made = import_module("tqdm.notebook").tqdm
    return made(total=total, desc=description, unit="text")


def _on_page() -> bool:
    """Whether output goes to a page of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
