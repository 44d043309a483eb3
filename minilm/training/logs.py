"""What is logged of a run: its figures, and the file that they are written into."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minilm.errors import FileProblem
from minilm.files import write_atomically
from minilm.training.callbacks import TrainerCallback
from minilm.training.distributed import World
from minilm.training.plan import Plan
from minilm.training.state import Noted, TrainerState

LOG = "log.jsonl"


class Figures:
    """Add up what is logged: the loss since the last log and over the run, the gradients' norm, time.

    noted: what a checkpoint says of them, if the run goes on from one
    state, world, device: of the run
    """

    def __init__(
        self, noted: Noted, state: TrainerState, world: World, device: torch.device
    ) -> None:
        self.world = world
        self.loss = torch.tensor(noted.get("loss", 0.0), device=device)
        self.last_logged: int = noted.get("last_logged", state.global_step)
        self.total_loss: float = noted.get("total_loss", 0.0)
        self.first_counted: int = noted.get("first_counted", state.global_step)
        # Of the last step: of a step before the checkpoint, until there is another.
        self.norm: Tensor | float | None = noted.get("grad_norm")
        self.learning_rate: float | None = noted.get("learning_rate")
        self.began = time.perf_counter()
        self.first_step = state.global_step
        self.first_tokens = state.num_input_tokens_seen

    def add(self, loss: Tensor, norm: Tensor, learning_rate: float) -> None:
        """Take in an optimizer step.

        loss: of its batches    norm: of its gradients    learning_rate: that it was made with
        """
        # Kept as tensors: on a GPU, each look at a number makes it wait.
        self.loss += loss
        self.norm, self.learning_rate = norm, learning_rate

    def grad_norm(self) -> float | None:
        """The norm of the last step's gradients; None before the first one."""
        if isinstance(self.norm, Tensor):
            return float(self.world.full(self.norm))
        return self.norm

    def since_last_log(self, step: int) -> dict[str, float]:
        """Sum up the steps since this was last asked, for the log.

        step: how many are done
        """
        count = step - self.last_logged
        logs = {"loss": self._loss_so_far() / count}
        self.last_logged = step
        last = {"grad_norm": self.grad_norm(), "learning_rate": self.learning_rate}
        return logs | {name: value for name, value in last.items() if value is not None}

    def of_the_run(self, state: TrainerState, plan: Plan) -> dict[str, float]:
        """Sum up the run, for the log and for what `Trainer.train` returns.

        state: at the end    plan: how long it was to be
        """
        seconds = max(time.perf_counter() - self.began, 1e-9)
        self._loss_so_far()
        made = state.global_step - self.first_step
        tokens = state.num_input_tokens_seen - self.first_tokens
        samples = plan.examples_of_the_run * made / max(plan.max_steps, 1)
        return {
            "train_runtime": round(seconds, 4),
            "train_samples_per_second": round(samples / seconds, 3),
            "train_steps_per_second": round(made / seconds, 3),
            "train_tokens_per_second": round(tokens / seconds, 3),
            "total_flos": state.total_flos,
            "train_loss": self.total_loss / max(state.global_step - self.first_counted, 1),
        }

    def _loss_so_far(self) -> float:
        """The sum of the losses since this was last asked."""
        loss = self.loss.item()
        self.loss = torch.zeros_like(self.loss)
        self.total_loss += loss
        return loss

    def noted(self) -> Noted:
        """What a checkpoint says of them, to go on with the same sums."""
        return {
            "loss": self.loss.item(),
            "last_logged": self.last_logged,
            "total_loss": self.total_loss,
            "first_counted": self.first_counted,
            "grad_norm": self.grad_norm(),
            "learning_rate": self.learning_rate,
        }


def flos(model: Any, tokens: int) -> float:
    """Estimate the arithmetic of training, as 6 × weights × tokens (Kaplan et al. 2020).

    model: any; 0 for one that does not count its weights    tokens: that went through it
    """
    if not hasattr(model, "num_parameters"):
        return 0.0
    return float(6 * model.num_parameters(exclude_embeddings=True) * tokens)


class LogFile(TrainerCallback):
    """Write what is logged into log.jsonl: an object a line, with step, tokens and seconds.

    A resumed run takes out the lines that came after its checkpoint: it will write them anew.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self.lines = 0
        self.before = 0.0
        self.began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long the run has taken, interruptions left out."""
        return self.before + time.perf_counter() - self.began

    def begin(self, output_dir: str, lines: int | None, step: int, seconds: float) -> None:
        """Open the log of a run, or that of the run that goes on.

        output_dir: where it is    lines: how many of it belong to the run so far; None = nobody
            counted them, and they are those up to its step
        step, seconds: that it has made, and taken
        """
        self.path = Path(output_dir) / LOG
        self.before, self.began = seconds, time.perf_counter()
        there = _whole_lines(self.path) if lines != 0 else []
        kept = [line for line in there if _is_up_to(step, line)] if lines is None else there[:lines]
        self.lines = len(kept)
        with _saying_where(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, "".join(line + "\n" for line in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> Any:
        """Add a line."""
        if self.path is None or not state.is_world_process_zero or not logs:
            return
        line = {
            "step": state.global_step,
            **logs,
            "tokens": state.num_input_tokens_seen,
            "seconds": round(self.seconds, 3),
        }
        with _saying_where(self.path), open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")
        self.lines += 1


@contextmanager
def _saying_where(path: Path) -> Iterator[None]:
    """Turn what the disk says into an error of minilm's."""
    try:
        yield
    except OSError as error:
        raise FileProblem(
            f"The log '{path}' cannot be written ({error.strerror or error}). Make room, or give "
            "another output_dir; checkpoints that are there stay whole."
        ) from error


def _whole_lines(path: Path) -> list[str]:
    """The lines of a log; a kill may have left half of one."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.split("\n")[:-1]


def _is_up_to(step: int, line: str) -> bool:
    """Whether a line of a log was written at a step or before it; one that does not say so stays."""
    try:
        return bool(json.loads(line)["step"] <= step)
    except (ValueError, KeyError, TypeError, RecursionError):
        return True
