"""A run: what `Trainer.train` holds on to from step to step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from torch import nn

from minilm.errors import NotFinite
from minilm.training import checkpoints
from minilm.training.batches import Batches
from minilm.training.data import Reading
from minilm.training.interrupting import Interruption, Stopped
from minilm.training.logs import Figures
from minilm.training.plan import Plan
from minilm.training.state import Noted

if TYPE_CHECKING:
    from minilm.training.trainer import Trainer


@dataclass
class Run:
    """Hold what is of one run only; how far it is says `trainer.state`, which callbacks see.

    trainer: whose run    plan: how long it is    resumed: the checkpoint that it goes on from
    noted: what that checkpoint says of the run    reading: makes batches of examples
    parameters: the weights that are trained    figures: what is added up on the way, to be logged
    interruption: notes a Ctrl-C    asked: whether there was one, when all processes know of it
    last_checkpoint: that can be gone on from    saved_at: at which step this run wrote or read it
    random_states: of the checkpoint, and of when the batch was read that was read ahead then
    batches: of the epoch, when there is one
    """

    trainer: Trainer
    plan: Plan
    resumed: str | None
    noted: Noted
    reading: Reading
    parameters: list[nn.Parameter]
    figures: Figures
    interruption: Interruption
    last_checkpoint: str | None
    saved_at: int | None
    asked: bool = False
    random_states: tuple[Any, Any] = (None, None)
    batches: Batches | None = None

    def stop_measuring_if_asked(self) -> None:
        """Leave an evaluation after a Ctrl-C, in all processes at the same batch.

        Raises Stopped.
        """
        (self.asked,) = self.trainer.world.any(self.interruption.asked)
        if self.asked:
            raise Stopped

    def check_norm(self) -> None:
        """Refuse to go on with weights that the last step made no numbers.

        Raises NotFinite.
        """
        norm = self.figures.grad_norm()
        if norm is not None and not math.isfinite(norm):
            self.fail(
                f"The gradients of step {self.trainer.state.global_step} are not finite, and the "
                "weights with them."
            )

    def fail(self, what: str) -> NoReturn:
        """Stop, for nothing good can come of it.

        what: has happened

        Raises NotFinite that says what to do.
        """
        trainer = self.trainer
        last = self.last_checkpoint or checkpoints.newest_checkpoint(trainer.args.output_dir)
        raise NotFinite(
            f"{what} Training stops here. Give a smaller learning_rate (it is "
            f"{trainer.learning_rate():.3g}), or warmup_steps; look at the data of this step. "
            + (f"'{last}' is whole." if last else "There is no checkpoint yet.")
        )

    def advice(self) -> str:
        """What to do when the run has broken off."""
        last = self.last_checkpoint
        if last is None:
            return "There is no checkpoint of this run yet: start again."
        return f"'{last}' is whole: start again, with train(resume_from_checkpoint=True)."
