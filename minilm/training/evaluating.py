"""Measuring a model on data that it is not trained on: loss per label, and what a user computes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from minilm.training import data, order, suitable
from minilm.training.batches import Batches, StandIn
from minilm.training.collecting import Collected, Mean, of_all_processes
from minilm.training.data import Batch
from minilm.training.weighing import count_items, count_rows, weigh

if TYPE_CHECKING:
    from minilm.training.trainer import Trainer


class EvalPrediction:
    """Carry what a model predicted, and the labels, to compute_metrics.

    predictions: logits of all examples, a numpy array (N, …) or a tuple of them
    label_ids: labels, likewise    inputs, losses: if args.include_for_metrics asks for them

    Rows of several lengths are filled up with −100. Unpacks as predictions, label_ids.
    """

    def __init__(
        self, predictions: Any, label_ids: Any, inputs: Any = None, losses: Any = None
    ) -> None:
        self.predictions = predictions
        self.label_ids = label_ids
        self.inputs = inputs
        self.losses = losses
        self.elements = tuple(
            each for each in (predictions, label_ids, inputs, losses) if each is not None
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(self.elements)

    def __getitem__(self, index: int) -> Any:
        return self.elements[index]


class PredictionOutput(tuple[Any, Any, Any]):
    """What `Trainer.predict` returns: predictions, label_ids and metrics, by name or by place."""

    def __new__(cls, predictions: Any, label_ids: Any, metrics: dict[str, float]) -> Any:
        return super().__new__(cls, (predictions, label_ids, metrics))

    predictions = property(lambda self: self[0])
    label_ids = property(lambda self: self[1])
    metrics = property(lambda self: self[2])


def measure(
    trainer: Trainer,
    dataset: Any,
    ignore_keys: Sequence[str] | None,
    prefix: str,
    wants_logits: bool,
) -> PredictionOutput:
    """Go through a dataset, without learning from it.

    trainer: whose model    dataset: of examples    ignore_keys: outputs that are no predictions
    prefix: before the name of every metric    wants_logits: whether to keep what the model predicts

    Returns predictions, labels and metrics.
    """
    began = time.perf_counter()
    args, world = trainer.args, trainer.world
    suitable.check_lengths(dataset, getattr(trainer.model, "config", None), "eval_dataset")
    batches = order.cut(list(range(len(dataset))), args.per_device_eval_batch_size)
    mine = order.deal(batches, world.rank, world.size)
    found = _Found()
    was_training = trainer.model.training
    trainer.model.eval()
    try:
        _go_through(trainer, dataset, mine, ignore_keys, wants_logits, found)
    finally:
        trainer.model.train(was_training)
    mean, *collected = of_all_processes(world, found.mean, *found.collected)
    predictions, label_ids, inputs, losses = (each.together() for each in collected)
    metrics: dict[str, Any] = {}
    if trainer.compute_metrics is not None and wants_logits and label_ids is not None:
        losses = losses if "loss" in args.include_for_metrics else None
        own = trainer.compute_metrics(EvalPrediction(predictions, label_ids, inputs, losses))
        # What is best, and when to stop, must be the same for all.
        metrics = world.gather(plain_numbers(own))[0]
    if mean.counts:
        metrics["loss"] = mean.value
        if is_language_model(trainer.model):
            metrics["perplexity"] = mean.perplexity
    seconds = max(time.perf_counter() - began, 1e-9)
    metrics["runtime"] = round(seconds, 4)
    metrics["samples_per_second"] = round(len(dataset) / seconds, 3)
    metrics["steps_per_second"] = round(len(mine) / seconds, 3)
    named = {
        name if name.startswith(f"{prefix}_") else f"{prefix}_{name}": value
        for name, value in metrics.items()
    }
    return PredictionOutput(predictions, label_ids, named)


class _Found:
    """What comes of the batches of one process."""

    def __init__(self) -> None:
        self.mean = Mean()
        self.logits, self.labels, self.inputs, self.losses = (Collected() for _ in range(4))
        self.collected = self.logits, self.labels, self.inputs, self.losses


def _go_through(
    trainer: Trainer,
    dataset: Any,
    batches: list[list[int]],
    ignore_keys: Sequence[str] | None,
    wants_logits: bool,
    found: _Found,
) -> None:
    """Run the model over the batches of this process, and gather what comes of them."""
    args, model = trainer.args, trainer.world.for_measuring(trainer.model_wrapped)
    reading = data.reading_of(trainer)
    for batch in Batches(dataset, batches, reading, trainer.device, data.workers(args)):
        if trainer.current_run is not None:
            trainer.current_run.stop_measuring_if_asked()
        if isinstance(batch, StandIn):
            if trainer.world.measures_together:
                _forward(trainer, model, batch)
            continue
        loss, outputs = _forward(trainer, model, batch)
        labels = _labels(batch, args.label_names)
        if loss is not None:
            found.mean.add(float(loss), count_items(batch, trainer.shifts_labels))
            found.losses.add(loss.repeat(count_rows(batch)))
        if wants_logits:
            config = getattr(trainer.model, "config", None)
            logits = outputs_beside_loss(outputs, config, ignore_keys)
            if trainer.preprocess_logits_for_metrics is not None:
                logits = trainer.preprocess_logits_for_metrics(logits, labels)
            found.logits.add(logits)
            found.labels.add(labels)
            if "inputs" in args.include_for_metrics:
                found.inputs.add(batch.get("input_ids"))
        trainer.tell("on_prediction_step", total=len(batches))


def _forward(trainer: Trainer, model: Any, batch: Batch) -> tuple[Tensor | None, Any]:
    """The mean loss of a batch, if it has labels, and the outputs."""
    args = trainer.args
    inputs = {**trainer.with_each_batch, **batch}
    context: Any = contextlib.nullcontext()
    if args.bf16 or args.bf16_full_eval:
        context = torch.autocast(trainer.device.type, torch.bfloat16)
    with torch.no_grad(), context:
        if _labels(batch, args.label_names) is None and trainer.compute_loss_func is None:
            outputs = model(**inputs)
            return None, outputs if isinstance(outputs, Mapping) else (None, *outputs)
        num_items, _ = weigh(trainer, [batch], of_all=False)
        loss, outputs = trainer.compute_loss(
            model, inputs, return_outputs=True, num_items_in_batch=num_items
        )
    return loss.detach().float().mean(), outputs


def _labels(batch: Batch, names: Sequence[str] | None) -> Any:
    """What a batch has of labels: a tensor, a tuple of all that are named, or None."""
    if names is None:
        names = ["labels"]
        if "labels" not in batch and "start_positions" in batch:
            names = ["start_positions", "end_positions"]
    found = tuple(batch[name] for name in names if batch.get(name) is not None)
    if len(found) < len(names) or not found:
        return None
    return found[0] if len(found) == 1 else found


def check_datasets(datasets: Any) -> None:
    """Refuse what cannot be measured on, before anything is computed.

    datasets: one of them, or a dict of several
    """
    if isinstance(datasets, Mapping) and datasets:
        for name, each in datasets.items():
            suitable.check_dataset(each, f"eval_dataset[{name!r}]")
    else:
        suitable.check_dataset(datasets, "eval_dataset")


def shifts_labels(model: nn.Module) -> bool:
    """Whether a model's loss moves the labels one place, so that the first of a row is not judged.

    model: any; it may say so itself, by an attribute loss_shifts_labels

    transformers' Trainer asks for the name of the loss instead, and GPT-2's class has none: it counts
    T labels where T − 1 are judged.
    """
    said = getattr(model, "loss_shifts_labels", None)
    if said is not None:
        return bool(said)
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        return False
    if getattr(model, "loss_type", None) == "ForCausalLM":
        return True
    return any(
        kind.__name__.endswith(("ForCausalLM", "LMHeadModel")) or kind.__name__ == "CausalLM"
        for kind in type(model).__mro__
    )


def is_language_model(model: nn.Module) -> bool:
    """Whether e to a model's loss is a perplexity: its labels are tokens.

    model: any
    """
    endings = ("ForMaskedLM", "ForConditionalGeneration")
    return shifts_labels(model) or type(model).__name__.endswith(endings)


def outputs_beside_loss(outputs: Any, config: Any, ignore_keys: Sequence[str] | None) -> Any:
    """Take what a model predicts out of its output.

    outputs: of a model, with a loss    config: may name what is no prediction
    ignore_keys: what to leave out; what the config names, or the cache, unless given

    Returns a tensor, or a tuple of several.
    """
    if ignore_keys is None:
        ignore_keys = getattr(config, "keys_to_ignore_at_inference", None) or ["past_key_values"]
    if isinstance(outputs, Mapping):
        found = tuple(
            value for name, value in outputs.items() if name not in (*ignore_keys, "loss")
        )
    else:
        found = tuple(outputs[1:])
    return found[0] if len(found) == 1 else found


def plain_numbers(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Turn numpy's and torch's numbers into Python's, which a file can hold.

    metrics: name → number
    """
    return {
        name: value.item()
        if isinstance(value, np.generic)
        or (isinstance(value, Tensor | np.ndarray) and value.ndim == 0)
        else value
        for name, value in metrics.items()
    }
