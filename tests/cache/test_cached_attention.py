"""Attention with a cache, token by token, equals attention over the whole text at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from minilm import attention, cache, masks
from minilm.positions import counting, rotary

CACHED_TOLERANCE = 1e-6
B, H, D, WIDTH, LENGTH = 3, 4, 6, 20, 19
WINDOW = 5

# name → (a cache with room for the text, the window its layers have)
KINDS: dict[str, tuple[Callable[[], cache.Cache], int | None]] = {
    "growing": (cache.DynamicCache, None),
    "fixed": (lambda: cache.StaticCache(LENGTH), None),
    "growing, with a window": (lambda: cache.DynamicCache(WINDOW), WINDOW),
    "fixed, with a window": (lambda: cache.StaticCache(LENGTH, WINDOW), WINDOW),
    "growing, that can step back": (lambda: cache.DynamicCache(WINDOW, take_back=3), WINDOW),
    "fixed, that can step back": (lambda: cache.StaticCache(LENGTH, WINDOW, take_back=3), WINDOW),
    "growing, with a window of 1": (lambda: cache.DynamicCache(1), 1),
    "fixed, with a window of 1": (lambda: cache.StaticCache(LENGTH, 1), 1),
    "growing, with a window longer than the text": (lambda: cache.DynamicCache(64), 64),
    "fixed, with a window longer than the text": (lambda: cache.StaticCache(LENGTH, 64), 64),
}
# A prompt shorter than the window or longer, then one token at a time or several.
STEPS = {
    "token by token": [1] * LENGTH,
    "a short prompt": [3, *[1] * (LENGTH - 3)],
    "a long prompt": [12, *[1] * (LENGTH - 12)],
    "several at a time": [2, 5, 1, 7, 1, 3],
}
PADDING = {"none": None, "left": [0, 4, 17], "right": [0, 4, 17]}


@dataclass
class Setting:
    """One attention layer, a text, and everything that goes with each token."""

    layer: attention.MultiHeadAttention
    text: Tensor  # (B, T, C)
    attention_mask: Tensor | None  # (B, T)
    window: int | None

    def turning(self, first: int, end: int) -> tuple[Tensor, Tensor]:
        real = self.attention_mask
        if real is None:
            real = torch.ones(self.text.shape[:2], dtype=torch.int64)
        positions = counting.position_ids_from_mask(real)[:, first:end]
        return rotary.rotary_cos_sin(positions, rotary.rotary_frequencies(D))

    def step(self, first: int, end: int, held: cache.Cache | None, **options: bool) -> Tensor:
        """The outputs of the tokens from first to end."""
        n_new = end - first
        n_keys = n_new if held is None else held.get_mask_sizes(n_new)[0]
        real = None if self.attention_mask is None else self.attention_mask[:, :end]
        may_attend = masks.decoder_mask(n_new, n_keys, real, sliding_window=self.window)
        output = self.layer(
            self.text[:, first:end],
            may_attend=may_attend,
            is_causal=may_attend is None,
            layer=None if held is None else held.layer(0),
            cos_sin=self.turning(first, end),
            **options,
        )
        return output[0] if isinstance(output, tuple) else output

    def in_steps(self, held: cache.Cache, steps: list[int], **options: bool) -> Iterator[Tensor]:
        end = 0
        for n_new in steps:
            end += n_new
            yield self.step(end - n_new, end, held, **options)


def setting(n_kv_heads: int, padding: str, window: int | None, *, woken: bool = True) -> Setting:
    torch.manual_seed(n_kv_heads)
    layer = attention.MultiHeadAttention(WIDTH, H, n_kv_heads, D, bias=True)
    if woken:  # four times the scores: queries that look at some keys and not at others
        with torch.no_grad():
            layer.q_proj.weight *= 2
            layer.k_proj.weight *= 2
    attention_mask = None
    if PADDING[padding] is not None:
        attention_mask = torch.ones(B, LENGTH, dtype=torch.int64)
        for row, n in enumerate(PADDING[padding]):
            attention_mask[
                row, slice(None, n) if padding == "left" else slice(LENGTH - n, None)
            ] = 0
    return Setting(layer, torch.randn(B, LENGTH, WIDTH), attention_mask, window)


@pytest.mark.parametrize("padding", PADDING)
@pytest.mark.parametrize("n_kv_heads", [H, 2, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_every_step_with_a_cache_equals_the_whole_text_at_once(
    kind: str, n_kv_heads: int, padding: str
) -> None:
    make, window = KINDS[kind]
    for woken in (True, False):
        given = setting(n_kv_heads, padding, window, woken=woken)
        with torch.no_grad():
            expected = given.step(0, LENGTH, None)
            for steps in STEPS.values():
                end = 0
                for n_new, got in zip(steps, given.in_steps(make(), steps)):
                    end += n_new
                    error = (got - expected[:, end - n_new : end]).abs().max()
                    assert error <= CACHED_TOLERANCE, (steps, end)


@pytest.mark.parametrize("kind", KINDS)
def test_the_readable_attention_does_so_too(kind: str) -> None:
    make, window = KINDS[kind]
    given = setting(2, "left", window)
    with torch.no_grad():
        expected = given.step(0, LENGTH, None)
        steps = given.in_steps(make(), STEPS["several at a time"], output_attentions=True)
        assert (torch.cat(list(steps), dim=1) - expected).abs().max() <= CACHED_TOLERANCE


@pytest.mark.parametrize("kind", ["growing", "growing, with a window"])
def test_gradients_through_a_growing_cache_equal_those_of_the_whole_text(kind: str) -> None:
    make, window = KINDS[kind]
    given = setting(2, "left", window)
    weight = torch.randn(B, LENGTH, WIDTH)
    gradients = []
    for steps in ([LENGTH], STEPS["several at a time"]):
        given.layer.zero_grad()
        output = torch.cat(list(given.in_steps(make(), steps)), dim=1)
        (output * weight).mean().backward()
        gradients.append([p.grad.clone() for p in given.layer.parameters() if p.grad is not None])
    assert len(gradients[0]) == 8
    for got, expected in zip(*gradients):
        assert (got - expected).abs().max() <= CACHED_TOLERANCE


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "a window" not in kind])
def test_a_refused_guess_leaves_no_trace(kind: str) -> None:
    make, window = KINDS[kind]
    given = setting(2, "left", window)
    with torch.no_grad():
        expected = given.step(0, LENGTH, None)
        held = make()
        list(given.in_steps(held, [9, 1]))
        right, given.text = given.text, torch.randn_like(given.text)
        given.step(10, 13, held)  # three tokens that were never there
        held.crop(-3)
        given.text = right
        for i in range(10, LENGTH):
            got = given.step(i, i + 1, held)
            assert (got - expected[:, i : i + 1]).abs().max() <= CACHED_TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_beams_go_on_from_the_row_they_were_copied_from(kind: str) -> None:
    make, window = KINDS[kind]
    given = setting(2, "none", window)
    beams = torch.tensor([2, 2, 0])
    with torch.no_grad():
        held = make()
        list(given.in_steps(held, [7, 1, 1]))
        held.reorder(beams)
        given.text = torch.cat([given.text[beams, :9], given.text[:, 9:]], dim=1)  # (B, T, C)
        expected = given.step(0, LENGTH, None)
        for i in range(9, LENGTH):
            got = given.step(i, i + 1, held)
            assert (got - expected[:, i : i + 1]).abs().max() <= CACHED_TOLERANCE


def test_a_cache_whose_positions_start_over_is_seen() -> None:
    """These tests can fail: the mistake that people make, made here."""
    given = setting(2, "none", None)
    with torch.no_grad():
        expected = given.step(0, LENGTH, None)
        start_over = Setting(given.layer, given.text, None, None)
        start_over.turning = lambda first, end: given.turning(0, end - first)  # type: ignore[method-assign]
        got = torch.cat(list(start_over.in_steps(cache.DynamicCache(), [9, *[1] * 10])), dim=1)
    assert (got[:, :9] - expected[:, :9]).abs().max() <= CACHED_TOLERANCE
    assert (got[:, 9:] - expected[:, 9:]).abs().amax(dim=(0, 2)).min() > 100 * CACHED_TOLERANCE


@pytest.mark.parametrize("make", [cache.DynamicCache, lambda: cache.StaticCache(LENGTH)])
def test_cross_attention_computes_its_keys_once(make: Callable[[], cache.Cache]) -> None:
    torch.manual_seed(0)
    layer = attention.MultiHeadAttention(WIDTH, H, 2, D, context_width=13)
    encoded, text = torch.randn(B, 7, 13), torch.randn(B, 5, WIDTH)
    may_attend = masks.encoder_mask(torch.tensor([[1] * 7, [0] * 3 + [1] * 4, [1] * 2 + [0] * 5]))
    calls = []
    layer.k_proj.register_forward_hook(lambda *_: calls.append("keys"))
    layer.v_proj.register_forward_hook(lambda *_: calls.append("values"))

    def output(first: int, end: int, held: cache.CacheLayer | None) -> Tensor:
        got = layer(text[:, first:end], context=encoded, may_attend=may_attend, layer=held)
        return got[0] if isinstance(got, tuple) else got

    with torch.no_grad():
        expected = output(0, 5, None)
        calls.clear()
        both = cache.EncoderDecoderCache(cache.DynamicCache(), make())
        layer_of_encoder = both.cross_attention_cache.layer(0)
        for i in range(5):
            assert both.is_updated[0] == (i > 0)
            got = output(i, i + 1, layer_of_encoder)
            assert (got - expected[:, i : i + 1]).abs().max() <= CACHED_TOLERANCE
    assert sorted(calls) == ["keys", "values"]
    assert both.cross_attention_cache.get_seq_length() == 7


@pytest.mark.parametrize("kind", KINDS)
def test_under_autocast_turned_keys_may_be_more_precise_than_values(kind: str) -> None:
    make, window = KINDS[kind]
    given = setting(2, "none", window)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = given.step(0, LENGTH, None)
        held = make()
        got = torch.cat(list(given.in_steps(held, STEPS["several at a time"])), dim=1)
    assert held.layers[0].keys is not None
    assert held.layers[0].values is not None
    assert held.layers[0].keys.dtype == torch.float32
    assert held.layers[0].values.dtype == torch.bfloat16
    assert (got - expected).abs().max() <= 0.05 * expected.abs().max()  # bfloat16's three digits
