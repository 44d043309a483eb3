"""The functions that readers write, beside transformers' own."""

from __future__ import annotations

import math
from importlib import import_module

import pytest
import torch

from minilm import attention

TOLERANCE = 1e-6
# (B, H, H_kv, T, S, D): lengths 1 and 2 too, and nowhere two sizes alike.
SIZES = [
    (2, 6, 3, 4, 7, 5),
    (3, 4, 2, 1, 6, 8),
    (1, 6, 2, 2, 2, 4),
    (2, 3, 3, 5, 1, 7),
    (4, 8, 1, 6, 9, 16),
    (1, 2, 2, 1, 1, 3),
]


def test_merging_heads_undoes_splitting():
    x = torch.arange(2 * 3 * 8.0).reshape(2, 3, 8)
    split = attention.split_heads(x, 4)
    assert split.shape == (2, 4, 3, 2)
    assert torch.equal(split[1, 2, 0], x[1, 0, 4:6])
    assert torch.equal(attention.merge_heads(split), x)


def test_heads_are_split_and_merged_from_any_layout():
    x = torch.randn(3, 8, 2).permute(2, 0, 1)
    assert torch.equal(attention.split_heads(x, 4), attention.split_heads(x.contiguous(), 4))
    x = torch.randn(2, 5, 3, 4)
    assert torch.equal(
        attention.merge_heads(x),
        attention.merge_heads(x.transpose(1, 2).contiguous().transpose(1, 2)),
    )


@pytest.mark.parametrize("n_rep", [1, 2, 3])
def test_key_heads_are_repeated_like_theirs(n_rep):
    from transformers.models.llama.modeling_llama import repeat_kv

    x = torch.randn(2, 3, 5, 4)
    assert torch.equal(attention.repeat_kv(x, n_rep), repeat_kv(x, n_rep))


def test_scores_are_scaled_dot_products(draw):
    query, key, _ = draw(0, 2, 3, 3, 4, 5, 6)
    scores = attention.attention_scores(query, key)
    assert math.isclose(
        scores[1, 2, 3, 4].item(),
        (query[1, 2, 3] @ key[1, 2, 4]).item() / math.sqrt(6),
        abs_tol=1e-6,
    )
    torch.testing.assert_close(attention.attention_scores(query, key, 1.0), scores * math.sqrt(6))


def test_weights_sum_to_one_and_hidden_keys_weigh_nothing(random_mask):
    mask = random_mask(0, 2, 1, 4, 7)
    weights = attention.masked_softmax(torch.randn(2, 3, 4, 7), mask)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 4))
    assert (weights[~mask.expand_as(weights)] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
def test_the_softmax_is_computed_in_float32_at_least_and_keeps_the_dtype(dtype, masked):
    scores = torch.randn(2, 3, 4, 300).to(dtype)
    mask = torch.ones(4, 300, dtype=torch.bool) if masked else None
    weights = attention.masked_softmax(scores, mask)
    assert weights.dtype == dtype
    precise = torch.float64 if dtype == torch.float64 else torch.float32
    assert torch.equal(weights, scores.to(precise).softmax(-1).to(dtype))


@pytest.mark.parametrize("score", [0.0, 1e4, -1e4, 3e38])
def test_a_hidden_key_weighs_nothing_however_large_its_score(score):
    scores = torch.tensor([[[[-1e4, score, -1e4]]]])
    mask = torch.tensor([True, False, True])
    assert attention.masked_softmax(scores, mask).tolist() == [[[[0.5, 0.0, 0.5]]]]


def test_a_row_that_may_look_nowhere_gets_zeros_and_gives_zero_gradients():
    scores = torch.randn(1, 2, 3, 4, requires_grad=True)
    mask = torch.tensor([[True, False, True, True], [False] * 4, [True] * 4])
    weights = attention.masked_softmax(scores, mask)
    assert (weights[:, :, 1] == 0).all()
    weights.square().sum().backward()
    assert scores.grad.isfinite().all()
    assert (scores.grad[:, :, 1] == 0).all()
    assert (scores.grad[:, :, 0, 0] != 0).all()


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert", "bart", "t5"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_eager_attention_equals_their_eager_function(
    family, size, masked, draw, random_mask, as_scores, module_like, gradients
):
    batch, n_heads, n_kv_heads, queries, keys, head_dim = size
    if family != "llama":
        n_kv_heads = n_heads
    theirs = import_module(
        f"transformers.models.{family}.modeling_{family}"
    ).eager_attention_forward
    inputs = draw(1, batch, n_heads, n_kv_heads, queries, keys, head_dim)
    mask = random_mask(2, batch, 1, queries, keys) if masked else None
    scale = 1.0 if family == "t5" else head_dim**-0.5
    bias = torch.randn(1, n_heads, queries, keys) if family == "t5" else None
    more = {"position_bias": bias} if family == "t5" else {}
    layer = module_like(n_heads // n_kv_heads)

    ours_weights = attention.eager_attention(*inputs, mask, scale, bias)[1]
    their_weights = theirs(layer, *inputs, as_scores(mask), scaling=scale, **more)[1]
    assert (ours_weights - their_weights).abs().max() <= TOLERANCE
    ours, our_grads = gradients(
        lambda *x: attention.eager_attention(*x, mask, scale, bias)[0].transpose(1, 2), inputs
    )
    other, their_grads = gradients(
        lambda *x: theirs(layer, *x, as_scores(mask), scaling=scale, **more)[0], inputs
    )
    assert (ours - other).abs().max() <= TOLERANCE
    for mine, their in zip(our_grads, their_grads, strict=True):
        assert (mine - their).abs().max() <= TOLERANCE * max(1.0, their.abs().max())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_eager_attention_in_half_precision_is_bit_equal_to_llamas(dtype, draw, module_like):
    from transformers.models.llama.modeling_llama import eager_attention_forward

    inputs = draw(3, 2, 6, 2, 5, 9, 16, dtype)
    mixed, weights = attention.eager_attention(*inputs)
    other, their_weights = eager_attention_forward(module_like(3), *inputs, None, scaling=0.25)
    assert mixed.dtype == weights.dtype == dtype
    assert torch.equal(mixed.transpose(1, 2), other)
    assert torch.equal(weights, their_weights)


def test_dropout_leaves_out_its_share_of_the_weights_and_scales_the_rest(draw):
    query, key, value = draw(4, 2, 4, 4, 40, 50, 8)
    torch.manual_seed(0)
    whole = attention.eager_attention(query, key, value)[1]
    dropped = attention.eager_attention(query, key, value, dropout=0.25)[1]
    left_out = dropped == 0
    assert abs(left_out.float().mean().item() - 0.25) < 0.01
    torch.testing.assert_close(dropped[~left_out], whole[~left_out] / 0.75)


def test_a_bias_is_added_in_the_dtype_of_the_scores(draw):
    query, key, value = draw(5, 1, 2, 2, 3, 4, 8, torch.bfloat16)
    bias = torch.randn(1, 2, 3, 4)
    mixed, _ = attention.eager_attention(query, key, value, bias=bias)
    assert mixed.dtype == torch.bfloat16
