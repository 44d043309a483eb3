"""Whole attention layers beside transformers', given the same weights."""

from __future__ import annotations

import math

import pytest
import torch

from minilm import attention, masks
from minilm.attention import MultiHeadAttention
from minilm.cache import DynamicCache, StaticCache
from minilm.positions import relative_bias, rotary

TOLERANCE, GRADIENT = 1e-6, 2e-6
LENGTHS = [1, 2, 5, 11]
KINDS = pytest.mark.parametrize("implementation", ["eager", "sdpa"])
AWAKE = pytest.mark.parametrize("awake", [True, False])


def give(ours, theirs, names):
    """Copy the weights of their projections, named as in `names`, into ours."""
    for mine, their in zip(("q_proj", "k_proj", "v_proj", "o_proj"), names, strict=True):
        getattr(ours, mine).load_state_dict(getattr(theirs, their).state_dict())
    return ours.eval()


def states(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def padding(batch, length, side):
    """Rows with 0, 1, 2 … tokens of padding, one at least real."""
    real = torch.ones(batch, length, dtype=torch.int64)
    for row in range(batch):
        hidden = min(row, length - 1)
        real[row, slice(hidden) if side == "left" else slice(length - hidden, None)] = 0
    return real


def their_mask(mask, implementation):
    if mask is None or implementation == "sdpa":
        return mask
    return torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)


def compare(ours, theirs, inputs, real=None):
    """Outputs and gradients of two functions; rows that see nothing are nobody's to compare."""
    results = []
    for function in (ours, theirs):
        given = [x.clone().requires_grad_() for x in inputs]
        output = function(*given)
        direction = states(9, *output.shape)
        if real is not None:
            direction = direction * real[..., None]
            output = output * real[..., None]
        results.append((output, torch.autograd.grad(output, given, direction)))
    (mine, my_grads), (other, their_grads) = results
    assert (mine - other).abs().max() <= TOLERANCE * max(1.0, other.abs().max().item())
    for ours_, theirs_ in zip(my_grads, their_grads, strict=True):
        assert (ours_ - theirs_).abs().max() <= GRADIENT * max(1.0, theirs_.abs().max().item())


def llama(implementation, wake, awake, **changes):
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding

    settings = {"hidden_size": 42, "num_attention_heads": 6, "num_key_value_heads": 3}
    config = LlamaConfig(
        **{**settings, "head_dim": 10, "attention_bias": True, **changes},
        attn_implementation=implementation,
    )
    theirs = wake(LlamaAttention(config, layer_idx=0), awake)
    ours = MultiHeadAttention(
        config.hidden_size,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.head_dim,
        bias=True,
    )
    give(ours, theirs, ("q_proj", "k_proj", "v_proj", "o_proj"))
    return ours, theirs, LlamaRotaryEmbedding(config)


@KINDS
@AWAKE
@pytest.mark.parametrize("length", [*LENGTHS, 130])
@pytest.mark.parametrize("n_kv_heads", [6, 3, 1])
def test_llamas_attention(n_kv_heads, length, awake, implementation, wake):
    ours, theirs, embed = llama(implementation, wake, awake, num_key_value_heads=n_kv_heads)
    x = states(1, 2, length, 42)
    position_ids = torch.arange(length)[None] + torch.tensor([[0], [3]])
    cos_sin = embed(x, position_ids)
    turns = rotary.rotary_cos_sin(position_ids, rotary.rotary_frequencies(10))
    earlier = masks.causal_mask(length, length)[None, None]
    mask = their_mask(earlier, implementation) if implementation == "eager" else None
    compare(
        lambda x: ours(x, is_causal=True, cos_sin=turns)[0],
        lambda x: theirs(x, position_embeddings=cos_sin, attention_mask=mask)[0],
        [x],
    )


@KINDS
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("window", [None, 1, 3, 50])
def test_llamas_attention_with_padding_and_a_window(window, side, implementation, wake):
    ours, theirs, embed = llama(implementation, wake, True)
    real = padding(4, 9, side)
    mask = masks.decoder_mask(9, 9, real, sliding_window=window)
    x = states(2, 4, 9, 42)
    cos_sin = embed(x, torch.arange(9)[None])
    compare(
        lambda x: ours(x, may_attend=mask, cos_sin=cos_sin)[0],
        lambda x: theirs(x, cos_sin, their_mask(mask, implementation))[0],
        [x],
        real,
    )


@KINDS
@pytest.mark.parametrize("make", [DynamicCache, lambda: StaticCache(14)], ids=["growing", "static"])
def test_llamas_attention_with_a_cache_at_every_step(make, implementation, wake):
    from transformers import DynamicCache as TheirCache

    ours, theirs, embed = llama(implementation, wake, True)
    x = states(3, 2, 11, 42)
    whole = ours(x, is_causal=True, cos_sin=embed(x, torch.arange(11)[None]))[0]
    mine, other = make(), TheirCache()
    mine.update(states(4, 2, 3, 0, 10), states(4, 2, 3, 0, 10), 0)  # so that its layer is there
    start = 0
    with torch.no_grad():
        for count in (4, 1, 1, 2, 1, 1, 1):
            new = x[:, start : start + count]
            positions = torch.arange(start, start + count)[None]
            cos_sin = embed(new, positions)
            mask = masks.causal_mask(count, start + count)[None, None]
            output, weights = ours(new, is_causal=True, layer=mine.layers[0], cos_sin=cos_sin)
            expected, _ = theirs(new, cos_sin, their_mask(mask, implementation), other)
            assert weights is None
            assert (output - expected).abs().max() <= TOLERANCE
            assert (output - whole[:, start : start + count]).abs().max() <= TOLERANCE
            start += count
    assert torch.equal(mine.layers[0].values, other.layers[0].values)


@AWAKE
@pytest.mark.parametrize("n_kv_heads", [6, 2])
def test_the_weights_are_llamas(n_kv_heads, awake, wake):
    ours, theirs, embed = llama("eager", wake, awake, num_key_value_heads=n_kv_heads)
    x = states(5, 2, 7, 42)
    cos_sin = embed(x, torch.arange(7)[None])
    mask = masks.causal_mask(7, 7)[None, None]
    _, weights = ours(x, is_causal=True, cos_sin=cos_sin, output_attentions=True)
    _, expected = theirs(x, cos_sin, their_mask(mask, "eager"))
    assert weights.shape == (2, 6, 7, 7)
    assert (weights - expected).abs().max() <= TOLERANCE


def bart(implementation, wake, awake):
    from transformers import BartConfig
    from transformers.models.bart.modeling_bart import BartAttention

    config = BartConfig(d_model=24, encoder_attention_heads=4, attn_implementation=implementation)
    theirs = wake(BartAttention(24, 4, config=config, layer_idx=0), awake)
    ours = MultiHeadAttention(24, 4, bias=True)
    return give(ours, theirs, ("q_proj", "k_proj", "v_proj", "out_proj")), theirs


@KINDS
@AWAKE
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_barts_attention_over_its_own_text(side, length, awake, implementation, wake):
    ours, theirs = bart(implementation, wake, awake)
    mask = masks.encoder_mask(padding(3, length, side))
    mask = None if mask is None else mask.expand(3, 1, length, length)
    compare(
        lambda x: ours(x, may_attend=mask)[0],
        lambda x: theirs(x, attention_mask=their_mask(mask, implementation))[0],
        [states(6, 3, length, 24)],
    )


@KINDS
@AWAKE
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_barts_attention_over_the_encoders_states(side, length, awake, implementation, wake):
    ours, theirs = bart(implementation, wake, awake)
    mask = masks.padding_mask(padding(3, 8, side)).expand(3, 1, length, 8)
    compare(
        lambda x, context: ours(x, context, may_attend=mask)[0],
        lambda x, context: theirs(x, context, attention_mask=their_mask(mask, implementation))[0],
        [states(7, 3, length, 24), states(8, 3, 8, 24)],
    )


@KINDS
@pytest.mark.parametrize("output_attentions", [False, True])
def test_the_keys_of_a_context_are_computed_once(output_attentions, implementation, wake):
    from transformers import DynamicCache as TheirCache
    from transformers import EncoderDecoderCache

    ours, theirs = bart(implementation, wake, True)
    context, x = states(9, 2, 6, 24), states(10, 2, 3, 24)
    mask = masks.padding_mask(padding(2, 6, "right"))
    mine, other = DynamicCache(), EncoderDecoderCache(TheirCache(), TheirCache())
    mine.update(states(4, 2, 4, 0, 6), states(4, 2, 4, 0, 6), 0)
    calls = []
    ours.k_proj.register_forward_hook(lambda *_: calls.append("key"))
    ours.v_proj.register_forward_hook(lambda *_: calls.append("value"))
    with torch.no_grad():
        for step in range(3):
            new = x[:, step : step + 1]
            output, _ = ours(
                new,
                context,
                may_attend=mask,
                layer=mine.layers[0],
                output_attentions=output_attentions,
            )
            expected, _ = theirs(new, context, other, their_mask(mask, implementation))
            assert (output - expected).abs().max() <= TOLERANCE
    assert calls == ["key", "value"]
    assert mine.get_seq_length() == 6


@KINDS
@AWAKE
@pytest.mark.parametrize("length", LENGTHS)
def test_berts_attention(length, awake, implementation, wake):
    from transformers import BertConfig
    from transformers.models.bert.modeling_bert import BertSelfAttention

    config = BertConfig(hidden_size=24, num_attention_heads=4, attn_implementation=implementation)
    theirs = wake(BertSelfAttention(config), awake)
    ours = MultiHeadAttention(24, 4, bias=True)
    give(ours, theirs, ("query", "key", "value", "query"))
    with torch.no_grad():  # BERT's output projection is a layer of its own
        ours.o_proj.weight.copy_(torch.eye(24))
        ours.o_proj.bias.zero_()
    mask = masks.padding_mask(padding(3, length, "right")).expand(3, 1, length, length)
    compare(
        lambda x: ours(x, may_attend=mask)[0],
        lambda x: theirs(x, their_mask(mask, implementation))[0],
        [states(11, 3, length, 24)],
    )


@KINDS
@AWAKE
@pytest.mark.parametrize("length", [1, 2, 9, 17, 140])
@pytest.mark.parametrize("is_decoder", [False, True])
def test_t5s_attention(is_decoder, length, awake, implementation, wake):
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    config = T5Config(
        d_model=20,
        num_heads=3,
        d_kv=7,
        is_decoder=is_decoder,
        attn_implementation=implementation,
    )
    theirs = T5Attention(
        config, has_relative_attention_bias=True, layer_idx=0, is_causal=is_decoder
    )
    wake(theirs, awake)
    ours = give(MultiHeadAttention(20, 3, head_dim=7), theirs, ("q", "k", "v", "o"))
    table = relative_bias.RelativePositionBias(3, bidirectional=not is_decoder)
    with torch.no_grad():
        table.weight.copy_(theirs.relative_attention_bias.weight)
    mask = masks.padding_mask(padding(2, length, "right"))
    mask = mask & masks.causal_mask(length, length) if is_decoder else mask
    mask = mask.expand(2, 1, length, length)
    compare(
        lambda x: ours(x, may_attend=mask, bias=table(length, length), scale=1.0)[0],
        lambda x: theirs(x, mask=their_mask(mask, implementation))[0],
        [states(12, 2, length, 20)],
    )


@AWAKE
@pytest.mark.parametrize("length", LENGTHS)
def test_gpt2s_attention(length, awake, wake):
    from transformers import GPT2Config
    from transformers.models.gpt2.modeling_gpt2 import GPT2Attention

    config = GPT2Config(n_embd=24, n_head=4, attn_implementation="sdpa")
    theirs = wake(GPT2Attention(config, layer_idx=0), awake)
    ours = MultiHeadAttention(24, 4, bias=True).eval()
    parts = zip(theirs.c_attn.weight.split(24, 1), theirs.c_attn.bias.split(24), strict=True)
    with torch.no_grad():
        for projection, (weight, bias) in zip(
            (ours.q_proj, ours.k_proj, ours.v_proj), parts, strict=True
        ):
            projection.weight.copy_(weight.T)
            projection.bias.copy_(bias)
        ours.o_proj.weight.copy_(theirs.c_proj.weight.T)
        ours.o_proj.bias.copy_(theirs.c_proj.bias)
    compare(
        lambda x: ours(x, is_causal=True)[0], lambda x: theirs(x)[0], [states(13, 3, length, 24)]
    )


def test_a_context_of_another_width_and_its_weights():
    layer = MultiHeadAttention(12, 3, head_dim=5, context_width=7)
    output, weights = layer(states(1, 2, 4, 12), states(2, 2, 6, 7), output_attentions=True)
    assert output.shape == (2, 4, 12)
    assert weights.shape == (2, 3, 4, 6)
    fast, none = layer(states(1, 2, 4, 12), states(2, 2, 6, 7))
    assert none is None
    assert (fast - output).abs().max() <= TOLERANCE


@pytest.mark.parametrize("output_attentions", [False, True])
def test_dropout_works_in_training_and_not_otherwise(output_attentions):
    torch.manual_seed(0)
    layer = MultiHeadAttention(12, 3, dropout=0.5)
    x = states(3, 2, 9, 12)

    def run():
        return layer(x, output_attentions=output_attentions)[0]

    assert not torch.equal(run(), run())
    layer.eval()
    assert torch.equal(run(), run())
    plain = MultiHeadAttention(12, 3)
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(plain(x, output_attentions=output_attentions)[0], run())


def test_a_readers_own_functions_are_the_ones_that_work(monkeypatch):
    """Also written with loops and einsum, and giving tensors in another layout."""

    def split_heads(x, n_heads):
        return torch.stack(x.chunk(n_heads, dim=-1), dim=1)

    def merge_heads(x):
        return torch.cat([x[:, head] for head in range(x.shape[1])], dim=-1)

    def repeat_kv(x, n_rep):
        return torch.cat([x[:, i : i + 1].expand(-1, n_rep, -1, -1) for i in range(x.shape[1])], 1)

    def attention_scores(query, key, scale=None):
        return torch.einsum("bhtd,bhsd->bhts", query, key) * (
            scale or 1 / math.sqrt(query.shape[-1])
        )

    layer = MultiHeadAttention(12, 4, 2).eval()
    x = states(4, 2, 6, 12)
    before = [layer(x, is_causal=True, output_attentions=given)[0] for given in (False, True)]
    called = []
    for own in (split_heads, merge_heads, repeat_kv, attention_scores):
        monkeypatch.setattr(
            attention,
            own.__name__,
            lambda *given, own=own: called.append(own.__name__) or own(*given),
        )
    after = [layer(x, is_causal=True, output_attentions=given)[0] for given in (False, True)]
    for first, second in zip(before, after, strict=True):
        assert (first - second).abs().max() <= TOLERANCE
    assert set(called) == {"split_heads", "merge_heads", "repeat_kv", "attention_scores"}
