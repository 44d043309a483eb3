"""The exercises of all lessons, one module for each lesson."""

from __future__ import annotations

import difflib
import functools
import pkgutil
from collections.abc import Mapping
from importlib import import_module

from minilm.check.exercise import Exercise
from minilm.errors import InvalidInput


@functools.cache
def all_exercises() -> dict[str, Exercise]:
    """Every exercise by name: lessons in their order, in a lesson the order of its catalogue.

    Raises InvalidInput if two exercises have the same name.
    """
    found: list[Exercise] = []
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        listed = import_module(module.name).EXERCISES
        found.extend(listed.values() if isinstance(listed, Mapping) else listed)
    exercises: dict[str, Exercise] = {}
    for exercise in sorted(found, key=lambda exercise: exercise.lesson):
        if exercise.name in exercises:
            other = exercises[exercise.name]
            raise InvalidInput(
                f"Two exercises are called {exercise.name}: {exercise.answer} and {other.answer}. "
                "`check` finds an exercise by its name, so give one of them another."
            )
        exercises[exercise.name] = exercise
    return exercises


def find(name: str) -> Exercise:
    """The exercise of a name.

    name: of the function to write

    Raises InvalidInput for an unknown name, with near ones and a list of all.
    """
    exercises = all_exercises()
    if name in exercises:
        return exercises[name]
    near = difflib.get_close_matches(name, exercises, n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    lessons: dict[str, list[str]] = {}
    for exercise in exercises.values():
        lessons.setdefault(exercise.lesson, []).append(exercise.name)
    names = "".join(f"\n  {lesson}: {', '.join(names)}" for lesson, names in lessons.items())
    raise InvalidInput(
        f"There is no exercise called '{name}'.{hint} "
        f"A function must have its exercise's name to be checked. The exercises are:{names}"
    )
