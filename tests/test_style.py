"""One form, no lint, honest types: the tools' own verdicts."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_has_the_formatters_form():
    run("ruff", "format", "--check", ".")


def test_the_linter_finds_nothing():
    run("ruff", "check", ".")


def test_the_types_of_the_package_hold():
    run("mypy")


def modules() -> list[Path]:
    return sorted((ROOT / "minilm").rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_things_say_what_they_are(path):
    """A docstring for each module, public class and public function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path.read_text(encoding="utf-8").strip():
        assert ast.get_docstring(tree), "the module"
    if "catalogue" in path.parts:
        return  # a wrong variant is described by its mistake
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


def test_the_project_speaks_of_itself_alone():
    """No emoji walls, no drawn boxes, no addresses of the machine it was written on."""
    for path in [*modules(), *sorted((ROOT / "book").glob("*.md")), ROOT / "README.md"]:
        text = path.read_text(encoding="utf-8")
        assert not any("\u2500" <= character <= "\u257f" for character in text), path
        assert "/work/" not in text, path
