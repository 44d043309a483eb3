"""Causal attention in training on a CPU, quicker than torch's one call where that pays.

torch's kernel skips hidden keys in steps of 512, so that up to there half of its work is for
nothing. Long texts are cut into strips and handed to the same kernel, and nearly all of that falls
away. Forward, each strip of queries meets the keys up to its last one. Backward, each strip of keys
meets the queries from its first one on: the log of the sum in each row's softmax is known by then,
which makes the gradients of a strip exact by themselves (Dao et al. 2022, algorithm 4).

Of a few short texts the scores fit into the processor's cache: plain products keep them there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from minilm import masks

# Measured: shorter texts, and those between the two, are as quick in one call of torch.
SHORTEST = 128
_STRIPS_FROM = 256
_STRIPS_FROM_SCORES = 1 << 20
_PRODUCTS_TO_SCORES = 1 << 18
# From here on torch itself skips most of what causal order hides, going forward.
_LONG = 1024

_flash: Any = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
_flash_backward: Any = getattr(
    torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward", None
)
# Inside torch.func's vmap and its kin, torch's own attention is the one that works.
_transforming: Any = getattr(torch._C, "_are_functorch_transforms_active", bool)


def way(
    query: Tensor, key: Tensor, value: Tensor
) -> Callable[[Tensor, Tensor, Tensor, float], Tensor] | None:
    """Choose how these are attended over soonest, in causal order with gradients.

    query: (B, H, T, D)    key, value: (B, H_kv, T, D)

    Returns `in_strips`, `in_products` or None: leave it to torch, which also says what is wrong.
    """
    if not _fit(query, key, value):
        return None
    batch, n_heads, length, _ = query.shape
    scores = batch * n_heads * length**2
    if length >= _STRIPS_FROM:
        return in_strips if scores >= _STRIPS_FROM_SCORES else None
    return in_products if scores <= _PRODUCTS_TO_SCORES else None


def _fit(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Whether these are what the ways here are for. The kernel itself does not look."""
    if query.ndim != 4:
        return False
    batch, n_heads, length, head_dim = query.shape
    return (
        torch.is_grad_enabled()
        and (query.requires_grad or key.requires_grad or value.requires_grad)
        and query.dtype in (torch.float32, torch.float64)
        and query.device.type == "cpu"
        and key.shape == value.shape
        and key.shape[::2] == (batch, length)
        and key.shape[3] == head_dim
        and query.dtype == key.dtype == value.dtype
        and head_dim > 0
        and key.shape[1] > 0
        and n_heads % key.shape[1] == 0
        and query.stride(3) == key.stride(3) == value.stride(3) == 1
        and _flash is not None
        and _flash_backward is not None
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not _transforming()
    )


def in_products(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attend in causal order by two batched products and a softmax.

    query: (B, H, T, D)    key, value: (B, H_kv, T, D)    scale: multiplies the scores

    Returns (B, H, T, D). Equals `attention.eager_attention`: its steps, with fewer tensors between.
    """
    batch, n_heads, length, head_dim = query.shape
    n_rep = n_heads // key.shape[1]
    earlier = masks.mask_to_scores(masks.causal_mask(length, length, query.device), query.dtype)
    # The query heads that share a key head stand below each other.
    query = query.reshape(-1, n_rep * length, head_dim)  # (B·H_kv, n_rep·T, D)
    key = key.reshape(-1, length, head_dim)  # (B·H_kv, T, D)
    value = value.reshape(-1, length, head_dim)  # (B·H_kv, T, D)
    scores = torch.baddbmm(earlier.repeat(n_rep, 1), query, key.mT, alpha=scale)
    mixed = torch.bmm(scores.softmax(dim=-1), value)  # (B·H_kv, n_rep·T, D)
    return mixed.reshape(batch, n_heads, length, head_dim)


def in_strips(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attend in causal order, strip by strip.

    query: (B, H, T, D)    key, value: (B, H_kv, T, D)    scale: multiplies the scores

    Returns (B, H, T, D). Equals `attention.sdpa_attention` to about 1e-6, not to the last bit.
    """
    return _Strips.apply(query, key, value, scale)[0]


def _strip_width(length: int) -> int:
    return min(max(length // 4, 32), 256)


class _Strips(torch.autograd.Function):
    """The forward and the backward pass, for autograd."""

    @staticmethod
    def forward(query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        batch, n_heads, length, head_dim = query.shape
        if length >= _LONG:
            return _flash(query, key, value, is_causal=True, scale=scale)
        width = _strip_width(length)
        earlier = masks.mask_to_scores(
            masks.causal_mask(width, length, query.device), query.dtype
        )  # (width, T)
        mixed = query.new_empty(batch, length, n_heads, head_dim).transpose(1, 2)  # (B, H, T, D)
        log_sums = query.new_empty(batch, length, n_heads).transpose(1, 2)  # (B, H, T)
        for start in range(0, length, width):
            end = min(start + width, length)
            mixed[:, :, start:end], log_sums[:, :, start:end] = _flash(
                query[:, :, start:end],
                key[:, :, :end],
                value[:, :, :end],
                attn_mask=earlier[start - end :, -end:],  # (strip, end)
                scale=scale,
            )
        return mixed, log_sums

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        query, key, value, ctx.scale = inputs
        ctx.save_for_backward(query, key, value, *output)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, mixed, log_sums = ctx.saved_tensors
        grad_query: Any = None
        grad_key, grad_value = torch.empty_like(key), torch.empty_like(value)
        length = query.shape[2]
        width = _strip_width(length)
        for start in range(0, length, width):
            strip = slice(start, start + width)
            of_query, grad_key[:, :, strip], grad_value[:, :, strip] = _flash_backward(
                grad[:, :, start:],
                query[:, :, start:],
                key[:, :, strip],
                value[:, :, strip],
                mixed[:, :, start:],
                log_sums[:, :, start:],
                0.0,  # dropout
                True,  # is_causal: query i of these sees key i of these, and those before it
                scale=ctx.scale,
            )
            if grad_query is None:  # the first strip of keys meets every query
                grad_query = of_query
            else:
                grad_query[:, :, start:] += of_query
        return grad_query, grad_key, grad_value, None
