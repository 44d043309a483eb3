"""What is asked for is said once: pyproject.toml, and everything else agrees with it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def requirements(*extras: str) -> list[Requirement]:
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    return [one for one in map(Requirement, lines) if one.name != "minilm"]


def constraints() -> dict[str, str]:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            assert canonicalize_name(name) not in pins, f"{name} is pinned twice"
            pins[canonicalize_name(name)] = version
    return pins


@pytest.mark.parametrize("requirement", requirements(*EXTRAS), ids=lambda one: one.name)
def test_a_tested_version_is_pinned_and_lies_in_its_range(requirement):
    pinned = constraints()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pinned)
    # A local version such as 2.13.0+cpu would not be found everywhere.
    assert Version(pinned).local is None


def test_a_range_says_a_lowest_version_and_the_next_major_stops_it():
    without_end = {"regex", "setuptools"}  # numbered by year; the build's own
    for requirement in requirements(*EXTRAS):
        operators = {one.operator for one in requirement.specifier}
        expected = {">="} if requirement.name in without_end else {">=", "<"}
        assert operators == expected, requirement


def test_what_runs_here_is_what_is_pinned():
    """The tests vouch for the versions in constraints.txt only if they ran with them."""
    from importlib import metadata

    pins = constraints()
    for requirement in requirements("book", "test", "real"):
        installed = metadata.version(requirement.name).split("+")[0]
        assert installed == pins[canonicalize_name(requirement.name)], requirement.name


def test_conda_and_binder_get_the_same_ranges():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, last = environment["dependencies"]
    assert environment["name"] == "minilm"
    assert environment["channels"][0] == "conda-forge"
    assert f"python{PROJECT['requires-python']}" in conda
    assert "pip" in conda
    (torch,) = [Requirement(line) for line in conda if line.startswith("pytorch")]
    assert torch.name == "pytorch-cpu"
    wanted = next(one for one in requirements() if one.name == "torch")
    # The same end; the start is the first that conda-forge's pytorch-cpu and our range share.
    assert str(torch.specifier) == "<3,>=2.11"
    assert wanted.specifier.contains("2.11")
    assert "<3" in str(wanted.specifier)

    pip = last["pip"]
    assert pip[-1] == "-e ."
    asked = [str(one) for one in requirements("book") if one.name != "torch"]
    assert [str(Requirement(line)) for line in pip[:-1]] == asked


def test_the_lessons_are_for_readers_and_the_tests_for_everybody():
    assert "minilm[book]" in EXTRAS["test"]
    names = {one.name for one in requirements()}
    assert names == {
        "torch", "numpy", "safetensors", "regex", "jinja2", "huggingface_hub", "tqdm", "matplotlib",
    }  # fmt: skip


def tracked(folder: str) -> set[str]:
    """What lies under a folder and is not ignored by git, generated files of Python aside."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def test_a_wheel_holds_every_file_of_the_package(tmp_path):
    script = (
        "import sys\nfrom setuptools import build_meta\nprint(build_meta.build_wheel(sys.argv[1]))"
    )
    # A copy, so that building leaves nothing behind here.
    import shutil

    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "minilm", source / "minilm")
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=source, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("minilm-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("minilm/")}
        metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        said = archive.read(metadata).decode("utf-8")
        licenses = [name for name in archive.namelist() if name.endswith("LICENSE")]
    assert held == tracked("minilm")
    assert "minilm/py.typed" in held
    assert licenses
    assert "Requires-Python: >=3.11" in said


def test_the_version_is_said_once():
    import minilm

    assert "version" in PROJECT["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", minilm.__version__)


def test_no_file_names_a_machine_or_a_package_index():
    names = [
        "pyproject.toml",
        "constraints.txt",
        "environment.yml",
        "Makefile",
        ".ci/run",
        "README.md",
    ]
    for name in names:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "index-url" not in text, name
        assert not re.search(r"/(home|root|work|Users)/\w", text), name


def test_licenses_are_stated_for_code_and_for_prose():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "MIT License" in text
    assert 'THE SOFTWARE IS PROVIDED "AS IS"' in text
    assert "Creative Commons Attribution 4.0 International" in text


@pytest.mark.parametrize("file", [".ci/run"])
def test_it_can_be_executed(file):
    assert (ROOT / file).stat().st_mode & 0o111
    done = subprocess.run(["bash", "-n", str(ROOT / file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
