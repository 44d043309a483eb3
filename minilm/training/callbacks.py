"""What may happen beside training: callbacks, and the loop's own habits as one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from minilm.errors import InvalidInput, WrongType
from minilm.training.state import TrainerControl, TrainerState

EVENTS = (
    "on_init_end",
    "on_train_begin",
    "on_train_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_step_begin",
    "on_substep_end",
    "on_pre_optimizer_step",
    "on_optimizer_step",
    "on_step_end",
    "on_evaluate",
    "on_predict",
    "on_save",
    "on_log",
    "on_prediction_step",
)


class TrainerCallback:
    """Do something at certain moments of a run: define any of the methods named in `EVENTS`.

    Each is called as on_…(args, state, control, model=…, processing_class=…, optimizer=…,
    lr_scheduler=…, train_dataloader=…, eval_dataloader=…), on_log with logs=…, on_evaluate and
    on_predict with metrics=…. Wishes are set on `control`, such as control.should_training_stop.
    """

    def on_init_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """The Trainer has been made."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Training begins, or goes on."""

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Training is over."""

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """A pass over the data begins."""

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """A pass over the data is over."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """The batches of an optimizer step are there."""

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """A batch is done, and its step needs more."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """All gradients of a step are there."""

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """The weights have moved."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """A step is counted."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """An evaluation is over; its metrics are there."""

    def on_predict(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Predictions are there."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """A checkpoint is on disk."""

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Something was measured; it is in `logs`."""

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """A batch of an evaluation is done."""


class CallbackHandler:
    """Call the callbacks, in order, and only those that have something to do."""

    def __init__(self, callbacks: Iterable[Any], known: Callable[[], dict[str, Any]]) -> None:
        self.callbacks: list[Any] = []
        self.known = known
        self.calls: dict[str, list[Callable[..., Any]]] = {event: [] for event in EVENTS}
        for callback in callbacks:
            self.add(callback)

    def add(self, callback: Any) -> None:
        """Take in a callback, or a class of one.

        callback: has methods of EVENTS
        """
        callback = callback() if isinstance(callback, type) else callback
        if not any(hasattr(callback, event) for event in EVENTS):
            raise WrongType(
                f"callbacks has a {type(callback).__name__}; expected a TrainerCallback, with "
                "methods such as on_log."
            )
        self.callbacks.append(callback)
        self._sort_calls()

    def pop(self, callback: Any) -> Any:
        """Take out a callback, found by itself or by its class; None if there is none."""
        for each in self.callbacks:
            if each is callback or (isinstance(callback, type) and type(each) is callback):
                self.callbacks.remove(each)
                self._sort_calls()
                return each
        return None

    def _sort_calls(self) -> None:
        for event in EVENTS:
            nothing = getattr(TrainerCallback, event)
            self.calls[event] = [
                getattr(callback, event)
                for callback in self.callbacks
                if getattr(type(callback), event, nothing) is not nothing
                or event in getattr(callback, "__dict__", {})
            ]

    def call(
        self, event: str, args: Any, state: TrainerState, control: TrainerControl, **more: Any
    ) -> TrainerControl:
        """Call all that have a method for an event.

        event: of EVENTS    args, state, control: of the run    more: of the event

        Returns the control: a callback may give back another one.
        """
        calls = self.calls[event]
        if calls:
            known = {**self.known(), **more}
            for each in calls:
                control = each(args, state, control, **known) or control
        return control


class DefaultFlowCallback(TrainerCallback):
    """Log, evaluate, save and stop when the arguments say so."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """See which moments this step is."""
        step, last = state.global_step, state.global_step >= state.max_steps
        if step == 1 and args.logging_first_step:
            control.should_log = True
        if args.logging_strategy == "steps" and step % state.logging_steps == 0:
            control.should_log = True
        evaluates = args.eval_strategy == "steps" and args.eval_delay <= step
        if evaluates and (step % state.eval_steps == 0 or last):
            control.should_evaluate = True
        if args.save_strategy == "steps" and (step % state.save_steps == 0 or last):
            control.should_save = True
        if last:
            control.should_training_stop = True
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """See what an epoch ends with."""
        if args.logging_strategy == "epoch":
            control.should_log = True
        if args.eval_strategy == "epoch" and args.eval_delay <= state.epoch:
            control.should_evaluate = True
        if args.save_strategy == "epoch":
            control.should_save = True
        return control


class EarlyStoppingCallback(TrainerCallback):
    """Stop when evaluations no longer get better.

    early_stopping_patience: after how many evaluations in a row without a better one
    early_stopping_threshold: by how much it must be better to count

    Needs an eval_strategy and metric_for_best_model (load_best_model_at_end=True sets it to "loss").
    How often it has waited is kept in checkpoints, so that a resumed run stops where an undisturbed
    one would.
    """

    def __init__(
        self, early_stopping_patience: int = 1, early_stopping_threshold: float | None = 0.0
    ) -> None:
        self.early_stopping_patience = early_stopping_patience
        self.early_stopping_threshold = early_stopping_threshold or 0.0
        self.early_stopping_patience_counter = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Refuse a run in which there is nothing to go by."""
        if args.metric_for_best_model is None or args.eval_strategy == "no":
            raise InvalidInput(
                "EarlyStoppingCallback goes by evaluations. Give eval_strategy='steps' or 'epoch', "
                "and load_best_model_at_end=True or a metric_for_best_model."
            )
        if state.global_step == 0:
            self.early_stopping_patience_counter = 0

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> Any:
        """Compare with the best evaluation before this one."""
        value = best_metric(args, metrics)
        if state.best_metric is None:
            better = True
        else:
            gain = value - state.best_metric
            gain = gain if args.greater_is_better else -gain
            better = gain > max(self.early_stopping_threshold, 0.0)
        self.early_stopping_patience_counter = (
            0 if better else self.early_stopping_patience_counter + 1
        )
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "args": {
                "early_stopping_patience": self.early_stopping_patience,
                "early_stopping_threshold": self.early_stopping_threshold,
            },
            "attributes": {"early_stopping_patience_counter": self.early_stopping_patience_counter},
        }


def best_metric(args: Any, metrics: dict[str, float]) -> float:
    """Find the figure that says which model is best.

    args: the TrainingArguments    metrics: of an evaluation

    Raises InvalidInput if it is not among them.
    """
    name = args.metric_for_best_model
    name = name if name.startswith("eval_") else f"eval_{name}"
    if name not in metrics:
        raise InvalidInput(
            f"metric_for_best_model={args.metric_for_best_model!r}: an evaluation gives "
            f"{', '.join(metrics)}. Give one of these, or a compute_metrics that returns it."
        )
    return metrics[name]
