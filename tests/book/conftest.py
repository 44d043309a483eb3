"""A small made-up book with a package of its own, built once and copied for each test."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

PACKAGE = '''\
"""Sums."""

# What an empty list adds up to.
NOTHING = 0


def add_up(numbers: list[int]) -> int:
    """Add numbers up.

    numbers: whole numbers
    """
    # Start with nothing.
    total = NOTHING
    for number in numbers:
        total += number
    return total


def greeting() -> str:
    """Say hello."""
    return "hello"


class Counter:
    """Counts."""

    step = 1

    def __init__(self, start: int = 0):
        self.count = start

    def up(self) -> int:
        """One more."""
        self.count += self.step
        return self.count
'''

HELPERS = '''\
"""What the lessons use without showing it."""


def check(function):
    print(f"{function.__name__} is right")


def figures():
    """A number."""
    return 41  # the answer, nearly
'''

FIRST = """\
---
kernelspec:
  name: python3
  display_name: Python 3
title: Sums
---

# Sums

How much is nothing?

```{code-cell}
from tiny.helpers import check, figures
from tiny.sums import NOTHING
```

```{code-cell}
:tags: [show]
tiny.sums:greeting
```

## Adding up

```{code-cell}
:tags: [exercise]
tiny.sums:add_up
```

```{code-cell}
check(add_up)
```

+++

:::{note} Mind
A box.
:::

```{code-cell}
print(add_up([1, 2]), figures())
```

```{code-cell}
:tags: [varies]
import time
print(time.time_ns())
```
"""

SECOND = """\
---
kernelspec:
  name: python3
  display_name: Python 3
title: Counters
---

Counting, without sums.

```{code-cell}
from tiny.helpers import check
```

```{code-cell}
:tags: [exercise]
tiny.sums:Counter
```

```{code-cell}
check(Counter)
```

```{code-cell}
import matplotlib.pyplot as plt

_ = plt.plot([1, 3, 2])
plt.show()
```
"""


@dataclass
class SmallBook:
    """A book in a temporary folder, and the builder pointed at it."""

    root: Path
    builder: ModuleType

    def run(self, *arguments: str, out: str = "") -> int:
        """Run the builder on this book; `out` names other folders for what it makes."""
        made = self.root / out
        places = ["--root", self.root, "--book", self.root / "book"]
        places += ["--lessons", made / "lessons", "--solutions", made / "solutions"]
        return self.builder.main([*map(str, places), *arguments])

    def write(self, name: str, text: str) -> None:
        (self.root / "book" / f"{name}.md").write_text(text, encoding="utf-8")

    def replace(self, file: str, old: str, new: str) -> None:
        """Change one place of a file."""
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def bytes(self, out: str = "") -> dict[str, bytes]:
        made = self.root / out
        return {
            path.relative_to(made).as_posix(): path.read_bytes()
            for folder in ("lessons", "solutions")
            for path in sorted((made / folder).rglob("*"))
            if path.is_file()
        }


def _lay_small_book(root: Path) -> None:
    (root / "tiny").mkdir()
    (root / "tiny" / "__init__.py").write_text('"""A small package."""\n')
    (root / "tiny" / "sums.py").write_text(PACKAGE)
    (root / "tiny" / "helpers.py").write_text(HELPERS)
    (root / "book").mkdir()
    (root / "book" / "00_sums.md").write_text(FIRST)
    (root / "book" / "01_counters.md").write_text(SECOND)


@pytest.fixture(scope="session")
def builder() -> ModuleType:
    """book/build.py as a module."""
    spec = importlib.util.spec_from_file_location("book_build", ROOT / "book" / "build.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["book_build"] = module  # its dataclass looks itself up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def _built_once(builder, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("built")
    _lay_small_book(root)
    assert SmallBook(root, builder).run() == 0
    return root


@pytest.fixture
def built_book(_built_once, builder, tmp_path) -> SmallBook:
    """The small book with its notebooks, all up to date."""
    shutil.copytree(_built_once, tmp_path / "book_of_sums")
    return SmallBook(tmp_path / "book_of_sums", builder)


@pytest.fixture
def fresh_book(builder, tmp_path) -> SmallBook:
    """The small book before its first build."""
    (tmp_path / "fresh").mkdir()
    _lay_small_book(tmp_path / "fresh")
    return SmallBook(tmp_path / "fresh", builder)
