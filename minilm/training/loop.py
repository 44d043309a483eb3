"""The loop of a run: epochs, the steps in them, and what is done between steps."""

from __future__ import annotations

from dataclasses import fields
from itertools import islice
from typing import TYPE_CHECKING

from torch.optim.lr_scheduler import ReduceLROnPlateau

from minilm.training import data, seeding
from minilm.training.batches import Batches
from minilm.training.callbacks import best_metric
from minilm.training.interrupting import Stopped
from minilm.training.logs import flos
from minilm.training.resuming import save_checkpoint
from minilm.training.state import TrainerControl, TrainOutput
from minilm.training.stepping import make_step
from minilm.training.weights import load_weights

if TYPE_CHECKING:
    from minilm.training.run import Run


def go_through(run: Run) -> None:
    """Go through the epochs, from wherever the run is to its end.

    run: that is set up

    Raises KeyboardInterrupt after a Ctrl-C, when the run can be gone on from.
    """
    trainer, plan = run.trainer, run.plan
    epoch, done = divmod(trainer.state.global_step, plan.steps_per_epoch)
    stopped = bool(run.noted.get("stopped", False))
    trainer.control = TrainerControl(should_training_stop=stopped)
    trainer.tell("on_train_begin")
    trainer.model.train()
    trainer.model.zero_grad()
    if run.resumed is not None:
        done = _go_on(run, done)
    elif trainer.args.eval_on_start:
        _evaluate_first(run)
    if trainer.state.global_step >= plan.max_steps:
        trainer.control.should_training_stop = True
    while epoch < plan.num_epochs and not trainer.control.should_training_stop:
        _go_through_epoch(run, epoch, done)
        epoch, done = epoch + 1, 0


def _go_on(run: Run, done: int) -> int:
    """Do what is left of the moment at which a checkpoint was written.

    Returns how many steps of the epoch count as done: those that are, unless it begins anew.
    """
    if run.trainer.args.ignore_data_skip:
        done = 0
    if done:
        return done  # the generators are set when the epoch's batches are there
    now, _ = run.random_states
    if now is not None:
        seeding.set_rng_state(now)
    if not run.noted["epoch_ended"]:
        # The checkpoint was written between the last step of an epoch and its end.
        _end_epoch(run)
    return done


def _evaluate_first(run: Run) -> None:
    try:
        _evaluate(run)
    except Stopped:
        raise KeyboardInterrupt("Training was interrupted before its first step.") from None


def _go_through_epoch(run: Run, epoch: int, done: int) -> None:
    """Make the steps of an epoch, from the one after those that are done."""
    trainer, plan = run.trainer, run.plan
    trainer.control.should_epoch_stop = False
    trainer.tell("on_epoch_begin")
    now, before_next = run.random_states if done else (None, None)
    run.batches = Batches(
        trainer.train_dataset,
        plan.batches(epoch, done),
        run.reading,
        trainer.device,
        data.workers(trainer.args),
        at=before_next or now,
    )
    if now is not None:
        seeding.set_rng_state(now)
    for step in range(done, plan.steps_per_epoch):
        make_step(run, list(islice(run.batches, plan.accumulation)))
        trainer.state.global_step += 1
        passed = min((step + 1) * plan.accumulation, plan.batches_per_epoch)
        trainer.state.epoch = epoch + passed / plan.batches_per_epoch
        trainer.tell("on_step_end")
        _do_what_is_due(run, epoch_ended=step + 1 < plan.steps_per_epoch)
        if trainer.control.should_epoch_stop or trainer.control.should_training_stop:
            break
    _end_epoch(run)


def _end_epoch(run: Run) -> None:
    run.trainer.tell("on_epoch_end")
    _do_what_is_due(run, epoch_ended=True)


def _do_what_is_due(run: Run, epoch_ended: bool) -> None:
    """Log, evaluate, save and stop, as callbacks wish or Ctrl-C demands.

    epoch_ended: False between the last step of an epoch and what ends an epoch
    """
    _agree(run)
    _log_evaluate_save(run, epoch_ended)
    if run.asked:
        _save_and_stop(run, epoch_ended)


def _agree(run: Run) -> None:
    """Let all processes do what one of them wants: to log, to save, to stop, after a Ctrl-C too."""
    control = run.trainer.control
    names = [each.name for each in fields(control)]
    wishes = (getattr(control, name) for name in names)
    run.asked, *agreed = run.trainer.world.any(run.interruption.asked, *wishes)
    for name, wish in zip(names, agreed, strict=True):
        setattr(control, name, wish)


def _log_evaluate_save(run: Run, epoch_ended: bool) -> None:
    trainer = run.trainer
    step = trainer.state.global_step
    if trainer.control.should_log and step > run.figures.last_logged:
        trainer.log(run.figures.since_last_log(step))
    trainer.control.should_log = False
    if trainer.control.should_evaluate:
        try:
            metrics = _evaluate(run)
        except Stopped:
            return
        is_best = _note_best(run, metrics)
        if trainer.args.save_strategy == "best":
            trainer.control.should_save = is_best
    trainer.control.should_evaluate = False
    if trainer.control.should_save:
        save_checkpoint(run, epoch_ended)
    trainer.control.should_save = False


def _evaluate(run: Run) -> dict[str, float]:
    run.check_norm()
    trainer = run.trainer
    metrics = trainer.evaluate()
    trainer.model.train()
    if isinstance(trainer.lr_scheduler, ReduceLROnPlateau):
        name = trainer.args.metric_for_best_model or "loss"
        trainer.lr_scheduler.step(metrics[name if name.startswith("eval_") else f"eval_{name}"])
    return metrics


def _note_best(run: Run, metrics: dict[str, float]) -> bool:
    """Whether an evaluation is the best so far, which is noted then."""
    args, state = run.trainer.args, run.trainer.state
    if args.metric_for_best_model is None:
        return False
    value, best = best_metric(args, metrics), state.best_metric
    if best is not None and not (value > best if args.greater_is_better else value < best):
        return False
    state.best_metric = value
    if args.save_strategy != "no":
        state.best_global_step = state.global_step
    return True


def _save_and_stop(run: Run, epoch_ended: bool) -> None:
    """After a Ctrl-C: save what the run can go on from, and stop."""
    step = run.trainer.state.global_step
    if run.trainer.args.save_strategy == "no":
        raise KeyboardInterrupt(
            f'Training was interrupted after step {step}; save_strategy="no", so nothing was '
            "saved. The model is as step left it."
        )
    if run.saved_at != step:
        save_checkpoint(run, epoch_ended)
    raise KeyboardInterrupt(
        f"Training was interrupted after step {step}. '{run.last_checkpoint}' is whole: go on "
        "with train(resume_from_checkpoint=True)."
    )


def finish(run: Run) -> TrainOutput:
    """Sum up a run that is over, and load its best weights if that was asked for.

    run: to its last step
    """
    run.check_norm()
    trainer, state = run.trainer, run.trainer.state
    state.total_flos = flos(trainer.model, state.num_input_tokens_seen)
    metrics = run.figures.of_the_run(state, run.plan)
    trainer.log(metrics)
    best = state.best_model_checkpoint
    if trainer.args.load_best_model_at_end and best is not None:
        load_weights(trainer.model, best)
    trainer.tell("on_train_end")
    return TrainOutput(state.global_step, metrics["train_loss"], metrics)
