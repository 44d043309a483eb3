"""From examples to a batch that a model takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minilm.errors import InvalidInput, WrongType
from minilm.training import collators, suitable

if TYPE_CHECKING:
    from minilm.training.arguments import TrainingArguments
    from minilm.training.trainer import Trainer

Batch = dict[str, Any]
# What stands for labels, besides the argument of that name: collators know them.
LABELS = ("label", "label_ids", "labels")


class Reading:
    """Turn indices into a batch: fetch the examples, drop what the model does not take, collate."""

    def __init__(
        self,
        model: nn.Module,
        collator: Callable[[list[Any]], Any] | None,
        processing_class: Any = None,
        remove_unused_columns: bool = True,
        label_names: Sequence[str] = (),
    ) -> None:
        self.accepted = set(inspect.signature(model.forward).parameters) | {*LABELS, *label_names}
        self.model_name = type(model).__name__
        self.remove = remove_unused_columns
        self.collator = collator
        self.processing_class = processing_class
        self.limit = suitable.position_limit(getattr(model, "config", None))

    def __call__(self, dataset: Any, indices: Sequence[int]) -> Batch:
        """Make one batch.

        dataset: of examples    indices: which of them
        """
        if isinstance(dataset, Tensor) and self.collator is None:
            return self.checked(_of_ids(dataset[list(indices)]))
        if hasattr(dataset, "__getitems__"):
            return self.collate(dataset.__getitems__(indices))
        return self.collate([dataset[i] for i in indices])

    def collate(self, examples: list[Any]) -> Batch:
        """Make one batch of examples.

        examples: dicts, or tensors of ids
        """
        first = examples[0]
        if self.collator is None and suitable.is_row(first):
            return self.checked(_stacked(examples))
        if isinstance(first, Mapping) and self.remove and not first.keys() <= self.accepted:
            examples = [self._without_unknown(example) for example in examples]
        return self.checked((self.collator or self._default(examples))(examples))

    def _without_unknown(self, example: Mapping[str, Any]) -> Batch:
        kept = {name: value for name, value in example.items() if name in self.accepted}
        if not kept:
            raise InvalidInput(
                f"The examples have the columns {', '.join(map(str, example))}, and "
                f"{self.model_name} takes none of them. Tokenize the texts first, or give "
                "remove_unused_columns=False and a data_collator that makes tensors of them."
            )
        return kept

    def _default(self, examples: list[Any]) -> Callable[[list[Any]], Any]:
        """Pad where there is something to pad."""
        if hasattr(self.processing_class, "pad") and isinstance(examples[0], Mapping):
            lengths = {suitable.length_of(row.get("input_ids")) for row in examples}
            if len(lengths) > 1:
                return collators.DataCollatorWithPadding(self.processing_class)
        return collators.default_data_collator

    def checked(self, batch: Any) -> Batch:
        """Refuse what a model cannot be called with.

        batch: what the collator made
        """
        if not isinstance(batch, Mapping):
            raise WrongType(
                f"The data_collator returned a {type(batch).__name__}; expected a dict of tensors."
            )
        ids = batch.get("input_ids")
        length = ids.shape[1] if isinstance(ids, Tensor) and ids.dim() == 2 else 0
        if self.limit is not None and length > self.limit:
            suitable.refuse_length(length, self.limit, "A batch")
        return dict(batch)


def reading_of(trainer: Trainer) -> Reading:
    """Make what turns indices into batches for a Trainer's model.

    trainer: with a data_collator, or a processing_class that pads, or neither
    """
    args = trainer.args
    return Reading(
        trainer.model,
        trainer.data_collator,
        trainer.processing_class,
        args.remove_unused_columns,
        args.label_names or (),
    )


def workers(args: TrainingArguments) -> dict[str, Any] | None:
    """How other processes read the data, as `Batches` takes it; None if they do not.

    args: dataloader_…
    """
    if not args.dataloader_num_workers:
        return None
    return {
        "num_workers": args.dataloader_num_workers,
        "prefetch_factor": args.dataloader_prefetch_factor,
        "multiprocessing_context": args.dataloader_multiprocessing_context,
        "in_order": args.dataloader_in_order,
    }


def _stacked(examples: list[Any]) -> Batch:
    """Rows of ids, as a batch that is its own labels."""
    for row in examples:
        if not suitable.is_row(row) and not (isinstance(row, list | tuple) and not row):
            raise WrongType(
                f"An example is a {type(row).__name__} ({str(row)[:40]}), and others are rows of "
                "ids. Give all examples in one form."
            )
    rows = [torch.as_tensor(row) for row in examples]
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise InvalidInput(
            f"A batch holds rows of lengths {sorted(lengths)}. Give blocks of one length, or a "
            "data_collator that pads: DataCollatorForLanguageModeling(tokenizer, mlm=False)."
        )
    return _of_ids(torch.stack(rows))  # (B, T)


def _of_ids(ids: Tensor) -> Batch:
    if ids.is_floating_point() or ids.dtype == torch.bool:
        raise WrongType(f"An example holds numbers of {ids.dtype}; token ids are whole numbers.")
    ids = ids.long()
    return {"input_ids": ids, "labels": ids}
