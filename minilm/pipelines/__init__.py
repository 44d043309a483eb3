"""Pipelines: from text to an answer in one call (lesson 08 and those after it).

Each name is looked up in its own module every time, so that a replaced one takes effect.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Public name -> the module it lives in.
_HOMES = {
    "Pipeline": "minilm.pipelines.base",
    "ReturnType": "minilm.pipelines.text_options",
    "TextGenerationPipeline": "minilm.pipelines.text_generation",
    "pipeline": "minilm.pipelines.making",
    "register_task": "minilm.pipelines.registry",
    "supported_tasks": "minilm.pipelines.registry",
}

__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'minilm.pipelines' has no attribute '{name}'")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
