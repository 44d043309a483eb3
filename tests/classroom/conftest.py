"""A course in a temporary folder, graded by the real nbgrader."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest

Notebook = nbformat.NotebookNode


@dataclass
class Course:
    """One assignment, handed out, handed in and graded."""

    folder: Path
    name: str
    students: list[str] = field(default_factory=list)
    said: str = ""

    def nbgrader(self, *command: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *command],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
            env={
                **os.environ,
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
                "HOME": str(self.folder),
                "JUPYTER_PREFER_ENV_PATH": "1",
                "IPYTHONDIR": str(self.folder / "ipython"),
                "MINILM_DESK": str(self.folder / "desk"),
            },
        )
        self.said += done.stdout + done.stderr
        assert done.returncode == 0, self.said

    def release(self, solution: Path) -> None:
        """Hand out what nbgrader makes of a solution."""
        source = self.folder / "source" / self.name / f"{self.name}.ipynb"
        source.parent.mkdir(parents=True)
        source.write_bytes(solution.read_bytes())
        # A busy machine fails nobody.
        (self.folder / "nbgrader_config.py").write_text("c.ExecutePreprocessor.timeout = 600\n")
        self.nbgrader("generate_assignment", self.name, "--create")

    def hand_in(self, student: str, change: Callable[[Notebook], None]) -> None:
        """Copy the lesson that was handed out, change it as the student did, and hand it in."""
        released = self.folder / "release" / self.name / f"{self.name}.ipynb"
        notebook = nbformat.read(released, as_version=4)
        change(notebook)
        place = self.folder / "submitted" / student / self.name
        place.mkdir(parents=True)
        nbformat.write(notebook, place / released.name)
        self.students.append(student)

    def grade(self) -> None:
        self.nbgrader("autograde", self.name)

    def scores(self, student: str) -> dict[str, float]:
        """Points by check, from nbgrader's own gradebook."""
        from nbgrader.api import Gradebook

        with Gradebook(f"sqlite:///{self.folder / 'gradebook.db'}") as book:
            submission = book.find_submission_notebook(self.name, self.name, student)
            return {grade.name: grade.score for grade in submission.grades}

    def outputs(self, student: str) -> str:
        graded = self.folder / "autograded" / student / self.name / f"{self.name}.ipynb"
        return graded.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def new_course(tmp_path_factory):
    def make(solution: Path) -> Course:
        course = Course(tmp_path_factory.mktemp("course"), solution.stem)
        (course.folder / "desk").mkdir()
        course.release(solution)
        return course

    return make


def exercise_cells(notebook: Notebook) -> dict[str, Notebook]:
    return {
        cell.metadata["nbgrader"]["grade_id"]: cell
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }


@pytest.fixture(scope="session")
def exercises():
    """The exercise cells of a notebook, by name."""
    return exercise_cells


@pytest.fixture(scope="session")
def answering():
    """A student's hand: fills in a solution's answers, each changed as told."""

    def prepare(solution: Path, change: Callable[[str, str], str] = lambda name, text: text):
        answers = exercise_cells(nbformat.read(solution, as_version=4))

        def fill_in(notebook: Notebook) -> None:
            for name, cell in exercise_cells(notebook).items():
                cell.source = change(name, answers[name].source)

        return fill_in

    return prepare
