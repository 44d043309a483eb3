"""Putting a reader's function in the place of minilm's own, and finding minilm's own again."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from types import FunctionType
from typing import Any

from minilm.check.exercise import Exercise
from minilm.errors import InvalidInput

# What stood in minilm before a reader's function took its place, and the reader's functions in use.
_originals: dict[str, Any] = {}
_readers: dict[str, Callable[..., Any]] = {}


def _holder(exercise: Exercise) -> tuple[Any, str]:
    """The module or class that holds the answer, and its name there."""
    holder: Any = import_module(exercise.module)
    *classes, name = exercise.path.split(".")
    for part in classes:
        holder = getattr(holder, part)
    return holder, name


def _raw(exercise: Exercise) -> Any:
    """What stands at the answer's place now, a staticmethod or the like unopened."""
    holder, name = _holder(exercise)
    try:
        return inspect.getattr_static(holder, name)
    except AttributeError:
        raise InvalidInput(
            f"There is no '{exercise.path}' in {exercise.module}, though an exercise of "
            f"{exercise.lesson} names it. Correct its `answer`."
        ) from None


def _opened(raw: Any) -> Callable[..., Any]:
    if isinstance(raw, staticmethod | classmethod):
        return raw.__func__
    if isinstance(raw, property) and raw.fget is not None:
        return raw.fget
    return raw


def own(exercise: Exercise) -> Callable[..., Any]:
    """Minilm's own answer, also while a reader's stands in its place.

    exercise: whose answer
    """
    if exercise.answer in _originals:
        return _opened(_originals[exercise.answer])
    return _opened(_raw(exercise))


def readers(exercise: Exercise) -> Callable[..., Any] | None:
    """The reader's function that is in use inside minilm, or None.

    exercise: whose answer
    """
    return _readers.get(exercise.answer)


def install(exercise: Exercise, function: Callable[..., Any]) -> None:
    """Let a reader's function take the place of minilm's own.

    exercise: whose answer    function: callable in every way that minilm's own is
    """
    raw = _originals.setdefault(exercise.answer, _raw(exercise))
    wrapped: Any = function
    if isinstance(raw, staticmethod | classmethod | property):
        wrapped = type(raw)(function)
    holder, name = _holder(exercise)
    setattr(holder, name, wrapped)
    _readers[exercise.answer] = function


def restore(exercise: Exercise) -> None:
    """Put minilm's own answer back.

    exercise: whose answer
    """
    if exercise.answer in _originals:
        holder, name = _holder(exercise)
        setattr(holder, name, _originals.pop(exercise.answer))
        _readers.pop(exercise.answer, None)


OWN_WAS_ASKED = "minilm's own answer was asked"


def _refuse(*args: Any, **kwargs: Any) -> Any:
    # Its code stands in for that of any function: only names that are known everywhere.
    raise RecursionError("minilm's own answer was asked")


@contextlib.contextmanager
def in_place(exercise: Exercise, function: Callable[..., Any]) -> Iterator[None]:
    """Inside the block a reader's function stands in minilm's place, and minilm's own is closed.

    exercise: whose answer    function: callable in every way that minilm's own is

    A function that asks minilm's own for the answer meets a RecursionError, as it would once it
    has taken that place.
    """
    before, closed = readers(exercise), own(exercise)
    install(exercise, function)
    code = closed.__code__ if isinstance(closed, FunctionType) else None
    if code is not None and not code.co_freevars:
        closed.__code__ = _refuse.__code__  # whoever imported it by name holds the same function
    try:
        yield
    finally:
        if code is not None:
            closed.__code__ = code
        restore(exercise)
        if before is not None:
            install(exercise, before)
