"""`save_pretrained`: a config and weights in a folder, as transformers writes and reads them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minilm import weights
from minilm.config import CONFIG_NAME
from minilm.errors import FileProblem, InvalidInput, WrongType
from minilm.files import replacing_as_one
from minilm.models.base import PreTrainedModel, added_later, refuse_unknown
from minilm.weights import INDEX, SAFETENSORS, parse_size, shard_names, tensor_bytes

# What stands for a checkpoint's weights, besides the pickles, which everybody reads last.
WEIGHT_FILES = (SAFETENSORS, SAFETENSORS + INDEX, "model-*-of-*.safetensors")
# What transformers takes, where giving it changes nothing.
_WITHOUT_EFFECT = {
    "is_main_process": True,
    "push_to_hub": False,
    "save_peft_format": True,
    "save_original_format": True,
    "token": None,
    "variant": None,
}


def save_model(
    model: PreTrainedModel,
    save_directory: str | os.PathLike[str],
    *,
    max_shard_size: int | str = "50GB",
    state_dict: Mapping[str, Tensor] | None = None,
    safe_serialization: bool = True,
    **options: Any,
) -> None:
    """Write a model's config and weights, all of them or none.

    save_directory: is made if need be; safetensors weights there are replaced, other files stay
    max_shard_size: bytes a file may hold, or "200MB", "5GB"; more is divided over files
    state_dict: weights to write instead of the model's own
    safe_serialization: True; pickles are not written

    A process killed at any moment leaves the old checkpoint or the new one, never a mixture, for
    everybody who loads with minilm; and once that was done, for everybody.
    Raises FileProblem if the disk is full or the folder cannot be written: the old files stay.
    Reference: transformers' `PreTrainedModel.save_pretrained`.
    """
    for name, value in options.items():
        if name not in _WITHOUT_EFFECT:
            known = ("save_directory", "max_shard_size", "state_dict", "safe_serialization")
            refuse_unknown([name], known, f"{type(model).__name__}.save_pretrained")
        if value != _WITHOUT_EFFECT[name]:
            raise InvalidInput(
                f"{name}={value!r} was given; models are saved whole, into a folder of this machine."
            )
    if not safe_serialization:
        raise InvalidInput(
            "safe_serialization=False was given; weights are written as safetensors only, since "
            "opening a pickle can run code."
        )
    tensors = stored_tensors(model, state_dict)
    shards = weights.plan_shards(
        {name: tensor_bytes(tensor) for name, tensor in tensors.items()}, parse_size(max_shard_size)
    )
    files = dict(zip(shard_names(len(shards)), shards, strict=True))
    model.config.architectures = [type(model).__name__]
    model.config.dtype = model.dtype
    try:
        with replacing_as_one(save_directory, WEIGHT_FILES) as staging:
            (staging / CONFIG_NAME).write_text(model.config.to_json_string(), encoding="utf-8")
            for file, text in added_later("generation_file")(model).items():
                (staging / file).write_text(text, encoding="utf-8")
            for file, names in files.items():
                _write(staging / file, {name: tensors[name] for name in names})
            if len(files) > 1:
                text = json.dumps(_index(files, tensors), indent=2, sort_keys=True) + "\n"
                (staging / (SAFETENSORS + INDEX)).write_text(text, encoding="utf-8")
    except OSError as error:
        if isinstance(error, FileProblem):
            raise
        raise FileProblem(
            f"The model was not saved in '{save_directory}' ({error.strerror or error}); what lay "
            "there before is as it was. Free some space, or give another folder."
        ) from error


def stored_tensors(
    model: PreTrainedModel, state_dict: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Choose what goes into the files: every weight by name, tied ones once.

    model: whose weights    state_dict: instead of its own
    """
    if state_dict is not None and not isinstance(state_dict, Mapping):
        raise WrongType(
            f"state_dict is of {type(state_dict).__name__}; expected names and their tensors, as "
            "model.state_dict() gives them."
        )
    state: dict[str, Any] = dict(model.state_dict() if state_dict is None else state_dict)
    if not state:
        raise InvalidInput("There are no weights to save. Give model.state_dict() as state_dict.")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise WrongType(
                f"state_dict[{name!r}] is no tensor with a name. Give model.state_dict()."
            )
        if value.layout is not torch.strided:
            raise InvalidInput(
                f"{name} is a sparse tensor, and safetensors files hold dense ones. Give "
                "tensor.to_dense()."
            )
        if hasattr(value, "full_tensor"):
            raise InvalidInput(
                f"{name} is divided among several processes, and this one has a slice of it. Save "
                "with the trainer, in all processes: trainer.save_model(folder)."
            )
    empty = [name for name, value in state.items() if value.is_meta]
    if empty:
        raise InvalidInput(
            f"{empty[0]} is on the meta device, so it has a shape and no numbers. Load the weights "
            "before saving them."
        )
    for name, source in model.tied_weights.items():
        if name in state and source in state and _same_memory(state[name], state[source]):
            del state[name]
    if model.file_names:  # the order in which transformers writes what it renames
        state = {name: state[name] for name in sorted(state, key=_by_numbers)}
    return {model.file_names.get(name, name): tensor for name, tensor in state.items()}


def _by_numbers(name: str) -> list[tuple[bool, int, str]]:
    """A key that puts layers.10 behind layers.9."""
    parts = name.split(".")
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() and one.shape == other.shape


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # Copies only where need be; two names for one piece of memory are two pieces in a file.
    seen: set[int] = set()
    ready: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        at = tensor.untyped_storage().data_ptr()
        ready[name] = tensor.clone() if at in seen else tensor
        seen.add(at)
    try:
        save_file(ready, str(path), metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _index(files: dict[str, list[str]], tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {
        "metadata": {
            "total_parameters": sum(tensor.numel() for tensor in tensors.values()),
            "total_size": sum(map(tensor_bytes, tensors.values())),
        },
        "weight_map": {name: file for file, names in files.items() for name in names},
    }
