"""What a run knows about itself: how far it is, what it measured, what is to be done next."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from minilm.errors import FileProblem


@dataclass
class TrainerState:
    """Say how far training is, and what was measured on the way.

    epoch: passes over the data, with a fraction    global_step: optimizer steps done
    max_steps: optimizer steps of the whole run    log_history: everything logged, in order
    best_metric, best_global_step, best_model_checkpoint: of the best evaluation so far
    num_input_tokens_seen: ids that went through the model, over all processes

    Its file, trainer_state.json, is transformers' as well.
    """

    epoch: float = 0.0
    global_step: int = 0
    max_steps: int = 0
    logging_steps: int = 500
    eval_steps: int | None = 500
    save_steps: int = 500
    train_batch_size: int | None = None
    num_train_epochs: int = 0
    num_input_tokens_seen: int = 0
    total_flos: float = 0.0
    log_history: list[dict[str, Any]] = field(default_factory=list)
    best_metric: float | None = None
    best_global_step: int | None = None
    best_model_checkpoint: str | None = None
    is_local_process_zero: bool = True
    is_world_process_zero: bool = True
    is_hyper_param_search: bool = False
    trial_name: str | None = None
    trial_params: dict[str, Any] | None = None
    stateful_callbacks: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Write it as the text of a trainer_state.json."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, found: Any, where: str) -> TrainerState:
        """Read it from the content of a trainer_state.json.

        found: the parsed file    where: its path, for the message

        Raises FileProblem if it is something else.
        """
        known = {each.name for each in fields(cls)}
        if not isinstance(found, dict) or not isinstance(found.get("global_step"), int):
            raise FileProblem(f"'{where}' does not say at which step it was written.")
        return cls(**{name: value for name, value in found.items() if name in known})

    def compute_steps(self, args: Any, max_steps: int) -> None:
        """Turn "every tenth of the run" into "every so many steps".

        args: the TrainingArguments; a number below one is a share    max_steps: of the run
        """
        for kind in ("logging", "eval", "save"):
            every = getattr(args, f"{kind}_steps")
            if every is not None:
                every = max(1, math.ceil(max_steps * every)) if 0 < every < 1 else int(every)
                setattr(self, f"{kind}_steps", every)


@dataclass
class TrainerControl:
    """Carry wishes from callbacks to the loop: stop, log, evaluate, save."""

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False


class TrainOutput(NamedTuple):
    """What `Trainer.train` returns: steps done, the mean loss over them, and figures of the run."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]
