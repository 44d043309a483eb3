"""What may be given for each setting of `GenerationConfig`, and what is said where it may not."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from torch import Tensor

from minilm.errors import InvalidInput, WrongType

# One check for each setting: it takes a name and what was given, and returns what to keep.


def among(value: Any, values: tuple[Any, ...]) -> bool:
    """Say whether a value is one of several, where True is not 1.

    value: as given    values: those that are meant
    """
    return any(value is each or (type(value) is type(each) and value == each) for each in values)


def _whole(least: int) -> Any:
    def check(name: str, value: Any) -> int:
        if isinstance(value, Tensor) and value.ndim == 0:
            value = value.item()
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise WrongType(f"{name}={value!r} was given; it is a whole number.")
        if value < least:
            raise InvalidInput(f"{name}={value} was given; it is {least} or more.")
        return value.__index__()

    return check


def _number(least: float, most: float, words: str, *, above: bool = False) -> Any:
    def check(name: str, value: Any) -> float:
        if isinstance(value, Tensor) and value.ndim == 0:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, Real):
            raise WrongType(f"{name}={value!r} was given; it is a number, {words}.")
        number = float(value)
        if not (least < number if above else least <= number) or not number <= most:
            raise InvalidInput(f"{name}={value} was given; it is {words}.")
        return number

    return check


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise WrongType(f"{name}={value!r} was given; it is True or False.")
    return value


def _one_of(*allowed: Any) -> Any:
    def check(name: str, value: Any) -> Any:
        if not among(value, allowed):
            raise InvalidInput(
                f"{name}={value!r} was given; it is {' or '.join(map(repr, allowed))}."
            )
        return value

    return check


def _is_id(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool | Tensor)


def _ids(name: str, value: Any, or_one: bool = False) -> Any:
    if isinstance(value, Tensor):
        value = value.tolist()
    if or_one and _is_id(value):
        return value.__index__()
    if not isinstance(value, list | tuple) or not all(map(_is_id, value)):
        kind = "an id, or a list of ids" if or_one else "a list of ids"
        raise WrongType(f"{name}={value!r} was given; it is {kind}, whole numbers.")
    return [each.__index__() for each in value]


def _one_or_more_ids(name: str, value: Any) -> Any:
    return _ids(name, value, or_one=True)


def _lists_of_ids(name: str, value: Any) -> list[list[int]]:
    if not isinstance(value, list | tuple) or not value:
        raise WrongType(
            f"{name}={value!r} was given; it is a list of lists of ids, such as [[7], [3, 5]]."
        )
    found = [_ids(name, each) for each in value]
    if not all(found) or any(each < 0 for ids in found for each in ids):
        raise InvalidInput(f"{name}={value!r} was given; each list has ids, 0 or more.")
    return found


def _biases(name: str, value: Any) -> Any:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    try:
        found = {tuple(_ids(name, tokens)): float(bias) for tokens, bias in pairs}
    except (TypeError, ValueError):
        found = {}
    if not found or any(not tokens or min(tokens) < 0 for tokens in found):
        raise InvalidInput(
            f"{name}={value!r} was given; it is a dict with tuples of ids and what to add to their "
            "scores, such as {(7,): -2.5, (3, 5): 1.0}."
        )
    return found


def _strings(name: str, value: Any) -> Any:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise WrongType(f"{name}={value!r} was given; it is a string, or a list of strings.")
    if not found or not all(found):
        raise InvalidInput(f"{name}={value!r} was given; each is one character or more.")
    return value


def _start_and_factor(name: str, value: Any) -> tuple[int, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise WrongType(
            f"{name}={value!r} was given; it is a pair: after how many new tokens it begins, and "
            "the factor, such as (15, 1.6)."
        )
    return _whole(0)(name, value[0]), _number(0, float("inf"), "above 0", above=True)(
        name, value[1]
    )


_SHARE = _number(0, 1, "from 0 to 1")
_SHARE_ABOVE_0 = _number(0, 1, "above 0, at most 1", above=True)
_ANY_NUMBER = _number(-float("inf"), float("inf"), "any")
_ABOVE_0 = _number(0, float("inf"), "above 0", above=True)
_NOT_BELOW_0 = _number(0, float("inf"), "0 or more")
_ANY_ID = _whole(-(2**63))
CHECKS: dict[str, Any] = {
    "max_length": _whole(1),
    "max_new_tokens": _whole(1),
    "min_length": _whole(0),
    "min_new_tokens": _whole(0),
    "early_stopping": _one_of(True, False, "never"),
    "max_time": _NOT_BELOW_0,
    "stop_strings": _strings,
    "do_sample": _flag,
    "num_beams": _whole(1),
    "num_return_sequences": _whole(1),
    "prompt_lookup_num_tokens": _whole(1),
    "max_matching_ngram_size": _whole(1),
    "use_cache": _flag,
    "cache_implementation": _one_of(
        *("dynamic", "static", "hybrid", "sliding_window", "offloaded", "offloaded_static"),
        *("quantized", "paged"),
    ),
    "max_cache_len": _whole(1),
    "temperature": _NOT_BELOW_0,
    "top_k": _whole(0),
    "top_p": _SHARE,
    "min_p": _SHARE,
    "top_h": _SHARE_ABOVE_0,
    "typical_p": _SHARE_ABOVE_0,
    "epsilon_cutoff": _SHARE,
    "eta_cutoff": _SHARE,
    "repetition_penalty": _ABOVE_0,
    "encoder_repetition_penalty": _ABOVE_0,
    "length_penalty": _ANY_NUMBER,
    "no_repeat_ngram_size": _whole(0),
    "encoder_no_repeat_ngram_size": _whole(0),
    "bad_words_ids": _lists_of_ids,
    "sequence_bias": _biases,
    "renormalize_logits": _flag,
    "remove_invalid_values": _flag,
    "forced_bos_token_id": _whole(0),
    "forced_eos_token_id": _one_or_more_ids,
    "exponential_decay_length_penalty": _start_and_factor,
    "suppress_tokens": _ids,
    "begin_suppress_tokens": _ids,
    "output_attentions": _flag,
    "output_hidden_states": _flag,
    "output_scores": _flag,
    "output_logits": _flag,
    "return_dict_in_generate": _flag,
    "on_interrupt": _one_of("raise", "return"),
    "pad_token_id": _ANY_ID,
    "bos_token_id": _ANY_ID,
    "eos_token_id": _one_or_more_ids,
    "decoder_start_token_id": _ANY_ID,
    "is_assistant": _flag,
    "num_assistant_tokens": _whole(1),
    "num_assistant_tokens_schedule": _one_of("constant", "heuristic", "heuristic_transient"),
    "assistant_confidence_threshold": _SHARE,
    "assistant_lookbehind": _whole(1),
    "target_lookbehind": _whole(1),
}
