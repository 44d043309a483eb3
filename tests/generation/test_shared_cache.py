"""A cache in one piece of memory does what a DynamicCache does, whatever is asked of it."""

from __future__ import annotations

import copy

import pytest
import torch

from minilm.cache import DynamicCache
from minilm.errors import InvalidInput, OutOfRange
from minilm.generation.shared_cache import SharedCache

L, B, H, D = 3, 4, 2, 5


def states(batch, length, seed, n_layers=L):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_layers, 2, batch, H, length, D, generator=generator)


def update(cache, new):
    """Give new keys and values to every layer; returns all that they give back."""
    return [cache.update(*each, layer_idx=i) for i, each in enumerate(new)]


def write(cache, new):
    """The same, past the layers."""
    length = cache.get_seq_length()
    end = length + new.shape[4]
    cache.reserve(end)[..., length:end, :] = new
    cache.wrote(end)


def same(cache, other):
    assert cache.get_seq_length() == other.get_seq_length()
    for one, two in zip(cache.layers, other.layers, strict=True):
        assert torch.equal(one.keys, two.keys) and torch.equal(one.values, two.values)
        assert one.get_mask_sizes(2) == two.get_mask_sizes(2)


@torch.no_grad()
def both(max_length=None):
    shared, plain = SharedCache(L, max_length), DynamicCache([None] * L)
    for cache in (shared, plain):
        update(cache, states(B, 3, 0))
    return shared, plain


@pytest.mark.parametrize("max_length", [None, 5, 40])
@torch.no_grad()
def test_what_is_written_to_the_room_is_in_the_layers(max_length):
    shared, plain = both(max_length)
    for step in range(1, 9):
        new = states(B, 1 + step % 2, step)
        write(shared, new) if step % 3 else update(shared, new)
        update(plain, new)
        assert shared.is_shared()
        if step % 4 == 0:
            same(shared, plain)
    same(shared, plain)


@pytest.mark.parametrize("seed", range(20))
@torch.no_grad()
def test_rows_are_reordered_like_every_layer_by_itself(seed):
    shared, plain = both(40)
    generator = torch.Generator().manual_seed(seed)
    for step in range(8):
        new = states(B, 1, 100 + step)
        write(shared, new)
        update(plain, new)
        rows = torch.randint(B, (B,), generator=generator)
        for cache in (shared, plain):
            cache.reorder(rows)
        if step == 4:
            for cache in (shared, plain):
                cache.crop(-2)
        same(shared, plain)


@torch.no_grad()
def test_only_what_rows_do_not_share_is_copied():
    shared, plain = SharedCache(L, 30), DynamicCache([None] * L)
    for cache in (shared, plain):
        update(cache, states(2, 9, 1))
        cache.batch_repeat_interleave(3)
    same(shared, plain)
    shared.room[..., :9, :] = 7.0  # nobody looks there again
    for cache in (shared, plain):
        update(cache, states(6, 1, 2))
        cache.reorder(torch.tensor([1, 1, 2, 5, 4, 4]))
        update(cache, states(6, 1, 3))
        cache.reorder(torch.tensor([2, 1, 0, 3, 3, 4]))
    assert shared.room[..., :9, :].eq(7).all()
    for one, two in zip(shared.layers, plain.layers, strict=True):
        assert torch.equal(one.keys[:, :, 9:], two.keys[:, :, 9:])
        assert torch.equal(one.values[:, :, 9:], two.values[:, :, 9:])


@torch.no_grad()
def test_other_changes_of_rows_leave_the_room_and_stay_right():
    shared, plain = both()
    for cache in (shared, plain):
        cache.batch_select_indices(torch.tensor([2, 0]))
        update(cache, states(2, 2, 5))
    assert not shared.is_shared()
    same(shared, plain)
    for cache in (shared, plain):
        cache.reorder(torch.tensor([1, 1]))
        cache.batch_repeat_interleave(2)
    same(shared, plain)


@torch.no_grad()
def test_a_reset_cache_and_an_emptied_one_serve_another_batch():
    for empty in (lambda cache: cache.reset(), lambda cache: cache.crop(-cache.get_seq_length())):
        shared, plain = both(9)
        for cache in (shared, plain):
            empty(cache)
            update(cache, states(2, 4, 6))
        same(shared, plain)


@torch.no_grad()
def test_layers_of_other_forms_have_memory_of_their_own():
    shared, plain = SharedCache(2), DynamicCache([None] * 2)
    for cache in (shared, plain):
        cache.update(*torch.ones(2, B, H, 3, D), layer_idx=0)
        cache.update(*torch.ones(2, B, H + 1, 3, D), layer_idx=1)
    assert not shared.is_shared()
    same(shared, plain)


def test_gradients_flow_through_it():
    new = states(B, 2, 1).requires_grad_()
    shared = SharedCache(L)
    keys, _ = update(shared, new)[1]
    keys.sum().backward()
    assert new.grad[1, 0].eq(1).all() and new.grad[0].eq(0).all()


@torch.no_grad()
def test_a_copy_goes_its_own_way():
    shared, plain = both(30)
    write(shared, states(B, 1, 2))
    other = copy.deepcopy(shared)
    write(other, states(B, 1, 3))
    update(plain, states(B, 1, 2))
    same(shared, plain)
    update(plain, states(B, 1, 3))
    same(other, plain)
    assert other.is_shared()


@torch.no_grad()
def test_what_is_asked_for_wrongly_is_refused():
    shared, _ = both()
    with pytest.raises(OutOfRange, match="batch of 4"):
        shared.reorder(torch.tensor([0, 1, 2, 4]))
    with pytest.raises(InvalidInput, match="one row number"):
        shared.reorder(torch.zeros(4, 1, dtype=torch.int64))
    with pytest.raises(OutOfRange):
        shared.crop(-4)
    with pytest.raises(OutOfRange, match="layers: 3"):
        shared.layer(3)
    with pytest.raises(InvalidInput):
        shared.batch_repeat_interleave(0)
    assert shared.is_shared()


@torch.no_grad()
def test_its_memory_is_counted_once():
    shared, _ = both(10)
    assert shared.nbytes == shared.room.nbytes == 4 * L * 2 * B * H * 10 * D
