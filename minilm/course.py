"""`python -m minilm course`: the book as an nbgrader course.

nbgrader wants one folder for each assignment, source/NAME/NAME.ipynb; the book keeps its
notebooks flat. Every check is a graded cell worth one point.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from minilm.errors import FileProblem
from minilm.files import read_json, write_atomically
from minilm.lab import ROOT

CONFIG = """\
# Read by nbgrader from the folder of the course.
c.CourseDirectory.course_id = {course!r}
# A check stops an endless answer by itself; this is for everything else, in seconds.
c.ExecutePreprocessor.timeout = 120
"""


def lay_course(solutions: Path, folder: Path) -> list[str]:
    """Lay every lesson that has exercises as an nbgrader assignment, and a configuration.

    solutions: the folder of the solutions, NN_name.ipynb
    folder: the course; made if it is missing. A file that differs is never written over

    Returns the names of the assignments. Raises `FileProblem` when there are no solutions, or
    when a file of the course was changed.
    """
    graded = {path.stem: path.read_text("utf-8") for path in _with_checks(solutions)}
    if not graded:
        raise FileProblem(
            f"There are no lessons with exercises in '{solutions}'. They come with the repository: "
            "clone it and run this from there."
        )
    contents = {folder / "source" / n / f"{n}.ipynb": text for n, text in graded.items()}
    contents[folder / "nbgrader_config.py"] = CONFIG.format(course=folder.resolve().name)
    for path, text in contents.items():
        if path.exists() and path.read_text("utf-8") != text:
            raise FileProblem(
                f"'{path}' is there and differs. Move it away first: nothing is written over."
            )
    for path, text in contents.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)
    return sorted(graded)


def _with_checks(solutions: Path) -> list[Path]:
    found = []
    for path in sorted(solutions.glob("[0-9][0-9]_*.ipynb")):
        cells = read_json(path)["cells"]
        if any(cell["metadata"].get("nbgrader", {}).get("grade") for cell in cells):
            found.append(path)
    return found


def main(arguments: list[str]) -> int:
    """Lay the course and say what to do next; the command `python -m minilm course FOLDER`."""
    parser = argparse.ArgumentParser(
        prog="python -m minilm course",
        description="Lay the book's lessons as an nbgrader course, one assignment each.",
    )
    parser.add_argument("folder", type=Path, help="the course's folder, named like the course")
    parser.add_argument("--solutions", type=Path, default=ROOT / "solutions")
    given = parser.parse_args(arguments)
    names = lay_course(given.solutions, given.folder)
    print(f"In {given.folder}: {', '.join(names)}. In that folder, for each of them:")
    print(f"  nbgrader generate_assignment {names[0]}    makes release/, which students get")
    print(f"  nbgrader autograde {names[0]}              grades what lies in submitted/")
    return 0
