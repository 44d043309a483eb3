"""What a model is made of, as config.json says it: sizes, switches, and which family it belongs to.

A family is a class with its settings written as annotated defaults, under transformers' names.
"""

from __future__ import annotations

import copy
import difflib
import json
import os
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, ClassVar, Literal, TypeVar, dataclass_transform

import torch

from minilm.errors import InvalidInput, WrongType
from minilm.files import make_folder, read_json, write_atomically

Config = TypeVar("Config", bound="PreTrainedConfig")

CONFIG_NAME = "config.json"
DEFAULT_ROPE_THETA = 10000.0
# Names that stand beside rope_parameters in files before 2025 → their names inside it.
OLDER_ROPE_NAMES = {
    "rope_theta": "rope_theta",
    "rotary_emb_base": "rope_theta",
    "partial_rotary_factor": "partial_rotary_factor",
    "rotary_pct": "partial_rotary_factor",
}
# What reads a config by the name of its model; a later stage's, looked up when it is first called.
_READER = "minilm.loading:load_config"
# These scalings know how long the texts were before they were made longer.
KNOW_THE_TRAINED_LENGTH = ("llama3", "yarn", "longrope")
# What transformers calls otherwise today, and still takes.
_ALIASES = {
    "torch_dtype": "dtype",
    "rope_scaling": "rope_parameters",
    "use_return_dict": "return_dict",
}
# Settings that must be 1 or more, in whichever family has them.
_COUNTS = (
    "vocab_size",
    "hidden_size",
    "n_embd",
    "intermediate_size",
    "n_inner",
    "num_attention_heads",
    "n_head",
    "num_key_value_heads",
    "max_position_embeddings",
    "n_positions",
    "sliding_window",
)
# Numbers that may be 0 as well.
_NONE_OR_MORE = ("num_hidden_layers", "n_layer", "initializer_range")
# Which share of the numbers is left out in training.
_SHARES = (
    *("attention_dropout", "hidden_dropout"),
    *("attn_pdrop", "embd_pdrop", "resid_pdrop"),
)


@dataclass_transform(kw_only_default=True)
class PreTrainedConfig:
    """Hold the settings of one model.

    A family extends it and lists its own settings, each with its type and default. Every setting may
    be given by its name or by that of `attribute_map` (GPT-2 says `n_embd` where others say
    `hidden_size`). Settings that the family does not know are kept as they are, so that a
    config.json survives being read and written.

    Raises WrongType for a setting of another type than the family's, InvalidInput for settings that
    cannot be or contradict each other.
    """

    model_type: ClassVar[str] = ""
    attribute_map: ClassVar[dict[str, str]] = {}

    architectures: list[str] | None = None
    dtype: str | torch.dtype | None = None
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = True
    use_cache: bool = True
    tie_word_embeddings: bool = True
    is_encoder_decoder: bool = False
    id2label: dict | None = None
    label2id: dict | None = None
    problem_type: (
        Literal["regression", "single_label_classification", "multi_label_classification"] | None
    ) = None

    def __init__(self, **settings: Any) -> None:
        self._attn_implementation = settings.pop("attn_implementation", None)
        self.name_or_path = str(settings.pop("name_or_path", settings.pop("_name_or_path", "")))
        settings.pop("model_type", None)
        settings = self._under_own_names(settings)
        settings = self.in_todays_spelling(settings)
        num_labels = settings.pop("num_labels", None)
        for name, (default, _) in self._settings().items():
            setattr(self, name, settings.pop(name, copy.deepcopy(default)))
        for name, value in settings.items():
            self._keep(name, value)
        self._set_labels(num_labels)
        self.complete()
        self.check()

    def _under_own_names(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Call settings what the family calls them; two names for one must agree."""
        found: dict[str, Any] = {}
        said: dict[str, str] = {}
        for name, value in settings.items():
            own = self.attribute_map.get(name, name)
            if own in found and found[own] != value:
                raise InvalidInput(
                    f"{type(self).__name__}: {said[own]}={found[own]!r} and {name}={value!r} were "
                    "given, and they are the same setting. Give one of them."
                )
            found[own], said[own] = value, name
        return found

    def _keep(self, name: str, value: Any) -> None:
        """Keep a setting that the family does not know."""
        if name.startswith("_"):  # private notes of the program that wrote the file
            return
        if callable(getattr(type(self), name, None)):
            raise InvalidInput(
                f"{type(self).__name__}: '{name}' was given as a setting, and is the name of a "
                "method. Give it another name."
            )
        setattr(self, name, value)

    # What a family may say differently.

    def in_todays_spelling(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return settings as files of today spell them.

        settings: as they were given
        """
        settings = dict(settings)
        older_dtype = settings.pop("torch_dtype", None)
        if settings.get("dtype") is None and older_dtype is not None:
            settings["dtype"] = older_dtype
        if "rope_parameters" in self._settings():
            for name in ("rope_scaling", "rope_parameters"):
                if not isinstance(settings.get(name), Mapping | None):
                    raise WrongType(
                        f"{type(self).__name__}: {name}={settings[name]!r} was given; it is a dict, "
                        "or None."
                    )
            settings["rope_parameters"] = gather_rope(settings, self.rope_defaults())
            for name in ("rope_scaling", *OLDER_ROPE_NAMES):
                settings.pop(name, None)
        return settings

    def rope_defaults(self) -> dict[str, Any]:
        """Say what the family's rotary positions are where a file does not."""
        return {"rope_theta": DEFAULT_ROPE_THETA}

    def complete(self) -> None:
        """Fill in settings that follow from others."""
        rope = self.__dict__.get("rope_parameters")
        if rope and rope["rope_type"] in KNOW_THE_TRAINED_LENGTH:
            rope.setdefault("original_max_position_embeddings", self.max_position_embeddings)

    def check(self) -> None:
        """Refuse settings that no model can have; each one's type was checked when it was set."""
        for name in _COUNTS:
            value = self.__dict__.get(name)
            if isinstance(value, int) and value < 1:
                raise InvalidInput(
                    f"{type(self).__name__}: {name}={value} was given; it is 1 or more."
                )
        for name in _NONE_OR_MORE:
            if isinstance(value := self.__dict__.get(name), int | float) and not value >= 0:
                raise InvalidInput(
                    f"{type(self).__name__}: {name}={value} was given; it is 0 or more."
                )
        for name in _SHARES:
            if isinstance(value := self.__dict__.get(name), int | float) and not 0 <= value <= 1:
                raise InvalidInput(
                    f"{type(self).__name__}: {name}={value} was given; it is a share, from 0 to 1."
                )
        for name in ("num_hidden_layers", "n_layer"):
            value = self.__dict__.get(name)
            if isinstance(value, int) and value < 0:
                raise InvalidInput(
                    f"{type(self).__name__}: {name}={value} was given; it is 0 or more."
                )
        if self.problem_type == "single_label_classification" and self.num_labels == 1:
            raise InvalidInput(
                "problem_type='single_label_classification' and num_labels=1 were given; one label "
                "leaves nothing to choose. Give num_labels=2, or problem_type='regression'."
            )

    def must_divide(self, whole: str, part: str) -> None:
        """Refuse a setting that is no multiple of another.

        whole, part: names of settings
        """
        if getattr(self, whole) % getattr(self, part):
            raise InvalidInput(
                f"{type(self).__name__}: {whole}={getattr(self, whole)} and "
                f"{part}={getattr(self, part)} were given; the first must be a multiple of the "
                "second."
            )

    # Reading and writing.

    def to_dict(self) -> dict[str, Any]:
        """Return every setting as data that JSON can hold, `model_type` among them."""
        found = {
            name: _as_json(value)
            for name, value in self.__dict__.items()
            if not name.startswith("_") and name != "name_or_path"
        }
        if self.model_type:
            found["model_type"] = self.model_type
        return dict(sorted(found.items()))

    def to_diff_dict(self) -> dict[str, Any]:
        """Return what a file must say: all but common settings that are as always.

        Those that a family lists itself are said in any case.
        """
        common = _common_settings()
        families = type(self).__mro__[: type(self).__mro__.index(PreTrainedConfig)]
        own = {name for family in families for name in getattr(family, "__annotations__", {})}
        return {
            name: value
            for name, value in self.to_dict().items()
            if name in own or name not in common or value != common[name]
        }

    def to_json_string(self, use_diff: bool = True) -> str:
        """Return the text of a config.json.

        use_diff: as `to_diff_dict` says it; False = as `to_dict` does
        """
        settings = self.to_diff_dict() if use_diff else self.to_dict()
        return json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls: type[Config], settings: dict[str, Any], **overrides: Any) -> Config:
        """Make a config from JSON data.

        settings: as in config.json    overrides: settings that take the place of those
        """
        older = overrides.pop("torch_dtype", None)
        if overrides.get("dtype") is None and older is not None:
            overrides["dtype"] = older
        overrides = {cls.attribute_map.get(name, name): v for name, v in overrides.items()}
        if overrides.get("dtype") == "auto":  # as the settings have it
            del overrides["dtype"]
        settings = {cls.attribute_map.get(name, name): v for name, v in settings.items()}
        if "num_labels" in overrides and "id2label" not in overrides:
            settings = {n: v for n, v in settings.items() if n not in ("id2label", "label2id")}
        return cls(**{**copy.deepcopy(settings), **overrides})

    @classmethod
    def from_pretrained(cls, name_or_path: Any, **options: Any) -> Any:
        """Read a model's config from a folder or by its name; see `minilm.loading`.

        name_or_path: of the model    options: as in `minilm.auto.AutoConfig.from_pretrained`
        """
        module, _, function = _READER.partition(":")
        return getattr(import_module(module), function)(cls, name_or_path, **options)

    @classmethod
    def from_json_file(cls: type[Config], path: str | os.PathLike[str]) -> Config:
        """Make a config from a config.json.

        path: of the file
        """
        return cls.from_dict(read_json(path))

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write config.json, whole or not at all.

        folder: is made if it is not there
        """
        write_atomically(make_folder(folder) / CONFIG_NAME, self.to_json_string())

    # Being a plain object.

    @property
    def num_labels(self) -> int:
        """How many labels a classifier has."""
        return len(self.id2label or {})

    @num_labels.setter
    def num_labels(self, number: int) -> None:
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise WrongType(f"num_labels={number!r} was given; it is a whole number, 0 or more.")
        if number != self.num_labels:
            self.id2label = {i: f"LABEL_{i}" for i in range(number)}
            self.label2id = {label: i for i, label in self.id2label.items()}

    def _set_labels(self, num_labels: int | None) -> None:
        """Number the labels, whichever way round and however they were given."""
        if self.id2label is None and self.label2id:
            self.id2label = {number: label for label, number in self.label2id.items()}
        if self.id2label is None:
            self.num_labels = 2 if num_labels is None else num_labels
            return
        try:
            self.id2label = {int(number): label for number, label in self.id2label.items()}
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"id2label={self.id2label!r} was given; its keys are numbers, its values labels."
            ) from error
        if num_labels is not None and num_labels != len(self.id2label):
            raise InvalidInput(
                f"num_labels={num_labels} and an id2label of {len(self.id2label)} labels were "
                "given. Give one of them, or as many labels."
            )
        if self.label2id is None:
            self.label2id = {label: number for number, label in self.id2label.items()}

    @classmethod
    def _settings(cls) -> dict[str, tuple[Any, Any]]:
        return _settings_of(cls)  # type: ignore[arg-type]

    def __setattr__(self, name: str, value: Any) -> None:
        family = type(self)
        name = family.attribute_map.get(name, name)
        settings = family._settings()
        if _ALIASES.get(name) in settings:
            name = _ALIASES[name]
            if name == "rope_parameters" and isinstance(value, Mapping):
                value = gather_rope({"rope_scaling": value}, self.rope_defaults())
        if name in settings:
            _, kind = settings[name]
            if not _fits(value, kind):
                raise WrongType(
                    f"{family.__name__}: {name}={value!r} was given, "
                    f"{_article(type(value).__name__)}; {name} is {_said(kind)}."
                )
            if name == "dtype" and isinstance(value, str):
                value = _dtype_of(value)
            elif kind is float:
                value = float(value)  # transformers refuses a file that says 1 for 1.0
        elif name in OLDER_ROPE_NAMES and "rope_parameters" in settings:
            raise InvalidInput(f"{family.__name__}: {_where_rope_is(name)} Set it there.")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        # Only asked for what is not there under its own name.
        stored = type(self).attribute_map.get(name, _ALIASES.get(name))
        if stored in self.__dict__:
            return self.__dict__[stored]
        hint = ""
        if name in OLDER_ROPE_NAMES and "rope_parameters" in self.__dict__:
            hint = f": {_where_rope_is(name)}"
        elif not name.startswith("_"):
            known = [*self.__dict__, *type(self).attribute_map]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
            hint = f". Did you mean {near[0]}?" if near else "."
        raise AttributeError(f"{type(self).__name__} has no setting '{name}'{hint}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_dict() == typing.cast(Any, other).to_dict()

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string().rstrip()}"

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())


def gather_rope(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Gather what a config.json says of rotary positions, in any year's spelling.

    settings: of the file. Today's have `rope_parameters`; before 2025 they had `rope_scaling`, with
        "type" for "rope_type", and `rope_theta` and the like beside it
    defaults: what the family has where the file is silent

    Returns the `rope_parameters` of today. What stands inside comes before what stands beside it.
    """
    inside = settings.get("rope_scaling") or settings.get("rope_parameters") or {}
    beside = {
        today: settings[older]
        for older, today in OLDER_ROPE_NAMES.items()
        if settings.get(older) is not None
    }
    found = {**defaults, **beside, **inside}
    found.setdefault("rope_type", found.get("type", "default"))
    return found


def _where_rope_is(older: str) -> str:
    return f"it is config.rope_parameters['{OLDER_ROPE_NAMES[older]}']."


@cache
def _settings_of(family: Any) -> dict[str, tuple[Any, Any]]:
    """The settings of a family with their defaults and types, those of its bases first."""
    kinds = typing.get_type_hints(family)
    return {
        name: (getattr(family, name, None), kind)
        for base in reversed(family.__mro__)
        for name in getattr(base, "__annotations__", {})
        if typing.get_origin(kind := kinds.get(name)) is not ClassVar and kind is not ClassVar
    }


@cache
def _common_settings() -> dict[str, Any]:
    """What a config holds that was told nothing, as JSON data."""
    return PreTrainedConfig().to_dict()


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type, as JSON data may be: an integer is a fine float."""
    if kind is Any:
        return True
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(kind))
    if origin is Literal:
        return value in typing.get_args(kind)
    if origin is list:
        (item,) = typing.get_args(kind)
        return isinstance(value, list | tuple) and all(_fits(one, item) for one in value)
    if origin is tuple or kind is tuple:  # JSON knows lists only
        return isinstance(value, list | tuple)
    if origin is not None:
        return isinstance(value, origin)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _said(kind: Any) -> str:
    """A type in words."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " or ".join(_said(one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    if typing.get_origin(kind) is list:
        return f"a list of {typing.get_args(kind)[0].__name__}"
    if kind is type(None):
        return "None"
    return _article(getattr(kind, "__name__", str(kind)))


def _article(name: str) -> str:
    if name == "NoneType":
        return "None"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _as_json(value: Any) -> Any:
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, dict):
        return {key: _as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    return value


def _dtype_of(name: str) -> torch.dtype:
    dtype = getattr(torch, name.removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype):
        raise InvalidInput(
            f"dtype={name!r} was given; it is the name of a torch dtype, such as 'float32', "
            "'bfloat16' or 'float16'."
        )
    return dtype
