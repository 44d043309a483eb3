"""Whatever is wrong with a model's files or with what was asked for: one clear error, nothing loaded."""

from __future__ import annotations

import json
import os

import pytest
import torch

from minilm import AutoConfig, AutoModel, AutoModelForCausalLM
from minilm.errors import FileProblem, InvalidInput, MinilmError, WrongType
from minilm.models.gpt2 import GPT2Config, GPT2LMHeadModel
from minilm.models.llama import LlamaForCausalLM, MistralForCausalLM

everybody = pytest.mark.parametrize(
    "load", [AutoModelForCausalLM.from_pretrained, AutoModel.from_pretrained]
)


@everybody
def test_a_missing_folder(load, tmp_path):
    for name in (
        tmp_path / "nowhere",
        "./nowhere",
        "~/nowhere",
        "a/b/c",
        str(tmp_path / "x" / "y"),
    ):
        with pytest.raises(
            FileProblem, match=r"There is no folder '.*cannot be the name of a model"
        ):
            load(name)
    for name in ("no-such-model", "no-owner/no-model", "no such model"):
        with pytest.raises(FileProblem, match=f"There is no folder '{name}'.*Hugging Face cache"):
            load(name)
    with pytest.raises(FileProblem, match=r"There is no folder '.*deeper'. Check subfolder"):
        load(tmp_path, subfolder="deeper")


@everybody
def test_what_is_no_folder(load, tmp_path, saved):
    with pytest.raises(FileProblem, match=r"config\.json' is a file.*Give its folder"):
        load(saved() / "config.json")
    for name in (None, 3, "", ["x"]):
        with pytest.raises(WrongType, match="a string or a path"):
            load(name)
    with pytest.raises(FileProblem, match=r"config\.json is missing.*The folder is empty"):
        load(tmp_path)
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(FileProblem, match=r"config\.json is missing.*The folder holds: readme\.md"):
        load(tmp_path)


CONFIGS = {
    "empty": (b"", FileProblem, "not valid JSON.*ends too early"),
    "half": (b'{"model_type": "lla', FileProblem, "not valid JSON"),
    "not UTF-8": (b"\xff\xfe", FileProblem, "not UTF-8"),
    "a list": (b"[1]", FileProblem, "holds list, and a JSON object was expected"),
    "null": (b"null", FileProblem, "holds NoneType"),
    "endless digits": (b'{"vocab_size": 1' + b"0" * 5000 + b"}", FileProblem, "not valid JSON"),
    "nested": (b'{"a":' * 50_000, FileProblem, "JSON"),
    "no model_type": (b"{}", InvalidInput, "has no model_type.*Add one of: gpt2, gpt_neox, llama"),
    "null model_type": (b'{"model_type": null}', InvalidInput, "has no model_type"),
    "a model_type of numbers": (b'{"model_type": [1]}', InvalidInput, r"\[1\].*is not known"),
    "near": (b'{"model_type": "lama"}', InvalidInput, "'lama'.*Nearest known: llama"),
    "nearer": (b'{"model_type": "qwen"}', InvalidInput, "Nearest known: qwen3, qwen2|qwen2, qwen3"),
    "far": (b'{"model_type": "bark-9"}', InvalidInput, "Known: gpt2, gpt_neox, llama, mistral"),
    "a wrong type": (
        b'{"model_type": "llama", "hidden_size": "wide"}',
        MinilmError,
        "hidden_size='wide'",
    ),
    "no such activation": (
        b'{"model_type": "llama", "hidden_act": "sigmoidal", "num_attention_heads": 8}',
        InvalidInput,
        "sigmoidal",
    ),
    "quantized": (
        b'{"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}',
        InvalidInput,
        "are quantized.*quantization_config",
    ),
}


@everybody
@pytest.mark.parametrize("what", CONFIGS)
def test_a_config_that_is_none(load, what, copied):
    content, kind, words = CONFIGS[what]
    folder = copied("llama")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(kind, match=f"(?s){words}"):
        load(folder)
    if what not in ("no such activation", "quantized"):  # a config as good as any other
        with pytest.raises(kind, match=f"(?s){words}"):
            AutoConfig.from_pretrained(folder)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hidden_size": -8, "head_dim": 2}, "negative dimension|positive|hidden_size"),
        ({"num_hidden_layers": -1}, "num_hidden_layers=-1 was given; it is 0 or more"),
        ({"vocab_size": 2**62}, "another shape|overflow|Check its sizes|vocab_size"),
        ({"intermediate_size": 10**9}, r"9 weights.*another shape.*mlp\.up_proj\.weight"),
    ],
)
def test_sizes_that_no_model_has(settings, words, copied, rewrite):
    folder = rewrite(copied("llama"), **settings)
    with pytest.raises(MinilmError, match=f"(?s){words}"):
        AutoModelForCausalLM.from_pretrained(folder)


def test_the_wrong_family_for_a_class(saved):
    with pytest.raises(
        InvalidInput, match=r"model_type 'llama', and GPT2LMHeadModel is for 'gpt2'"
    ):
        GPT2LMHeadModel.from_pretrained(saved("llama"))
    with pytest.raises(InvalidInput, match=r"model_type 'llama', and MistralForCausalLM"):
        MistralForCausalLM.from_pretrained(saved("llama"))
    with pytest.raises(MinilmError, match=r"LlamaConfig.*GPT2Config"):
        LlamaForCausalLM.from_pretrained(saved("llama"), config=GPT2Config())
    with pytest.raises(InvalidInput, match=r"None of the \d+ weights of GPT2LMHeadModel is in"):
        AutoModelForCausalLM.from_pretrained(saved("llama"), config=GPT2Config(n_layer=1))
    assert type(LlamaForCausalLM.from_pretrained(saved("llama"))) is LlamaForCausalLM


@everybody
def test_no_weights(load, copied):
    folder = copied()
    (folder / "model.safetensors").unlink()
    words = r"no weights in .*model\.safetensors nor pytorch_model\.bin.*The folder holds: config"
    with pytest.raises(FileProblem, match=words):
        load(folder)
    (folder / "model.safetensors").mkdir()
    with pytest.raises(FileProblem, match=words):
        load(folder)


@everybody
@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, 0.3, 0.9, -1])
def test_truncated_weights(load, kept, copied):
    folder = copied()
    path = folder / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(
        FileProblem, match=r"model\.safetensors' is not a whole safetensors file \(.*bytes\)"
    ):
        load(folder)


@everybody
def test_garbled_weights(load, copied):
    folder = copied()
    for content in (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        b"<!DOCTYPE html><html></html>",
        b"\0" * 5000,
        b"\xff" * 5000,
    ):
        (folder / "model.safetensors").write_bytes(content)
        with pytest.raises(FileProblem, match="is not a whole safetensors file"):
            load(folder)


def test_a_header_that_claims_gigabytes(copied, safetensors_file, safetensors_header):
    folder = copied()
    path = folder / "model.safetensors"
    header, numbers = safetensors_header(path)
    for length in (2**31, 5 * 10**9, 2**63, 2**64 - 1):
        path.write_bytes(safetensors_file(header, numbers, length=length))
        with pytest.raises(FileProblem, match="not a whole safetensors file"):
            AutoModelForCausalLM.from_pretrained(folder)
    # A header of the right length, whose tensor is larger than the file, or than any memory.
    for size in (10**9, 2**40, 2**61):
        claim = {"dtype": "F32", "shape": [size], "data_offsets": [0, 4 * size]}
        path.write_bytes(safetensors_file({**header, "model.norm.weight": claim}, numbers))
        with pytest.raises(FileProblem, match="not a whole safetensors file"):
            AutoModelForCausalLM.from_pretrained(folder)


def test_numbers_of_the_wrong_kind(copied, rewrite, tensors_of):
    for dtype in (torch.int32, torch.bool, torch.complex64):
        folder = copied("gpt2")
        tensors = tensors_of(folder)
        tensors["transformer.ln_f.weight"] = tensors["transformer.ln_f.weight"].to(dtype)
        rewrite(folder, tensors)
        with pytest.raises(FileProblem, match=rf"ln_f\.weight .* is of {dtype}, and torch.float32"):
            AutoModelForCausalLM.from_pretrained(folder)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


# -- several files -----------------------------------------------------------------------------


@pytest.fixture
def sharded(saved, tmp_path):
    folder = tmp_path / "sharded"
    AutoModelForCausalLM.from_pretrained(saved("gpt2")).save_pretrained(
        folder, max_shard_size="20KB"
    )
    assert len(list(folder.glob("model-*.safetensors"))) == 5
    return folder


def index_of(folder):
    return json.loads((folder / "model.safetensors.index.json").read_text())


def write_index(folder, index):
    text = index if isinstance(index, str) else json.dumps(index)
    (folder / "model.safetensors.index.json").write_text(text)


def test_a_missing_shard(sharded):
    (sharded / "model-00003-of-00005.safetensors").unlink()
    with pytest.raises(
        FileProblem, match=r"model-00003-of-00005\.safetensors is missing.*index\.json"
    ):
        AutoModelForCausalLM.from_pretrained(sharded)


def test_a_damaged_shard(sharded):
    path = sharded / "model-00002-of-00005.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(FileProblem, match=r"model-00002-of-00005\.safetensors' is not a whole"):
        AutoModelForCausalLM.from_pretrained(sharded)


def test_shards_that_do_not_belong_together(sharded):
    os.replace(
        sharded / "model-00001-of-00005.safetensors", sharded / "model-00002-of-00005.safetensors"
    )
    index = index_of(sharded)
    index["weight_map"] = {
        name: "model-00002-of-00005.safetensors" if "00001" in file else file
        for name, file in index["weight_map"].items()
    }
    write_index(sharded, index)
    with pytest.raises(FileProblem, match=r"is in model-00002.*and it is not.*do not belong"):
        AutoModelForCausalLM.from_pretrained(sharded)


def test_where_two_shards_have_a_name_the_index_decides(sharded, tensors_of, saved):
    """And what it does not name is found all the same, as transformers does."""
    from safetensors.torch import load_file, save_file

    expected = tensors_of(saved("gpt2"))
    index = index_of(sharded)
    home = index["weight_map"]["transformer.h.1.ln_1.weight"]
    for path in sharded.glob("model-*.safetensors"):
        tensors = load_file(path)
        if path.name != home:
            tensors["transformer.h.1.ln_1.weight"] = torch.zeros(24)
        save_file(tensors, path, metadata={"format": "pt"})
    del index["weight_map"]["transformer.ln_f.bias"]
    write_index(sharded, index)
    model = AutoModelForCausalLM.from_pretrained(sharded)
    for name, tensor in expected.items():
        assert torch.equal(model.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    "index",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"weight_map": []}',
        '{"weight_map": {}}',
        '{"weight_map": {"a": 3}}',
        '{"weight_map": {"a": null}}',
        '{"weight_map": {"a": ["model-00001-of-00005.safetensors"]}}',
    ],
)
def test_an_index_that_is_none(index, sharded):
    write_index(sharded, index)
    with pytest.raises(FileProblem, match=r"index\.json"):
        AutoModelForCausalLM.from_pretrained(sharded)


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "../outside.safetensors",
        "../sharded/model-00001-of-00005.safetensors",
        "{outside}",
        "{inside}",
        "deeper/../../outside.safetensors",
        "deeper/model.safetensors",
        "./model-00001-of-00005.safetensors",
        "..\\outside.safetensors",
        "C:\\outside.safetensors",
        "C:outside.safetensors",
        "file:outside.safetensors",
        "/dev/stdin",
        "..",
        ".",
        "",
        "outside\0.safetensors",
    ],
)
def test_an_index_that_names_what_is_not_in_the_folder(name, pickled, sharded):
    """Also where the file is there and whole: a path leads who knows where."""
    outside = sharded.parent / "outside.safetensors"
    outside.write_bytes((sharded / "model-00001-of-00005.safetensors").read_bytes())
    (sharded / "deeper").mkdir()
    (sharded / "deeper" / "model.safetensors").write_bytes(outside.read_bytes())
    inside = str(sharded / "model-00001-of-00005.safetensors")
    index = index_of(sharded)
    lead = name.format(outside=outside, inside=inside)
    index["weight_map"] = {
        key: lead if "00001" in file else file for key, file in index["weight_map"].items()
    }
    write_index(sharded, index)
    if pickled:
        os.replace(
            sharded / "model.safetensors.index.json", sharded / "pytorch_model.bin.index.json"
        )
    with pytest.raises(FileProblem, match="leads out of the model's folder"):
        AutoModelForCausalLM.from_pretrained(sharded)


def test_what_is_no_plain_file_is_not_opened(sharded):
    """A pipe would be waited for, without end."""
    for name in ("pipe", "folder"):
        path = sharded / name
        os.mkfifo(path) if name == "pipe" else path.mkdir()
        index = index_of(sharded)
        index["weight_map"]["transformer.wte.weight"] = name
        write_index(sharded, index)
        with pytest.raises(FileProblem, match=f"{name} is missing"):
            AutoModelForCausalLM.from_pretrained(sharded)


def test_links_are_followed_as_the_hubs_cache_has_them(sharded, tmp_path, ids):
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    expected = AutoModelForCausalLM.from_pretrained(sharded)(ids).logits
    for i, path in enumerate(sorted(sharded.iterdir())):
        os.replace(path, blobs / str(i))
        path.symlink_to(blobs / str(i))
    assert torch.equal(AutoModelForCausalLM.from_pretrained(sharded)(ids).logits, expected)


# -- shapes ------------------------------------------------------------------------------------


def test_shapes_that_do_not_match_are_all_listed(copied, rewrite):
    folder = rewrite(copied("llama"), intermediate_size=22, vocab_size=50)
    with pytest.raises(InvalidInput) as caught:
        AutoModelForCausalLM.from_pretrained(folder)
    message = str(caught.value)
    assert message.startswith("10 weights in the folder")
    for i in range(3):
        for name, here, there in (
            ("up", (20, 24), (22, 24)),
            ("gate", (20, 24), (22, 24)),
            ("down", (24, 20), (24, 22)),
        ):
            line = f"model.layers.{i}.mlp.{name}_proj.weight"
            row = next(row for row in message.splitlines() if line in row)
            assert row.split(maxsplit=2)[1:] == [
                "mismatched",
                f"{here} in the file, {there} in the model",
            ]
    assert "model.embed_tokens.weight" in message
    assert "lm_head" not in message  # tied: not in the file
    assert "ignore_mismatched_sizes=True" in message


@pytest.mark.filterwarnings("ignore::minilm.loading.LoadingWarning")
def test_shapes_that_do_not_match_can_be_left_at_random(copied, rewrite, tensors_of):
    folder = rewrite(copied("llama"), intermediate_size=22)
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(folder, ignore_mismatched_sizes=True)
    weight = model.model.layers[0].mlp.up_proj.weight
    assert weight.shape == (22, 24)
    assert weight.std().item() == pytest.approx(0.02, rel=0.15)
    expected = tensors_of(folder)["model.layers.0.self_attn.q_proj.weight"]
    assert torch.equal(model.model.layers[0].self_attn.q_proj.weight, expected)
    assert not any(parameter.is_meta for parameter in model.parameters())


# -- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (
            {"output_loading_infos": True},
            "no argument 'output_loading_infos'; did you mean output_l",
        ),
        ({"attention_implementation": "sdpa"}, "did you mean attn_implementation"),
        ({"hidden_sise": 4}, "did you mean hidden_size"),
        ({"rope_theta": 5e5}, "no argument 'rope_theta': .*as in rope_parameters="),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "as in rope_parameters="),
        ({"subfolder": 3}, "subfolder=3"),
        ({"rev": "main"}, "no argument 'rev'"),
        ({"check": 1}, "no argument 'check'"),  # a method of the config is no setting
        ({"_attn_implementation": "sdpa"}, "no argument '_attn_implementation'"),
        ({"device_map": "auto"}, r"does not take device_map.*model\.to\(device\)"),
        ({"device_map": {"": 0}}, r"does not take device_map.*model\.to\(device\)"),
        ({"max_memory": {"cpu": "1GB"}}, "does not take max_memory"),
        ({"load_in_8bit": True}, "does not take load_in_8bit: weights are loaded as floats"),
        ({"load_in_4bit": True}, "does not take load_in_4bit"),
        ({"quantization_config": object()}, "does not take quantization_config"),
        ({"from_tf": True}, "only weights of PyTorch"),
        ({"variant": "fp16"}, "without a variant"),
        ({"state_dict": {}, "gguf_file": "x.gguf"}, "does not take gguf_file"),
    ],
)
def test_unknown_options_are_refused_by_name(option, words, saved):
    for load in (AutoModelForCausalLM.from_pretrained, LlamaForCausalLM.from_pretrained):
        with pytest.raises(WrongType, match=words):
            load(saved("llama"), **option)
        with pytest.raises(WrongType, match=words):
            load(saved("llama"), **option, config=AutoConfig.from_pretrained(saved("llama")))


def test_options_that_are_off_or_change_nothing_are_taken(saved):
    off = {"device_map": None, "load_in_8bit": False, "quantization_config": None, "variant": None}
    off |= {"from_tf": False, "revision": None, "token": None, "cache_dir": None}
    off |= {"trust_remote_code": True, "low_cpu_mem_usage": True, "use_safetensors": True}
    AutoModelForCausalLM.from_pretrained(saved(), **off)
    for where in ("cpu", torch.device("cpu"), {"": "cpu"}):
        off["device_map"] = where
        AutoModelForCausalLM.from_pretrained(saved(), **off)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"dtype": "float31"}, "dtype='float31'"),
        ({"dtype": "nn"}, "dtype="),
        ({"dtype": torch.int8}, r"dtype=torch\.int8"),
        ({"dtype": 16}, "dtype=16"),
        ({"torch_dtype": {"": "float16"}}, "dtype="),
        ({"attn_implementation": "flash_attention_2"}, "sdpa and eager"),
        ({"weights_only": False}, "weights_only=False"),
    ],
)
def test_values_that_cannot_be(option, words, saved):
    for load in (AutoModelForCausalLM.from_pretrained, LlamaForCausalLM.from_pretrained):
        with pytest.raises(InvalidInput, match=words):
            load(saved("llama"), **option)


def test_a_file_that_is_written_by_hand_may_lie_anyhow(
    copied, safetensors_header, safetensors_file, ids
):
    """A header of odd length puts every number at an odd place."""
    folder = copied("llama")
    path = folder / "model.safetensors"
    expected = AutoModelForCausalLM.from_pretrained(folder)(ids).logits
    header, numbers = safetensors_header(path)
    text = json.dumps(header).encode()
    for extra in (1, 2, 3):
        path.write_bytes(safetensors_file(text + b" " * (-len(text) % 8 + extra), numbers))
        model = AutoModelForCausalLM.from_pretrained(folder)
        assert torch.equal(model(ids).logits, expected)
        assert all(parameter.data_ptr() % 4 == 0 for parameter in model.parameters())
