"""What does not fit is refused in words, whichever way attention would have been computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minilm import attention, cache, fast_causal
from minilm.errors import InvalidInput, MinilmError, WrongType


def shaped(*shapes):
    return [torch.randn(shape) for shape in shapes]


WRONG = {
    "heads that do not divide": (
        shaped((2, 6, 3, 4), (2, 4, 5, 4), (2, 4, 5, 4)),
        {},
        "6 query heads cannot share 4 key heads evenly",
    ),
    "more key heads than query heads": (
        shaped((2, 2, 3, 4), (2, 4, 5, 4), (2, 4, 5, 4)),
        {},
        "2 query heads cannot share 4 key heads",
    ),
    "one query of such heads": (
        shaped((2, 6, 1, 4), (2, 4, 5, 4), (2, 4, 5, 4)),
        {},
        "6 query heads cannot share 4 key heads evenly",
    ),
    "another head size": (
        shaped((2, 6, 3, 4), (2, 3, 5, 8), (2, 3, 5, 8)),
        {},
        "queries of 4 numbers cannot be matched with keys of 8",
    ),
    "fewer values than keys": (
        shaped((2, 6, 3, 4), (2, 3, 5, 4), (2, 3, 4, 4)),
        {},
        "each key needs one value",
    ),
    "other batches": (shaped((2, 6, 3, 4), (3, 6, 5, 4), (3, 6, 5, 4)), {}, "batch sizes differ"),
    "heads not split": (shaped((2, 3, 24), (2, 3, 24), (2, 3, 24)), {}, "split_heads makes them"),
    "a mask for the new tokens only": (
        shaped((2, 6, 3, 4), (2, 3, 5, 4), (2, 3, 5, 4)),
        {"may_attend": torch.ones(2, 1, 1, 3, dtype=torch.bool)},
        r"may_attend of shape \(2, 1, 1, 3\) does not fit .* = \(2, 6, 3, 5\).*cached tokens",
    ),
    "a two-dimensional attention mask": (
        shaped((2, 6, 3, 4), (2, 3, 5, 4), (2, 3, 5, 4)),
        {"may_attend": torch.ones(2, 5, dtype=torch.bool)},
        r"padding_mask makes \(B, 1, 1, S\)",
    ),
    "the same with one query": (
        shaped((2, 6, 1, 4), (2, 3, 5, 4), (2, 3, 5, 4)),
        {"may_attend": torch.ones(2, 5, dtype=torch.bool)},
        r"padding_mask makes \(B, 1, 1, S\)",
    ),
    "a bias for other lengths": (
        shaped((2, 6, 3, 4), (2, 6, 5, 4), (2, 6, 5, 4)),
        {"bias": torch.ones(1, 6, 3, 4)},
        r"bias of shape \(1, 6, 3, 4\) does not fit",
    ),
    "no key heads": (
        shaped((2, 6, 3, 4), (2, 0, 5, 4), (2, 0, 5, 4)),
        {},
        "6 query heads cannot share 0 key heads",
    ),
    "a dropout below nothing": (shaped(*[(1, 1, 2, 4)] * 3), {"dropout": -0.1}, "dropout=-0.1"),
    "a dropout in percent": (shaped(*[(1, 1, 2, 4)] * 3), {"dropout": 10}, r"from 0.0 to 1.0"),
    "more queries than keys in causal order": (
        shaped((2, 6, 5, 4), (2, 6, 3, 4), (2, 6, 3, 4)),
        {"is_causal": True},
        "5 queries and 3 keys",
    ),
}


@pytest.mark.parametrize("output_attentions", [False, True])
@pytest.mark.parametrize("what", WRONG)
def test_is_refused(what, output_attentions):
    inputs, options, words = WRONG[what]
    with pytest.raises(InvalidInput, match=words):
        attention.attention(*inputs, **options, output_attentions=output_attentions)


@pytest.mark.parametrize("output_attentions", [False, True])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.uint8])
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("is_causal", [False, True])
def test_a_mask_that_is_not_boolean_is_refused(
    is_causal, biased, queries, dtype, output_attentions
):
    inputs = shaped((2, 6, queries, 4), (2, 3, 3, 4), (2, 3, 3, 4))
    with pytest.raises(WrongType, match="a mask is boolean, True = may attend"):
        attention.attention(
            *inputs,
            torch.ones(2, 1, 1, 3, dtype=dtype),
            bias=torch.zeros(1, 6, 1, 3) if biased else None,
            is_causal=is_causal,
            output_attentions=output_attentions,
        )


@pytest.mark.parametrize("output_attentions", [False, True])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("other", [None, "causal", [[1.0]], np.ones((1, 1, 3, 3)) > 0])
@pytest.mark.parametrize("name", ["query", "key", "value", "may_attend", "bias"])
def test_what_is_no_tensor_is_refused(name, other, is_causal, output_attentions):
    inputs = dict(zip(["query", "key", "value"], shaped(*[(1, 1, 3, 4)] * 3), strict=True))
    if other is None and name in ("may_attend", "bias"):
        return
    with pytest.raises(WrongType, match=f"{name} is a {type(other).__name__}; expected a tensor"):
        attention.attention(
            **{**inputs, name: other}, is_causal=is_causal, output_attentions=output_attentions
        )


@pytest.mark.parametrize("output_attentions", [False, True])
@pytest.mark.parametrize("is_causal", [False, True])
def test_a_mask_is_no_bias(is_causal, output_attentions):
    with pytest.raises(WrongType, match=r"bias is torch\.bool.* goes into may_attend"):
        attention.attention(
            *shaped(*[(1, 1, 3, 4)] * 3),
            bias=torch.ones(3, 3, dtype=torch.bool),
            is_causal=is_causal,
            output_attentions=output_attentions,
        )


@pytest.mark.parametrize("output_attentions", [False, True])
@pytest.mark.parametrize("is_causal", [False, True])
def test_whole_numbers_are_refused(is_causal, output_attentions):
    inputs = [torch.ones(1, 1, 3, 4, dtype=torch.int64)] * 3
    with pytest.raises(WrongType, match=r"value are torch\.int64"):
        attention.attention(*inputs, is_causal=is_causal, output_attentions=output_attentions)


@pytest.mark.parametrize("H_kv", [1, 2, 4])
@pytest.mark.parametrize("queries", [0, 1, 3])
@pytest.mark.parametrize("is_causal", [False, True])
def test_masks_and_biases_of_every_rank_do_and_so_do_no_queries(is_causal, queries, H_kv):
    query, key, value = shaped((2, 4, queries, 8), (2, H_kv, 5, 8), (2, H_kv, 5, 8))
    sees = torch.tensor([True, False, True, True, False])
    for rank in range(5):
        mask, bias = (sees, torch.randn(5)) if rank else (torch.tensor(True), torch.tensor(2.0))
        for _ in range(rank - 1):
            mask, bias = mask[None], bias[None]
        for options in ({"may_attend": mask}, {"bias": bias}, {"may_attend": mask, "bias": bias}):
            got, _ = attention.attention(query, key, value, is_causal=is_causal, **options)
            expected, _ = attention.attention(
                query, key, value, is_causal=is_causal, output_attentions=True, **options
            )
            assert got.shape == (2, 4, queries, 8)
            assert torch.allclose(got, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("output_attentions", [False, True])
def test_mixed_dtypes_are_refused(output_attentions):
    query, key, value = shaped((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 4))
    with pytest.raises(WrongType, match=r"query is torch.float64, key torch.float32"):
        attention.attention(query.double(), key, value, output_attentions=output_attentions)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda q, k, v: (q, k[:, :3], v[:, :3]), "8 query heads cannot share 3"),
        (lambda q, k, v: (q, k, v[:, :, 1:]), "each key needs one value"),
        (
            lambda q, k, v: (q.repeat(2, 1, 1, 1), k.repeat(3, 1, 1, 1), v.repeat(3, 1, 1, 1)),
            "batch sizes differ",
        ),
        (lambda q, k, v: (q, k[..., 1:], v[..., 1:]), "cannot be matched"),
        (lambda q, k, v: (q, k.double(), v), "give all three one dtype"),
    ],
)
def test_long_texts_in_training_are_looked_at_as_closely(change, words):
    inputs = [x.requires_grad_() for x in shaped(*[(2, 8, 256, 4)] * 3)]
    assert fast_causal.pays(*inputs)
    with pytest.raises(MinilmError, match=words):
        attention.attention(*change(*inputs), is_causal=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 10, "n_heads": 4}, "width=10 cannot be cut into n_heads=4"),
        ({"width": 12, "n_heads": 4, "n_kv_heads": 3}, "n_heads=4 and n_kv_heads=3"),
        ({"width": 12, "n_heads": 0}, "n_heads=0"),
        ({"width": 12, "n_heads": 4, "n_kv_heads": 0}, "n_kv_heads=0"),
        ({"width": 0, "n_heads": 4}, "width=0"),
        ({"width": 12, "n_heads": 4, "context_width": 0}, "context_width=0"),
        ({"width": 12, "n_heads": 4, "head_dim": 0}, "head_dim=0"),
    ],
)
def test_a_layer_of_uneven_heads_is_refused(settings, words):
    with pytest.raises(InvalidInput, match=words):
        attention.MultiHeadAttention(**settings)


def test_states_of_another_width_are_refused():
    layer = attention.MultiHeadAttention(12, 4, context_width=8)
    with pytest.raises(InvalidInput, match="must be the width, 12"):
        layer(torch.randn(2, 3, 8), torch.randn(2, 5, 8))
    with pytest.raises(InvalidInput, match=r"a context of shape \(2, 5, 12\).* must be 8"):
        layer(torch.randn(2, 3, 12), torch.randn(2, 5, 12))


@pytest.mark.parametrize("shape", [(3, 12), (1, 2, 3, 12)])
def test_states_of_another_rank_are_refused(shape):
    layer = attention.MultiHeadAttention(12, 4)
    with pytest.raises(InvalidInput, match=r"expected \(B, T, C\)"):
        layer(torch.randn(shape))
    with pytest.raises(InvalidInput, match=r"expected \(B, S, C\)"):
        layer(torch.randn(2, 3, 12), torch.randn(shape))


def test_a_whole_cache_is_no_layer():
    layer = attention.MultiHeadAttention(12, 4)
    with pytest.raises(WrongType, match=r"DynamicCache.*cache\.layer\(layer_idx\)"):
        layer(torch.randn(2, 3, 12), layer=cache.DynamicCache())


def test_positions_of_the_text_are_not_those_of_a_context():
    layer = attention.MultiHeadAttention(8, 2)
    cos_sin = (torch.ones(1, 3, 4), torch.zeros(1, 3, 4))
    with pytest.raises(InvalidInput, match="cos_sin was given together with a context"):
        layer(torch.randn(2, 3, 8), torch.randn(2, 5, 8), cos_sin=cos_sin)
