"""Causal attention in training on a CPU, quicker than torch's one call where that pays.

torch's kernel skips hidden keys in steps of 512, so that up to there half of its work is for
nothing. Long texts are cut into strips and handed to the same kernel, and nearly all of that falls
away. Forward, each strip of queries meets the keys up to its last one. Backward, each strip of keys
meets the queries from its first one on: the log of the sum in each row's softmax is known by then,
which makes the gradients of a strip exact by themselves (Dao et al. 2022, algorithm 4).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from minilm import masks

# With fewer tokens, or fewer scores in all, calling torch more often costs more than it saves.
SHORTEST = 256
_FEWEST_SCORES = 1 << 20
# From here on torch itself skips most of what causal order hides, going forward.
_LONG = 1024

_flash: Any = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
_flash_backward: Any = getattr(
    torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward", None
)
# Inside torch.func's vmap and its kin, torch's own attention is the one that works.
_transforming: Any = getattr(torch._C, "_are_functorch_transforms_active", bool)


def pays(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Say whether `in_strips` is quicker, and can take these: torch's kernel itself does not look.

    query: (B, H, T, D)    key, value: (B, H_kv, T, D)

    Returns False where the plain call of torch should do it, or say what is wrong: without
    gradients too, since nearly all of the gain is in the backward pass.
    """
    if query.ndim != 4 or query.shape[2] < SHORTEST:
        return False
    batch, n_heads, length, head_dim = query.shape
    return (
        batch * n_heads * length**2 >= _FEWEST_SCORES
        and torch.is_grad_enabled()
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
