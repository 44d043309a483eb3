"""Configs: what they take and refuse, in today's spelling and older ones, and their files."""

from __future__ import annotations

import copy
import json
import pickle
from typing import ClassVar

import pytest
import torch

from minilm.config import PreTrainedConfig, gather_rope
from minilm.errors import MinilmError
from minilm.models.gpt2 import GPT2Config
from minilm.models.gpt_neox import GPTNeoXConfig
from minilm.models.llama import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()

CONFIGS = (GPT2Config, GPTNeoXConfig, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config)
ROTARY = CONFIGS[1:]
SMALL = {
    "vocab_size": 37,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
every = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model_type)
rotary = pytest.mark.parametrize("config", ROTARY, ids=lambda config: config.model_type)


def theirs(config):
    """transformers' class of the same name."""
    return getattr(transformers, config.__name__)


# What is theirs alone: each library's own bookkeeping, and settings of parts that are not here.
LEFT_OUT = {"transformers_version", "chunk_size_feed_forward", "output_attentions", "model_type"}


@every
def test_defaults_are_those_of_transformers(config):
    ours, expected = config(), theirs(config)()
    assert ours.model_type == expected.model_type
    for name, value in ours.to_dict().items():
        if name not in LEFT_OUT and hasattr(expected, name):
            assert value == expected.to_dict().get(name, getattr(expected, name)), name
    listed = [
        name for kind in config.__mro__[:-2] for name in vars(kind).get("__annotations__", ())
    ]
    assert len(listed) > 15


CHANGES = {
    "small": {},
    "tied": {"tie_word_embeddings": True},
    "untied": {"tie_word_embeddings": False},
    "of three labels": {"num_labels": 3},
    "of labels": {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}},
    "in bfloat16": {"dtype": "bfloat16"},
    "in the older spelling": {"torch_dtype": "float16"},
    "with settings of its own": {"flavour": {"salt": [1, 2.5, None]}, "note": "café"},
    "without a cache": {"use_cache": False},
    "with several ends": {"eos_token_id": [2, 5]},
    "that returns states": {"output_hidden_states": True},
    "that returns tuples": {"return_dict": False},
    "for a problem": {"problem_type": "regression", "num_labels": 1},
}


@every
@pytest.mark.parametrize("change", list(CHANGES))
def test_files_mean_the_same_to_both_libraries(config, change, tmp_path):
    given = {**SMALL, **CHANGES[change]}
    ours, expected = config(**copy.deepcopy(given)), theirs(config)(**copy.deepcopy(given))
    ours.save_pretrained(tmp_path / "ours")
    expected.save_pretrained(tmp_path / "theirs")

    read_there = theirs(config).from_pretrained(tmp_path / "ours").to_dict()
    for name, value in expected.to_dict().items():
        assert read_there[name] == value, name
    read_here = config.from_json_file(tmp_path / "theirs" / "config.json")
    assert {n: v for n, v in read_here.to_dict().items() if n in ours.to_dict()} == ours.to_dict()

    text = (tmp_path / "ours" / "config.json").read_text()
    assert config.from_dict(json.loads(text)) == ours
    assert json.loads(text)["model_type"] == config.model_type
    assert ("id2label" in text) == ("num_labels" in given or "id2label" in given)
    assert "name_or_path" not in text
    common = {"architectures", "is_encoder_decoder", "output_attentions"}
    assert not common & set(json.loads(text))
    # What a family lists is said even where it is as always.
    assert {"use_cache", "tie_word_embeddings", "vocab_size"} <= set(json.loads(text))


@pytest.mark.parametrize("config", CONFIGS[2:], ids=lambda config: config.model_type)
@pytest.mark.parametrize("tied", [False, True])
def test_tying_survives_a_file_in_every_family(config, tied):
    again = config.from_dict(config(**SMALL, tie_word_embeddings=tied).to_diff_dict())
    assert again.tie_word_embeddings is tied


# Rotary settings as they stand in older files.
OLDER = {
    "a base beside": {"rope_theta": 500000.0},
    "linear, with type": {"rope_theta": 2e4, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "dynamic": {"rope_scaling": {"type": "dynamic", "factor": 4.0}},
    "Llama 3.1": {
        "rope_theta": 500000.0,
        "max_position_embeddings": 131072,
        "rope_scaling": {
            "factor": 8.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
    },
    "yarn of a length beside, which only Phi-3 means": {
        "rope_scaling": {"type": "yarn", "factor": 4.0},
        "original_max_position_embeddings": 16,
    },
    "yarn of no length": {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
    "two lengths": {
        "original_max_position_embeddings": 16,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0, 1.1, 1.2],
            "long_factor": [2.0, 2.1, 2.2],
            "original_max_position_embeddings": 99,
        },
    },
    "nothing": {"rope_scaling": None},
    "a part beside": {"partial_rotary_factor": 0.5},
    "today's": {"rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 77.0}},
    "today's, and a base beside": {
        "rope_parameters": {"rope_type": "default", "rope_theta": 77.0},
        "rope_theta": 10000.0,
    },
    "today's, without a type": {"rope_parameters": {"rope_theta": 77.0}},
}
PYTHIA = {"rotary_pct": 0.25, "rotary_emb_base": 20000}


@rotary
@pytest.mark.parametrize("older", list(OLDER))
def test_older_rotary_spellings_mean_what_transformers_takes_them_for(config, older):
    given = {**SMALL, **OLDER[older]}
    if config is GPTNeoXConfig:
        # There transformers sets what stands beside, but for its own names, aside.
        given = {k: v for k, v in given.items() if k not in ("rope_theta", "partial_rotary_factor")}
        given = {**PYTHIA, **given}
    ours, expected = (kind(**copy.deepcopy(given)) for kind in (config, theirs(config)))
    assert ours.rope_parameters == expected.rope_parameters
    for name in (*PYTHIA, "rope_theta", "rope_scaling", "partial_rotary_factor"):
        assert name not in ours.to_dict()
    again = config.from_dict(ours.to_diff_dict())
    assert again == ours


def test_what_is_given_is_not_changed():
    given = {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 5.0}
    before = copy.deepcopy(given)
    config = LlamaConfig(**given)
    config.rope_parameters["factor"] = 9.0
    assert given == before
    settings = {"model_type": "llama", "rope_parameters": {"rope_type": "default"}, "own": [1]}
    before = copy.deepcopy(settings)
    LlamaConfig.from_dict(settings).own.append(2)
    assert settings == before
    defaults = {"rope_theta": 1.0}
    assert gather_rope({"rope_theta": 2.0}, defaults) == {"rope_theta": 2.0, "rope_type": "default"}
    assert defaults == {"rope_theta": 1.0}


def test_rotary_settings_are_found_where_they_are_now():
    config = LlamaConfig(rope_theta=5.0)
    assert (
        config.rope_scaling
        == config.rope_parameters
        == {
            "rope_theta": 5.0,
            "rope_type": "default",
        }
    )
    with pytest.raises(AttributeError, match=r"config.rope_parameters\['rope_theta'\]"):
        _ = config.rope_theta
    with pytest.raises(ValueError, match=r"config.rope_parameters\['rope_theta'\]. Set it there"):
        config.rope_theta = 7.0
    config.rope_scaling = {"type": "linear", "factor": 2.0}
    assert config.rope_parameters["rope_type"] == "linear"
    assert config.rope_parameters["rope_theta"] == 10000.0
    assert GPTNeoXConfig(rotary_pct=0.3).rope_parameters["partial_rotary_factor"] == 0.3
    with pytest.raises(AttributeError):
        _ = GPT2Config().rope_parameters
    with pytest.raises(AttributeError):
        _ = GPT2Config().rope_scaling


def test_dtype_is_torchs_in_memory_and_a_name_in_files():
    for given in ("bfloat16", "torch.bfloat16", torch.bfloat16):
        for name in ("dtype", "torch_dtype"):
            config = LlamaConfig(**{name: given})
            assert config.dtype is config.torch_dtype is torch.bfloat16
            assert config.to_dict()["dtype"] == "bfloat16"
            assert "torch_dtype" not in config.to_dict()
    assert LlamaConfig(dtype="float16", torch_dtype="float32").dtype is torch.float16
    config.torch_dtype = "float32"
    assert config.dtype is torch.float32
    assert LlamaConfig.from_dict({"dtype": "float16"}, dtype="auto").dtype is torch.float16
    with pytest.raises(ValueError, match="dtype='float17' was given; it is the name of a torch"):
        LlamaConfig(dtype="float17")


def test_both_names_of_a_setting_are_one():
    for given in ({"n_embd": 48, "n_layer": 2}, {"hidden_size": 48, "num_hidden_layers": 2}):
        config = GPT2Config(**given)
        assert config.hidden_size == config.n_embd == 48
        assert config.num_hidden_layers == config.n_layer == 2
        assert "hidden_size" not in config.to_dict()
    config.hidden_size = 60
    assert config.n_embd == 60
    config.n_positions = 5
    assert config.max_position_embeddings == 5
    assert GPT2Config(n_embd=48, hidden_size=48).n_embd == 48
    assert GPT2Config.from_dict({"n_embd": 48}, hidden_size=36).n_embd == 36
    assert GPT2Config.from_dict({"hidden_size": 48}, n_embd=36).n_embd == 36
    with pytest.raises(ValueError, match="n_embd=48 and hidden_size=60 were given"):
        GPT2Config(n_embd=48, hidden_size=60)


def test_labels_may_come_either_way_round():
    assert LlamaConfig().num_labels == 2
    config = LlamaConfig(num_labels=3)
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}
    config = LlamaConfig(id2label={"0": "no", "1": "yes", "2": "so"})
    assert config.id2label == {0: "no", 1: "yes", 2: "so"}
    assert config.label2id == {"no": 0, "yes": 1, "so": 2}
    assert LlamaConfig(label2id={"no": 0, "yes": 1}).id2label == {0: "no", 1: "yes"}
    config.num_labels = 3
    assert config.id2label[0] == "no"
    config.num_labels = 4
    assert config.id2label[3] == "LABEL_3"
    given = {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}}
    assert LlamaConfig.from_dict(given, num_labels=4).num_labels == 4
    with pytest.raises(ValueError, match="num_labels=5 and an id2label of 2 labels"):
        LlamaConfig(num_labels=5, id2label={0: "a", 1: "b"})
    with pytest.raises(ValueError, match="its keys are numbers"):
        LlamaConfig(id2label={"a": 0})


WRONG = {
    "a word as size": (
        GPT2Config,
        {"n_embd": "48"},
        TypeError,
        "n_embd='48' was given, a str; n_embd is an int",
    ),
    "a fraction as size": (
        LlamaConfig,
        {"hidden_size": 24.5},
        TypeError,
        "a float; hidden_size is an int",
    ),
    "yes as size": (LlamaConfig, {"vocab_size": True}, TypeError, "a bool; vocab_size is an int"),
    "a word as rate": (GPT2Config, {"attn_pdrop": "0.1"}, TypeError, "attn_pdrop is a float"),
    "yes as rate": (GPT2Config, {"attn_pdrop": True}, TypeError, "a bool; attn_pdrop is a float"),
    "a number as switch": (LlamaConfig, {"use_cache": 1}, TypeError, "use_cache is a bool"),
    "none as size": (LlamaConfig, {"hidden_size": None}, TypeError, "None; hidden_size is an int"),
    "words as ends": (
        LlamaConfig,
        {"eos_token_id": ["</s>"]},
        TypeError,
        "a list; eos_token_id is an int or a list of int or None",
    ),
    "a word as rotary settings": (
        LlamaConfig,
        {"rope_parameters": "yarn"},
        TypeError,
        "rope_parameters",
    ),
    "an unknown problem": (
        LlamaConfig,
        {"problem_type": "essay"},
        TypeError,
        "problem_type is 'regression' or 'single_label_classification'",
    ),
    "one label to choose from": (
        LlamaConfig,
        {"problem_type": "single_label_classification", "num_labels": 1},
        ValueError,
        "leaves nothing to choose",
    ),
    "a number of labels that is none": (
        LlamaConfig,
        {"num_labels": "3"},
        TypeError,
        "num_labels='3'",
    ),
    "no heads": (GPT2Config, {"n_head": 0}, ValueError, "n_head=0 was given; it is 1 or more"),
    "no heads at all": (Qwen3Config, {"num_attention_heads": 0}, ValueError, "it is 1 or more"),
    "no words": (GPTNeoXConfig, {"vocab_size": 0}, ValueError, "vocab_size=0"),
    "a window of nothing": (MistralConfig, {"sliding_window": 0}, ValueError, "sliding_window=0"),
    "fewer layers than none": (
        GPT2Config,
        {"num_hidden_layers": -1},
        ValueError,
        "n_layer=-1 was given; it is 0 or more",
    ),
    "fewer layers than none in a Llama": (
        LlamaConfig,
        {"num_hidden_layers": -1},
        ValueError,
        "num_hidden_layers=-1 was given; it is 0 or more",
    ),
    "a spread below 0": (
        GPTNeoXConfig,
        {"initializer_range": -0.02},
        ValueError,
        "initializer_range=-0.02 was given; it is 0 or more",
    ),
    **{
        f"more left out than all by {name}": (
            config,
            {name: share},
            ValueError,
            f"{name}={share} was given; it is a share, from 0 to 1",
        )
        for config, name, share in (
            (GPT2Config, "attn_pdrop", 1.5),
            (GPT2Config, "embd_pdrop", -0.1),
            (GPT2Config, "resid_pdrop", 2.0),
            (GPTNeoXConfig, "hidden_dropout", 1.5),
            (Qwen3Config, "attention_dropout", -1.0),
        )
    },
    "padding before the vocabulary": (
        LlamaConfig,
        {"vocab_size": 37, "pad_token_id": -2},
        ValueError,
        "pad_token_id=-2 and vocab_size=37",
    ),
    "heads that do not divide GPT-2": (
        GPT2Config,
        {"n_embd": 50, "n_head": 4},
        ValueError,
        "n_embd=50 and n_head=4 were given; the first must be a multiple",
    ),
    "heads that do not divide GPT-NeoX": (
        GPTNeoXConfig,
        {"hidden_size": 50, "num_attention_heads": 4},
        ValueError,
        "hidden_size=50 and num_attention_heads=4",
    ),
    "heads that do not divide a Llama": (
        LlamaConfig,
        {"hidden_size": 50, "num_attention_heads": 4, "head_dim": 8},
        ValueError,
        "hidden_size=50 and num_attention_heads=4",
    ),
    "padding outside the vocabulary": (
        LlamaConfig,
        {"vocab_size": 37, "pad_token_id": 37},
        ValueError,
        "pad_token_id=37 and vocab_size=37",
    ),
    "kinds of other layers": (
        Qwen2Config,
        {"num_hidden_layers": 2, "layer_types": ["full_attention"]},
        ValueError,
        "num_hidden_layers=2",
    ),
    "layers of no kind": (
        Qwen3Config,
        {"num_hidden_layers": 1, "layer_types": ["mamba"]},
        ValueError,
        'give "full_attention" or "sliding_attention" for each layer',
    ),
    "windows that are not used": (
        Qwen2Config,
        {"num_hidden_layers": 1, "layer_types": ["sliding_attention"]},
        ValueError,
        "use_sliding_window=True",
    ),
    "an encoder to look at": (GPT2Config, {"add_cross_attention": True}, ValueError, "no encoder"),
    "the name of a method": (LlamaConfig, {"to_dict": 3}, ValueError, "is the name of a method"),
}


@pytest.mark.parametrize("what", list(WRONG))
def test_settings_that_cannot_be_are_refused(what):
    config, given, kind, words = WRONG[what]
    with pytest.raises(kind) as caught:
        config(**given)
    assert words in str(caught.value)
    assert isinstance(caught.value, MinilmError)


def test_settings_at_the_edge_pass():
    assert LlamaConfig(num_hidden_layers=0, initializer_range=0, attention_dropout=1).hidden_size
    assert LlamaConfig(attention_dropout=None).attention_dropout is None
    # The first Llama's files: the last token of the vocabulary.
    assert LlamaConfig(pad_token_id=-1).pad_token_id == -1
    assert LlamaConfig(vocab_size=37, pad_token_id=36).pad_token_id == 36


def test_types_are_checked_whenever_a_setting_is_set():
    config = GPT2Config()
    for name in ("n_embd", "hidden_size"):
        with pytest.raises(TypeError, match="n_embd='x' was given, a str; n_embd is an int"):
            setattr(config, name, "x")
    assert config.n_embd == 768
    config.attn_pdrop = 1  # an integer is a fine number
    assert theirs(GPT2Config)(**json.loads(config.to_json_string())).attn_pdrop == 1.0
    assert '"attn_pdrop": 1.0' in config.to_json_string()
    config.anything = "x"
    assert config.to_dict()["anything"] == "x"


def test_unknown_settings_are_kept_and_missing_ones_explained():
    config = LlamaConfig.from_dict({"pretraining_tp": 1, "transformers_version": "4.31.0"})
    assert config.pretraining_tp == 1
    assert config.to_diff_dict()["transformers_version"] == "4.31.0"
    with pytest.raises(AttributeError, match=r"no setting 'hiden_size'. Did you mean hidden_size"):
        _ = config.hiden_size
    with pytest.raises(AttributeError, match=r"no setting 'flavour'."):
        _ = config.flavour
    assert not hasattr(config, "flavour")
    assert getattr(config, "flavour", 3) == 3


def test_private_notes_of_a_file_are_left_out():
    given = {
        "_attn_implementation": "flash_attention_2",
        "_commit_hash": "0f",
        "_name_or_path": "x",
    }
    config = LlamaConfig.from_dict(given)
    assert config._attn_implementation is None
    assert config.name_or_path == "x"
    assert not [name for name in config.to_dict() if name.startswith("_")]
    assert LlamaConfig(attn_implementation="eager")._attn_implementation == "eager"
    assert "attn_implementation" not in LlamaConfig(attn_implementation="eager").to_json_string()


def test_configs_are_compared_copied_shown_and_walked_through():
    config = Qwen3Config(**SMALL, own=[1])
    for again in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert again == config
        again.own.append(2)
        assert again != config
    assert config != Qwen2Config(**SMALL)
    assert config != config.to_dict()
    assert repr(config).startswith("Qwen3Config {\n")
    assert '"head_dim": 128' in repr(config)
    assert dict.fromkeys(config) == dict.fromkeys(config.to_dict())
    assert json.loads(config.to_json_string(use_diff=False)) == json.loads(
        json.dumps(config.to_dict())
    )
    assert "is_encoder_decoder" in config.to_json_string(use_diff=False)
    with pytest.raises(TypeError):
        hash(config)


def test_a_family_of_ones_own_lists_its_settings():
    class Own(PreTrainedConfig):
        model_type = "own"
        attribute_map: ClassVar[dict[str, str]] = {"hidden_size": "width"}

        width: int = 8
        shape: tuple[int, ...] = (1, 2)
        names: list = []  # noqa: RUF012
        anything: object = None

    config = Own(hidden_size=9, shape=[3, 4])
    assert (config.width, config.hidden_size, config.shape) == (9, 9, [3, 4])
    config.names.append("a")
    assert Own().names == []
    assert Own.from_dict(config.to_diff_dict()) == config
    assert config.to_dict()["model_type"] == "own"
    with pytest.raises(TypeError, match="width"):
        Own(width="9")
    with pytest.raises(TypeError):
        Own(9)


def test_a_config_is_read_by_the_name_of_its_model(tmp_path):
    MistralConfig(**SMALL).save_pretrained(tmp_path)
    config = MistralConfig.from_pretrained(tmp_path, hidden_size=30)
    assert (type(config), config.hidden_size, config.vocab_size) == (MistralConfig, 30, 37)
    assert config.name_or_path == str(tmp_path)
    with pytest.raises(ValueError, match="model_type 'mistral'"):
        LlamaConfig.from_pretrained(tmp_path)
    with pytest.raises(OSError, match="nowhere"):
        LlamaConfig.from_pretrained(tmp_path / "nowhere")


def test_a_config_is_saved_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = tmp_path / "a" / "b"
    LlamaConfig(**SMALL).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["hidden_size"] == 24
    before = (folder / "config.json").read_bytes()
    odd = LlamaConfig(**SMALL)
    odd.odd = object()
    with pytest.raises(TypeError):
        odd.save_pretrained(folder)
    assert (folder / "config.json").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["config.json"]
