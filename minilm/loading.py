"""`from_pretrained`: config.json → an empty model → weights by name → tied → ready to use."""

from __future__ import annotations

import copy
import os
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from threading import get_ident
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from minilm import weights
from minilm.config import CONFIG_NAME, OLDER_ROPE_NAMES, PreTrainedConfig
from minilm.errors import FileProblem, InvalidInput, WrongType
from minilm.files import read_json, unchanged
from minilm.hub import Source
from minilm.models import base
from minilm.models.base import PreTrainedModel, check_attn_implementation, refuse_unknown
from minilm.weights import Checkpoint, as_table, open_checkpoint

Model = TypeVar("Model", bound=PreTrainedModel)
Shapes = Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

# How a model is found; everything else is about what becomes of it.
SOURCE_OPTIONS = (
    "revision",
    "cache_dir",
    "token",
    "local_files_only",
    "force_download",
    "subfolder",
)
LOADING_OPTIONS = (
    "config",
    "dtype",
    "attn_implementation",
    "output_loading_info",
    "ignore_mismatched_sizes",
    "use_safetensors",
)
# What transformers takes and what makes no difference here.
_WITHOUT_EFFECT = ("low_cpu_mem_usage", "trust_remote_code", "code_revision", "disable_mmap")
_PLACED = "models are loaded whole, onto the CPU; move one to another device with model.to(device)"
_QUANTIZED = "weights are loaded as floats, none quantized"
# What transformers takes and what is not here, unless it is off, or says what is done anyway.
_OFF = (None, False, "", "cpu", torch.device("cpu"), {"": "cpu"}, {"": torch.device("cpu")})
_NOT_HERE = {
    "device_map": _PLACED,
    "max_memory": _PLACED,
    "offload_folder": _PLACED,
    "offload_buffers": _PLACED,
    "offload_state_dict": _PLACED,
    "tp_plan": _PLACED,
    "load_in_8bit": _QUANTIZED,
    "load_in_4bit": _QUANTIZED,
    "quantization_config": _QUANTIZED,
    "gguf_file": _QUANTIZED,
    "from_tf": "only weights of PyTorch are read",
    "from_flax": "only weights of PyTorch are read",
    "variant": "of every model, the files without a variant are read",
    "state_dict": "make the model with from_config, and give it these with load_state_dict",
}
# What old files carry along that never was a weight: no reason to warn anybody.
_OLD_BUFFERS = (".masked_bias", ".position_ids", "rotary_emb.inv_freq")


class LoadingWarning(UserWarning):
    """A model was loaded, and it may not be what was meant."""


class MissingWeights(LoadingWarning):
    """Some weights of a model are not in its files and hold random numbers."""


class UnusedWeights(LoadingWarning):
    """Some weights in a model's files are none of the model's."""


class UntiedWeights(LoadingWarning):
    """The config says that two weights are one, and the files hold two."""


def source_of(name_or_path: Any, options: dict[str, Any]) -> Source:
    """Find where a model's files are, taking the options that are about that.

    name_or_path: as given    options: loses those options
    """
    if isinstance(name_or_path, Source):
        return name_or_path
    chosen = {name: options.pop(name) for name in SOURCE_OPTIONS if name in options}
    return Source(name_or_path, **{k: v for k, v in chosen.items() if v is not None})


def read_settings(source: Source) -> dict[str, Any]:
    """Read a model's config.json.

    source: where its files are

    Raises FileProblem if it is missing or damaged.
    """
    settings = read_json(source.need(CONFIG_NAME))
    if not isinstance(settings, dict):
        raise FileProblem(
            f"{CONFIG_NAME} in {source} holds {type(settings).__name__}, and a JSON object was "
            "expected. Fetch or save it again."
        )
    return settings


def load_config(config_class: type[PreTrainedConfig], name_or_path: Any, **options: Any) -> Any:
    """Load a model's config.

    config_class: of its family    name_or_path: a folder, a shipped checkpoint's name, or
        "owner/model" on the hub
    options: revision, cache_dir, token, local_files_only, subfolder; attn_implementation; settings
        that come before those of the file; return_unused_kwargs=True returns what is no setting as
        well

    Raises FileProblem for a missing or damaged config.json, InvalidInput for another family's, and
    WrongType for an option that is no setting.
    """
    wants_rest = options.pop("return_unused_kwargs", False)
    options = {name: value for name, value in options.items() if name not in _WITHOUT_EFFECT}
    attention = options.pop("attn_implementation", None)
    check_attn_implementation(attention)
    older = options.pop("torch_dtype", None)
    if options.get("dtype") is None and older is not None:
        options["dtype"] = older
    source = source_of(name_or_path, options)
    settings = read_settings(source)
    _check_family(config_class, settings, source, config_class.__name__)
    config = config_class.from_dict(settings)
    rest = {name: value for name, value in options.items() if not is_setting(config, name)}
    if not wants_rest:
        refuse_no_settings(config, rest, f"{config_class.__name__}.from_pretrained")
    if len(rest) < len(options):
        chosen = {name: value for name, value in options.items() if name not in rest}
        config = config_class.from_dict(settings, **chosen)
    if attention is not None:
        config._attn_implementation = attention
    config.name_or_path = source.name
    return (config, rest) if wants_rest else config


def _check_family(
    family: type[PreTrainedConfig], settings: Mapping[str, Any], source: Source, owner: str
) -> None:
    """Refuse the config.json of another family."""
    found = settings.get("model_type")
    if family.model_type and found is not None and found != family.model_type:
        raise InvalidInput(
            f"{CONFIG_NAME} in {source} says model_type '{found}', and {owner} is for "
            f"'{family.model_type}'. Load it with an Auto class, which chooses by model_type."
        )


def load_model(
    model_class: type[Model],
    name_or_path: str | os.PathLike[str] | Source,
    *,
    config: PreTrainedConfig | Source | str | os.PathLike[str] | None = None,
    dtype: str | torch.dtype | None = None,
    torch_dtype: str | torch.dtype | None = None,
    attn_implementation: str | None = None,
    output_loading_info: bool = False,
    ignore_mismatched_sizes: bool = False,
    use_safetensors: bool | None = None,
    weights_only: bool = True,
    **options: Any,
) -> Any:
    """Load a model with its weights.

    name_or_path: a folder, a shipped checkpoint's name, or "owner/model" on the hub
    config: instead of the one in config.json, or where another config.json is
    dtype: of the weights; None or "auto" = as config.json says, else as they are in the file
    attn_implementation: "sdpa" or "eager"
    output_loading_info: also return what was missing, left over, or of another shape
    ignore_mismatched_sizes: leave weights of another shape at random instead of refusing
    use_safetensors: True or False = only safetensors files, or only pickles, are looked for
    options: revision, cache_dir, token, local_files_only, subfolder; settings of the config

    Returns the model in eval mode (and a dict, if asked for). Weights that the files lack are drawn
    at random, with a `MissingWeights` warning that names them. The numbers lie in the files' pages
    until they are changed: loading takes no memory of its own.
    Raises FileProblem for missing or damaged files, InvalidInput for shapes that do not fit, and
    WrongType for an unknown option; nothing is left half-loaded.
    Reference: transformers' `PreTrainedModel.from_pretrained`.
    """
    check_attn_implementation(attn_implementation)
    if not weights_only:
        raise InvalidInput(
            "weights_only=False was given; pickles are opened as plain tensors only, since anything "
            "more can run code."
        )
    owner = f"{model_class.__name__}.from_pretrained"
    options = refuse_what_is_not_here(options, owner)
    source = source_of(name_or_path, options)
    if config is not None and not isinstance(config, PreTrainedConfig):
        config = source_of(config, {})
    with unchanged(source.folder):  # config and weights of one save
        config = _settle_config(model_class, source, config, options)
        checkpoint = open_checkpoint(source, use_safetensors)
        generation_config = base.added_later("read_generation_config")(source)
    if attn_implementation is not None:
        config._attn_implementation = attn_implementation
    config.name_or_path = source.name
    wanted = dtype if dtype is not None else torch_dtype
    config.dtype = choose_dtype(wanted, config, checkpoint)
    model, info = fill(model_class, config, checkpoint, config.dtype, ignore_mismatched_sizes)
    model.eval()
    if generation_config is not None and model.can_generate():
        model.generation_config = generation_config
    return (model, info) if output_loading_info else model


def refuse_what_is_not_here(options: dict[str, Any], owner: str) -> dict[str, Any]:
    """Explain options of transformers that minilm does not have.

    options: as given    owner: whose options

    Returns the others. Raises WrongType.
    """
    for name, why in _NOT_HERE.items():
        if options.get(name) not in _OFF:
            raise WrongType(f"{owner} does not take {name}: {why}.")
    return {
        name: value
        for name, value in options.items()
        if name not in _NOT_HERE and name not in _WITHOUT_EFFECT
    }


def _settle_config(
    model_class: type[PreTrainedModel],
    source: Source,
    given: PreTrainedConfig | Source | None,
    options: dict[str, Any],
) -> PreTrainedConfig:
    """The model's own config, with options that are settings of it in their place."""
    family, owner = model_class.config_class, f"{model_class.__name__}.from_pretrained"
    if isinstance(given, PreTrainedConfig):
        config = copy.deepcopy(given)
        refuse_no_settings(config, options, owner)
        for name, value in options.items():
            setattr(config, name, value)
        config.check()
        return config
    where = source if given is None else given
    settings = read_settings(where)
    _check_family(family, settings, where, model_class.__name__)
    if settings.get("quantization_config"):
        raise InvalidInput(
            f"The weights in {where} are quantized, as {CONFIG_NAME} says in quantization_config, "
            "and here weights are floats. Take the model that they were made from."
        )
    config = family.from_dict(settings)
    refuse_no_settings(config, options, owner)
    return family.from_dict(settings, **options) if options else config


def refuse_no_settings(config: PreTrainedConfig, options: Collection[str], owner: str) -> None:
    """Refuse options that are no settings of a config, with near names.

    config: of the model    options: their names    owner: whose options
    """
    unknown = [name for name in options if not is_setting(config, name)]
    if "rope_parameters" in vars(config):
        for name in unknown:
            if name == "rope_scaling" or name in OLDER_ROPE_NAMES:
                raise WrongType(
                    f"{owner} has no argument '{name}': rotary positions are one setting. Give all "
                    "of it, as in rope_parameters={'rope_type': 'default', 'rope_theta': 10000.0}."
                )
    if unknown:
        settings = [name for name in vars(config) if not name.startswith("_")]
        refuse_unknown(unknown, [*LOADING_OPTIONS, *SOURCE_OPTIONS, *settings], owner)


def is_setting(config: PreTrainedConfig, name: str) -> bool:
    """Say whether a config has a setting of that name.

    config: of any family    name: its own or the usual one
    """
    kind = type(config)
    known = name in vars(config) or name in kind.attribute_map
    return not name.startswith("_") and (known or isinstance(getattr(kind, name, None), property))


def choose_dtype(
    dtype: str | torch.dtype | None, config: PreTrainedConfig, checkpoint: Checkpoint | None = None
) -> torch.dtype:
    """Say what the weights are to be.

    dtype: as given; None or "auto" = as the config says, else as the first float in the files is
    config: of the model    checkpoint: its files; None = there are none

    Raises InvalidInput for a dtype that weights cannot have.
    """
    chosen = dtype if dtype is not None and dtype != "auto" else config.dtype
    if chosen is None:
        tensors: Iterator[Any] = map(checkpoint.read, checkpoint) if checkpoint else iter(())
        floats = (tensor.dtype for tensor in tensors if tensor.is_floating_point())
        chosen = next(floats, torch.get_default_dtype())
    if isinstance(chosen, str):
        chosen = getattr(torch, chosen.removeprefix("torch."), chosen)
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise InvalidInput(
            f"dtype={chosen!r} was given; it is 'auto', or a float such as 'float32', 'bfloat16', "
            "'float16'."
        )
    return chosen


def fill(
    model_class: type[Model],
    config: PreTrainedConfig,
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    ignore_mismatched_sizes: bool = False,
) -> tuple[Model, dict[str, Any]]:
    """Make a model without numbers and give it those of a checkpoint.

    model_class, config: of the model    checkpoint: its files    dtype: of the weights
    ignore_mismatched_sizes: draw weights of another shape at random

    Returns the model and the report: missing_keys, unexpected_keys, mismatched_keys, error_msgs.
    """
    model = empty_model(model_class, config)
    expected = model.state_dict(keep_vars=True)
    in_files = {theirs: ours for ours, theirs in model.file_names.items()}
    keys = {in_files.get(key, key): key for key in checkpoint}
    names, missing, unexpected = weights.match_keys(expected, keys, model.base_model_prefix)
    if expected and not names:
        raise InvalidInput(
            f"None of the {len(expected)} weights of {model_class.__name__} is in "
            f"{checkpoint.source}: it wants {next(iter(expected))}, and there is "
            f"{next(iter(keys), 'none'):.99}. Load with the class and config that belong to the files."
        )
    tensors = {name: checkpoint.read(keys[key]) for name, key in names.items()}
    mismatched = {
        name: (tuple(tensor.shape), tuple(expected[name].shape))
        for name, tensor in tensors.items()
        if tensor.shape != expected[name].shape
    }
    if mismatched and not ignore_mismatched_sizes:
        raise InvalidInput(
            f"{len(mismatched)} weights in {checkpoint.source} have another shape than "
            f"{model_class.__name__} with this config:\n{loading_report((), (), mismatched)}\n"
            "Load with the config that belongs to the files, or with ignore_mismatched_sizes=True "
            "to draw these at random."
        )
    owners = tensor_owners(tied_names(model), names)
    missing = [
        name
        for name in missing
        if owners.get(name) not in names and not _is_computed_parameter(expected[name])
    ]
    unexpected = [key for key in unexpected if not key.endswith(model.ignored_keys)]
    loaded = [name for name in names if name not in mismatched]
    _start_anew(model, [name for name in (*missing, *mismatched) if name not in owners], dtype)
    for name in loaded:
        _put(model, name, tensors[name], dtype, checkpoint.source)
    _convert_buffers(model, loaded, dtype)
    _tie(model, owners, loaded)
    if missing or mismatched:
        _warn(
            MissingWeights,
            f"{model_class.__name__} loaded from {checkpoint.source} has weights that it did not "
            "get from there; they hold random numbers until they are trained:\n"
            f"{loading_report(missing, unexpected, mismatched)}",
        )
    elif any(not key.endswith(_OLD_BUFFERS) for key in set(unexpected) - _of_heads(model, keys)):
        _warn(
            UnusedWeights,
            f"{model_class.__name__} has no place for weights in {checkpoint.source}:\n"
            f"{loading_report((), unexpected, {})}",
        )
    info = {
        "missing_keys": set(missing),
        "unexpected_keys": set(unexpected),
        "mismatched_keys": {(name, *shapes) for name, shapes in mismatched.items()},
        "error_msgs": [],
    }
    return model, info


def empty_model(model_class: type[Model], config: PreTrainedConfig) -> Model:
    """Make a model whose weights have names and shapes, and neither numbers nor memory.

    model_class, config: of the model

    What a model computes for itself, such as a table of masks, is there.
    Raises InvalidInput for settings that no model can be made of.
    """
    try:
        try:
            with torch.device("meta"), _Undrawn():
                model = model_class(config)
        except (RuntimeError, NotImplementedError):  # it looks at numbers while it is made
            model = None
        if model is None or any(map(_is_meta, _computed(model))):
            with _parameters_on_meta(), _Undrawn():
                model = model_class(config)
    except (RuntimeError, OverflowError, ZeroDivisionError) as error:
        raise InvalidInput(
            f"No {model_class.__name__} can be made of this config ({error}). Check its sizes."
        ) from error
    return model


class _Undrawn(TorchFunctionMode):
    """Skip filling tensors that have no numbers.

    Torch goes a long way for these, through its compiler, whose import alone takes seconds.
    """

    FILLING = frozenset(
        (Tensor.normal_, Tensor.uniform_, Tensor.zero_, Tensor.fill_, Tensor.erfinv_, Tensor.clamp_)
    )

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in self.FILLING or getattr(func, "__module__", "") == nn.init.__name__:
            tensor = args[0] if args else kwargs["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


def _computed(model: nn.Module) -> Iterator[Any]:
    """Everything that modules hold besides what is learned; what is frozen from the start is not."""
    yield from (parameter for parameter in model.parameters() if not parameter.requires_grad)
    for module in model.modules():
        yield from chain(module._buffers.values(), vars(module).values())


def _is_meta(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_meta


def _is_computed_parameter(value: Any) -> bool:
    return isinstance(value, nn.Parameter) and not value.is_meta


@contextmanager
def _parameters_on_meta() -> Iterator[None]:
    """Drop the numbers of every parameter that this thread makes, and of nothing else."""
    here = get_ident()

    def drop(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        if parameter is None or get_ident() != here or not parameter.requires_grad:
            return None  # as it is
        return nn.Parameter(parameter.to("meta"))

    handle = register_module_parameter_registration_hook(drop)
    try:
        yield
    finally:
        handle.remove()


def tied_names(model: PreTrainedModel) -> dict[str, str]:
    """Name the weights that are another's, as the config has it.

    model: of any family

    Returns name → the weight that it is.
    """
    return dict(model.tied_weights) if model.config.tie_word_embeddings else {}


def tensor_owners(tied: Mapping[str, str], given: Collection[str]) -> dict[str, str]:
    """Say which weights take the tensor of another.

    tied: name → the weight that it is, such as the head's → the embedding's
    given: names that the files hold

    Returns name → whose tensor it takes. Where the files lack the one that others are, and hold
    one of those others, that one is the owner.
    """
    groups: dict[str, list[str]] = {}
    for name, source in tied.items():
        groups.setdefault(source, [source]).append(name)
    owners = {}
    for names in groups.values():
        owner = next((name for name in names if name in given), names[0])
        owners.update({name: owner for name in names if name != owner})
    return owners


def _tie(model: PreTrainedModel, owners: Mapping[str, str], loaded: Collection[str]) -> None:
    """Make tied weights one tensor, unless the files hold two that differ."""
    for name, owner in owners.items():
        one, other = model.get_parameter(name), model.get_parameter(owner)
        if name in loaded and owner in loaded and not _are_equal(one, other):
            _warn(
                UntiedWeights,
                f"The config says that {name} and {owner} are one, and the files hold two that "
                "differ. They are kept apart; say tie_word_embeddings=False if that is meant.",
            )
            continue
        base.tie(model, name, owner)


def _are_equal(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    return one.data_ptr() == other.data_ptr() or torch.equal(one, other)


def _put(model: nn.Module, name: str, tensor: Tensor, dtype: torch.dtype, source: Source) -> None:
    """Make a tensor a weight of a model, as it is, without copying it."""
    owner, _, attribute = name.rpartition(".")
    module = model.get_submodule(owner)
    is_weight = attribute in module._parameters
    old: Any = module._parameters[attribute] if is_weight else module._buffers[attribute]
    if tensor.is_floating_point() != old.is_floating_point() or tensor.is_complex():
        raise FileProblem(
            f"{name} in {source} is of {tensor.dtype}, and {old.dtype} was expected. Quantized "
            "weights are not read: take the model that they were made from."
        )
    # What the model itself makes of another dtype than the usual one, it means.
    tensor = tensor.to(dtype if old.dtype == torch.get_default_dtype() else old.dtype)
    if is_weight:
        module._parameters[attribute] = nn.Parameter(tensor, requires_grad=old.requires_grad)
    else:
        module._buffers[attribute] = tensor


def _start_anew(model: PreTrainedModel, names: Collection[str], dtype: torch.dtype) -> None:
    """Draw the weights that no file gives, as in a new model; the others have no numbers yet."""
    computed = [parameter for parameter in model.parameters() if not parameter.is_meta]
    for name in names:
        owner, _, attribute = name.rpartition(".")
        module = model.get_submodule(owner)
        old = module._parameters.get(attribute)
        if old is not None and old.is_meta:
            fresh = torch.zeros(old.shape, dtype=dtype)
            module._parameters[attribute] = nn.Parameter(fresh, requires_grad=old.requires_grad)
    if not names:
        return
    kept = {p: p.clone() for p in computed}
    # The body has the last word on its own weights.
    for part in model.modules():
        if isinstance(part, PreTrainedModel):
            part.apply(part.init_weights)
    with torch.no_grad():
        for parameter, numbers in kept.items():
            parameter.copy_(numbers)


def _convert_buffers(model: nn.Module, loaded: Collection[str], dtype: torch.dtype) -> None:
    """Give what the model computed for itself the dtype of the weights."""
    usual = torch.get_default_dtype()
    for name, buffer in model.named_buffers():
        if name not in loaded and buffer.dtype == usual != dtype:
            owner, _, attribute = name.rpartition(".")
            model.get_submodule(owner)._buffers[attribute] = buffer.to(dtype)


def _of_heads(model: PreTrainedModel, keys: Collection[str]) -> set[str]:
    """What a whole model's files hold besides its body, if this is a body, which needs no head."""
    prefix = model.base_model_prefix
    outside = {key for key in keys if not key.startswith(f"{prefix}.")}
    is_body = prefix and not hasattr(model, prefix)
    return outside if is_body and len(outside) < len(keys) else set()


def loading_report(
    missing: Collection[str], unexpected: Collection[str], mismatched: Shapes
) -> str:
    """Lay out what did not fit between a model and its files.

    missing: names the files lack    unexpected: names the model lacks
    mismatched: name → its shapes in the file and in the model

    Returns one line for each name: the name, what happened, and what that means.
    """
    rows = [(name, "missing", "drawn at random") for name in sorted(missing)]
    rows += [(name, "unexpected", "not used") for name in sorted(unexpected)]
    for name, (in_file, in_model) in sorted(mismatched.items()):
        rows.append((name, "mismatched", f"{in_file} in the file, {in_model} in the model"))
    return as_table(rows)


def _warn(category: type[LoadingWarning], message: str) -> None:
    """Warn whoever called minilm."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("minilm."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
