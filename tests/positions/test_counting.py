"""Positions count the real tokens of a row, as generate() does."""

from __future__ import annotations

import pytest
import torch

from minilm.errors import InvalidInput
from minilm.positions import position_ids_from_mask

# What a batch's rows can look like: (name, mask).
MASKS = {
    "no padding": [[1, 1, 1, 1, 1]] * 3,
    "padding on the left": [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]],
    "padding on the right": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]],
    "padding on both sides": [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [1, 1, 1, 1, 1]],
    "holes": [[0, 1, 0, 1, 1], [1, 0, 0, 1, 0], [1, 1, 1, 1, 1]],
    "a row of padding alone": [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]],
    "one token": [[1], [0]],
}


@pytest.fixture(scope="module")
def seen_by_the_model():
    """The positions that a model is given, step by step, while transformers generates."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=20, n_positions=32)
    model = GPT2LMHeadModel(config).eval()
    seen: list[torch.Tensor] = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["position_ids"].clone()), with_kwargs=True
    )

    def generate(mask: torch.Tensor, steps: int) -> list[torch.Tensor]:
        seen.clear()
        ids = torch.arange(mask.numel()).view(mask.shape) % 20
        with torch.no_grad():
            model.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=steps,
                do_sample=False,
                pad_token_id=0,
                eos_token_id=None,
            )
        return list(seen)

    return generate


@pytest.mark.parametrize("name", MASKS)
def test_the_prompts_positions_are_those_of_generate(name, seen_by_the_model):
    mask = torch.tensor(MASKS[name])
    theirs = seen_by_the_model(mask, steps=1)[0]
    assert torch.equal(position_ids_from_mask(mask), theirs)


@pytest.mark.parametrize("name", ["no padding", "padding on the left"])
def test_every_step_with_a_cache_has_the_positions_of_generate(name, seen_by_the_model):
    mask = torch.tensor(MASKS[name])
    steps = seen_by_the_model(mask, steps=4)
    assert len(steps) == 4
    for theirs in steps[1:]:
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=-1)
        assert torch.equal(position_ids_from_mask(mask, query_length=1), theirs)


def test_after_padding_on_the_right_counting_goes_on_with_the_last_real_token(seen_by_the_model):
    """generate() goes on from the last column, which is padding: position 1 after three tokens."""
    mask = torch.tensor([[1, 1, 1, 0, 0]])
    longer = torch.tensor([[1, 1, 1, 0, 0, 1]])
    assert position_ids_from_mask(longer, query_length=1).tolist() == [[3]]
    assert seen_by_the_model(mask, steps=2)[1].tolist() == [[1]]


def test_padding_gets_zero_and_real_tokens_count_from_zero():
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
    expected = [[0, 0, 0, 1, 2], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert position_ids_from_mask(mask).tolist() == expected


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.float32, torch.half])
def test_a_mask_of_any_dtype_gives_whole_numbers(dtype):
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 0]]).to(dtype)
    positions = position_ids_from_mask(mask)
    assert positions.dtype == torch.int64
    assert positions.tolist() == [[0, 0, 1, 2], [0, 1, 2, 0]]


def test_more_than_255_tokens_are_counted_in_a_mask_of_bytes():
    assert position_ids_from_mask(torch.ones(1, 300, dtype=torch.uint8))[0, -1] == 299


@pytest.mark.parametrize("query_length", [0, 1, 2, 4])
def test_query_length_keeps_the_last_columns(query_length):
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 0]])
    positions = position_ids_from_mask(mask, query_length)
    assert positions.shape == (2, query_length)
    assert torch.equal(positions, position_ids_from_mask(mask)[:, 4 - query_length :])


@pytest.mark.parametrize("shape", [(3,), (2, 1, 1, 3)])
def test_a_mask_that_is_not_two_dimensional_is_refused(shape):
    with pytest.raises(InvalidInput, match=r"shape \(.*Give \(B, S\)"):
        position_ids_from_mask(torch.ones(shape))


def test_more_queries_than_columns_are_refused():
    with pytest.raises(InvalidInput, match="query_length=4"):
        position_ids_from_mask(torch.ones(2, 3), query_length=4)


def test_a_negative_number_of_queries_is_refused():
    with pytest.raises(InvalidInput, match="query_length=-1"):
        position_ids_from_mask(torch.ones(2, 4), -1)
