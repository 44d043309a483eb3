"""The loop of `loop.py` with less to do for each token, where the criteria are the usual ones.

Nothing is asked for rows that cannot have ended, and a draw is not checked before it is made but by
what came of it. The tokens are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minilm.generation.criteria import EosTokenCriteria, MaxLengthCriteria


class Ends:
    """Say which rows end, as criteria of a length and of tokens say it.

    max_length: at which all rows end    tokens: int (n,), that end a row; None = there are none
    """

    def __init__(self, max_length: int, tokens: Tensor | None) -> None:
        self.max_length, self.tokens = max_length, tokens
        self._ids = set() if tokens is None else set(tokens.tolist())

    @classmethod
    def of(cls, criteria: Any) -> Ends | None:
        """Make the short form of criteria; None where there are others, or a warning is due.

        criteria: of the call
        """
        lengths = [one for one in criteria if type(one) is MaxLengthCriteria]
        ends = [one for one in criteria if type(one) is EosTokenCriteria]
        if not lengths or len(lengths) + len(ends) < len(criteria):
            return None
        max_length = min(one.max_length for one in lengths)
        if any((one.max_position_embeddings or max_length) < max_length for one in lengths):
            return None
        tokens = torch.cat([one.eos_token_id for one in ends]) if ends else None
        return cls(max_length, tokens)

    def rows(self, tokens: Tensor) -> Tensor | None:
        """Say which rows end with a token, bool like tokens; None = none of them does.

        tokens: int, of any shape
        """
        if self.tokens is None:
            return None
        if tokens.numel() == 1:
            return torch.ones_like(tokens, dtype=torch.bool) if tokens.item() in self._ids else None
        found = tokens == self.tokens if len(self._ids) == 1 else torch.isin(tokens, self.tokens)
        return found if found.any() else None


def write_tokens(
    input_ids: Tensor,
    next_scores: Callable[[Tensor], Tensor],
    choose: Callable[[Tensor], Tensor],
    ends: Ends,
    pad_token_id: int | None,
    tell: Callable[[Tensor], None],
) -> Tensor:
    """Write token after token behind the prompts, until every row has finished.

    ends: says which rows a token ends    tell: is told the ids (B, L) after each token
    The rest, and what is returned: as in `loop.write_tokens`.
    """
    unfinished: Tensor | None = None  # bool (B,); None = all are
    while True:
        tokens = choose(next_scores(input_ids))  # (B,)
        if unfinished is not None and pad_token_id is not None:
            tokens = tokens.where(unfinished, pad_token_id)
        input_ids = torch.cat([input_ids, tokens[:, None]], dim=1)  # (B, L + 1)
        tell(input_ids)
        if input_ids.shape[1] >= ends.max_length:
            return input_ids
        ended = ends.rows(tokens)
        if ended is not None:
            unfinished = ~ended if unfinished is None else unfinished & ~ended
            if not unfinished.any():
                return input_ids


def draw(scores: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw the next token of each row, the same one that `torch.multinomial` draws.

    scores: (B, V)    generator: to draw with

    Returns int (B,). Whose exponential waiting time, divided by its probability, is the shortest,
    has been drawn with this probability. Raises RuntimeError for scores without a distribution.
    """
    probabilities = scores.softmax(dim=-1)  # (B, V)
    waits = torch.empty_like(probabilities).exponential_(1, generator=generator)  # (B, V)
    highest, tokens = probabilities.div_(waits).max(dim=-1)  # (B,)
    if math.isnan(highest.sum().item()):
        torch.multinomial(scores.softmax(dim=-1), 1, generator=generator)  # says what is wrong
    return tokens
