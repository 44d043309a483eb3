"""When to stop writing: one small class for each reason, and a list that holds several.

Every one is called with the text so far, `(input_ids, scores)`, and says for each row whether its
last token ends it. Names and results are transformers'.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from minilm.generation.checks import CHECKS
from minilm.generation.config import warn
from minilm.generation.processors import token_ids
from minilm.generation.stop_strings import TextEnds


class StoppingCriteria:
    """Be the base of every reason to stop.

    ends_rows: whether it may end some rows of a batch before others
    """

    ends_rows = False

    def __call__(self, input_ids: Tensor, scores: Any = None, **more: Any) -> Tensor:
        """Say which rows end here.

        input_ids: int (B, L), the text so far
        scores: of each new token (B, V), or None where they are not kept

        Returns bool (B,).
        """
        raise NotImplementedError


def _all_rows(input_ids: Tensor, answer: bool) -> Tensor:
    return torch.full((len(input_ids),), answer, dtype=torch.bool, device=input_ids.device)


class MaxLengthCriteria(StoppingCriteria):
    """Stop when a text has its full length.

    max_length: tokens, the prompt included
    max_position_embeddings: for how long texts the model was made; longer ones are warned about
    """

    def __init__(self, max_length: int, max_position_embeddings: int | None = None) -> None:
        self.max_length = max_length
        self.max_position_embeddings = max_position_embeddings
        self._has_warned = False

    def __call__(self, input_ids: Tensor, scores: Any = None, **more: Any) -> Tensor:
        """Return bool (B,).

        input_ids: int (B, L)    scores: no matter
        """
        length, most = input_ids.shape[1], self.max_position_embeddings
        is_done = length >= self.max_length
        if most is not None and most < length and not is_done and not self._has_warned:
            self._has_warned = True
            warn(
                f"The text is longer than {most} tokens, the model's max_position_embeddings: it has "
                "seen none so long, and what it writes may make no sense. Give a smaller "
                "max_new_tokens."
            )
        return _all_rows(input_ids, is_done)


class MaxTimeCriteria(StoppingCriteria):
    """Stop when time is up, after the token that is being written.

    max_time: seconds    initial_timestamp: when they began; None = now
    """

    def __init__(self, max_time: float, initial_timestamp: float | None = None) -> None:
        self.max_time = CHECKS["max_time"]("max_time", max_time)
        self.initial_timestamp = time.time() if initial_timestamp is None else initial_timestamp

    def __call__(self, input_ids: Tensor, scores: Any = None, **more: Any) -> Tensor:
        """Return bool (B,).

        input_ids: int (B, L)    scores: no matter
        """
        return _all_rows(input_ids, time.time() - self.initial_timestamp > self.max_time)


class EosTokenCriteria(StoppingCriteria):
    """Stop a row at a token that means the end.

    eos_token_id: its id, or several
    """

    ends_rows = True

    def __init__(self, eos_token_id: Any) -> None:
        self.eos_token_id = token_ids(eos_token_id)

    def __call__(
        self, input_ids: Tensor, scores: Any = None, new_token_length: int = 1, **more: Any
    ) -> Tensor:
        """Return bool (B,).

        input_ids: int (B, L)    scores: no matter
        new_token_length: how many of the last tokens are new
        """
        self.eos_token_id = self.eos_token_id.to(input_ids.device)
        return torch.isin(input_ids[:, -new_token_length:], self.eos_token_id).any(dim=-1)


class StopStringCriteria(StoppingCriteria):
    """Stop a row where its text holds a string that the last token has a part in.

    tokenizer: of the model    stop_strings: one string, or several
    """

    ends_rows = True

    def __init__(self, tokenizer: Any, stop_strings: str | list[str]) -> None:
        CHECKS["stop_strings"]("stop_strings", stop_strings)
        strings = [stop_strings] if isinstance(stop_strings, str) else stop_strings
        self.stop_strings = tuple(strings)
        self._ends = TextEnds(tokenizer, self.stop_strings)

    def __call__(self, input_ids: Tensor, scores: Any = None, **more: Any) -> Tensor:
        """Return bool (B,).

        input_ids: int (B, L)    scores: no matter
        """
        answers = [self._ends.in_last_token(ids) for ids in self._ends.tails(input_ids)]
        return torch.tensor(answers, dtype=torch.bool, device=input_ids.device)


class StoppingCriteriaList(list):
    """Hold criteria; a row ends where one of them says so."""

    def __call__(self, input_ids: Tensor, scores: Any = None, **more: Any) -> Tensor:
        """Say which rows end here.

        input_ids: int (B, L)    scores: as for each of them

        Returns bool (B,).
        """
        ends = _all_rows(input_ids, False)
        for criterion in self:
            ends = ends | criterion(input_ids, scores, **more)
        return ends

    @property
    def max_length(self) -> int | None:
        """How long a text may become, if one of them says so."""
        return next((c.max_length for c in self if isinstance(c, MaxLengthCriteria)), None)
