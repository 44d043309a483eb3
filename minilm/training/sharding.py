"""FSDP2: weights, gradients and the optimizer's state divided among processes, block by block.

Each process keeps a slice of every weight. Before a block runs, its weights are put together; after
it they are given up again (Rajbhandari et al. 2020, ZeRO stage 3; torch's `fully_shard`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from minilm.errors import FileProblem, InvalidInput, WrongType

# Words of transformers' argument → whether weights are given up after a block's forward pass.
_WORDS = {"full_shard": True, "shard_grad_op": False}
_NOT_HERE = {
    "no_shard": "Leave fsdp out: every process keeps whole weights then.",
    "hybrid_shard": 'Give "full_shard".',
    "hybrid_shard_zero2": 'Give "shard_grad_op".',
    "offload": "Leave it out: slices stay where they are computed with.",
}
# Settings of transformers' fsdp_config, with what they may be here.
_SETTINGS: dict[str, tuple[Any, ...]] = {
    "version": (2, "2"),
    "reshard_after_forward": (True, False),
    "transformer_layer_cls_to_wrap": (),  # any names
    "auto_wrap_policy": ("TRANSFORMER_BASED_WRAP", "NO_WRAP"),
    "state_dict_type": ("FULL_STATE_DICT",),
    "cpu_offload": (False,),
    "cpu_ram_efficient_loading": (False,),
    "activation_checkpointing": (False,),
    "min_num_params": (0,),
    "xla": (False,),
    "xla_fsdp_v2": (False,),
    "xla_fsdp_grad_ckpt": (False,),
}
_INSTEAD = {
    "activation_checkpointing": "Give TrainingArguments(gradient_checkpointing=True).",
    "state_dict_type": "Checkpoints are written whole, so that they load anywhere.",
    "auto_wrap_policy": "Name the classes of the blocks: transformer_layer_cls_to_wrap=[…].",
    "min_num_params": "Name the classes of the blocks: transformer_layer_cls_to_wrap=[…].",
}


@dataclass(frozen=True)
class Options:
    """Say how weights are divided.

    reshard_after_forward: give a block's weights up until the backward pass; less memory, more talk
    blocks: names of the classes to divide one by one; none = those in the model's lists of modules
    by_block: False = the model as one piece
    """

    reshard_after_forward: bool = True
    blocks: tuple[str, ...] = ()
    by_block: bool = True


def read_options(fsdp: Any, fsdp_config: Any) -> Options | None:
    """Understand the arguments fsdp and fsdp_config.

    fsdp: True, "full_shard", "shard_grad_op", also with "auto_wrap", as text or list; or nothing
    fsdp_config: a dict of settings, or the path of a JSON file of one

    Returns None if nothing is to be divided. Raises InvalidInput for what is not known or not here.
    """
    words = _words(fsdp)
    if words is None:
        return None
    chosen = [word for word in dict.fromkeys(words) if word in _WORDS]
    if len(chosen) > 1:
        raise InvalidInput(f"fsdp={fsdp!r} says {' and '.join(chosen)}; give one of them.")
    settings: dict[str, Any] = {
        "reshard_after_forward": _WORDS[chosen[0] if chosen else "full_shard"]
    }
    settings |= _settings(fsdp_config)
    blocks = settings.get("transformer_layer_cls_to_wrap") or ()
    return Options(
        reshard_after_forward=settings["reshard_after_forward"],
        blocks=(blocks,) if isinstance(blocks, str) else tuple(blocks),
        by_block=settings.get("auto_wrap_policy") != "NO_WRAP",
    )


def _words(fsdp: Any) -> list[str] | None:
    """The words of the argument; None if it says nothing."""
    if fsdp is None or fsdp is False or fsdp == "" or fsdp == []:
        return None
    if fsdp is True:
        return []
    if not isinstance(fsdp, str | list | tuple):
        raise WrongType(f'fsdp={fsdp!r} was given; expected True, or "full_shard".')
    words = fsdp.replace(",", " ").split() if isinstance(fsdp, str) else list(fsdp)
    words = [str(getattr(word, "value", word)) for word in words]
    for word in words:
        if word in _NOT_HERE:
            raise InvalidInput(f"fsdp={fsdp!r}: {word} is not there. {_NOT_HERE[word]}")
        if word not in (*_WORDS, "auto_wrap"):
            raise InvalidInput(
                f"fsdp={fsdp!r}: {word!r} is not known; there are 'full_shard' and "
                f"'shard_grad_op'.{_near(word, _WORDS)}"
            )
    return words


def _settings(fsdp_config: Any) -> dict[str, Any]:
    if not fsdp_config:
        return {}
    if isinstance(fsdp_config, str):
        try:
            with open(fsdp_config, encoding="utf-8") as file:
                fsdp_config = json.load(file)
        except (OSError, ValueError) as error:
            raise FileProblem(
                f"fsdp_config='{fsdp_config}' cannot be read ({error}). Give a dict, or the path "
                "of a JSON file."
            ) from None
    if not isinstance(fsdp_config, Mapping):
        raise WrongType(
            f"fsdp_config is a {type(fsdp_config).__name__}; expected a dict of settings."
        )
    settings = {str(name).removeprefix("fsdp_"): value for name, value in fsdp_config.items()}
    for name, value in settings.items():
        if name not in _SETTINGS:
            raise InvalidInput(
                f"fsdp_config has {name!r}, which is not known. There are: "
                f"{', '.join(_SETTINGS)}.{_near(name, _SETTINGS)}"
            )
        allowed = _SETTINGS[name]
        if isinstance(value, str):  # JSON files of accelerate's have words
            value = {"true": True, "false": False}.get(value.lower(), value)
        if allowed and value not in allowed:
            instead = _INSTEAD.get(name, "Leave it out.")
            raise InvalidInput(
                f"fsdp_config has {name}={value!r}; it is {' or '.join(map(repr, allowed))} here. "
                f"{instead}"
            )
        settings[name] = value
    return settings


def _near(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def shard(model: nn.Module, options: Options | None) -> None:
    """Divide a model's weights among all processes, in place.

    model: on its device, the same everywhere    options: how

    Raises InvalidInput if it has none of the blocks that are asked for.
    """
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    options = options or Options()
    kind = type(model)
    # Named, for torch would choose a GPU if there is one.
    mesh = init_device_mesh(next(model.parameters()).device.type, (dist.get_world_size(),))
    for block in find_blocks(model, options):
        fully_shard(block, mesh=mesh, reshard_after_forward=options.reshard_after_forward)
    fully_shard(model, mesh=mesh)  # what is in no block: embeddings, the last norm, the head
    # torch makes a class of it, "FSDPLlamaForCausalLM"; files are to name the one that can be loaded.
    type(model).__name__ = kind.__name__


def find_blocks(model: nn.Module, options: Options) -> list[nn.Module]:
    """Choose the parts of a model that are put together one after the other.

    model: any    options: may name their classes

    Returns, without names, the members of its outermost lists of modules: a decoder's layers.
    """
    if not options.by_block:
        return []
    names = options.blocks or tuple(getattr(model, "_no_split_modules", None) or ())
    if names:
        found = [each for each in model.modules() if type(each).__name__ in names]
        if not found and options.blocks:
            there = sorted({type(each).__name__ for each in _members(model)})
            raise InvalidInput(
                f"transformer_layer_cls_to_wrap={list(names)} was given, and the model has no such "
                f"parts. Its blocks are {', '.join(there) or 'not in lists'}."
            )
        if found:
            return found
    return _members(model)


def _members(model: nn.Module) -> list[nn.Module]:
    """Those modules in lists that have weights, lists within lists left alone."""
    found: list[nn.Module] = []
    for child in model.children():
        if isinstance(child, nn.ModuleList):
            found += [each for each in child if next(each.parameters(), None) is not None]
        else:
            found += _members(child)
    return found


def is_sharded(model: nn.Module) -> bool:
    """Whether a model's weights are divided."""
    return any(_is_divided(weight) for weight in model.parameters())


def _is_divided(value: Any) -> bool:
    return isinstance(value, Tensor) and hasattr(value, "full_tensor")


def whole_weights(model: nn.Module, keep: bool) -> dict[str, Tensor]:
    """Put the weights of a divided model together, for a file.

    model: divided    keep: whether this process wants them; all must take part

    Returns every weight and buffer by name, on the CPU, tied ones as one tensor; nothing unless kept.
    """
    tensors = dict(model.state_dict(keep_vars=True))
    once: dict[int, Tensor] = {}
    state = {}
    for name, tensor in tensors.items():
        if id(tensor) not in once:
            once[id(tensor)] = whole(tensor.detach(), keep)
        state[name] = once[id(tensor)]
    return state if keep else {}


def whole(value: Any, keep: bool) -> Any:
    """Put divided tensors together, also within dicts and lists.

    value: the same on all processes but for its slices    keep: whether this process wants them
    """
    if _is_divided(value):
        together = value.full_tensor()
        return together.cpu() if keep else None
    if isinstance(value, dict):
        return {name: whole(each, keep) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(whole(each, keep) for each in value)
    return value


def like(tensor: Tensor, model_tensor: Any) -> Tensor:
    """Divide a whole tensor as a model's is.

    tensor: of the whole shape, the same on all processes    model_tensor: divided, or not

    Returns it as it is if the other is not divided.
    """
    if not _is_divided(model_tensor) or tensor.shape != model_tensor.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    tensor = tensor.to(model_tensor.device)
    # Every process has all of it, and takes its slice without asking.
    return distribute_tensor(
        tensor, model_tensor.device_mesh, model_tensor.placements, src_data_rank=None
    )


def divided_like(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Divide whole weights as a model's are, so that load_state_dict takes them.

    model: divided or not    state: whole weights by name
    """
    own = model.state_dict()
    return {name: like(tensor, own.get(name)) for name, tensor in state.items()}


def divided_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Divide an optimizer's whole state as its weights are.

    optimizer: of the weights    state: whole, as its state_dict gives it in one process
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    parts = {
        place: {
            name: like(value, weights[place]) if isinstance(value, Tensor) else value
            for name, value in values.items()
        }
        for place, values in state["state"].items()
        if place < len(weights)
    }
    return {**state, "state": parts}
