"""What a model has of generation: generate, its own settings, and their file beside its weights."""

from __future__ import annotations

import copy

import pytest
import torch

import minilm.generation as generation
from minilm.errors import WrongType
from minilm.generation.generate import generate
from minilm.models.base import PreTrainedModel

transformers = pytest.importorskip("transformers")
PROMPT = torch.tensor([[3, 4, 5, 6]])


def test_a_model_generates(pair):
    ours, theirs = pair("llama")
    written = ours.generate(PROMPT, max_new_tokens=6)
    assert torch.equal(written, generate(ours, PROMPT, max_new_tokens=6))
    assert torch.equal(written, theirs.generate(PROMPT, max_new_tokens=6))
    assert torch.equal(written, ours.generate(input_ids=PROMPT, max_new_tokens=6))
    assert ours.can_generate()
    assert not ours.base_model.can_generate()
    with pytest.raises(WrongType, match="AutoModelForCausalLM"):
        ours.base_model.generate(PROMPT)


def test_a_model_has_settings_of_its_own(pair):
    ours = copy.deepcopy(pair("llama")[0])
    assert ours.generation_config.bos_token_id == 1
    ours.generation_config.max_new_tokens = 3
    assert ours.generate(PROMPT).shape == (1, 7)
    ours.generation_config = generation.GenerationConfig(max_new_tokens=2)
    assert ours.generate(PROMPT).shape == (1, 6)
    assert isinstance(PreTrainedModel.generation_config, property)
    with pytest.raises(WrongType, match="expected a GenerationConfig"):
        ours.generation_config = {"max_new_tokens": 3}


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_settings_are_saved_and_loaded_with_the_weights(pair, family, tmp_path):
    ours, theirs = (copy.deepcopy(model) for model in pair(family))
    kind, their_kind = type(ours), type(theirs)
    settings = {"max_new_tokens": 5, "do_sample": True, "top_p": 0.8, "eos_token_id": [2, 3]}
    ours.generation_config.update(**settings)
    ours.save_pretrained(tmp_path / "ours")
    theirs.generation_config.update(**settings)
    theirs.save_pretrained(tmp_path / "theirs")
    found = [kind.from_pretrained(tmp_path / whose) for whose in ("ours", "theirs")]
    assert found[0].generation_config == found[1].generation_config == ours.generation_config
    loaded = their_kind.from_pretrained(tmp_path / "ours").generation_config
    assert loaded == theirs.generation_config
    (tmp_path / "ours" / "generation_config.json").unlink()
    without = kind.from_pretrained(tmp_path / "ours").generation_config
    assert without.max_new_tokens is None
    assert without.bos_token_id == ours.config.bos_token_id
    ours.base_model.save_pretrained(tmp_path / "body")
    assert not (tmp_path / "body" / "generation_config.json").exists()
