"""What `generate` is given to go on from: the prompts, their padding, what is cached already."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from minilm.cache import Cache
from minilm.errors import InvalidInput, WrongType
from minilm.generation.config import GenerationConfig, warn
from minilm.generation.forward import n_learned_positions
from minilm.generation.settings import refuse_unknown_settings

# What a model can be given beside its prompts.
_TAKEN = ("attention_mask", "position_ids", "past_key_values", "inputs_embeds", "token_type_ids")


@dataclass
class Prompts:
    """The prompts of a call, in the form in which a `Forward` takes them.

    input_ids: int (B, L)    attention_mask: int (B, S), or None where nothing is padding
    The rest: as `Forward` takes them, None where they were not given.
    """

    input_ids: Tensor
    attention_mask: Tensor | None = None
    position_ids: Tensor | None = None
    past_key_values: Cache | None = None
    inputs_embeds: Tensor | None = None
    token_type_ids: Tensor | None = None

    @property
    def length(self) -> int:
        """How many tokens the model sees before the first new one."""
        total = self.input_ids.shape[1]
        if self.inputs_embeds is not None:
            total = self.inputs_embeds.shape[1]
        elif self.attention_mask is not None:
            total = max(total, self.attention_mask.shape[1])
        return total

    @property
    def n_padding(self) -> Tensor | None:
        """How many of the first ids of each row are padding, int (B,); None = none are."""
        if self.attention_mask is None:
            return None
        real = self.attention_mask != 0  # (B, S)
        hidden = real.shape[1] - self.input_ids.shape[1]  # cached ones, that are not among the ids
        return (real.int().argmax(dim=1) - hidden).clamp(min=0)  # (B,)

    def repeated(self, times: int) -> Prompts:
        """Return each prompt several times, side by side.

        times: how often
        """
        if times == 1:
            return self
        found = {
            name: each.repeat_interleave(times, dim=0)
            if isinstance(each, Tensor) and len(each) == len(self.input_ids)
            else each
            for name, each in vars(self).items()
        }
        if self.past_key_values is not None:  # the caller may go on from it again
            found["past_key_values"] = copied(self.past_key_values)
            found["past_key_values"].batch_repeat_interleave(times)
        return Prompts(**found)


def copied(cache: Cache) -> Cache:
    """Copy a cache, without the gradients of a model that was called with them.

    cache: any
    """
    held = [each for layer in cache.layers for each in vars(layer).values()]
    # Under their ids deepcopy looks up what it has copied already.
    memo: dict[int, Any] = {
        id(each): each.detach().clone() for each in held if isinstance(each, Tensor)
    }
    return copy.deepcopy(cache, memo)


def prompts_of(
    model: Any, inputs: Any, settings: GenerationConfig, given: dict[str, Any]
) -> Prompts:
    """Check what a model is to go on from.

    model: a causal one    inputs: int (B, L), or None    settings: of the call
    given: what else, by name

    Raises WrongType or InvalidInput for what is no prompt, and what does not belong together.
    """
    _check_names(model, given)
    ids = given.pop("input_ids", None)
    if ids is not None and inputs is not None:
        raise InvalidInput("Both inputs and input_ids were given, and they are the same. Give one.")
    prompts = Prompts(
        _checked_ids(model, ids if inputs is None else inputs, settings, given),
        **{name: given.get(name) for name in _TAKEN},
    )
    _check_vectors(prompts)
    given_mask = prompts.attention_mask is not None
    if given_mask:
        _check_mask(prompts)
    _check_cache(prompts)
    if not given_mask:
        prompts.attention_mask = _mask_of_padding(prompts, settings)
    _warn_of_padding(prompts, settings, given_mask)
    _check_length(model, prompts)
    mask = prompts.attention_mask
    if mask is not None and bool((mask == 1).all()) and mask.shape[1] == prompts.input_ids.shape[1]:
        prompts.attention_mask = None
    return prompts


def _check_names(model: Any, given: dict[str, Any]) -> None:
    known = [name for name in _TAKEN if name in inspect.signature(model.forward).parameters]
    unknown = [name for name, value in given.items() if value is not None]
    unknown = [name for name in unknown if name not in (*known, "input_ids")]
    if "token_type_ids" in unknown:
        raise WrongType(
            f"{type(model).__name__} does not take token_type_ids. Leave them out: "
            "tokenizer(…, return_token_type_ids=False)."
        )
    refuse_unknown_settings(unknown, "generate", ("input_ids", *known, *_OTHER_ARGUMENTS))


_OTHER_ARGUMENTS = (
    "generation_config",
    "logits_processor",
    "stopping_criteria",
    "prefix_allowed_tokens_fn",
    "assistant_model",
    "streamer",
    "generator",
    "tokenizer",
    "assistant_tokenizer",
)


def _checked_ids(model: Any, ids: Any, settings: GenerationConfig, given: dict[str, Any]) -> Tensor:
    vectors = given.get("inputs_embeds")
    if ids is None and isinstance(vectors, Tensor):
        return torch.empty(len(vectors), 0, dtype=torch.int64, device=vectors.device)  # (B, 0)
    if ids is None:
        if settings.bos_token_id is None:
            raise InvalidInput(
                "No prompt was given, and the model has no bos_token_id to begin with. Give "
                "input_ids, (batch, tokens)."
            )
        return torch.full((1, 1), settings.bos_token_id, device=model.device)  # (1, 1)
    if hasattr(ids, "keys"):
        raise WrongType(
            "A batch was given as one argument; give its parts by name: generate(**batch)."
        )
    if not isinstance(ids, Tensor):
        kind = "text" if isinstance(ids, str) else type(ids).__name__
        raise WrongType(
            f"The prompt is of the type {kind}; expected a tensor of ids, (batch, tokens), as "
            'tokenizer(texts, return_tensors="pt", padding=True, padding_side="left") gives it; of '
            "ids that are there already, torch.tensor(ids) makes one."
        )
    if ids.ndim != 2:
        hint = ": give input_ids[None]" if ids.ndim == 1 else ""
        raise InvalidInput(
            f"input_ids of shape {tuple(ids.shape)} were given; expected (batch, tokens){hint}."
        )
    if ids.is_floating_point() or ids.dtype == torch.bool:
        raise WrongType(
            f"input_ids are {ids.dtype}; ids are whole numbers, int64. Vectors are given as "
            "inputs_embeds."
        )
    if ids.device != model.device:
        raise InvalidInput(
            f"input_ids are on {ids.device}, and the model is on {model.device}. Give "
            "input_ids.to(model.device), or the whole batch: batch.to(model.device)."
        )
    if not len(ids) or (not ids.shape[1] and vectors is None):
        raise InvalidInput(
            f"The prompt is empty: input_ids of shape {tuple(ids.shape)} were given. Begin with one "
            "token at least, such as bos_token_id."
        )
    return ids.long()


def _check_vectors(prompts: Prompts) -> None:
    vectors = prompts.inputs_embeds
    if vectors is None:
        return
    if not isinstance(vectors, Tensor) or vectors.ndim != 3 or not vectors.shape[1]:
        what = tuple(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
        raise InvalidInput(f"inputs_embeds: {what} was given; expected (batch, tokens, width).")
    if len(vectors) != len(prompts.input_ids):
        raise InvalidInput(
            f"inputs_embeds for {len(vectors)} rows and input_ids for {len(prompts.input_ids)} were "
            "given. Give as many of both, or leave out input_ids."
        )


def _check_mask(prompts: Prompts) -> None:
    mask, batch = prompts.attention_mask, len(prompts.input_ids)
    if not isinstance(mask, Tensor) or mask.ndim != 2:
        what = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise InvalidInput(
            f"attention_mask: {what} was given; expected a tensor (batch, tokens), 1 for real "
            "tokens and 0 for padding."
        )
    if len(mask) != batch:
        raise InvalidInput(
            f"attention_mask of {len(mask)} rows was given for {batch} prompts. Give a row for each."
        )
    vectors = prompts.inputs_embeds
    length = prompts.input_ids.shape[1] if vectors is None else vectors.shape[1]
    cached = prompts.past_key_values
    seen = cached.get_seq_length() if isinstance(cached, Cache) else 0
    if mask.shape[1] != length and not (seen and mask.shape[1] == seen + length):
        expected = f"{length}, or {seen + length} with the cached ones" if seen else f"{length}"
        raise InvalidInput(
            f"attention_mask has {mask.shape[1]} columns; expected one for each token: {expected}."
        )
    empty = (mask == 0).all(dim=1).nonzero()[:, 0].tolist()
    if empty:
        raise InvalidInput(
            f"Row {empty[0]} of attention_mask is 0 everywhere: that prompt is empty. Begin with one "
            "token at least, such as bos_token_id."
        )


def _check_cache(prompts: Prompts) -> None:
    cache = prompts.past_key_values
    if cache is None:
        return
    if not isinstance(cache, Cache):
        hint = " Tuples of keys and values are how it was before 2025."
        raise WrongType(
            f"past_key_values is a {type(cache).__name__}; expected a Cache, such as an earlier "
            f"output's past_key_values.{hint if isinstance(cache, tuple | list) else ''}"
        )
    seen = cache.get_seq_length()
    if seen and prompts.length <= seen:
        raise InvalidInput(
            f"past_key_values hold {seen} tokens, and the prompt has {prompts.length}: nothing is "
            "new. Give the whole text, cached tokens and new ones; or the new ones alone, with an "
            "attention_mask for all."
        )


def _mask_of_padding(prompts: Prompts, settings: GenerationConfig) -> Tensor | None:
    """The mask that the padding token tells, where it means nothing else."""
    pad, ends = settings.pad_token_id, settings.eos_token_id or []
    if (
        pad is None
        or pad in ends
        or not prompts.input_ids.shape[1]
        or prompts.inputs_embeds is not None
    ):
        return None
    mask = (prompts.input_ids != pad).long()  # (B, L)
    return None if bool(mask.all()) or not bool(mask.any(dim=1).all()) else mask


def _warn_of_padding(prompts: Prompts, settings: GenerationConfig, given_mask: bool) -> None:
    mask, ids = prompts.attention_mask, prompts.input_ids
    if mask is not None:
        at_end = (mask[:, -1] == 0).nonzero()[:, 0].tolist()
        if at_end:
            warn(
                f"Row {at_end[0]} of the prompts ends with padding, and what comes next would be "
                "written behind it, as if the padding were text. Pad on the left: "
                'tokenizer(…, padding=True, padding_side="left").'
            )
    elif len(ids) > 1 and ids.shape[1] and not given_mask and settings.pad_token_id is not None:
        at_border = (ids[:, 0] == settings.pad_token_id) | (ids[:, -1] == settings.pad_token_id)
        if bool(at_border.any()):
            warn(
                f"A row of the prompts begins or ends with {settings.pad_token_id}, which is the "
                "padding and the end, and without attention_mask it is taken for text. Give the "
                "attention_mask of your tokenizer."
            )


def _check_length(model: Any, prompts: Prompts) -> None:
    limit = n_learned_positions(model)
    mask = prompts.attention_mask
    real = prompts.length if mask is None else int((mask != 0).sum(dim=1).max())
    if limit is not None and real > limit and prompts.position_ids is None:
        raise InvalidInput(
            f"The prompt has {real} tokens, and {type(model).__name__} has learned {limit} "
            f"positions. Give its last tokens alone: input_ids[:, -{limit // 2}:] leaves room for as "
            "many new ones."
        )
