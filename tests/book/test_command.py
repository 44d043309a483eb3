"""The builder as it is started in a shell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options]
    return subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, timeout=120)


def test_help_tells_how_a_page_is_written():
    done = build(str(ROOT / "book" / "build.py"), "--help")
    assert done.returncode == 0
    for word in ("[exercise]", "[show]", "[varies]", "check(function)", "--check", "--all"):
        assert word in done.stdout


def test_a_python_without_what_the_book_needs_is_told_what_to_install():
    done = build("-S", str(ROOT / "book" / "build.py"), "--check")
    assert done.returncode == 1
    assert "make build" in done.stderr
    assert "Traceback" not in done.stderr
