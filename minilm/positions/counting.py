"""Counting tokens: the position of each, where a batch is padded."""

from __future__ import annotations

import torch

from minilm.errors import InvalidInput


def position_ids_from_mask(
    attention_mask: torch.Tensor, query_length: int | None = None
) -> torch.Tensor:
    """Count the real tokens of each row from 0; padding gets 0.

    attention_mask: (B, S), 1 = real, 0 = padding; cached tokens and new ones
    query_length: T, to be told the positions of the last T tokens alone; None = of all S

    Returns int64 (B, T). Raises InvalidInput if the mask is not (B, S) or has fewer than T columns.
    Equals what transformers' `generate` makes of an attention mask.
    """
    if attention_mask.dim() != 2 or not 0 <= (query_length or 0) <= attention_mask.shape[1]:
        raise InvalidInput(
            f"A mask of shape {tuple(attention_mask.shape)} was given for query_length="
            f"{query_length}. Give (B, S): a row per text, a column per token so far."
        )
    is_real = attention_mask != 0  # (B, S)
    position_ids = (is_real.long().cumsum(dim=-1) - 1).masked_fill(~is_real, 0)
    if query_length is None:
        return position_ids
    return position_ids[:, position_ids.shape[1] - query_length :]  # (B, T)
