"""`generate`: settle what is asked for, check it, and hand it to the mode that does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minilm.errors import InvalidInput, OutOfRange, WrongType
from minilm.generation import assisted, beam, fast, loop
from minilm.generation.building import criteria_for, processors_for
from minilm.generation.config import GenerationConfig, can_generate, config_of, warn
from minilm.generation.forward import Forward, n_learned_positions, new_cache
from minilm.generation.inputs import Prompts, prompts_of
from minilm.generation.settings import DEFAULTS, NOT_HERE, WITHOUT_EFFECT

# Arguments of transformers' generate that are not here, unless they change nothing.
_NOT_HERE = {
    "negative_prompt_ids": (None,),
    "negative_prompt_attention_mask": (None,),
    "custom_generate": (None,),
    "synced_gpus": (None, False),
    "trust_remote_code": (None, False),
}
# How many tokens a sliding window must be able to take back, where a smaller model guesses.
_MOST_GUESSES = 64


def generate(
    model: Any,
    inputs: Tensor | None = None,
    generation_config: GenerationConfig | None = None,
    logits_processor: Any = None,
    stopping_criteria: Any = None,
    prefix_allowed_tokens_fn: Callable[[int, Tensor], Any] | None = None,
    assistant_model: Any = None,
    streamer: Any = None,
    *,
    generator: torch.Generator | None = None,
    tokenizer: Any = None,
    assistant_tokenizer: Any = None,
    **options: Any,
) -> Any:
    """Write on from a prompt, token by token.

    inputs: int (B, L), the prompts, also as input_ids; None = begin with bos_token_id
    generation_config: settings for this call; what it leaves open is as the model's own says
    logits_processor, stopping_criteria: lists of the caller's own, beside those of the settings
    prefix_allowed_tokens_fn: (row, ids) → ids that may come next
    assistant_model: a smaller model that guesses ahead
    streamer: is given the prompts, and each new token as it is written
    generator: to draw with; None = torch's own
    tokenizer, assistant_tokenizer: of the models, where strings are looked for, or the two differ
    options: settings by name; attention_mask (B, L), position_ids, inputs_embeds,
        past_key_values: what else the model is given, the last one to go on from

    Returns ids int (B · num_return_sequences, L + new), the prompts included, or with
    return_dict_in_generate=True a `GenerateDecoderOnlyOutput` or `GenerateBeamDecoderOnlyOutput`.
    Raises InvalidInput, WrongType or OutOfRange for what does not fit, NotFinite where the model
    gives what is no number.
    Equals transformers' `generate`, token for token.
    """
    _check_streamer(streamer)
    try:
        with torch.no_grad():
            return _generate(
                model,
                inputs,
                generation_config,
                logits_processor,
                stopping_criteria,
                prefix_allowed_tokens_fn,
                assistant_model,
                streamer,
                generator,
                tokenizer,
                assistant_tokenizer,
                options,
            )
    finally:
        if streamer is not None:  # whatever happened: somebody may be waiting for it
            streamer.end()


def _generate(
    model: Any,
    inputs: Any,
    generation_config: GenerationConfig | None,
    logits_processor: Any,
    stopping_criteria: Any,
    prefix_allowed_tokens_fn: Any,
    assistant_model: Any,
    streamer: Any,
    generator: Any,
    tokenizer: Any,
    assistant_tokenizer: Any,
    options: dict[str, Any],
) -> Any:
    _check_model(model, "generate")
    _check_generator(generator)
    asked, given = _split(options, generation_config)
    settings = settle(model, generation_config, asked)
    prompts = prompts_of(model, inputs, settings, given)
    settle_lengths(settings, model, prompts, generation_config, asked)
    mode = _mode(settings, assistant_model, streamer, len(prompts.input_ids))

    prompts = prompts.repeated(max(settings.num_beams, settings.num_return_sequences))
    processors = processors_for(
        settings,
        prompts.input_ids,
        prompts.n_padding,
        logits_processor,
        prefix_allowed_tokens_fn,
    )
    most = getattr(model.config, "max_position_embeddings", None)
    if n_learned_positions(model) is not None:  # beyond these it is an error, not a risk
        most = None
    criteria = criteria_for(settings, most, stopping_criteria, tokenizer)
    if len(prompts.input_ids) > 1 and settings.pad_token_id is None and loop.ends_rows(criteria):
        raise InvalidInput(
            "Of several texts some will end before others, and what comes behind their end is "
            "padding: pad_token_id is missing. Give it, such as pad_token_id=tokenizer.eos_token_id."
        )
    if len(prompts.input_ids) > 1 and mode == "sample" and loop.ends_rows(criteria):
        _check_padding(settings, model)  # beams that have ended are not shown to it again
    forward = forward_for(model, prompts, settings, take_back=_guesses(settings, assistant_model))
    if streamer is not None:
        streamer.put(prompts.input_ids.cpu())
    how = (forward, prompts.input_ids, settings, processors, criteria, streamer, generator)
    try:
        if mode == "assisted":
            return assisted.assisted_generate(*how, assistant_model, tokenizer, assistant_tokenizer)
        return beam.beam_search(*how) if mode == "beams" else loop.sample(*how)
    except OutOfRange as error:
        limit = n_learned_positions(model)
        if limit is None or forward.seen < limit:
            raise
        n_prompt = prompts.length
        raise OutOfRange(
            f"The text has come to {limit} tokens, and {type(model).__name__} has learned no more "
            f"positions. The prompt has {n_prompt} of them: ask for max_new_tokens="
            f"{limit - n_prompt} at most, or give fewer of its last tokens."
        ) from error


def forward_for(
    model: Any, prompts: Prompts, settings: GenerationConfig, take_back: int = 0
) -> Forward:
    """Make what calls a model, with an empty cache or the one to go on from.

    model: a causal one    prompts: of the call    settings: of the call, complete
    take_back: how many tokens may be taken back from it
    """
    cache = prompts.past_key_values
    # Vectors in place of a prompt are known to the cache alone.
    use_cache = settings.use_cache or prompts.inputs_embeds is not None
    if cache is None and use_cache:
        room = settings.max_length + prompts.length - prompts.input_ids.shape[1]
        room = max(room, settings.max_cache_len or 0)
        cache = new_cache(model, settings.cache_implementation, room, take_back)
    return fast.FastForward(
        model,
        prompts.input_ids,
        prompts.attention_mask,
        prompts.position_ids,
        cache if use_cache else None,
        prompts.inputs_embeds,
        prompts.token_type_ids,
        use_cache=use_cache,
        output_attentions=settings.return_dict_in_generate and settings.output_attentions,
        output_hidden_states=settings.return_dict_in_generate and settings.output_hidden_states,
        allow_nan=settings.remove_invalid_values,
        copies=max(settings.num_beams, settings.num_return_sequences),
    )


# Settling what is asked for.


def _split(
    options: dict[str, Any], generation_config: GenerationConfig | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide options into settings and what the model is given."""
    if generation_config is not None and not isinstance(generation_config, GenerationConfig):
        raise WrongType(
            f"generation_config is a {type(generation_config).__name__}; expected a "
            "GenerationConfig, such as GenerationConfig(max_new_tokens=50)."
        )
    asked: dict[str, Any] = {}
    given: dict[str, Any] = {}
    own = vars(generation_config) if generation_config is not None else {}
    for name, value in options.items():
        if name in _NOT_HERE:
            if value not in _NOT_HERE[name]:
                raise InvalidInput(f"{name} was given; minilm's generate does not have it.")
        elif name in DEFAULTS or name in NOT_HERE or name in WITHOUT_EFFECT or name in own:
            asked[name] = value
        else:
            given[name] = value
    return asked, given


def settle(
    model: Any, generation_config: GenerationConfig | None, asked: dict[str, Any]
) -> GenerationConfig:
    """Settle every setting: as asked for, or as the model's own say, or as always.

    model: whose settings    generation_config: of the call, or None    asked: by name
    """
    given = GenerationConfig() if generation_config is None else generation_config
    own = config_of(model)
    settings = given.filled_from(vars(own), DEFAULTS)
    settings.update(**asked)
    for name in ("num_beams", "num_return_sequences", "do_sample", "use_cache", "on_interrupt"):
        if getattr(settings, name) is None:
            setattr(settings, name, DEFAULTS[name])
    settings.refuse_what_is_not_here()
    settings.warn_of_idle_settings([*asked])
    if isinstance(settings.eos_token_id, int):
        settings.eos_token_id = [settings.eos_token_id]
    settings.eos_token_id = settings.eos_token_id or None
    if settings.pad_token_id is not None and settings.pad_token_id < 0:
        settings.pad_token_id = None
    if settings.pad_token_id is None and settings.eos_token_id is not None:
        settings.pad_token_id = settings.eos_token_id[0]
    if settings.do_sample and settings.temperature == 0:
        raise InvalidInput(
            "temperature=0 was given with do_sample=True, and scores cannot be divided by it. For "
            "the most likely token each time, give do_sample=False."
        )
    return settings


def settle_lengths(
    settings: GenerationConfig,
    model: Any,
    prompts: Prompts,
    generation_config: GenerationConfig | None,
    asked: dict[str, Any],
) -> None:
    """Settle how long the text may become and must be, the prompt included.

    settings: of the call; its max_length and min_length change    model, prompts: of the call
    generation_config, asked: who asked for what

    Raises InvalidInput for lengths that contradict each other, or the prompt's.
    """

    def of_the_call(name: str) -> Any:
        return asked.get(name) or getattr(generation_config, name, None)

    n_prompt, unseen = prompts.input_ids.shape[1], 0
    if prompts.inputs_embeds is not None and prompts.inputs_embeds.shape[1] != n_prompt:
        unseen = prompts.inputs_embeds.shape[1]  # tokens that lengths count, and are not among ids
    is_default = of_the_call("max_length") is None and config_of(model).max_length is None
    if settings.max_new_tokens is not None:
        longest = of_the_call("max_length")
        if (
            longest
            and of_the_call("max_new_tokens")
            and longest != n_prompt + unseen + settings.max_new_tokens
        ):
            raise InvalidInput(
                f"max_length={longest} and max_new_tokens={settings.max_new_tokens} were given, and "
                f"the prompt has {n_prompt + unseen} tokens: one says that the text ends at "
                f"{longest} tokens, the other at {n_prompt + unseen + settings.max_new_tokens}. "
                "Give one of them."
            )
        settings.max_length = n_prompt + settings.max_new_tokens
    elif is_default:
        settings.max_length = n_prompt + DEFAULTS["max_length"]
        most = getattr(model.config, "max_position_embeddings", None)
        if most is not None:
            settings.max_length = min(settings.max_length, most)
    else:
        settings.max_length -= unseen
    if settings.max_length <= n_prompt:
        raise InvalidInput(
            f"The prompt has {n_prompt + unseen} tokens, and the text may have "
            f"{settings.max_length + unseen} with it: there is no room for a new one. max_length "
            "counts the prompt; give max_new_tokens, which does not."
        )
    settings.min_length = settings.min_length or 0
    if settings.min_new_tokens is not None:
        settings.min_length = n_prompt + settings.min_new_tokens
    elif unseen:
        settings.min_length = max(settings.min_length - unseen, 0)
    if settings.min_length > settings.max_length:
        warn(
            f"The text must have {settings.min_length} tokens, prompt included, and may have "
            f"{settings.max_length}: it will end there. Lower min_length or min_new_tokens, or give "
            "a larger max_new_tokens."
        )
    if is_default and settings.max_new_tokens is None:
        warn(
            f"Nothing says how long the text may become, so it gets {DEFAULTS['max_length']} new "
            "tokens. Give max_new_tokens."
        )


def _mode(settings: GenerationConfig, assistant_model: Any, streamer: Any, n_prompts: int) -> str:
    """Choose how to write, and refuse what does not go with it."""
    n_rows = n_prompts * settings.num_return_sequences
    if streamer is not None and (settings.num_beams > 1 or n_rows > 1):
        what = "beams" if settings.num_beams > 1 else f"{n_rows} texts"
        raise InvalidInput(
            f"A streamer shows one text as it is written, and {what} are written side by side. Give "
            "one prompt, num_beams=1 and num_return_sequences=1, or no streamer."
        )
    guesses = assistant_model is not None or settings.prompt_lookup_num_tokens is not None
    if settings.num_beams > 1:
        if guesses:
            warn(
                "Guessing ahead (assistant_model, prompt_lookup_num_tokens) goes with one beam "
                f"alone, and num_beams={settings.num_beams}: nothing is guessed. Leave one out."
            )
        return "beams"
    if not guesses:
        return "sample"
    if assistant_model is not None:
        _check_model(assistant_model, "assistant_model")
    if settings.num_return_sequences > 1:
        raise InvalidInput(
            f"num_return_sequences={settings.num_return_sequences} was given with guessing ahead, "
            "which writes one text. Give 1."
        )
    return "assisted"


def _guesses(settings: GenerationConfig, assistant_model: Any) -> int:
    """How many tokens may be guessed, and taken back, at once."""
    if assistant_model is not None:
        return max(_MOST_GUESSES, settings.num_assistant_tokens or 0)
    return settings.prompt_lookup_num_tokens or 0


def _check_model(model: Any, name: str) -> None:
    if not can_generate(model):
        raise WrongType(
            f"{name} needs a model that predicts tokens, and {type(model).__name__} does not. Load "
            "it with AutoModelForCausalLM."
        )


def _check_padding(settings: GenerationConfig, model: Any) -> None:
    """Refuse padding that the model cannot be shown; where no text is padded it may be anything."""
    embeddings = model.get_input_embeddings()
    pad, n_tokens = settings.pad_token_id, getattr(embeddings, "num_embeddings", None)
    if pad is not None and n_tokens is not None and pad >= n_tokens:
        raise OutOfRange(
            f"pad_token_id={pad} stands behind texts that end before others, and the vocabulary has "
            f"{n_tokens} tokens, ids 0 to {n_tokens - 1}. Give one of these, such as "
            "pad_token_id=eos_token_id."
        )


def _check_streamer(streamer: Any) -> None:
    if streamer is not None and not (hasattr(streamer, "put") and hasattr(streamer, "end")):
        raise WrongType(
            f"streamer={streamer!r} was given; it is something with the methods put and end, such as "
            "TextStreamer(tokenizer)."
        )


def _check_generator(generator: Any) -> None:
    if generator is not None and not isinstance(generator, torch.Generator):
        raise WrongType(
            f"generator={generator!r} was given; expected a torch.Generator, such as "
            "torch.Generator().manual_seed(0)."
        )
