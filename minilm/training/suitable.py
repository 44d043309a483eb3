"""Whether a dataset can be trained on, seen before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from torch import Tensor

from minilm.errors import InvalidInput, WrongType


def check_dataset(dataset: Any, name: str) -> None:
    """Refuse what is no dataset, before anything is computed.

    dataset: a list of dicts, of rows of ids, or anything with a length and items; or None
    name: what to call it

    Raises InvalidInput if it is empty or missing, WrongType if it holds texts, or has no length.
    """
    if dataset is None:
        raise InvalidInput(f"There is no {name}. Give Trainer(…, {name}=…) a list of examples.")
    if isinstance(dataset, Mapping):
        refuse_columns(dataset, name)
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise WrongType(
            f"{name} is a {type(dataset).__name__}, without a length or items; an epoch is shuffled "
            "as a whole. Give a list: list(examples)."
        )
    if not len(dataset):
        raise InvalidInput(
            f"{name} is empty. Give it examples; if it came from group_texts, the texts together "
            "may be shorter than one block: make block_size smaller."
        )
    _check_example(dataset[0], name)


def refuse_columns(dataset: Mapping[Any, Any], name: str) -> NoReturn:
    """Say how columns become examples.

    dataset: column → values    name: what to call it
    """
    raise WrongType(
        f"{name} is a {type(dataset).__name__} with the keys {', '.join(map(str, dataset))}; "
        "expected examples. Columns become examples with "
        "minilm.training.grouping.rows_of(columns)."
    )


def _check_example(first: Any, name: str) -> None:
    """Refuse a dataset by its first example."""
    text = first.get("input_ids") if isinstance(first, Mapping) else first
    if isinstance(text, list | tuple) and text and isinstance(text[0], str):
        text = text[0]
    if isinstance(text, str):
        raise WrongType(
            f"{name} holds texts ({text[:30]!r} …); a model takes token ids. Tokenize them "
            "first: [tokenizer(text) for text in texts]."
        )


def check_lengths(dataset: Any, config: Any, name: str) -> None:
    """Refuse examples that are longer than what a model has positions for.

    dataset: whose examples are lists or tensors already; others are not looked at here
    config: of the model    name: what to call the dataset

    Raises InvalidInput that names the longest one.
    """
    limit = position_limit(config)
    if limit is None:
        return
    if isinstance(dataset, Tensor):
        lengths = [dataset.shape[1]] if dataset.dim() > 1 else []
    elif isinstance(dataset, list | tuple) and is_row(dataset[0]):
        lengths = [len(row) for row in dataset]
    elif isinstance(dataset, list | tuple) and isinstance(dataset[0], Mapping):
        lengths = [length_of(row.get("input_ids")) for row in dataset]
    else:
        return
    longest = max(lengths, default=0)
    if longest > limit:
        refuse_length(longest, limit, f"{name}[{lengths.index(longest)}]")


def refuse_length(length: int, limit: int, what: str) -> None:
    """Say that something is too long for a model.

    length: in tokens    limit: the model's    what: what is too long

    Raises InvalidInput.
    """
    raise InvalidInput(
        f"{what} has {length} tokens, and the model has positions for {limit}. Make the blocks "
        f"shorter (block_size={limit} or less), or truncate: tokenizer(text, truncation=True, "
        f"max_length={limit})."
    )


def position_limit(config: Any) -> int | None:
    """How many positions a model has learned; None where positions are computed, without an end.

    config: of the model, or None
    """
    if any(hasattr(config, name) for name in ("rope_parameters", "rope_theta", "rotary_pct")):
        return None
    if any(hasattr(config, name) for name in ("relative_attention_num_buckets", "alibi")):
        return None
    limit = getattr(config, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else None


def length_of(ids: Any) -> int:
    """Count the ids of an example; 0 where there are none.

    ids: of any type
    """
    return len(ids) if hasattr(ids, "__len__") else 0


def is_row(example: Any) -> bool:
    """Whether an example is nothing but ids.

    example: of any type
    """
    if isinstance(example, Tensor | np.ndarray):
        return bool(example.ndim)
    if not isinstance(example, list | tuple) or not example:
        return False
    return isinstance(example[0], int | np.integer)
