"""The two commands of the README on machines that lack something, with a Python that only pretends."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Stands for the environment's Python: writes down what it is asked, and fails where told to.
PRETENDER = """\
#!/bin/sh
echo "$@" >> "{calls}"
case "$*" in
  *"pip install"*) [ ! -e "{calls}.no-install" ] ;;
  *version_info*) [ ! -e "{calls}.old" ] ;;
  *ensurepip*) [ ! -e "{calls}.no-venv" ] ;;
  *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *"pip --version"*) [ "$0" = .venv/bin/python ] ;;
  --version) echo "Python 3.11.7" ;;
esac
"""


class Clone:
    """A fresh clone, on a machine with only the pretender for a Python."""

    def __init__(self, folder: Path):
        self.folder = folder / "clone"
        self.folder.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.folder)
        self.calls = folder / "calls"
        programs = folder / "programs"
        programs.mkdir()
        for name in ("sh", "mkdir", "cp", "touch", "sed", "awk", "rm", "find", "env", "cat", "id"):
            (programs / name).symlink_to(shutil.which(name))
        for name in ("python", "python3"):
            self.pretend(programs / name)
        self.path = str(programs)

    def pretend(self, path: Path) -> None:
        path.write_text(PRETENDER.format(calls=self.calls))
        path.chmod(0o755)

    def lacks(self, what: str, yes: bool = True) -> None:
        mark = Path(f"{self.calls}.{what}")
        mark.touch() if yes else mark.unlink()

    def make(self, *arguments: str) -> tuple[int, str, str]:
        """Returns exit status, everything printed, and what the pretender was asked."""
        self.calls.unlink(missing_ok=True)
        environment = {"PATH": self.path, "HOME": str(self.folder)}
        done = subprocess.run(
            [shutil.which("make"), *arguments], cwd=self.folder, env=environment,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        asked = self.calls.read_text() if self.calls.exists() else ""
        return done.returncode, done.stdout + done.stderr, asked

    def stamps(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob(".venv/*.stamp"))


@pytest.fixture
def clone(tmp_path) -> Clone:
    return Clone(tmp_path)


def test_make_lab_makes_the_environment_and_starts_the_lab(clone):
    status, _, asked = clone.make("lab")
    assert status == 0
    assert "-m venv --clear .venv" in asked
    assert "pip install --disable-pip-version-check -c constraints.txt -e .[book]" in asked
    assert asked.splitlines()[-1] == "-m minilm lab"
    assert clone.stamps() == ["book.stamp"]


def test_the_port_and_the_lesson_are_handed_on(clone):
    _, _, asked = clone.make("lab", "PORT=9000", "LESSON=01")
    assert asked.splitlines()[-1] == "-m minilm lab --port 9000 --lesson 01"


def test_make_test_installs_what_tests_need_and_runs_them(clone):
    status, _, asked = clone.make("test")
    assert status == 0
    assert "-e .[test,real]" in asked
    assert asked.splitlines()[-1] == "-m pytest -n 2 --dist loadscope --no-loadscope-reorder"
    # …and whoever ran the tests can read without installing again.
    assert "pip install" not in clone.make("lab")[2]


def test_the_second_time_nothing_is_installed(clone):
    clone.make("lab")
    assert clone.make("lab")[2].splitlines() == ["-m minilm lab"]


@pytest.mark.parametrize("file", ["pyproject.toml", "constraints.txt"])
def test_a_change_in_what_is_asked_for_is_installed(file, clone):
    clone.make("lab")
    stamp = clone.folder / ".venv" / "book.stamp"
    os.utime(clone.folder / file, ns=(stamp.stat().st_mtime_ns + 10**9,) * 2)
    assert "pip install" in clone.make("lab")[2]


def test_an_install_that_fails_leaves_no_stamp_and_is_tried_again(clone):
    clone.lacks("no-install")
    status, _, asked = clone.make("lab")
    assert status != 0
    assert clone.stamps() == []
    assert "minilm lab" not in asked
    clone.lacks("no-install", yes=False)
    status, _, asked = clone.make("lab")
    assert status == 0
    assert "pip install" in asked
    assert "-m venv" not in asked  # what was made is not made again


def test_a_python_too_old_is_one_clear_message(clone):
    clone.lacks("old")
    status, said, asked = clone.make("test")
    assert status != 0
    assert "minilm needs Python 3.11 or newer, and found: Python 3.11.7" in said
    assert "PYTHON=/path" in said
    assert "-m venv" not in asked
    assert clone.stamps() == []


def test_a_python_without_venv_is_told_what_to_install(clone):
    clone.lacks("no-venv")
    status, said, _ = clone.make("lab")
    assert status != 0
    assert "sudo apt-get install python3-venv" in said
    assert not (clone.folder / ".venv").exists()


def test_an_environment_that_no_longer_works_is_made_anew(clone):
    (clone.folder / ".venv" / "bin").mkdir(parents=True)
    (clone.folder / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
    status, _, asked = clone.make("doctor")
    assert status == 0
    assert asked.splitlines()[-1] == "-m minilm doctor"
    (clone.folder / ".venv" / "bin" / "python").unlink()
    status, _, asked = clone.make("lab")
    assert status == 0
    assert "-m venv --clear .venv" in asked


def test_make_clean_leaves_the_desk(clone):
    clone.make("lab")
    for folder in ("desk", "build", "minilm", "book", "tests"):
        (clone.folder / folder).mkdir()
        (clone.folder / folder / "file").write_text("mine")
    status, said, _ = clone.make("clean")
    assert status == 0, said
    assert (clone.folder / "desk" / "file").read_text() == "mine"
    assert not (clone.folder / "build").exists()
    assert not (clone.folder / ".venv").exists()
    assert (clone.folder / "minilm" / "file").exists()


def test_make_alone_tells_what_there_is(clone):
    status, said, asked = clone.make()
    assert status == 0
    for target in ("lab", "test", "test-browser", "build", "check", "bench", "doctor", "clean"):
        assert f"  {target} " in said
    assert asked == ""


def test_the_browser_tests_without_chromium_say_what_to_install(clone):
    for name in ("apt-get", "sudo"):
        (Path(clone.path) / name).write_text("#!/bin/sh\nexit 1\n")
        (Path(clone.path) / name).chmod(0o755)
    (Path(clone.path) / "id").unlink()
    (Path(clone.path) / "id").write_text("#!/bin/sh\necho 1000\n")
    (Path(clone.path) / "id").chmod(0o755)
    status, said, asked = clone.make("test-browser")
    assert status != 0
    assert "sudo apt-get install chromium" in said
    assert "tests/browser" not in asked
    (Path(clone.path) / "chromium").symlink_to(shutil.which("true"))
    status, said, asked = clone.make("test-browser")
    assert status == 0
    assert asked.splitlines()[-1] == "-m pytest tests/browser"
