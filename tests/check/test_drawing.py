"""Tensors drawn for cases: the same for a seed, short to read, and never blind."""

from __future__ import annotations

import random

import pytest
import torch

from minilm.check.drawing import may_attend, normal, real_tokens


def test_the_same_seed_draws_the_same_and_each_draw_another() -> None:
    one, other = random.Random(3), random.Random(3)
    first, second = normal(one, 2, 3), normal(one, 2, 3)
    assert torch.equal(first, normal(other, 2, 3))
    assert not torch.equal(first, second)
    assert torch.equal(may_attend(random.Random(1), 4, 5), may_attend(random.Random(1), 4, 5))


def test_drawing_leaves_torchs_own_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    normal(random.Random(0), 2)
    may_attend(random.Random(0), 2, 2)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_numbers_have_few_digits_unless_asked_for(dtype: torch.dtype) -> None:
    numbers = normal(random.Random(0), 50, scale=3.0, dtype=dtype)
    assert numbers.dtype is dtype
    assert torch.equal(numbers, numbers.double().mul(10).round().div(10).to(dtype))
    assert 2 < numbers.double().std() < 4
    whole = normal(random.Random(0), 50, digits=None)
    assert not torch.equal(whole, whole.round(decimals=1))


def test_padding_stands_on_the_side_asked_for() -> None:
    assert real_tokens([3, 1], 3).tolist() == [[1, 1, 1], [0, 0, 1]]
    assert real_tokens([0, 2], 3, side="right").tolist() == [[0, 0, 0], [1, 1, 0]]


def test_every_row_of_a_mask_may_look_somewhere_but_the_one_named() -> None:
    mask = may_attend(random.Random(0), 3, 1, 6, 4, share=0.1)
    assert mask.dtype is torch.bool
    assert mask.any(-1).all()
    assert not mask.all()
    empty = may_attend(random.Random(0), 3, 1, 6, 4, none_at=(2,))
    assert empty.any(-1).sum() == 3 * 5
    assert not empty[:, :, 2].any()
