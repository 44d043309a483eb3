"""The three functions that readers write: their numbers, their views and their errors."""

from __future__ import annotations

import itertools

import pytest
import torch

from minilm import cache
from minilm.errors import OutOfRange


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_formula_is_the_size_of_the_tensors(dtype: torch.dtype) -> None:
    shapes = itertools.product([1, 3], [1, 2], [1, 5], [1, 7], [4, 6])
    for n_layers, batch, heads, length, width in shapes:
        tensors = [torch.empty(batch, heads, length, width, dtype=dtype)] * (2 * n_layers)
        said = cache.cache_bytes(n_layers, batch, heads, length, width, dtype.itemsize)
        assert said == sum(tensor.nbytes for tensor in tensors)


def test_numbers_take_four_bytes_unless_said_otherwise() -> None:
    assert cache.cache_bytes(32, 1, 8, 1024, 128) == 2 * cache.cache_bytes(32, 1, 8, 1024, 128, 2)
    # Llama 3 8B, 8,192 tokens in bfloat16: the gigabyte one reads about.
    assert cache.cache_bytes(32, 1, 8, 8192, 128, 2) == 2**30


@pytest.mark.parametrize("length", [0, 1, 4])
@pytest.mark.parametrize("n_new", [1, 2, 3])
def test_new_tokens_stand_behind_the_old_ones(length: int, n_new: int) -> None:
    buffer = torch.full((2, 3, 7, 5), -1.0)
    old, new = torch.randn(2, 3, length, 5), torch.randn(2, 3, n_new, 5)
    buffer[:, :, :length] = old
    filled = cache.write_in_place(buffer, new, length)
    assert torch.equal(filled, torch.cat([old, new], dim=2))
    assert filled.data_ptr() == buffer.data_ptr()
    assert (buffer[:, :, length + n_new :] == -1).all()


def test_a_full_buffer_refuses_and_stays_as_it_is() -> None:
    buffer = torch.zeros(1, 1, 4, 2)
    cache.write_in_place(buffer, torch.ones(1, 1, 2, 2), 2)  # exactly full
    before = buffer.clone()
    words = "The cache holds 2 tokens of a capacity of 4: 3 more do not fit"
    with pytest.raises(OutOfRange, match=words):
        cache.write_in_place(buffer, torch.ones(1, 1, 3, 2), 2)
    assert torch.equal(buffer, before)


@pytest.mark.parametrize("window", [1, 2, 4, 9])
@pytest.mark.parametrize("n_past", [None, 0, 1, 3])
@pytest.mark.parametrize("n_new", [1, 2, 6])
def test_a_window_keeps_what_the_next_token_may_still_see(
    window: int, n_past: int | None, n_new: int
) -> None:
    past = None if n_past is None else torch.randn(2, 3, n_past, 5)
    new = torch.randn(2, 3, n_new, 5)
    everything = new if past is None else torch.cat([past, new], dim=2)
    to_attend, to_keep = cache.keep_window(past, new, window)
    assert torch.equal(to_attend, everything)
    kept = min(window - 1, everything.shape[2])
    assert to_keep.shape == (2, 3, kept, 5)
    assert torch.equal(to_keep, everything[:, :, everything.shape[2] - kept :])
