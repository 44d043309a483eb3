"""Settings of generation: what they may be, where they come from, and their file."""

from __future__ import annotations

import copy
import json
import math
import warnings

import numpy as np
import pytest
import torch

from minilm import AutoModelForCausalLM
from minilm.errors import FileProblem, InvalidInput, WrongType
from minilm.generation import GenerationConfig, GenerationWarning
from minilm.generation.config import config_of, file_for, read_config, set_config_of
from minilm.generation.settings import DEFAULTS, NOT_HERE, WITHOUT_EFFECT
from minilm.hub import Source

transformers = pytest.importorskip("transformers")


def test_every_setting_of_transformers_is_known_with_its_default():
    theirs = transformers.GenerationConfig()
    ours = (*DEFAULTS, *NOT_HERE, *WITHOUT_EFFECT)
    notes = {"_from_model_config", "transformers_version", "_original_object_hash"}
    assert set(vars(theirs)) - notes == set(ours) - {"on_interrupt"}
    for name, default in theirs._get_default_generation_params().items():
        if name in DEFAULTS and "assistant" not in name and "lookbehind" not in name:
            assert DEFAULTS[name] == default, name
    assert all(value is None for value in vars(GenerationConfig()).values())


def test_a_file_is_written_and_read_by_both(tmp_path):
    settings = {
        "max_new_tokens": 7,
        "do_sample": True,
        "temperature": 0.7,
        "top_k": 0,
        "eos_token_id": [2, 3],
        "pad_token_id": 0,
        "bad_words_ids": [[5], [6, 7]],
        "suppress_tokens": [8],
        "stop_strings": ["é\n"],
    }
    ours, theirs = GenerationConfig(**settings), transformers.GenerationConfig(**settings)
    ours.save_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    read = json.loads((tmp_path / "ours/generation_config.json").read_text())
    reference = json.loads((tmp_path / "theirs/generation_config.json").read_text())
    reference.pop("transformers_version")
    assert read == reference
    assert GenerationConfig.from_pretrained(tmp_path / "ours") == ours
    assert GenerationConfig.from_pretrained(tmp_path / "theirs") == ours
    assert transformers.GenerationConfig.from_pretrained(tmp_path / "ours") == theirs
    ours.save_pretrained(tmp_path, "other.json")
    assert GenerationConfig.from_pretrained(tmp_path, "other.json") == ours
    changed = GenerationConfig.from_pretrained(tmp_path / "ours", temperature=0.9)
    assert changed.temperature == 0.9
    config, rest = GenerationConfig.from_pretrained(
        tmp_path / "ours", temperature=0.9, banana=1, return_unused_kwargs=True
    )
    assert (config, rest) == (changed, {"banana": 1})


def test_biases_survive_a_file(tmp_path):
    ours = GenerationConfig(sequence_bias={(5,): 1.5, (6, 7): -2.0})
    ours.save_pretrained(tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path) == ours
    assert GenerationConfig.from_pretrained(tmp_path).sequence_bias == {(5,): 1.5, (6, 7): -2.0}


def test_what_a_file_says_besides_is_kept(tmp_path):
    path = tmp_path / "generation_config.json"
    path.write_text('{"top_k": 5, "chat_format": "raw", "penalty_alpha": 0.6, "temperature": 0.5}')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = GenerationConfig.from_pretrained(tmp_path)
    assert (config.top_k, config.chat_format, config.penalty_alpha) == (5, "raw", 0.6)
    assert '"chat_format": "raw"' in config.to_json_string()
    with pytest.raises(InvalidInput, match=r"penalty_alpha=0.6.*or in generation_config.json"):
        config.refuse_what_is_not_here()


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("[1]", FileProblem, "JSON object was expected"),
        ("{", FileProblem, "not valid JSON"),
        ('{"temperature": "warm"}', WrongType, r"generation_config.json' cannot be used.*number"),
        ('{"num_return_sequences": 2}', InvalidInput, "greedy search finds one"),
    ],
)
def test_a_file_that_cannot_be_used_is_said(tmp_path, text, kind, said):
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(kind, match=said):
        GenerationConfig.from_pretrained(tmp_path)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(FileProblem, match=r"generation_config.json is missing"):
        GenerationConfig.from_pretrained(tmp_path)
    assert read_config(Source(tmp_path)) is None


@pytest.mark.parametrize("family", ["gpt2", "llama", "mistral"])
def test_a_models_own_settings_are_those_of_transformers(pair, family):
    ours, theirs = pair(family, eos_token_id=3)
    mine = copy.deepcopy(config_of(ours))
    expected = theirs.generation_config.to_dict()
    expected.pop("transformers_version")
    said = {name: value for name, value in expected.items() if value is not None}
    assert mine.to_diff_dict() == said
    assert config_of(ours) is config_of(ours)
    written = file_for(ours)
    assert list(written) == ["generation_config.json"]
    assert json.loads(written["generation_config.json"])["eos_token_id"] == 3
    assert file_for(ours.base_model) == {}


def test_a_config_with_settings_of_generation_hands_them_on(pair):
    ours, _ = pair("llama")
    settings = {**ours.config.to_dict(), "max_length": 33, "do_sample": True, "top_k": 7}
    found = GenerationConfig.from_model_config(settings)
    theirs = transformers.GenerationConfig.from_model_config(settings)
    for name in ("max_length", "do_sample", "top_k", "bos_token_id", "return_dict_in_generate"):
        assert getattr(found, name) == getattr(theirs, name), name
    with_outputs = GenerationConfig.from_model_config({"output_attentions": True})
    assert with_outputs.return_dict_in_generate is True


def test_what_a_config_says_of_generation_from_old_times_is_passed_over(pair):
    """As in transformers 5: it counts in generation_config.json."""
    old = {"max_length": 9, "do_sample": True, "temperature": 0.5, "num_beams": 3}
    ours, theirs = pair("llama", use_cache=False, max_new_tokens=4, **old)
    expected = theirs.generation_config.to_diff_dict()
    assert config_of(ours).to_diff_dict().items() >= {"max_new_tokens": 4}.items()
    assert config_of(ours).use_cache is theirs.generation_config.use_cache is False
    for name in old:
        assert getattr(config_of(ours), name) is None, name
        assert name not in expected
    ids = torch.tensor([[3, 4, 5]])
    assert torch.equal(ours.generate(ids), theirs.generate(ids))


def test_a_model_is_loaded_whatever_its_generation_config_says(pair, tmp_path):
    """As of checkpoints that people use: names of their own, and values that nobody can use."""
    pair("llama")[1].save_pretrained(tmp_path)
    path = tmp_path / "generation_config.json"
    ids = torch.tensor([[3, 4, 5]])
    says = {
        "chat_format": "chatml",
        "max_window_size": 6144,
        "user_token_id": 15,
        "temperature": None,
        "suppress_tokens": [],
        "_from_model_config": False,
        "cache_implementation": "hybrid",
        "transformers_version": "4.30.0",
        "eos_token_id": [2, 5],
        "pad_token_id": 32000,
        "max_length": 12,
    }
    path.write_text(json.dumps(says))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = AutoModelForCausalLM.from_pretrained(tmp_path)
    expected = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).generate(ids)
    assert torch.equal(model.generate(ids), expected)
    assert model.generation_config.user_token_id == 15

    odd = {"top_k": -1, "temperature": "0.7", "bos_token_id": [1], "num_return_sequences": 2}
    path.write_text(json.dumps({**odd, "max_new_tokens": 4}))
    with pytest.warns(GenerationWarning) as caught:
        model = AutoModelForCausalLM.from_pretrained(tmp_path)
    said = " ".join(str(each.message) for each in caught)
    assert len(caught) == len(odd)
    assert all(f"{name}=" in said for name in odd)
    assert model.generation_config.to_diff_dict() == {"max_new_tokens": 4}
    path.write_text(json.dumps({"num_return_sequences": 2, "num_beams": 2}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert AutoModelForCausalLM.from_pretrained(tmp_path).generation_config.num_beams == 2
    path.write_text("{")
    with pytest.raises(FileProblem, match="not valid JSON"):
        AutoModelForCausalLM.from_pretrained(tmp_path)


def test_another_config_may_be_given_to_a_model(pair):
    ours, _ = pair("llama")
    ours = copy.deepcopy(ours)
    set_config_of(ours, GenerationConfig(max_new_tokens=3))
    assert config_of(ours).max_new_tokens == 3
    with pytest.raises(WrongType, match="expected a GenerationConfig"):
        set_config_of(ours, {"max_new_tokens": 3})


def test_misspelt_settings_are_named():
    with pytest.raises(WrongType, match="'temprature'; did you mean temperature"):
        GenerationConfig(temprature=0.5)
    config = GenerationConfig()
    with pytest.raises(WrongType, match="it is temperature"):
        config.temprature = 0.5
    with pytest.raises(AttributeError, match="Did you mean temperature"):
        _ = config.temprature
    with pytest.raises(InvalidInput, match="give it to generate itself"):
        GenerationConfig(streamer=1)
    assert config.update(temperature=0.5, banana=2) == {"banana": 2}


def test_settings_are_checked_whenever_they_are_set():
    config = GenerationConfig()
    for name, value in (
        ("temperature", "hot"),
        ("max_new_tokens", 0),
        ("top_p", 2),
        ("do_sample", 1),
        ("eos_token_id", 2.5),
        ("early_stopping", "now"),
        ("num_beams", True),
        ("length_penalty", "long"),
        ("temperature", math.nan),
        ("forced_bos_token_id", -1),
        ("bad_words_ids", [[-1]]),
    ):
        with pytest.raises((InvalidInput, WrongType), match=name):
            setattr(config, name, value)
    config.temperature = 2  # a whole number is a number
    config.eos_token_id = torch.tensor([2, 3])
    config.max_new_tokens = torch.tensor(5)
    assert (config.temperature, config.eos_token_id, config.max_new_tokens) == (2.0, [2, 3], 5)
    config.top_p, config.top_k = np.float32(0.5), np.int64(3)
    assert json.loads(config.to_json_string())["top_p"] == 0.5
    assert (config.top_p, config.top_k) == (0.5, 3)


def test_settings_that_do_nothing_are_warned_about_when_they_are_made():
    with pytest.warns(GenerationWarning, match=r"top_p=0.5 does nothing without do_sample=True"):
        GenerationConfig(top_p=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GenerationConfig(top_p=0.5, do_sample=True)
        GenerationConfig(top_k=50, temperature=1.0, early_stopping=False)


def test_configs_are_equal_by_their_settings():
    one = GenerationConfig(max_new_tokens=3)
    assert one == GenerationConfig(max_new_tokens=3, transformers_version="5.0")
    assert one != GenerationConfig(max_new_tokens=4)
    assert one == copy.deepcopy(one)
    assert repr(one).startswith("GenerationConfig {")
    assert one != 3
