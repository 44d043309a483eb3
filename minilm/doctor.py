"""`python -m minilm doctor`: in one screen, what is here, what is missing and what to do.

It runs where half of the packages are missing, so nothing but the standard library is imported
until it is known to be there.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from minilm.lab import ROOT, default_desk

# What each group of packages is for, and how it is installed.
GROUPS = {
    "": "To run",
    "book": "To read",
    "test": "To test",
    "real": "A BERT",
    "site": "The site",
}
# Reading the book needs these; the others only matter to whoever works on it.
NEEDED = ("", "book")
INSTALL = 'pip install -c constraints.txt -e ".[{extra}]"'


@dataclass(frozen=True)
class Package:
    """A package that minilm asks for, and what was found."""

    name: str
    wanted: str  # the range of pyproject.toml, as `>=2.9,<3`
    tested: str  # the version of constraints.txt, or ""
    found: str  # the installed version, or ""

    @property
    def fits(self) -> bool:
        """Whether the installed version lies in the range that should work."""
        if not self.found:
            return False
        if find_spec("packaging") is None:
            return True  # nobody here to judge
        from packaging.specifiers import SpecifierSet

        return SpecifierSet(self.wanted).contains(self.found, prereleases=True)

    def __str__(self) -> str:
        if not self.found:
            return f"{self.name} MISSING"
        if not self.fits:
            return f"{self.name} {self.found} (NEEDS {self.wanted})"
        if self.tested and self.found.split("+")[0] != self.tested:
            return f"{self.name} {self.found} (tested: {self.tested})"
        return f"{self.name} {self.found}"


def packages(root: Path = ROOT) -> dict[str, list[Package]]:
    """Return the packages minilm asks for, by group, with the versions that are installed.

    root: the repository; without one, the installed package's own metadata is read
    """
    tested = _tested(root / "constraints.txt")
    found: dict[str, list[Package]] = {group: [] for group in GROUPS}
    for group, requirement in _requirements(root / "pyproject.toml"):
        match = re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*(.*)$", requirement)
        if group not in found or match is None or match[1] == "minilm":
            continue
        try:
            version = metadata.version(match[1])
        except metadata.PackageNotFoundError:
            version = ""
        package = Package(match[1], match[2].strip(), tested.get(_canonical(match[1]), ""), version)
        found[group].append(package)
    return found


def _requirements(pyproject: Path) -> list[tuple[str, str]]:
    """All requirements as (extra, requirement), from the repository or from what was installed."""
    if pyproject.is_file():
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        groups = {"": project["dependencies"], **project["optional-dependencies"]}
        return [(group, line) for group, lines in groups.items() for line in lines]
    found = []
    for line in metadata.requires("minilm") or []:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        found.append((extra[1] if extra else "", requirement.strip()))
    return found


def _tested(constraints: Path) -> dict[str, str]:
    if not constraints.is_file():
        return {}
    lines = constraints.read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {_canonical(name): version.strip() for name, version in pins}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def memory() -> str:
    """Return how much memory there is, in gigabytes, as far as the system tells."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return "unknown"
    return f"{total:.0f} GB"


def threads() -> str:
    """Return how many threads torch computes with, or that it cannot be loaded."""
    if find_spec("torch") is None:
        return "no torch"
    try:
        import torch
    except Exception as error:  # a broken install fails in many ways; all are worth telling
        return f"torch does not load ({type(error).__name__}: {str(error)[:60]})"
    device = "with a GPU" if torch.cuda.is_available() else "no GPU, none needed"
    return f"torch uses {torch.get_num_threads()} threads, {device}"


def desk() -> str:
    """Return where the reader's desk is and what lies on it."""
    folder = default_desk()
    if not folder.is_dir():
        return f"{folder} (not there yet; `make lab` makes it)"
    lessons = len(list(folder.glob("[0-9][0-9]_*.ipynb")))
    answers = len(list(folder.glob("answers/*/*.py")))
    writable = "" if os.access(folder, os.W_OK) else ", NOT WRITABLE"
    return f"{folder} ({lessons} notebooks, {answers} answers of yours{writable})"


def main(arguments: list[str] | None = None) -> int:
    """Print the report; the command `python -m minilm doctor`.

    Returns 0 when the book can be read here, 1 when something it needs is missing.
    """
    argparse.ArgumentParser(
        prog="python -m minilm doctor",
        description="Say what is installed, what is missing and what to do.",
    ).parse_args(arguments)
    rows = [
        ("Python", f"{platform.python_version()} in {sys.prefix}"),
        ("System", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory()}"),
        ("Threads", threads()),
        ("Desk", desk()),
    ]
    found = packages()
    lacking: dict[str, list[str]] = {}  # extra → what it would bring
    for group, purpose in GROUPS.items():
        broken = [package for package in found[group] if not package.fits]
        if len(broken) == len(found[group]) and group not in NEEDED:
            rows.append((purpose, f"not installed: {INSTALL.format(extra=group)}"))
            continue
        rows.append((purpose, ", ".join(map(str, found[group]))))
        if broken:  # what minilm runs on comes with every extra
            lacking.setdefault(group or "book", []).extend(package.name for package in broken)
    print(f"minilm {_version()}")
    for name, text in rows:
        print(textwrap.fill(text, 100, initial_indent=f"{name:10}", subsequent_indent=" " * 10))
    remedies = [
        f"{INSTALL.format(extra=e)}  for {', '.join(names)}" for e, names in lacking.items()
    ]
    bad = any(not package.fits for group in NEEDED for package in found[group])
    if "does not load" in rows[2][1]:
        bad = True
        remedies.append("pip install --force-reinstall -c constraints.txt torch  for it to load")
    if remedies:
        print("\nTo mend, in the repository:")
    for remedy in remedies:
        print(textwrap.fill(remedy, 100, initial_indent="  ", subsequent_indent=" " * 6))
    print("\nSomething the book needs is missing." if bad else "\nThe book can be read here.")
    return 1 if bad else 0


def _version() -> str:
    from minilm import __version__

    return __version__
