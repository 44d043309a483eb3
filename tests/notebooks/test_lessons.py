"""Every lesson runs untouched from top to bottom: offline, no error, nothing on stderr."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "lessons").glob("*.ipynb"))
lessons = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


def test_there_is_a_lesson_for_every_page():
    pages = {path.stem for path in (ROOT / "book").glob("[0-9][0-9]_*.md")}
    assert pages == {path.stem for path in LESSONS}
    assert pages


@lessons
def test_untouched_it_runs_as_a_reader_opens_it(lesson, run_notebook, write_figures):
    run = run_notebook(lesson)
    write_figures(lesson.stem, run)
    allowed = {
        cell["id"]
        for cell in run.notebook.cells
        if "raises-exception" in cell.metadata.get("tags", [])
    }
    assert [one for one in run.outputs("error") if one[0] not in allowed] == []
    assert run.outputs("stderr") == []


@lessons
def test_untouched_it_passes_nbval_lax(lesson, nbval):
    done = nbval(lesson, "--nbval-lax")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@lessons
def test_it_holds_no_answers_and_no_outputs(lesson):
    for cell in nbformat.read(lesson, as_version=4).cells:
        assert "SOLUTION" not in cell.source
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_the_network_is_shut_for_these_tests(run_notebook):
    """Otherwise 'offline' above would say nothing."""
    code = "import urllib.request\nurllib.request.urlopen('http://93.184.215.14/', timeout=5)"
    lookup = "import socket\nsocket.getaddrinfo('example.org', 80)"
    run = run_notebook(new_notebook(cells=[new_code_cell(code), new_code_cell(lookup)]))
    assert [
        "wants ('93.184.215.14', 80)" in said or "looks for" in said
        for _, said in run.outputs("error")
    ] == [True, True]
