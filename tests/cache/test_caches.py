"""A cache of several layers: how they come about, and that all of them change or none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from minilm import cache
from minilm.errors import OutOfRange, WrongType


def tokens(n: int = 3) -> Tensor:
    return torch.randn(2, 3, n, 4)


def filled(held: cache.Cache, n_layers: int, *steps: int) -> cache.Cache:
    with torch.no_grad():
        for n in steps:
            for i in range(n_layers):
                held.update(tokens(n), tokens(n), i)
    return held


def test_layers_come_as_they_are_needed() -> None:
    for held, kind in (
        (cache.DynamicCache(), cache.DynamicLayer),
        (cache.StaticCache(9), cache.StaticLayer),
        (cache.DynamicCache(4), cache.DynamicSlidingWindowLayer),
        (cache.StaticCache(9, 4), cache.StaticSlidingWindowLayer),
    ):
        assert len(held) == held.get_seq_length() == held.get_seq_length(2) == 0
        assert held.get_mask_sizes(5, 1) == (5, 0)
        filled(held, 3, 4, 1)
        assert [type(layer) for layer in held.layers] == [kind] * len(held) == [kind] * 3
        assert held.get_seq_length() == held.get_seq_length(2) == 5


def test_a_list_of_windows_says_what_each_layer_is() -> None:
    held = cache.DynamicCache([None, 4, None, 6])
    assert len(held) == 4
    assert held.is_sliding == [False, True, False, True]
    filled(held, 4, 9)
    assert [layer.keys.shape[2] for layer in held.layers if layer.keys is not None] == [9, 3, 9, 5]
    assert [held.get_mask_sizes(2, i) for i in range(4)] == [(11, 0), (5, 6), (11, 0), (7, 4)]
    with pytest.raises(OutOfRange, match="layer_idx is 4; the cache has this many layers: 4"):
        held.update(tokens(), tokens(), 4)


def test_no_layer_is_skipped() -> None:
    for held in (cache.DynamicCache(), cache.StaticCache(9), cache.DynamicCache(4)):
        filled(held, 1, 3)
        with pytest.raises(OutOfRange, match="layer_idx is 2; the cache has this many layers: 1"):
            held.update(tokens(), tokens(), 2)
        with pytest.raises(OutOfRange, match="layer_idx is -1"):
            held.update(tokens(), tokens(), -1)
        with pytest.raises(OutOfRange, match="layer_idx is 2"):
            held.layer(2)
        assert len(held) == 1
        assert held.layer(1) is held.layers[1]  # made when asked for, as by an update


def test_the_decoders_layers_are_those_of_a_seq2seq_cache() -> None:
    both = cache.EncoderDecoderCache(cache.DynamicCache(), cache.DynamicCache())
    assert both.layer(0) is both.layers[0] is both.self_attention_cache.layers[0]
    assert len(both.cross_attention_cache) == 0


def test_layers_may_be_given() -> None:
    layers = [cache.DynamicLayer(), cache.StaticLayer(5)]
    held = filled(cache.Cache(layers), 2, 3)
    assert held.layers == layers
    with pytest.raises(OutOfRange, match="layer_idx is 2"):
        held.update(tokens(), tokens(), 2)


def test_a_crop_that_one_layer_refuses_changes_none() -> None:
    held = filled(cache.DynamicCache([None, 4]), 2, 9)
    with pytest.raises(OutOfRange, match="window of 4"):
        held.crop(-1)
    assert [held.get_seq_length(i) for i in range(2)] == [9, 9]


def test_its_size_is_that_of_its_layers() -> None:
    held = filled(cache.StaticCache(9, [None, 2]), 2, 3)
    assert held.nbytes == cache.cache_bytes(1, 2, 3, 9, 4) + cache.cache_bytes(1, 2, 3, 4, 4)
    held.reset()
    assert held.get_seq_length() == 0


def test_it_shows_its_layers_and_their_lengths() -> None:
    held = filled(cache.DynamicCache([None, 4]), 2, 9)
    assert repr(held) == (
        "DynamicCache(layers=[DynamicLayer(seq_length=9), DynamicSlidingWindowLayer(seq_length=9)])"
    )
    both = cache.EncoderDecoderCache(cache.DynamicCache(), cache.StaticCache(4))
    assert repr(both) == (
        "EncoderDecoderCache(self_attention_cache=DynamicCache(layers=[]), "
        "cross_attention_cache=StaticCache(layers=[]))"
    )


@pytest.mark.parametrize("kind", [cache.DynamicCache, lambda: cache.StaticCache(30)])
def test_the_encoders_side_stays_while_the_decoders_grows(kind: type[cache.DynamicCache]) -> None:
    both = cache.EncoderDecoderCache(kind(), kind())
    encoded = tokens(7)
    assert both.is_updated == {}
    with torch.no_grad():
        for i in range(2):
            both.update(tokens(2), tokens(2), i)
            both.cross_attention_cache.update(encoded, encoded, i)
    assert both.is_updated == {0: True, 1: True}
    assert len(both) == both.get_seq_length() == 2
    assert both.get_mask_sizes(3) == (5, 0)
    assert both.nbytes == both.self_attention_cache.nbytes + both.cross_attention_cache.nbytes
    both.crop(-1)
    assert both.get_seq_length() == 1
    both.reorder(torch.tensor([1, 1]))
    both.batch_repeat_interleave(2)
    both.batch_select_indices(torch.tensor([0, 3, 3]))
    layer = both.cross_attention_cache.layers[1]
    assert torch.equal(layer.keys, encoded[[1, 1, 1]])  # type: ignore[arg-type]
    assert both.layers[1].keys.shape == (3, 3, 1, 4)  # type: ignore[union-attr]
    both.reset()
    assert both.is_updated == {0: False, 1: False}
    assert both.get_seq_length() == 0


def test_two_caches_are_needed_for_a_seq2seq_model() -> None:
    with pytest.raises(WrongType, match="cross_attention_cache is a tuple; expected a Cache"):
        cache.EncoderDecoderCache(cache.DynamicCache(), ())  # type: ignore[arg-type]
