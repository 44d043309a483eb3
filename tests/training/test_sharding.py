"""How the words of fsdp are understood, and what a model is divided into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from minilm import saving
from minilm.errors import FileProblem, InvalidInput, MinilmError
from minilm.training import sharding
from minilm.training.arguments import TrainingArguments
from minilm.training.sharding import Options, read_options


@pytest.mark.parametrize("nothing", [None, False, "", []])
def test_nothing_is_divided_unless_asked(nothing: Any) -> None:
    assert read_options(nothing, None) is None


@pytest.mark.parametrize(
    "given", [True, "full_shard", "full_shard auto_wrap", ["full_shard", "auto_wrap"], "auto_wrap"]
)
def test_the_words_of_transformers_are_understood(given: Any) -> None:
    assert read_options(given, None) == Options(reshard_after_forward=True)


def test_settings_come_as_words_or_in_a_dict_or_in_a_file(tmp_path: Path) -> None:
    keeps = Options(reshard_after_forward=False)
    assert read_options("shard_grad_op", {}) == keeps
    assert read_options(True, {"fsdp_reshard_after_forward": "false", "version": 2}) == keeps
    path = tmp_path / "fsdp.json"
    path.write_text('{"transformer_layer_cls_to_wrap": "LlamaLayer"}')
    assert read_options(True, str(path)).blocks == ("LlamaLayer",)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fsdp", "config", "word"),
    [
        ("full_shart", None, "Did you mean 'full_shard'"),
        ("hybrid_shard", None, "hybrid_shard is not there"),
        ("full_shard offload", None, "offload is not there"),
        ("full_shard shard_grad_op", None, "one of them"),
        (3, None, "fsdp=3"),
        (True, {"reshard_after_foward": True}, "Did you mean 'reshard_after_forward'"),
        (True, {"cpu_offload": True}, "cpu_offload=True"),
        (True, {"state_dict_type": "SHARDED_STATE_DICT"}, "written whole"),
        (True, 5, "expected a dict"),
    ],
)
def test_what_is_not_known_is_refused_where_it_is_written(
    fsdp: Any, config: Any, word: str
) -> None:
    with pytest.raises(MinilmError, match=word):
        TrainingArguments(fsdp=fsdp, fsdp_config=config)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(FileProblem, match=r"nowhere\.json"):
        read_options(True, "nowhere.json")


def test_a_model_is_divided_by_its_layers(small_model: Any) -> None:
    for family in ("llama", "gpt2"):
        model = small_model(family=family)
        assert sharding.find_blocks(model, Options()) == list(model.base_model.layers)
    assert sharding.find_blocks(model, Options(by_block=False)) == []
    named = Options(blocks=("GPT2MLP",))
    assert sharding.find_blocks(model, named) == [layer.mlp for layer in model.base_model.layers]
    with pytest.raises(InvalidInput, match="Its blocks are GPT2Layer"):
        sharding.find_blocks(model, Options(blocks=("LlamaLayer",)))


def test_lists_without_weights_are_no_blocks() -> None:
    inner = nn.Sequential(nn.ModuleList([nn.Linear(2, 2)]))
    model = nn.Sequential(nn.ModuleList([nn.ReLU(), nn.Linear(2, 2), inner]))
    assert sharding.find_blocks(model, Options()) == [model[0][1], inner]


def test_what_is_whole_stays_as_it_is() -> None:
    model = nn.Linear(2, 3)
    assert not sharding.is_sharded(model)
    state = model.state_dict()
    assert sharding.divided_like(model, state)["weight"] is state["weight"]
    number = torch.ones(())
    assert sharding.whole(number, keep=False) is number


def test_a_slice_is_not_saved_as_if_it_were_whole(small_model: Any) -> None:
    model = small_model()
    state = model.state_dict()
    state["model.norm.weight"].full_tensor = lambda: None  # as torch's divided tensors have it
    with pytest.raises(InvalidInput, match=r"model\.norm\.weight is divided.*trainer\.save_model"):
        saving.stored_tensors(model, state)
