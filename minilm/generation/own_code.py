"""Whether a model, and the functions that it goes through, are as minilm has them.

What a reader has replaced, hooked, adapted or subclassed must be called; only what is certainly
minilm's own may be left out.
"""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as of_all_modules

from minilm import attention, cache, layers, masks
from minilm.models import decoder, gpt2, gpt_neox, llama
from minilm.positions import learned, rotary

# What the short way does without calling it. The functions of positions and those that choose
# tokens are called in any case.
LEFT_OUT: dict[ModuleType, tuple[str, ...]] = {
    cache: ("write_in_place",),
    attention: (
        "split_heads",
        "merge_heads",
        "repeat_kv",
        "attention_scores",
        "masked_softmax",
        "eager_attention",
        "attention",
        "sdpa_attention",
        "cached_attention",
    ),
    layers: ("layer_norm", "rms_norm", "gelu_new", "swiglu", "conv1d", "pre_norm_block"),
    masks: (
        "causal_mask",
        "padding_mask",
        "sliding_window_mask",
        "mask_to_scores",
        "decoder_mask",
    ),
    rotary: ("rotate_half", "apply_rotary_pos_emb"),
}
# The modules that models of minilm are made of.
_HOMES = (decoder, gpt2, gpt_neox, llama, layers, learned, rotary)
_HOME_OF = {home.__name__: home for home in _HOMES}
_FROM_TORCH = (nn.Linear, nn.Dropout, nn.ModuleList)


def nothing_replaced() -> bool:
    """Say whether the functions that the short way leaves out are minilm's own."""
    return all(is_own(home, name) for home, names in LEFT_OUT.items() for name in names)


def is_own(home: ModuleType, name: str) -> bool:
    """Say whether a function of a module is the one that its file defines.

    home: the module    name: of the function
    """
    return _is_from(vars(home).get(name), home)


def _is_from(function: Any, home: ModuleType) -> bool:
    return isinstance(function, FunctionType) and function.__code__.co_filename == home.__file__


def is_own_model(model: Any) -> bool:
    """Say whether all parts of a model are minilm's, none has hooks, and all weights are of one kind.

    model: a causal one
    """
    body = getattr(model, "base_model", None)
    if not isinstance(body, decoder.Decoder) or len(body.layers) != len(body.windows):
        return False
    if body.attn_implementation == "eager" or torch.is_autocast_enabled("cpu"):
        return False
    if any(
        model.config.to_dict().get(name) for name in ("output_attentions", "output_hidden_states")
    ):
        return False
    kinds = {(parameter.dtype, parameter.device.type) for parameter in model.parameters()}
    usual = {torch.float32, torch.float64, torch.bfloat16}
    if len(kinds) != 1 or not all(dtype in usual and on == "cpu" for dtype, on in kinds):
        return False
    for name in ("_global_forward_hooks", "_global_forward_pre_hooks"):
        if getattr(of_all_modules, name, None):
            return False
    return all(map(_is_plain, model.modules()))


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is what its class says: nobody's own, not training, nothing hung onto it."""
    kind = type(module)
    if module.training or module._forward_hooks or module._forward_pre_hooks:
        return False
    if "forward" in vars(module):
        return False
    if kind in _FROM_TORCH:
        return True
    home = _HOME_OF.get(kind.__module__)
    return home is not None and _is_from(kind.forward, home)
