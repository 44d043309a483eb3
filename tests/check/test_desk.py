"""The desk keeps right answers from one lesson to the next, and never loses a reader's work."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from minilm.check import desk, installing

RIGHT = """
def total(numbers, start=0):
    if start < 0:
        raise ValueError("negative")
    return start + sum(numbers)
"""


def answer_file(folder: Path, lesson: str = "01_toys", name: str = "total") -> Path:
    return folder / "answers" / lesson / f"{name}.py"


def restart(toys: Any) -> None:
    """What a fresh kernel begins with: minilm's own functions."""
    for exercise in toys.values():
        installing.restore(exercise)


def kept(notebook: Any, desk_folder: Path, definition: str) -> str:
    """Check a definition of total, and return the text that was kept."""
    out = notebook.run(definition + "\ncheck(total)")
    assert out.count("\n") == 1, out
    return answer_file(desk_folder).read_text()


def test_a_right_answer_is_kept_and_taken_up_again(
    notebook: Any, desk_folder: Path, toys: Any, toy_home: Any
) -> None:
    own = toy_home.total
    notebook.run(RIGHT + "check(total)")
    restart(toys)
    assert toy_home.total is own
    assert notebook.run("desk.load()") == "1 function of yours in use: total.\n"
    assert toy_home.total is not own
    assert toy_home.total([1, 2]) == 3


def test_a_wrong_answer_is_not_kept(notebook: Any, desk_folder: Path) -> None:
    notebook.fail("def total(numbers, start=0): return 1\ncheck(total)")
    assert not desk_folder.exists()


def test_an_empty_desk_gives_a_fixed_line(notebook: Any, desk_folder: Path) -> None:
    line = "No answers of yours yet: minilm's own functions are used.\n"
    assert notebook.run("desk.load()") == line
    desk_folder.mkdir()
    assert notebook.run("desk.load()") == line


def test_a_name_that_was_imported_and_then_defined_anew_is_kept_as_defined(
    notebook: Any, desk_folder: Path, toys: Any, toy_home: Any
) -> None:
    notebook.run("from math import floor as first")
    notebook.run("def first(numbers): return sum(numbers)")
    text = kept(
        notebook,
        desk_folder,
        "def total(numbers, start=0):\n    if start < 0: raise ValueError\n"
        "    return start + first(numbers)",
    )
    assert "import" not in text
    assert "def first(numbers):" in text


def test_imports_helpers_and_constants_are_kept_with_the_answer(
    notebook: Any, desk_folder: Path, toys: Any, toy_home: Any
) -> None:
    notebook.run("import itertools as it\nfrom collections import Counter\nimport re, math")
    notebook.run(
        "LETTERS = {'a': 1, 'b': (2, 3)}\nPATTERN = re.compile('[ab]+', re.I)\nUNUSED = object()"
    )
    notebook.run("def checked(start):\n    if start < 0: raise ValueError\n    return start")
    notebook.run(
        "class Sum:\n    def __init__(self, start): self.value = checked(start)\n"
        "    def add(self, n): self.value += n; return self"
    )
    text = kept(
        notebook,
        desk_folder,
        "def total(numbers: list[int], start: int = 0) -> int:\n"
        "    assert PATTERN.match('ABBA') and LETTERS['b'] == (2, 3)\n"
        "    assert math.inf > 1 and Counter('aa')['a'] == 2\n"
        "    s = Sum(start)\n"
        "    for n in it.chain(numbers): s.add(n)\n"
        "    return s.value",
    )
    assert "UNUSED" not in text
    restart(toys)
    assert notebook.run("desk.load()").startswith("1 function of yours")
    assert toy_home.total([1, 2], 3) == 6


def test_a_kept_answer_runs_in_a_fresh_python(notebook: Any, desk_folder: Path) -> None:
    notebook.run("from functools import reduce\nimport operator")
    kept(
        notebook,
        desk_folder,
        "def total(numbers, start=0):\n    if start < 0: raise ValueError\n"
        "    return reduce(operator.add, numbers, start)",
    )
    space: dict[str, Any] = {}
    exec(answer_file(desk_folder).read_text(), space)
    assert space["total"]([1, 2]) == 3


@pytest.mark.parametrize(
    "definition",
    [
        "total = lambda numbers, start=0: sum(numbers, start) if start >= 0 else int('')",
        "def mine(numbers, start=0):\n    if start < 0: raise ValueError\n"
        "    return sum(numbers, start)\ntotal = mine",
        "import functools\ndef plainly(f):\n    @functools.wraps(f)\n"
        "    def g(*a, **k): return f(*a, **k)\n    return g\n"
        "@plainly\ndef total(numbers, start=0):\n    if start < 0: raise ValueError\n"
        "    return sum(numbers, start)",
        "def total(numbers, start=0):\n    if start < 0: raise ValueError\n"
        "    return total(numbers[1:], start + numbers[0]) if numbers else start",
        "def maker(least):\n    def total(numbers, start=0):\n"
        "        if start < least: raise ValueError\n        return sum(numbers, start)\n"
        "    return total\ntotal = maker(0)",
        "%matplotlib --list\ndef total(numbers, start=0):\n    if start < 0: raise ValueError\n"
        "    return sum(numbers, start)",
        "from __future__ import annotations\ndef total(numbers: Nowhere, start=0) -> Nothing:\n"
        "    if start < 0: raise ValueError\n    return sum(numbers, start)",
        "Numbers = list[int]\ndef total(numbers: Numbers, start=0) -> int:\n"
        "    if start < 0: raise ValueError\n    return sum(numbers, start)",
        "def total(values, /, first=0):\n    if first < 0: raise ValueError\n"
        "    return sum(values, first)",
    ],
)
def test_definitions_of_every_form_are_kept(
    notebook: Any, desk_folder: Path, toys: Any, toy_home: Any, definition: str
) -> None:
    notebook.run(definition)
    notebook.run("check(total)")
    restart(toys)
    assert notebook.run("desk.load()") == "1 function of yours in use: total.\n"
    assert toy_home.total([1, 2], start=3) == 6


@pytest.mark.parametrize(
    ("before", "use", "says"),
    [
        ("thing = object()", "thing", "it uses `thing`, an object made in the notebook"),
        ("big = list(range(9000))", "big", "it uses `big`, a list made in the notebook"),
        ("import io\nlog = io.StringIO()", "log", "it uses `log`, a StringIO made"),
        ("from functools import partial\nadd = partial(sum, [])", "add", "it uses `add`"),
    ],
)
def test_what_cannot_be_written_down_is_said(
    notebook: Any, desk_folder: Path, before: str, use: str, says: str
) -> None:
    notebook.run(before)
    out = notebook.run(RIGHT.replace("    if", f"    {use}\n    if") + "check(total)")
    first, second = out.splitlines()
    assert first.startswith("total: right.")
    assert second.startswith("total is kept for this session only: ")
    assert says in second
    assert not desk_folder.exists()


def test_a_different_older_answer_is_kept_beside_the_new(notebook: Any, desk_folder: Path) -> None:
    first = kept(notebook, desk_folder, RIGHT)
    second = kept(notebook, desk_folder, RIGHT.replace("negative", "below zero"))
    third = kept(notebook, desk_folder, RIGHT.replace("negative", "less than zero"))
    folder = answer_file(desk_folder).parent
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "total.py": third,
        "total.1.py": first,
        "total.2.py": second,
    }


def test_the_same_answer_again_writes_nothing(notebook: Any, desk_folder: Path) -> None:
    kept(notebook, desk_folder, RIGHT)
    before = answer_file(desk_folder).stat().st_mtime_ns
    kept(notebook, desk_folder, RIGHT)
    assert answer_file(desk_folder).stat().st_mtime_ns == before
    assert len(list(answer_file(desk_folder).parent.iterdir())) == 1


def test_going_back_and_forth_fills_no_folder(notebook: Any, desk_folder: Path) -> None:
    for _ in range(3):
        kept(notebook, desk_folder, RIGHT)
        kept(notebook, desk_folder, RIGHT.replace("negative", "below zero"))
    assert len(list(answer_file(desk_folder).parent.iterdir())) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def total(numbers, start=0:\n    return 1\n", "it stops with SyntaxError"),
        ("import nowhere_at_all\n", "it stops with ModuleNotFoundError"),
        ("raise SystemExit\n", "it stops with SystemExit"),
        ("", "it does not define total."),
        ("total = 3\n", "it does not define total."),
        ("def total(numbers): return 1\n", "It takes 1 argument"),
        ("def total(numbers, start=0): return 1\n", "it no longer gives the right answers."),
        ("def total(numbers, start=0): return numbers[0]\n", "it stops with IndexError"),
        ("def total(numbers, start=0):\n    while True: pass\n", "it does not come to an end."),
        ("def total(numbers, start=0): return 1 / 0\n", "it stops with ZeroDivisionError"),
        ("\udcff", "it cannot be read"),
    ],
)
def test_a_broken_answer_file_is_named_and_the_lesson_goes_on(
    notebook: Any, desk_folder: Path, toy_home: Any, text: str, says: str
) -> None:
    own = toy_home.total
    answer_file(desk_folder).parent.mkdir(parents=True)
    answer_file(desk_folder).write_bytes(text.encode("utf-8", "surrogateescape"))
    out = notebook.run("desk.load()")
    assert out.count("\n") == 1
    assert out.startswith(f"{answer_file(desk_folder)} is not used, minilm's own total is: ")
    assert says in out
    assert "Correct the file, or delete it" in out
    assert toy_home.total is own


def test_a_file_below_the_readers_folder_is_named_from_there(
    notebook: Any, desk_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_file(desk_folder).parent.mkdir(parents=True)
    answer_file(desk_folder).write_text("(")
    monkeypatch.chdir(desk_folder)
    out = notebook.run("desk.load()")
    assert out.startswith(os.path.join("answers", "01_toys", "total.py is not used"))


def test_a_broken_answer_file_is_never_overwritten(notebook: Any, desk_folder: Path) -> None:
    answer_file(desk_folder).parent.mkdir(parents=True)
    answer_file(desk_folder).write_text("my precious half-finished thought (")
    kept(notebook, desk_folder, RIGHT)
    beside = answer_file(desk_folder, name="total.1")
    assert beside.read_text() == "my precious half-finished thought ("


def test_load_stops_at_the_lesson_it_is_given(notebook: Any, toys: Any) -> None:
    notebook.run(RIGHT + "check(total)")
    notebook.run("def mean(numbers):\n    return sum(numbers) / len(numbers)\ncheck(mean)")
    restart(toys)
    assert notebook.run("desk.load('01_toys')") == "1 function of yours in use: total.\n"
    restart(toys)
    assert notebook.run("desk.load()") == "2 functions of yours in use: total, mean.\n"
    assert "There are: 01_toys, 02_more_toys." in str(notebook.fail("desk.load('03_none')"))


def test_a_file_instead_of_a_desk_costs_only_the_keeping(notebook: Any, desk_folder: Path) -> None:
    desk_folder.write_text("not a folder")
    out = notebook.run(RIGHT + "check(total)")
    assert out.startswith("total: right.")
    assert "total is kept for this session only: it could not be written to" in out
    assert notebook.run("desk.load()").startswith("No answers of yours yet")


@pytest.mark.parametrize(
    "refusal", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")]
)
def test_a_disk_that_refuses_costs_only_the_keeping(
    notebook: Any, monkeypatch: pytest.MonkeyPatch, refusal: OSError
) -> None:
    def refuse(path: Any, content: Any) -> None:
        raise refusal

    monkeypatch.setattr(desk, "write_atomically", refuse)
    out = notebook.run(RIGHT + "check(total)")
    assert out.startswith("total: right.")
    assert out.endswith(f"({refusal.strerror}).\n")


@pytest.fixture
def no_desk_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINILM_DESK", raising=False)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)


def test_the_desk_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_desk_named: None
) -> None:
    monkeypatch.setenv("MINILM_DESK", str(tmp_path / "mine"))
    assert desk.where() == tmp_path / "mine"
    monkeypatch.setenv("MINILM_DESK", os.devnull)
    assert desk.where() is None
    monkeypatch.setenv("MINILM_DESK", str(tmp_path / "mine"))
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert desk.where() is None


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("course/desk", "course/desk"),
        ("course/desk/notes/more", "course/desk"),
        ("course", "course/desk"),
        ("checkout", "checkout/desk"),
        ("checkout/lessons", "checkout/desk"),
        ("checkout/desk", "checkout/desk"),
        ("checkout/solutions", None),
        ("other_project/solutions", "other_project/solutions/desk"),
    ],
)
def test_the_desk_is_the_nearest_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_desk_named: None, here: str, there: str
) -> None:
    for project, name in (("checkout", "minilm"), ("other_project", "minilm-notes")):
        (tmp_path / project).mkdir()
        (tmp_path / project / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    (tmp_path / here).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / here)
    assert desk.where() == (tmp_path / there if there else None)


def test_without_a_folder_to_stand_in_there_is_no_desk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_desk_named: None
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert desk.where() is None
    monkeypatch.chdir(tmp_path)


def test_the_bench_is_light_to_import() -> None:
    import subprocess

    code = (
        "import sys, minilm.check\n"
        "heavy = {'torch', 'numpy', 'transformers', 'tokenizers', 'matplotlib', 'IPython'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert not any(name.startswith('minilm.tokenization') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
