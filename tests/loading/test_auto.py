"""The Auto classes: config.json's model_type decides, and whoever registers a family joins in."""

from __future__ import annotations

import json
import shutil
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

import minilm
from minilm import AutoConfig, AutoModel, AutoModelForCausalLM, auto
from minilm.config import PreTrainedConfig
from minilm.errors import FileProblem, InvalidInput, WrongType
from minilm.models.base import PreTrainedModel
from minilm.models.gpt2 import GPT2Config, GPT2LMHeadModel, GPT2Model
from minilm.models.llama import LlamaConfig, LlamaForCausalLM

FAMILIES = ("gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3")


@pytest.fixture(autouse=True)
def _tables_as_they_were(monkeypatch):
    monkeypatch.setattr(auto, "CONFIGS", dict(auto.CONFIGS))
    tables = {name: dict(table) for name, table in auto.MODELS.items()}
    monkeypatch.setattr(auto, "MODELS", tables)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_classes_have_the_names_that_transformers_gives_them(family, saved, transformers):
    config = AutoConfig.from_pretrained(saved(family))
    assert (
        type(config).__name__
        == type(transformers.AutoConfig.from_pretrained(saved(family))).__name__
    )
    for name in ("AutoModel", "AutoModelForCausalLM"):
        ours = getattr(minilm, name).from_config(config)
        theirs = getattr(transformers, name).from_config(
            transformers.AutoConfig.from_pretrained(saved(family))
        )
        assert type(ours).__name__ == type(theirs).__name__
        assert {n: tuple(t.shape) for n, t in ours.state_dict().items()} == {
            n: tuple(t.shape) for n, t in theirs.state_dict().items()
        }


def test_the_name_of_a_model_plays_no_part(saved, tmp_path):
    """Two of the articles say that Auto chooses by the model's name."""
    folder = tmp_path / "gpt2-bert-qwen3"
    shutil.copytree(saved("llama"), folder)
    assert type(AutoModelForCausalLM.from_pretrained(folder)) is LlamaForCausalLM


def test_they_are_not_made_themselves():
    for name in ("AutoConfig", "AutoModel", "AutoModelForCausalLM"):
        with pytest.raises(WrongType, match=rf"{name} is not made itself.*{name}\.from_pretrained"):
            getattr(minilm, name)()


def test_from_config_gives_a_new_model_in_train_mode():
    config = LlamaConfig(
        vocab_size=9, hidden_size=8, intermediate_size=6, num_hidden_layers=1, num_attention_heads=2
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    assert model.training
    assert model.dtype == torch.float32
    assert model.model.embed_tokens.weight.std() > 0
    assert model.config == config
    assert model.config is not config  # settings of one model are not another's
    other = AutoModelForCausalLM.from_config(config)
    assert not torch.equal(other.lm_head.weight, model.lm_head.weight)
    eager = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    assert (eager.attn_implementation, config._attn_implementation) == ("eager", None)


@pytest.mark.parametrize(
    ("in_config", "given"),
    [
        (None, {}),
        ("bfloat16", {}),
        (None, {"dtype": torch.float16}),
        ("bfloat16", {"dtype": "float32"}),
        (None, {"torch_dtype": "bfloat16"}),
        (None, {"torch_dtype": "bfloat16", "dtype": torch.float16}),
    ],
)
def test_from_config_makes_the_dtype_that_transformers_makes(in_config, given, transformers):
    sizes = {"vocab_size": 9, "n_embd": 8, "n_layer": 1, "n_head": 2}
    ours = AutoModel.from_config(GPT2Config(**sizes, dtype=in_config), **given)
    theirs = transformers.AutoModel.from_config(
        transformers.GPT2Config(**sizes, dtype=in_config), **given
    )
    assert ours.dtype == theirs.dtype
    assert ours.config.dtype == theirs.config.dtype


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"dtype": "float33"}, InvalidInput, "dtype='float33'"),
        ({"attn_implementation": "flash"}, InvalidInput, "sdpa and eager"),
        ({"atn_implementation": "sdpa"}, WrongType, "did you mean attn_implementation"),
        ({"output_loading_info": True}, WrongType, "no argument 'output_loading_info'"),
    ],
)
def test_from_config_refuses_what_it_does_not_know(options, kind, words):
    with pytest.raises(kind, match=words):
        AutoModel.from_config(GPT2Config(n_layer=1), **options)
    for config in (None, "gpt2", {"model_type": "gpt2"}, GPT2Config):
        with pytest.raises(WrongType, match="expected a config"):
            AutoModel.from_config(config)


def test_from_pretrained_gives_a_model_in_eval_mode(saved):
    for auto_class in (AutoModel, AutoModelForCausalLM):
        model = auto_class.from_pretrained(saved("gpt2"))
        assert not any(module.training for module in model.modules())
        assert all(parameter.requires_grad for parameter in model.parameters())
    assert type(AutoModel.from_pretrained(saved("gpt2"))) is GPT2Model
    model = AutoModel.from_pretrained(saved("gpt2"), attn_implementation="eager")
    assert model.attn_implementation == "eager"


def test_settings_given_by_name_come_before_those_of_the_file(saved):
    config = AutoConfig.from_pretrained(saved("gpt2"), attn_pdrop=0.5, num_labels=5)
    assert (config.attn_pdrop, config.num_labels, config.n_embd) == (0.5, 5, 24)
    model = AutoModelForCausalLM.from_pretrained(saved("gpt2"), attn_pdrop=0.25, use_cache=False)
    assert (model.config.attn_pdrop, model.config.use_cache) == (0.25, False)
    assert model.transformer.h[0].attn.attn_dropout == 0.25
    model = AutoModelForCausalLM.from_pretrained(saved("llama"), output_hidden_states=True)
    assert model(torch.tensor([[1, 2]])).hidden_states is not None


def test_a_config_takes_dtype_and_attention_as_a_model_does(saved, transformers):
    for options in (
        {"torch_dtype": "float16"},
        {"torch_dtype": torch.bfloat16, "dtype": "float16"},
        {"attn_implementation": "eager"},
    ):
        ours = AutoConfig.from_pretrained(saved("llama"), **options)
        theirs = transformers.AutoConfig.from_pretrained(saved("llama"), **options)
        assert ours.to_dict()["dtype"] == theirs.to_dict()["dtype"]
        assert ours._attn_implementation == theirs._attn_implementation
        model = AutoModelForCausalLM.from_pretrained(saved("llama"), config=ours)
        assert model.dtype == ours.dtype
    assert GPT2Config.from_dict({"dtype": "float32"}, torch_dtype="float16").dtype is torch.float16
    with pytest.raises(InvalidInput, match="sdpa and eager"):
        AutoConfig.from_pretrained(saved("llama"), attn_implementation="flash_attention_2")


def test_a_config_that_is_given_is_used_and_not_changed(saved):
    config = AutoConfig.from_pretrained(saved("llama"))
    before = config.to_dict()
    config.num_hidden_layers = 2
    with pytest.warns(UserWarning, match="unexpected"):
        model = AutoModelForCausalLM.from_pretrained(
            saved("llama"),
            config=config,
            dtype="bfloat16",
            attn_implementation="eager",
            attention_dropout=0.5,
        )
    assert len(model.model.layers) == 2
    assert model.config.attention_dropout == 0.5
    assert config.to_dict() == {**before, "num_hidden_layers": 2}
    assert config._attn_implementation is None
    # Or the place where one is.
    model = AutoModelForCausalLM.from_pretrained(saved("llama"), config=str(saved("llama")))
    assert model.config.num_hidden_layers == 3
    model = LlamaForCausalLM.from_pretrained(saved("llama"), config=saved("llama"))
    assert model.config.num_hidden_layers == 3
    with pytest.raises(WrongType, match="expected a config"):
        AutoModelForCausalLM.from_pretrained(saved("llama"), config={"model_type": "llama"})


def test_what_is_no_setting_is_returned_when_asked_for(saved, transformers):
    options = {"attn_pdrop": 0.5, "temperatur": 3, "return_unused_kwargs": True}
    config, rest = AutoConfig.from_pretrained(saved("gpt2"), **options)
    theirs, expected = transformers.AutoConfig.from_pretrained(saved("gpt2"), **options)
    assert rest == expected == {"temperatur": 3}
    assert config.attn_pdrop == theirs.attn_pdrop == 0.5
    with pytest.raises(
        WrongType,
        match=r"GPT2Config\.from_pretrained has no argument 'attn_pdrp'; did you mean attn_pdrop",
    ):
        AutoConfig.from_pretrained(saved("gpt2"), attn_pdrp=0.5)


def test_a_config_loads_by_its_own_class(saved):
    config = GPT2Config.from_pretrained(saved("gpt2"), n_layer=2)
    assert (type(config), config.n_layer, config.n_embd) == (GPT2Config, 2, 24)
    assert GPT2Config.from_pretrained(saved("gpt2")) == AutoConfig.from_pretrained(saved("gpt2"))
    with pytest.raises(InvalidInput, match=r"model_type 'gpt2', and LlamaConfig is for 'llama'"):
        LlamaConfig.from_pretrained(saved("gpt2"))


def test_a_config_can_be_made_by_the_name_of_its_family():
    assert AutoConfig.for_model("qwen3", head_dim=6).head_dim == 6
    with pytest.raises(InvalidInput, match=r"'qwen'.*Nearest known: qwen"):
        AutoConfig.for_model("qwen")


def test_a_config_alone_is_enough_for_a_config(saved, tmp_path):
    shutil.copy(saved("mistral") / "config.json", tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).model_type == "mistral"
    assert AutoConfig.from_pretrained(tmp_path).name_or_path == str(tmp_path)


# -- a family of one's own ---------------------------------------------------------------------


class MeanConfig(PreTrainedConfig):
    model_type: ClassVar[str] = "running-mean"

    vocab_size: int = 11
    width: int = 6
    length: int = 8
    tie_word_embeddings: bool = True


class MeanModel(PreTrainedModel):
    """Each token is the mean of what came before, by a table that is computed, not learned."""

    config_class: ClassVar[type[PreTrainedConfig]] = MeanConfig
    base_model_prefix: ClassVar[str] = "body"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.width)
        self.gamma = nn.Parameter(torch.full((config.width,), 2.0))  # an old name, and its own
        table = torch.tril(torch.ones(config.length, config.length))
        self.register_buffer("table", table / table.sum(-1, keepdim=True), persistent=False)
        self.register_buffer("scale", torch.tensor([3.0]))
        self.offsets = torch.arange(config.length)  # neither parameter nor buffer
        self.post_init()

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids):
        length = input_ids.shape[1]
        x = self.embed(input_ids) + self.offsets[:length, None].to(self.table.dtype)
        return self.table[:length, :length] @ x * self.gamma * self.scale


class MeanForCausalLM(PreTrainedModel):
    config_class: ClassVar[type[PreTrainedConfig]] = MeanConfig
    base_model_prefix: ClassVar[str] = "body"
    tied_weights: ClassVar[dict[str, str]] = {"head.weight": "body.embed.weight"}

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.body = MeanModel(config)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids):
        return self.head(self.body(input_ids))


def register_all(exist_ok=False):
    AutoConfig.register("running-mean", MeanConfig, exist_ok=exist_ok)
    AutoModel.register(MeanConfig, MeanModel, exist_ok=exist_ok)
    AutoModelForCausalLM.register(MeanConfig, MeanForCausalLM, exist_ok=exist_ok)


def test_a_family_of_ones_own_joins_in(tmp_path):
    """With tables that the model computes for itself, which no file holds."""
    ids = torch.tensor([[1, 5, 2, 9], [0, 0, 3, 4]])
    register_all()
    config = AutoConfig.for_model("running-mean", width=7)
    model = AutoModelForCausalLM.from_config(config)
    assert type(model) is MeanForCausalLM
    with torch.no_grad():
        model.body.gamma.normal_()
        model.body.scale.fill_(0.5)
    model.eval().save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "running-mean"
    again, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert torch.equal(again(ids), model(ids))
    assert again.head.weight is again.body.embed.weight
    body = AutoModel.from_pretrained(tmp_path)
    assert torch.equal(body(ids), model.body(ids))
    body.save_pretrained(tmp_path / "body")
    assert torch.equal(AutoModelForCausalLM.from_pretrained(tmp_path / "body")(ids), model(ids))
    half = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="bfloat16")
    assert half(ids).dtype == torch.bfloat16
    assert half.body.table.dtype == half.body.scale.dtype == torch.bfloat16
    sharded = tmp_path / "sharded"
    model.save_pretrained(sharded, max_shard_size=100)
    assert torch.equal(AutoModelForCausalLM.from_pretrained(sharded)(ids), model(ids))


def test_registering_again_and_in_anothers_place():
    register_all()
    register_all()  # a notebook cell that runs twice
    again = type(
        "MeanConfig", (MeanConfig,), {"__module__": __name__, "__qualname__": "MeanConfig"}
    )
    AutoConfig.register("running-mean", again)  # defined anew by such a cell
    assert auto.CONFIGS["running-mean"] is again

    class Other(MeanConfig):
        pass

    with pytest.raises(InvalidInput, match=r"'running-mean' is taken by MeanConfig.*exist_ok=True"):
        AutoConfig.register("running-mean", Other)
    AutoConfig.register("running-mean", Other, exist_ok=True)
    assert type(AutoConfig.for_model("running-mean")) is Other

    class MyLlama(LlamaForCausalLM):
        pass

    with pytest.raises(InvalidInput, match="'llama' is taken by LlamaForCausalLM"):
        AutoModelForCausalLM.register(LlamaConfig, MyLlama)
    AutoModelForCausalLM.register(LlamaConfig, MyLlama, exist_ok=True)
    assert AutoModelForCausalLM.class_for(LlamaConfig()) is MyLlama
    assert AutoModel.class_for(LlamaConfig()).__name__ == "LlamaModel"  # the others stay


def test_what_does_not_belong_together_is_not_registered():
    with pytest.raises(InvalidInput, match="its model_type is 'running-mean'"):
        AutoConfig.register("mean", MeanConfig)
    for config in (None, "x", dict, MeanConfig()):
        with pytest.raises(WrongType, match="a config is a class"):
            AutoConfig.register("running-mean", config)
    with pytest.raises(InvalidInput, match=r"GPT2Model\.config_class is not MeanConfig"):
        AutoModel.register(MeanConfig, GPT2Model)
    assert "running-mean" not in auto.CONFIGS


def test_a_family_without_a_model_for_the_purpose(tmp_path):
    AutoConfig.register("running-mean", MeanConfig)
    config = MeanConfig()
    config.save_pretrained(tmp_path)
    words = r"MeanConfig \(model_type 'running-mean'\) has no model for AutoModelForCausalLM"
    with pytest.raises(InvalidInput, match=words + ".*None is registered"):
        AutoModelForCausalLM.from_config(config)
    AutoModel.register(MeanConfig, MeanModel)
    for attempt in (
        lambda: AutoModelForCausalLM.from_config(config),
        lambda: AutoModelForCausalLM.from_pretrained(tmp_path),
        lambda: AutoModelForCausalLM.from_pretrained(tmp_path, config=config),
    ):
        with pytest.raises(
            InvalidInput, match=words + ".*It has: AutoModel.*knows: gpt2, gpt_neox"
        ):
            attempt()


@pytest.mark.filterwarnings("ignore::minilm.loading.LoadingWarning")
def test_missing_weights_of_ones_own_model_are_no_garbage(tmp_path):
    from safetensors.torch import load_file, save_file

    register_all()
    AutoModel.from_config(MeanConfig()).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    for lost in ("gamma", "embed.weight", "scale"):
        kept = {name: tensor for name, tensor in tensors.items() if name != lost}
        save_file(kept, tmp_path / "model.safetensors")
        model, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
        assert info["missing_keys"] == {lost}
        assert not any(tensor.is_meta for tensor in model.state_dict().values())
        assert model(torch.tensor([[1, 2]])).isfinite().all()
        assert model.scale.item() == 3.0


class Precise(MeanModel):
    """Has a weight that is meant to be more precise than the others, and places that are whole."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.exact = nn.Parameter(torch.full((2,), 1 / 3, dtype=torch.float64))
        self.register_buffer("places", torch.arange(3))


def test_what_the_model_makes_of_another_dtype_stays_so(tmp_path):
    AutoConfig.register("running-mean", MeanConfig)
    AutoModel.register(MeanConfig, Precise)
    AutoModel.from_config(MeanConfig()).save_pretrained(tmp_path)
    for dtype in (torch.float32, torch.bfloat16):
        model = AutoModel.from_pretrained(tmp_path, dtype=dtype)
        assert model.embed.weight.dtype == dtype
        assert torch.equal(model.exact, torch.full((2,), 1 / 3, dtype=torch.float64))
        assert torch.equal(model.places, torch.arange(3))


class Placed(PreTrainedModel):
    """Has a table that is computed and, being frozen, in no file; and nothing else of the kind."""

    config_class: ClassVar[type[PreTrainedConfig]] = MeanConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.width)
        self.head = nn.Linear(config.width, config.width)
        self.places = nn.Embedding(config.length, config.width)
        self.post_init()
        table = torch.arange(config.length)[:, None].sin().expand(-1, config.width)
        self.places.weight = nn.Parameter(table.contiguous(), requires_grad=False)


def test_what_is_frozen_from_the_start_is_computed_and_not_missing(tmp_path):
    from safetensors.torch import load_file, save_file

    from minilm.loading import MissingWeights

    AutoConfig.register("running-mean", MeanConfig)
    AutoModel.register(MeanConfig, Placed)
    made = AutoModel.from_config(MeanConfig())
    made.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["places.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    model, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert torch.equal(model.places.weight, made.places.weight)
    assert not model.places.weight.requires_grad
    # Nor is it drawn anew beside something that is.
    del tensors["embed.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.warns(MissingWeights, match="embed"):
        model, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert info["missing_keys"] == {"embed.weight"}
    assert torch.equal(model.places.weight, made.places.weight)
    assert torch.equal(model.head.weight, made.head.weight)


class Counting(MeanModel):
    """Looks at numbers while it is made."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.total = float(self.table.sum())


def test_a_model_that_computes_while_it_is_made_is_made(tmp_path):
    AutoConfig.register("running-mean", MeanConfig)
    AutoModel.register(MeanConfig, Counting)
    AutoModel.from_config(MeanConfig()).save_pretrained(tmp_path)
    assert AutoModel.from_pretrained(tmp_path).total == pytest.approx(8.0)


def test_the_class_that_is_looked_up_is_imported_then():
    table = {"a": "minilm.models.gpt2:GPT2LMHeadModel"}
    assert auto.class_at(table, "a") is GPT2LMHeadModel
    assert table["a"] is GPT2LMHeadModel
    assert auto.class_at(table, "a") is GPT2LMHeadModel


def test_the_model_type_is_read_or_refused():
    known = {"llama": 1, "gpt2": 2}
    assert auto.model_type_of({"model_type": "gpt2"}, known, "here") == "gpt2"
    with pytest.raises(InvalidInput, match="The config in here has no model_type"):
        auto.model_type_of({}, known, "here")
    with pytest.raises(InvalidInput, match=r"'gpt3' in here is not known\. Nearest known: gpt2"):
        auto.model_type_of({"model_type": "gpt3"}, known, "here")
    with pytest.raises(InvalidInput, match="Known: llama, gpt2"):
        auto.model_type_of({"model_type": "bert"}, known, "here")
    with pytest.raises(FileProblem):
        AutoConfig.from_pretrained("./no-such-folder")
