"""What a reader wrote in one lesson runs in the next."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]


def exercises_in(name: str) -> set[str]:
    cells = nbformat.read(ROOT / "solutions" / f"{name}.ipynb", as_version=4).cells
    gradings = [cell.metadata.get("nbgrader", {}) for cell in cells]
    return {grading["grade_id"] for grading in gradings if grading.get("solution")}


@pytest.mark.parametrize(
    ("lesson", "following"), [("01_byte_pairs", "02_tokenizers")], ids=["byte pairs to tokenizers"]
)
def test_the_answers_of_a_lesson_are_in_use_in_the_next(lesson, following, run_notebook):
    written = exercises_in(lesson)
    done = run_notebook(ROOT / "solutions" / f"{lesson}.ipynb")
    assert done.outputs("stderr") == []

    run = run_notebook(ROOT / "lessons" / f"{following}.ipynb")
    first = next(cell for cell in run.notebook.cells if cell.cell_type == "code")
    said = "".join(output.text for output in first.outputs)
    assert f"{len(written)} functions of yours in use" in said
    assert written <= set(re.findall(r"\w+", said))
    assert run.outputs("stderr") == []
    allowed = [
        c["id"] for c in run.notebook.cells if "raises-exception" in c.metadata.get("tags", [])
    ]
    assert [one for one in run.outputs("error") if one[0] not in allowed] == []
