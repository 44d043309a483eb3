"""Making a checkpoint by its recipe: tokenizer, rows, training, score, card."""

from __future__ import annotations

import json
import shutil
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from minilm.errors import FileProblem
from minilm.files import replacing_as_one, write_atomically
from minilm.hub import SHIPPED
from minilm.tokenization.auto_tokenizer import AutoTokenizer
from minilm.training.arguments import TrainingArguments
from minilm.training.callbacks import TrainerCallback
from minilm.training.checkpoints import newest_checkpoint
from minilm.training.seeding import set_seed
from minilm.training.trainer import Trainer
from minilm.zoo.card import CARD, FACTS, as_card, as_json, collect_facts
from minilm.zoo.recipes import Recipe

_RECIPE = "recipe.json"
_SECONDS = "seconds.json"


class _Clock(TrainerCallback):
    """Keep the seconds of a training that may be interrupted and resumed.

    path: where they are kept, at every checkpoint
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before = json.loads(path.read_text("utf-8")) if path.exists() else 0.0
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.started

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        write_atomically(self.path, json.dumps(self.seconds))


def make(recipe: Recipe, folder: Path) -> Path:
    """Train a checkpoint by its recipe, or go on where an interrupted training stopped.

    recipe: what to make
    folder: where to work: `folder/NAME-work` holds what the training needs, and the finished
        checkpoint is put into `folder/NAME`

    Returns the folder of the finished checkpoint.
    Raises FileProblem if the work that lies there was begun by another recipe of that name.
    """
    work = folder / f"{recipe.name}-work"
    _claim(work, recipe)
    task: Any = import_module(f"minilm.zoo.{recipe.task}")
    if not (work / "tokenizer" / "tokenizer.json").exists():
        task.make_tokenizer(recipe).save_pretrained(work / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(work / "tokenizer")
    train = task.make_rows(tokenizer, "train", recipe.n_stories, work / "train.rows")
    validation = task.make_rows(
        tokenizer, "validation", task.VALIDATION_STORIES, work / "validation.rows"
    )
    arguments = TrainingArguments(output_dir=str(work), **recipe.arguments)
    set_seed(arguments.seed)
    model = task.make_model(recipe, tokenizer)
    clock = _Clock(work / _SECONDS)
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=task.make_collator(tokenizer),
        train_dataset=train,
        eval_dataset=validation,
        processing_class=tokenizer,
        callbacks=[clock],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(work))
    facts = collect_facts(
        recipe,
        parameters=model.num_parameters(),
        vocab_size=len(tokenizer),
        score=task.score(model, tokenizer),
        seconds=round(clock.seconds),
        tokens_seen=int(train.ends[-1]) * int(arguments.num_train_epochs),
    )
    made = work / "made"
    model.save_pretrained(made)
    tokenizer.save_pretrained(made)
    write_atomically(made / FACTS, as_json(facts))
    write_atomically(made / CARD, as_card(facts, recipe))
    return _put(made, folder / recipe.name)


def install(finished: Path) -> Path:
    """Put a finished checkpoint among those that ship with minilm.

    finished: its folder

    Returns where it is now found by its name.
    """
    return _put(finished, SHIPPED / finished.name)


def _put(files: Path, place: Path) -> Path:
    """Copy the files of a checkpoint to another place, all or none."""
    with replacing_as_one(place) as staging:
        for path in sorted(files.iterdir()):
            if path.is_file():
                shutil.copyfile(path, staging / path.name)
    return place


def _claim(work: Path, recipe: Recipe) -> None:
    """Note whose work lies in a folder, so that two recipes never mix."""
    said = json.dumps(
        {
            "config": dict(recipe.config),
            "vocab_size": recipe.vocab_size,
            "n_stories": recipe.n_stories,
            "arguments": dict(recipe.arguments),
            "torch": torch.__version__.split("+")[0],
        },
        sort_keys=True,
    )
    note = work / _RECIPE
    if note.exists() and note.read_text("utf-8") != said:
        raise FileProblem(
            f"The work in '{work}' was begun with other settings than '{recipe.name}' has now. "
            "Delete that folder to begin anew, or give another one with --folder."
        )
    work.mkdir(parents=True, exist_ok=True)
    write_atomically(note, said)
