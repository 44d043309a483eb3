"""The bench in a Jupyter kernel, with a real exercise: what a saved notebook holds afterwards."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import pytest

STUB = """def count_pairs(word_counts):
    # YOUR CODE HERE
    raise NotImplementedError()
"""
RIGHT = """import collections, os, warnings

def count_pairs(word_counts):
    os.write(2, b"noise of a compiled library")
    warnings.warn("noise of a Python library")
    counts = collections.Counter()
    for word, count in word_counts.items():
        for pair in zip(word, word[1:]):
            counts[pair] += count
    return counts
"""
CELLS = [
    "from minilm.check import check, desk, progress\ndesk.load()",
    STUB,
    "check(count_pairs)",
    "print(count_pairs.__module__)",
    RIGHT,
    "check(count_pairs)\nmine = count_pairs",
    RIGHT.replace("+= count", "+= 1"),
    "check(count_pairs)",
    "from minilm.tokenization import bpe\nprint(bpe.count_pairs is mine)",
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each cell left behind, as text: the kind of output, then the words."""
    folder: Path = tmp_path_factory.mktemp("kernel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINILM_DESK", str(folder / "desk"))
        patch.delenv("NBGRADER_EXECUTION", raising=False)
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
        client = nbclient.NotebookClient(notebook, allow_errors=True, record_timing=False)
        client.execute(cwd=str(folder))
    return [
        "".join(
            f"{output.get('name', output.output_type)}: "
            f"{output.get('text') or chr(10).join(output.get('traceback', []))}"
            for output in cell.outputs
        )
        for cell in notebook.cells
    ]


def test_nothing_goes_to_stderr(outputs: list[str]) -> None:
    assert "stderr" not in "".join(outputs)
    assert "noise" not in "".join(outputs)


def test_an_untouched_exercise_goes_on_with_minilms_own(outputs: list[str]) -> None:
    assert outputs[0] == "stdout: No answers of yours yet: minilm's own functions are used.\n"
    assert outputs[2].startswith("stdout: count_pairs is not written yet.")
    assert outputs[3] == "stdout: minilm.tokenization.bpe\n"


def test_a_right_answer_is_one_line(outputs: list[str]) -> None:
    assert outputs[5].startswith("stdout: count_pairs: right. Equals ")
    assert outputs[5].endswith(" cases (largest difference 0).\n")
    assert outputs[5].count("\n") == 1


def test_a_wrong_answer_is_a_short_error(outputs: list[str]) -> None:
    assert outputs[7].startswith("error: CheckFailed: count_pairs is not right yet")
    assert "This is a known mistake" in outputs[7]
    assert "Traceback" not in outputs[7]


def test_the_right_version_stays_in_use(outputs: list[str]) -> None:
    assert outputs[8] == "stdout: True\n"
