"""Real nbgrader on a small page of three exercises: everybody gets the points they earned."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]

PAGE = """\
---
title: Three exercises
---

```{code-cell}
from minilm.check import check, desk, progress
from minilm.tokenization import bpe, utf8

exercises = ("utf8_bytes", "count_pairs", "merge_pair")
for module in (bpe, utf8):  # whatever the sources need, and not the answers
    globals().update({k: v for k, v in vars(module).items() if k[0] != "_" and k not in exercises})
desk.load()
```

```{code-cell}
:tags: [exercise]
minilm.tokenization.utf8:utf8_bytes
```

```{code-cell}
check(utf8_bytes)
```

```{code-cell}
:tags: [exercise]
minilm.tokenization.bpe:count_pairs
```

```{code-cell}
check(count_pairs)
```

```{code-cell}
:tags: [exercise]
minilm.tokenization.bpe:merge_pair
```

```{code-cell}
check(merge_pair)
```

```{code-cell}
print(merge_pair(list("banana"), ("a", "n"), "an"))
progress()
```
"""
CHECKS = ["check_utf8_bytes", "check_count_pairs", "check_merge_pair"]

# Everything a library may do to standard error, when it is loaded and whenever it is called.
NOISE = """\
import logging, os, sys, warnings
warnings.warn("this library is old")
print("loading", file=sys.stderr)
"""
NOISE_INSIDE = """\
    import logging, os, sys, warnings
    warnings.warn("deprecated since 4.0")
    logging.getLogger("library").warning("unauthenticated request")
    print("50%|#####", file=sys.stderr)
    sys.__stderr__.write("past the notebook")
    os.write(2, b"from C")
    print("and a word to the reader")
"""
FORGETS_WEIGHTS = '''\
def count_pairs(word_counts):
    """Count each pair once for each word, however often the word occurs."""
    counts = {}
    for word in word_counts:
        for pair in zip(word, word[1:]):
            counts[pair] = counts.get(pair, 0) + 1
    return counts
'''
NEVER_ENDS = """\
def count_pairs(word_counts):
    while True:
        pass
"""
LEAVES = """\
def count_pairs(word_counts):
    raise SystemExit
"""


def only(name: str, text: str):
    """Change one answer and leave the others right."""
    return lambda exercise, answer: text if exercise == name else answer


def noisily(exercise: str, answer: str) -> str:
    return NOISE + answer.replace("### BEGIN SOLUTION\n", "### BEGIN\n" + NOISE_INSIDE)


def tampering(notebook):
    """Puts something else where the checks stand, and leaves the exercises alone."""
    for cell in notebook.cells:
        if cell.source.startswith("check("):
            cell.source = "1.0"


def leaving_checks_out(notebook):
    notebook.cells = [cell for cell in notebook.cells if not cell.source.startswith("check(")]


@pytest.fixture(scope="module")
def solution(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "book").mkdir()
    (folder / "book" / "00_three.md").write_text(PAGE)
    spec = importlib.util.spec_from_file_location("book_build", ROOT / "book" / "build.py")
    builder = importlib.util.module_from_spec(spec)
    sys.modules["book_build"] = builder
    spec.loader.exec_module(builder)
    places = [f"--{name}={folder / name}" for name in ("book", "lessons", "solutions")]
    assert builder.main(["00", *places]) == 0
    return folder / "solutions" / "00_three.ipynb"


def keep_right_answers_on(desk: Path, solution: Path) -> None:
    """Work through the page as a reader at home, so that the desk holds right answers."""
    notebook = nbformat.read(solution, as_version=4)
    before = os.environ["MINILM_DESK"]
    os.environ["MINILM_DESK"] = str(desk)
    try:
        NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    finally:
        os.environ["MINILM_DESK"] = before
    assert list(desk.iterdir())


@pytest.fixture(scope="module")
def course(new_course, solution, answering):
    course = new_course(solution)
    keep_right_answers_on(course.folder / "desk", solution)
    course.hand_in("right", answering(solution))
    course.hand_in("untouched", lambda notebook: None)
    course.hand_in("mistaken", answering(solution, only("count_pairs", FORGETS_WEIGHTS)))
    course.hand_in("noisy", answering(solution, noisily))
    course.hand_in("broken", answering(solution, only("count_pairs", "def count_pairs(:\n")))
    course.hand_in("endless", answering(solution, only("count_pairs", NEVER_ENDS)))
    course.hand_in("leaving", answering(solution, only("count_pairs", LEAVES)))
    course.hand_in("tampering", tampering)
    course.hand_in("without checks", leaving_checks_out)
    course.grade()
    return course


# Student → points for the three checks.
POINTS = {
    "right": [1, 1, 1],
    "untouched": [0, 0, 0],
    "mistaken": [1, 0, 1],
    # A warning that a library prints costs nobody a point.
    "noisy": [1, 1, 1],
    "broken": [1, 0, 1],
    "endless": [1, 0, 1],
    "leaving": [1, 0, 1],
    # nbgrader puts the checks back that were changed or deleted.
    "tampering": [0, 0, 0],
    "without checks": [0, 0, 0],
}


@pytest.mark.parametrize("student", POINTS)
def test_points(student, course):
    assert course.scores(student) == dict(zip(CHECKS, POINTS[student], strict=True))


def test_every_check_is_worth_one_point(course):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}") as book:
        assert book.find_assignment(course.name).max_score == len(CHECKS)
        assert sorted(book.find_assignment(course.name).notebooks[0].grade_cells, key=str)
        assert {c.name for c in book.find_assignment(course.name).notebooks[0].grade_cells} == set(
            CHECKS
        )


def test_the_mistaken_student_reads_what_went_wrong(course):
    said = course.outputs("mistaken")
    assert "CheckFailed" in said
    assert "count_pairs" in said


def test_the_noise_is_real(course):
    """Otherwise the noisy student's full marks would say nothing."""
    graded = course.folder / "autograded" / "noisy" / course.name / f"{course.name}.ipynb"
    cells = {
        cell.metadata.get("nbgrader", {}).get("grade_id"): cell
        for cell in nbformat.read(graded, as_version=4).cells
    }
    said = "".join(one.text for one in cells["count_pairs"].outputs if one.get("name") == "stderr")
    assert "this library is old" in said
    assert "loading" in said


def test_no_check_leaves_a_result_or_a_word_on_stderr(course):
    """nbgrader takes any result for full marks, and any word on stderr for a failure."""
    for student in ("right", "noisy"):
        graded = course.folder / "autograded" / student / course.name / f"{course.name}.ipynb"
        for cell in nbformat.read(graded, as_version=4).cells:
            if cell.metadata.get("nbgrader", {}).get("grade"):
                kinds = {(one.output_type, one.get("name")) for one in cell.outputs}
                assert kinds == {("stream", "stdout")}, (student, cell.source)
