"""save_pretrained: what is written, what is replaced, and what happens when it cannot be."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

import pytest
import torch
from safetensors.torch import load_file

from minilm import AutoConfig, AutoModelForCausalLM, loading
from minilm.errors import FileProblem, InvalidInput, WrongType
from minilm.models.llama import LlamaForCausalLM


@pytest.fixture
def model(saved):
    return AutoModelForCausalLM.from_pretrained(saved("llama"))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_shard_is_no_larger_than_allowed(saved, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(saved("qwen2", tied=False))
    model.save_pretrained(tmp_path, max_shard_size="6KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    files = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(files) > 3
    for path in files:
        tensors = load_file(path)
        assert sum(tensor.nbytes for tensor in tensors.values()) <= 6000
        assert all(index["weight_map"][name] == path.name for name in tensors)
    assert set(index["weight_map"]) == set(model.state_dict())
    assert index["metadata"] == {
        "total_parameters": model.num_parameters(),
        "total_size": 4 * model.num_parameters(),
    }


def test_the_config_says_what_was_saved(saved, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(saved("llama"), dtype="bfloat16")
    model.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["architectures"] == ["LlamaForCausalLM"]
    assert settings["dtype"] == "bfloat16"
    assert settings["model_type"] == "llama"
    model.to(torch.float16).model.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["architectures"] == ["LlamaModel"]
    assert settings["dtype"] == "float16"  # as the weights are now


def test_old_weights_go_and_other_files_stay(model, tmp_path):
    """An old model.safetensors beside new shards would be read first; transformers leaves it there."""
    kept = {
        "tokenizer.json": b"{}",
        "pytorch_model.bin": b"old and pickled",
        "my-model-1-of-2.safetensors": b"mine",
        "notes.txt": b"mine",
    }
    for name, content in kept.items():
        (tmp_path / name).write_bytes(content)
    model.save_pretrained(tmp_path, max_shard_size="1KB")
    many = len(list(tmp_path.glob("model-*.safetensors")))
    model.save_pretrained(tmp_path, max_shard_size="12KB")
    few = len(list(tmp_path.glob("model-*.safetensors")))
    assert few < many
    assert not (tmp_path / "model.safetensors").exists()
    model.save_pretrained(tmp_path)
    own = {"config.json", "generation_config.json", "model.safetensors"}
    assert set(os.listdir(tmp_path)) == {*kept, *own}
    model.save_pretrained(tmp_path, max_shard_size="12KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert AutoModelForCausalLM.from_pretrained(tmp_path).num_parameters() == model.num_parameters()
    for name, content in kept.items():
        assert (tmp_path / name).read_bytes() == content


def test_a_model_can_be_saved_over_the_file_that_it_lies_in(copied, ids):
    folder = copied("gpt2")
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.transformer.wte.weight.mul_(2)
    expected = model(ids).logits
    for size in ("1GB", "9KB", "1GB"):
        model.save_pretrained(folder, max_shard_size=size)
        assert torch.equal(model(ids).logits, expected)
        assert torch.equal(AutoModelForCausalLM.from_pretrained(folder)(ids).logits, expected)


def test_links_are_replaced_and_what_they_lead_to_stays(copied, tmp_path):
    """A folder of the hub's cache: its blobs belong to others, too."""
    folder, blob = copied("gpt2"), tmp_path / "blob"
    os.replace(folder / "model.safetensors", blob)
    (folder / "model.safetensors").symlink_to(blob)
    before = blob.read_bytes()
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.transformer.wte.weight.zero_()
    model.save_pretrained(folder)
    assert blob.read_bytes() == before
    assert not (folder / "model.safetensors").is_symlink()


def test_another_state_dict_may_be_saved(model, tmp_path):
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    model.save_pretrained(tmp_path, state_dict=state)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert not any(parameter.any() for parameter in loaded.parameters())
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    with pytest.raises(WrongType, match=r"state_dict.'x'. is no tensor"):
        model.save_pretrained(tmp_path, state_dict={"x": [1.0]})


def test_views_and_shared_memory_are_saved_as_they_look(saved, tmp_path, ids):
    model = AutoModelForCausalLM.from_pretrained(saved("llama", tied=False))
    base = torch.randn(41, 48)
    with torch.no_grad():
        model.model.embed_tokens.weight = torch.nn.Parameter(base[:, ::2])
        model.lm_head.weight = torch.nn.Parameter(base[:, 24:])
    model.model.layers[1].mlp.up_proj.weight = model.model.layers[0].mlp.up_proj.weight
    expected = model(ids).logits
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 60_000
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(again(ids).logits, expected)


def test_files_follow_the_users_umask(model, tmp_path):
    old = os.umask(0o027)
    try:
        model.save_pretrained(tmp_path, max_shard_size="9KB")
    finally:
        os.umask(old)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o640}


def test_a_new_folder_is_made(model, tmp_path):
    model.save_pretrained(tmp_path / "a" / "b")
    own = {"config.json", "generation_config.json", "model.safetensors"}
    assert set(os.listdir(tmp_path / "a" / "b")) == own


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"max_shard_size": "5 bananas"}, InvalidInput, "A size of '5 bananas'"),
        ({"max_shard_size": 0}, InvalidInput, "A size of 0"),
        ({"safe_serialization": False}, InvalidInput, "safetensors only"),
        ({"push_to_hub": True}, InvalidInput, "push_to_hub=True"),
        ({"variant": "fp16"}, InvalidInput, "variant='fp16'"),
        ({"max_shard_sise": 5}, WrongType, "did you mean max_shard_size"),
        ({"state_dict": [torch.ones(1)]}, WrongType, "state_dict is of list"),
        ({"state_dict": {"a": [1.0]}}, WrongType, r"state_dict\['a'\] is no tensor"),
        ({"state_dict": {1: torch.ones(1)}}, WrongType, r"state_dict\[1\] is no tensor"),
        ({"state_dict": {}}, InvalidInput, "no weights to save"),
        ({"state_dict": {"a": torch.eye(2).to_sparse()}}, InvalidInput, "a is a sparse tensor"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    options, kind, words, model, tmp_path
):
    with pytest.raises(kind, match=words):
        model.save_pretrained(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()
    model.save_pretrained(tmp_path / "new", push_to_hub=False, token=None, is_main_process=True)


def test_a_model_without_numbers_is_not_saved(model, tmp_path):
    with pytest.raises(InvalidInput, match="on the meta device"):
        model.to("meta").save_pretrained(tmp_path)
    assert not os.listdir(tmp_path)


def test_a_file_in_the_place_of_the_folder(model, tmp_path):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(FileProblem, match="is a file, and a folder was expected"):
        model.save_pretrained(tmp_path / "taken")
    with pytest.raises(FileProblem, match=r"a part of it is a file"):
        model.save_pretrained(tmp_path / "taken" / "below")
    assert (tmp_path / "taken").read_text() == "x"


@pytest.mark.parametrize("size", ["1GB", "9KB"])
@pytest.mark.parametrize("failing", range(12))
def test_an_error_at_any_step_leaves_the_old_checkpoint(
    failing, size, copied, model, monkeypatch, tmp_path
):
    """Whatever the disk refuses, up to the note that all is written."""
    folder = copied("gpt2")
    before = contents(folder)
    steps = iter(range(1000))
    real = {name: getattr(os, name) for name in ("fsync", "chmod", "mkdir")}

    def failing_step(name):
        def step(*arguments, **options):
            if next(steps) == failing:
                raise OSError(28, "No space left on device")
            return real[name](*arguments, **options)

        return step

    for name in real:
        monkeypatch.setattr(os, name, failing_step(name))
    try:
        model.save_pretrained(folder, max_shard_size=size)
        done = True
    except FileProblem as error:
        done = False
        assert "No space left on device" in str(error)
        assert "what lay there before is as it was" in str(error)
    monkeypatch.undo()
    if done:
        assert next(steps) > 5
        assert AutoConfig.from_pretrained(folder).model_type == "llama"
    else:
        assert contents(folder) == before
    assert AutoModelForCausalLM.from_pretrained(folder)


FULL_DISK = """
import resource, signal, sys
from minilm import AutoConfig, AutoModelForCausalLM, loading
from minilm.errors import FileProblem
config = AutoConfig.for_model("gpt2", vocab_size=5000, n_embd=64, n_layer=1, n_head=2)
model = AutoModelForCausalLM.from_config(config)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    model.save_pretrained(sys.argv[1], max_shard_size="100KB")
except FileProblem as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits files as Linux does")
@pytest.mark.parametrize("room", [100, 20_000])
def test_a_full_disk_leaves_the_old_checkpoint(room, copied):
    """The system itself refuses: while the config is written, and in the middle of a shard."""
    folder = copied("gpt2")
    before = contents(folder)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder), str(room)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "The model was not saved" in done.stdout, done.stderr
    assert contents(folder) == before
    assert AutoModelForCausalLM.from_pretrained(folder)


UNWRITABLE = """
import os, sys
from minilm import AutoModelForCausalLM
from minilm.errors import FileProblem
folder = sys.argv[1]
model = AutoModelForCausalLM.from_pretrained(folder)
os.chmod(folder, 0o555)
if os.getuid() == 0:
    os.setuid(65534)
for place in (folder, folder + "/new", "/proc/new"):
    try:
        model.save_pretrained(place)
    except FileProblem as error:
        print(error)
print(AutoModelForCausalLM.from_pretrained(folder).num_parameters() == model.num_parameters())
try:
    AutoModelForCausalLM.from_pretrained(folder + "/private")
except FileProblem as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs users")
def test_an_unwritable_folder_is_one_clear_error(copied, tmp_path):
    folder = copied("gpt2")
    for path in (folder, *folder.parents):
        # pytest's own folders lie one deeper when several processes run.
        if str(path).startswith(tempfile.gettempdir() + os.sep):
            path.chmod(0o755)  # another user may come this far
    for path in folder.iterdir():
        path.chmod(0o644)
    before = contents(folder)
    shutil.copytree(folder, folder / "private")
    (folder / "private" / "model.safetensors").chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", UNWRITABLE, str(folder)], capture_output=True, text=True, timeout=120
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 5, done.stderr
    assert all(line.startswith("The model was not saved in") for line in lines[:3])
    assert "Permission denied" in lines[0]
    assert lines[3] == "True"
    assert "model.safetensors' is not a whole" in lines[4]
    assert "Permission denied" in lines[4]
    shutil.rmtree(folder / "private")
    assert contents(folder) == before


@pytest.mark.parametrize("load", [AutoModelForCausalLM, LlamaForCausalLM])
def test_config_and_weights_that_are_loaded_are_of_one_save(load, copied, monkeypatch):
    """Also while another process saves into the folder: it waits until every file is open."""
    fcntl = pytest.importorskip("fcntl")
    folder = copied("llama")
    asked = []

    def watched(read):
        def reading(*arguments, **options):
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                asked.append("could be saved into")
            except BlockingIOError:
                asked.append("still")
            finally:
                os.close(handle)
            return read(*arguments, **options)

        return reading

    for name in ("open_checkpoint", "_settle_config"):
        monkeypatch.setattr(loading, name, watched(getattr(loading, name)))
    model = load.from_pretrained(folder, config=folder)
    assert asked == ["still", "still"]
    model.save_pretrained(folder)  # and none waits for itself
