"""The examples of a batch: what they have under each name, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minilm.errors import InvalidInput, WrongType
from minilm.losses import IGNORE


def check_features(features: Sequence[Any]) -> None:
    """Refuse what is no list of examples, or an empty one, or one of texts.

    features: what a collator was given
    """
    if isinstance(features, Mapping | str) or not hasattr(features, "__len__"):
        raise WrongType(
            f"A collator was given a {type(features).__name__}; expected a list of examples."
        )
    if not len(features):
        raise InvalidInput("A collator was given no examples. Give it a list of one or more.")
    first = features[0]
    if isinstance(first, list | tuple) and first and isinstance(first[0], str):
        first = first[0]
    if isinstance(first, str):
        raise WrongType(
            f"A collator was given texts ({first[:20]!r} …). Tokenize them first: "
            "[tokenizer(text) for text in texts]."
        )


def named(row: Any) -> Mapping[str, Any]:
    """Read an example as a dict.

    row: a dict, or an object with attributes

    Raises WrongType for anything else.
    """
    if isinstance(row, Mapping):
        return row
    if hasattr(row, "__dict__") and not isinstance(row, Tensor):
        return vars(row)
    raise WrongType(
        f"An example is a {type(row).__name__} ({str(row)[:40]}); expected a dict of columns, such "
        'as {"input_ids": ids, "labels": ids}, or a row of ids, for every example alike.'
    )


def check_named(rows: Sequence[Any]) -> None:
    """Refuse examples that are no dicts, or hold no ids.

    rows: of a batch
    """
    for at, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise WrongType(
                f"Example {at} of a batch is a {type(row).__name__} ({str(row)[:40]}); expected a "
                "dict with input_ids, as the others are, for every example alike."
            )
        if row.get("input_ids") is None:
            raise InvalidInput(
                f"Example {at} of a batch has {', '.join(map(str, row)) or 'nothing'}, and no "
                "input_ids. Tokenize the texts first: [tokenizer(text) for text in texts]."
            )


def check_lengths(labels: Sequence[Any], texts: Sequence[Any]) -> None:
    """Refuse labels that are not one for each token.

    labels, texts: rows of a batch
    """
    for at, (row, text) in enumerate(zip(labels, texts)):
        if len(row) != len(text):
            raise InvalidInput(
                f"Example {at} has {len(text)} input_ids and {len(row)} labels. Give one label for "
                f"each token, {IGNORE} where nothing is to be learned."
            )


def ids_of(row: Any, at: int, name: str = "input_ids") -> Tensor:
    """Make a tensor of a row of token ids, or of labels.

    row: T whole numbers    at: which example it is of    name: what the numbers are

    Returns int64 (T,). Raises InvalidInput for what is no such row.
    """
    try:
        ids = torch.as_tensor(row)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInput(
            f"The {name} of example {at} cannot become a tensor ({error}). Give a row of ids."
        ) from None
    if ids.dim() != 1 or (len(ids) and (ids.is_floating_point() or ids.dtype == torch.bool)):
        raise InvalidInput(
            f"The {name} of example {at} are of shape {tuple(ids.shape)} and {ids.dtype}; expected "
            "a row of whole numbers, one for each token."
        )
    return ids.long()  # (T,)


def column(name: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Collect what all examples have under a name.

    name: of the column    rows: examples

    Raises InvalidInput if one of them lacks it.
    """
    for at, row in enumerate(rows):
        if row.get(name) is None:
            raise InvalidInput(
                f"Example {at} of a batch has no '{name}', and the first one has. Give all examples "
                "the same columns."
            )
    return [row[name] for row in rows]


def labels_of(values: list[Any]) -> Tensor:
    """Make a tensor of labels: whole numbers become int64, others floats.

    values: of each example a number, a row or a tensor
    """
    first = values[0]
    if isinstance(first, Tensor) and first.dim():
        return torch.stack(values)
    while isinstance(first, (list, tuple, np.ndarray)):
        first = first[0]
    first = first.item() if isinstance(first, Tensor) else first
    whole = isinstance(first, (int, np.integer))
    return torch.tensor(
        values if not isinstance(values[0], np.ndarray) else np.stack(values),
        dtype=torch.int64 if whole else torch.float32,
    )


def stacked(name: str, values: list[Any]) -> Tensor:
    """Make a tensor of rows of one length.

    name: of the column, for the message    values: of each example a number, a row or a tensor

    Raises InvalidInput if they differ in length, or hold no numbers.
    """
    try:
        if isinstance(values[0], list | tuple) and len({len(value) for value in values}) > 1:
            raise ValueError(
                "rows of several lengths"
            )  # torch drops what an empty first row has not
        if len({isinstance(value, Tensor) for value in values}) > 1:
            values = [torch.as_tensor(value) for value in values]
        if isinstance(values[0], Tensor):
            return torch.stack(values)
        if isinstance(values[0], np.ndarray):
            return torch.from_numpy(np.stack(values))
        return torch.tensor(values)
    except (RuntimeError, ValueError, TypeError) as error:
        lengths = {len(value) for value in values if hasattr(value, "__len__")}
        raise InvalidInput(
            f"The rows of '{name}' cannot be stacked"
            + (
                f": they have lengths {sorted(lengths)}. Give a data_collator that pads: "
                "DataCollatorForLanguageModeling(tokenizer, mlm=False) for texts that are to be "
                "learned, DataCollatorWithPadding(tokenizer) for examples with one label each."
                if len(lengths) > 1
                else f" ({error})."
            )
        ) from None
