"""Every exercise of every lesson: right answers pass, and each known mistake gets its own words."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minilm.check import catalogue, installing, judging, messages
from minilm.check.exercise import Exercise, Mistake
from minilm.check.keeping import loaded, written_down
from minilm.check.parameters import fit

BOOK = Path(__file__).parents[2] / "book"
EXERCISES = catalogue.all_exercises()
MISTAKES = [
    pytest.param(exercise, mistake, id=f"{name}: {mistake.name}")
    for name, exercise in EXERCISES.items()
    for mistake in exercise.mistakes
]
ACCEPTED = [
    pytest.param(exercise, answer, id=f"{name} {number}")
    for name, exercise in EXERCISES.items()
    for number, answer in enumerate(exercise.accepts, 1)
]
SEEDS = range(5)

every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))


def function_of(answer: Callable[..., Any] | str, exercise: Exercise) -> Callable[..., Any]:
    """A right answer as a function, whether it is given as one or as source text."""
    return answer if callable(answer) else loaded(answer, "<accepted>")[exercise.name]


def test_there_are_exercises() -> None:
    assert len(EXERCISES) >= 9


@every_exercise
def test_an_exercise_knows_six_mistakes_with_names_of_their_own(exercise: Exercise) -> None:
    names = [mistake.name for mistake in exercise.mistakes]
    assert len(names) >= 6
    assert len(set(names)) == len(names)


@every_exercise
def test_an_exercise_knows_right_answers_written_another_way(exercise: Exercise) -> None:
    assert len(exercise.accepts) >= 2


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_a_mistake_is_rejected_in_its_own_words(exercise: Exercise, mistake: Mistake) -> None:
    verdict = judging.judge(exercise, mistake.variant)
    assert not verdict.right, "it is right on every case"
    assert verdict.mistake is mistake, f"taken for: {verdict.mistake and verdict.mistake.name}"
    assert verdict.sure
    message = messages.wrong(verdict, mistake.variant)
    assert f'"{mistake.name}"' in message
    assert mistake.reason in message
    assert len(message) < 2500, "too long to read"


@every_exercise
def test_mistakes_are_explained_in_whole_calm_sentences(exercise: Exercise) -> None:
    for mistake in exercise.mistakes:
        assert len(mistake.reason.split()) >= 6, mistake.name
        assert mistake.reason.endswith((".", "?", ".)")), mistake.name
        assert not re.search(r"!(\s|$)", mistake.reason), mistake.name


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_a_mistake_is_found_out_by_other_draws_too(exercise: Exercise, mistake: Mistake) -> None:
    expected = judging.expected_of(exercise, seed=1)
    assert not judging.judge(exercise, mistake.variant, expected, recognise=False).right


@every_exercise
@pytest.mark.parametrize("seed", SEEDS)
def test_minilms_own_answer_equals_the_reference(exercise: Exercise, seed: int) -> None:
    expected = judging.expected_of(exercise, seed)
    assert not expected.missing, "the reference was not asked"
    own = installing.own(exercise)
    verdict = judging.judge(exercise, own, expected)
    assert verdict.right, messages.wrong(verdict, own)


@pytest.mark.parametrize(("exercise", "answer"), ACCEPTED)
@pytest.mark.parametrize("seed", SEEDS[:3])
def test_a_right_answer_written_another_way_passes(
    exercise: Exercise, answer: Callable[..., Any] | str, seed: int
) -> None:
    function, _ = fit(function_of(answer, exercise), installing.own(exercise))
    verdict = judging.judge(exercise, function, judging.expected_of(exercise, seed))
    assert verdict.right, messages.wrong(verdict, function)


@every_exercise
def test_the_smallest_case_can_be_read_at_a_glance(exercise: Exercise) -> None:
    case = exercise.draw_cases()[0]
    assert sum(len(messages.show(value)) for value in case.values()) <= 400


@every_exercise
def test_cases_are_the_same_at_every_draw(exercise: Exercise) -> None:
    assert repr(exercise.draw_cases()) == repr(exercise.draw_cases())


@every_exercise
def test_no_mistake_is_blamed_on_whoever_returns_nothing(exercise: Exercise) -> None:
    verdict = judging.judge(exercise, lambda **case: None)
    assert not verdict.right
    known = verdict.mistake is None or verdict.mistake.variant(**exercise.draw_cases()[0]) is None
    assert known, f"taken for: {verdict.mistake and verdict.mistake.name}"


@every_exercise
def test_an_answer_stands_where_the_catalogue_says(exercise: Exercise) -> None:
    assert callable(installing.own(exercise))
    assert exercise.module.startswith("minilm.")


def test_the_book_asks_for_exactly_the_exercises_of_the_catalogue() -> None:
    asked: list[tuple[str, str]] = []
    for page in sorted(BOOK.glob("[0-9][0-9]_*.md")):
        cells = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", page.read_text(), re.M | re.S)
        for cell in cells:
            tags = re.search(r"^:tags:\s*\[(.*?)\]", cell, re.M)
            if tags and "exercise" in [tag.strip(" '\"") for tag in tags[1].split(",")]:
                body = re.sub(r"^:.*\n", "", cell, flags=re.M).strip()
                asked.append((page.stem, body))
    known = [(exercise.lesson, exercise.answer) for exercise in EXERCISES.values()]
    assert sorted(asked) == sorted(known)


@every_exercise
def test_an_answer_like_minilms_own_can_be_kept_on_a_desk(exercise: Exercise) -> None:
    own = installing.own(exercise)
    text = written_down(exercise.name, own, vars(sys.modules[exercise.module]))
    verdict = judging.judge(exercise, loaded(text, "<desk>")[exercise.name])
    assert verdict.right
