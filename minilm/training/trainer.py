"""The Trainer: it trains a model on data, measures it, and leaves checkpoints to go on from.

`Trainer.train` is `setting_up.set_up`, then `loop.go_through`, which makes each step by
`stepping.make_step` and saves by `resuming.save_checkpoint`, then `loop.finish`. What is of one run
only is in a `run.Run`. `Trainer.evaluate` and `predict` are `evaluating.measure`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minilm.errors import InvalidInput, WrongType
from minilm.models.base import refuse_unknown
from minilm.training import (
    checkpoints,
    distributed,
    evaluating,
    loop,
    optimizing,
    schedules,
    seeding,
    setting_up,
    suitable,
    weights,
)
from minilm.training.arguments import TrainingArguments
from minilm.training.callbacks import CallbackHandler, DefaultFlowCallback
from minilm.training.evaluating import EvalPrediction, PredictionOutput
from minilm.training.logs import LogFile
from minilm.training.progress import ProgressBar, progress_shown
from minilm.training.run import Run
from minilm.training.state import TrainerControl, TrainerState, TrainOutput

_OLD_NAMES = {
    "tokenizer": "Give it as processing_class.",
    "feature_extractor": "Give it as processing_class.",
    "train_data": "Give it as train_dataset.",
    "eval_data": "Give it as eval_dataset.",
    "dataset": "Give it as train_dataset.",
    "collator": "Give it as data_collator.",
    "optimizer": "Give optimizers=(optimizer, scheduler).",
}


class Trainer:
    """Train a model, as transformers' Trainer does, to the last bit.

    model: with a loss, on whatever device; model_init: a function that makes one, in its place
    args: TrainingArguments    data_collator: examples → a batch of tensors
    train_dataset, eval_dataset: lists of dicts or of 1-D tensors of ids, a tensor (N, T) of blocks,
        `datasets` objects, or anything with a length and items; eval_dataset may be a dict of several
    processing_class: the tokenizer, which pads and is saved with the model
    compute_loss_func: (outputs, labels, num_items_in_batch=) → loss
    compute_metrics: EvalPrediction → dict of figures    callbacks: TrainerCallbacks
    optimizers: (optimizer, scheduler) to use    optimizer_cls_and_kwargs: (class, its arguments)
    preprocess_logits_for_metrics: (logits, labels) → what is kept of them

    Differs from transformers 5.23 where that is wrong: the loss of models that shift their labels is
    divided by the labels that are judged, for GPT-2 too; eval_loss is a mean over labels and not over
    batches, with eval_perplexity beside it, and over all examples: dataloader_drop_last leaves some
    out in training only; a loss that is NaN is an error and not a hidden zero;
    a resumed run is exact also in the data that was read ahead, in early stopping and in its log;
    model.config.use_cache is left as it is.
    """

    def __init__(
        self,
        model: Any = None,
        args: TrainingArguments | None = None,
        data_collator: Callable[[list[Any]], Any] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        model_init: Callable[[], nn.Module] | None = None,
        compute_loss_func: Callable[..., Tensor] | None = None,
        compute_metrics: Callable[[EvalPrediction], Mapping[str, Any]] | None = None,
        callbacks: list[Any] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
        optimizer_cls_and_kwargs: tuple[Any, dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable[[Any, Any], Any] | None = None,
        **unknown: Any,
    ) -> None:
        _refuse(unknown)
        if args is not None and not isinstance(args, TrainingArguments):
            raise WrongType(
                f"args is a {type(args).__name__}; expected minilm's TrainingArguments: "
                'TrainingArguments(output_dir="…", …).'
            )
        self.args = args or TrainingArguments(output_dir="tmp_trainer")
        self.world = distributed.join(self.args)
        self.device = self.world.device(self.args.use_cpu)
        seeding.set_seed(self.args.seed, self.args.full_determinism)
        if (model is None) == (model_init is None):
            raise InvalidInput(
                "Of model and model_init, one is to be given: a model, or a function that makes one."
            )
        self.model_init = model_init
        self.optimizer, self.lr_scheduler = optimizers
        self.has_given_scheduler = self.lr_scheduler is not None
        self.optimizer_cls_and_kwargs = optimizer_cls_and_kwargs
        self.data_collator = data_collator
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        self.processing_class = processing_class
        self.compute_loss_func = compute_loss_func
        self.compute_metrics = compute_metrics
        self.preprocess_logits_for_metrics = preprocess_logits_for_metrics
        # Set it in a subclass whose compute_loss says differently from what the model's forward takes.
        self.loss_is_scaled_for_ga: bool | None = None
        self._take(model_init() if model_init is not None else model)

        self.state, self.control = TrainerState(), TrainerControl()
        self.state.is_world_process_zero = self.state.is_local_process_zero = self.world.is_main
        self.log_file = LogFile()
        shown = progress_shown() if self.world.is_main and not self.args.disable_tqdm else []
        self.callback_handler = CallbackHandler(
            [DefaultFlowCallback, *(callbacks or []), *shown, self.log_file],
            self._known_to_callbacks,
        )
        self.current_run: Run | None = None  # while there is one
        self.tell("on_init_end")

    def _take(self, model: Any) -> None:
        """Take in a model, and find out what it can be called with."""
        if not isinstance(model, nn.Module):
            raise WrongType(
                f"model is a {type(model).__name__}; expected a torch module, such as "
                "AutoModelForCausalLM.from_pretrained(…)."
            )
        self.model: Any = model.to(self.device)
        self.model_wrapped: Any = self.model
        parameters = inspect.signature(model.forward).parameters
        self.model_accepts_loss_kwargs = setting_up.accepts_num_items(model, parameters)
        self.shifts_labels = evaluating.shifts_labels(model)
        self.with_each_batch = (
            {"use_cache": self.args.use_cache} if "use_cache" in parameters else {}
        )

    # Training.

    def train(
        self, resume_from_checkpoint: str | bool | None = None, **unknown: Any
    ) -> TrainOutput:
        """Train until the run is over.

        resume_from_checkpoint: True goes on from the newest complete checkpoint in output_dir, a
            path from that one; the result is that of a run that was never interrupted

        Returns steps, mean loss and figures of the run. Ctrl-C finishes the step, leaves a checkpoint
        and raises KeyboardInterrupt. Raises NotFinite if the loss is NaN, FileProblem if a checkpoint
        cannot be written or read, InvalidInput or WrongType if the data does not fit.
        """
        refuse_unknown(unknown, ["resume_from_checkpoint"], "Trainer.train")
        resumed = self.world.on_main(
            lambda: checkpoints.checkpoint_to_resume(resume_from_checkpoint, self.args.output_dir)
        )
        setting_up.check_data(self)
        if self.model_init is not None:
            seeding.set_seed(self.args.seed, self.args.full_determinism)
            self._take(self.model_init())
            self.optimizer = self.lr_scheduler = None
        run = setting_up.set_up(self, resumed)
        self.current_run = run
        try:
            with self.world.listening(run.advice), run.interruption:
                loop.go_through(run)
        except BaseException:
            self._close_bars()
            raise
        finally:
            self.current_run = None
        return loop.finish(run)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Compute the loss of a batch; a subclass may do it in another way.

        model: to be called    inputs: the batch
        num_items_in_batch: labels that all batches of the step judge together; divide a sum by it

        Returns the loss, or the loss and all outputs.
        """
        labels = None
        if self.compute_loss_func is not None and "labels" in inputs:
            inputs = dict(inputs)
            labels = inputs.pop("labels")
        if self.model_accepts_loss_kwargs and num_items_in_batch is not None:
            inputs = {**inputs, "num_items_in_batch": num_items_in_batch}
        outputs = model(**inputs)
        if self.compute_loss_func is not None:
            loss = self.compute_loss_func(outputs, labels, num_items_in_batch=num_items_in_batch)
        elif isinstance(outputs, Mapping):
            loss = outputs.get("loss")
        else:
            loss = getattr(outputs, "loss", None) if hasattr(outputs, "loss") else outputs[0]
        if not isinstance(loss, Tensor):
            raise InvalidInput(
                f"{type(self.model).__name__} returned no loss. The batch has "
                f"{', '.join(name for name in inputs if name != 'use_cache')}"
                + (
                    ", and no labels: give data_collator=DataCollatorForLanguageModeling(tokenizer, "
                    "mlm=False), which makes them of the text."
                    if "labels" not in inputs and labels is None
                    else ". Give a model with a head, such as AutoModelForCausalLM makes."
                )
            )
        return (loss, outputs) if return_outputs else loss

    def has_own_loss(self) -> bool:
        """Whether something else than the model says what its loss is."""
        overridden = type(self).compute_loss is not Trainer.compute_loss
        return overridden or self.compute_loss_func is not None

    def create_optimizer(self) -> torch.optim.Optimizer:
        """Make the optimizer, unless there is one."""
        if self.optimizer is None:
            if self.optimizer_cls_and_kwargs is not None:
                kind, settings = self.optimizer_cls_and_kwargs
                groups = optimizing.decay_groups(self.model, self.args.weight_decay)
                self.optimizer = kind(groups, **settings)
            else:
                self.optimizer = optimizing.create_optimizer(self.model, self.args)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Make the learning-rate schedule, unless there is one.

        num_training_steps: of the run    optimizer: whose learning rate it sets
        """
        if self.lr_scheduler is None:
            self.lr_scheduler = schedules.get_scheduler(
                self.args.lr_scheduler_type,
                optimizer=optimizer or self.optimizer,
                num_warmup_steps=self.args.get_warmup_steps(num_training_steps),
                num_training_steps=num_training_steps,
                scheduler_specific_kwargs=self.args.lr_scheduler_kwargs,
            )
        return self.lr_scheduler

    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        rate = self.optimizer.param_groups[0]["lr"]
        return rate.item() if isinstance(rate, Tensor) else rate

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Note figures in the history and in log.jsonl, and tell callbacks.

        logs: name → figure    start_time: without effect
        """
        logs["epoch"] = self.state.epoch
        if self.args.include_num_input_tokens_seen != "no":
            logs["num_input_tokens_seen"] = self.state.num_input_tokens_seen
        self.state.log_history.append({**logs, "step": self.state.global_step})
        self.tell("on_log", logs=logs)

    # Measuring.

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Measure the model on data that it is not trained on.

        eval_dataset: instead of the Trainer's; a dict of several measures each
        ignore_keys: outputs that are no predictions    metric_key_prefix: before every name

        Returns the metrics: eval_loss, the mean per judged label; eval_perplexity, for language
        models; what compute_metrics returns; and how fast it was.
        """
        datasets = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(datasets, str) and isinstance(self.eval_dataset, Mapping):
            metric_key_prefix, datasets = (
                f"{metric_key_prefix}_{datasets}",
                self.eval_dataset[datasets],
            )
        if isinstance(datasets, Mapping) and datasets:
            if "input_ids" in datasets:
                suitable.refuse_columns(datasets, "eval_dataset")
            several: dict[str, float] = {}
            for name, each in datasets.items():
                several |= self.evaluate(each, ignore_keys, f"{metric_key_prefix}_{name}")
            return several
        suitable.check_dataset(datasets, "eval_dataset")
        wants_logits = self.compute_metrics is not None and not self.args.prediction_loss_only
        output = evaluating.measure(self, datasets, ignore_keys, metric_key_prefix, wants_logits)
        metrics: dict[str, float] = output.metrics
        self.log(metrics)
        self.control = self.tell("on_evaluate", metrics=metrics)
        return metrics

    def predict(
        self,
        test_dataset: Any,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "test",
    ) -> PredictionOutput:
        """Run the model over data, with or without labels.

        test_dataset: of examples    ignore_keys, metric_key_prefix: as for `evaluate`

        Returns predictions and labels as numpy arrays, and metrics where there are labels.
        """
        suitable.check_dataset(test_dataset, "test_dataset")
        output = evaluating.measure(self, test_dataset, ignore_keys, metric_key_prefix, True)
        self.tell("on_predict", metrics=output.metrics)
        return output

    # Writing.

    def save_model(self, output_dir: str | None = None) -> None:
        """Write the model and the tokenizer, for from_pretrained of minilm and of transformers.

        output_dir: that of the arguments unless given
        """
        folder = Path(output_dir or self.args.output_dir)
        whole = self.world.model_state(self.model_wrapped)
        if self.world.is_main:
            weights.save_folder(self.model, self.processing_class, folder, whole)

    def save_state(self) -> None:
        """Write trainer_state.json, with everything that was logged, into output_dir."""
        if self.world.is_main:
            checkpoints.write_text(
                Path(self.args.output_dir), checkpoints.STATE, self.state.to_json()
            )

    def push_to_hub(self, *args: Any, **options: Any) -> None:
        """Refuse: nothing is uploaded. save_model writes a folder that a hub takes."""
        raise InvalidInput(
            "push_to_hub() was called; minilm uploads nothing. trainer.save_model(folder) writes the "
            "files, and huggingface_hub.upload_folder takes them."
        )

    # Callbacks.

    def tell(self, event: str, **more: Any) -> TrainerControl:
        """Tell the callbacks that something happens; they may change `control`.

        event: of callbacks.EVENTS    more: what they are told besides
        """
        self.control = self.callback_handler.call(
            event, self.args, self.state, self.control, **more
        )
        return self.control

    def _known_to_callbacks(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "processing_class": self.processing_class,
            "optimizer": self.optimizer,
            "lr_scheduler": self.lr_scheduler,
            "train_dataloader": None,
            "eval_dataloader": None,
        }

    def _close_bars(self) -> None:
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, ProgressBar):
                callback.on_train_end(self.args, self.state, self.control)

    def add_callback(self, callback: Any) -> None:
        """Take in a callback, or a class of one."""
        self.callback_handler.add(callback)

    def pop_callback(self, callback: Any) -> Any:
        """Take out a callback, by itself or its class, and return it."""
        return self.callback_handler.pop(callback)

    def remove_callback(self, callback: Any) -> None:
        """Take out a callback, by itself or its class."""
        self.callback_handler.pop(callback)

    def is_world_process_zero(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.world.is_main

    is_local_process_zero = is_world_process_zero


def _refuse(unknown: Mapping[str, Any]) -> None:
    for name in unknown:
        if name in _OLD_NAMES:
            raise WrongType(f"Trainer has no argument {name}. {_OLD_NAMES[name]}")
    known = [name for name in inspect.signature(Trainer.__init__).parameters if name != "self"]
    refuse_unknown(unknown, known[:-1], "Trainer")
