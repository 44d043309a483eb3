"""The doctor says what is here, what is missing and what to do, in one screen."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from minilm import doctor


@pytest.fixture
def versions(monkeypatch):
    """Lets a test say which versions are installed; None for a package that is not."""
    changed: dict[str, str | None] = {}
    real = metadata.version

    def version(name):
        if name not in changed:
            return real(name)
        if changed[name] is None:
            raise metadata.PackageNotFoundError(name)
        return changed[name]

    monkeypatch.setattr(doctor.metadata, "version", version)
    monkeypatch.setattr(doctor, "threads", lambda: "torch uses 1 threads")
    return changed


def test_it_is_one_screen_and_content_where_all_is_here(versions, capsys):
    assert doctor.main([]) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    assert "The book can be read here." in said
    assert "To mend" not in said
    for words in ("Python", "torch", "transformers", "jupyterlab", "cores", "Desk"):
        assert words in said


def test_a_missing_package_is_named_with_the_command_that_mends_it(versions, capsys):
    versions["ipywidgets"] = None
    assert doctor.main([]) == 1
    said = capsys.readouterr().out
    assert "ipywidgets MISSING" in said
    assert 'pip install -c constraints.txt -e ".[book]"  for ipywidgets' in said
    assert "The book can be read here." not in said


def test_a_missing_package_that_only_tests_need_hinders_no_reader(versions, capsys):
    versions["hypothesis"] = None
    assert doctor.main([]) == 0
    assert '-e ".[test]"  for hypothesis' in capsys.readouterr().out


def test_a_version_outside_the_range_is_named(versions, capsys):
    versions["torch"] = "1.13.0"
    assert doctor.main([]) == 1
    assert "torch 1.13.0 (NEEDS >=2.9,<3)" in capsys.readouterr().out


def test_a_version_in_the_range_that_was_not_tested_is_said_and_fine(versions, capsys):
    versions["tqdm"] = "4.66.0"
    assert doctor.main([]) == 0
    assert "tqdm 4.66.0 (tested: 4." in capsys.readouterr().out


def test_torch_that_does_not_load_is_said(versions, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "threads", lambda: "torch does not load (OSError: libgomp)")
    assert doctor.main([]) == 1
    assert "--force-reinstall" in capsys.readouterr().out


def test_outside_the_repository_the_installed_packages_own_metadata_is_read(tmp_path):
    inside, outside = doctor.packages(), doctor.packages(tmp_path)
    for group in ("", "book", "real"):
        assert [p.name.lower() for p in outside[group]] == [p.name.lower() for p in inside[group]]


def test_it_runs_where_nothing_is_installed():
    """With the standard library alone: every package is missing, and it says so."""
    script = (
        "import sys\n"
        "sys.path = [p for p in sys.path if 'site-packages' not in p]\n"
        f"sys.path.insert(0, {str(doctor.ROOT)!r})\n"
        "from minilm.__main__ import main\n"
        "sys.exit(main(['doctor']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert done.returncode == 1
    assert "torch MISSING" in done.stdout
    assert len(done.stdout.splitlines()) <= 24
    assert 'pip install -c constraints.txt -e ".[book]"' in done.stdout


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"]])
def test_minilm_alone_prints_what_it_can_do(arguments, capsys):
    from minilm.__main__ import main

    assert main(arguments) == 0
    said = capsys.readouterr().out
    for command in ("lab", "desk", "doctor", "bench"):
        assert f"  {command} " in said


def test_an_unknown_command_is_refused_with_the_known_ones(capsys):
    from minilm.__main__ import main

    assert main(["labs"]) == 2
    assert "no command 'labs'" in capsys.readouterr().err


def test_an_error_of_minilm_is_a_sentence_and_not_a_trace(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "minilm", "desk", "--lessons", str(tmp_path)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("There are no lessons in")
    assert len(done.stderr.splitlines()) == 1
