"""From a dataset to the batches that a model takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from minilm.errors import InvalidInput, WrongType
from minilm.training import collators, seeding

if TYPE_CHECKING:
    from minilm.training.arguments import TrainingArguments
    from minilm.training.trainer import Trainer

Batch = dict[str, Any]
# What stands for labels, besides the argument of that name: collators know them.
LABELS = ("label", "label_ids", "labels")


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
    elif isinstance(dataset, list | tuple) and _is_row(dataset[0]):
        lengths = [len(row) for row in dataset]
    elif isinstance(dataset, list | tuple) and isinstance(dataset[0], Mapping):
        lengths = [_length(row.get("input_ids")) for row in dataset]
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


def _length(ids: Any) -> int:
    return len(ids) if hasattr(ids, "__len__") else 0


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
        self.limit = position_limit(getattr(model, "config", None))

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
        if self.collator is None and _is_row(first):
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
            lengths = {_length(row.get("input_ids")) for row in examples}
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
            refuse_length(length, self.limit, "A batch")
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


def _is_row(example: Any) -> bool:
    """Whether an example is nothing but ids."""
    if isinstance(example, Tensor | np.ndarray):
        return bool(example.ndim)
    if not isinstance(example, list | tuple) or not example:
        return False
    return isinstance(example[0], int | np.integer)


def _stacked(examples: list[Any]) -> Batch:
    """Rows of ids, as a batch that is its own labels."""
    for row in examples:
        if not _is_row(row) and not (isinstance(row, list | tuple) and not row):
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


class StandIn(dict[str, Any]):
    """A batch for a process that has none left while others have: it counts for nothing.

    The process must take part in the step; what it computes is multiplied by zero.
    """


class Batches(Iterator[Batch]):
    """Give the batches of an epoch, on the device, with the next one read ahead.

    Reading may draw random numbers (a collator that hides tokens does), and the one that is read
    ahead draws before the model's dropout does, as in transformers. Hence `before_next`: where the
    generators stood before it was read, without which a run could not be resumed exactly.
    """

    def __init__(
        self,
        dataset: Any,
        batches: list[list[int]],
        reading: Reading,
        device: torch.device,
        workers: dict[str, Any] | None = None,
        at: dict[str, Any] | None = None,
    ) -> None:
        # What a DataLoader seeds its workers with; it is drawn without any as well.
        self.source = (
            iter(self._in_workers(dataset, batches, reading, workers)) if workers else None
        )
        if self.source is None:
            torch.empty((), dtype=torch.int64).random_()
        self.dataset, self.batches, self.reading, self.device = dataset, batches, reading, device
        self.pinned = device.type == "cuda"
        self.place = 0
        if at is not None:
            seeding.set_rng_state(at)
        self.before_next: Any = None
        self.next = self._read()

    def _in_workers(
        self, dataset: Any, batches: list[list[int]], reading: Reading, workers: dict[str, Any]
    ) -> Any:
        from torch.utils.data import DataLoader

        items = _Numbered(dataset)
        batches = [indices or [0] for indices in batches]
        return DataLoader(items, batch_sampler=batches, collate_fn=reading.collate, **workers)

    def _read(self) -> Batch | None:
        if self.source is not None:
            batch = next(self.source, None)
            self.place += 1
            if batch is None or self.batches[self.place - 1]:
                return batch
            return StandIn(batch)
        if self.place >= len(self.batches):
            self.before_next = None
            return None
        self.before_next = seeding.snapshot()
        indices = self.batches[self.place]
        self.place += 1
        if not indices:
            return StandIn(self.reading(self.dataset, [0]))
        return self.reading(self.dataset, indices)

    def __next__(self) -> Batch:
        batch, self.next = self.next, None
        if batch is None:
            raise StopIteration
        batch = type(batch)(to_device(batch, self.device, self.pinned))
        self.next = self._read()
        return batch


class _Numbered(torch.utils.data.Dataset[Any]):
    """A dataset as worker processes want it."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]


def to_device(value: Any, device: torch.device, pinned: bool = False) -> Any:
    """Move tensors, also within dicts and lists.

    value: anything    device: where to    pinned: let the copy run beside the computing
    """
    if isinstance(value, Tensor):
        if value.device == device or device.type == "cpu":
            return value.to(device)
        return (value.pin_memory() if pinned else value).to(device, non_blocking=pinned)
    if isinstance(value, Mapping):
        return {name: to_device(each, device, pinned) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_device(each, device, pinned) for each in value)
    return value
