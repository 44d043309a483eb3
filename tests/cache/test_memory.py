"""What a cache takes: the formula's bytes, made once, and written in place."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from minilm import cache

B, H, D = 2, 3, 8  # batch, key–value heads, head size
N_LAYERS, CAPACITY = 4, 64


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def tokens(n: int, dtype: torch.dtype = torch.float32, batch: int = B) -> Tensor:
    return torch.randn(batch, H, n, D).to(dtype)


def storages(held: cache.CacheLayer) -> int:
    """The bytes of all memory that can be reached from a layer, each piece counted once."""
    tensors = [value for value in vars(held).values() if isinstance(value, Tensor)]
    memory = {tensor.untyped_storage().data_ptr(): tensor for tensor in tensors}
    return sum(tensor.untyped_storage().nbytes() for tensor in memory.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("n_prompt", [1, 17, CAPACITY])
def test_a_fixed_cache_takes_the_formulas_bytes(dtype: torch.dtype, n_prompt: int) -> None:
    held = cache.StaticCache(CAPACITY)
    assert held.nbytes == 0  # nothing is made before it is known what for
    for i in range(N_LAYERS):
        held.update(tokens(n_prompt, dtype), tokens(n_prompt, dtype), i)
    expected = cache.cache_bytes(N_LAYERS, B, H, CAPACITY, D, dtype.itemsize)
    assert held.nbytes == expected == sum(map(storages, held.layers))


def test_a_prompt_in_a_growing_cache_takes_the_formulas_bytes() -> None:
    held = cache.DynamicCache()
    fused = torch.randn(B, 30, 3 * H * D)  # keys as a slice of a larger projection
    keys = fused[:, :, : H * D].view(B, 30, H, D).transpose(1, 2)
    for i in range(N_LAYERS):
        held.update(keys, keys, i)
    expected = cache.cache_bytes(N_LAYERS, B, H, 30, D)
    assert held.nbytes == expected == sum(map(storages, held.layers))


def test_a_growing_cache_takes_at_most_half_as_much_again() -> None:
    held = cache.DynamicCache()
    for n in range(1, 300):
        held.update(tokens(1), tokens(1), 0)
        bytes_for_n = cache.cache_bytes(1, B, H, n, D)
        assert bytes_for_n <= held.nbytes == storages(held.layers[0]) <= 1.5 * bytes_for_n


@pytest.mark.parametrize("window", [1, 2, 7, 32])
def test_ten_thousand_tokens_in_a_window_take_what_the_first_ones_took(window: int) -> None:
    layers = {
        "growing": cache.DynamicSlidingWindowLayer(window),
        "fixed": cache.StaticSlidingWindowLayer(window),
    }
    limits = {"growing": window, "fixed": 2 * window}
    one = tokens(1)
    for name, layer in layers.items():
        for _ in range(10_000):
            layer.update(one, one)
            assert layer.nbytes <= cache.cache_bytes(1, B, H, limits[name], D)
        assert layer.nbytes == storages(layer)
        assert layer.get_seq_length() == 10_000


def test_a_fixed_window_stays_in_its_memory() -> None:
    layer = cache.StaticSlidingWindowLayer(5)
    assert layer.nbytes == 0
    places = set()
    for n in (1, 1, 30, 2, 1, 9, *[1] * 50):
        layer.update(tokens(n), tokens(n))
        places |= {tensor.untyped_storage().data_ptr() for tensor in layer._memory()}
    assert len(places) == 2  # one for the keys, one for the values
    assert layer.nbytes == cache.cache_bytes(1, B, H, 10, D)


def test_a_window_does_not_keep_its_prompt_alive() -> None:
    layer = cache.DynamicSlidingWindowLayer(5)
    layer.update(tokens(500), tokens(500))
    assert layer.nbytes == cache.cache_bytes(1, B, H, 4, D)
    layer.update(tokens(300), tokens(300))
    assert layer.nbytes == cache.cache_bytes(1, B, H, 4, D)


def test_room_for_a_window_is_never_more_than_the_whole_text_needs() -> None:
    held = cache.StaticCache(CAPACITY, sliding_window=[4096, 10, None])
    for i in range(3):
        held.update(tokens(3), tokens(3), i)
    expected = [cache.cache_bytes(1, B, H, n, D) for n in (CAPACITY, 20, CAPACITY)]
    assert [layer.nbytes for layer in held.layers] == expected


@pytest.mark.parametrize(
    "make", [lambda: cache.StaticLayer(CAPACITY), lambda: cache.StaticSlidingWindowLayer(CAPACITY)]
)
def test_fixed_layers_write_in_place_until_full(make: Callable[[], cache.CacheLayer]) -> None:
    layer = make()
    keys, values = layer.update(tokens(4), tokens(4))
    place = keys.data_ptr(), values.data_ptr()
    while layer.get_seq_length() < CAPACITY:
        keys, values = layer.update(tokens(1), tokens(1))
        assert (keys.data_ptr(), values.data_ptr()) == place
        assert layer.keys is not None
        assert layer.values is not None
        assert (layer.keys.untyped_storage().data_ptr()) == place[0]
        assert (layer.values.untyped_storage().data_ptr()) == place[1]


def test_a_growing_layer_writes_in_place_while_there_is_room() -> None:
    layer = cache.DynamicLayer()
    layer.update(tokens(100), tokens(100))
    places = [layer.update(tokens(1), tokens(1))[0].data_ptr() for _ in range(60)]
    assert len(set(places)) == 2  # room for 151, and then for more
    assert places.count(places[0]) == 51


def test_beams_change_places_in_the_same_memory() -> None:
    layer = cache.StaticLayer(CAPACITY)
    keys, _ = layer.update(tokens(6), tokens(6))
    place, before = keys.data_ptr(), keys.clone()
    layer.reorder(torch.tensor([1, 1]))
    assert layer.keys is not None
    assert layer.keys.data_ptr() == place
    assert torch.equal(layer.keys, before[[1, 1]])
    assert layer.nbytes == cache.cache_bytes(1, B, H, CAPACITY, D)


def test_beams_that_change_places_keep_their_room_to_grow() -> None:
    layer = cache.DynamicLayer()
    for n in (40, 1):
        layer.update(tokens(n), tokens(n))
    layer.reorder(torch.tensor([1, 0]))
    assert layer.keys is not None
    place = layer.keys.data_ptr()
    assert layer.update(tokens(1), tokens(1))[0].data_ptr() == place


def test_a_reset_keeps_fixed_memory_for_a_batch_of_the_same_form() -> None:
    layer = cache.StaticLayer(CAPACITY)
    place = layer.update(tokens(6), tokens(6))[0].data_ptr()
    layer.reset()
    assert layer.update(tokens(2), tokens(2))[0].data_ptr() == place
    layer.reset()
    layer.update(tokens(2, torch.bfloat16, 5), tokens(2, torch.bfloat16, 5))
    assert layer.nbytes == cache.cache_bytes(1, 5, H, CAPACITY, D, 2)


def test_a_growing_cache_gives_its_memory_back_on_reset() -> None:
    layer = cache.DynamicLayer()
    for n in (6, 1):
        layer.update(tokens(n), tokens(n))
    layer.reset()
    gc.collect()
    assert layer.nbytes == storages(layer) == 0
