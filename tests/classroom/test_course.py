"""The course that `python -m minilm course` lays is one that nbgrader takes as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minilm import course
from minilm.errors import FileProblem

ROOT = Path(__file__).resolve().parents[2]


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_nbgrader_hands_out_the_books_lessons_from_it(tmp_path, capsys):
    folder = tmp_path / "tokens"
    assert course.main([str(folder)]) == 0
    assert "nbgrader generate_assignment 01_byte_pairs" in capsys.readouterr().out
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "generate_assignment", "01_byte_pairs"],
        cwd=folder, capture_output=True, text=True, timeout=300,
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    handed_out = folder / "release" / "01_byte_pairs" / "01_byte_pairs.ipynb"
    assert handed_out.read_bytes() == (ROOT / "lessons" / "01_byte_pairs.ipynb").read_bytes()


def test_a_lesson_without_exercises_is_no_assignment(tmp_path):
    names = course.lay_course(ROOT / "solutions", tmp_path / "c")
    assert "01_byte_pairs" in names
    assert "00_start_here" not in names


def test_laying_twice_changes_nothing_and_a_teachers_change_stays(tmp_path):
    course.lay_course(ROOT / "solutions", tmp_path / "c")
    before = files_in(tmp_path / "c")
    course.lay_course(ROOT / "solutions", tmp_path / "c")
    assert files_in(tmp_path / "c") == before

    config = tmp_path / "c" / "nbgrader_config.py"
    config.write_text("c.mine = 1\n")
    with pytest.raises(FileProblem, match="differs"):
        course.lay_course(ROOT / "solutions", tmp_path / "c")
    assert config.read_text() == "c.mine = 1\n"


def test_no_solutions_is_one_clear_error(tmp_path):
    with pytest.raises(FileProblem, match="clone"):
        course.lay_course(tmp_path, tmp_path / "c")
    assert not (tmp_path / "c").exists()
