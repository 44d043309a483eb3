"""Training: from texts to a model that has learned them (lesson 09).

Each name is looked up in its own module every time, so that a reader's function takes effect.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Public name -> the module it lives in.
_HOMES = {
    "DataCollatorForLanguageModeling": "minilm.training.collators",
    "DataCollatorWithFlattening": "minilm.training.collators",
    "DataCollatorWithPadding": "minilm.training.collators",
    "EarlyStoppingCallback": "minilm.training.callbacks",
    "EvalPrediction": "minilm.training.evaluating",
    "Trainer": "minilm.training.trainer",
    "TrainerCallback": "minilm.training.callbacks",
    "TrainerControl": "minilm.training.state",
    "TrainerState": "minilm.training.state",
    "TrainingArguments": "minilm.training.arguments",
    "TrainOutput": "minilm.training.state",
    "default_data_collator": "minilm.training.collators",
    "get_scheduler": "minilm.training.schedules",
    "group_texts": "minilm.training.grouping",
    "set_seed": "minilm.training.seeding",
}

__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'minilm.training' has no attribute '{name}'")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
