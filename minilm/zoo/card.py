"""What is written beside a checkpoint: its facts as JSON, and a card that people read."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minilm.zoo.recipes import Recipe

# The facts, from which the card is made; `python -m minilm zoo list` reads them.
FACTS = "training.json"
CARD = "README.md"

_CARD = """\
---
language: {languages}
library_name: minilm
pipeline_tag: {pipeline}
license: mit
---
# {name}

A {model_type} of {parameters:,} parameters, trained by minilm on stories of its own world.

| | |
|---|---|
| made by | `{command}` |
| seed | {seed} |
| hardware | {hardware} |
| time | {hours:.1f} hours |
| tokens seen | {tokens_seen:,} |
| vocabulary | {vocab_size:,} tokens |
{scores}

Good at: {good_at}.

Bad at: {bad_at}.
"""


def collect_facts(
    recipe: Recipe, parameters: int, vocab_size: int, score: Mapping[str, Any], **run: Any
) -> dict[str, Any]:
    """Collect what is to be known of a finished checkpoint.

    recipe: how it was made
    parameters: of the model, tied ones once
    vocab_size: tokens of its tokenizer
    score: name → figure, as its task measures it
    run: seconds and tokens_seen of the training
    """
    import torch

    return {
        "name": recipe.name,
        "task": recipe.task,
        "command": f"python -m minilm zoo train {recipe.name}",
        "model_type": recipe.config["model_type"],
        "parameters": parameters,
        "vocab_size": vocab_size,
        "seed": recipe.arguments["seed"],
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, no GPU"
        if not torch.cuda.is_available()
        else torch.cuda.get_device_name(),
        "score": dict(score),
        **run,
    }


def as_json(facts: Mapping[str, Any]) -> str:
    """Write facts as the file beside the checkpoint.

    facts: of `collect_facts`
    """
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def as_card(facts: Mapping[str, Any], recipe: Recipe) -> str:
    """Write the card of a checkpoint.

    facts: of `collect_facts`
    recipe: says what it is good and bad at
    """
    scores = "\n".join(f"| {name} | {figure(value)} |" for name, value in facts["score"].items())
    return _CARD.format(
        **{**facts, "hours": facts["seconds"] / 3600, "scores": scores},
        languages=recipe.languages,
        pipeline=recipe.pipeline,
        good_at=recipe.good_at,
        bad_at=recipe.bad_at,
    )


def figure(value: float) -> str:
    """Write a score as people read it.

    value: counts are whole numbers, and stay so
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def read_facts(folder: Path) -> dict[str, Any]:
    """Read the facts of a checkpoint; empty if it has none.

    folder: of the checkpoint
    """
    path = folder / FACTS
    return json.loads(path.read_text("utf-8")) if path.exists() else {}
