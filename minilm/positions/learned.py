"""Learned positions: a trained vector for each place in the text, and none beyond the last."""

from __future__ import annotations

import torch
from torch import nn

from minilm.errors import InvalidInput
from minilm.positions.lookup import rows_at


class LearnedPositions(nn.Embedding):
    """Learn a vector for each position (GPT-2's `wpe`, BERT's and BART's `position_embeddings`).

    n_positions: how many positions there are    width: C
    offset: rows of the weight before position 0's; GPT-2 and BERT have none, BART has 2

    The weight is (n_positions + offset, C), as it lies in the checkpoints.
    Raises InvalidInput for sizes that are not positive or a negative offset.
    """

    def __init__(self, n_positions: int, width: int, offset: int = 0) -> None:
        if n_positions < 1 or width < 1 or offset < 0:
            raise InvalidInput(
                f"n_positions={n_positions}, width={width}, offset={offset} were given; the first "
                "two are at least 1, the offset at least 0."
            )
        super().__init__(n_positions + offset, width)
        self.offset = offset

    def forward(self, position_ids: torch.Tensor) -> torch.Tensor:
        """Look up the vectors of positions.

        position_ids: integers (...), from 0

        Returns (..., C). Raises OutOfRange for a position below 0 or past the last.
        """
        # The rows before position 0 are cut off rather than stepped over: position -1 would
        # otherwise find one of them.
        table = self.weight[self.offset :] if self.offset else self.weight  # (n_positions, C)
        return rows_at(position_ids, table)

    def extra_repr(self) -> str:
        """Say what it was made of, where a model is printed."""
        return f"{self.num_embeddings - self.offset}, {self.embedding_dim}, offset={self.offset}"
