"""What goes wrong in training says so once, clearly, and leaves the last good checkpoint alone."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import minilm
from minilm.errors import FileProblem, InvalidInput, MinilmError, NotFinite, WrongType
from minilm.training import checkpoints
from minilm.training.callbacks import TrainerCallback
from minilm.training.collators import DataCollatorForLanguageModeling
from minilm.training.trainer import Trainer

SAVING = {"save_strategy": "steps", "save_steps": 3, "num_train_epochs": 3}


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Spoils(TrainerCallback):
    """Put NaN into a weight before a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
    ) -> None:
        if state.global_step == self.step - 1:
            with torch.no_grad():
                next(model.parameters())[:] = float("nan")


def test_a_loss_that_is_nan_names_its_step_and_touches_no_checkpoint(
    trainer: Any, tmp_path: Path
) -> None:
    with pytest.raises(NotFinite, match=r"loss of step 8 is nan.*learning_rate.*checkpoint-6"):
        trainer(callbacks=[Spoils(8)], **SAVING).train()
    names = {path.name for path in (tmp_path / "run").glob("checkpoint-*")}
    assert names == {"checkpoint-3", "checkpoint-6"}
    loaded = minilm.AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "checkpoint-6")
    assert all(weight.isfinite().all() for weight in loaded.parameters())


def test_a_loss_that_is_nan_moves_no_weight(trainer: Any) -> None:
    class Hides(Trainer):
        def compute_loss(self, model: Any, inputs: Any, **given: Any) -> Any:
            loss = super().compute_loss(model, inputs, **given)
            return loss * float("inf") if self.state.global_step == 2 else loss

    run = trainer()
    run.__class__ = Hides
    with pytest.raises(NotFinite, match="step 3 is inf"):
        run.train()
    assert all(weight.isfinite().all() for weight in run.model.parameters())


def test_gradients_that_are_nan_are_seen_before_anything_is_saved(
    trainer: Any, tmp_path: Path
) -> None:
    class Breaks(TrainerCallback):
        def on_pre_optimizer_step(
            self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
        ) -> None:
            if state.global_step == 2:
                next(model.parameters()).grad[:] = float("inf")

    with pytest.raises(NotFinite, match="gradients of step 3"):
        trainer(callbacks=[Breaks()], **SAVING).train()
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_a_step_without_any_label_says_so(trainer: Any, rows: Any) -> None:
    data = [{**row, "labels": [-100] * len(row["labels"])} for row in rows()]
    with pytest.raises(NotFinite, match="step 1 there is nothing to learn: all labels are −100"):
        trainer(train_dataset=data).train()


@pytest.mark.parametrize("evaluates", [False, True])
def test_an_empty_dataset_is_refused(trainer: Any, evaluates: bool) -> None:
    name = "eval_dataset" if evaluates else "train_dataset"
    given = {name: [], "eval_strategy": "epoch"} if evaluates else {name: []}
    with pytest.raises(InvalidInput, match=f"{name} is empty.*block_size"):
        trainer(**given).train()


def test_a_missing_dataset_is_named(small_model: Any, arguments: Any) -> None:
    with pytest.raises(InvalidInput, match="no train_dataset"):
        Trainer(model=small_model(), args=arguments()).train()
    with pytest.raises(InvalidInput, match="no eval_dataset"):
        Trainer(model=small_model(), args=arguments()).evaluate()


@pytest.mark.parametrize("kind", ["dicts", "tensors", "one tensor", "items"])
def test_a_block_longer_than_the_positions_is_refused(
    trainer: Any, small_model: Any, rows: Any, kind: str
) -> None:
    data: Any = [*rows(7), *rows(1, length=33), *rows(7)]
    where = r"train_dataset\[7\]"
    if kind == "tensors":
        data = [torch.tensor(row["input_ids"]) for row in data]
    elif kind == "one tensor":
        data, where = torch.zeros(5, 33, dtype=torch.int64), r"train_dataset\[0\]"
    elif kind == "items":

        class Items:
            examples = data

            def __len__(self) -> int:
                return 15

            def __getitem__(self, index: int) -> Any:
                return self.examples[index]

        data, where = Items(), "A batch"
    with pytest.raises(
        InvalidInput, match=f"{where} has 33 tokens, .*positions for 32.*block_size=32"
    ):
        trainer(
            model=small_model(family="gpt2"), train_dataset=data, per_device_train_batch_size=1
        ).train()


def test_computed_positions_have_no_end(trainer: Any, rows: Any) -> None:
    trainer(train_dataset=rows(8, length=40), max_steps=1).train()


@pytest.mark.parametrize("data", [["Once upon a time", "there was"], "Once upon a time"])
def test_a_dataset_of_texts_is_refused(trainer: Any, data: Any) -> None:
    with pytest.raises(WrongType, match=r"train_dataset holds texts .*\[tokenizer\(text\)"):
        trainer(train_dataset=data).train()


def test_examples_with_texts_alone_are_refused(trainer: Any) -> None:
    with pytest.raises(InvalidInput, match="columns text, and LlamaForCausalLM takes none"):
        trainer(train_dataset=[{"text": "Once"}] * 8).train()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"input_ids": [[1, 2]], "labels": [[1, 2]]}, "with the keys input_ids, labels"),
        (iter([{"input_ids": [1]}]), "without a length"),
    ],
)
def test_what_is_no_dataset_is_refused(trainer: Any, data: Any, word: str) -> None:
    with pytest.raises(WrongType, match=word):
        trainer(train_dataset=data).train()


def test_columns_are_not_taken_for_several_datasets(trainer: Any) -> None:
    columns = {"input_ids": [[1, 2]], "labels": [[1, 2]]}
    with pytest.raises(WrongType, match="rows_of"):
        trainer(eval_dataset=columns).evaluate()


def test_rows_without_labels_say_which_collator_makes_them(trainer: Any, rows: Any) -> None:
    data = [{"input_ids": row["input_ids"]} for row in rows()]
    with pytest.raises(InvalidInput, match="no labels: give data_collator=DataCollatorForLanguage"):
        trainer(train_dataset=data).train()


def test_a_body_without_a_head_has_no_loss(trainer: Any, rows: Any) -> None:
    body = minilm.LlamaModel(
        minilm.LlamaConfig(
            vocab_size=67,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
        )
    )
    with pytest.raises(InvalidInput, match="LlamaModel has no head"):
        trainer(model=body, train_dataset=rows()).train()


class Tokenizer:
    """As much of a tokenizer as padding needs, without a token to pad with."""

    pad_token_id = None
    padding_side = "right"

    def pad(self, *args: Any, **given: Any) -> Any:
        raise InvalidInput("The tokenizer has no pad_token. Set tokenizer.pad_token.")


def test_a_missing_pad_token_is_said_once(trainer: Any, rows: Any) -> None:
    data = [{"input_ids": row["input_ids"]} for row in [*rows(4), *rows(4, length=9)]]
    collator = DataCollatorForLanguageModeling(Tokenizer(), mlm=False)
    with pytest.raises(InvalidInput, match="no pad_token"):
        trainer(train_dataset=data, data_collator=collator).train()
    bare = [torch.tensor(row["input_ids"]) for row in data]
    with pytest.raises(InvalidInput, match="no pad_token"):
        trainer(train_dataset=bare, data_collator=collator).train()


def test_tensors_of_several_lengths_need_a_collator(trainer: Any) -> None:
    data = [torch.arange(5 + i % 2) for i in range(8)]
    with pytest.raises(InvalidInput, match=r"lengths \[5, 6\].*DataCollatorForLanguageModeling"):
        trainer(train_dataset=data).train()


def test_a_collator_that_returns_no_dict_is_refused(trainer: Any) -> None:
    with pytest.raises(WrongType, match="returned a list"):
        trainer(data_collator=lambda rows: list(rows)).train()


def test_a_model_without_weights_to_train_is_refused(trainer: Any, small_model: Any) -> None:
    with pytest.raises(InvalidInput, match="requires_grad"):
        trainer(model=small_model().requires_grad_(False)).train()


def test_too_few_examples_for_a_whole_batch_are_refused(trainer: Any, rows: Any) -> None:
    with pytest.raises(InvalidInput, match="3 examples fill no batch of 4"):
        trainer(train_dataset=rows(3), dataloader_drop_last=True).train()


@pytest.mark.parametrize(
    ("given", "kind", "word"),
    [
        ({"tokenizer": 1}, WrongType, "processing_class"),
        ({"train_dataset_": 1}, WrongType, "train_dataset"),
        ({"args": {"output_dir": "x"}}, WrongType, "TrainingArguments"),
        ({"model": "gpt2"}, WrongType, "AutoModelForCausalLM"),
        ({"model": None}, InvalidInput, "model_init"),
        ({"callbacks": [3]}, WrongType, "TrainerCallback"),
    ],
)
def test_the_trainers_own_arguments_are_checked(
    small_model: Any, arguments: Any, given: Any, kind: Any, word: str
) -> None:
    with pytest.raises(kind, match=word):
        Trainer(**{"model": small_model(), "args": arguments(), **given})


def test_nothing_is_uploaded(trainer: Any) -> None:
    with pytest.raises(InvalidInput, match="save_model"):
        trainer().push_to_hub()


# A full disk.


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("place", ["weights", "optimizer", "text"])
def test_a_full_disk_leaves_the_last_good_checkpoint_and_says_so(
    trainer: Any, tmp_path: Path, monkeypatch: Any, number: int, place: str
) -> None:
    def full(*args: Any, **given: Any) -> None:
        raise OSError(number, os.strerror(number))

    class Fills(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 6:
                if place == "weights":
                    monkeypatch.setattr("safetensors.torch.save_file", full)
                elif place == "optimizer":
                    monkeypatch.setattr(torch, "save", full)
                else:
                    monkeypatch.setattr(Path, "write_text", full)

    run = tmp_path / "run"
    with pytest.raises(FileProblem) as problem:
        trainer(callbacks=[Fills()], save_total_limit=1, **SAVING).train()
    message = str(problem.value)
    assert os.strerror(number) in message and "checkpoint-9" in message
    assert f"'{run / 'checkpoint-6'}' is whole" in message
    assert sorted(path.name for path in run.iterdir()) == ["checkpoint-6", "log.jsonl"]
    monkeypatch.undo()
    before = fingerprint(run / "checkpoint-6")
    assert checkpoints.newest_checkpoint(run) == str(run / "checkpoint-6")
    assert fingerprint(run / "checkpoint-6") == before
    assert trainer(**SAVING).train(resume_from_checkpoint=True).global_step == 18


FILLING = """
import resource, signal, sys
import torch
import minilm
from minilm.training.arguments import TrainingArguments
from minilm.training.callbacks import TrainerCallback
from minilm.training.trainer import Trainer

class Limits(TrainerCallback):
    def on_save(self, args, state, control, **kwargs):
        if state.global_step == 2:
            # The system itself refuses to write more than this into one file.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)

torch.manual_seed(0)
config = minilm.LlamaConfig(vocab_size=67, hidden_size=24, intermediate_size=40,
    num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2)
Trainer(
    model=minilm.LlamaForCausalLM(config),
    args=TrainingArguments(output_dir=sys.argv[1], use_cpu=True, disable_tqdm=True, save_steps=2,
        max_steps=4, per_device_train_batch_size=2),
    train_dataset=torch.randint(0, 67, (16, 8)),
    callbacks=[Limits()],
).train()
"""


@pytest.mark.parametrize("size", [0, 4096, 60_000])
def test_a_disk_that_the_system_says_is_full_does_the_same(tmp_path: Path, size: int) -> None:
    run = tmp_path / "run"
    result = subprocess.run(
        [sys.executable, "-c", FILLING, str(run), str(size)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert "FileProblem" in last and "checkpoint-4' was not written" in last
    assert "checkpoint-2' is whole" in last
    assert sorted(path.name for path in run.iterdir() if path.is_dir()) == ["checkpoint-2"]
    assert checkpoints.newest_checkpoint(run) == str(run / "checkpoint-2")
    minilm.AutoModelForCausalLM.from_pretrained(run / "checkpoint-2")


def test_every_error_of_training_is_one_of_minilms() -> None:
    assert issubclass(NotFinite, MinilmError) and issubclass(NotFinite, ArithmeticError)


def test_an_output_folder_that_cannot_be_made_is_named(trainer: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileProblem, match=r"log\.jsonl' cannot be written"):
        trainer(output_dir=str(tmp_path / "file" / "run")).train()


def test_a_log_that_cannot_be_written_is_said(trainer: Any, tmp_path: Path) -> None:
    class Takes(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 2:
                (tmp_path / "run" / "log.jsonl").unlink()
                (tmp_path / "run" / "log.jsonl").mkdir()

    with pytest.raises(FileProblem, match="cannot be written"):
        trainer(callbacks=[Takes()]).train()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ([[3.5, 4.5], [1.5, 2.5]], "expected a dict"),
        (torch.rand(4, 5), "whole numbers"),
        ([3, 4, 5, 6], "a row of ids"),
        ([[3, 4, 5], None, None, None], "NoneType"),
        ([{"input_ids": "a text"}] * 4, "holds texts"),
        ([["a", "text"]] * 4, "holds texts"),
        ([(torch.ones(3), torch.ones(3))] * 4, "a tuple"),
    ],
)
def test_examples_that_are_none_are_named(trainer: Any, data: Any, word: str) -> None:
    with pytest.raises(MinilmError, match=word):
        trainer(train_dataset=data).train()


def test_rows_may_be_tuples_and_columns_lists_and_tensors(trainer: Any, rows: Any) -> None:
    ids = [tuple(row["input_ids"]) for row in rows()]
    bare = trainer(train_dataset=ids, max_steps=2).train()
    mixed = [
        {"input_ids": torch.tensor(row), "labels": row}
        if at % 2
        else {"input_ids": list(row), "labels": torch.tensor(row)}
        for at, row in enumerate(ids)
    ]
    assert trainer(train_dataset=mixed, max_steps=2).train().training_loss == bare.training_loss
