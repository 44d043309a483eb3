"""A toy catalogue with a home of its own, a desk in a temporary folder, and a notebook."""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minilm.check import catalogue, installing
from minilm.check.exercise import Case, Exercise, Mistake, Raises

TOY_MODULE = '''
from minilm.errors import InvalidInput

def total(numbers, start=0):
    """The sum of numbers and a start."""
    if start < 0:
        raise InvalidInput("start is negative")
    for number in numbers:
        start += number
    return start

def mean(numbers):
    """The mean of numbers, from total."""
    return total(numbers) / len(numbers)

def tally(words):
    """How often each word occurs."""
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts

class Pile:
    def __init__(self, items):
        self.items = items

    def top(self):
        """The item on top."""
        return self.items[-1]

    @staticmethod
    def doubled(number):
        """Twice a number."""
        return 2 * number

def use_total(numbers):
    return total(numbers)
'''


def _total_cases(draw: random.Random) -> list[Case]:
    drawn = [{"numbers": [draw.randint(1, 9) for _ in range(n)]} for n in (7, 1, 2, 0, 4)]
    return [*drawn, {"numbers": [1, 2], "start": 3}, {"numbers": [], "start": -1}]


def _total(numbers: list[int], start: int = 0) -> Any:
    return Raises(ValueError) if start < 0 else start + sum(numbers)


def _variant(shift: Any) -> Any:
    """A wrong total that keeps the error for a negative start."""

    def variant(numbers: list[int], start: int = 0) -> Any:
        if start < 0:
            raise ValueError
        return shift(numbers, start)

    return variant


def _changing(numbers: list[int], start: int) -> int:
    while numbers:
        start += numbers.pop()
    return start


def _tally(words: list[str]) -> dict[str, int]:
    return {word: words.count(word) for word in words}


def _pile(items: list[int]) -> Any:
    return types.SimpleNamespace(items=items)


TOYS = [
    Exercise(
        answer="toy_home:total",
        lesson="01_toys",
        cases=_total_cases,
        reference=_total,
        reference_name="Python's sum",
        mistakes=[
            Mistake(
                "skips the first",
                _variant(lambda numbers, start: start + sum(numbers[1:])),
                "The loop begins at 1, so the first number is lost.",
            ),
            Mistake(
                "skips the last",
                _variant(lambda numbers, start: start + sum(numbers[:-1])),
                "The loop ends one early, so the last number is lost.",
            ),
            Mistake(
                "forgets the start",
                _variant(lambda numbers, start: sum(numbers)),
                "It begins at 0 whatever it was given.",
            ),
            Mistake(
                "empties the list",
                _variant(_changing),
                "It takes the numbers out, and whoever gave the list finds it empty.",
            ),
        ],
        time_limit=0.4,
    ),
    Exercise(
        answer="toy_home:mean",
        lesson="02_more_toys",
        cases=lambda draw: [{"numbers": [1.5]}, {"numbers": [draw.random(), 2.0]}],
        reference=lambda numbers: sum(numbers) / len(numbers),
        reference_name="sum by length",
        mistakes=[],
    ),
    Exercise(
        answer="toy_home:tally",
        lesson="02_more_toys",
        cases=lambda draw: [{"words": []}, {"words": ["a"]}, {"words": ["a", "b", "a"]}],
        reference=_tally,
        reference_name="count",
        mistakes=[],
    ),
    Exercise(
        answer="toy_home:Pile.top",
        lesson="02_more_toys",
        cases=lambda draw: [{"self": _pile([3])}, {"self": _pile([1, 2])}],
        reference=lambda self: self.items[-1],
        reference_name="the last",
        mistakes=[],
    ),
    Exercise(
        answer="toy_home:Pile.doubled",
        lesson="02_more_toys",
        cases=lambda draw: [{"number": 3}],
        reference=lambda number: number + number,
        reference_name="addition",
        mistakes=[],
    ),
]


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Exercise]]:
    """The toy exercises in place of the real catalogue."""
    home = types.ModuleType("toy_home")
    exec(compile(TOY_MODULE, "<toy_home>", "exec"), home.__dict__)
    monkeypatch.setitem(sys.modules, "toy_home", home)
    exercises = {exercise.name: exercise for exercise in TOYS}
    monkeypatch.setattr(catalogue, "all_exercises", lambda: exercises)
    yield exercises
    for exercise in TOYS:
        installing.restore(exercise)


@pytest.fixture
def toy_home(toys: dict[str, Exercise]) -> Any:
    """The module that holds minilm's own answers to the toy exercises."""
    return sys.modules["toy_home"]


@pytest.fixture
def desk_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty desk that is not there yet."""
    folder = tmp_path / "desk"
    monkeypatch.setenv("MINILM_DESK", str(folder))
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    return folder


class Notebook:
    """Runs cells as a notebook does, and remembers what they wrote."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        config = Config()
        config.HistoryManager.enabled = False
        self.shell = InteractiveShell(config=config)
        self.capfd = capfd
        self.names = self.shell.user_ns

    def run(self, cell: str) -> str:
        """Run a cell that works, and return what it wrote to stdout."""
        out, error = self.run_any(cell)
        assert error is None, out
        return out

    def fail(self, cell: str) -> BaseException:
        """Run a cell that raises, and return the error."""
        _, error = self.run_any(cell)
        assert error is not None
        return error

    def run_any(self, cell: str) -> tuple[str, BaseException | None]:
        """Run a cell; return what it wrote to stdout, tracebacks included, and its error."""
        out, err = self.run_loud(cell)
        assert err == ""
        return out, self.result.error_before_exec or self.result.error_in_exec

    def run_loud(self, cell: str) -> tuple[str, str]:
        """Run a cell; return what it wrote to stdout and to stderr."""
        self.capfd.readouterr()
        self.result = self.shell.run_cell(cell, store_history=True)
        out, err = self.capfd.readouterr()
        return out, err


@pytest.fixture
def notebook(
    toys: dict[str, Exercise], desk_folder: Path, capfd: pytest.CaptureFixture[str]
) -> Notebook:
    """A notebook whose first cell has been run."""
    notebook = Notebook(capfd)
    notebook.run("from minilm.check import check, desk, progress")
    return notebook
