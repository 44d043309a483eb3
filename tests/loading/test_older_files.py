"""Pickles, and what files of earlier years say otherwise."""

from __future__ import annotations

import json
import pickle

import pytest
import torch

from minilm import AutoModel, AutoModelForCausalLM
from minilm.errors import FileProblem, InvalidInput

FAMILIES = ("gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3")
TOLERANCE = 1e-5


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits


def as_pickle(folder, state, shards=1, **options):
    """Leave a folder with pickles instead of its safetensors, as torch.save wrote them."""
    (folder / "model.safetensors").unlink()
    if shards == 1:
        torch.save(state, folder / "pytorch_model.bin", **options)
        return
    places = {}
    for i in range(shards):
        name = f"pytorch_model-{i + 1:05d}-of-{shards:05d}.bin"
        part = {key: state[key] for key in list(state)[i::shards]}
        torch.save(part, folder / name, **options)
        places.update(dict.fromkeys(part, name))
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shards", [1, 3])
def test_pickled_weights_are_the_same(family, shards, copied, make_theirs, transformers, ids):
    folder = copied(family)
    theirs = make_theirs(family)
    as_pickle(folder, theirs.state_dict(), shards)
    ours, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    assert torch.allclose(logits(ours, ids), logits(theirs, ids), rtol=0, atol=TOLERANCE)
    # Both of two tied weights are in a pickle, and it is known that they are one.
    assert ours.lm_head.weight is ours.get_input_embeddings().weight
    again = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert torch.equal(logits(again, ids), logits(theirs, ids))


def test_pickles_before_torch_1_6_are_read(copied, make_theirs, ids):
    folder = copied("gpt2")
    theirs = make_theirs("gpt2")
    as_pickle(folder, theirs.state_dict(), _use_new_zipfile_serialization=False)
    ours = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.allclose(logits(ours, ids), logits(theirs, ids), rtol=0, atol=TOLERANCE)


def test_a_checkpoint_of_a_training_run_is_looked_into(copied, make_theirs, ids):
    folder = copied("llama")
    theirs = make_theirs("llama")
    state = {name: torch.nn.Parameter(value) for name, value in theirs.state_dict().items()}
    as_pickle(folder, {"state_dict": state, "epoch": 3})
    ours = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.allclose(logits(ours, ids), logits(theirs, ids), rtol=0, atol=TOLERANCE)


def test_safetensors_come_before_pickles(copied, make_theirs, ids):
    folder = copied("gpt2")
    torch.save({"wrong": torch.ones(1)}, folder / "pytorch_model.bin")
    ours = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.allclose(
        logits(ours, ids), logits(make_theirs("gpt2"), ids), rtol=0, atol=TOLERANCE
    )
    with pytest.raises(InvalidInput, match=r"None of the .*transformer\.wte\.weight.*wrong"):
        AutoModelForCausalLM.from_pretrained(folder, use_safetensors=False)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileProblem, match=r"no model\.safetensors, nor an index"):
        AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').write('run')",)


@pytest.mark.parametrize("how", ["torch.save", "older torch.save", "pickle"])
@pytest.mark.parametrize("where", ["alone", "among the weights", "in a shard"])
def test_a_pickle_that_would_run_code_stays_closed(how, where, copied, make_theirs, tmp_path):
    folder, trap = copied("gpt2"), tmp_path / "trap"
    state = make_theirs("gpt2").state_dict()
    value = Malicious(trap)
    content = value if where == "alone" else {**state, "transformer.evil": value}
    if how == "pickle":
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(content))
    else:
        shards = 2 if where == "in a shard" else 1
        as_pickle(folder, content, shards, _use_new_zipfile_serialization=how == "torch.save")
    with pytest.raises(FileProblem, match=r"pytorch_model\S*\.bin") as caught:
        AutoModelForCausalLM.from_pretrained(folder)
    assert not trap.exists()
    if how == "torch.save":
        assert "it would run exec" in str(caught.value)
    # The trap works: whoever unpickles it runs it.
    pickle.loads(pickle.dumps(value))
    assert trap.read_text() == "run"


def test_weights_only_cannot_be_turned_off(saved):
    with pytest.raises(InvalidInput, match="weights_only=False"):
        AutoModelForCausalLM.from_pretrained(saved(), weights_only=False)
    AutoModelForCausalLM.from_pretrained(saved(), weights_only=True)


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "garbled": lambda content: content[:200] + b"\xff" * 500 + content[700:],
    "text": lambda content: b"version https://git-lfs.github.com/spec/v1\n",
    "a zip without weights": lambda content: b"PK\x05\x06" + b"\0" * 18,
    "a list": lambda content: pickle.dumps([1, 2]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_pickle_is_one_clear_error(damage, copied, make_theirs):
    folder = copied("gpt2")
    as_pickle(folder, make_theirs("gpt2").state_dict())
    path = folder / "pytorch_model.bin"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(
        FileProblem, match=r"pytorch_model\.bin'.*(whole file of weights|holds list)"
    ) as caught:
        AutoModelForCausalLM.from_pretrained(folder)
    assert "weights_only" not in str(caught.value)  # torch's advice is to run whatever is in it


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama"])
@pytest.mark.parametrize("prefix", ["as it is", "taken away"])
def test_gamma_and_beta_are_weight_and_bias(
    family, prefix, copied, rewrite, tensors_of, make_theirs, ids
):
    folder = copied(family)
    norms = ("ln_1", "ln_2", "ln_f", "layernorm", "layer_norm", "model.norm")

    def older(name):
        owner, _, last = name.rpartition(".")
        last = {"weight": "gamma", "bias": "beta"}[last] if owner.endswith(norms) else last
        name = f"{owner}.{last}"
        if prefix == "taken away":
            for body in ("transformer.", "gpt_neox.", "model."):
                name = name.removeprefix(body)
        return name

    state = {older(name): tensor for name, tensor in tensors_of(folder).items()}
    assert sum(name.endswith("gamma") for name in state) == 7
    rewrite(folder, state)
    ours, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    assert torch.allclose(
        logits(ours, ids), logits(make_theirs(family), ids), rtol=0, atol=TOLERANCE
    )


OLDER_ROPE = {
    "llama": {
        "rope_theta": 500.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    },
    "mistral": {"rope_theta": 700.0, "rope_scaling": None},
    "qwen2": {"rope_theta": 300.0, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "qwen3": {"rope_theta": 400.0, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
    "gpt_neox": {"rotary_emb_base": 600, "rotary_pct": 0.5},
}


@pytest.mark.parametrize("family", OLDER_ROPE)
def test_a_config_in_the_older_spelling_means_the_same(
    family, copied, rewrite, transformers, ids, tmp_path
):
    """rope_theta and rope_scaling beside each other, torch_dtype, transformers of another day."""
    folder = copied(family)
    rewrite(
        folder,
        remove=["rope_parameters", "dtype"],
        torch_dtype="float32",
        transformers_version="4.30.0",
        **OLDER_ROPE[family],
    )
    ours = AutoModelForCausalLM.from_pretrained(folder)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    expected = logits(theirs, ids)
    assert torch.allclose(logits(ours, ids), expected, rtol=0, atol=TOLERANCE)
    # And minilm writes it in a spelling that transformers understands.
    ours.save_pretrained(tmp_path / "again")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    assert torch.equal(logits(again, ids), expected)
    # The settings matter: without them the logits are others.
    rewrite(folder, remove=list(OLDER_ROPE[family]))
    plain = AutoModelForCausalLM.from_pretrained(folder)
    assert not torch.allclose(logits(plain, ids), expected, rtol=0, atol=1e-3)


def test_a_body_in_a_pickle_of_a_whole_model(copied, make_theirs, ids):
    folder = copied("gpt_neox", tied=False)
    theirs = make_theirs("gpt_neox", tied=False)
    state = dict(theirs.state_dict())
    state["embed_out.weight"] = state.pop("lm_head.weight")
    as_pickle(folder, state)
    ours = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        expected = theirs.gpt_neox(ids).last_hidden_state
    assert torch.allclose(ours(ids).last_hidden_state, expected, rtol=0, atol=TOLERANCE)
