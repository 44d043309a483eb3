"""What the task "text-generation" can be asked for."""

from __future__ import annotations

import difflib
import enum
from typing import Any

from minilm.errors import InvalidInput, WrongType
from minilm.generation import settings


class ReturnType(enum.Enum):
    """What is returned of a text."""

    TENSORS = 0
    NEW_TEXT = 1
    FULL_TEXT = 2


# What a pipeline takes that says nothing about how tokens are chosen.
RETURNS = ("return_full_text", "return_tensors", "return_text", "return_type")
OWN = (
    *RETURNS,
    *("add_special_tokens", "clean_up_tokenization_spaces", "continue_final_message", "documents"),
    *("handle_long_generation", "padding", "prefix", "skip_special_tokens", "stop_sequence"),
    *("tokenizer_encode_kwargs", "tools", "truncation"),
)
# What `generate` takes beside its settings.
OF_GENERATE = (
    *("assistant_model", "assistant_tokenizer", "custom_generate", "generation_config"),
    *("generator", "logits_processor", "prefix_allowed_tokens_fn", "stopping_criteria"),
    *("streamer", "synced_gpus", "tokenizer"),
)
SETTINGS = (*settings.DEFAULTS, *settings.NOT_HERE, *settings.WITHOUT_EFFECT)
KNOWN = (*OWN, *OF_GENERATE, *SETTINGS, "batch_size", "progress_bar")
# What is asked for where neither caller nor model says otherwise.
USUAL = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}
# Settings that mean the same for a text whether it is written alone or beside others. (Others see
# padding, or count it: max_length, repetition_penalty … as in transformers.)
SAME_IN_BATCHES = {
    *("max_new_tokens", "num_beams", "num_return_sequences", "early_stopping", "length_penalty"),
    *("pad_token_id", "bos_token_id", "eos_token_id", "stop_strings", "suppress_tokens"),
    *("use_cache", "transformers_version", "on_interrupt", "tokenizer", *settings.FOR_SAMPLING),
}


def checked(options: dict[str, Any]) -> dict[str, Any]:
    """Check options, and settle what is to be returned.

    options: by name

    Returns them, with return_type in place of return_full_text and its like where one was given.
    Raises WrongType for an unknown one, with the nearest known, InvalidInput for two that
    contradict each other.
    """
    for name in options:
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise WrongType(f"The text-generation pipeline has no argument '{name}'{hint}")
    found = {n: v for n, v in options.items() if n not in RETURNS or n == "return_type"}
    full, ids, text = (options.get(name) for name in RETURNS[:3])
    if full is not None and (text is not None or ids is not None):
        other = "return_text" if text is not None else "return_tensors"
        raise InvalidInput(
            f"return_full_text={full} and {other}={options[other]} were given. Give one: "
            "return_full_text=True or False for texts, return_tensors=True for ids."
        )
    if ids is not None and text is not None:
        raise InvalidInput(
            "return_tensors and return_text were given. Give one: return_tensors=True returns "
            "ids, and texts are returned without it."
        )
    if options.get("return_type") is None:
        found.pop("return_type", None)
        if full is not None:
            found["return_type"] = ReturnType.FULL_TEXT if full else ReturnType.NEW_TEXT
        elif ids is not None:
            found["return_type"] = ReturnType.TENSORS if ids else ReturnType.FULL_TEXT
    elif not isinstance(options["return_type"], ReturnType):
        raise WrongType(
            f"return_type={options['return_type']!r} was given; expected a ReturnType, such as "
            "ReturnType.NEW_TEXT; or give return_full_text=False."
        )
    long = options.get("handle_long_generation")
    if long not in (None, "hole"):
        raise InvalidInput(
            f"handle_long_generation={long!r} was given; it is 'hole', which leaves out the "
            "beginning of a long prompt, or None."
        )
    for name in ("prefix", "stop_sequence"):
        value = options.get(name)
        several = name == "stop_sequence" and isinstance(value, list | tuple)
        if value is not None and not isinstance(value, str) and not several:
            raise WrongType(f"{name}={value!r} was given; expected a text.")
    return found
