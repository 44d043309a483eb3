"""How each shipped checkpoint is made: its kind and size, what it reads, how long it learns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minilm.errors import InvalidInput


@dataclass(frozen=True)
class Recipe:
    """What it takes to make a checkpoint again.

    name: what `from_pretrained` finds it by
    task: the module of the zoo that makes its data and its score
    config: of the model, `model_type` included; the size of the vocabulary is the tokenizer's
    vocab_size: tokens of the tokenizer, the special ones counted
    n_stories: how many stories of the world it reads
    arguments: for the Trainer
    good_at, bad_at, pipeline, languages: for its card
    """

    name: str
    task: str
    config: Mapping[str, Any]
    vocab_size: int
    n_stories: int
    arguments: Mapping[str, Any] = field(default_factory=dict)
    good_at: str = ""
    bad_at: str = ""
    pipeline: str = "text-generation"
    languages: str = "en"


_CAUSAL_GOOD = "telling stories of the world it was trained on, and going on from their beginning"
_CAUSAL_BAD = (
    "everything else: it knows some hundred words, one kind of story, and nothing of our world"
)
_CAUSAL_ARGUMENTS = {
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 32,
    "num_train_epochs": 1,
    "learning_rate": 3e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 300,
    "weight_decay": 0.1,
    "adam_beta2": 0.98,
    "bf16": True,
    "logging_steps": 50,
    "eval_strategy": "steps",
    "eval_steps": 1000,
    "save_strategy": "steps",
    "save_steps": 500,
    "save_total_limit": 2,
    # The rows come in an order drawn already, batches of nearly one length (`causal.like_to_like`).
    "train_sampling_strategy": "sequential",
    "seed": 42,
}

_ALL = (
    Recipe(
        name="story-gpt2",
        task="causal",
        config={
            "model_type": "gpt2",
            "n_positions": 160,
            "n_embd": 160,
            "n_layer": 5,
            "n_head": 5,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        },
        vocab_size=1400,
        n_stories=240_000,
        arguments=_CAUSAL_ARGUMENTS,
        good_at=_CAUSAL_GOOD,
        bad_at=_CAUSAL_BAD,
    ),
    Recipe(
        name="story-llama",
        task="causal",
        config={
            "model_type": "llama",
            "hidden_size": 160,
            "intermediate_size": 432,
            "num_hidden_layers": 5,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 160,
            "tie_word_embeddings": True,
        },
        vocab_size=1400,
        n_stories=240_000,
        arguments=_CAUSAL_ARGUMENTS,
        good_at=_CAUSAL_GOOD,
        bad_at=_CAUSAL_BAD,
    ),
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL}


def recipe(name: str) -> Recipe:
    """Find the recipe of a checkpoint.

    name: such as "story-gpt2"

    Raises InvalidInput if there is none.
    """
    if name not in RECIPES:
        raise InvalidInput(
            f"There is no recipe for a checkpoint '{name}'. There are: {', '.join(RECIPES)}."
        )
    return RECIPES[name]
