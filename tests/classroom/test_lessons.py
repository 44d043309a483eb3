"""Real nbgrader on the lessons themselves."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]


def exercises_in(path: Path) -> list[str]:
    cells = nbformat.read(path, as_version=4).cells
    gradings = [cell.metadata.get("nbgrader", {}) for cell in cells]
    return [grading["grade_id"] for grading in gradings if grading.get("solution")]


SOLUTIONS = [path for path in sorted((ROOT / "solutions").glob("*.ipynb")) if exercises_in(path)]

FORGETS_WEIGHTS = """\
def count_pairs(word_counts):
    counts = {}
    for word in word_counts:
        for pair in zip(word, word[1:]):
            counts[pair] = counts.get(pair, 0) + 1
    return counts
"""
WARNING = "    import sys, warnings\n    warnings.warn('old')\n    print('hm', file=sys.stderr)\n"


def noisily(name: str, answer: str) -> str:
    return answer.replace("### BEGIN SOLUTION\n", "### BEGIN\n" + WARNING, 1)


def mistakenly(name: str, answer: str) -> str:
    return FORGETS_WEIGHTS if name == "count_pairs" else answer


@pytest.fixture(scope="module", params=SOLUTIONS, ids=lambda path: path.stem)
def course(request, new_course, answering):
    course = new_course(request.param)
    course.hand_in("right", answering(request.param))
    course.hand_in("untouched", lambda notebook: None)
    course.hand_in("noisy", answering(request.param, noisily))
    if "count_pairs" in exercises_in(request.param):
        course.hand_in("mistaken", answering(request.param, mistakenly))
    course.grade()
    course.checks = {f"check_{name}" for name in exercises_in(request.param)}
    return course


def test_right_answers_get_full_marks(course):
    assert course.scores("right") == dict.fromkeys(course.checks, 1)


def test_an_untouched_lesson_gets_no_point(course):
    assert course.scores("untouched") == dict.fromkeys(course.checks, 0)


def test_a_librarys_warning_costs_no_point(course):
    assert course.scores("noisy") == dict.fromkeys(course.checks, 1)


def test_a_known_mistake_costs_its_own_point_and_no_other(course):
    if "mistaken" not in course.students:
        assert course.name != "01_byte_pairs"
        return
    assert course.scores("mistaken") == {
        check: float(check != "check_count_pairs") for check in course.checks
    }
