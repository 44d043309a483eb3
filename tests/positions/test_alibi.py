"""ALiBi's slopes and biases, and the attention of a BLOOM that they make."""

from __future__ import annotations

import math

import pytest
import torch

from minilm.errors import InvalidInput
from minilm.positions import alibi, alibi_bias, alibi_slopes

HEADS = [*range(1, 21), 32, 112]
TOLERANCE = 1e-7


@pytest.mark.parametrize("n_heads", HEADS)
def test_bloom_has_the_same_slopes(n_heads):
    from transformers.models.bloom.modeling_bloom import _get_alibi_slopes

    ours = alibi_slopes(n_heads)
    assert ours.dtype == torch.float32
    assert (ours - _get_alibi_slopes(n_heads, torch.device("cpu"))).abs().max() <= TOLERANCE


def test_eight_heads_halve_the_slope_one_by_one():
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]


def test_three_heads_take_the_third_slope_from_the_row_of_four():
    assert alibi_slopes(3).tolist() == [2.0**-4, 2.0**-8, 2.0**-2]


@pytest.mark.parametrize("n_heads", [0, -1])
def test_no_heads_are_refused(n_heads):
    with pytest.raises(InvalidInput, match="at least one head"):
        alibi_slopes(n_heads)


@pytest.mark.parametrize("H, T, S", [(1, 1, 1), (2, 1, 5), (3, 4, 4), (5, 2, 7)])
def test_the_bias_is_minus_slope_times_distance(H, T, S):
    bias = alibi_bias(H, T, S)
    assert bias.shape == (H, T, S)
    for head, slope in enumerate(alibi_slopes(H).tolist()):
        for t in range(T):
            for s in range(S):
                expected = -slope * abs((S - T + t) - s)
                assert bias[head, t, s].item() == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("n_heads", [3, 4, 6])
@pytest.mark.parametrize("padding", [0, 3])
def test_a_bloom_attends_as_these_biases_say(n_heads, padding, wake):
    """Also with padding on the left, after which BLOOM counts from 0: only distances matter."""
    from transformers import BloomConfig, BloomModel

    torch.manual_seed(n_heads)
    T, D = 9, 5
    config = BloomConfig(vocab_size=11, hidden_size=n_heads * D, n_layer=1, n_head=n_heads)
    config._attn_implementation = "eager"
    model = wake(BloomModel(config))
    input_ids = torch.randint(11, (2, T))
    mask = torch.ones(2, T, dtype=torch.int64)
    mask[:, :padding] = 0
    with torch.no_grad():
        theirs = model(input_ids, attention_mask=mask, output_attentions=True).attentions[0]
        block = model.h[0]
        hidden = model.word_embeddings_layernorm(model.word_embeddings(input_ids))
        fused = block.self_attention.query_key_value(block.input_layernorm(hidden))
        query, key, _ = fused.view(2, T, n_heads, 3, D).permute(3, 0, 2, 1, 4)  # (B, H, T, D) each
        scores = query @ key.transpose(-2, -1) / math.sqrt(D) + alibi_bias(n_heads, T, T)
        may_attend = torch.ones(T, T, dtype=torch.bool).tril() & mask.bool()[:, None, None]
        ours = scores.masked_fill(~may_attend, -math.inf).softmax(dim=-1)
    real = ours[:, :, padding:], theirs[:, :, padding:]
    assert (real[0] - real[1]).abs().max() <= 1e-6
    flat = (scores - alibi_bias(n_heads, T, T)).masked_fill(~may_attend, -math.inf).softmax(dim=-1)
    assert (flat[:, :, padding:] - real[1]).abs().max() > 1e-2  # the biases can be seen at all


def test_with_a_cache_the_queries_are_the_last_of_the_keys():
    assert torch.equal(alibi_bias(6, 2, 9), alibi_bias(6, 9, 9)[:, 7:])


def test_more_queries_than_keys_are_refused():
    with pytest.raises(InvalidInput, match="query_length=3 and key_length=2"):
        alibi_bias(2, 3, 2)


def test_dtype_and_device_are_those_asked_for():
    assert alibi_bias(2, 3, 4, dtype=torch.bfloat16).dtype == torch.bfloat16
    on_meta = alibi_bias(2, 3, 4, device="meta")
    assert on_meta.is_meta
    assert on_meta.shape == (2, 3, 4)
    try:
        torch.set_default_dtype(torch.float64)
        assert alibi_slopes(6).dtype == alibi_bias(6, 2, 2).dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_readers_slopes_are_used(monkeypatch):
    monkeypatch.setattr(alibi, "alibi_slopes", lambda n_heads: torch.ones(n_heads))
    assert alibi_bias(2, 1, 3).tolist() == [[[-2, -1, 0]]] * 2


def test_a_negative_number_of_queries_is_refused():
    with pytest.raises(InvalidInput, match="query_length=-1"):
        alibi_bias(2, -1, 3)
