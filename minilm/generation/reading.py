"""What tokens that have been written scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from minilm.errors import InvalidInput


def compute_transition_scores(
    model: Any,
    sequences: Tensor,
    scores: Sequence[Tensor],
    beam_indices: Tensor | None = None,
    normalize_logits: bool = False,
) -> Tensor:
    """Return the score of each new token of texts that `generate` wrote.

    model: wrote them    sequences: int (B, L + M), prompts included
    scores: of each step, (rows, V), as generate returns them with output_scores=True
    beam_indices: int (B, M), of beam search, in which rows are beams; as generate returns them
    normalize_logits: log-probabilities instead

    Returns (B, M); 0 behind the end of what beam search wrote. Raises InvalidInput without scores.
    Reference: transformers' method of the same name.
    """
    if not scores:
        raise InvalidInput(
            "No scores were given. generate returns them with return_dict_in_generate=True and "
            "output_scores=True."
        )
    of_steps = torch.stack(tuple(scores))  # (M, rows, V)
    if normalize_logits:
        of_steps = of_steps.log_softmax(dim=-1)
    if beam_indices is None:  # each text has been in one row
        rows = torch.arange(len(sequences), device=sequences.device)
        beam_indices = rows[:, None].expand(-1, len(scores))  # (B, M)
    n_steps = int((beam_indices >= 0).sum(dim=1).max())
    rows = beam_indices[:, :n_steps].long()  # (B, M)
    steps = torch.arange(n_steps, device=rows.device)  # (M,)
    tokens = sequences[:, sequences.shape[1] - n_steps :]  # (B, M)
    found = of_steps[steps, rows.clamp(min=0), tokens]  # (B, M)
    return found.masked_fill(rows < 0, 0.0)
