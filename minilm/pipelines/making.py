"""`pipeline`: find the task, load model and tokenizer, and put them together."""

from __future__ import annotations

import os
import warnings
from typing import Any

import torch

from minilm.auto import AutoConfig
from minilm.config import PreTrainedConfig
from minilm.errors import InvalidInput, WrongType
from minilm.models.base import PreTrainedModel
from minilm.pipelines import registry
from minilm.tokenization.auto_tokenizer import AutoTokenizer

# What transformers takes for pictures and sound.
_NOT_TEXT = ("feature_extractor", "image_processor", "video_processor", "processor")


def pipeline(
    task: str | None = None,
    model: Any = None,
    config: Any = None,
    tokenizer: Any = None,
    feature_extractor: Any = None,
    image_processor: Any = None,
    video_processor: Any = None,
    processor: Any = None,
    revision: str | None = None,
    use_fast: bool = True,
    token: str | bool | None = None,
    device: int | str | torch.device | None = None,
    device_map: Any = None,
    dtype: str | torch.dtype | None = "auto",
    trust_remote_code: bool | None = None,
    model_kwargs: dict[str, Any] | None = None,
    pipeline_class: Any = None,
    *,
    torch_dtype: str | torch.dtype | None = None,
    **options: Any,
) -> Any:
    """Make what does a task in one call.

    task: such as "text-generation"; None = what the model's head is for
    model: a folder, a shipped checkpoint's name, "owner/model" on the hub, or a model; None = the
        shipped one for the task
    config, tokenizer: others than those beside the model
    revision, token: where the model comes from
    device: "cpu", "cuda:1", a number of a GPU, −1 = CPU; None = the first GPU for a model that is
        loaded by name, and where it is for another
    dtype, torch_dtype: of the weights; "auto" = as they were saved
    model_kwargs: for the model's from_pretrained
    pipeline_class: another class than the task's
    options: batch_size, progress_bar, on_interrupt, and all that the pipeline's call takes, for
        every call

    Returns the task's pipeline. use_fast and trust_remote_code change nothing here.
    Raises UnknownToken for an unknown task, with the nearest known, InvalidInput or WrongType for
    what does not fit.
    Reference: transformers' `pipeline`.
    """
    for name, value in zip(
        _NOT_TEXT, (feature_extractor, image_processor, video_processor, processor), strict=True
    ):
        if value is not None:
            raise WrongType(f"{name} was given; pipelines here work on text. Leave it out.")
    if task is not None:
        task = registry.task_named(task)
    loading = {"revision": revision, "token": token, **(model_kwargs or {})}
    loading = {name: value for name, value in loading.items() if value is not None}
    model = _chosen(model, task, config)
    if task is None:
        task = _task_of(model, config, loading)
    wanted = torch_dtype if torch_dtype is not None else dtype
    loaded_by_name = not isinstance(model, torch.nn.Module)
    if tokenizer is None:
        tokenizer = model if loaded_by_name else _name_of(model, config)
    if isinstance(tokenizer, tuple):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer[0], **tokenizer[1])
    elif isinstance(tokenizer, str | os.PathLike):
        how = ("revision", "token", "cache_dir", "local_files_only", "force_download", "subfolder")
        same = os.fspath(tokenizer) == (os.fspath(model) if loaded_by_name else "")
        found = {name: value for name, value in loading.items() if name in how and same}
        tokenizer = AutoTokenizer.from_pretrained(tokenizer, **found)
    if loaded_by_name:
        found = {**loading, "dtype": wanted, "config": config, "device_map": device_map}
        found = {name: value for name, value in found.items() if value is not None}
        model = registry.auto_class(task).from_pretrained(model, **found)
        device = _first_device() if device is None else device
    else:
        _check_loaded(model, wanted, device_map)
    made = registry.pipeline_class(task) if pipeline_class is None else pipeline_class
    return made(model, tokenizer, task=task, device=device, **options)


def _chosen(model: Any, task: str | None, config: Any) -> Any:
    """The model as given, checked, or the task's own."""
    if isinstance(model, torch.nn.Module):
        return model
    if isinstance(model, str | os.PathLike):
        return os.fspath(model)
    if model is not None:
        raise WrongType(
            f"model is a {type(model).__name__}; expected a model, or its name: a folder, a shipped "
            "checkpoint's, or 'owner/model'."
        )
    if config is not None:
        raise InvalidInput("A config was given without a model, and has no weights. Give model=….")
    default = registry.TASKS[task].default if task is not None else None
    if default is None:
        raise InvalidInput(
            "pipeline was given no model. Give one, such as pipeline('text-generation', "
            "model='story-gpt2')."
        )
    warnings.warn(
        f"No model was named for {task}, so '{default}' is taken. Give model='{default}' if that is "
        "what you want.",
        stacklevel=3,
    )
    return default


def _task_of(model: Any, config: Any, loading: dict[str, Any]) -> str:
    """The task that a model's head is for."""
    if isinstance(model, torch.nn.Module):
        classes = [each.__name__ for each in type(model).__mro__]
        return registry.task_for(classes, f"this {type(model).__name__}")
    if not isinstance(config, PreTrainedConfig):
        how = ("revision", "token", "cache_dir", "local_files_only", "force_download", "subfolder")
        found = {name: value for name, value in loading.items() if name in how}
        config = AutoConfig.from_pretrained(model if config is None else config, **found)
    return registry.task_for(config.architectures or (), f"'{model}'")


def _name_of(model: Any, config: Any) -> Any:
    """Where the tokenizer of a loaded model is, if that is known."""
    if isinstance(config, str):
        return config
    name = getattr(getattr(model, "config", None), "name_or_path", None)
    if not name:
        raise InvalidInput(
            f"This {type(model).__name__} was not loaded by name, so its tokenizer is not known. "
            "Give tokenizer=…, a tokenizer or its name."
        )
    return name


def _check_loaded(model: Any, dtype: Any, device_map: Any) -> None:
    if not isinstance(model, PreTrainedModel):
        raise WrongType(
            f"model is a {type(model).__name__}; expected a minilm model, or the name of one."
        )
    if isinstance(dtype, str) and dtype != "auto":
        dtype = getattr(torch, dtype, dtype)
    if dtype not in (None, "auto", model.dtype):
        raise InvalidInput(
            f"dtype={dtype} was given, and the model is loaded already, as {model.dtype}. Give "
            f"model.to({dtype}), or its name."
        )
    if device_map is not None:
        raise InvalidInput("device_map was given, and the model is loaded already. Give device=….")


def _first_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
