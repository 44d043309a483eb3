"""Collators: they make one batch of tensors of several examples.

The names, arguments and outputs are transformers'. One thing differs: labels that the examples
bring along are kept, where transformers' causal collator writes over them without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from minilm.errors import InvalidInput, WrongType
from minilm.losses import IGNORE
from minilm.training import columns

Batch = dict[str, Any]
# (input_ids, special_tokens_mask, collator) → (input_ids with masks, labels).
# The lesson on masked language models puts its function here.
mask_tokens: Callable[..., tuple[Tensor, Tensor]] | None = None


def causal_labels(input_ids: Tensor, pad_token_id: int | None = None) -> Tensor:
    """Copy a text as its own labels, with −100 where the padding token stands; the *loss* shifts.

    input_ids: int (B, T)    pad_token_id: None = no padding    Returns int (B, T), a new tensor.
    """
    if pad_token_id is None:
        return input_ids.clone()
    return input_ids.masked_fill(input_ids == pad_token_id, IGNORE)


def default_data_collator(features: Sequence[Any], return_tensors: str = "pt") -> Batch:
    """Stack examples whose rows have one length.

    features: dicts (or objects with attributes) with the same keys; `label` and `label_ids` become
        `labels`, strings and None are left out
    return_tensors: "pt" or "np"

    Returns a dict of tensors. Raises InvalidInput if the rows of a key differ in length.
    """
    columns.check_features(features)
    rows = [columns.named(row) for row in features]
    first = rows[0]
    batch: Batch = {}
    for name in ("label", "label_ids"):
        if first.get(name) is not None:
            batch["labels"] = columns.labels_of(columns.column(name, rows))
            break
    for name, value in first.items():
        if name not in ("label", "label_ids") and value is not None and not isinstance(value, str):
            column = columns.column(name, rows)
            if return_tensors == "np" and not isinstance(value, Tensor):
                column = [np.asarray(row) for row in column]  # numpy's own types: float64
            batch[name] = columns.stacked(name, column)
    return _in(return_tensors, batch)


@dataclass
class DefaultDataCollator:
    """`default_data_collator`, as an object that keeps its return_tensors.

    return_tensors: "pt" or "np"
    """

    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> Batch:
        return default_data_collator(features, return_tensors or self.return_tensors)


@dataclass
class DataCollatorWithPadding:
    """Pad examples to the length of the longest, as the tokenizer pads.

    tokenizer: with a pad_token    padding, max_length, pad_to_multiple_of: as for a tokenizer's call
    return_tensors: "pt" or "np"
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __post_init__(self) -> None:
        _check_settings(self)

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> Any:
        columns.check_features(features)
        batch = self.tokenizer.pad(
            list(features),
            padding=self.padding,
            max_length=self.max_length,
            pad_to_multiple_of=self.pad_to_multiple_of,
            return_tensors=self.return_tensors,
        )
        for name in ("label", "label_ids"):
            if name in batch:
                batch["labels"] = batch.pop(name)
        return batch


@dataclass
class DataCollatorForLanguageModeling:
    """Pad examples, and make labels for a language model.

    tokenizer: with a pad_token, unless all rows have one length and are bare lists. If that token
        also ends texts, as a guide advises for GPT-2, their ends are not judged and not learned
    mlm: False: labels for a causal language model, see `causal_labels`. True, as in transformers the
        value unless given, hides tokens at random: that comes with the masked language models
    pad_to_multiple_of: lengths are rounded up to a multiple of it    return_tensors: "pt" or "np"
    whole_word_mask, mlm_probability, mask_replace_prob, random_replace_prob, seed: of mlm=True

    Labels that the examples bring along are kept (transformers writes over them, so that a prompt
    hidden with −100 is learned after all). They are padded with −100, and −100 stands wherever
    the attention_mask is 0.
    Raises InvalidInput for settings that do not go together, and for labels that do not fit.
    """

    tokenizer: Any
    mlm: bool = True
    whole_word_mask: bool = False
    mlm_probability: float | None = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.mlm and mask_tokens is None:
            raise InvalidInput(
                "DataCollatorForLanguageModeling was asked to mask tokens (mlm=True, which is what "
                "it does unless told otherwise). minilm learns that in its lesson on masked "
                "language models; for a causal language model give mlm=False."
            )
        if self.whole_word_mask and not self.mlm:
            raise InvalidInput("whole_word_mask=True masks words, and mlm=False masks nothing.")
        _check_settings(self)

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> Any:
        columns.check_features(features)
        batch, given = self._padded(features)
        special = batch.pop("special_tokens_mask", None)
        batch.pop("offset_mapping", None)
        if self.mlm and mask_tokens is not None:
            batch["input_ids"], batch["labels"] = mask_tokens(batch["input_ids"], special, self)
        elif given is not None:
            batch["labels"] = self._kept(given, features, batch)
        else:
            batch["labels"] = causal_labels(batch["input_ids"], self.tokenizer.pad_token_id)
        return _in(return_tensors or self.return_tensors, batch)

    def _padded(self, features: Sequence[Any]) -> tuple[Any, list[Any] | None]:
        """The padded columns, and the labels that were given."""
        if not isinstance(features[0], Mapping):
            return {"input_ids": self._rows(features)}, None
        columns.check_named(features)
        has_labels = features[0].get("labels") is not None
        given = columns.column("labels", features) if has_labels else None
        rows = [{name: row[name] for name in row if name != "labels"} for row in features]
        return self.tokenizer.pad(
            rows, pad_to_multiple_of=self.pad_to_multiple_of, return_tensors="pt"
        ), given

    def _rows(self, rows: Sequence[Any]) -> Tensor:
        """Bare lists of ids, which need padding only if they differ in length."""
        tensors = [columns.ids_of(row, at) for at, row in enumerate(rows)]
        longest = max(len(row) for row in tensors)
        length = _rounded_up(longest, self.pad_to_multiple_of)
        if any(len(row) != length for row in tensors) and self.tokenizer.pad_token_id is None:
            raise InvalidInput(
                "The rows differ in length and have to be padded, but the tokenizer has no "
                "pad_token. Set tokenizer.pad_token first."
            )
        return self._filled(tensors, length, self.tokenizer.pad_token_id)  # (B, T)

    def _filled(self, rows: Sequence[Tensor], length: int, value: Any) -> Tensor:
        """Rows of several lengths as one tensor, (B, T)."""
        filled = torch.full((len(rows), length), 0 if value is None else value)  # (B, T)
        for row, place in zip(rows, filled):
            at = 0 if self.tokenizer.padding_side == "right" else length - len(row)
            place[at : at + len(row)] = row
        return filled

    def _kept(self, given: list[Any], features: Sequence[Any], batch: Mapping[str, Any]) -> Tensor:
        """The labels that the examples brought along, padded."""
        rows = [columns.ids_of(row, at, "labels") for at, row in enumerate(given)]
        columns.check_lengths(rows, [feature["input_ids"] for feature in features])
        labels = self._filled(rows, batch["input_ids"].shape[1], IGNORE)  # (B, T)
        if "attention_mask" in batch:
            labels = labels.masked_fill(batch["attention_mask"] == 0, IGNORE)
        return labels


@dataclass
class DataCollatorWithFlattening:
    """Write the examples one after the other into a single row: no padding, and nothing wasted.

    return_tensors: "pt" or "np"    return_position_ids: whether to count positions, which begin
        again at position_ids_start with each example: by them attention knows where one begins
    separator_id: the label of each example's first token; nothing predicts that
    return_flash_attn_kwargs: whether to add where each example begins, in FlashAttention's form
    return_seq_idx: whether to add each token's example
    """

    return_tensors: str = "pt"
    return_position_ids: bool = True
    separator_id: int = IGNORE
    return_flash_attn_kwargs: bool = False
    return_seq_idx: bool = False
    position_ids_start: int = 0

    _of_int32: ClassVar[tuple[str, ...]] = ("seq_idx", "cu_seq_lens_q", "cu_seq_lens_k")

    def __call__(
        self,
        features: Sequence[Mapping[str, Any]],
        return_tensors: str | None = None,
        separator_id: int | None = None,
    ) -> Batch:
        columns.check_features(features)
        columns.check_named(features)
        first = self.separator_id if separator_id is None else separator_id
        texts = [
            columns.ids_of(row, at).tolist()
            for at, row in enumerate(columns.column("input_ids", features))
        ]
        labels = texts
        if features[0].get("labels") is not None:
            given = columns.column("labels", features)
            labels = [columns.ids_of(row, at, "labels").tolist() for at, row in enumerate(given)]
            columns.check_lengths(labels, texts)
        lists: dict[str, list[int]] = {
            "input_ids": [token for text in texts for token in text],
            "labels": [label for row in labels if row for label in (first, *row[1:])],
        }
        if self.return_position_ids:
            start = self.position_ids_start
            lists["position_ids"] = [start + i for text in texts for i in range(len(text))]
        if self.return_seq_idx:
            lists["seq_idx"] = [at for at, text in enumerate(texts) for _ in text]
        batch: Batch = {name: self._tensor(name, [row]) for name, row in lists.items()}  # (1, T)
        if self.return_flash_attn_kwargs:
            ends = np.cumsum([0, *map(len, texts)]).tolist()
            for name in ("cu_seq_lens_q", "cu_seq_lens_k"):
                batch[name] = self._tensor(name, ends)
            batch["max_length_q"] = batch["max_length_k"] = max(map(len, texts))
        return _in(return_tensors or self.return_tensors, batch)

    def _tensor(self, name: str, numbers: Any) -> Tensor:
        return torch.tensor(numbers, dtype=torch.int32 if name in self._of_int32 else torch.int64)


def _check_settings(collator: Any) -> None:
    tokenizer, multiple = collator.tokenizer, collator.pad_to_multiple_of
    if isinstance(tokenizer, type) or not hasattr(tokenizer, "pad"):
        what = f"the class {tokenizer.__name__}" if isinstance(tokenizer, type) else repr(tokenizer)
        raise WrongType(
            f"{type(collator).__name__} was given {what} as tokenizer; expected one such as "
            "AutoTokenizer.from_pretrained(…) returns."
        )
    if multiple is not None and (not isinstance(multiple, int) or multiple < 0):
        raise InvalidInput(f"pad_to_multiple_of={multiple!r} was given; expected a whole number.")


def _rounded_up(length: int, multiple: int | None) -> int:
    return length if not multiple else -(-length // multiple) * multiple


def _in(return_tensors: str, batch: Any) -> Any:
    if return_tensors == "pt":
        return batch
    if return_tensors != "np":
        raise InvalidInput(f"return_tensors is {return_tensors!r}; give 'pt' or 'np'.")
    for name, value in batch.items():
        if isinstance(value, Tensor):
            batch[name] = value.numpy()
    return batch
