"""Tensors and weights in which a bug shows: all sizes different, nothing zero or one by chance."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch


@pytest.fixture
def draw():
    """draw(seed, B, H, H_kv, T, S, D): query, key and value."""

    def tensors(seed, batch, n_heads, n_kv_heads, queries, keys, head_dim, dtype=torch.float32):
        source = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=source, dtype=torch.float64).to(dtype)

        return (
            normal(batch, n_heads, queries, head_dim),
            normal(batch, n_kv_heads, keys, head_dim),
            normal(batch, n_kv_heads, keys, head_dim),
        )

    return tensors


@pytest.fixture
def random_mask():
    """random_mask(seed, *shape): bool, every row with something to look at."""

    def mask(seed, *shape):
        source = torch.Generator().manual_seed(seed)
        may_attend = torch.rand(*shape, generator=source) < 0.6
        may_attend[..., 0] |= ~may_attend.any(-1)
        return may_attend

    return mask


@pytest.fixture
def as_scores():
    """Their eager functions add a mask: 0 where one may look, -inf where not."""
    return lambda mask, dtype=torch.float32: (
        None if mask is None else torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, -math.inf)
    )


@pytest.fixture
def module_like():
    """What their functions read from the layer they are called for."""
    return lambda n_rep=1, is_causal=False, training=False: SimpleNamespace(
        num_key_value_groups=n_rep, is_causal=is_causal, training=training
    )


@pytest.fixture
def wake():
    """Make every weight matter: matrices four times as large, vectors with noise."""

    def woken(module, awake=True, seed=0):
        source = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in module.parameters():
                if weight.ndim > 1:
                    weight.normal_(0.0, 0.02, generator=source).mul_(4.0 if awake else 1.0)
                elif awake:
                    weight.add_(torch.randn(weight.shape, generator=source) * 0.1)
        return module.eval()

    return woken


@pytest.fixture
def gradients():
    """gradients(function, inputs): its output, and the gradients for one fixed direction."""

    def both(function, inputs):
        inputs = [x.detach().clone().requires_grad_() for x in inputs]
        output = function(*inputs)
        source = torch.Generator().manual_seed(1)
        direction = torch.randn(output.shape, generator=source, dtype=torch.float64)
        return output, torch.autograd.grad(output, inputs, direction.to(output.dtype))

    return both
