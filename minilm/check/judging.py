"""Judging a function: is it right on every case, and if not, which known mistake does it make?"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minilm.check import installing
from minilm.check.comparing import Difference, difference
from minilm.check.exercise import Case, Exercise, Mistake, Raises
from minilm.check.limits import quiet
from minilm.check.running import Outcome, copied, run, same_outcome
from minilm.errors import MinilmError

# A mistake is named if it explains at least this share of the wrong answers.
_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Expected:
    """The right answers to the cases of an exercise.

    values: one a case; `Raises` where the right answer is an error
    missing: the package whose absence made minilm's own answers stand in, or ""
    """

    cases: list[Case]
    values: list[Any]
    missing: str = ""


@dataclass(frozen=True)
class Verdict:
    """What judging a function brought out.

    differences: one a case that was tried    largest: of the numbers in right answers
    wrong: the indices of the cases answered wrongly, smallest case first
    shown: the index of the case to show    mistake: the known mistake it makes there
    sure: whether that mistake explains every wrong answer
    unsteady: whether the shown case, asked again, got another answer
    """

    exercise: Exercise
    expected: Expected
    outcomes: list[Outcome]
    differences: list[Difference]
    wrong: list[int]
    shown: int = -1
    mistake: Mistake | None = None
    sure: bool = False
    unsteady: bool = False

    @property
    def right(self) -> bool:
        """Whether every case was answered rightly."""
        return not self.wrong

    @property
    def largest(self) -> float:
        """The largest difference of numbers over all cases."""
        return max((d.size for d in self.differences), default=0.0)


@functools.lru_cache(maxsize=256)
def expected_of(exercise: Exercise, seed: int = 0) -> Expected:
    """The cases of an exercise and the right answers, by its reference or else by minilm's own.

    exercise: what is asked    seed: of the cases
    """
    cases = exercise.draw_cases(seed)
    try:
        return Expected(cases, _answers(exercise.reference, None, cases))
    except ImportError as error:
        missing = (error.name or "a package that it needs").partition(".")[0]
        return Expected(cases, _answers(installing.own(exercise), exercise, cases), missing)


def own_expected(exercise: Exercise, seed: int, most: int) -> Expected:
    """Some cases of every size, with minilm's own answers: no other library is imported.

    exercise: what is asked    seed: of the cases    most: how many cases at most
    """
    cases = exercise.draw_cases(seed)
    cases = cases[:: max(1, -(-len(cases) // most))]
    return Expected(cases, _answers(installing.own(exercise), exercise, cases))


def _answers(
    function: Callable[..., Any], exercise: Exercise | None, cases: Sequence[Case]
) -> list[Any]:
    """A trusted function's answers; an error of minilm's own counts as an answer."""
    answers = []
    for case in cases:
        given = {name: copied(value) for name, value in case.items()}
        with quiet():
            try:
                answers.append(exercise.call(function, given) if exercise else function(**given))
            except ImportError:
                raise
            except MinilmError as error:
                # Any error of the same built-in kind is as good, and so is a ValueError.
                kinds = [k for k in type(error).__mro__ if k.__module__ == "builtins"]
                kind = kinds[0] if kinds[0] is not Exception else type(error)
                answers.append(Raises(*dict.fromkeys((kind, ValueError))))
    return answers


def _differs(exercise: Exercise, outcome: Outcome, expected: Any) -> Difference:
    """How an outcome differs from the expected value or error."""
    infinite = float("inf")
    if outcome.kind == "endless":
        return Difference(infinite, "It does not come to an end.")
    if outcome.kind == "memory":
        return Difference(infinite, "It asks for more memory than there is.")
    if outcome.kind == "error":
        if isinstance(expected, Raises) and isinstance(outcome.error, expected.kinds):
            return Difference()
        return Difference(infinite, "It stops with an error.")
    if isinstance(expected, Raises):
        return Difference(infinite, f"It returns a value; expected {expected!r}.")
    try:
        found = difference(outcome.value, expected, exercise.compare)
    except MinilmError:
        raise
    except Exception:
        # A comparison written for tuples, say, meets whatever a reader returns.
        found = difference(outcome.value, expected)
        if found.equal:
            found = Difference(infinite, "It cannot be compared with the expected answer.")
    if found.equal and outcome.changed is not None:
        return Difference(infinite, f"It changes `{outcome.changed}`, which it was only lent.")
    return found


def judge(
    exercise: Exercise,
    function: Callable[..., Any],
    expected: Expected | None = None,
    limit: float | None = None,
    recognise: bool = True,
    in_place: bool = False,
) -> Verdict:
    """Try a function on the cases of an exercise.

    function: callable with the answer's arguments
    expected: the cases and right answers; those of `check` unless given
    limit: seconds of processor time; the exercise's own unless given
    recognise: whether to look for the known mistake behind a wrong answer
    in_place: whether the function stands in minilm's place while it is tried
    """
    expected = expected_of(exercise) if expected is None else expected
    limit = limit or exercise.time_limit
    # The known mistakes run outside: they may be made of minilm's own function.
    standing = installing.in_place(exercise, function) if in_place else contextlib.nullcontext()
    with standing:
        outcomes = run(exercise, function, expected.cases, limit)
    differences = [
        _differs(exercise, outcome, value)
        for outcome, value in zip(outcomes, expected.values, strict=False)
    ]
    wrong = [i for i, found in enumerate(differences) if not found.equal]
    if not (wrong and recognise):
        return Verdict(exercise, expected, outcomes, differences, wrong)
    shown, mistake, sure = _recognise(exercise, expected, outcomes, differences, wrong)
    unsteady = False
    value = outcomes[shown].value
    # Two errors, or two objects of the reader's own, are never equal, whatever is in them.
    if (
        mistake is None
        and outcomes[shown].kind == "value"
        and type(value).__eq__ is not object.__eq__
    ):
        standing = installing.in_place(exercise, function) if in_place else contextlib.nullcontext()
        with standing:
            [again] = run(exercise, function, [expected.cases[shown]], limit)
        unsteady = not same_outcome(again, outcomes[shown], exercise.compare)
    return Verdict(exercise, expected, outcomes, differences, wrong, shown, mistake, sure, unsteady)


@functools.lru_cache(maxsize=1024)
def _outcomes_of(exercise: Exercise, mistake: Mistake, expected: Expected) -> list[Outcome]:
    """What a known mistake does with each case."""
    return run(exercise, mistake.variant, expected.cases, exercise.time_limit)


def _recognise(
    exercise: Exercise,
    expected: Expected,
    outcomes: list[Outcome],
    differences: list[Difference],
    wrong: list[int],
) -> tuple[int, Mistake | None, bool]:
    """The case to show, the known mistake that explains it best, and whether it explains all."""
    best: tuple[int, int, Mistake] | None = None
    for mistake in exercise.mistakes:
        theirs = _outcomes_of(exercise, mistake, expected)
        same = [
            i
            for i, (mine, other) in enumerate(zip(outcomes, theirs, strict=False))
            if same_outcome(mine, other, exercise.compare)
            or (differences[i].equal and _differs(exercise, other, expected.values[i]).equal)
        ]
        explained = [i for i in wrong if i in same]
        if len(explained) < max(1, _SHARE * len(wrong)):
            continue
        if best is None or len(same) > best[0]:
            best = len(same), explained[0], mistake
    if best is None:
        return wrong[0], None, False
    return best[1], best[2], best[0] == len(outcomes)
