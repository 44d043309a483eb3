"""A recipe so small that it is followed within seconds."""

from __future__ import annotations

import dataclasses

import pytest

from minilm.zoo.recipes import RECIPES, Recipe


@pytest.fixture(params=["story-gpt2", "story-llama"])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A shipped recipe with two layers, few stories and few steps."""
    from minilm.zoo import causal

    monkeypatch.setattr(causal, "TOKENIZER_STORIES", 60)
    monkeypatch.setattr(causal, "VALIDATION_STORIES", 8)
    monkeypatch.setattr(causal, "TEST_STORIES", 8)
    recipe = RECIPES[request.param]
    layers = (
        {"n_layer": 2, "n_embd": 20, "n_positions": 300}
        if recipe.config["model_type"] == "gpt2"
        else {
            "num_hidden_layers": 2,
            "hidden_size": 24,
            "intermediate_size": 40,
            "max_position_embeddings": 300,
        }
    )
    return dataclasses.replace(
        recipe,
        config={**recipe.config, **layers},
        vocab_size=1000,
        n_stories=40,
        arguments={
            **recipe.arguments,
            "per_device_train_batch_size": 4,
            "logging_steps": 2,
            "eval_steps": 5,
            "save_steps": 2,
            "disable_tqdm": True,
            "bf16": False,
        },
    )
