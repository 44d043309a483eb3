"""One optimizer step of a run: its batches' gradients added up, looked at, and followed."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from minilm.errors import NotFinite
from minilm.training import steps
from minilm.training.batches import StandIn
from minilm.training.data import Batch
from minilm.training.weighing import weigh

if TYPE_CHECKING:
    from minilm.training.run import Run
    from minilm.training.trainer import Trainer


def make_step(run: Run, batches: list[Batch]) -> None:
    """Move the weights once.

    run: whose weights    batches: one or more, which count as one

    Raises NotFinite if the loss is no number; the weights have not moved then.
    """
    trainer = run.trainer
    control, args = trainer.control, trainer.args
    control.should_log = control.should_evaluate = control.should_save = False
    trainer.tell("on_step_begin")
    batches = [type(batch)({**trainer.with_each_batch, **batch}) for batch in batches]
    num_items, shares = weigh(trainer, batches)
    tokens = _count_tokens(batches, args.include_num_input_tokens_seen)
    loss, tokens = _add_up_gradients(trainer, batches, num_items, shares, tokens)
    trainer.state.num_input_tokens_seen += int(tokens)
    _check_loss(run, loss, num_items)
    trainer.tell("on_pre_optimizer_step")
    learning_rate = trainer.learning_rate()
    by_metric = isinstance(trainer.lr_scheduler, ReduceLROnPlateau)
    norm = steps.optimizer_step(
        run.parameters,
        trainer.optimizer,
        None if by_metric else trainer.lr_scheduler,
        args.max_grad_norm,
    )
    trainer.tell("on_optimizer_step")
    run.figures.add(loss, norm, learning_rate)
    every = args.torch_empty_cache_steps
    if every and trainer.device.type == "cuda" and trainer.state.global_step % every == 0:
        torch.cuda.empty_cache()


def _add_up_gradients(
    trainer: Trainer,
    batches: list[Batch],
    num_items: Tensor | None,
    shares: list[float] | int | None,
    tokens: float,
) -> tuple[Tensor, float]:
    """Leave the gradients of all batches in the parameters.

    num_items, shares: from `weigh`    tokens: of this process

    Returns the loss, and the tokens, of all processes together.
    """
    world = trainer.world
    place = -1

    def loss_of(batch: Batch, num_items: Any) -> Tensor:
        nonlocal place
        place += 1
        if place:
            trainer.tell("on_substep_end")
        world.exchange_gradients(trainer.model_wrapped, place == len(batches) - 1)
        with _autocast(trainer):
            loss = trainer.compute_loss(trainer.model_wrapped, batch, num_items_in_batch=num_items)
        if shares is not None:
            loss = loss * shares[place] if isinstance(shares, list) else loss / shares
        if isinstance(batch, StandIn):
            loss = loss.nan_to_num() * 0.0
        # Gradients are averaged over processes; the parts of one mean are to be added up.
        whole = num_items is None and shares is None
        return loss if whole or world.size == 1 else loss * world.size

    loss = torch.as_tensor(steps.accumulate(batches, loss_of, num_items))  # type: ignore[arg-type]
    if world.size > 1:
        total, tokens = world.sum_numbers(loss.item(), tokens)
        loss = torch.full_like(loss, total / world.size)
    return loss, tokens


def _autocast(trainer: Trainer) -> Any:
    if trainer.args.bf16:
        return torch.autocast(trainer.device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def _count_tokens(batches: list[Batch], kind: str | bool) -> float:
    """Count the ids of a step's batches; of kind "non_padding", only those of texts."""
    tokens = 0
    for batch in batches:
        if isinstance(batch, StandIn):
            continue
        ids = batch.get("input_ids")
        if ids is None:
            ids = next((each for each in batch.values() if isinstance(each, Tensor)), None)
        if ids is None:
            continue
        count = ids.numel()
        if kind == "non_padding":
            mask = batch.get("attention_mask")
            count = int(mask.sum()) if mask is not None else count
        tokens += count
    return tokens


def _check_loss(run: Run, loss: Tensor, num_items: Tensor | None) -> None:
    """Refuse to move the weights along gradients that are no numbers."""
    # The norm of the step before is looked at here as well: on a GPU, each look makes it wait.
    run.check_norm()
    if math.isfinite(loss.item()):
        return
    step = run.trainer.state.global_step + 1
    if num_items is not None and not int(num_items):
        raise NotFinite(
            f"In step {step} there is nothing to learn: all labels are −100. Look at the "
            "data_collator, and whether padding took the place of the text (pad = eos?)."
        )
    run.fail(f"The loss of step {step} is {loss.item()}.")
