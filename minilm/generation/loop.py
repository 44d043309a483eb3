"""Greedy search and sampling: score the next token, choose one, write it down, and again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minilm.errors import InvalidInput
from minilm.generation import own_code, short_loop
from minilm.generation.forward import Forward
from minilm.generation.outputs import GenerateDecoderOnlyOutput, Record, cache_of

_HERE = sys.modules[__name__]


def choose_next(
    scores: Tensor, do_sample: bool = False, generator: torch.Generator | None = None
) -> Tensor:
    """Choose the next token of each row: the most likely one, or one drawn at random.

    scores: (B, V)    do_sample: draw from softmax(scores)    generator: to draw with

    Returns int (B,). Draws once for the whole batch, as transformers does: the same seed, the same
    tokens.
    """
    if not do_sample:
        return scores.argmax(dim=-1)  # (B,)
    probabilities = scores.softmax(dim=-1)  # (B, V)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]  # (B,)


def write_tokens(
    input_ids: Tensor,
    next_scores: Callable[[Tensor], Tensor],
    choose: Callable[[Tensor], Tensor],
    has_finished: Callable[[Tensor], Tensor],
    pad_token_id: int | None = None,
) -> Tensor:
    """Write token after token behind the prompts, until every row has finished.

    input_ids: int (B, L), the prompts
    next_scores: gives the scores of the next token, ids (B, L) → (B, V)
    choose: chooses from them, (B, V) → int (B,)
    has_finished: says of which rows the last token ends them, ids (B, L) → bool (B,)
    pad_token_id: what a row gets once it has finished; None = whatever is chosen

    Returns the prompts with the new tokens, int (B, L + new). Each row stays finished.
    """
    unfinished = torch.ones(len(input_ids), dtype=torch.bool, device=input_ids.device)  # (B,)
    while unfinished.any():
        next_tokens = choose(next_scores(input_ids))  # (B,)
        if pad_token_id is not None:
            next_tokens = next_tokens.where(unfinished, pad_token_id)
        input_ids = torch.cat([input_ids, next_tokens[:, None]], dim=1)  # (B, L + 1)
        unfinished = unfinished & ~has_finished(input_ids)
    return input_ids


def sample(
    forward: Forward,
    input_ids: Tensor,
    settings: Any,
    processors: Callable[[Tensor, Tensor], Tensor],
    criteria: Callable[..., Tensor],
    streamer: Any = None,
    generator: torch.Generator | None = None,
) -> Any:
    """Write by greedy search, or by sampling if `settings.do_sample`.

    forward: what calls the model    input_ids: int (B, L)    settings: of the call, complete
    processors: (ids, scores) → scores    criteria: (ids, scores of each step or None) → bool (B,)
    streamer: is given each new token as it is written    generator: to draw with

    Returns ids int (B, L + new), or `GenerateDecoderOnlyOutput`. When interrupted, with
    on_interrupt="return", what was written up to then.
    Reference: transformers' `_sample`.
    """
    record = Record(settings)
    written = input_ids

    def next_scores(ids: Tensor) -> Tensor:
        logits = forward.next_logits(ids)  # (B, V)
        scores = processors(ids, logits)  # (B, V)
        record.add(forward.output, logits, scores)
        return scores

    is_own_choice = own_code.is_own(_HERE, "choose_next")

    def choose(scores: Tensor) -> Tensor:
        try:
            if settings.do_sample and is_own_choice:
                return short_loop.draw(scores, generator)
            return choose_next(scores, settings.do_sample, generator)
        except RuntimeError:
            explain_no_choice(scores, written.shape[1] - input_ids.shape[1] + 1)
            raise

    def tell(ids: Tensor) -> None:
        nonlocal written
        written = ids
        if streamer is not None:
            streamer.put(ids[:, -1].cpu())

    def has_finished(ids: Tensor) -> Tensor:
        tell(ids)
        return criteria(ids, record.scores)  # (B,)

    # Without a token that ends rows, they all end at once.
    pad_token_id = settings.pad_token_id if ends_rows(criteria) else None
    is_own_loop = own_code.is_own(_HERE, "write_tokens")
    ends = short_loop.Ends.of(criteria) if is_own_loop else None
    try:
        if ends is not None:
            written = short_loop.write_tokens(
                input_ids, next_scores, choose, ends, pad_token_id, tell
            )
        else:
            written = write_tokens(input_ids, next_scores, choose, has_finished, pad_token_id)
    except KeyboardInterrupt:
        if settings.on_interrupt != "return":
            raise
    if not settings.return_dict_in_generate:
        return written
    kept = record.first(written.shape[1] - input_ids.shape[1])
    return GenerateDecoderOnlyOutput(written, **kept, past_key_values=cache_of(forward))


def ends_rows(criteria: Any) -> bool:
    """Say whether some rows of a batch may end before others, so that they are padded.

    criteria: of the call
    """
    return any(getattr(one, "ends_rows", hasattr(one, "eos_token_id")) for one in criteria)


def explain_no_choice(scores: Tensor, step: int) -> None:
    """Say why no token can be drawn, if the scores tell.

    scores: (B, V), as the filters left them    step: which new token, from 1
    """
    for row, each in enumerate(scores):
        if bool(each.isneginf().all()):
            raise InvalidInput(
                f"For new token {step}, every token is forbidden in row {row}. Forbid fewer: see "
                "bad_words_ids, suppress_tokens, no_repeat_ngram_size, min_new_tokens, and "
                "processors of your own."
            )
        if bool(each.isnan().any()) or bool(each.isposinf().any()):
            raise InvalidInput(
                f"For new token {step}, row {row} has scores that are NaN or infinite after the "
                "processors. Look at those of your own, or give remove_invalid_values=True."
            )
