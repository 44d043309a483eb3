"""What `Trainer.train` does before the first step: look at everything, load, make ready."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from minilm.errors import InvalidInput
from minilm.models.base import PreTrainedModel
from minilm.training import checkpoints, data, evaluating, resuming, suitable
from minilm.training.interrupting import Interruption
from minilm.training.logs import Figures
from minilm.training.plan import Plan, make_plan
from minilm.training.run import Run
from minilm.training.state import Noted, TrainerState
from minilm.training.weights import load_weights

if TYPE_CHECKING:
    from minilm.training.trainer import Trainer


def set_up(trainer: Trainer, resumed: str | None) -> Run:
    """Make everything ready for the first step.

    trainer: whose run begins    resumed: the checkpoint that it goes on from

    Raises InvalidInput or WrongType if the data does not fit, FileProblem if a file is damaged.
    """
    model, args, world = trainer.model, trainer.args, trainer.world
    _check_head(trainer)
    config = getattr(model, "config", None)
    suitable.check_lengths(trainer.train_dataset, config, "train_dataset")
    plan = make_plan(len(trainer.train_dataset), args, world.rank, world.size)
    reading = data.reading_of(trainer)
    noted = _begin_state(trainer, plan, resumed)
    random_states = (None, None) if resumed is None else resuming.read_random(world, resumed)
    _prepare_model(trainer, resumed)
    _prepare_optimizer(trainer, plan, resumed)
    parameters = [each for each in model.parameters() if each.requires_grad]
    if not parameters:
        raise InvalidInput("No weight of the model can be trained: all have requires_grad=False.")
    figures = Figures(noted, trainer.state, world, trainer.device)
    if world.is_main:
        lines = 0 if resumed is None else noted.get("log_lines")
        seconds = noted.get("seconds", 0.0)
        trainer.log_file.begin(args.output_dir, lines, trainer.state.global_step, seconds)
        checkpoints.finish_replacing(args.output_dir)
    return Run(
        trainer=trainer,
        plan=plan,
        resumed=resumed,
        noted=noted,
        reading=reading,
        parameters=parameters,
        figures=figures,
        interruption=Interruption(speaks=world.is_main),
        last_checkpoint=resumed,
        saved_at=None if resumed is None else trainer.state.global_step,
        random_states=random_states,
    )


def check_data(trainer: Trainer) -> None:
    """Refuse datasets that cannot be trained on, or measured on, before anything is computed.

    trainer: that has them

    Raises InvalidInput or WrongType.
    """
    suitable.check_dataset(trainer.train_dataset, "train_dataset")
    if trainer.args.eval_strategy != "no":
        evaluating.check_datasets(trainer.eval_dataset)


def _check_head(trainer: Trainer) -> None:
    """Refuse a body without a head: nothing would say what it should learn."""
    takes = inspect.signature(trainer.model.forward).parameters.keys()
    if (
        isinstance(trainer.model, PreTrainedModel)
        and not trainer.has_own_loss()
        and not takes & {"labels", "start_positions"}
    ):
        raise InvalidInput(
            f"{type(trainer.model).__name__} has no head, and so no loss. Give a model with one, "
            "such as AutoModelForCausalLM makes, or a compute_loss_func."
        )


def _prepare_model(trainer: Trainer, resumed: str | None) -> None:
    """Load the weights, and put around the model what the arguments ask for."""
    args, model = trainer.args, trainer.model
    if args.activation_checkpointing:
        model.gradient_checkpointing_enable(args.activation_checkpointing_kwargs)
    if args.tf32 is not None and torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.tf32
    if resumed is not None:
        load_weights(model, resumed)
    trainer.model_wrapped = trainer.world.wrap(model, args)
    if args.torch_compile:
        options = {"backend": args.torch_compile_backend or "inductor"}
        if args.torch_compile_mode is not None:
            options["mode"] = args.torch_compile_mode
        trainer.model_wrapped = torch.compile(trainer.model_wrapped, **options)  # type: ignore[call-overload]


def _prepare_optimizer(trainer: Trainer, plan: Plan, resumed: str | None) -> None:
    """Make optimizer and schedule, unless they are given, and put them where they stood."""
    trainer.world.check_optimizer(trainer.model, trainer.create_optimizer())
    if not trainer.has_given_scheduler:
        trainer.lr_scheduler = None
    trainer.create_scheduler(plan.max_steps)
    if resumed is not None:
        resuming.restore_optimizer(trainer, resumed)


def _begin_state(trainer: Trainer, plan: Plan, resumed: str | None) -> Noted:
    """Set up, or read, how far the run is. Returns what is noted of it besides."""
    noted: Noted = {"began": time.time(), "epoch_ended": True}
    trainer.state = TrainerState()
    if resumed is not None:
        noted |= resuming.restore_state(trainer, plan, resumed)
    state = trainer.state
    state.compute_steps(trainer.args, plan.max_steps)
    state.max_steps, state.num_train_epochs = plan.max_steps, plan.num_epochs
    state.train_batch_size = trainer.args.per_device_train_batch_size
    state.is_world_process_zero = state.is_local_process_zero = trainer.world.is_main
    return noted


def accepts_num_items(model: nn.Module, parameters: Mapping[str, inspect.Parameter]) -> bool:
    """Whether a model's forward takes num_items_in_batch, to divide the sum of its losses by.

    model: any    parameters: of its forward
    """
    said = getattr(model, "accepts_loss_kwargs", None)
    if said is not None:
        return bool(said)
    if "num_items_in_batch" in parameters:
        return True
    # minilm's own name what they take; with transformers', anything goes through to the loss.
    anything = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return anything and not isinstance(model, PreTrainedModel)
