"""From settings to processors and criteria, in transformers' order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from minilm.errors import InvalidInput, WrongType
from minilm.generation import criteria as stopping
from minilm.generation import processors as processing
from minilm.generation import repetition, warpers
from minilm.generation.config import GenerationConfig, warn
from minilm.generation.criteria import StoppingCriteriaList
from minilm.generation.processors import LogitsProcessor, LogitsProcessorList


def processors_for(
    settings: GenerationConfig,
    input_ids: Tensor,
    n_padding: Tensor | None,
    own: Sequence[Any] = (),
    prefix_allowed_tokens_fn: Callable[[int, Tensor], Any] | None = None,
) -> LogitsProcessorList:
    """Make the processors that settings ask for.

    settings: of the call, complete    input_ids: int (B, L), the prompts
    n_padding: int (B,), how many of the first tokens of each are padding; None = none
    own: processors of the caller's; one of a kind that is there takes its place, the others come
        after those that forbid and force, and before those for sampling
    prefix_allowed_tokens_fn: (row, ids) → ids that may come next
    """
    made = [
        *_favouring(settings, input_ids, n_padding),
        *_forbidding_the_end(settings, input_ids.shape[1]),
    ]
    if prefix_allowed_tokens_fn is not None:
        made.append(
            processing.PrefixConstrainedLogitsProcessor(
                prefix_allowed_tokens_fn, settings.num_beams
            )
        )
    made += _forcing(settings, input_ids.shape[1])
    made = with_own(made, own, "logits_processor")
    if settings.do_sample:
        made += _for_sampling(settings)
    if settings.renormalize_logits:
        made.append(processing.LogitNormalization())
    return LogitsProcessorList(made)


def _favouring(
    settings: GenerationConfig, input_ids: Tensor, n_padding: Tensor | None
) -> list[LogitsProcessor]:
    """What looks at the text so far."""
    found: list[LogitsProcessor] = []
    if settings.sequence_bias is not None:
        found.append(processing.SequenceBiasLogitsProcessor(settings.sequence_bias))
    if (settings.encoder_repetition_penalty or 1.0) != 1.0 and input_ids.shape[1]:
        found.append(
            repetition.EncoderRepetitionPenaltyLogitsProcessor(
                settings.encoder_repetition_penalty, input_ids
            )
        )
    if (settings.repetition_penalty or 1.0) != 1.0:
        found.append(
            repetition.RepetitionPenaltyLogitsProcessor(settings.repetition_penalty, n_padding)
        )
    if settings.no_repeat_ngram_size:
        found.append(
            repetition.NoRepeatNGramLogitsProcessor(settings.no_repeat_ngram_size, n_padding)
        )
    if settings.encoder_no_repeat_ngram_size and input_ids.shape[1]:
        found.append(
            repetition.EncoderNoRepeatNGramLogitsProcessor(
                settings.encoder_no_repeat_ngram_size, input_ids
            )
        )
    if settings.bad_words_ids is not None:
        found.append(
            processing.NoBadWordsLogitsProcessor(settings.bad_words_ids, settings.eos_token_id)
        )
    return found


def _forbidding_the_end(settings: GenerationConfig, n_prompt: int) -> list[LogitsProcessor]:
    found: list[LogitsProcessor] = []
    if settings.eos_token_id is None:
        return found
    if settings.min_length:
        found.append(
            processing.MinLengthLogitsProcessor(settings.min_length, settings.eos_token_id)
        )
    if settings.min_new_tokens:
        found.append(
            processing.MinNewTokensLengthLogitsProcessor(
                n_prompt, settings.min_new_tokens, settings.eos_token_id
            )
        )
    return found


def _forcing(settings: GenerationConfig, n_prompt: int) -> list[LogitsProcessor]:
    """What forces or forbids tokens at some place, or everywhere."""
    found: list[LogitsProcessor] = []
    if settings.forced_bos_token_id is not None:
        found.append(processing.ForcedBOSTokenLogitsProcessor(settings.forced_bos_token_id))
    if settings.forced_eos_token_id is not None:
        found.append(
            processing.ForcedEOSTokenLogitsProcessor(
                settings.max_length, settings.forced_eos_token_id
            )
        )
    if settings.remove_invalid_values:
        found.append(processing.InfNanRemoveLogitsProcessor())
    if settings.exponential_decay_length_penalty is not None:
        if settings.eos_token_id is None:
            raise InvalidInput(
                "exponential_decay_length_penalty makes the end more likely, and there is no "
                "eos_token_id. Give it."
            )
        found.append(
            processing.ExponentialDecayLengthPenalty(
                settings.exponential_decay_length_penalty, settings.eos_token_id, n_prompt
            )
        )
    if settings.suppress_tokens is not None:
        found.append(processing.SuppressTokensLogitsProcessor(settings.suppress_tokens))
    if settings.begin_suppress_tokens is not None:
        is_forced = n_prompt <= 1 and settings.forced_bos_token_id is not None
        found.append(
            processing.SuppressTokensAtBeginLogitsProcessor(
                settings.begin_suppress_tokens, n_prompt + is_forced
            )
        )
    return found


def _for_sampling(settings: GenerationConfig) -> list[LogitsProcessor]:
    """What reshapes the distribution that tokens are drawn from."""
    # A beam needs something to go on with besides the tokens that end it.
    keep = 1
    if settings.num_beams > 1:
        keep = len(settings.eos_token_id or [0]) + 1
    found: list[LogitsProcessor] = []
    if settings.temperature is not None and settings.temperature != 1.0:
        found.append(warpers.TemperatureLogitsWarper(settings.temperature))
    if settings.top_h is not None:
        found.append(warpers.TopHLogitsWarper(settings.top_h))
    if settings.top_k:
        found.append(warpers.TopKLogitsWarper(settings.top_k, min_tokens_to_keep=keep))
    if settings.top_p is not None and settings.top_p < 1.0:
        found.append(warpers.TopPLogitsWarper(settings.top_p, min_tokens_to_keep=keep))
    if settings.min_p is not None:
        found.append(warpers.MinPLogitsWarper(settings.min_p, min_tokens_to_keep=keep))
    if settings.typical_p is not None and settings.typical_p < 1.0:
        found.append(warpers.TypicalLogitsWarper(settings.typical_p, min_tokens_to_keep=keep))
    if settings.epsilon_cutoff is not None and 0.0 < settings.epsilon_cutoff < 1.0:
        found.append(warpers.EpsilonLogitsWarper(settings.epsilon_cutoff, min_tokens_to_keep=keep))
    if settings.eta_cutoff is not None and 0.0 < settings.eta_cutoff < 1.0:
        found.append(warpers.EtaLogitsWarper(settings.eta_cutoff, min_tokens_to_keep=keep))
    return found


def criteria_for(
    settings: GenerationConfig,
    max_position_embeddings: int | None = None,
    own: Sequence[Any] = (),
    tokenizer: Any = None,
) -> StoppingCriteriaList:
    """Make the criteria that settings ask for.

    settings: of the call, complete    max_position_embeddings: of the model, if it says so
    own: criteria of the caller's    tokenizer: of the model, for stop_strings

    Raises InvalidInput for stop_strings without a tokenizer.
    """
    made: list[Any] = [stopping.MaxLengthCriteria(settings.max_length, max_position_embeddings)]
    if settings.max_time is not None:
        made.append(stopping.MaxTimeCriteria(settings.max_time))
    if settings.stop_strings is not None:
        if tokenizer is None:
            raise InvalidInput(
                f"stop_strings={settings.stop_strings!r} are looked for in the text, which only a "
                "tokenizer can read. Give generate the model's: tokenizer=tokenizer."
            )
        made.append(stopping.StopStringCriteria(tokenizer, settings.stop_strings))
    if settings.eos_token_id is not None:
        made.append(stopping.EosTokenCriteria(settings.eos_token_id))
    return StoppingCriteriaList(with_own(made, own, "stopping_criteria"))


def with_own(made: Sequence[Any], own: Any, name: str) -> list[Any]:
    """Put the caller's processors or criteria among those that settings ask for.

    made: by settings    own: the caller's    name: of the argument
    """
    if own is None:
        return list(made)
    if not isinstance(own, list | tuple) or not all(map(callable, own)):
        raise WrongType(
            f"{name}={own!r} was given; it is a list of things that can be called, such as "
            f"[MyOwn()]: each is given (input_ids, scores)."
        )
    replaced = {type(one): one for one in reversed(own)}
    for one in made:
        if type(one) in replaced:
            warn(
                f"{name} has a {type(one).__name__}, and the settings ask for one too; the given "
                "one is used alone. Leave one of them out."
            )
    found = [replaced.get(type(one), one) for one in made]
    return found + [one for one in own if not any(one is each for each in found)]
