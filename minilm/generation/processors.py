"""What forbids, forces or favours tokens, whatever way they are chosen: one small class for each.

Every one is called with the text so far and the scores of the next token, `(input_ids, scores)`,
and returns other scores. Names and results are transformers'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from minilm.errors import InvalidInput, OutOfRange
from minilm.generation.checks import CHECKS


class LogitsProcessor:
    """Be the base of everything that changes scores before a token is chosen."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return other scores.

        input_ids: int (B, L), the text so far    scores: (B, V)
        """
        raise NotImplementedError


class LogitsProcessorList(list):
    """Hold processors, and apply them one after the other."""

    def __call__(self, input_ids: Tensor, scores: Tensor, **more: Any) -> Tensor:
        """Return the scores that all of them make of these.

        input_ids: int (B, L), the text so far    scores: (B, V)
        more: for processors that take more than these two
        """
        for processor in self:
            scores = processor(input_ids, scores, **more)
        return scores


def token_ids(given: int | Iterable[int] | Tensor) -> Tensor:
    """Return ids as int64 (N,).

    given: one id, several, or a tensor of either
    """
    if isinstance(given, Tensor):
        return given.long().reshape(-1)
    return torch.tensor([given] if isinstance(given, int) else list(given), dtype=torch.int64)


class _AboutTokens(LogitsProcessor):
    """Be the base of what treats some tokens in one way.

    tokens: ids
    """

    def __init__(self, tokens: int | Iterable[int] | Tensor) -> None:
        self.tokens = token_ids(tokens)
        self._mask: Tensor | None = None

    def forbid(self, scores: Tensor) -> Tensor:
        """Return scores in which the tokens have no chance; ids past the vocabulary are passed over.

        scores: (B, V)
        """
        mask = self._mask
        if mask is None or len(mask) != scores.shape[-1] or mask.device != scores.device:
            mask = torch.isin(torch.arange(scores.shape[-1]), self.tokens.cpu())  # (V,)
            self._mask = mask = mask.to(scores.device)
        return scores.masked_fill(mask, -math.inf)

    def force(self, scores: Tensor) -> Tensor:
        """Return scores in which nothing else has a chance.

        scores: (B, V)
        """
        if bool((self.tokens >= scores.shape[-1]).any()):
            raise OutOfRange(
                f"The ids {self.tokens.tolist()} are to be forced; the vocabulary has "
                f"{scores.shape[-1]} tokens, ids 0 to {scores.shape[-1] - 1}."
            )
        forced = torch.full_like(scores, -math.inf)
        forced[:, self.tokens.to(scores.device)] = 0
        return forced


class MinLengthLogitsProcessor(_AboutTokens):
    """Forbid the end while a text, its prompt included, is too short.

    min_length: tokens    eos_token_id: of the end, one or several
    """

    def __init__(self, min_length: int, eos_token_id: Any, device: Any = None) -> None:
        super().__init__(eos_token_id)
        self.min_length = CHECKS["min_length"]("min_length", min_length)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        return self.forbid(scores) if input_ids.shape[-1] < self.min_length else scores


class MinNewTokensLengthLogitsProcessor(_AboutTokens):
    """Forbid the end while there are too few new tokens.

    prompt_length_to_skip: tokens of the prompt    min_new_tokens: behind it
    eos_token_id: of the end, one or several
    """

    def __init__(
        self,
        prompt_length_to_skip: int,
        min_new_tokens: int,
        eos_token_id: Any,
        device: Any = None,
    ) -> None:
        super().__init__(eos_token_id)
        self.prompt_length_to_skip = CHECKS["min_length"](
            "prompt_length_to_skip", prompt_length_to_skip
        )
        self.min_new_tokens = CHECKS["min_new_tokens"]("min_new_tokens", min_new_tokens)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        n_new = input_ids.shape[-1] - self.prompt_length_to_skip
        return self.forbid(scores) if n_new < self.min_new_tokens else scores


class SuppressTokensLogitsProcessor(_AboutTokens):
    """Forbid some tokens.

    suppress_tokens: ids
    """

    def __init__(self, suppress_tokens: Any, device: Any = None) -> None:
        super().__init__(suppress_tokens)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        return self.forbid(scores)


class SuppressTokensAtBeginLogitsProcessor(_AboutTokens):
    """Forbid some tokens at one place, the first new one.

    begin_suppress_tokens: ids    begin_index: the place
    """

    def __init__(self, begin_suppress_tokens: Any, begin_index: int, device: Any = None) -> None:
        super().__init__(begin_suppress_tokens)
        self.begin_index = begin_index

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        return self.forbid(scores) if input_ids.shape[-1] == self.begin_index else scores


class ForcedBOSTokenLogitsProcessor(_AboutTokens):
    """Make the second token of a text the one that is given.

    bos_token_id: its id
    """

    def __init__(self, bos_token_id: int) -> None:
        super().__init__(bos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        return self.force(scores) if input_ids.shape[-1] == 1 else scores


class ForcedEOSTokenLogitsProcessor(_AboutTokens):
    """Make the last token of a text of full length the end.

    max_length: tokens, the prompt included    eos_token_id: of the end, one or several
    """

    def __init__(self, max_length: int, eos_token_id: Any, device: Any = None) -> None:
        super().__init__(eos_token_id)
        self.max_length = max_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        return self.force(scores) if input_ids.shape[-1] == self.max_length - 1 else scores


class SequenceBiasLogitsProcessor(LogitsProcessor):
    """Favour sequences of tokens, or put them at a disadvantage.

    sequence_bias: {ids of a sequence: what to add to the score of its last one}, where the text
        ends with the others; also as a list of pairs
    """

    def __init__(self, sequence_bias: Mapping[tuple[int, ...], float] | list[Any]) -> None:
        biases = CHECKS["sequence_bias"]("sequence_bias", sequence_bias)
        # Single tokens first, then those of one length together: sums as transformers makes them.
        lengths = [1, *dict.fromkeys(map(len, biases))]
        self.sequence_bias = dict(
            sorted(biases.items(), key=lambda one: lengths.index(len(one[0])))
        )

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        vocab_size, length = scores.shape[-1], input_ids.shape[1]
        bias = torch.zeros_like(scores)
        for tokens, amount in self.sequence_bias.items():
            if max(tokens) >= vocab_size:
                raise OutOfRange(
                    f"{list(tokens)} is to be favoured or forbidden; the vocabulary has "
                    f"{vocab_size} tokens, ids 0 to {vocab_size - 1}."
                )
            *start, last = tokens
            if not start:
                bias[:, last] += amount
            elif len(start) <= length:
                wanted = torch.tensor(start, device=input_ids.device)  # (n - 1,)
                is_begun = (input_ids[:, length - len(start) :] == wanted).all(dim=-1)  # (B,)
                bias[:, last] += torch.where(is_begun, amount, 0.0).to(bias)
        return scores + bias


class NoBadWordsLogitsProcessor(SequenceBiasLogitsProcessor):
    """Forbid sequences of tokens; the end alone cannot be forbidden.

    bad_words_ids: the sequences    eos_token_id: of the end, one or several
    """

    def __init__(self, bad_words_ids: list[list[int]], eos_token_id: Any = None) -> None:
        bad = CHECKS["bad_words_ids"]("bad_words_ids", bad_words_ids)
        ends = [] if eos_token_id is None else token_ids(eos_token_id).tolist()
        bad = [tuple(tokens) for tokens in bad if tokens not in [[end] for end in ends]]
        self.sequence_bias = dict.fromkeys(bad, -math.inf)


class PrefixConstrainedLogitsProcessor(LogitsProcessor):
    """Allow only tokens that a function names.

    prefix_allowed_tokens_fn: (row of the batch, its ids so far) → ids that may come next
    num_beams: how many rows each text has
    """

    def __init__(
        self, prefix_allowed_tokens_fn: Callable[[int, Tensor], Any], num_beams: int
    ) -> None:
        self._allowed = prefix_allowed_tokens_fn
        self._num_beams = num_beams

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        mask = torch.full_like(scores, -math.inf)
        for row, ids in enumerate(input_ids):
            allowed = self._allowed(row // self._num_beams, ids)
            if len(allowed) == 0:
                raise InvalidInput(
                    f"prefix_allowed_tokens_fn({row // self._num_beams}, …) names no token that may "
                    "come next. Let it name one at least, such as the end."
                )
            mask[row, allowed] = 0
        constrained = scores + mask
        # Where everything that is allowed was forbidden before, what is allowed comes first.
        hopeless = constrained.amax(dim=-1).isneginf().view(-1, self._num_beams).all(dim=-1)
        hopeless = hopeless.repeat_interleave(self._num_beams)[:, None]  # (B, 1)
        return torch.where(hopeless, mask, constrained)


class InfNanRemoveLogitsProcessor(LogitsProcessor):
    """Put numbers in place of NaN (0) and of infinities (the largest and smallest there are)."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        return scores.nan_to_num(nan=0.0)


class ExponentialDecayLengthPenalty(LogitsProcessor):
    """Make the end more likely, the more so the longer the text grows.

    exponential_decay_length_penalty: after how many new tokens it begins, and the factor
    eos_token_id: of the end, one or several    input_ids_seq_length: tokens of the prompt
    """

    def __init__(
        self,
        exponential_decay_length_penalty: tuple[int, float],
        eos_token_id: Any,
        input_ids_seq_length: int,
    ) -> None:
        name = "exponential_decay_length_penalty"
        start, self.regulation_factor = CHECKS[name](name, exponential_decay_length_penalty)
        self.regulation_start = start + input_ids_seq_length
        self.eos_token_id = token_ids(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        n_late = input_ids.shape[-1] - self.regulation_start
        if n_late <= 0:
            return scores
        ends = self.eos_token_id.to(scores.device)
        gain = scores[:, ends].abs() * (self.regulation_factor**n_late - 1)  # (B, ends)
        scores = scores.clone()
        scores[:, ends] += gain.masked_fill(~scores[:, ends].isfinite(), 0.0)
        return scores


class LogitNormalization(LogitsProcessor):
    """Turn scores into log-probabilities again."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        return scores.log_softmax(dim=-1)
