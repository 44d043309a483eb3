"""Sinusoidal positions: a fixed table of sines and cosines, from quick to slow."""

from __future__ import annotations

import torch
from torch import nn

from minilm.errors import InvalidInput
from minilm.positions.lookup import rows_at


def sinusoid_table(length: int, width: int, layout: str = "half") -> torch.Tensor:
    """Write each position as sines and cosines of width/2 frequencies (Vaswani et al. 2017).

    length: how many positions    width: C, numbers per position; an odd one has one sine more
    layout: "half", all sines and then all cosines, or "interleaved", by turns

    Returns float32 (length, C); frequency j is 10000^(-2j/C).
    Raises InvalidInput for another layout.
    Equals transformers' `MarianSinusoidalPositionalEmbedding` ("half"), DistilBERT's and the
    paper's table ("interleaved").
    """
    if layout not in ("half", "interleaved"):
        raise InvalidInput(f"layout={layout!r} was given; it is 'half' or 'interleaved'.")
    # float64, or the angles of late positions lose their last digits before the sine is taken.
    wavelengths = 10000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)  # (C/2,)
    positions = torch.arange(length, dtype=torch.float64)
    angles = positions[:, None] / wavelengths  # (length, C/2)
    table = torch.empty(length, width, dtype=torch.float32)
    middle = len(wavelengths)
    sines, cosines = table[:, :middle], table[:, middle:]
    if layout == "interleaved":
        sines, cosines = table[:, 0::2], table[:, 1::2]
    sines.copy_(angles.sin())
    cosines.copy_(angles[:, : width // 2].cos())
    return table


class SinusoidalPositions(nn.Embedding):
    """Give each position its row of the sinusoid table; nothing here is trained.

    n_positions: how many positions there are    width: C
    layout: "half" (Marian, Pegasus) or "interleaved" (DistilBERT, the paper)

    The weight (n_positions, C) is in the state dict, as transformers saves it.
    Raises InvalidInput for sizes that are not positive or another layout.
    """

    def __init__(self, n_positions: int, width: int, layout: str = "half") -> None:
        if n_positions < 1 or width < 1:
            raise InvalidInput(
                f"n_positions={n_positions}, width={width} were given; both are at least 1."
            )
        self.layout = layout  # before Embedding's own start, which fills the weight
        super().__init__(n_positions, width, _freeze=True)

    def reset_parameters(self) -> None:
        """Write the table into the weight."""
        with torch.no_grad():
            table = sinusoid_table(self.num_embeddings, self.embedding_dim, self.layout)
            self.weight.copy_(table)

    def forward(self, position_ids: torch.Tensor) -> torch.Tensor:
        """Look up the rows of positions.

        position_ids: integers (...), from 0

        Returns (..., C). Raises OutOfRange for a position below 0 or past the last.
        """
        return rows_at(position_ids, self.weight)

    def extra_repr(self) -> str:
        """Say what it was made of, where a model is printed."""
        return f"{self.num_embeddings}, {self.embedding_dim}, layout={self.layout!r}"
