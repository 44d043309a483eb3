"""What a run writes down to be gone on from exactly, and how it goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput
from minilm.training import checkpoints, damage, seeding
from minilm.training.distributed import World
from minilm.training.logs import flos
from minilm.training.plan import Plan
from minilm.training.state import Noted
from minilm.training.weights import save_folder

if TYPE_CHECKING:
    from minilm.training.run import Run
    from minilm.training.trainer import Trainer


def save_checkpoint(run: Run, epoch_ended: bool) -> None:
    """Write a checkpoint that the run can go on from exactly.

    epoch_ended: False if the epoch's last step is done, and what ends an epoch is not
    """
    run.check_norm()
    trainer = run.trainer
    args, state, world = trainer.args, trainer.state, trainer.world
    folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
    if state.best_global_step == state.global_step:
        state.best_model_checkpoint = str(folder)
    state.total_flos = flos(trainer.model, state.num_input_tokens_seen)
    state.stateful_callbacks = _states_of_callbacks(trainer)
    whole = world.model_state(trainer.model_wrapped)
    files: dict[str, Any] = {}
    if not args.save_only_model:
        files[checkpoints.OPTIMIZER] = world.optimizer_state(
            trainer.model_wrapped, trainer.optimizer
        )
        files[checkpoints.SCHEDULER] = trainer.lr_scheduler.state_dict()
        files |= _random_files(run)
    files[checkpoints.STATE] = state.to_json()
    files[checkpoints.RUN] = checkpoints.as_json(_noted(run, epoch_ended))

    def write() -> None:
        def save_parts(staging: Path) -> None:
            save_folder(trainer.model, trainer.processing_class, staging, whole)

        checkpoints.write_checkpoint(folder, files, save_parts, run.last_checkpoint)
        checkpoints.clear_old(args.output_dir, args.save_total_limit, state.best_model_checkpoint)

    world.on_main(write)
    run.last_checkpoint, run.saved_at = str(folder), state.global_step
    trainer.tell("on_save")


def restore_state(trainer: Trainer, plan: Plan, folder: str) -> Noted:
    """Take over how far a run was, and where its callbacks stood.

    trainer: that goes on    plan: of its run    folder: of the checkpoint

    Returns what is noted of the run besides; empty for a checkpoint of transformers'.
    Raises InvalidInput if the data is divided otherwise now, FileProblem for a damaged file.
    """
    noted = checkpoints.read_run(folder)
    state = trainer.state = checkpoints.read_state(folder)
    if not trainer.args.ignore_data_skip:
        checkpoints.check_same_data(noted, _noted_of_the_data(plan), folder)
    best = state.best_model_checkpoint
    if best is not None and not Path(best).is_dir():
        # The folder of a run may have been moved as a whole.
        beside = Path(folder).parent / Path(best).name
        state.best_model_checkpoint = str(beside) if beside.is_dir() else None
    if trainer.args.restore_callback_states_from_checkpoint:
        _restore_callbacks(trainer, Path(folder) / checkpoints.STATE)
    return noted


def restore_optimizer(trainer: Trainer, folder: str) -> None:
    """Take over where optimizer and schedule stood.

    trainer: has made both    folder: of the checkpoint

    Raises InvalidInput if another optimizer, or one of other weights, wrote it; FileProblem if a
    file is damaged.
    """
    path = Path(folder) / checkpoints.OPTIMIZER
    state = checkpoints.load_tensors(path)
    damage.check_groups(state, path)
    _check_optimizer(trainer.optimizer, state, folder)
    damage.check_optimizer_state(state, trainer.optimizer, path)
    with _naming(path):
        trainer.world.load_optimizer_state(trainer.model_wrapped, trainer.optimizer, state)
    path = Path(folder) / checkpoints.SCHEDULER
    schedule = checkpoints.load_tensors(path)
    damage.check_schedule_state(schedule, trainer.lr_scheduler, path)
    with _naming(path):
        trainer.lr_scheduler.load_state_dict(schedule)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file whose content an optimizer or a schedule does not take."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}"
        raise damage.damaged(path, f"holds what cannot be taken over ({said})") from error


def _check_optimizer(optimizer: Any, state: Any, folder: str) -> None:
    """Refuse the state of another optimizer, which torch would take or break off at."""
    groups = optimizer.state_dict()["param_groups"]
    saved = state["param_groups"]
    names = sorted(name for name in groups[0] if name not in saved[0])
    sizes = [len(group["params"]) for group in groups]
    saved_sizes = [len(group["params"]) for group in saved]
    if not names and sizes == saved_sizes:
        return
    if names:
        what = f"it says nothing of {', '.join(names)}, which {type(optimizer).__name__} has"
    else:
        what = f"it is about {saved_sizes} weights in its groups, and there are {sizes}"
    raise InvalidInput(
        f"The optimizer's state in '{folder}' is another optimizer's: {what}. Give the Trainer the "
        "optimizer (optim, optimizers=) and the trainable weights of that run, or begin a new run "
        "from its model: from_pretrained of that folder, without resume_from_checkpoint."
    )


def _noted(run: Run, epoch_ended: bool) -> Noted:
    trainer, state = run.trainer, run.trainer.state
    stops = trainer.control.should_training_stop
    return {
        **_noted_of_the_data(run.plan),
        "began": run.noted["began"],
        "epoch_ended": epoch_ended,
        "stopped": stops and state.global_step < state.max_steps,
        **run.figures.noted(),
        "log_lines": trainer.log_file.lines,
        "seconds": trainer.log_file.seconds,
        "arguments": trainer.args.to_dict(),
    }


def _noted_of_the_data(plan: Plan) -> Noted:
    """What must stay the same for a run to go on with the data where it was."""
    return {
        "examples": plan.examples,
        "examples_per_step": plan.examples_per_step,
        "data_seed": plan.seed,
    }


# Where the random generators stand: one state for each process, and a second one for those of
# its batches that were read ahead.


def _random_files(run: Run) -> dict[str, Any]:
    """Where the generators of each process stand, now and before the batch that was read ahead."""
    before = None if run.batches is None else run.batches.before_next
    mine = {"now": seeding.savable(seeding.snapshot()), "before_next": None}
    if before is not None:
        mine["before_next"] = seeding.savable(before)
    each = run.trainer.world.gather(mine)
    names = [_random_file(rank, len(each)) for rank in range(len(each))]
    files: dict[str, Any] = {name: states["now"] for name, states in zip(names, each)}
    files[checkpoints.RUN_RANDOM] = [states["before_next"] for states in each]
    return files


def read_random(world: World, folder: str) -> tuple[Any, Any]:
    """Read where the generators of this process stood.

    world: which process it is    folder: of the checkpoint

    Returns two states: at the checkpoint, and before the batch that was read ahead then; None where
    there is nothing. Raises FileProblem for a damaged file.
    """
    now = Path(folder) / _random_file(world.rank, world.size)
    ahead = Path(folder) / checkpoints.RUN_RANDOM
    before = checkpoints.load_tensors(ahead) if ahead.exists() else []
    if not isinstance(before, list):
        raise damage.damaged(ahead, "holds no list of states, one for each process")
    states = (
        checkpoints.load_tensors(now) if now.exists() else None,
        before[world.rank] if len(before) == world.size else None,
    )
    for state, path in zip(states, (now, ahead)):
        _try(state, path)
    return states


def _try(state: Any, path: Path) -> None:
    """Refuse what the generators do not take; they stand as before afterwards."""
    here = seeding.snapshot()
    try:
        if state is not None:
            seeding.set_rng_state(state)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise damage.damaged(path, f"holds no state of random generators ({said})") from error
    finally:
        seeding.set_rng_state(here)


def _random_file(rank: int, size: int) -> str:
    return checkpoints.RANDOM if size == 1 else f"rng_state_{rank}.pth"


def _states_of_callbacks(trainer: Trainer) -> dict[str, Any]:
    states: dict[str, Any] = {}
    for callback in trainer.callback_handler.callbacks:
        if callable(getattr(callback, "state", None)):
            states.setdefault(type(callback).__name__, []).append(callback.state())
    # transformers' Trainer looks for this one when it goes on from here.
    states["TrainerControl"] = [{"args": asdict(trainer.control), "attributes": {}}]
    return {name: each[0] if len(each) == 1 else each for name, each in states.items()}


def _restore_callbacks(trainer: Trainer, path: Path) -> None:
    left = {
        name: list(each) if isinstance(each, list) else [each]
        for name, each in trainer.state.stateful_callbacks.items()
    }
    for callback in trainer.callback_handler.callbacks:
        found = left.get(type(callback).__name__)
        if found and callable(getattr(callback, "state", None)):
            saved = found.pop(0)
            said: Any = saved.get("attributes", {}) if isinstance(saved, dict) else saved
            now = callback.state().get("attributes", {})
            damage.check_attributes(said, now, type(callback).__name__, path)
            for name, value in said.items():
                setattr(callback, name, value)
