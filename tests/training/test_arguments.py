"""TrainingArguments: transformers' names and defaults, and a word for what is wrong."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from minilm.errors import InvalidInput, WrongType
from minilm.training import arguments
from minilm.training.argument_names import ELSEWHERE, TODAY
from minilm.training.arguments import WITHOUT_EFFECT, TrainingArguments

transformers = pytest.importorskip("transformers")

# restored always, for a resumed run is to be as an undisturbed one; a default folder by its name
DIFFERENT = {"restore_callback_states_from_checkpoint", "output_dir"}


def test_every_argument_of_transformers_is_known_and_has_its_default() -> None:
    theirs = {each.name: each for each in dataclasses.fields(transformers.TrainingArguments)}
    ours = {each.name: each for each in dataclasses.fields(TrainingArguments)}
    assert theirs.keys() == ours.keys() | ELSEWHERE.keys()
    for name, each in ours.items():
        if name not in DIFFERENT:
            default = getattr(theirs[name].default, "value", theirs[name].default)
            assert each.default == default, name
    for name, value in ELSEWHERE.items():
        assert getattr(theirs[name].default, "value", theirs[name].default) == value, name


def test_after_filling_in_both_say_the_same(tmp_path: Any) -> None:
    given = {"output_dir": str(tmp_path), "eval_strategy": "steps", "load_best_model_at_end": True}
    given |= {"save_steps": 20, "logging_steps": 10, "warmup_steps": 0.1, "use_cpu": True}
    theirs, ours = transformers.TrainingArguments(**given), TrainingArguments(**given)
    for name in ("eval_steps", "metric_for_best_model", "greater_is_better", "do_eval"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.get_warmup_steps(95) == theirs.get_warmup_steps(95) == 10
    assert ours.include_num_input_tokens_seen == theirs.include_num_input_tokens_seen == "no"


def test_no_old_name_is_todays() -> None:
    known = {each.name for each in dataclasses.fields(transformers.TrainingArguments)}
    assert not known & TODAY.keys()


@pytest.mark.parametrize(
    ("name", "today"),
    [
        ("evaluation_strategy", "eval_strategy"),
        ("warmup_ratio", "warmup_steps"),
        ("no_cuda", "use_cpu"),
        ("logging_dir", "log.jsonl"),
        ("overwrite_output_dir", "Leave it out"),
        ("per_gpu_train_batch_size", "per_device_train_batch_size"),
        ("tokenizer", "processing_class"),
        ("save_safetensors", "safetensors"),
        ("group_by_length", "not sorted by length"),
        ("compute_metrics", r"Trainer\(…, compute_metrics=…\)"),
        ("adafactor", "AdamW"),
        ("train_batch_size", "per_device_train_batch_size"),
        ("shuffle", "train_sampling_strategy"),
        ("load_best", "load_best_model_at_end"),
        ("lr", "learning_rate"),
        ("learning_rat", "Did you mean learning_rate"),
        ("something_else", "no argument something_else"),
    ],
)
def test_an_old_or_unknown_name_is_answered_with_todays(name: str, today: str) -> None:
    with pytest.raises(WrongType, match=today):
        TrainingArguments(**{name: 1})


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"push_to_hub": True}, "save_model"),
        ({"fp16": True}, "bf16=True"),
        ({"deepspeed": "config.json"}, "transformers' does"),
        ({"report_to": "wandb"}, "log.jsonl"),
        ({"optim": "adafactor"}, "'adamw_torch'"),
        ({"eval_strategy": "step"}, "'steps'"),
        ({"save_strategy": "best"}, "eval_strategy"),
        ({"load_best_model_at_end": True}, "must be the same"),
        ({"max_grad_norm": -1.0}, "0 or more"),
        ({"adam_beta1": 1.0}, "below 1"),
        ({"per_device_train_batch_size": 0}, "1 or more"),
        ({"seed": -1}, "0 or more"),
        ({"logging_steps": 2.5}, "a whole one"),
        ({"logging_steps": 0}, "1 or more"),
        ({"seed": 2**32}, "below 4294967296"),
        ({"data_seed": 2**70}, "below"),
        ({"lr_scheduler_type": "Linear"}, "Did you mean 'linear'"),
        ({"lr_scheduler_kwargs": "{power"}, "no JSON"),
        ({"include_for_metrics": ["labels"]}, "'inputs' and 'loss'"),
        ({"include_num_input_tokens_seen": "some"}, "'non_padding'"),
        ({"train_sampling_strategy": "group_by_length"}, "DataCollatorWithFlattening"),
        ({"eval_accumulation_steps": 0}, "1 or more"),
        ({"dataloader_prefetch_factor": 2}, "dataloader_num_workers"),
        (
            {
                "load_best_model_at_end": True,
                "eval_strategy": "steps",
                "eval_steps": 30,
                "save_steps": 50,
            },
            "multiple",
        ),
    ],
)
def test_a_wrong_value_is_refused(given: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        TrainingArguments(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"learning_rate": "5e-5"},
        {"max_steps": 1.5},
        {"num_train_epochs": True},
        {"use_cpu": "False"},
        {"bf16": "yes"},
        {"gradient_checkpointing": "no"},
        {"disable_tqdm": 2},
        {"logging_steps": None},
        {"label_names": "labels"},
        {"include_for_metrics": "inputs"},
        {"lr_scheduler_kwargs": [2]},
        {"output_dir": 5},
    ],
)
def test_a_value_of_another_type_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(WrongType, match=next(iter(given))):
        TrainingArguments(**given)


def test_numbers_of_numpy_and_torch_are_numbers() -> None:
    given: dict[str, Any] = {"per_device_train_batch_size": np.int64(4), "seed": torch.tensor(3)}
    args = TrainingArguments(**given, learning_rate=np.float64(0.01), bf16=1)  # type: ignore[arg-type]
    assert args == TrainingArguments(
        per_device_train_batch_size=4, seed=3, learning_rate=0.01, bf16=True
    )
    assert type(args.seed) is int and args.bf16 is True


def test_what_is_taken_without_effect_says_so_and_nothing_else_is() -> None:
    assert TrainingArguments.__doc__ is not None
    of_nothing = TrainingArguments.__doc__.partition("without effect")[2]
    assert all(re.search(rf"\b{name}\b", of_nothing) for name in WITHOUT_EFFECT)
    package = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted(Path(arguments.__file__).parent.glob("*.py"))
        if path.name not in ("arguments.py", "argument_names.py")
    )
    answered_here = {"report_to", "gradient_checkpointing_kwargs"}
    for each in dataclasses.fields(TrainingArguments):
        if each.name not in answered_here | {*WITHOUT_EFFECT}:
            assert re.search(rf"\b{each.name}\b", package), each.name


def test_arguments_show_what_was_given() -> None:
    assert repr(TrainingArguments("out")) == "TrainingArguments(output_dir='out')"
    args = TrainingArguments("out", max_steps=3, report_to="none", bf16=True)
    assert repr(args) == "TrainingArguments(output_dir='out', max_steps=3, bf16=True)"


def test_what_changes_nothing_is_accepted() -> None:
    args = TrainingArguments(report_to="none", push_to_hub=False, fp16=False, hub_token=None)
    assert TrainingArguments(debug=[], label_smoothing_factor=0, hub_private_repo=False)  # type: ignore[call-arg]
    assert args.report_to == []
    assert TrainingArguments(eval_strategy=transformers.IntervalStrategy.EPOCH, save_steps=0.1)


def test_the_arguments_can_be_looked_up_and_copied() -> None:
    assert "learning_rate" in inspect.signature(TrainingArguments).parameters
    args = TrainingArguments(learning_rate=1e-3, gradient_checkpointing=True)
    assert args.activation_checkpointing and args.gradient_checkpointing
    assert dataclasses.replace(args, seed=3).learning_rate == 1e-3
    assert pickle.loads(pickle.dumps(args)) == args
    assert '"seed": 42' in args.to_json_string()
