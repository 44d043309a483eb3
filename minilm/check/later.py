"""torch for the catalogue, loaded when first used.

The first check of any lesson reads the whole catalogue, and in the lessons on tokens nobody needs
torch: two seconds and 150 MB for each of forty students.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Later:
    """Stands for a module until something is asked of it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)

    def __repr__(self) -> str:
        return f"<{self._name}, loaded when first used>"


torch: Any = Later("torch")
