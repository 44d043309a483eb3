"""The optimizer of a run: which weights decay, and AdamW in the form that is fastest here."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from minilm.layers import LayerNorm, RMSNorm

# Norms under whatever name a model gives them; the patterns are transformers'.
_NO_DECAY = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")
_NORMS = (nn.LayerNorm, LayerNorm, RMSNorm)


def decayed_names(model: nn.Module) -> set[str]:
    """Name the weights that decay: matrices and embeddings, but no bias and no norm.

    model: any

    Equals transformers' choice for its models; a norm of minilm's is known by its class.
    """
    norms = {
        f"{place}.{name}".lstrip(".")
        for place, module in model.named_modules()
        if isinstance(module, _NORMS)
        for name, _ in module.named_parameters(recurse=False)
    }
    return {
        name
        for name, _ in model.named_parameters()
        if name not in norms and not _NO_DECAY.search(name.lower())
    }


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Divide the weights that are trained into those that decay and those that do not.

    model: any    weight_decay: of the first group; the second has 0
    """
    decayed = decayed_names(model)
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    return [
        {"params": [w for name, w in trained if name in decayed], "weight_decay": weight_decay},
        {"params": [w for name, w in trained if name not in decayed], "weight_decay": 0.0},
    ]


def create_optimizer(model: nn.Module, args: Any) -> torch.optim.Optimizer:
    """Make the optimizer of a run.

    model: whose weights it moves    args: the TrainingArguments; `optim` says which
    """
    groups = decay_groups(model, args.weight_decay)
    if args.optim == "sgd":
        return torch.optim.SGD(groups, lr=args.learning_rate)
    fused = args.optim == "adamw_torch_fused" and all(
        torch.is_floating_point(weight) for group in groups for weight in group["params"]
    )
    return torch.optim.AdamW(
        groups,
        lr=args.learning_rate,
        betas=(args.adam_beta1, args.adam_beta2),
        eps=args.adam_epsilon,
        fused=fused or None,
    )
