"""What transformers saves, minilm loads with nothing missing, and the other way round."""

from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors import safe_open

from minilm import AutoModel, AutoModelForCausalLM
from minilm.loading import LoadingWarning

FAMILIES = ("gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3")
TOLERANCE = 1e-5
NOTHING = {
    "missing_keys": set(),
    "unexpected_keys": set(),
    "mismatched_keys": set(),
    "error_msgs": [],
}
every_family = pytest.mark.parametrize("family", FAMILIES)
tied_or_not = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits


@every_family
@tied_or_not
def test_what_transformers_saves_minilm_loads(family, tied, saved, make_theirs, ids):
    ours, info = AutoModelForCausalLM.from_pretrained(saved(family, tied), output_loading_info=True)
    assert info == NOTHING
    assert not ours.training
    assert type(ours).__name__ == type(make_theirs(family, tied)).__name__
    expected = logits(make_theirs(family, tied), ids)
    assert torch.allclose(logits(ours, ids), expected, rtol=0, atol=TOLERANCE)
    head, embedding = ours.get_output_embeddings().weight, ours.get_input_embeddings().weight
    assert (head is embedding) == tied


@every_family
@tied_or_not
@pytest.mark.parametrize("size", ["50GB", "9KB", 1], ids=["whole", "shards", "a file each"])
def test_what_minilm_saves_transformers_loads(
    family, tied, size, saved, make_theirs, ids, transformers, tmp_path
):
    ours = AutoModelForCausalLM.from_pretrained(saved(family, tied))
    ours.save_pretrained(tmp_path, max_shard_size=size)
    theirs, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert {name: info[name] for name in NOTHING} == NOTHING
    assert torch.equal(logits(theirs, ids), logits(make_theirs(family, tied), ids))
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(logits(again, ids), logits(ours, ids))
    assert (again.lm_head.weight is again.get_input_embeddings().weight) == tied


@every_family
@tied_or_not
@pytest.mark.parametrize("size", ["50GB", "9KB", 4000])
def test_the_files_are_those_that_transformers_writes(
    family, tied, size, saved, make_theirs, tmp_path
):
    theirs = tmp_path / "theirs"
    make_theirs(family, tied).save_pretrained(theirs, max_shard_size=size)
    ours = tmp_path / "ours"
    model = AutoModelForCausalLM.from_pretrained(saved(family, tied))
    model.save_pretrained(ours, max_shard_size=size)
    names = set(os.listdir(theirs))
    assert set(os.listdir(ours)) == names
    for name in names:
        if name != "config.json":
            assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


def test_tied_weights_are_stored_once(saved, tmp_path):
    for tied in (True, False):
        model = AutoModelForCausalLM.from_pretrained(saved("llama", tied))
        model.save_pretrained(tmp_path)
        with safe_open(tmp_path / "model.safetensors", "pt") as file:
            assert ("lm_head.weight" in file.keys()) != tied  # noqa: SIM118
            assert "model.embed_tokens.weight" in file.keys()  # noqa: SIM118
            assert file.metadata() == {"format": "pt"}


@every_family
@pytest.mark.parametrize("size", ["50GB", "9KB"])
def test_bodies_and_heads_share_their_files(
    family, size, make_theirs, transformers, ids, tmp_path, recwarn
):
    """A body reads a whole model's files, a whole model a body's: the prefix comes and goes."""
    whole, body = tmp_path / "whole", tmp_path / "body"
    theirs = make_theirs(family, tied=True)
    theirs.save_pretrained(whole, max_shard_size=size)
    theirs.base_model.save_pretrained(body, max_shard_size=size)
    with torch.no_grad():
        expected = theirs.base_model(ids).last_hidden_state
    for folder in (whole, body):
        ours = AutoModel.from_pretrained(folder)
        assert torch.allclose(ours(ids).last_hidden_state, expected, rtol=0, atol=TOLERANCE)
        with_head = AutoModelForCausalLM.from_pretrained(folder)
        assert torch.allclose(logits(with_head, ids), logits(theirs, ids), rtol=0, atol=TOLERANCE)
        # And what minilm saves of the body, transformers reads as a whole model.
        ours.save_pretrained(tmp_path / "again")
        again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "again")
        assert torch.equal(logits(again, ids), logits(theirs, ids))
    assert not [warning for warning in recwarn if issubclass(warning.category, LoadingWarning)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_family
def test_half_precision_stays_as_it_is(family, dtype, make_theirs, transformers, ids, tmp_path):
    theirs = make_theirs(family, dtype=dtype)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs")
    assert {parameter.dtype for parameter in ours.parameters()} == {dtype}
    state = theirs.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())
    assert logits(ours, ids).dtype == dtype
    ours.save_pretrained(tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["dtype"] == str(dtype)[6:]
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    expected = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "theirs")
    assert torch.equal(logits(again, ids), logits(expected, ids))


@pytest.mark.parametrize(
    ("in_config", "in_file", "given"),
    [
        ("float16", torch.bfloat16, {}),  # the config comes first
        ("bfloat16", torch.float32, {"dtype": "auto"}),
        (None, torch.bfloat16, {}),  # else the first float in the files
        (None, torch.float16, {"dtype": "auto"}),
        ("bfloat16", torch.bfloat16, {"dtype": "float32"}),  # what is asked for before all
        ("bfloat16", torch.bfloat16, {"dtype": torch.float16}),
        ("float32", torch.float32, {"torch_dtype": torch.bfloat16}),
        ("float32", torch.float32, {"torch_dtype": "float16", "dtype": "bfloat16"}),
    ],
)
def test_the_dtype_is_chosen_as_transformers_chooses_it(
    in_config, in_file, given, copied, rewrite, tensors_of, transformers
):
    folder = copied("gpt2")
    halved = {name: tensor.to(in_file) for name, tensor in tensors_of(folder).items()}
    rewrite(folder, halved, dtype=in_config)
    ours = AutoModelForCausalLM.from_pretrained(folder, **given)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, **given)
    assert ours.dtype == theirs.dtype
    assert ours.config.dtype == theirs.config.dtype
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


def test_torch_dtype_is_the_older_spelling_of_dtype(copied, rewrite, transformers):
    folder = rewrite(copied(), torch_dtype="bfloat16", remove=["dtype"])
    assert AutoModelForCausalLM.from_pretrained(folder).dtype == torch.bfloat16
    assert transformers.AutoModelForCausalLM.from_pretrained(folder).dtype == torch.bfloat16


# What the files hold instead of what they should → the family it happens to.
def _without(name):
    return lambda state: {key: value for key, value in state.items() if key != name}


def _and(**more):
    named = {key.replace("__", "."): value for key, value in more.items()}
    return lambda state: {**state, **named}


def _renamed(old, new):
    return lambda state: {key.replace(old, new): value for key, value in state.items()}


def _grown(name):
    return lambda state: {**state, name: torch.cat([state[name], state[name]])}


def _instead(old, new):
    return lambda state: {new if key == old else key: value for key, value in state.items()}


MISFITS = {
    "a norm is missing": ("llama", _without("model.layers.1.input_layernorm.weight")),
    "a projection is missing": ("gpt2", _without("transformer.h.2.attn.c_proj.weight")),
    "a bias is missing": ("gpt2", _without("transformer.h.0.mlp.c_fc.bias")),
    "the tied embedding is missing": ("llama", _without("model.embed_tokens.weight")),
    "something is left over": ("qwen3", _and(model__layers__7__x=torch.ones(2))),
    "a head of another task": ("gpt2", _and(score__weight=torch.ones(2, 24))),
    "masks of old files": (
        "gpt2",
        _and(
            transformer__h__0__attn__bias=torch.ones(1, 1, 37, 37),
            transformer__h__0__attn__masked_bias=torch.tensor(-1e4),
        ),
    ),
    "masks of old files without a prefix": (
        "gpt2",
        lambda state: {
            **_renamed("transformer.", "")(state),
            "h.1.attn.bias": torch.ones(1, 1, 37, 37),
        },
    ),
    "frequencies of old files": (
        "llama",
        _and(model__layers__0__self_attn__rotary_emb__inv_freq=torch.ones(3)),
    ),
    "frequencies and masks of old files": (
        "gpt_neox",
        _and(
            gpt_neox__layers__0__attention__rotary_emb__inv_freq=torch.ones(3),
            gpt_neox__layers__0__attention__bias=torch.ones(1, 1, 37, 37),
            gpt_neox__layers__0__attention__masked_bias=torch.tensor(-1e9),
        ),
    ),
    "no prefix": ("llama", _renamed("model.", "")),
    "only the head's name": ("llama", _instead("model.embed_tokens.weight", "lm_head.weight")),
    "only the head's older name": (
        "gpt_neox",
        _instead("gpt_neox.embed_in.weight", "embed_out.weight"),
    ),
    "the head as well, equal": (
        "gpt2",
        lambda state: {**state, "lm_head.weight": state["transformer.wte.weight"].clone()},
    ),
    "another shape": ("llama", _grown("model.layers.0.mlp.up_proj.weight")),
    "another shape of the tied embedding": ("gpt2", _grown("transformer.wte.weight")),
    "another shape, and one missing": (
        "qwen2",
        lambda state: _without("model.norm.weight")(
            _grown("model.layers.0.self_attn.q_proj.bias")(state)
        ),
    ),
}


@pytest.mark.filterwarnings("ignore::minilm.loading.LoadingWarning")
@pytest.mark.parametrize("head", ["AutoModelForCausalLM", "AutoModel"])
@pytest.mark.parametrize("misfit", MISFITS)
def test_the_loading_info_is_that_of_transformers(
    misfit, head, copied, rewrite, tensors_of, transformers
):
    family, change = MISFITS[misfit]
    folder = copied(family)
    rewrite(folder, change(tensors_of(folder)))
    options = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    classes = {"AutoModelForCausalLM": AutoModelForCausalLM, "AutoModel": AutoModel}
    ours, found = classes[head].from_pretrained(folder, **options)
    theirs, expected = getattr(transformers, head).from_pretrained(folder, **options)
    assert found == {
        name: {tuple(map(_plain, row)) for row in rows} if name == "mismatched_keys" else rows
        for name, rows in ((name, expected[name]) for name in NOTHING)
    }
    drawn = expected["missing_keys"] | {row[0] for row in expected["mismatched_keys"]}
    for name, value in theirs.state_dict().items():
        assert ours.state_dict()[name].shape == value.shape
        drawn_here = name in drawn or (
            name == "lm_head.weight" and "transformer.wte.weight" in drawn
        )
        assert drawn_here or torch.equal(ours.state_dict()[name], value), name


def _plain(part):
    return tuple(part) if isinstance(part, torch.Size) else part


def test_two_tied_weights_that_differ_stay_two(
    copied, rewrite, tensors_of, transformers, ids, tmp_path
):
    from minilm.loading import UntiedWeights

    folder = copied("gpt2", tied=False)
    rewrite(folder, tensors_of(folder), tie_word_embeddings=True)
    with pytest.warns(UntiedWeights, match=r"lm_head\.weight and transformer\.wte\.weight"):
        ours, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert info == NOTHING
    assert ours.lm_head.weight is not ours.transformer.wte.weight
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert torch.allclose(logits(ours, ids), logits(theirs, ids), rtol=0, atol=TOLERANCE)
    # Saved and loaded again, they are still two.
    ours.save_pretrained(tmp_path / "again")
    with pytest.warns(UntiedWeights):
        again = AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    assert torch.equal(logits(again, ids), logits(ours, ids))


def test_training_a_tied_weight_changes_both_its_uses(saved):
    model = AutoModelForCausalLM.from_pretrained(saved("gpt2")).train()
    with torch.no_grad():
        model.transformer.wte.weight.add_(1.0)
    assert torch.equal(model.lm_head.weight, model.transformer.wte.weight)
    names = [name for name, _ in model.named_parameters()]
    assert "lm_head.weight" not in names  # an optimizer sees it once
    assert model.num_parameters() == sum(p.numel() for p in set(model.parameters()))


def test_missing_weights_are_drawn_as_in_a_new_model(copied, rewrite, tensors_of):
    """GPT-2 draws the projections into the stream smaller: 0.02 / √(2·layers)."""
    from minilm.loading import MissingWeights

    folder = copied("gpt2")
    lost = ("transformer.h.1.mlp.c_proj.weight", "transformer.h.1.mlp.c_fc.weight")
    lost += ("transformer.ln_f.weight", "transformer.h.0.attn.c_attn.bias")
    rewrite(folder, {n: t for n, t in tensors_of(folder).items() if n not in lost})
    with pytest.warns(MissingWeights, match=r"c_proj\.weight +missing") as caught:
        model = AutoModelForCausalLM.from_pretrained(folder)
    assert caught[0].filename == __file__
    layer = model.transformer.h[1].mlp
    assert layer.c_proj.weight.std().item() == pytest.approx(0.02 / 6**0.5, rel=0.1)
    assert layer.c_fc.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert torch.equal(model.transformer.ln_f.weight, torch.ones(24))
    assert torch.equal(model.transformer.h[0].attn.c_attn.bias, torch.zeros(72))


@every_family
def test_a_body_says_nothing_of_the_head_that_it_has_no_use_for(family, saved, recwarn):
    AutoModel.from_pretrained(saved(family, tied=False))
    assert not [warning for warning in recwarn if issubclass(warning.category, LoadingWarning)]


def test_weights_of_layers_that_the_config_lacks_are_told(copied, rewrite, saved, tmp_path):
    from minilm.loading import UnusedWeights

    body = tmp_path / "body"
    AutoModel.from_pretrained(saved("gpt2")).save_pretrained(body)
    rewrite(body, n_layer=2)
    for auto in (AutoModelForCausalLM, AutoModel):
        with pytest.warns(UnusedWeights, match=r"h\.2\..*unexpected"):
            auto.from_pretrained(body)

    for family, setting in (("gpt2", "n_layer"), ("llama", "num_hidden_layers")):
        folder = rewrite(copied(family), **{setting: 2})
        for auto in (AutoModelForCausalLM, AutoModel):
            with pytest.warns(UnusedWeights, match=r"2\..*unexpected +not used") as caught:
                auto.from_pretrained(folder)
            assert caught[0].filename == __file__


def test_a_loaded_model_can_be_trained_and_its_file_stays(saved, ids, tensors_of):
    """The numbers lie in the file's pages until they are changed: the file itself never is."""
    before = (saved("qwen3") / "model.safetensors").read_bytes()
    model = AutoModelForCausalLM.from_pretrained(saved("qwen3")).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    loss = model(ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    assert model(ids, labels=ids).loss < loss
    assert (saved("qwen3") / "model.safetensors").read_bytes() == before
    other = AutoModelForCausalLM.from_pretrained(saved("qwen3"))
    assert torch.equal(other.model.norm.weight, tensors_of(saved("qwen3"))["model.norm.weight"])


def test_loading_draws_no_random_numbers(saved):
    for family in FAMILIES:
        torch.manual_seed(3)
        AutoModelForCausalLM.from_pretrained(saved(family))
        after = torch.rand(1)
        torch.manual_seed(3)
        assert torch.equal(after, torch.rand(1)), family
