"""Every rotary setting in a whole model, on texts longer than those that it was trained on."""

from __future__ import annotations

import pytest
import torch

CLOSE = 1e-5
TRAINED, LENGTH = 16, 24
ROTARY = {
    "another base": {"rope_type": "default", "rope_theta": 500.0},
    "linear": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
    "yarn": {
        "rope_type": "yarn",
        "factor": 4.0,
        "rope_theta": 1000.0,
        "original_max_position_embeddings": TRAINED,
    },
    "yarn as DeepSeek has it": {
        "rope_type": "yarn",
        "factor": 4.0,
        "rope_theta": 1000.0,
        "beta_fast": 8,
        "beta_slow": 2,
        "mscale": 0.7,
        "mscale_all_dim": 1.2,
        "original_max_position_embeddings": TRAINED,
    },
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "rope_theta": 100.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": TRAINED,
    },
}
FACTORS = {"short_factor": [1.0, 1.2, 1.7, 2.0, 2.5], "long_factor": [1.5, 2.0, 3.0, 4.0, 5.0]}


def settings_of(family: str, name: str) -> dict:
    if name != "longrope":
        return {"rope_parameters": dict(ROTARY[name]), "max_position_embeddings": TRAINED}
    pairs = {"gpt_neox": 2, "qwen3": 5}.get(family, 3)  # heads of 6 or 10, of GPT-NeoX's a half
    factors = {key: values[:pairs] for key, values in FACTORS.items()}
    return {
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "original_max_position_embeddings": TRAINED,
            **factors,
        },
        "max_position_embeddings": 4 * TRAINED,
    }


rotary = pytest.mark.parametrize("name", [*ROTARY, "longrope"])
families = pytest.mark.parametrize("family", ["gpt_neox", "llama", "mistral", "qwen2", "qwen3"])


@families
@rotary
@pytest.mark.parametrize("length", [LENGTH, 5])
def test_every_rotary_setting_equals_transformers(both, texts, difference, family, name, length):
    ours, theirs = both(family, **settings_of(family, name))
    batch = texts("left", length=length)
    got, expected = (
        model(batch.input_ids, attention_mask=batch.attention_mask, position_ids=batch.position_ids)
        for model in (ours, theirs)
    )
    assert difference(got.logits, expected.logits, batch.real) <= CLOSE
    if length == LENGTH:
        plain, _ = both(family, max_position_embeddings=TRAINED)
        ids = batch.input_ids
        assert difference(ours(ids).logits, plain(ids).logits) > 1e-4


@families
@pytest.mark.parametrize("name", ["another base", "linear", "yarn", "llama3"])
def test_a_cache_holds_keys_turned_as_in_the_whole_text(ours, texts, difference, family, name):
    model = ours(family, **settings_of(family, name))
    ids = texts(length=LENGTH).input_ids
    with torch.no_grad():
        whole = model(ids).logits
        cache = model(ids[:, :10]).past_key_values
        for t in range(10, LENGTH):
            step = model(ids[:, t : t + 1], past_key_values=cache).logits
            assert difference(step, whole[:, t : t + 1]) <= CLOSE


def test_dynamic_scaling_looks_at_this_call_alone(both, texts, difference):
    """In transformers a text gets other numbers once a longer one has come before it."""
    ours, theirs = both("llama", **settings_of("llama", "dynamic"))
    longer, short = texts(length=40).input_ids, texts(length=LENGTH).input_ids
    before, their_before = ours(short).logits, theirs(short).logits
    assert difference(before, their_before) <= CLOSE
    ours(longer)
    theirs(longer)
    assert difference(ours(short).logits, before) == 0
    assert difference(theirs(short).logits, their_before) > 1e-4


@families
def test_a_part_of_each_head_turns_in_gpt_neox_alone(both, texts, difference, family):
    """transformers takes the setting everywhere, and turns whole heads in the Llama family."""
    ours, theirs = both(family, partial_rotary_factor=1 / 3, rotary_pct=1 / 3)
    ids = texts().input_ids
    assert difference(ours(ids).logits, theirs(ids).logits) <= CLOSE
    part = ours.base_model.rotary_emb(torch.zeros(1), torch.arange(3)[None])[0].shape[-1]
    assert part == {"gpt_neox": 2, "qwen3": 10}.get(family, 6)


@families
def test_frequencies_stay_exact_in_a_halved_model(both, texts, family):
    ours, theirs = both(family)
    ours, theirs = ours.to(torch.bfloat16), theirs.to(torch.bfloat16)
    assert ours.base_model.rotary_emb.inv_freq.dtype == torch.float32
    positions = torch.arange(40, 47)[None]
    ids = texts(batch=1).input_ids
    asked = {"position_ids": positions, "use_cache": False}
    with torch.no_grad():
        got, expected = ours(ids, **asked).logits, theirs(ids, **asked).logits
    bar = 4 * torch.finfo(torch.bfloat16).eps * float(expected.abs().max())
    assert float((got - expected).abs().max()) <= bar
