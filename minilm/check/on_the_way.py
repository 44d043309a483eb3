"""`progress`: how much of minilm is the reader's own by now."""

from __future__ import annotations

import textwrap

from minilm.check import catalogue, installing

_BAR = 20


def progress() -> None:
    """Print, lesson by lesson, how many functions on the way are yours and which are minilm's."""
    lessons: dict[str, list[tuple[str, bool]]] = {}
    for name, exercise in catalogue.all_exercises().items():
        yours = installing.readers(exercise) is not None
        lessons.setdefault(exercise.lesson, []).append((name, yours))
    functions = [function for lesson in lessons.values() for function in lesson]
    if not functions:
        print("There are no exercises.")
        return
    width = max(map(len, lessons))
    for lesson, members in lessons.items():
        count = sum(yours for _, yours in members)
        print(f"{lesson:<{width}}  {_bar(count, len(members))}  {count:>2} of {len(members)} yours")
        _names("yours:    ", [name for name, yours in members if yours])
        _names("minilm's: ", [name for name, yours in members if not yours])
    count = sum(yours for _, yours in functions)
    print(f"{'all':<{width}}  {_bar(count, len(functions))}  {count:>2} of {len(functions)} yours")


def _bar(count: int, of: int) -> str:
    # Full only when everything is done, empty only when nothing is.
    filled = count * _BAR // of
    filled = max(filled, 1) if count else 0
    return f"[{'#' * filled}{'.' * (_BAR - filled)}]"


def _names(title: str, names: list[str]) -> None:
    if names:
        print(
            textwrap.fill(
                ", ".join(names), 96, initial_indent=f"    {title}", subsequent_indent=" " * 14
            )
        )
