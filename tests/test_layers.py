"""Norms, activations and projections: written out and fused, against transformers' modules."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from minilm import layers, losses
from minilm.models.gpt2 import GPT2Config, GPT2LMHeadModel
from minilm.models.llama import LlamaConfig, LlamaForCausalLM

transformers = pytest.importorskip("transformers")
from transformers.activations import ACT2FN  # noqa: E402
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm  # noqa: E402
from transformers.pytorch_utils import Conv1D as TheirConv1D  # noqa: E402

CLOSE = 1e-6
SHAPES = [(3, 7, 24), (1, 1, 5), (2, 3, 4, 6), (9,)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
scales = pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])


def drawn(*shape, scale=1.0, seed=0):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def weights(width):
    return 1 + drawn(width, scale=0.3, seed=1), drawn(width, scale=0.3, seed=2)


@shapes
@scales
@pytest.mark.parametrize("eps", [1e-5, 1e-12, 0.1])
def test_layer_norm_written_out_equals_torchs(shape, scale, eps):
    x, (weight, bias) = drawn(*shape, scale=scale) + 0.5 * scale, weights(shape[-1])
    got = layers.layer_norm(x, weight, bias, eps)
    assert torch.allclose(got, F.layer_norm(x, shape[-1:], weight, bias, eps), atol=5e-6)
    module = layers.LayerNorm(shape[-1], eps=eps)
    module.load_state_dict({"weight": weight, "bias": bias})
    assert torch.equal(module(x), F.layer_norm(x, shape[-1:], weight, bias, eps))


@shapes
@scales
@pytest.mark.parametrize("eps", [1e-6, 1e-5, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_rms_norm_equals_transformers_to_the_last_bit(shape, scale, eps, dtype):
    x, (weight, _) = drawn(*shape, scale=scale).to(dtype), weights(shape[-1])
    theirs = LlamaRMSNorm(shape[-1], eps).to(dtype)
    theirs.load_state_dict({"weight": weight})
    module = layers.RMSNorm(shape[-1], eps).to(dtype)
    module.load_state_dict(theirs.state_dict())
    expected = theirs(x)
    assert torch.equal(layers.rms_norm(x, weight.to(dtype), eps), expected)
    assert torch.equal(module(x), expected)
    assert repr(module) == f"RMSNorm({shape[-1]}, eps={eps})"


@pytest.mark.parametrize("name", list(layers.ACTIVATIONS))
def test_activations_equal_transformers(name):
    x = torch.cat([torch.linspace(-12, 12, 2001), torch.tensor([0.0, 1e-6, -1e-6])])
    got = layers.activation(name)(x)
    assert torch.allclose(got, ACT2FN[name](x), atol=2e-6, rtol=1e-6)


def test_gelu_written_out_equals_transformers_bit_for_bit():
    x = torch.linspace(-12, 12, 2001)
    assert torch.equal(layers.gelu_new(x), ACT2FN["gelu_new"](x))
    assert torch.allclose(layers.gelu_new(x), layers.activation("gelu_new")(x), atol=CLOSE)


def test_unknown_activations_are_refused():
    with pytest.raises(ValueError, match=r"'sillu' was given; known are gelu, .* mean 'silu'"):
        layers.activation("sillu")


@pytest.mark.parametrize("shape", [(3, 7), (2, 1), ()], ids=str)
def test_conv1d_equals_transformers_and_a_linear_lying_down(shape):
    x, theirs = drawn(*shape, 5), TheirConv1D(8, 5)
    torch.nn.init.normal_(theirs.bias)
    module = layers.Conv1D(8, 5)
    module.load_state_dict(theirs.state_dict())
    expected = F.linear(x, module.weight.T, module.bias)
    assert torch.allclose(module(x), expected, atol=CLOSE)
    assert torch.allclose(layers.conv1d(x, module.weight, module.bias), expected, atol=CLOSE)
    assert torch.allclose(theirs(x), expected, atol=CLOSE)
    assert module(x).shape == (*shape, 8)
    assert module(drawn(2, 5, 3).transpose(1, 2)).shape == (2, 3, 8)  # however it lies in memory
    assert repr(module) == "Conv1D(5, 8)"


@pytest.mark.parametrize("act", ["silu", "gelu", "relu"])
@pytest.mark.parametrize("bias", [False, True])
def test_a_gated_network_equals_transformers(act, bias):
    config = transformers.LlamaConfig(
        hidden_size=6, intermediate_size=10, hidden_act=act, mlp_bias=bias, num_attention_heads=2
    )
    theirs, module = LlamaMLP(config), layers.GatedMLP(6, 10, act, bias)
    module.load_state_dict(theirs.state_dict())
    x = drawn(3, 7, 6)
    assert torch.equal(module(x), theirs(x))
    gate, up = module.gate_proj(x), module.up_proj(x)
    if act == "silu":
        assert torch.allclose(module.down_proj(layers.swiglu(gate, up)), theirs(x), atol=CLOSE)
    else:
        assert not torch.allclose(module.down_proj(layers.swiglu(gate, up)), theirs(x), atol=1e-3)


def test_a_network_widens_bends_and_narrows():
    up, down = torch.nn.Linear(6, 10), torch.nn.Linear(10, 4)
    x = drawn(3, 6)
    expected = down(ACT2FN["gelu_new"](up(x)))
    assert torch.allclose(layers.MLP(up, "gelu_new", down)(x), expected, atol=CLOSE)


def test_a_block_adds_to_a_stream_that_is_never_normed():
    x = drawn(2, 3, 4)
    seen = []

    def attend(normed):
        seen.append(normed)
        return normed * 10, "weights"

    def think(normed):
        seen.append(normed)
        return normed * 100

    got, attention = layers.pre_norm_block(x, attend, think, lambda y: y + 1, lambda y: y - 2)
    after = x + 10 * (x + 1)
    assert torch.allclose(got, after + 100 * (after - 2))
    assert attention == "weights"
    assert torch.equal(seen[0], x + 1)
    assert torch.allclose(seen[1], after - 2)


# The reader's functions.

GPT2 = GPT2Config(vocab_size=11, n_embd=8, n_layer=2, n_head=2, n_positions=9)
LLAMA = LlamaConfig(
    vocab_size=11,
    hidden_size=8,
    intermediate_size=12,
    num_hidden_layers=2,
    num_attention_heads=2,
)
IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])
# Exercise → its module, models that use it, and how often one pass of each calls it.
CALLED = {
    "layer_norm": (layers, {"gpt2": 5}),
    "rms_norm": (layers, {"llama": 5}),
    "gelu_new": (layers, {"gpt2": 2}),
    "swiglu": (layers, {"llama": 2}),
    "conv1d": (layers, {"gpt2": 8}),
    "pre_norm_block": (layers, {"gpt2": 2, "llama": 2}),
    "causal_lm_loss": (losses, {"gpt2": 1, "llama": 1}),
    "next_token_labels": (losses, {"gpt2": 1, "llama": 1}),
}


@pytest.fixture(scope="module")
def models():
    """Made before any reader's function is there."""
    torch.manual_seed(0)
    return {"gpt2": GPT2LMHeadModel(GPT2).eval(), "llama": LlamaForCausalLM(LLAMA).eval()}


@pytest.mark.parametrize("name", list(CALLED))
def test_a_readers_function_is_called_once_it_stands(models, monkeypatch, name):
    module, expected = CALLED[name]
    own, calls = getattr(module, name), []

    def readers(*of, **more):
        calls.append(name)
        return own(*of, **more)

    before = {which: model(IDS, labels=IDS) for which, model in models.items()}
    monkeypatch.setattr(module, name, readers)
    for which, model in models.items():
        calls.clear()
        output = model(IDS, labels=IDS)
        assert len(calls) == expected.get(which, 0)
        assert torch.allclose(output.logits, before[which].logits, atol=CLOSE)
        assert torch.allclose(output.loss, before[which].loss, atol=CLOSE)
    monkeypatch.undo()
    calls.clear()
    for which, model in models.items():
        assert torch.equal(model(IDS).logits, before[which].logits)
    assert calls == []


@pytest.mark.parametrize("name", list(CALLED))
def test_a_wrong_function_of_a_readers_changes_the_result(models, monkeypatch, name):
    """It is the reader's result that counts, not only that the function is called."""
    module, expected = CALLED[name]
    own = getattr(module, name)

    def wrong(*of, **more):
        result = own(*of, **more)
        if name == "pre_norm_block":
            return result[0] * 1.5 + 0.1, result[1]
        if name == "next_token_labels":
            return result.masked_fill(result == 2, 9)
        return result * 1.5 + 0.1

    before = {which: model(IDS, labels=IDS).loss for which, model in models.items()}
    monkeypatch.setattr(module, name, wrong)
    for which, model in models.items():
        changed = abs(model(IDS, labels=IDS).loss.item() - before[which].item()) > 1e-4
        assert changed == (which in expected)


# Exercise → torch's function that runs in its place, and how often in a pass of GPT-2 or Llama.
FUSED = {
    "layer_norm": (torch.nn.functional, "layer_norm", "gpt2", 5),
    "gelu_new": (torch.nn.functional, "gelu", "gpt2", 2),
    "conv1d": (torch, "addmm", "gpt2", 8),
}


@pytest.mark.parametrize("name", list(FUSED))
def test_torchs_fused_function_runs_until_then(models, monkeypatch, name):
    module, function, which, times = FUSED[name]
    fused, calls = getattr(module, function), []

    def counting(*of, **more):
        calls.append(function)
        return fused(*of, **more)

    monkeypatch.setattr(module, function, counting)
    models[which](IDS)
    assert len(calls) == times
    own = getattr(layers, name)
    monkeypatch.setattr(layers, name, lambda *of: own(*of))
    calls.clear()
    models[which](IDS)
    assert calls == []


def test_a_network_of_another_activation_is_no_swiglu(monkeypatch):
    def never(gate, up):
        raise AssertionError

    monkeypatch.setattr(layers, "swiglu", never)
    layers.GatedMLP(6, 10, "gelu")(drawn(2, 6))
    with pytest.raises(AssertionError):
        layers.GatedMLP(6, 10, "silu")(drawn(2, 6))
