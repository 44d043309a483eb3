"""nbval compares what a picture says, not its pixels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from minilm import plots

ROOT = Path(__file__).resolve().parents[2]
SOURCE = """
from minilm import plots
figure, axes = plots.canvas(height=2)
axes.plot([1, {height}])
plots.show(figure, alt="A line that rises")
"""


def stored_output(height: int, words: str):
    figure, axes = plots.canvas(height=2)
    axes.plot([1, height])
    bundle, metadata = plots._picture(figure, words)
    return nbformat.v4.new_output("display_data", data=bundle, metadata=metadata)


@pytest.mark.parametrize(
    ("stored_height", "stored_words", "passes"),
    [(2, "A line that rises", True), (3, "A line that rises", True), (2, "A line", False)],
    ids=["the same picture", "other pixels", "other words"],
)
def test_a_stored_picture_is_compared_by_its_words(tmp_path, stored_height, stored_words, passes):
    cell = new_code_cell(SOURCE.format(height=2), execution_count=1)
    cell.outputs = [stored_output(stored_height, stored_words)]
    notebook = new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "picture.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "--nbval"]
    command += ["--nbval-current-env", "-p", "no:cacheprovider", str(tmp_path / "picture.ipynb")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode == 0) is passes, done.stdout
    assert "1 passed" in done.stdout or "1 failed" in done.stdout
