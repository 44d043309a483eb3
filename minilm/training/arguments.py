"""The settings of a training run, under transformers' names."""

from __future__ import annotations

import enum
import json
import math
import numbers
import os
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from minilm.errors import InvalidInput, WrongType
from minilm.training.argument_names import naming_arguments

# Taken, for scripts give them, and nothing depends on them here: the docstring says so.
WITHOUT_EFFECT = (
    "dataloader_persistent_workers",
    "dataloader_pin_memory",
    "do_eval",
    "do_predict",
    "do_train",
    "eval_accumulation_steps",
    "length_column_name",
    "local_rank",
    "logging_nan_inf_filter",
    "run_name",
)
OPTIMIZERS = ("adamw_torch_fused", "adamw_torch", "sgd")
_STRATEGIES = {
    "logging_strategy": ("no", "steps", "epoch"),
    "eval_strategy": ("no", "steps", "epoch"),
    "save_strategy": ("no", "steps", "epoch", "best"),
    "train_sampling_strategy": ("random", "sequential"),
    "include_num_input_tokens_seen": ("no", "all", "non_padding"),
    "optim": OPTIMIZERS,
}

_WHY_NOT = {
    "train_sampling_strategy=group_by_length": " transformers' Trainer sorts by length as well; "
    "here DataCollatorWithFlattening saves the padding.",
}


@naming_arguments
@dataclass(repr=False)
class TrainingArguments:
    """Say how to train. Names and defaults are those of transformers 5.23.

    output_dir: folder of checkpoints and of the log, log.jsonl

    How long: num_train_epochs passes over the data, or max_steps optimizer steps if that is above 0.
    A step sees per_device_train_batch_size × gradient_accumulation_steps × processes examples.
    Learning rate: learning_rate is the highest, lr_scheduler_type how it changes, warmup_steps how
    many steps (below 1: which share of the run) it rises. max_grad_norm: longer gradients are
    shortened to it. weight_decay: of matrices, not of biases and norms.
    logging_, eval_ and save_strategy: "steps" (every logging_steps, …; below 1: share of the run),
    "epoch" or "no"; save_strategy also "best". save_total_limit: checkpoints to keep, the newest and
    the best always. load_best_model_at_end: by metric_for_best_model.
    bf16: forward passes in bfloat16, weights in float32. use_cpu: even if there is a GPU.
    Taken, and without effect: do_train, do_eval, do_predict, local_rank, run_name,
    length_column_name, dataloader_pin_memory, dataloader_persistent_workers; also
    eval_accumulation_steps (predictions leave the device after each batch) and
    logging_nan_inf_filter (a loss that is NaN is an error).
    """

    output_dir: str = "trainer_output"
    per_device_train_batch_size: int = 8
    num_train_epochs: float = 3.0
    max_steps: int = -1
    learning_rate: float = 5e-5
    lr_scheduler_type: str = "linear"
    lr_scheduler_kwargs: Any = None
    warmup_steps: float = 0
    optim: str = "adamw_torch_fused"
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    gradient_accumulation_steps: int = 1
    average_tokens_across_devices: bool = True
    max_grad_norm: float = 1.0
    bf16: bool = False
    bf16_full_eval: bool = False
    tf32: bool | None = None
    activation_checkpointing: bool | None = None
    activation_checkpointing_kwargs: dict[str, Any] | str | None = None
    gradient_checkpointing: bool | None = None
    gradient_checkpointing_kwargs: dict[str, Any] | str | None = None
    torch_compile: bool = False
    torch_compile_backend: str | None = None
    torch_compile_mode: str | None = None
    use_cache: bool = False
    torch_empty_cache_steps: int | None = None
    logging_strategy: str = "steps"
    logging_steps: float = 500
    logging_first_step: bool = False
    logging_nan_inf_filter: bool = True
    include_num_input_tokens_seen: str | bool = "no"
    disable_tqdm: bool | None = None
    report_to: str | list[str] | None = "none"
    run_name: str | None = None
    eval_strategy: str = "no"
    eval_steps: float | None = None
    eval_delay: float = 0
    per_device_eval_batch_size: int = 8
    prediction_loss_only: bool = False
    eval_on_start: bool = False
    eval_accumulation_steps: int | None = None
    include_for_metrics: list[str] = field(default_factory=list)
    save_only_model: bool = False
    save_strategy: str = "steps"
    save_steps: float = 500
    save_total_limit: int | None = None
    load_best_model_at_end: bool = False
    metric_for_best_model: str | None = None
    greater_is_better: bool | None = None
    ignore_data_skip: bool = False
    restore_callback_states_from_checkpoint: bool = True
    full_determinism: bool = False
    seed: int = 42
    data_seed: int | None = None
    use_cpu: bool = False
    dataloader_drop_last: bool = False
    dataloader_num_workers: int = 0
    dataloader_pin_memory: bool = True
    dataloader_persistent_workers: bool = False
    dataloader_prefetch_factor: int | None = None
    dataloader_multiprocessing_context: str | None = None
    dataloader_in_order: bool = True
    remove_unused_columns: bool = True
    label_names: list[str] | None = None
    train_sampling_strategy: str = "random"
    length_column_name: str = "length"
    ddp_find_unused_parameters: bool | None = None
    ddp_bucket_cap_mb: int | None = None
    ddp_broadcast_buffers: bool | None = None
    ddp_static_graph: bool | None = None
    ddp_backend: str | None = None
    ddp_timeout: int = 1800
    fsdp: bool | str | list[str] | None = None
    fsdp_config: dict[str, Any] | str | None = None
    do_train: bool = False
    do_eval: bool = False
    do_predict: bool = False
    resume_from_checkpoint: str | None = None
    local_rank: int = -1

    def __post_init__(self) -> None:
        if self.output_dir is not None and not isinstance(self.output_dir, (str, os.PathLike)):
            raise WrongType(f"output_dir={self.output_dir!r} was given; expected a folder's path.")
        self.output_dir = os.path.expanduser(os.fspath(self.output_dir or "trainer_output"))
        for each in fields(self):
            setattr(self, each.name, _plain(getattr(self, each.name)))
        self._check_switches()
        self._check_lists()
        self._check_schedule()
        self._one_name_for_checkpointing()
        self._check_numbers()
        self._check_choices()
        self._fill_in()
        self._check_best()
        self._check_fsdp()

    def _check_switches(self) -> None:
        """Refuse what is neither true nor false: the word "False" counts as true in Python."""
        for each in fields(self):
            kind, value = str(each.type), getattr(self, each.name)
            if kind not in ("bool", "bool | None") or isinstance(value, bool):
                continue
            if value is None and each.default is None:
                continue
            if isinstance(value, int) and value in (0, 1):
                setattr(self, each.name, bool(value))
                continue
            raise WrongType(f"{each.name}={value!r} was given; expected True or False.")
        if isinstance(self.include_num_input_tokens_seen, bool):
            self.include_num_input_tokens_seen = (
                "all" if self.include_num_input_tokens_seen else "no"
            )

    def _check_lists(self) -> None:
        for name in ("label_names", "include_for_metrics"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise WrongType(f"{name}={value!r} was given; expected a list: [{value!r}].")
        unknown = [name for name in self.include_for_metrics if name not in ("inputs", "loss")]
        if unknown:
            raise InvalidInput(
                f"include_for_metrics={self.include_for_metrics!r} was given; there are 'inputs' "
                "and 'loss'. compute_metrics gets predictions and labels anyway."
            )

    def _check_schedule(self) -> None:
        from minilm.training import schedules

        given = self.lr_scheduler_kwargs
        if isinstance(given, str):
            try:
                given = self.lr_scheduler_kwargs = json.loads(given)
            except ValueError as error:
                raise InvalidInput(
                    f"lr_scheduler_kwargs={given!r} was given, which is no JSON ({error}). Give a "
                    'dict, such as {"num_cycles": 2}.'
                ) from None
        if given is not None and not isinstance(given, dict):
            raise WrongType(
                f'lr_scheduler_kwargs={given!r} was given; expected a dict, such as {{"power": 2}}.'
            )
        schedules.check_name(self.lr_scheduler_type)

    def _one_name_for_checkpointing(self) -> None:
        for tail in ("", "_kwargs"):
            new, old = f"activation_checkpointing{tail}", f"gradient_checkpointing{tail}"
            value = getattr(self, old) if getattr(self, new) is None else getattr(self, new)
            value = bool(value) if not tail else value
            setattr(self, new, value)
            setattr(self, old, value)

    def _check_numbers(self) -> None:
        for name in ("per_device_train_batch_size", "per_device_eval_batch_size"):
            self._must(name, 1, whole=True)
        self._must("gradient_accumulation_steps", 1, whole=True)
        self._must("dataloader_num_workers", 0, whole=True)
        self._must("max_steps", -math.inf, whole=True)
        self._must("num_train_epochs", 0)
        for name in ("learning_rate", "weight_decay", "adam_epsilon", "warmup_steps", "eval_delay"):
            self._must(name, 0)
        if self.max_grad_norm is not None:
            self._must("max_grad_norm", 0)
        for name in ("adam_beta1", "adam_beta2"):
            self._must(name, 0, below=1)
        for name, least in (
            ("save_total_limit", 0),
            ("torch_empty_cache_steps", 1),
            ("eval_accumulation_steps", 1),
            ("dataloader_prefetch_factor", 1),
        ):
            if getattr(self, name) is not None:
                self._must(name, least, whole=True)
        self._must("ddp_timeout", 1, whole=True)
        self._must("seed", 0, whole=True, below=2**32)
        if self.data_seed is not None:
            self._must("data_seed", 0, whole=True, below=2**63)
        for name, strategy in (
            ("logging_steps", self.logging_strategy),
            ("eval_steps", self.eval_strategy),
            ("save_steps", self.save_strategy),
        ):
            every = getattr(self, name)
            if name == "eval_steps" and not every:
                continue
            self._must(name, 0)
            if strategy == "steps" and every == 0:
                raise InvalidInput(f"{name}=0 was given; give 1 or more, or a share below 1.")
            if every > 1:
                if every != int(every):
                    raise InvalidInput(
                        f"{name}={every} was given; above 1 it is a number of steps, a whole one."
                    )
                setattr(self, name, int(every))

    def _must(
        self, name: str, least: float, *, whole: bool = False, below: float = math.inf
    ) -> None:
        value = getattr(self, name)
        if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # numpy's and torch's
            value = value.item()
            setattr(self, name, value)
        right: Any = numbers.Integral if whole else numbers.Real
        if isinstance(value, bool) or not isinstance(value, right):
            kind = "a whole number" if whole else "a number"
            raise WrongType(f"{name}={value!r} was given; expected {kind}.")
        if not least <= value < below:
            most = f" and below {below}" if below < math.inf else ""
            raise InvalidInput(f"{name}={value!r} was given; expected {least} or more{most}.")

    def _check_choices(self) -> None:
        for name, choices in _STRATEGIES.items():
            value = getattr(self, name)
            if value not in choices:
                raise InvalidInput(
                    f"{name}={value!r} was given; it is one of {', '.join(map(repr, choices))}."
                    + _WHY_NOT.get(f"{name}={value}", "")
                )
        report_to = [self.report_to] if isinstance(self.report_to, str) else self.report_to
        if [name for name in report_to or [] if name != "none"]:
            raise InvalidInput(
                f"report_to={self.report_to!r} was given; minilm reports to log.jsonl in output_dir "
                'alone. Leave it out, or give a callback with an on_log. ("none" is accepted.)'
            )
        self.report_to = []
        if self.dataloader_prefetch_factor is not None and not self.dataloader_num_workers:
            raise InvalidInput(
                "dataloader_prefetch_factor was given without dataloader_num_workers; nothing is "
                "read ahead without workers. Give both or none."
            )

    def _fill_in(self) -> None:
        if self.eval_strategy != "no":
            self.do_eval = True
        if self.eval_strategy == "steps" and not self.eval_steps:
            self.eval_steps = self.logging_steps
        if self.load_best_model_at_end and self.metric_for_best_model is None:
            self.metric_for_best_model = "loss"
        if self.save_strategy == "best" and self.metric_for_best_model is None:
            self.metric_for_best_model = "loss"
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            # A loss or a perplexity is better when it is smaller.
            self.greater_is_better = not self.metric_for_best_model.endswith(("loss", "perplexity"))

    def _check_best(self) -> None:
        if self.save_strategy == "best" and self.eval_strategy == "no":
            raise InvalidInput(
                'save_strategy="best" was given without an eval_strategy: nothing says what is '
                'best. Give eval_strategy="epoch" or "steps".'
            )
        if not self.load_best_model_at_end or self.save_strategy == "best":
            return
        if self.eval_strategy != self.save_strategy:
            raise InvalidInput(
                "load_best_model_at_end=True: what is best is known only where it is evaluated, so "
                f"eval_strategy ({self.eval_strategy!r}) and save_strategy "
                f"({self.save_strategy!r}) must be the same."
            )
        if self.eval_strategy == "steps":
            every, often = self.save_steps, self.eval_steps or 1
            if (every < 1) != (often < 1) or abs(every / often - round(every / often)) > 1e-6:
                raise InvalidInput(
                    "load_best_model_at_end=True: what is saved must have been evaluated, so "
                    f"save_steps ({every}) must be a multiple of eval_steps ({often})."
                )

    def _check_fsdp(self) -> None:
        if self.fsdp or self.fsdp_config:
            from minilm.training import sharding

            sharding.read_options(self.fsdp, self.fsdp_config)

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """Count the steps in which the learning rate rises.

        num_training_steps: of the run
        """
        if self.warmup_steps >= 1:
            return int(self.warmup_steps)
        return math.ceil(num_training_steps * self.warmup_steps)

    @property
    def train_batch_size(self) -> int:
        """Examples in a batch of one process."""
        return self.per_device_train_batch_size

    @property
    def eval_batch_size(self) -> int:
        """Examples in an evaluation batch of one process."""
        return self.per_device_eval_batch_size

    def __repr__(self) -> str:
        """Name what is not as it is without being given; help() and to_dict() have all."""
        given = [
            f"{each.name}={getattr(self, each.name)!r}"
            for each in fields(self)
            if each.name == "output_dir" or _differs(getattr(self, each.name), _default(each))
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def to_dict(self) -> dict[str, Any]:
        """Return all settings by name."""
        return asdict(self)

    def to_json_string(self) -> str:
        """Return all settings as JSON."""
        return json.dumps(self.to_dict(), indent=2, default=str)


def _default(argument: Any) -> Any:
    if argument.name == "report_to":
        return []  # what "none" becomes
    made = argument.default_factory
    return argument.default if made is MISSING else made()


def _differs(value: Any, default: Any) -> bool:
    return bool(value != default and (value or default))  # False and None say the same


def _plain(value: Any) -> Any:
    """The word behind a strategy that comes as an enum."""
    return value.value if isinstance(value, enum.Enum) else value
