"""Every kind of layer: what it refuses, what it leaves alone, and gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from minilm import cache
from minilm.errors import InvalidInput, OutOfRange, WrongType

B, H, D = 2, 3, 4
KINDS: dict[str, Callable[[], cache.CacheLayer]] = {
    "growing": cache.DynamicLayer,
    "growing, with a window": lambda: cache.DynamicSlidingWindowLayer(4),
    "fixed": lambda: cache.StaticLayer(40),
    "fixed, with a window": lambda: cache.StaticSlidingWindowLayer(4),
}
WITH_WINDOW = [name for name in KINDS if "window" in name]


@pytest.fixture(params=KINDS)
def layer(request: pytest.FixtureRequest) -> cache.CacheLayer:
    return KINDS[request.param]()


def tokens(*shape: int, **how: torch.dtype) -> Tensor:
    return torch.randn(*(shape or (B, H, 3, D))).to(**how)


def state(layer: cache.CacheLayer) -> tuple[int, Tensor, Tensor]:
    assert layer.keys is not None
    assert layer.values is not None
    return layer.get_seq_length(), layer.keys.clone(), layer.values.clone()


def unchanged(layer: cache.CacheLayer, before: tuple[int, Tensor, Tensor]) -> bool:
    length, keys, values = state(layer)
    return length == before[0] and torch.equal(keys, before[1]) and torch.equal(values, before[2])


# What does not fit what came before → (keys, values, words of the message).
MISFITS = {
    "another batch": (tokens(5, H, 1, D), tokens(5, H, 1, D), "keys' batch is 5; .* with 2"),
    "one row for all": (tokens(1, H, 1, D), tokens(1, H, 1, D), "keys' batch is 1; .* with 2"),
    "other heads": (tokens(B, 6, 1, D), tokens(B, 6, 1, D), "number of heads is 6; .* with 3"),
    "one head for all": (tokens(B, 1, 1, D), tokens(B, 1, 1, D), "heads is 1; .* with 3"),
    "another head size": (tokens(B, H, 1, 8), tokens(B, H, 1, D), "keys' head size is 8; .* 4"),
    "another value size": (tokens(B, H, 1, D), tokens(B, H, 1, 1), "values' head size is 1; .* 4"),
    "another dtype": (
        tokens(B, H, 1, D, dtype=torch.float16),
        tokens(B, H, 1, D, dtype=torch.float16),
        "dtype is torch.float16; .* torch.float32",
    ),
    "another device": (
        torch.empty(B, H, 1, D, device="meta"),
        torch.empty(B, H, 1, D, device="meta"),
        "device is meta; .* with cpu",
    ),
}
# What is wrong from the start → (keys, values, error, words).
UNFIT = {
    "no heads": (tokens(B, 3, D), tokens(B, 3, D), InvalidInput, r"shape \(2, 3, 4\); expected"),
    "values without heads": (tokens(), tokens(B, 3, D), InvalidInput, "value_states has shape"),
    "more values than keys": (tokens(), tokens(B, H, 4, D), InvalidInput, "new tokens is 3 .* 4"),
    "another batch of values": (tokens(), tokens(1, H, 3, D), InvalidInput, "batch is 2 .* 1"),
    "two dtypes": (tokens(), tokens(dtype=torch.float64), InvalidInput, "keys' dtype is"),
    "no tensor": ([1.0], tokens(), WrongType, "key_states is a list; expected a tensor"),
    "nothing": (tokens(), None, WrongType, "value_states is a NoneType"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    layer: cache.CacheLayer, what: str
) -> None:
    keys, values, words = MISFITS[what]
    layer.update(tokens(), tokens())
    before = state(layer)
    with pytest.raises(InvalidInput, match=words):
        layer.update(keys, values)
    assert unchanged(layer, before)
    layer.update(tokens(), tokens())  # and it goes on


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("what", UNFIT)
def test_what_is_no_keys_and_values_is_refused(
    layer: cache.CacheLayer, what: str, begun: bool
) -> None:
    keys, values, error, words = UNFIT[what]
    if begun:
        layer.update(tokens(), tokens())
    with pytest.raises(error, match=words):
        layer.update(keys, values)  # type: ignore[arg-type]
    layer.update(tokens(), tokens())


def test_the_values_may_be_of_another_size_than_the_keys(layer: cache.CacheLayer) -> None:
    for _ in range(3):
        keys, values = layer.update(tokens(B, H, 3, 7), tokens(B, H, 3, 2))
    assert (keys.shape[3], values.shape[3]) == (7, 2)


def test_after_a_reset_any_batch_may_come(layer: cache.CacheLayer) -> None:
    layer.update(tokens(), tokens())
    layer.reset()
    assert layer.get_seq_length() == 0
    assert layer.keys is None
    assert layer.values is None
    new = tokens(5, 1, 2, 8, dtype=torch.bfloat16)
    assert torch.equal(layer.update(new, new)[0], new)


def test_what_a_layer_holds_is_its_own(layer: cache.CacheLayer) -> None:
    new = tokens()
    with torch.no_grad():
        layer.update(new, new)
        before = state(layer)
        new.zero_()
    assert unchanged(layer, before)


def test_expanded_and_transposed_tensors_are_taken_as_they_look(layer: cache.CacheLayer) -> None:
    wide = tokens(1, 3, 1, D).transpose(1, 2).expand(B, H, 3, D)
    with torch.no_grad():
        keys, _ = layer.update(wide, wide)
        assert torch.equal(keys, wide)
        keys, _ = layer.update(wide, wide)
    assert torch.equal(keys[:, :, -3:], wide)


def test_no_new_tokens_change_nothing(layer: cache.CacheLayer) -> None:
    layer.update(tokens(), tokens())
    before = state(layer)
    keys, _ = layer.update(tokens(B, H, 0, D), tokens(B, H, 0, D))
    assert keys.shape[2] == 3
    assert unchanged(layer, before)


def test_a_full_layer_says_what_it_holds_and_what_was_asked() -> None:
    layer = cache.StaticLayer(5)
    layer.update(tokens(), tokens())
    before = state(layer)
    with pytest.raises(OutOfRange, match=r"holds 3 tokens of a capacity of 5: 3 more do not"):
        layer.update(tokens(), tokens())
    assert unchanged(layer, before)
    layer.update(tokens(B, H, 2, D), tokens(B, H, 2, D))


@pytest.mark.parametrize("name", ["fixed", "fixed, with a window"])
def test_a_refused_beginning_leaves_nothing_behind(name: str) -> None:
    layer = KINDS[name]()
    with pytest.raises(InvalidInput, match="require gradients"):
        layer.update(tokens().requires_grad_(), tokens())
    layer.reorder(torch.tensor([0, 1]))
    layer.batch_repeat_interleave(2)
    assert layer.get_seq_length() == 0
    new = tokens(5, 1, 3, D)
    assert torch.equal(layer.update(new, new)[0], new)


def test_an_emptied_layer_takes_any_batch(layer: cache.CacheLayer) -> None:
    layer.update(tokens(), tokens())
    layer.crop(-3)
    layer.batch_repeat_interleave(2)
    new = tokens(4, H, 3, D)
    assert torch.equal(layer.update(new, new)[0], new)
    layer.crop(-3)
    new = tokens(5, 1, 3, 2)
    assert torch.equal(layer.update(new, new)[0], new)


@pytest.mark.parametrize("steps", [[1] * 40, [3, 1, 9, 1, 1, 2, 30, 1, 4], [2] * 20, [7, 7, 7, 1]])
@pytest.mark.parametrize("room", [6, 7, 8, 13])
def test_a_window_slides_through_less_than_twice_its_room(room: int, steps: list[int]) -> None:
    """All of 5 - 1 + 2 tokens must stay, so 6 places are enough."""
    layer = cache.StaticSlidingWindowLayer(5, take_back=2, max_cache_len=room)
    plain = cache.DynamicSlidingWindowLayer(5, take_back=2)
    for n in steps:
        new = tokens(B, H, n, D)
        with torch.no_grad():
            got, expected = layer.update(new, -new), plain.update(new, -new)
        assert torch.equal(got[0], expected[0])
        assert torch.equal(got[1], expected[1])
        assert unchanged(layer, state(plain))
        assert layer.nbytes == cache.cache_bytes(1, B, H, room, D)


@pytest.mark.parametrize("steps", [[1] * 6, [3, 3], [6], [5, 1]])
def test_a_text_longer_than_promised_is_refused_where_the_window_would_still_see_it(
    steps: list[int],
) -> None:
    """transformers narrows the window to max_cache_len and says nothing."""
    layer = cache.StaticSlidingWindowLayer(10, max_cache_len=6)
    for n in steps:
        layer.update(tokens(B, H, n, D), tokens(B, H, n, D))
    before = state(layer)
    with pytest.raises(OutOfRange, match=r"holds 6 tokens of a capacity of 6: 1 more do not"):
        layer.update(tokens(B, H, 1, D), tokens(B, H, 1, D))
    assert unchanged(layer, before)


def test_crop_wants_a_negative_number(layer: cache.CacheLayer) -> None:
    layer.update(tokens(), tokens())
    before = state(layer)
    with pytest.raises(InvalidInput, match=r"crop was given 2; .*: crop\(-2\) forgets the last 2"):
        layer.crop(2)
    for number in (-1.0, None, "-1", True):
        with pytest.raises(WrongType, match=f"crop was given {number!r}; expected a whole number"):
            layer.crop(number)  # type: ignore[arg-type]
    layer.crop(0)
    assert unchanged(layer, before)


def test_crop_takes_back_what_is_held_and_no_more(layer: cache.CacheLayer) -> None:
    layer.crop(-1)  # nothing was ever put in: nothing to do, as in transformers
    new = tokens()
    layer.update(new, new)
    with pytest.raises(OutOfRange, match="forget 4 tokens; the cache holds 3"):
        layer.crop(-4)
    layer.crop(-1)
    assert layer.get_seq_length() == 2
    assert torch.equal(layer.keys, new[:, :, :2])  # type: ignore[arg-type]
    layer.crop(-2)
    assert layer.get_seq_length() == 0
    assert torch.equal(layer.update(new, new)[0], new)


@pytest.mark.parametrize("name", WITH_WINDOW)
def test_a_window_that_has_slid_cannot_go_back(name: str) -> None:
    layer = KINDS[name]()
    layer.update(tokens(B, H, 4, D), tokens(B, H, 4, D))
    before = state(layer)
    words = "forget 1 tokens; of 4 tokens seen .* still holds 3, .* window of 4 .*take_back of at"
    with pytest.raises(OutOfRange, match=words):
        layer.crop(-1)
    assert unchanged(layer, before)


@pytest.mark.parametrize("kind", [cache.DynamicSlidingWindowLayer, cache.StaticSlidingWindowLayer])
def test_a_window_goes_back_as_far_as_was_promised(
    kind: type[cache.DynamicSlidingWindowLayer],
) -> None:
    layer = kind(4, take_back=2)
    text = tokens(B, H, 30, D)
    for i in range(20):
        layer.update(text[:, :, i : i + 1], text[:, :, i : i + 1])
    with pytest.raises(OutOfRange, match="2 can be taken back now"):
        layer.crop(-3)
    layer.crop(-2)
    with pytest.raises(OutOfRange, match="0 can be taken back now"):
        layer.crop(-1)
    keys, _ = layer.update(text[:, :, 18:19], text[:, :, 18:19])
    assert torch.equal(keys, text[:, :, 15:19])


def test_a_sliding_layer_counts_what_it_has_forgotten() -> None:
    for name in WITH_WINDOW:
        layer = KINDS[name]()
        for n in (3, 9, 1):
            layer.update(tokens(B, H, n, D), tokens(B, H, n, D))
        assert layer.get_seq_length() == 13
        assert layer.keys is not None
        assert layer.keys.shape[2] == 3  # the window less one: the next token brings its own key
        assert layer.get_mask_sizes(2) == (5, 10)


@pytest.mark.parametrize("rows", [[2, 0], [0, -1]])
def test_rows_that_are_not_there_are_refused(layer: cache.CacheLayer, rows: list[int]) -> None:
    layer.update(tokens(), tokens())
    before = state(layer)
    with pytest.raises(OutOfRange, match=r"holds a batch of 2\. Expected row numbers from 0 to 1"):
        layer.reorder(torch.tensor(rows))
    assert unchanged(layer, before)


def test_selected_rows_that_are_not_there_are_refused(layer: cache.CacheLayer) -> None:
    layer.update(tokens(), tokens())
    before = state(layer)
    with pytest.raises(OutOfRange, match=r"rows asked for are \[0, 2\]; .* a batch of 2"):
        layer.batch_select_indices(torch.tensor([0, 2]))
    assert unchanged(layer, before)


@pytest.mark.parametrize("indices", [0, None, torch.tensor([[1]])])
def test_what_is_no_list_of_rows_is_refused(layer: cache.CacheLayer, indices: object) -> None:
    layer.update(tokens(), tokens())
    before = state(layer)
    with pytest.raises(InvalidInput, match="expected row numbers"):
        layer.batch_select_indices(indices)  # type: ignore[arg-type]
    assert unchanged(layer, before)


@pytest.mark.parametrize("beam_idx", [torch.tensor([0.0, 1.0]), torch.tensor([[0, 1]])])
def test_beams_are_row_numbers(layer: cache.CacheLayer, beam_idx: Tensor) -> None:
    layer.update(tokens(), tokens())
    with pytest.raises(InvalidInput, match="an integer tensor of shape"):
        layer.reorder(beam_idx)


def test_rows_are_selected_by_number_or_by_mask(layer: cache.CacheLayer) -> None:
    new = tokens(3, H, 2, D)
    layer.update(new, new)
    layer.batch_select_indices(torch.tensor([True, False, True]))
    assert torch.equal(layer.keys, new[[0, 2]])  # type: ignore[arg-type]
    layer.batch_select_indices(torch.tensor([1]))
    assert torch.equal(layer.keys, new[[2]])  # type: ignore[arg-type]
    with pytest.raises(OutOfRange, match=r"a batch of 1\."):
        layer.batch_select_indices(torch.tensor([1]))
    layer.update(new[:1], new[:1])  # a batch of one from here on


@pytest.mark.parametrize("repeats", [0, -1])
def test_a_batch_is_repeated_at_least_once(layer: cache.CacheLayer, repeats: int) -> None:
    layer.update(tokens(), tokens())
    with pytest.raises(InvalidInput, match=f"repeats is {repeats}"):
        layer.batch_repeat_interleave(repeats)


def test_an_empty_layer_has_no_rows_to_move(layer: cache.CacheLayer) -> None:
    layer.reorder(torch.tensor([0, 1]))
    layer.batch_repeat_interleave(3)
    layer.batch_select_indices(torch.tensor([5]))
    assert layer.get_seq_length() == 0
    assert layer.nbytes == 0


def test_a_copy_lives_its_own_life(layer: cache.CacheLayer) -> None:
    with torch.no_grad():
        for n in (3, 1):
            layer.update(tokens(B, H, n, D), tokens(B, H, n, D))
        twin, before = copy.deepcopy(layer), state(layer)
        twin.update(tokens(), tokens())
        assert unchanged(layer, before)
        assert twin.get_seq_length() == 7


@pytest.mark.parametrize("name", ["fixed", "fixed, with a window"])
def test_fixed_layers_refuse_gradients_and_say_what_to_do(name: str) -> None:
    layer = KINDS[name]()
    with pytest.raises(InvalidInput, match=r"torch.no_grad\(\), or use a DynamicCache"):
        layer.update(tokens().requires_grad_(), tokens())
    with pytest.raises(InvalidInput, match="require gradients"):
        layer.update(tokens(), tokens().requires_grad_())
    layer.update(tokens(), tokens())  # frozen tensors may come with gradients on
    with torch.no_grad():
        keys, _ = layer.update(tokens().requires_grad_(), tokens())
    assert not keys.requires_grad


@pytest.mark.parametrize("name", ["growing", "growing, with a window"])
def test_gradients_flow_through_growing_layers(name: str) -> None:
    layer = KINDS[name]()
    text = tokens(B, H, 7, D).requires_grad_()
    seen = []
    for part in text.split([3, 1, 3], dim=2):
        keys, values = layer.update(part, 2 * part)
        seen.append((keys * values).sum())
    layer.reorder(torch.tensor([1, 0]))
    layer.crop(0)
    sum(seen).backward()  # type: ignore[union-attr]
    # Tokens 0 to 2 are seen three times, in the windows' case too: W - 1 = 3 are kept.
    times = torch.tensor([3.0, 3, 3, 2, 1, 1, 1])
    if "window" in name:
        times = torch.tensor([2.0, 3, 3, 2, 1, 1, 1])
    assert text.grad is not None
    assert torch.allclose(text.grad, 4 * text.detach() * times[:, None])


def test_tensors_that_a_graph_holds_are_not_written_to() -> None:
    """Gradients on, then off, a step back, and on again: what backward needs is still there."""
    layer = cache.DynamicLayer()
    query = tokens(B, H, 1, D).requires_grad_()
    keys, _ = layer.update(tokens(), tokens())
    expected = keys.detach().sum(dim=2, keepdim=True).clone()
    score = (query * keys).sum()
    with torch.no_grad():
        layer.crop(-1)
        for _ in range(4):
            layer.update(tokens(B, H, 1, D), tokens(B, H, 1, D))
    score.backward()
    assert torch.allclose(query.grad, expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["growing", "growing, with a window"])
def test_gradients_may_go_on_and_off_between_tokens(name: str) -> None:
    layer = KINDS[name]()
    text = tokens(B, H, 12, D)
    for i in range(12):
        with torch.set_grad_enabled(i % 4 == 2):
            keys, _ = layer.update(text[:, :, i : i + 1], text[:, :, i : i + 1])
        first = max(i - 3, 0) if "window" in name else 0
        assert torch.equal(keys, text[:, :, first : i + 1])


def test_a_cache_from_inference_mode_goes_on_outside_of_it(layer: cache.CacheLayer) -> None:
    with torch.inference_mode():
        for n in (3, 1):
            layer.update(tokens(B, H, n, D), tokens(B, H, n, D))
        layer.reorder(torch.tensor([1, 0]))
    with torch.no_grad():
        layer.update(tokens(B, H, 1, D), tokens(B, H, 1, D))
    with torch.inference_mode():
        layer.batch_repeat_interleave(2)
        layer.batch_select_indices(torch.tensor([0, 3]))
    with torch.no_grad():
        for n in (1, 2, 9):
            layer.update(tokens(B, H, n, D), tokens(B, H, n, D))
    layer.update(tokens(), tokens())
    assert layer.get_seq_length() == 20


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: cache.StaticLayer(0), InvalidInput, "max_cache_len is 0; expected 1 or more"),
        (lambda: cache.StaticLayer(2.5), WrongType, "max_cache_len is 2.5; expected a whole"),
        (lambda: cache.StaticCache(-3), InvalidInput, "max_cache_len is -3"),
        (lambda: cache.StaticCache("12"), WrongType, "max_cache_len is '12'"),
        (lambda: cache.DynamicSlidingWindowLayer(0), InvalidInput, "sliding_window is 0"),
        (lambda: cache.StaticSlidingWindowLayer(4, -1), InvalidInput, "take_back is -1"),
        (lambda: cache.DynamicCache(0), InvalidInput, "sliding_window is 0"),
        (lambda: cache.DynamicCache([3, None, -2]), InvalidInput, "sliding_window is -2"),
        (lambda: cache.DynamicCache(True), WrongType, "sliding_window is True"),
        (lambda: cache.StaticCache(9, [True]), WrongType, "sliding_window is True"),
        (lambda: cache.DynamicCache("abc"), WrongType, "sliding_window is 'a'"),
        (lambda: cache.DynamicCache(4.0), WrongType, "sliding_window is 4.0"),
        (lambda: cache.StaticCache(9, 4.0), WrongType, "sliding_window is 4.0"),
        (lambda: cache.DynamicCache(None, -1), InvalidInput, "take_back is -1"),
        (lambda: cache.StaticCache(9, None, -1), InvalidInput, "take_back is -1"),
    ],
)
def test_sizes_are_checked_when_a_cache_is_made(
    make: Callable[[], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        make()
