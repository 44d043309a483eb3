"""Reading rows of a position table, with an error that says which position has none."""

from __future__ import annotations

import torch
from torch.nn import functional

from minilm.errors import OutOfRange, WrongType


def rows_at(position_ids: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Take one row of a table for each position.

    position_ids: integers (...)    table: (N, C), row p for position p

    Returns (..., C). Costs nothing beyond the look-up: only one that fails is looked into.
    Raises OutOfRange, naming the first position that has no row and where it stands, and WrongType
    if the positions are no tensor of integers. (On a GPU a bad position ends the process, as for any
    embedding there.)
    """
    try:
        return functional.embedding(position_ids, table)  # (..., C)
    except (IndexError, RuntimeError, TypeError):
        _explain(position_ids, len(table))
        raise


def _explain(position_ids: torch.Tensor, capacity: int) -> None:
    """Raise the error that fits, if it is the positions that are at fault."""
    if not isinstance(position_ids, torch.Tensor):
        raise WrongType(
            f"position_ids is a {type(position_ids).__name__}; give a tensor of whole numbers, such "
            "as position_ids_from_mask makes."
        ) from None
    if position_ids.dtype not in (torch.int32, torch.int64):
        raise WrongType(
            f"position_ids of dtype {position_ids.dtype} were given; positions are whole numbers. "
            "Give int64, such as position_ids_from_mask makes."
        ) from None
    if position_ids.device.type == "meta":  # no numbers to look at
        return
    outside = ((position_ids < 0) | (position_ids >= capacity)).nonzero()
    if len(outside):
        place = tuple(outside[0].tolist())
        raise OutOfRange(
            f"Position {position_ids[place]} (position_ids[{', '.join(map(str, place))}]) was "
            f"given; the table has {capacity} positions, 0 to {capacity - 1}. Shorten the text, or "
            "count from 0 within each row."
        ) from None
