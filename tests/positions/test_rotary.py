"""The pieces of rotary positions against Llama's and GPT-NeoX's."""

from __future__ import annotations

import math

import pytest
import torch

from minilm.errors import InvalidInput
from minilm.positions import (
    apply_rotary_pos_emb,
    interleaved_to_half,
    rotary,
    rotary_cos_sin,
    rotary_frequencies,
    rotate_half,
)

TOLERANCE = 1e-7  # of cosines, sines and frequencies
# (B, T, H, H_kv, D), all different, lengths 1 and 2 included.
SHAPES = [(1, 1, 3, 1, 2), (2, 1, 4, 2, 6), (3, 2, 5, 1, 4), (2, 7, 6, 3, 8), (1, 33, 2, 2, 64)]


def llama(head_dim: int, base: float = 10000.0):
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    parameters = {"rope_type": "default", "rope_theta": base}
    return LlamaRotaryEmbedding(LlamaConfig(head_dim=head_dim, rope_parameters=parameters))


def positions(B: int, T: int) -> torch.Tensor:
    """Rows that begin at different positions."""
    return torch.arange(T) + 11 * torch.arange(B)[:, None]


@pytest.mark.parametrize("head_dim", [2, 4, 64, 80, 96, 128, 256])
@pytest.mark.parametrize("base", [10000.0, 10000, 500000.0, 1e6, 1e7])
def test_frequencies_are_llamas(head_dim, base):
    ours = rotary_frequencies(head_dim, base)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, llama(head_dim, base).inv_freq)


def test_the_base_is_ten_thousand_unless_said():
    assert torch.equal(rotary_frequencies(4), torch.tensor([1.0, 0.01]))


@pytest.mark.parametrize("head_dim", [5, 1, 0, -2])
def test_dimensions_that_make_no_pairs_are_refused(head_dim):
    with pytest.raises(InvalidInput, match=f"head_dim={head_dim} was given; pairs need an even"):
        rotary_frequencies(head_dim)


@pytest.mark.parametrize("B, T, H, H_kv, D", SHAPES)
def test_cosines_and_sines_are_llamas(B, T, H, H_kv, D):
    ours = rotary_cos_sin(positions(B, T), rotary_frequencies(D))
    theirs = llama(D)(torch.zeros(1), positions(B, T))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == (B, T, D)
        assert mine.dtype == torch.float32
        assert (mine - other).abs().max() <= TOLERANCE


def test_two_pairs_by_hand():
    cos, sin = rotary_cos_sin(torch.tensor([[0, 3]]), torch.tensor([1.0, 0.01]))
    angles = [3, 0.03, 3, 0.03]
    assert cos[0].tolist() == [[1, 1, 1, 1], pytest.approx([math.cos(a) for a in angles])]
    assert sin[0].tolist() == [[0, 0, 0, 0], pytest.approx([math.sin(a) for a in angles])]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_angles_are_float32_whatever_the_frequencies_are(dtype):
    cos, sin = rotary_cos_sin(positions(2, 3), rotary_frequencies(4).to(dtype))
    assert cos.dtype == sin.dtype == torch.float32


@pytest.mark.parametrize("shape", [(2,), (3, 4), (2, 3, 5, 6), (1, 0, 2)])
def test_rotate_half_is_llamas(shape, draw):
    from transformers.models.llama import modeling_llama

    x = draw(*shape)
    assert torch.equal(rotate_half(x), modeling_llama.rotate_half(x))


def test_rotate_half_by_hand():
    assert rotate_half(torch.tensor([1, 2, 3, 4])).tolist() == [-3, -4, 1, 2]


@pytest.mark.parametrize("B, T, H, H_kv, D", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_queries_and_keys_turn_as_in_llama(B, T, H, H_kv, D, dtype, draw):
    from transformers.models.llama import modeling_llama

    q, k = draw(B, H, T, D, dtype=dtype), draw(B, H_kv, T, D, dtype=dtype)
    cos, sin = llama(D)(q, positions(B, T))
    ours = apply_rotary_pos_emb(q, k, cos, sin)
    theirs = modeling_llama.apply_rotary_pos_emb(q, k, cos, sin)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == dtype
        assert torch.equal(mine, other)


def test_one_row_of_cosines_serves_a_batch(draw):
    q, k = draw(3, 2, 4, 6), draw(3, 1, 4, 6)
    cos, sin = rotary_cos_sin(torch.arange(4)[None], rotary_frequencies(6))
    once = apply_rotary_pos_emb(q, k, cos, sin)
    each = apply_rotary_pos_emb(q, k, cos.expand(3, -1, -1), sin.expand(3, -1, -1))
    assert all(map(torch.equal, once, each))


def test_heads_after_tokens_take_unsqueeze_dim_2(draw):
    q, k = draw(2, 5, 3, 4), draw(2, 1, 3, 4)
    cos, sin = rotary_cos_sin(positions(2, 3), rotary_frequencies(4))
    expected = apply_rotary_pos_emb(q, k, cos, sin)
    swapped = apply_rotary_pos_emb(q.transpose(1, 2), k.transpose(1, 2), cos, sin, unsqueeze_dim=2)
    for mine, other in zip(swapped, expected, strict=True):
        assert torch.equal(mine.transpose(1, 2), other)


@pytest.mark.parametrize("B, T, H, H_kv, D", [(1, 1, 3, 1, 8), (2, 5, 4, 2, 16), (3, 2, 1, 1, 80)])
@pytest.mark.parametrize("factor", [0.25, 0.4, 0.5])
def test_a_part_of_each_head_turns_as_in_gpt_neox(B, T, H, H_kv, D, factor, draw):
    from transformers import GPTNeoXConfig
    from transformers.models.gpt_neox import modeling_gpt_neox

    parameters = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": factor}
    config = GPTNeoXConfig(hidden_size=D, num_attention_heads=1, rope_parameters=parameters)
    q, k = draw(B, H, T, D), draw(B, H_kv, T, D)
    cos, sin = modeling_gpt_neox.GPTNeoXRotaryEmbedding(config)(q, positions(B, T))
    assert cos.shape[-1] < D
    ours = apply_rotary_pos_emb(q, k, cos, sin)
    theirs = modeling_gpt_neox.apply_rotary_pos_emb(q, k, cos, sin)
    assert all(map(torch.equal, ours, theirs))
    assert torch.equal(ours[0][..., cos.shape[-1] :], q[..., cos.shape[-1] :])


@pytest.mark.parametrize("turned", [8, 4])
def test_gradients_are_those_of_gpt_neox(turned, draw):
    from transformers.models.gpt_neox import modeling_gpt_neox

    q, k = draw(2, 3, 5, 8), draw(2, 1, 5, 8)
    w_q, w_k = draw(2, 3, 5, 8), draw(2, 1, 5, 8)
    cos, sin = rotary_cos_sin(positions(2, 5), rotary_frequencies(turned))
    gradients = []
    for function in (apply_rotary_pos_emb, modeling_gpt_neox.apply_rotary_pos_emb):
        leaves = q.clone().requires_grad_(), k.clone().requires_grad_()
        turned_q, turned_k = function(*leaves, cos, sin)
        ((turned_q * w_q).sum() + (turned_k * w_k).sum()).backward()
        gradients.append([leaf.grad for leaf in leaves])
    for mine, other in zip(*gradients, strict=True):
        assert mine.abs().max() > 0.1
        assert (mine - other).abs().max() <= 1e-6


def test_only_the_distance_reaches_the_scores(draw):
    q, k = draw(1, 1, 1, 16), draw(1, 1, 1, 16)

    def score(at_q: int, at_k: int) -> float:
        cos, sin = rotary_cos_sin(torch.tensor([[at_q, at_k]]), rotary_frequencies(16))
        turned_q, _ = apply_rotary_pos_emb(q, k, cos[:, :1], sin[:, :1])
        _, turned_k = apply_rotary_pos_emb(q, k, cos[:, 1:], sin[:, 1:])
        return (turned_q * turned_k).sum().item()

    assert score(7, 4) == pytest.approx(score(107, 104), abs=1e-4)
    assert abs(score(7, 4) - score(4, 7)) > 1e-2


def test_turning_changes_no_length(draw):
    q = draw(2, 3, 9, 8)
    turned, _ = apply_rotary_pos_emb(q, q, *rotary_cos_sin(positions(2, 9), rotary_frequencies(8)))
    assert (turned.norm(dim=-1) - q.norm(dim=-1)).abs().max() <= 1e-5


@pytest.mark.parametrize("H, D, C", [(1, 2, 3), (3, 8, 5), (4, 6, 24)])
def test_interleaved_weights_are_reordered_as_in_the_conversion_of_llama(H, D, C, draw):
    weight = draw(H * D, C)
    theirs = weight.view(H, D // 2, 2, C).transpose(1, 2).reshape(H * D, C)
    assert torch.equal(interleaved_to_half(weight, H), theirs)
    assert torch.equal(interleaved_to_half(weight[:, 0], H), theirs[:, 0])


def test_six_rows_of_a_head_by_hand():
    assert interleaved_to_half(torch.arange(6), 1).tolist() == [0, 2, 4, 1, 3, 5]


def test_reordered_weights_score_as_interleaved_ones_do(draw):
    """Meta's own rotation turns neighbours as complex numbers; the scores must come out equal."""
    B, T, H, D, C = 2, 5, 3, 8, 12
    hidden, w_q, w_k = draw(B, T, C), draw(H * D, C), draw(H * D, C)
    angles = torch.arange(T)[:, None] * rotary_frequencies(D)
    turns = torch.polar(torch.ones_like(angles), angles)  # (T, D/2)

    def meta(weight: torch.Tensor) -> torch.Tensor:
        x = (hidden @ weight.T).view(B, T, H, D).transpose(1, 2)  # (B, H, T, D)
        pairs = torch.view_as_complex(x.unflatten(-1, (D // 2, 2)).contiguous())
        return torch.view_as_real(pairs * turns).flatten(-2)

    def heads(weight: torch.Tensor) -> torch.Tensor:
        return (hidden @ weight.T).view(B, T, H, D).transpose(1, 2)

    cos_sin = rotary_cos_sin(torch.arange(T)[None], rotary_frequencies(D))
    q, k = heads(interleaved_to_half(w_q, H)), heads(interleaved_to_half(w_k, H))
    q, k = apply_rotary_pos_emb(q, k, *cos_sin)
    expected = meta(w_q) @ meta(w_k).transpose(-2, -1)
    assert (q @ k.transpose(-2, -1) - expected).abs().max() <= 2e-5 * expected.abs().max()
    q, k = apply_rotary_pos_emb(heads(w_q), heads(w_k), *cos_sin)  # left as they were
    assert (q @ k.transpose(-2, -1) - expected).abs().max() > 1


@pytest.mark.parametrize("rows, n_heads", [(6, 2), (8, 0), (5, 1)])
def test_rows_that_make_no_pairs_in_each_head_are_refused(rows, n_heads):
    with pytest.raises(InvalidInput, match=f"{rows} rows cannot be divided into n_heads={n_heads}"):
        interleaved_to_half(torch.zeros(rows, 3), n_heads)


def test_a_readers_rotate_half_is_used(monkeypatch, draw):
    q = draw(1, 2, 3, 4)
    monkeypatch.setattr(rotary, "rotate_half", lambda x: 100 * x)
    ones = torch.ones(1, 3, 4)
    assert torch.equal(apply_rotary_pos_emb(q, q, 0 * ones, ones)[1], 100 * q)
