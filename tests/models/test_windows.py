"""Sliding windows shorter than the text, with every kind of cache: Mistral's, and Qwen's by layers."""

from __future__ import annotations

import pytest
import torch

from minilm.cache import DynamicCache, DynamicSlidingWindowLayer, StaticCache

CLOSE = 1e-5
LENGTH = 11
WINDOWED = {
    "mistral": {"sliding_window": 4},
    "qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "qwen3": {
        "use_sliding_window": True,
        "sliding_window": 3,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
}
WINDOWS = {"mistral": [4, 4, 4], "qwen2": [None, 4, 4], "qwen3": [3, None, 3]}
CACHES = {
    "the model's own": lambda windows: None,
    "dynamic": lambda windows: DynamicCache(),
    "dynamic with windows": lambda windows: DynamicCache(windows),
    "static": lambda windows: StaticCache(LENGTH),
    "static with windows": lambda windows: StaticCache(LENGTH, windows),
}
models = pytest.mark.parametrize("model", list(WINDOWED))
attention = pytest.mark.parametrize("attention", ["sdpa", "eager"])


@models
@attention
@pytest.mark.parametrize("padding", ["none", "left", "right"])
def test_windows_equal_transformers(both, texts, difference, model, attention, padding):
    ours, theirs = both(model, attn_implementation=attention, **WINDOWED[model])
    batch = texts(padding, length=LENGTH)
    got, expected = (
        each(batch.input_ids, attention_mask=batch.attention_mask) for each in (ours, theirs)
    )
    assert difference(got.logits, expected.logits, batch.real) <= CLOSE
    no_window = {"sliding_window": None} if model == "mistral" else {"use_sliding_window": False}
    unlimited, _ = both(model, attn_implementation=attention, **no_window)
    assert difference(got.logits, unlimited(batch.input_ids).logits) > 1e-3


@models
@attention
@pytest.mark.parametrize("padding", ["none", "left"])
@pytest.mark.parametrize("kind", list(CACHES))
@pytest.mark.parametrize("sizes", [(1,) * 11, (6, 1, 1, 3), (2, 9), (11,)], ids=str)
def test_every_cache_gives_the_logits_of_the_whole(
    ours, texts, difference, model, attention, padding, kind, sizes
):
    made = ours(model, attn_implementation=attention, **WINDOWED[model])
    assert made.base_model.windows == WINDOWS[model]
    batch = texts(padding, length=LENGTH)
    cache, start = CACHES[kind](WINDOWS[model]), 0
    with torch.no_grad():
        whole = made(
            batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=batch.position_ids,
            use_cache=False,
        ).logits
        for size in sizes:
            end = start + size
            output = made(
                batch.input_ids[:, start:end],
                attention_mask=None if padding == "none" else batch.attention_mask[:, :end],
                position_ids=batch.position_ids[:, start:end],
                past_key_values=cache,
            )
            cache = output.past_key_values
            real = batch.real[:, start:end]
            assert difference(output.logits, whole[:, start:end], real) <= CLOSE
            start = end


@models
def test_a_models_own_cache_forgets_what_no_layer_can_see(ours, texts, model):
    made = ours(model, **WINDOWED[model])
    with torch.no_grad():
        cache = made(texts(length=LENGTH).input_ids).past_key_values
    held = [layer.keys.shape[2] for layer in cache.layers]
    assert held == [LENGTH if window is None else window - 1 for window in WINDOWS[model]]
    sliding = [isinstance(layer, DynamicSlidingWindowLayer) for layer in cache.layers]
    assert sliding == [window is not None for window in WINDOWS[model]]


def test_a_window_as_long_as_the_text_hides_nothing(ours, texts, difference):
    ids = texts(length=LENGTH).input_ids
    wide = ours("mistral", sliding_window=LENGTH)(ids).logits
    assert difference(wide, ours("mistral", sliding_window=None)(ids).logits) <= CLOSE
    assert difference(wide, ours("mistral", sliding_window=LENGTH - 1)(ids).logits) > 1e-4


@pytest.mark.parametrize("use", [False, True])
def test_qwen_has_windows_from_a_layer_on_and_only_if_it_uses_them(classes, settings, use):
    import transformers

    for model in ("qwen2", "qwen3"):
        config, _ = classes(model)
        chosen = settings(
            model, use_sliding_window=use, sliding_window=5, max_window_layers=2, layer_types=None
        )
        got = config(**chosen)
        expected = getattr(transformers, config.__name__)(**chosen)
        assert got.layer_types == expected.layer_types
        assert got.sliding_window == expected.sliding_window == (5 if use else None)
        assert ("sliding_attention" in got.layer_types) == use
