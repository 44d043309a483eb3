"""How a text is written: `GenerationConfig`, its files, and what is wrong with settings."""

from __future__ import annotations

import copy
import json
import os
import sys
import warnings
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from torch import Tensor

from minilm.errors import FileProblem, InvalidInput, WrongType
from minilm.files import make_folder, read_json, write_atomically
from minilm.generation.checks import CHECKS, among
from minilm.generation.settings import (
    ARGUMENTS_OF_GENERATE,
    DEFAULTS,
    FOR_BEAMS,
    FOR_OUTPUTS,
    FOR_SAMPLING,
    KNOWN,
    NOT_HERE,
    NOT_OF_MODELS,
    NOTES,
    WITHOUT_EFFECT,
    nearest,
    refuse_unknown_settings,
)
from minilm.hub import Source
from minilm.models.decoder import CausalLM

Config = TypeVar("Config", bound="GenerationConfig")

GENERATION_CONFIG_NAME = "generation_config.json"


class GenerationWarning(UserWarning):
    """A text is written, and it may not be what was meant."""


def warn(message: str) -> None:
    """Warn whoever called minilm.

    message: what, why, and what to do
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("minilm."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, GenerationWarning, stacklevel=level)


class GenerationConfig:
    """Hold the settings of `generate`, by transformers' names.

    What is None is as the model's own generation_config says, or else as `DEFAULTS` does. Beyond
    transformers' there is on_interrupt: "return" gives back what was written when somebody presses
    Ctrl-C or the notebook's stop button, "raise" (the default) nothing.

    Raises WrongType for a setting that is not there, InvalidInput for one that cannot be.
    Reference: transformers' `GenerationConfig`.
    """

    def __init__(self, **settings: Any) -> None:
        for name in (*DEFAULTS, *NOT_HERE, *WITHOUT_EFFECT):
            setattr(self, name, settings.pop(name, None))
        self._from_model_config = settings.pop("_from_model_config", None)
        self.transformers_version = settings.pop("transformers_version", None)
        settings.pop("_commit_hash", None)
        refuse_unknown_settings(settings, "GenerationConfig")
        self.refuse_what_is_not_here()
        self.validate()
        self.warn_of_idle_settings([name for name, value in vars(self).items() if value])

    # What is wrong with settings.

    def validate(self) -> None:
        """Refuse settings that cannot be, alone or together.

        Raises InvalidInput or WrongType, which say what would do.
        """
        for name in vars(self):
            if name in ARGUMENTS_OF_GENERATE:
                raise InvalidInput(
                    f"{name} is no setting; give it to generate itself: generate(…, {name}=…)."
                )
        self._check_sequences()
        forbidden = set(self.suppress_tokens or ())
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            forced = getattr(self, name)
            forced = {forced} if isinstance(forced, int) else set(forced or ())
            if forced and forced <= forbidden:
                raise InvalidInput(
                    f"{name}={sorted(forced)} is forced, and forbidden by suppress_tokens. Take it "
                    "out of one of them; to put off the end, give min_new_tokens."
                )

    def refuse_what_is_not_here(self) -> None:
        """Refuse settings of transformers that minilm does not have; a file may name them.

        Raises InvalidInput.
        """
        for name, usual in NOT_HERE.items():
            value = getattr(self, name)
            if not among(value, usual):
                raise InvalidInput(
                    f"{name}={value!r} was given, by the caller or in {GENERATION_CONFIG_NAME}; "
                    f"minilm does not have it. Give {name}=None."
                )
        if self.cache_implementation in ("quantized", "paged"):
            raise InvalidInput(
                f"cache_implementation={self.cache_implementation!r} was given; caches are "
                "'dynamic' or 'static' here."
            )

    def _check_sequences(self) -> None:
        wanted, beams = self.num_return_sequences or 1, self.num_beams or 1
        if wanted > 1 and beams == 1 and not self.do_sample:
            raise InvalidInput(
                f"num_return_sequences={wanted} was given, and greedy search finds one. Give "
                f"do_sample=True, or num_beams={wanted}."
            )
        if wanted > beams > 1:
            raise InvalidInput(
                f"num_return_sequences={wanted} and num_beams={beams} were given; there are no more "
                f"sequences than beams. Give num_beams={wanted}, or fewer sequences."
            )

    def warn_of_idle_settings(self, names: Collection[str]) -> None:
        """Warn of settings that do nothing beside the others.

        names: of those that somebody gave
        """
        idle = {
            "do_sample=True": [] if self.do_sample else FOR_SAMPLING,
            "num_beams above 1": [] if (self.num_beams or 1) > 1 else FOR_BEAMS,
            "return_dict_in_generate=True": [] if self.return_dict_in_generate else FOR_OUTPUTS,
        }
        for needed, candidates in idle.items():
            given = [
                f"{name}={getattr(self, name)!r}"
                for name in candidates
                if name in names and getattr(self, name) not in (None, DEFAULTS[name])
            ]
            if given:
                verb = "does" if len(given) == 1 else "do"
                warn(f"{', '.join(given)} {verb} nothing without {needed}. Give that too.")

    # Being filled in.

    def update(self, **settings: Any) -> dict[str, Any]:
        """Change settings.

        settings: by name

        Returns those that are no settings.
        """
        known = {name: value for name, value in settings.items() if hasattr(self, name)}
        for name, value in known.items():
            setattr(self, name, value)
        self.validate()
        return {name: value for name, value in settings.items() if name not in known}

    def filled_from(self: Config, *others: Mapping[str, Any]) -> Config:
        """Return a copy in which settings that are None are as in the first that says otherwise.

        others: settings by name
        """
        filled = copy.deepcopy(self)
        for other in others:
            for name, value in other.items():
                if vars(filled).get(name) is None:
                    # Not by setattr: a file may say what is no setting, and near to the name of one.
                    vars(filled)[name] = copy.deepcopy(value)
        return filled

    # Reading and writing.

    @classmethod
    def from_dict(cls: type[Config], settings: Mapping[str, Any], **overrides: Any) -> Any:
        """Make a config from JSON data; what is no setting is kept as it is.

        settings: as in generation_config.json    overrides: settings that take the place of those;
            with return_unused_kwargs=True, those that are none are returned as well
        """
        wants_rest = overrides.pop("return_unused_kwargs", False)
        rest = {name: value for name, value in overrides.items() if name not in KNOWN}
        if not wants_rest:
            refuse_unknown_settings(rest, cls.__name__)
        found = {**settings, **{k: v for k, v in overrides.items() if k not in rest}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GenerationWarning)  # of what a file says
            config = cls(**{n: value for n, value in found.items() if n in (*DEFAULTS, *NOTES)})
        for name, value in found.items():
            if name not in KNOWN and (found.get("_from_model_config") or name == "_commit_hash"):
                continue
            if name not in DEFAULTS and name not in NOTES:
                vars(config)[name] = value
        return (config, rest) if wants_rest else config

    @classmethod
    def from_model_config(cls: type[Config], model_config: Any) -> Config:
        """Make a config of what a model's own config says about generation.

        model_config: a PreTrainedConfig, or its settings as a dict
        """
        settings = model_config if isinstance(model_config, Mapping) else model_config.to_dict()
        found = {
            name: value
            for name, value in settings.items()
            if name in DEFAULTS and value is not None and value != []
        }
        if any(found.get(name) for name in FOR_OUTPUTS):
            found.setdefault("return_dict_in_generate", True)
        return cls.from_dict({**found, "_from_model_config": True})

    @classmethod
    def from_pretrained(
        cls: type[Config], name_or_path: Any, config_file_name: str | None = None, **options: Any
    ) -> Any:
        """Read a generation_config.json.

        name_or_path: a folder, a shipped checkpoint's name, or "owner/model" on the hub
        config_file_name: another name of the file
        options: revision, cache_dir, token, local_files_only, subfolder; settings that come before
            the file's; return_unused_kwargs=True returns what is no setting as well

        Raises FileProblem if the file is missing or damaged.
        """
        about_files = ("revision", "cache_dir", "token", "local_files_only", "force_download")
        chosen = {n: options.pop(n) for n in (*about_files, "subfolder") if n in options}
        source = name_or_path
        if not isinstance(source, Source):
            source = Source(name_or_path, **{n: v for n, v in chosen.items() if v is not None})
        path = source.need(config_file_name or GENERATION_CONFIG_NAME)
        settings = read_json(path)
        if not isinstance(settings, dict):
            raise FileProblem(
                f"'{path}' holds {type(settings).__name__}, and a JSON object was expected. Fetch "
                "or save it again."
            )
        try:
            return cls.from_dict(settings, **options)
        except (InvalidInput, WrongType) as error:
            raise type(error)(f"'{path}' cannot be used: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return every setting as data that JSON can hold."""
        return {name: _as_json(name, value) for name, value in vars(self).items()}

    def to_diff_dict(self) -> dict[str, Any]:
        """Return what a file must say: all that is not None."""
        return {name: value for name, value in self.to_dict().items() if value is not None}

    def to_json_string(self, use_diff: bool = True) -> str:
        """Return the text of a generation_config.json.

        use_diff: as `to_diff_dict` says it; False = as `to_dict` does
        """
        settings = self.to_diff_dict() if use_diff else self.to_dict()
        return json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def save_pretrained(
        self, folder: str | os.PathLike[str], config_file_name: str | None = None
    ) -> None:
        """Write generation_config.json, whole or not at all.

        folder: is made if it is not there    config_file_name: another name of the file
        """
        self.validate()
        path = make_folder(folder) / (config_file_name or GENERATION_CONFIG_NAME)
        write_atomically(path, self.to_json_string())

    # Being a plain object.

    def __setattr__(self, name: str, value: Any) -> None:
        if value is not None and name in CHECKS:
            value = CHECKS[name](name, value)
        elif name not in KNOWN and name not in vars(self) and not name.startswith("_"):
            near = nearest(name, 0.8)
            if near:
                raise WrongType(f"GenerationConfig has no setting '{name}'; it is {near[0]}.")
        super().__setattr__(name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GenerationConfig):
            return NotImplemented
        return _without_notes(self.to_dict()) == _without_notes(other.to_dict())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        settings = _without_notes(self.to_diff_dict())
        return f"{type(self).__name__} {json.dumps(settings, indent=2, sort_keys=True)}"

    def __getattr__(self, name: str) -> Any:
        # Only asked for what is not there; says it as an AttributeError.
        near = nearest(name, 0.7)
        hint = f" Did you mean {near[0]}?" if near and not name.startswith("__") else ""
        raise AttributeError(f"{type(self).__name__} has no setting '{name}'.{hint}")


def config_of(model: Any) -> GenerationConfig:
    """Return a model's own generation settings, made of its config when first asked for.

    model: any
    """
    config = vars(model).get("_generation_config")
    if config is None:
        own = type(model.config)._settings()
        said = {
            name: value
            for name, value in model.config.to_dict().items()
            if name in own or name not in NOT_OF_MODELS
        }
        config = GenerationConfig.from_model_config(said)
        set_config_of(model, config)
    return config


def set_config_of(model: Any, config: GenerationConfig) -> None:
    """Give a model other generation settings.

    model: any    config: its settings from now on
    """
    if not isinstance(config, GenerationConfig):
        raise WrongType(
            f"generation_config is of {type(config).__name__}; expected a GenerationConfig, such as "
            "GenerationConfig(max_new_tokens=50)."
        )
    vars(model)["_generation_config"] = config


def can_generate(model: Any) -> bool:
    """Say whether a model writes texts.

    model: any
    """
    asked = getattr(model, "can_generate", None)
    return bool(asked()) if callable(asked) else isinstance(model, CausalLM)


def read_config(source: Source) -> GenerationConfig | None:
    """Read the generation settings that lie beside a model's weights, if there are any.

    source: where its files are

    A setting that cannot be is warned about and left out: the model itself may be needed for
    something else. Raises FileProblem for a damaged file.
    """
    path = source.file(GENERATION_CONFIG_NAME)
    if path is None:
        return None
    try:
        return GenerationConfig.from_pretrained(source)
    except (InvalidInput, WrongType):
        return _without_what_cannot_be(read_json(path), path)


def _without_what_cannot_be(settings: dict[str, Any], path: Any) -> GenerationConfig:
    """Make a config of those settings in a file that may be, one after the other."""
    kept: dict[str, Any] = {}
    config = GenerationConfig()
    # A setting may need do_sample or num_beams.
    for name in sorted(settings, key=lambda name: name not in ("do_sample", "num_beams")):
        try:
            config = GenerationConfig.from_dict({**kept, name: settings[name]})
        except (InvalidInput, WrongType) as error:
            warn(f"'{path}' has a setting that is left out: {error}")
        else:
            kept[name] = settings[name]
    return config


def file_for(model: Any) -> dict[str, str]:
    """Give the file that is saved beside a model's weights: its name → its text; none for a body.

    model: any
    """
    if not can_generate(model):
        return {}
    return {GENERATION_CONFIG_NAME: config_of(model).to_json_string()}


def _without_notes(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in NOTES}


def _as_json(name: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.tolist()
    if name == "sequence_bias" and isinstance(value, Mapping):  # JSON has no tuples as keys
        return [[list(tokens), bias] for tokens, bias in value.items()]
    if isinstance(value, list | tuple):
        return [_as_json("", each) for each in value]
    return value
