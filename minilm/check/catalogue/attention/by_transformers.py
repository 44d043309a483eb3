"""What transformers' own functions answer, in minilm's terms: boolean masks, heads before tokens."""

from __future__ import annotations

import math
from types import SimpleNamespace

from minilm.check.later import torch

LESSON = "05_attention"
# Sums of products come out differently in another order of adding; mistakes are far larger.
TOLERANCE = 1e-5


def eager(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
    """Ask Llama's eager attention; a row that may look nowhere gets zeros, as everywhere here."""
    from transformers.models.llama.modeling_llama import eager_attention_forward

    added = torch.zeros((), dtype=query.dtype) if bias is None else bias
    somewhere = None
    if may_attend is not None:
        somewhere = may_attend.any(dim=-1, keepdim=True)
        added = torch.where(may_attend | ~somewhere, added, -math.inf)
    module = SimpleNamespace(num_key_value_groups=query.shape[1] // key.shape[1], training=True)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    output, weights = eager_attention_forward(module, query, key, value, added, scale, dropout)
    output = output.transpose(1, 2)  # (B, H, T, D)
    if somewhere is not None:
        output, weights = output * somewhere, weights * somewhere
    return output, weights


def scores_of_eager(query, key, scale=None):
    """Look at what Llama's eager attention gives to its softmax."""
    from torch.overrides import TorchFunctionMode

    given = []

    class Listening(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.nn.functional.softmax:
                given.append(args[0])
            return func(*args, **(kwargs or {}))

    with Listening():
        eager(query, key, key, scale=scale)
    [scores] = given
    return scores


def weights_of_eager(scores, may_attend=None):
    """Give Llama's eager attention scores of our choice: queries that meet one key for each number."""
    keys = torch.eye(scores.shape[-1], dtype=scores.dtype)
    keys = keys.expand(*scores.shape[:2], -1, -1)  # (B, H, S, S)
    return eager(scores, keys, keys, may_attend, scale=1.0)[1]
