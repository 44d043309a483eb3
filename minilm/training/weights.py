"""A model's folder, in a checkpoint or on its own: written, and put back into a model that is there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from minilm.errors import FileProblem
from minilm.training import sharding

WEIGHTS = "model.safetensors"


def save_folder(model: nn.Module, processing_class: Any, folder: Path, state: Any) -> None:
    """Write what from_pretrained of minilm and of transformers takes: model and tokenizer.

    model: not wrapped    processing_class: the tokenizer, or None    folder: where to
    state: the weights, gathered from all processes
    """
    save_weights(model, folder, state)
    if hasattr(processing_class, "save_pretrained"):
        processing_class.save_pretrained(str(folder))


def load_weights(model: nn.Module, folder: str | os.PathLike[str]) -> None:
    """Put the weights of a checkpoint into a model that is there already.

    model: of the same shape    folder: with model.safetensors

    Raises FileProblem if the file is damaged or of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder) / WEIGHTS
    names = {getattr(model, "file_names", {}).get(name, name): name for name in model.state_dict()}
    if not path.exists() or (
        hasattr(model, "from_pretrained") and not hasattr(model, "file_names")
    ):
        _load_through_the_class(model, folder)
        return
    try:
        state = {names.get(name, name): tensor for name, tensor in load_file(path).items()}
        left = model.load_state_dict(sharding.divided_like(model, state), strict=False)
    except (SafetensorError, OSError) as error:
        raise FileProblem(
            f"'{path}' cannot be read ({error}). The checkpoint is damaged: remove its folder, and "
            "go on from the one before it."
        ) from None
    except RuntimeError as error:
        raise FileProblem(
            f"'{path}' holds the weights of another model: {str(error).splitlines()[-1].strip()} "
            "Make the model with the config of the checkpoint."
        ) from None
    missing = _untied(model, left.missing_keys, state)
    if missing or left.unexpected_keys:
        what = f"lacks {missing[0]}" if missing else f"has {left.unexpected_keys[0]} as well"
        raise FileProblem(
            f"'{path}' holds the weights of another model: it {what}. Make the model with the "
            "config of the checkpoint."
        )


def _untied(model: nn.Module, missing: list[str], loaded: Mapping[str, Tensor]) -> list[str]:
    """Names that no loaded tensor stands for: a tied weight is in the file once."""
    state = model.state_dict()
    there = {state[name].data_ptr() for name in loaded if name in state}
    return [name for name in missing if state[name].data_ptr() not in there]


def _load_through_the_class(model: nn.Module, folder: str | os.PathLike[str]) -> None:
    """Load a model of another library by its own loader, and take over the weights."""
    loaded: Any = type(model)
    if not hasattr(loaded, "from_pretrained"):
        raise FileProblem(f"There is no '{Path(folder) / WEIGHTS}'.")
    state = loaded.from_pretrained(str(folder)).state_dict()
    model.load_state_dict(sharding.divided_like(model, state))


def save_weights(model: nn.Module, folder: str | os.PathLike[str], state: Any = None) -> None:
    """Write a model's config and weights, as its own class does it, or plainly if it has no way.

    model: not wrapped    folder: where to    state: its weights, if they are gathered already
    """
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(str(folder), state_dict=state)  # type: ignore[operator]
        return
    from safetensors.torch import save_file

    state = model.state_dict() if state is None else state
    once: dict[int, str] = {}
    kept = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in state.items()
        if once.setdefault(tensor.data_ptr(), name) == name
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_file(kept, str(Path(folder) / WEIGHTS), metadata={"format": "pt"})
