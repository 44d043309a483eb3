"""The Auto classes: from a config.json's `model_type` to the class that can run the model.

Two tables and a look-up. Names of models play no part: a folder called "my-gpt2" with model_type
"llama" is a Llama.
"""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch

from minilm.config import PreTrainedConfig
from minilm.errors import InvalidInput, WrongType
from minilm.hub import Source
from minilm.loading import (
    choose_dtype,
    load_config,
    load_model,
    read_settings,
    refuse_what_is_not_here,
    source_of,
)
from minilm.models.base import PreTrainedModel, check_attn_implementation, refuse_unknown

# model_type → its config; a place is imported when it is first looked up.
CONFIGS: dict[str, Any] = {
    "gpt2": "minilm.models.gpt2:GPT2Config",
    "gpt_neox": "minilm.models.gpt_neox:GPTNeoXConfig",
    "llama": "minilm.models.llama:LlamaConfig",
    "mistral": "minilm.models.llama:MistralConfig",
    "qwen2": "minilm.models.llama:Qwen2Config",
    "qwen3": "minilm.models.llama:Qwen3Config",
}

# What the model is for → model_type → its class.
MODELS: dict[str, dict[str, Any]] = {
    "AutoModel": {
        "gpt2": "minilm.models.gpt2:GPT2Model",
        "gpt_neox": "minilm.models.gpt_neox:GPTNeoXModel",
        "llama": "minilm.models.llama:LlamaModel",
        "mistral": "minilm.models.llama:MistralModel",
        "qwen2": "minilm.models.llama:Qwen2Model",
        "qwen3": "minilm.models.llama:Qwen3Model",
    },
    "AutoModelForCausalLM": {
        "gpt2": "minilm.models.gpt2:GPT2LMHeadModel",
        "gpt_neox": "minilm.models.gpt_neox:GPTNeoXForCausalLM",
        "llama": "minilm.models.llama:LlamaForCausalLM",
        "mistral": "minilm.models.llama:MistralForCausalLM",
        "qwen2": "minilm.models.llama:Qwen2ForCausalLM",
        "qwen3": "minilm.models.llama:Qwen3ForCausalLM",
    },
}


def model_type_of(settings: Mapping[str, Any], known: Mapping[str, Any], where: str) -> str:
    """Read the model_type that decides everything.

    settings: of a config.json    known: model_type → anything    where: for the error

    Returns the model_type. Raises InvalidInput if there is none, or one that is not known, with
    the nearest known ones.
    """
    model_type = settings.get("model_type")
    if model_type is None:
        raise InvalidInput(
            f"The config in {where} has no model_type, so nothing says what kind of model it is. "
            f"Add one of: {', '.join(known)}."
        )
    if not isinstance(model_type, str) or model_type not in known:
        near = difflib.get_close_matches(str(model_type), known, n=3, cutoff=0.5)
        hint = f"Nearest known: {', '.join(near)}." if near else f"Known: {', '.join(known)}."
        raise InvalidInput(f"The model_type {model_type!r} in {where} is not known. {hint}")
    return model_type


def class_at(table: dict[str, Any], key: str) -> Any:
    """Look a class up, importing it if only its place is known so far.

    table: key → class, or "module:name"    key: is there
    """
    if isinstance(table[key], str):
        module, _, name = table[key].partition(":")
        table[key] = getattr(import_module(module), name)
    return table[key]


def register(table: dict[str, Any], key: str, chosen: type, exist_ok: bool = False) -> None:
    """Put a class of your own into a table.

    table: key → class, or "module:name"    key: a model_type    chosen: its class from now on
    exist_ok: also where another class has the place

    Raises InvalidInput if another has it. A class defined anew under its old name, as by a notebook
    cell that ran twice, is not another.
    """
    if key in table and not exist_ok:
        there = class_at(table, key)
        if (there.__module__, there.__qualname__) != (chosen.__module__, chosen.__qualname__):
            raise InvalidInput(
                f"'{key}' is taken by {there.__name__}. Take another name for {chosen.__name__}, or "
                "say exist_ok=True to replace it."
            )
    table[key] = chosen


class _Auto:
    """What the Auto classes have in common: they are not made, they choose."""

    def __init__(self, *_: Any, **__: Any) -> None:
        name = type(self).__name__
        raise WrongType(
            f"{name} is not made itself; it chooses a class. Use {name}.from_pretrained(name) or "
            f"{name}.from_config(config)."
        )


class AutoConfig(_Auto):
    """Chooses a family's config by `model_type`."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise WrongType(
            "AutoConfig is not made itself; it chooses a class. Use AutoConfig.from_pretrained"
            "(name) or AutoConfig.for_model('llama', …)."
        )

    @classmethod
    def for_model(cls, model_type: str, **settings: Any) -> PreTrainedConfig:
        """Make a config of a family.

        model_type: "gpt2", "llama" …    settings: others than the defaults
        """
        model_type_of({"model_type": model_type}, CONFIGS, "this call")
        return class_at(CONFIGS, model_type)(**settings)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **options: Any
    ) -> Any:
        """Read a model's config.json as its family's config.

        pretrained_model_name_or_path: a folder, a shipped checkpoint's name, or "owner/model"
        options: revision, cache_dir, token, local_files_only, subfolder; settings that come before
            those of the file; return_unused_kwargs=True returns what is no setting as well

        Raises InvalidInput for a config without a known model_type, FileProblem if there is none,
        WrongType for an option that is no setting.
        """
        source = source_of(pretrained_model_name_or_path, options)
        return load_config(_family(source), source, **options)

    @classmethod
    def register(
        cls, model_type: str, config: type[PreTrainedConfig], exist_ok: bool = False
    ) -> None:
        """Make a family of your own known.

        model_type: its name in config.json    config: its class, which says the same name
        exist_ok: replace a family of that name
        """
        if not (isinstance(config, type) and issubclass(config, PreTrainedConfig)):
            raise WrongType(
                f"{config!r} was given; a config is a class that extends PreTrainedConfig."
            )
        if config.model_type != model_type:
            raise InvalidInput(
                f"AutoConfig.register('{model_type}', {config.__name__}): its model_type is "
                f"'{config.model_type}'. Give both the same name."
            )
        register(CONFIGS, model_type, config, exist_ok)


def _family(source: Source) -> Any:
    """The config class that a model's config.json asks for."""
    return class_at(CONFIGS, model_type_of(read_settings(source), CONFIGS, str(source)))


class _AutoModelClass(_Auto):
    """Chooses a model's class by its config."""

    @classmethod
    def class_for(cls, config: PreTrainedConfig | type[PreTrainedConfig]) -> type[PreTrainedModel]:
        """Say which class runs a model with this config.

        config: of a family, or the family's config class

        Raises InvalidInput if the family has no model for this purpose.
        """
        table = MODELS[cls.__name__]
        if config.model_type not in table:
            family = config if isinstance(config, type) else type(config)
            others = [name for name, models in MODELS.items() if config.model_type in models]
            hint = f"It has: {', '.join(others)}." if others else "None is registered for it."
            raise InvalidInput(
                f"{family.__name__} (model_type '{config.model_type}') has no model for "
                f"{cls.__name__}. {hint} {cls.__name__} knows: {', '.join(table)}."
            )
        return class_at(table, config.model_type)

    @classmethod
    def from_config(cls, config: PreTrainedConfig, **options: Any) -> Any:
        """Make a model with random weights, in train mode.

        config: of a family    options: attn_implementation; dtype: None = as the config says, else
            float32

        The model has a copy of the config.
        """
        if not isinstance(config, PreTrainedConfig):
            raise WrongType(
                f"{type(config).__name__} was given; expected a config, such as "
                "AutoConfig.from_pretrained(name) or LlamaConfig()."
            )
        options.pop("trust_remote_code", None)
        attention = options.pop("attn_implementation", None)
        older = options.pop("torch_dtype", None)
        dtype = options.pop("dtype", older)
        refuse_unknown(
            options, ("config", "attn_implementation", "dtype"), f"{cls.__name__}.from_config"
        )
        check_attn_implementation(attention)
        config = copy.deepcopy(config)
        if attention is not None:
            config._attn_implementation = attention
        chosen = choose_dtype(dtype, config)
        if config.dtype is not None or dtype is not None:
            config.dtype = chosen
        model = cls.class_for(config)(config)
        return model if chosen == torch.get_default_dtype() else model.to(chosen)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **options: Any
    ) -> Any:
        """Load a model with its weights, as the class that its config.json asks for.

        pretrained_model_name_or_path: a folder, a shipped checkpoint's name, or "owner/model"
        options: as in `minilm.loading.load_model`
        """
        options = refuse_what_is_not_here(options, f"{cls.__name__}.from_pretrained")
        source = source_of(pretrained_model_name_or_path, options)
        config = options.get("config")
        if isinstance(config, str | os.PathLike):
            config = options["config"] = AutoConfig.from_pretrained(config)
        if config is None:
            config = _family(source)
        elif not isinstance(config, PreTrainedConfig):
            raise WrongType(
                f"config is of {type(config).__name__}; expected a config, or where one is."
            )
        return load_model(cls.class_for(config), source, **options)

    @classmethod
    def register(
        cls,
        config_class: type[PreTrainedConfig],
        model_class: type[PreTrainedModel],
        exist_ok: bool = False,
    ) -> None:
        """Make a model of your own known.

        config_class: its family's config, registered or not    model_class: has the same config
        exist_ok: replace the family's model for this purpose
        """
        if getattr(model_class, "config_class", None) is not config_class:
            raise InvalidInput(
                f"{model_class.__name__}.config_class is not {config_class.__name__}. Set it, so "
                "that model and config belong together."
            )
        register(MODELS[cls.__name__], config_class.model_type, model_class, exist_ok)


class AutoModel(_AutoModelClass):
    """Chooses a body, which gives vectors, without a head."""


class AutoModelForCausalLM(_AutoModelClass):
    """Chooses a model that predicts the next token."""
