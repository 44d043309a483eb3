"""Which pipeline does which task; later lessons add theirs here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from minilm import auto
from minilm.errors import InvalidInput, UnknownToken, WrongType


@dataclass
class Task:
    """What a task needs.

    pipeline: its class, or "module:name"    auto_class: loads its models, such as
    "AutoModelForCausalLM"    default: the shipped checkpoint for whoever names none
    """

    pipeline: Any
    auto_class: str
    default: str | None = None


# Name → what it needs; a place is imported when it is first looked up.
TASKS: dict[str, Task] = {
    "text-generation": Task(
        "minilm.pipelines.text_generation:TextGenerationPipeline",
        "AutoModelForCausalLM",
        "story-gpt2",
    ),
}
# Another name of a task → the task.
ALIASES: dict[str, str] = {}
# Tasks that are not here yet → the lesson that brings them.
LATER = {
    "fill-mask": "10_masked_lm",
    "translation": "11_seq2seq",
    "summarization": "11_seq2seq",
    "text2text-generation": "11_seq2seq",
    "text-classification": "12_task_heads",
    "sentiment-analysis": "12_task_heads",
    "zero-shot-classification": "12_task_heads",
    "token-classification": "12_task_heads",
    "ner": "12_task_heads",
    "question-answering": "12_task_heads",
    "feature-extraction": "12_task_heads",
}
_TRANSLATION = re.compile(r"translation_\w+_to_\w+")


def supported_tasks() -> list[str]:
    """Return the names of all tasks that there are, other names for them included."""
    return sorted([*TASKS, *ALIASES])


def task_named(name: str) -> str:
    """Return the task that goes by a name.

    name: a task's, or another one for it

    Raises UnknownToken for a task that nobody knows, with the nearest known, or that a later lesson
    brings.
    """
    if not isinstance(name, str):
        raise WrongType(
            f"task={name!r} was given; a task is a name, such as 'text-generation'. A model is "
            "given as model=…."
        )
    task = ALIASES.get(name, name)
    if task in TASKS:
        return task
    if _TRANSLATION.fullmatch(name) and "translation" in TASKS:
        return "translation"
    lesson = LATER.get("translation" if _TRANSLATION.fullmatch(name) else name)
    if lesson is not None:
        raise UnknownToken(
            f"The task '{name}' comes with lesson {lesson}, and is not here yet. There are: "
            f"{', '.join(supported_tasks())}."
        )
    spelled = name.strip().lower().replace("_", "-").replace(" ", "-")
    near = difflib.get_close_matches(spelled, [*TASKS, *ALIASES, *LATER], n=1, cutoff=0.6)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    raise UnknownToken(
        f"There is no task '{name}'{hint} There are: {', '.join(supported_tasks())}. A model's name "
        "is given as model=…."
    )


def task_for(classes: Iterable[str], what: str) -> str:
    """Find the task that a model's head is for.

    classes: names of its class and those it extends, as config.json's "architectures" has them
    what: the model, for the error

    Raises InvalidInput if there is none.
    """
    names = list(classes)
    for task, needed in TASKS.items():
        heads = {_name_of(each) for each in auto.MODELS.get(needed.auto_class, {}).values()}
        if not heads.isdisjoint(names):
            return task
    head = f"it is a {names[0]}, and no task is known for that" if names else "no head is named"
    raise InvalidInput(
        f"What {what} is for cannot be told: {head}. Name a task; there are: "
        f"{', '.join(supported_tasks())}."
    )


def pipeline_class(task: str) -> Any:
    """Return the class that does a task.

    task: is there
    """
    return auto.class_at({task: TASKS[task].pipeline}, task)


def auto_class(task: str) -> Any:
    """Return the class that loads a task's models.

    task: is there
    """
    name = TASKS[task].auto_class
    module, _, name = name.rpartition(":")
    return getattr(import_module(module or "minilm.auto"), name)


def register_task(
    task: str,
    pipeline: type,
    auto_class: str = "AutoModelForCausalLM",
    default: str | None = None,
    aliases: Iterable[str] = (),
    exist_ok: bool = False,
) -> None:
    """Make a task known.

    task: its name    pipeline: the class that does it    auto_class: the name of what loads its
    models    default: the model for whoever names none    aliases: other names of the task
    exist_ok: also where another class does it already

    Raises InvalidInput if another class has it, WrongType if pipeline is no class.
    """
    if not isinstance(pipeline, type):
        raise WrongType(f"{pipeline!r} was given; expected a class that extends Pipeline.")
    if task in TASKS and not exist_ok:
        there = pipeline_class(task)
        if (there.__module__, there.__qualname__) != (pipeline.__module__, pipeline.__qualname__):
            raise InvalidInput(
                f"'{task}' is done by {there.__name__}. Take another name for {pipeline.__name__}, "
                "or say exist_ok=True to replace it."
            )
    TASKS[task] = Task(pipeline, auto_class, default)
    ALIASES.update(dict.fromkeys(aliases, task))


def _name_of(place: Any) -> str:
    return place.rpartition(":")[2] if isinstance(place, str) else place.__name__
