"""What looks for repetition, in the text so far or of another text: one small class for each."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from minilm.errors import InvalidInput
from minilm.generation import filters
from minilm.generation.checks import CHECKS
from minilm.generation.processors import LogitsProcessor


class RepetitionPenaltyLogitsProcessor(LogitsProcessor):
    """Make tokens less likely that the text has already.

    penalty: above 1 makes them less likely, below 1 more likely
    prompt_ignore_length: how many tokens at the start of each text do not count, a number or int
        (B,): its padding
    """

    def __init__(self, penalty: float, prompt_ignore_length: int | Tensor | None = None) -> None:
        self.penalty = CHECKS["repetition_penalty"]("penalty", penalty)
        self.prompt_ignore_length = _checked_lengths(prompt_ignore_length)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        ids = without_start(input_ids, self.prompt_ignore_length, scores.shape[-1])  # (B, L)
        return filters.penalize_repetition(ids, scores, self.penalty)


class NoRepeatNGramLogitsProcessor(LogitsProcessor):
    """Forbid tokens that would end a sequence of n tokens that the text has already.

    ngram_size: n    prompt_ignore_length: as for `RepetitionPenaltyLogitsProcessor`; transformers
        has none here, and counts padding as text
    """

    def __init__(self, ngram_size: int, prompt_ignore_length: int | Tensor | None = None) -> None:
        self.ngram_size = CHECKS["num_beams"]("ngram_size", ngram_size)
        self.prompt_ignore_length = _checked_lengths(prompt_ignore_length)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        ids = without_start(input_ids, self.prompt_ignore_length, scores.shape[-1])  # (B, L)
        return filters.forbid_repeated_ngrams(ids, scores, self.ngram_size)


def _checked_lengths(lengths: int | Tensor | None) -> int | Tensor | None:
    if isinstance(lengths, Tensor):
        if lengths.ndim != 1:
            raise InvalidInput(
                f"prompt_ignore_length has the shape {tuple(lengths.shape)}; expected a number for "
                "each row: (B,)."
            )
        return lengths
    return None if lengths is None else CHECKS["min_length"]("prompt_ignore_length", lengths)


def without_start(input_ids: Tensor, lengths: int | Tensor | None, vocab_size: int) -> Tensor:
    """Put an id that no token has in place of the first tokens, and of ids that are too large.

    input_ids: int (B, L)    lengths: how many tokens, a number or int (B,)    vocab_size: V

    Returns int (B, L), where V stands for what does not count.
    """
    if input_ids.ndim == 1:
        input_ids = input_ids[:, None]  # (B, 1)
    if isinstance(lengths, int):
        return input_ids[:, lengths:].clamp(max=vocab_size)  # (B, L - n)
    if lengths is not None:
        if len(lengths) != len(input_ids):
            raise InvalidInput(
                f"prompt_ignore_length was given for {len(lengths)} rows, and there are "
                f"{len(input_ids)}. Give a number for each row."
            )
        places = torch.arange(input_ids.shape[1], device=input_ids.device)  # (L,)
        at_start = places < lengths.to(input_ids.device)[:, None]  # (B, L)
        input_ids = input_ids.masked_fill(at_start, vocab_size)
    return input_ids.clamp(max=vocab_size)


class EncoderRepetitionPenaltyLogitsProcessor(LogitsProcessor):
    """Make the tokens of a given text more likely, so that what is written keeps to it.

    penalty: above 1 makes them more likely    encoder_input_ids: int (B, S), the text
    """

    def __init__(self, penalty: float, encoder_input_ids: Tensor) -> None:
        penalty = CHECKS["encoder_repetition_penalty"]("penalty", penalty)
        self.penalty = 1 / penalty
        self.encoder_input_ids = encoder_input_ids

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        ids = self.encoder_input_ids
        ids = ids.repeat_interleave(max(len(scores) // len(ids), 1), dim=0)  # (B, S)
        return filters.penalize_repetition(ids.clamp(max=scores.shape[-1]), scores, self.penalty)


class EncoderNoRepeatNGramLogitsProcessor(LogitsProcessor):
    """Forbid tokens that would end a sequence of n tokens that a given text has.

    encoder_ngram_size: n    encoder_input_ids: int (B, S) or (S,), the text
    """

    def __init__(self, encoder_ngram_size: int, encoder_input_ids: Tensor) -> None:
        self.ngram_size = CHECKS["num_beams"]("encoder_ngram_size", encoder_ngram_size)
        texts = encoder_input_ids.reshape(-1, encoder_input_ids.shape[-1]).tolist()
        self._ends: list[dict[tuple[int, ...], list[int]]] = [{} for _ in texts]
        for text, ends in zip(texts, self._ends, strict=True):
            for i in range(len(text) - self.ngram_size + 1):
                *start, end = text[i : i + self.ngram_size]
                ends.setdefault(tuple(start), []).append(end)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        start = input_ids.shape[1] - self.ngram_size + 1
        per_text = max(len(scores) // len(self._ends), 1)
        scores = scores.clone()
        for row, begun in enumerate(input_ids[:, max(start, 0) :].tolist()):
            ends = self._ends[row // per_text].get(tuple(begun), []) if start >= 0 else []
            scores[row, [end for end in ends if end < scores.shape[-1]]] = -math.inf
        return scores
