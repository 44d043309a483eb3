"""Attention: how fast it is in training and token by token, and what its cache weighs.

Both sides get the same tensors, laid out as a model lays them out (heads cut from the width), and
their results are compared before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from minilm.bench.comparing import Comparison, seconds

# Query heads and key heads: each its own, and four to one.
HEADS = {"MHA": (8, 8), "GQA": (8, 2)}
HEAD_DIM = 64
# Texts of 128 tokens go into the same call of torch on both sides: as quick, give or take noise.
TRAINING = {128: 1.0, 512: 1.0, 2048: 1.0}
CACHED = 1024
STEPS = 16


def comparisons(folder: Path, quick: bool) -> Iterator[Comparison]:
    """Yield what to measure.

    folder: not used    quick: on short texts
    """
    import torch

    torch.manual_seed(0)
    for kind, (n_heads, n_kv_heads) in HEADS.items():
        for length, wanted in TRAINING.items():
            length = length // 16 if quick else length
            yield _training(kind, length, n_heads, n_kv_heads, wanted)
    for kind, (n_heads, n_kv_heads) in HEADS.items():
        yield from _decoding(kind, CACHED // 16 if quick else CACHED, n_heads, n_kv_heads)
    yield _eager(32 if quick else 512)
    yield _memory(64 if quick else 2048)


def _tensors(batch: int, length: int, n_heads: int, n_kv_heads: int) -> list[Any]:
    """Query, key and value, (B, H, T, D) each, the heads cut from (B, T, H·D)."""
    import torch

    return [
        torch.randn(batch, length, heads, HEAD_DIM).transpose(1, 2)
        for heads in (n_heads, n_kv_heads, n_kv_heads)
    ]


def _reference(n_heads: int, n_kv_heads: int) -> Callable[[Any, Any, Any], Any]:
    """Call the "sdpa" attention of transformers as a Llama layer does: gives (B, T, H, D)."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    sdpa = ALL_ATTENTION_FUNCTIONS["sdpa"]
    layer = SimpleNamespace(num_key_value_groups=n_heads // n_kv_heads, is_causal=True)
    return lambda q, k, v: sdpa(layer, q, k, v, None, dropout=0.0, scaling=HEAD_DIM**-0.5)[0]


def _check(what: str, ours: Any, theirs: Any, tolerance: float = 2e-6) -> None:
    apart = (ours - theirs).abs().max().item()
    if not apart <= tolerance:
        raise AssertionError(f"{what}: {apart:.1e} apart, so the speeds compare different things")


def _training(kind: str, length: int, n_heads: int, n_kv_heads: int, wanted: float) -> Comparison:
    import torch

    from minilm import attention

    inputs = [x.requires_grad_() for x in _tensors(1, length, n_heads, n_kv_heads)]
    grad = torch.randn(1, length, n_heads * HEAD_DIM)
    reference = _reference(n_heads, n_kv_heads)

    def ours() -> Any:
        mixed = attention.merge_heads(attention.attention(*inputs, is_causal=True)[0])
        return mixed, torch.autograd.grad(mixed, inputs, grad)

    def theirs() -> Any:
        mixed = reference(*inputs).flatten(2)  # (B, T, H·D)
        return mixed, torch.autograd.grad(mixed, inputs, grad)

    name = f"{kind}, {length} tokens: forward and backward"
    (our_output, our_grads), (their_output, their_grads) = ours(), theirs()
    _check(name, our_output, their_output)
    for our_grad, their_grad in zip(our_grads, their_grads, strict=True):
        largest = their_grad.abs().max().item()
        _check(f"{name}, gradients", our_grad / largest, their_grad / largest, 1e-6)
    return Comparison(
        name,
        "tokens/s",
        lambda: length / seconds(ours),
        lambda: length / seconds(theirs),
        at_least=wanted,
        runs=31 if length < 1024 else 11,
    )


def _decoding(kind: str, length: int, n_heads: int, n_kv_heads: int) -> Iterator[Comparison]:
    """One token after another, each put into the cache and attending over all of it."""
    import torch
    from transformers import DynamicCache as TheirCache

    from minilm import attention
    from minilm.cache import DynamicCache, StaticCache

    _, past_key, past_value = _tensors(1, length, n_heads, n_kv_heads)
    steps = [_tensors(1, 1, n_heads, n_kv_heads) for _ in range(STEPS)]
    reference = _reference(n_heads, n_kv_heads)

    def prepared(cache: Any) -> Any:
        cache.update(past_key, past_value, 0)
        return cache

    def ours(cache: Any) -> Any:
        layer = cache.layers[0]
        return [attention.cached_attention(q, k, v, layer)[0].transpose(1, 2) for q, k, v in steps]

    def theirs(cache: Any) -> Any:
        return [reference(q, *cache.update(k, v, 0)) for q, k, v in steps]

    def speed(work: Callable[[Any], Any], make: Callable[[], Any]) -> float:
        with torch.no_grad():
            cache = prepared(make())
            return STEPS / seconds(lambda: work(cache))

    kinds: dict[str, tuple[Callable[[], Any], float | None]] = {
        "preallocated": (lambda: StaticCache(length + STEPS), 1.5),
        "growing": (lambda: DynamicCache(), None),
    }
    for which, (make, wanted) in kinds.items():
        name = f"{kind}, one token after {length}: {which} cache beside DynamicCache"
        with torch.no_grad():
            for mine, other in zip(ours(prepared(make())), theirs(prepared(TheirCache()))):
                _check(name, mine, other)
        yield Comparison(
            name,
            "tokens/s",
            lambda make=make: speed(ours, make),  # type: ignore[misc]
            lambda: speed(theirs, TheirCache),
            at_least=wanted,
            runs=25,
        )


def _eager(length: int) -> Comparison:
    import torch

    from minilm import attention

    inputs = [x.requires_grad_() for x in _tensors(2, length, 8, 2)]
    grad = torch.randn(2, 8, length, HEAD_DIM)

    def speed(output_attentions: bool) -> float:
        def work() -> None:
            mixed, _ = attention.attention(
                *inputs, is_causal=True, output_attentions=output_attentions
            )
            torch.autograd.grad(mixed, inputs, grad)

        return 2 * length / seconds(work)

    return Comparison(
        f"GQA, 2 × {length} tokens: without the weights beside with them (both minilm)",
        "tokens/s",
        lambda: speed(False),
        lambda: speed(True),
    )


def _memory(length: int) -> Comparison:
    """The preallocated cache of GPT-2's size, over the bytes that the formula says."""
    import torch

    from minilm import cache

    layers, heads = 12, 12
    held = cache.StaticCache(length)
    token = torch.zeros(1, heads, 1, HEAD_DIM)
    with torch.no_grad():
        for layer in range(layers):
            held.update(token, token, layer)
    expected = cache.cache_bytes(layers, 1, heads, length, HEAD_DIM)
    if held.nbytes != expected:
        raise AssertionError(f"the cache holds {held.nbytes} bytes, its formula says {expected}")
    return Comparison(
        f"memory of the preallocated cache, {layers} layers × {length} tokens, beside its formula",
        "MB",
        lambda: held.nbytes / 1e6,
        lambda: expected / 1e6,
        at_most=1.0,
        runs=1,
    )
