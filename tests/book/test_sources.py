"""References find the source a reader should see, and blanking leaves what they need."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODULE = '''\
"""A module."""
from functools import cache

# Above.
# The limit.
LIMIT: int = 3  # beside

TABLE = {
    "a": 1,
}


def twice(x):
    return x


def twice(x):
    return 2 * x


@cache
def decorated(
    first: int,  # a comment in the signature
    second: int = 2,
) -> int:
    # Why.
    """Not a docstring, but the body."""
    if first:

        # Inside.
        return second
    return first
    # The end.


class Outer:
    """Outer."""

    async def wait(self):
        """Wait
        long."""

        @cache
        def inner():
            return 1

        return inner()

    def raw(self): # note
        # First.

        # Second.
        return 1
'''


@pytest.fixture
def sources(builder, tmp_path):
    import builder.sources as sources

    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "__init__.py").write_text("HERE = 1\n")
    (tmp_path / "part" / "module.py").write_text(MODULE)
    return sources


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("part.module:LIMIT", "# Above.\n# The limit.\nLIMIT: int = 3  # beside"),
        ("part.module:TABLE", 'TABLE = {\n    "a": 1,\n}'),
        ("part.module:twice", "def twice(x):\n    return 2 * x"),
        ("part:HERE", "HERE = 1"),
    ],
)
def test_a_reference_names(reference, expected, sources, tmp_path):
    assert sources.read_source(reference, tmp_path).text == expected


@pytest.mark.parametrize(
    "reference",
    ["part.module", "part.module:", ":twice", "part.module:cache", "part.module:Outer.wait.inner",
     "part.module:twice()", "part.module:twice part.module:LIMIT", "part.nothing:x", "..part:x"],
)  # fmt: skip
def test_a_reference_is_refused(reference, sources, tmp_path):
    with pytest.raises(sources.BadReference):
        sources.read_source(reference, tmp_path)


def test_a_decorated_function_is_blanked_after_its_signature(sources, tmp_path):
    text = sources.read_source("part.module:decorated", tmp_path).text
    assert sources.blank(text).split("\n") == [
        "@cache",
        "def decorated(",
        "    first: int,  # a comment in the signature",
        "    second: int = 2,",
        ") -> int:",
        "    # Why.",
        '    """Not a docstring, but the body."""',
        "    ### BEGIN SOLUTION",
        "    if first:",
        "",
        "        # Inside.",
        "        return second",
        "    return first",
        "    ### END SOLUTION",
    ]


def test_the_methods_of_a_class_are_blanked_one_by_one(sources, tmp_path):
    text = sources.read_source("part.module:Outer", tmp_path).text
    assert sources.blank(text).split("\n") == [
        "class Outer:",
        '    """Outer."""',
        "",
        "    async def wait(self):",
        '        """Wait',
        '        long."""',
        "",
        "        ### BEGIN SOLUTION",
        "        @cache",
        "        def inner():",
        "            return 1",
        "",
        "        return inner()",
        "        ### END SOLUTION",
        "",
        "    def raw(self): # note",
        "        ### BEGIN SOLUTION",
        "        # First.",
        "",
        "        # Second.",
        "        return 1",
        "        ### END SOLUTION",
    ]


@pytest.mark.parametrize("name", ["decorated", "Outer", "twice"])
def test_the_blanked_source_still_means_the_same(name, sources, tmp_path):
    import ast

    text = sources.read_source(f"part.module:{name}", tmp_path).text
    assert ast.dump(ast.parse(sources.blank(text))) == ast.dump(ast.parse(text))


def test_a_body_of_fifteen_lines_passes_whatever_comments_it_has(sources):
    lines = ["    # why", ""] + [f"    a{n} = {n}" for n in range(15)]
    sources.blank("def f():\n" + "\n".join(lines))
    with pytest.raises(sources.BadReference, match="15 lines"):
        sources.blank("def f():\n" + "\n".join([*lines, "    b = 1"]))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 1  # a\n", "x = 1\n\n", True),
        ('def f():\n    """A."""\n    return 1\n', "def f():\n    return 1\n", True),
        ('x = "# no comment"\n', 'x = "# another"\n', False),
        ('x = """a\n# in a string\n"""\n', 'x = """a\n"""\n', False),
        ("if x:\n    a\n", "if x:\n  a\n", False),
        ('f(f"{x}# {y}")\n', 'f(f"{x}")\n', False),
        ("x = 1\n", "x = 2\n", False),
    ],
)
def test_code_only_forgets_comments_and_docstrings_and_nothing_else(one, other, same, sources):
    assert (sources.code_only(one) == sources.code_only(other)) is same


def test_reading_a_source_imports_nothing_of_the_package(tmp_path, builder):
    (tmp_path / "loud.py").write_text("raise SystemExit('imported')\n\n\ndef f():\n    return 1\n")
    script = (
        f"import sys; sys.path.insert(0, {str(builder.ROOT / 'book')!r})\n"
        "from pathlib import Path\nfrom builder.sources import read_source\n"
        f"print(read_source('loud:f', Path({str(tmp_path)!r})).text)\n"
        "assert 'torch' not in sys.modules and 'minilm' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "def f():\n    return 1\n", done.stderr
