"""Every solution gives again the outputs that are stored in it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))
solutions = pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda path: path.stem)


def test_there_is_a_solution_for_every_lesson():
    assert {path.name for path in SOLUTIONS} == {
        path.name for path in (ROOT / "lessons").glob("*.ipynb")
    }
    assert SOLUTIONS


@solutions
def test_it_gives_its_stored_outputs(solution, nbval):
    done = nbval(solution, "--nbval")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@solutions
def test_its_outputs_are_stored_without_stderr_and_within_limits(solution):
    assert solution.stat().st_size < 4_000_000  # CoCalc shows no more
    notebook = nbformat.read(solution, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert sum(bool(cell.outputs) for cell in code) > len(code) / 2
    for cell in code:
        assert [one for one in cell.outputs if one.get("name") == "stderr"] == []


@solutions
def test_every_picture_has_words_for_who_cannot_see_it(solution):
    for cell in nbformat.read(solution, as_version=4).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                words = output.data["text/plain"]
                assert len(words) > 20, cell["id"]
                assert not words.startswith("<"), f"{cell['id']}: {words}"


def test_a_changed_output_would_be_seen(nbval, tmp_path):
    """Break the stored output of one cell, and nbval must refuse the notebook."""
    notebook = nbformat.read(SOLUTIONS[0], as_version=4)
    cell = next(
        cell
        for cell in notebook.cells
        if cell.get("outputs")
        and cell.outputs[0].get("name") == "stdout"
        and "nbval-ignore-output" not in cell.metadata.get("tags", [])
    )
    cell.outputs[0].text += "and more\n"
    nbformat.write(notebook, tmp_path / "changed.ipynb")
    done = nbval(tmp_path / "changed.ipynb", "--nbval")
    assert done.returncode == 1
    assert "1 failed" in done.stdout
