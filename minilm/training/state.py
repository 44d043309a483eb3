"""What a run knows about itself: how far it is, what it measured, what is to be done next."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, TypedDict, get_type_hints

from minilm.training import damage


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
        kinds = get_type_hints(cls)
        # Every so many steps, or a share of the run: it is worked out anew.
        kinds |= dict.fromkeys(("logging_steps", "eval_steps", "save_steps"), float | None)
        damage.check_fields(found, kinds, where, finite=False)
        if "global_step" not in found:
            raise damage.damaged(where, "does not say global_step, at which step it was written")
        return cls(**{name: value for name, value in found.items() if name in kinds})

    def compute_steps(self, args: Any, max_steps: int) -> None:
        """Turn "every tenth of the run" into "every so many steps".

        args: the TrainingArguments; a number below one is a share    max_steps: of the run
        """
        for kind in ("logging", "eval", "save"):
            every = getattr(args, f"{kind}_steps")
            if every is not None:
                every = max(1, math.ceil(max_steps * every)) if 0 < every < 1 else int(every)
                setattr(self, f"{kind}_steps", every)


class Noted(TypedDict, total=False):
    """What run.json says of a run, besides its state, to go on with it exactly.

    examples, examples_per_step, data_seed: which examples come when    began: when the run did
    epoch_ended, stopped: whether what ends an epoch, or the run, is done
    loss, last_logged, total_loss, first_counted, grad_norm, learning_rate: of `logs.Figures`
    log_lines, seconds: of `logs.LogFile`    arguments: for whoever reads the file
    """

    examples: int
    examples_per_step: int
    data_seed: int
    began: float
    epoch_ended: bool
    stopped: bool
    loss: float
    last_logged: int
    total_loss: float
    first_counted: int
    grad_norm: float | None
    learning_rate: float | None
    log_lines: int
    seconds: float
    arguments: dict[str, Any]


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
