"""Building: the same bytes every time, nbgrader's bytes for the lessons, nothing half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]


def generate_assignment(solution: Path, folder: Path) -> bytes:
    """What the real `nbgrader generate_assignment` makes of a solution."""
    name = solution.stem
    source = folder / "source" / name / solution.name
    source.parent.mkdir(parents=True)
    source.write_bytes(solution.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "nbgrader", "generate_assignment", name, "--create"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=120,
        env={
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            # Settings of whoever runs the tests must not change what is generated.
            "HOME": str(folder),
            "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        },
    )
    return (folder / "release" / name / solution.name).read_bytes()


def test_two_builds_are_the_same_bytes(built_book):
    first = built_book.bytes()
    assert built_book.run("--all") == 0
    assert built_book.bytes() == first


def test_a_build_elsewhere_gives_the_same_bytes(built_book, fresh_book):
    assert fresh_book.run() == 0
    assert fresh_book.bytes() == built_book.bytes()
    assert set(fresh_book.bytes()) == {
        f"{folder}/{name}"
        for name in ("00_sums", "01_counters")
        for folder, name in (
            ("lessons", f"{name}.ipynb"),
            ("solutions", f"{name}.ipynb"),
            ("solutions", f"made_from/{name}.json"),
        )
    }


@pytest.mark.parametrize("name", ["00_sums", "01_counters"])
def test_a_lesson_is_what_nbgrader_generates(built_book, name, tmp_path):
    generated = generate_assignment(built_book.root / "solutions" / f"{name}.ipynb", tmp_path / "c")
    assert generated == (built_book.root / "lessons" / f"{name}.ipynb").read_bytes()


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "solutions").glob("*.ipynb")))
def test_a_lesson_of_the_real_book_is_what_nbgrader_generates(name, tmp_path):
    generated = generate_assignment(ROOT / "solutions" / f"{name}.ipynb", tmp_path / "c")
    assert generated == (ROOT / "lessons" / f"{name}.ipynb").read_bytes()


def cells_of(book, kind: str, name: str) -> dict[str, nbformat.NotebookNode]:
    notebook = nbformat.read(book.root / kind / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    return {cell["id"]: cell for cell in notebook.cells}


def test_a_lesson_keeps_signature_and_docstring_and_nothing_of_the_body(built_book):
    lesson = cells_of(built_book, "lessons", "00_sums")
    assert lesson["add_up"].source.split("\n") == [
        "def add_up(numbers: list[int]) -> int:",
        '    """Add numbers up.',
        "",
        "    numbers: whole numbers",
        '    """',
        "    # YOUR CODE HERE",
        "    raise NotImplementedError()",
    ]
    assert all(not cell.get("outputs") for cell in lesson.values())
    assert all(cell.get("execution_count") is None for cell in lesson.values())


def test_a_class_is_blanked_method_by_method(built_book):
    assert cells_of(built_book, "lessons", "01_counters")["Counter"].source.split("\n") == [
        "class Counter:",
        '    """Counts."""',
        "",
        "    step = 1",
        "",
        "    def __init__(self, start: int = 0):",
        "        # YOUR CODE HERE",
        "        raise NotImplementedError()",
        "",
        "    def up(self) -> int:",
        '        """One more."""',
        "        # YOUR CODE HERE",
        "        raise NotImplementedError()",
    ]


def test_a_solution_is_graded_where_its_check_stands(built_book):
    cells = cells_of(built_book, "solutions", "00_sums")
    exercise = cells["add_up"].metadata["nbgrader"]
    check = cells["check_add_up"].metadata["nbgrader"]
    assert exercise == {
        "grade": False, "grade_id": "add_up", "locked": False, "schema_version": 3,
        "solution": True, "task": False,
    }  # fmt: skip
    assert check == {
        "grade": True, "grade_id": "check_add_up", "locked": True, "points": 1,
        "schema_version": 3, "solution": False, "task": False,
    }  # fmt: skip
    assert cells["check_add_up"].outputs[0].text == "add_up is right\n"


def test_a_shown_function_is_prose(built_book):
    shown = [c for c in cells_of(built_book, "lessons", "00_sums").values() if "hello" in c.source]
    assert [cell.cell_type for cell in shown] == ["markdown"]
    assert "```python\ndef greeting() -> str:" in shown[0].source


def test_ids_are_readable_and_metadata_names_no_machine(built_book):
    text = (built_book.root / "solutions" / "00_sums.ipynb").read_text()
    assert list(cells_of(built_book, "solutions", "00_sums")) == [
        "sums-1", "sums-2", "sums-3", "adding-up-1", "add_up", "check_add_up",
        "adding-up-2", "adding-up-3", "adding-up-4",
    ]  # fmt: skip
    assert json.loads(text)["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "title": "Sums",
    }
    assert str(built_book.root) not in text


def test_what_depends_on_the_machine_is_not_stored(built_book):
    cell = cells_of(built_book, "solutions", "00_sums")["adding-up-4"]
    assert cell.metadata["tags"] == ["varies", "nbval-ignore-output"]
    assert "depends on your machine" in cell.outputs[0].text
    assert not any(character.isdigit() for character in cell.outputs[0].text)


def test_one_page_can_be_built_by_name_or_number(built_book, capsys):
    before = built_book.bytes()
    for path in (built_book.root / "lessons").iterdir():
        path.unlink()
    for name in ("01", "01_counters", "book/01_counters.md"):
        assert built_book.run(name) == 0
        assert "01_counters" in capsys.readouterr().out
    assert set(before) - set(built_book.bytes()) == {"lessons/00_sums.ipynb"}


def test_an_unknown_page_is_refused_with_the_known_ones(built_book, capsys):
    with pytest.raises(SystemExit):
        built_book.run("07")
    assert "00_sums, 01_counters" in capsys.readouterr().err


def test_only_what_is_stale_is_built_without_names(built_book, capsys):
    built_book.replace("book/01_counters.md", "without sums", "with none")
    assert built_book.run() == 0
    said = capsys.readouterr().out
    assert "01_counters …" in said
    assert "00_sums" not in said
    assert built_book.run() == 0
    assert "up to date" in capsys.readouterr().out


def test_a_page_that_fails_leaves_its_notebooks_as_they_were(built_book, capsys):
    before = built_book.bytes()
    built_book.replace("book/00_sums.md", "print(add_up([1, 2]), figures())", "print(missing)")
    assert built_book.run() == 1
    said = capsys.readouterr().out
    assert "00_sums.md, line 39" in said
    assert "NameError: name 'missing' is not defined" in said
    assert built_book.bytes() == before
    # …and is stale, so that nobody takes the old notebooks for new ones.
    assert built_book.run("--check") == 1


def test_a_leftover_is_deleted_by_a_whole_build(built_book):
    (built_book.root / "book" / "01_counters.md").unlink()
    assert built_book.run() == 0
    assert not any("counters" in name for name in built_book.bytes())
    assert built_book.run("--check") == 0


def test_what_a_reader_has_on_the_desk_is_not_seen(fresh_book, tmp_path, monkeypatch):
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "answer.py").write_text("mine")
    monkeypatch.setenv("MINILM_DESK", str(tmp_path / "desk"))
    monkeypatch.delenv("MINILM_STATIC", raising=False)
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    fresh_book.write(
        "00_sums",
        "---\ntitle: Desk\n---\n\n```{code-cell}\nimport os\n"
        "print(os.listdir(os.environ['MINILM_DESK']), os.environ['MINILM_STATIC'],\n"
        "      os.environ['HF_HUB_OFFLINE'], 'NBGRADER_EXECUTION' in os.environ, os.listdir())\n```\n",
    )
    assert fresh_book.run("00") == 0
    assert cells_of(fresh_book, "solutions", "00_sums")["desk-2"].outputs[0].text == (
        "[] 1 1 False []\n"
    )
