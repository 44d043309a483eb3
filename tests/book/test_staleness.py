"""`build.py --check` notices every way in which something generated can be out of date."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def edit_json(path: Path, change) -> None:
    """Change a notebook and write it back in the very form it had."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def cell(notebook: dict, name: str) -> dict:
    return next(one for one in notebook["cells"] if one["id"] == name)


def change_cell(book, kind: str, name: str, change) -> None:
    path = book.root / kind / "00_sums.ipynb"
    before = path.read_text()
    edit_json(path, lambda notebook: None)
    assert path.read_text() == before, "rewriting alone must change nothing"
    edit_json(path, lambda notebook: change(cell(notebook, name)))


# What was done → (how it is done, which page is named, which words say so).
STALE = {
    "the function an exercise asks for changed": (
        lambda book: book.replace("tiny/sums.py", "total += number", "total = total + number"),
        "00_sums", "cell 'add_up'",
    ),
    "only a comment in it changed": (
        lambda book: book.replace("tiny/sums.py", "# Start with nothing.", "# Start low."),
        "00_sums", "cell 'add_up'",
    ),
    "its docstring changed": (
        lambda book: book.replace("tiny/sums.py", "Add numbers up.", "Sum."),
        "00_sums", "cell 'add_up'",
    ),
    "a function that is shown changed": (
        lambda book: book.replace("tiny/sums.py", '"""Say hello."""', '"""Greet."""'),
        "00_sums", "cell 'sums-3'",
    ),
    "a method of a class changed": (
        lambda book: book.replace("tiny/sums.py", "self.count += self.step", "self.count += 1"),
        "01_counters", "cell 'Counter'",
    ),
    "code that a lesson only uses changed": (
        lambda book: book.replace("tiny/helpers.py", "return 41", "return 42"),
        "00_sums", "tiny/helpers.py",
    ),
    "a module that a lesson used is gone": (
        lambda book: (book.root / "tiny" / "helpers.py").unlink(),
        "00_sums", "tiny/helpers.py",
    ),
    "a module that a lesson used is no longer Python": (
        lambda book: book.replace("tiny/helpers.py", "return 41", "return (41"),
        "00_sums", "tiny/helpers.py",
    ),
    "prose changed": (
        lambda book: book.replace("book/00_sums.md", "How much is nothing?", "How much?"),
        "00_sums", "cell 'sums-1'",
    ),
    "code on the page changed": (
        lambda book: book.replace("book/00_sums.md", "add_up([1, 2])", "add_up([1, 3])"),
        "00_sums", "cell 'adding-up-3'",
    ),
    "a tag changed": (
        lambda book: book.replace("book/00_sums.md", "[varies]", "[nbval-ignore-output]"),
        "00_sums", "cell 'adding-up-4'",
    ),
    "a cell was taken away": (
        lambda book: book.replace("book/00_sums.md", "```{code-cell}\n:tags: [varies]\nimport time\nprint(time.time_ns())\n```\n", ""),
        "00_sums", "other cells",
    ),
    "the title changed": (
        lambda book: book.replace("book/01_counters.md", "title: Counters", "title: Counting"),
        "01_counters", "cell 'counting-1'",
    ),
    "a page was broken": (
        lambda book: book.replace("book/00_sums.md", "tiny.sums:add_up", "tiny.sums:add_down"),
        "00_sums", "line 24",
    ),
    "a lesson was edited": (
        lambda book: change_cell(book, "lessons", "sums-1", lambda c: c["source"].append("!")),
        "00_sums", "lessons/00_sums.ipynb",
    ),
    "a lesson was executed and saved": (
        lambda book: change_cell(book, "lessons", "sums-2", lambda c: c.update(execution_count=1)),
        "00_sums", "lessons/00_sums.ipynb",
    ),
    "a lesson holds the answer": (
        lambda book: shutil.copy(
            book.root / "solutions" / "00_sums.ipynb", book.root / "lessons" / "00_sums.ipynb"
        ),
        "00_sums", "lessons/00_sums.ipynb",
    ),
    "only the spacing of a lesson's file changed": (
        lambda book: (book.root / "lessons" / "00_sums.ipynb").write_text(
            (book.root / "lessons" / "00_sums.ipynb").read_text() + "\n"
        ),
        "00_sums", "lessons/00_sums.ipynb",
    ),
    "an answer was edited in the solution": (
        lambda book: change_cell(
            book, "solutions", "add_up", lambda c: c["source"].insert(-1, "    total += 0\n")
        ),
        "00_sums", "cell 'add_up'",
    ),
    "an output was edited in the solution": (
        lambda book: change_cell(
            book, "solutions", "adding-up-3", lambda c: c["outputs"][0].update(text=["3 42\n"])
        ),
        "00_sums", "changed after it was built",
    ),
    "an output is missing from the solution": (
        lambda book: change_cell(book, "solutions", "adding-up-3", lambda c: c.update(outputs=[])),
        "00_sums", "changed after it was built",
    ),
    "the solution was never executed": (
        lambda book: edit_json(
            book.root / "solutions" / "00_sums.ipynb",
            lambda notebook: [
                one.update(outputs=[], execution_count=None)
                for one in notebook["cells"] if one["cell_type"] == "code"
            ],
        ),
        "00_sums", "not executed",
    ),
    "the solution's metadata names a machine": (
        lambda book: edit_json(
            book.root / "solutions" / "00_sums.ipynb",
            lambda notebook: notebook["metadata"]["language_info"].update(version="3.11.7"),
        ),
        "00_sums", "solutions/00_sums.ipynb",
    ),
    "the solution is half a file": (
        lambda book: (book.root / "solutions" / "00_sums.ipynb").write_text('{"cells": ['),
        "00_sums", "not a notebook",
    ),
    "a lesson is missing": (
        lambda book: (book.root / "lessons" / "01_counters.ipynb").unlink(),
        "01_counters", "lessons/01_counters.ipynb is missing",
    ),
    "a solution is missing": (
        lambda book: (book.root / "solutions" / "01_counters.ipynb").unlink(),
        "01_counters", "solutions/01_counters.ipynb is missing",
    ),
    "the note on what the outputs were made from is missing": (
        lambda book: (book.root / "solutions" / "made_from" / "01_counters.json").unlink(),
        "01_counters", "made_from/01_counters.json is missing",
    ),
    "that note is half a file": (
        lambda book: (book.root / "solutions" / "made_from" / "01_counters.json").write_text("{"),
        "01_counters", "made_from/01_counters.json",
    ),
    "a page is new": (
        lambda book: book.write("02_new", "---\ntitle: New\n---\n\nNew.\n"),
        "02_new", "lessons/02_new.ipynb is missing",
    ),
    "a page is gone": (
        lambda book: (book.root / "book" / "01_counters.md").unlink(),
        "lessons/01_counters.ipynb", "has no page",
    ),
    "a foreign notebook lies among the lessons": (
        lambda book: (book.root / "lessons" / "Untitled.ipynb").write_text("{}"),
        "lessons/Untitled.ipynb", "has no page",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", STALE)
def test_check_notices_that(what, built_book, capsys):
    change, names, words = STALE[what]
    assert built_book.run("--check") == 0
    capsys.readouterr()
    change(built_book)
    assert built_book.run("--check") == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(names)]
    assert any(words in line for line in lines), lines


@pytest.mark.parametrize(
    "what",
    [
        "a lesson was edited",
        "an output was edited in the solution",
        "that note is half a file",
        "a foreign notebook lies among the lessons",
    ],
)
def test_a_build_mends_that(what, built_book):
    before = built_book.bytes()
    STALE[what][0](built_book)
    assert built_book.run() == 0
    assert built_book.bytes() == before


def test_a_comment_where_no_lesson_shows_it_makes_nothing_stale(built_book):
    built_book.replace("tiny/helpers.py", "  # the answer, nearly", "")
    built_book.replace("tiny/helpers.py", '"""A number."""', '"""Some number."""')
    assert built_book.run("--check") == 0


def test_a_module_that_no_lesson_loads_makes_nothing_stale(built_book):
    (built_book.root / "tiny" / "unused.py").write_text("A = 1\n")
    assert built_book.run("--check") == 0


def test_check_executes_nothing_and_writes_nothing(built_book, tmp_path):
    marker = tmp_path / "executed"
    built_book.replace("book/00_sums.md", "import time\n", f"open({str(marker)!r}, 'w')\n")
    before = built_book.bytes()
    assert built_book.run("--check") == 1
    assert not marker.exists()
    assert built_book.bytes() == before


@pytest.fixture(scope="module")
def copy_of_the_real_book(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("real")
    for name in ("book", "minilm", "lessons", "solutions"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    return root


def check_of(root: Path) -> tuple[int, str]:
    """Run the copy's own builder, as a reader would."""
    command = [sys.executable, str(root / "book" / "build.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_real_book_is_up_to_date():
    status, said = check_of(ROOT)
    assert status == 0, said


@pytest.fixture(scope="module")
def said_at_first(copy_of_the_real_book) -> set[str]:
    return set(check_of(copy_of_the_real_book)[1].splitlines())


# One place for each way a real lesson depends on what is written elsewhere.
REAL = {
    "an exercise's function": ("minilm/tokenization/bpe.py", "def count_pairs(", "\n\nX = 1\n"),
    "prose": ("book/01_byte_pairs.md", "\n", "\n\nOne more sentence.\n"),
    "a lesson": ("lessons/01_byte_pairs.ipynb", '"nbformat": 4', " "),
    "a solution": ("solutions/01_byte_pairs.ipynb", '"nbformat": 4', " "),
}


@pytest.mark.parametrize("what", REAL)
def test_check_notices_a_change_in_the_real_book_to(what, copy_of_the_real_book, said_at_first):
    file, place, more = REAL[what]
    path = copy_of_the_real_book / file
    before = path.read_text(encoding="utf-8")
    assert place in before
    path.write_text(before + more, encoding="utf-8")
    try:
        status, said = check_of(copy_of_the_real_book)
    finally:
        path.write_text(before, encoding="utf-8")
    assert status == 1
    # Lines that are there without the change say nothing about it.
    new = set(said.splitlines()) - said_at_first
    assert any(line.startswith("01_byte_pairs: ") for line in new), said


def test_check_notices_a_notebook_missing_from_the_real_book(copy_of_the_real_book):
    path = copy_of_the_real_book / "lessons" / "00_start_here.ipynb"
    before = path.read_bytes()
    path.unlink()
    try:
        status, said = check_of(copy_of_the_real_book)
    finally:
        path.write_bytes(before)
    assert status == 1
    assert "lessons/00_start_here.ipynb is missing" in said
