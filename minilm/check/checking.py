"""`check`: what stands after each exercise of a lesson."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from minilm.check import catalogue, desk, installing, judging, messages
from minilm.check.exercise import Exercise
from minilm.check.parameters import Misfit, fit
from minilm.check.reading import is_blank
from minilm.errors import MinilmError


class CheckFailed(MinilmError, AssertionError):
    """An answer is wrong. The message shows the smallest case and says what the code does there."""

    def _render_traceback_(self) -> list[str]:
        # What a notebook shows: the words, without the bench's own calls above them.
        return [f"CheckFailed: {self}"]


def check(function: Callable[..., Any]) -> None:
    """Compare a function you wrote with the reference, on many cases.

    function: yours, under the name the lesson gives it

    Right: prints one line; from then on minilm itself uses your function, and its source is kept
    on your desk for the next lesson. Not written yet: says so and puts minilm's own version in its
    place, so that the lesson goes on.
    Raises CheckFailed if an answer is wrong, with the smallest case that shows it; under nbgrader
    also if nothing is written yet. Raises InvalidInput if no exercise has the function's name.
    """
    namespace = sys._getframe(1).f_globals
    exercise = _exercise_of(function, namespace)
    own = installing.own(exercise)
    if function is own or is_blank(function):
        _not_written(exercise, function, namespace)
        return
    try:
        fitting, remark = fit(function, own)
    except Misfit as misfit:
        raise _failed(exercise, f"{exercise.name} does not fit yet. {misfit}") from None
    verdict = judging.judge(exercise, fitting, in_place=True)
    if not verdict.right:
        error = verdict.outcomes[verdict.shown].error
        raise _failed(exercise, messages.wrong(verdict, function)) from error
    installing.install(exercise, fitting)
    print(messages.right(verdict))
    if remark:
        print(remark)
    if problem := desk.keep(exercise, function, namespace):
        print(problem)


def _exercise_of(function: Any, namespace: dict[str, Any]) -> Exercise:
    """The exercise that a function answers, or an error that says what was given instead."""
    exercises = catalogue.all_exercises()
    if isinstance(function, str):
        name = function.strip("() ")
        raise CheckFailed(
            f"check takes the function itself, not its name: `check({name})`, without quotes."
        )
    if isinstance(function, type) or not callable(function):
        what = f"a value ({messages.show(function, (), 60)})"
        if isinstance(function, type):
            what = "a class"
        raise CheckFailed(
            f"check takes a function you wrote, and this is {what}. Give it the function's name "
            "without brackets behind it: `check(count_pairs)`, not `check(count_pairs(...))`."
        )
    names = [getattr(function, "__qualname__", ""), getattr(function, "__name__", "")]
    # A lambda, or a function that was given the exercise's name by assignment.
    names += [n for n, value in namespace.items() if value is function and n in exercises]
    for name in names:
        if name in exercises:
            return exercises[name]
        for exercise in exercises.values():
            if exercise.path == name:
                return exercise
    name = getattr(function, "__name__", type(function).__name__)
    if name == "<lambda>":
        raise CheckFailed(
            "This function has no name (a lambda), so there is no telling which exercise it "
            "answers. Give it one: `count_pairs = lambda ...`, or better a `def`."
        )
    return catalogue.find(name)


def _failed(exercise: Exercise, message: str) -> CheckFailed:
    if installing.readers(exercise) is not None:
        message += "\n\nInside minilm your earlier version, which was right, stays in use."
    return CheckFailed(message)


def _not_written(exercise: Exercise, function: Any, namespace: dict[str, Any]) -> None:
    """Say so, and let the lesson go on with the version that is in use."""
    is_own = function is installing.own(exercise)
    opening = f"{exercise.name} is " + ("minilm's own here" if is_own else "not written yet")
    if desk.grading():
        raise CheckFailed(f"{opening}: there is no answer of yours to judge.")
    reader = installing.readers(exercise)
    use = reader or installing.own(exercise)
    for name, value in list(namespace.items()):
        if value is function:
            namespace[name] = use
    if reader is not None:
        print(f"{opening}. The lesson goes on with the version you wrote before.")
    elif is_own:
        print(f"{opening}. To use yours, run the cell that defines it, then this one again.")
    else:
        print(f"{opening}. The lesson goes on with minilm's own; come back to it when you like.")
