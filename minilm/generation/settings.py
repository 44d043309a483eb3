"""The names of all settings of generation, what each is where nobody says so, and when it counts."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from typing import Any

from minilm.errors import InvalidInput, WrongType

# Every setting, and what it is where nobody says so: neither caller nor model.
DEFAULTS: dict[str, Any] = {
    # How long the text is.
    "max_length": 20,
    "max_new_tokens": None,
    "min_length": 0,
    "min_new_tokens": None,
    "early_stopping": False,
    "max_time": None,
    "stop_strings": None,
    # How tokens are chosen.
    "do_sample": False,
    "num_beams": 1,
    "num_return_sequences": 1,
    "prompt_lookup_num_tokens": None,
    "max_matching_ngram_size": None,
    # What is kept between them.
    "use_cache": True,
    "cache_implementation": None,
    "max_cache_len": None,
    # What is done to their scores.
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "min_p": None,
    "top_h": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "sequence_bias": None,
    "renormalize_logits": False,
    "remove_invalid_values": False,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "exponential_decay_length_penalty": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    # What is returned.
    "output_attentions": False,
    "output_hidden_states": False,
    "output_scores": False,
    "output_logits": False,
    "return_dict_in_generate": False,
    "on_interrupt": "raise",
    # Tokens that mean something.
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "decoder_start_token_id": None,
    # A smaller model that guesses ahead.
    "is_assistant": False,
    "num_assistant_tokens": None,
    "num_assistant_tokens_schedule": None,
    "assistant_confidence_threshold": None,
    "assistant_lookbehind": None,
    "target_lookbehind": None,
}
# Settings of transformers that are not here, and what they may be all the same.
NOT_HERE: dict[str, tuple[Any, ...]] = {
    "use_mtp": (None, False),
    "token_healing": (None, False),
    "guidance_scale": (None, 1, 1.0),
    "watermarking_config": (None,),
    "assistant_early_exit": (None,),
    "assistant_ensemble_weight": (None,),
    "speculation_type": (None,),
    "continuous_batching_config": (None,),
    "low_memory": (None, False),
    "penalty_alpha": (None, 0, 0.0),
    "dola_layers": (None,),
    "diversity_penalty": (None, 0, 0.0),
    "num_beam_groups": (None, 1),
    "constraints": (None,),
    "force_words_ids": (None,),
}
# Settings that change how fast it goes there, and nothing here.
WITHOUT_EFFECT = ("cache_config", "compile_config", "disable_compile", "prefill_chunk_size")
# Names in files that are no settings.
NOTES = ("transformers_version", "_from_model_config")
KNOWN = {*DEFAULTS, *NOT_HERE, *WITHOUT_EFFECT, *NOTES}
# What `generate` takes itself.
ARGUMENTS_OF_GENERATE = (
    "logits_processor",
    "stopping_criteria",
    "prefix_allowed_tokens_fn",
    "synced_gpus",
    "assistant_model",
    "streamer",
    "negative_prompt_ids",
    "negative_prompt_attention_mask",
    "generator",
    "tokenizer",
)
# What does nothing unless tokens are drawn at random, or without several beams: its default there.
FOR_SAMPLING = (
    *("temperature", "top_k", "top_p", "min_p", "top_h", "typical_p"),
    *("epsilon_cutoff", "eta_cutoff"),
)
FOR_BEAMS = ("early_stopping", "length_penalty")
# What counts in generation_config.json alone: in a config.json it is left from before 2023, and
# passed over, unless a family has it among its own settings.
NOT_OF_MODELS = (
    *("max_length", "min_length", "do_sample", "early_stopping", "num_beams", "temperature"),
    *("top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "epsilon_cutoff"),
    *("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "eta_cutoff"),
    *("num_return_sequences", "output_scores", "return_dict_in_generate", "forced_bos_token_id"),
    *("forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty"),
    *("suppress_tokens", "begin_suppress_tokens", "encoder_repetition_penalty"),
    *("num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"),
    *("assistant_lookbehind", "target_lookbehind"),
)
FOR_OUTPUTS = ("output_attentions", "output_hidden_states", "output_scores", "output_logits")


@functools.lru_cache(maxsize=512)
def nearest(name: str, cutoff: float) -> list[str]:
    """The setting whose name is nearest; kept, since looking takes longer than writing a token."""
    return difflib.get_close_matches(name, DEFAULTS, n=1, cutoff=cutoff)


def refuse_unknown_settings(names: Iterable[str], owner: str, more: Iterable[str] = ()) -> None:
    """Raise an error for settings that nobody knows, with the nearest that is known.

    names: theirs    owner: whose settings    more: names that are known as well
    """
    known = [*DEFAULTS, *more]
    for name in names:
        if name in ARGUMENTS_OF_GENERATE and name not in known:
            raise InvalidInput(f"{owner} has no setting '{name}': give it to generate itself.")
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise WrongType(f"{owner} has no argument '{name}'{hint}")
