"""From a reference such as `minilm.masks:causal_mask` to the source text it names.

Files are read, never imported: the builder needs no torch to know what a function looks like,
and a text on disk is what a reader will see.
"""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
from dataclasses import dataclass
from pathlib import Path

REFERENCE = re.compile(r"^(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*(\.[A-Za-z_]\w*)?)$")
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
# What one exercise may ask of a reader, and what fits on a screen.
LONGEST_BODY = 15

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


class BadReference(Exception):
    """A reference that leads nowhere, or to something that cannot be an exercise."""


@dataclass(frozen=True)
class Source:
    """A piece of the package: its text, and what a notebook calls it."""

    name: str  # the name the text binds when it runs
    text: str  # dedented, decorators and leading comments of constants included
    path: Path


def find_module(module: str, root: Path) -> Path:
    """Return the file of a module below root, or raise `BadReference`."""
    base = root.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    raise BadReference(f"there is no module '{module}' below {root.name}/")


def read_source(reference: str, root: Path) -> Source:
    """Return the source that a reference `package.module:name` or `package.module:Class.method` names."""
    match = REFERENCE.match(reference)
    if match is None:
        raise BadReference(
            f"'{reference}' is not a reference; write 'package.module:name' and nothing else"
        )
    path = find_module(match["module"], root)
    text = path.read_text(encoding="utf-8")
    try:
        scope: ast.Module | ast.stmt = ast.parse(text)
    except SyntaxError as error:
        raise BadReference(f"{path.name} has a syntax error in line {error.lineno}") from None
    for part in match["name"].split("."):
        node = _find(scope, part)
        if node is None:
            raise BadReference(f"'{match['module']}' has no '{match['name']}' written out in it")
        scope = node
    assert isinstance(scope, ast.stmt)
    return Source(match["name"].split(".")[-1], _text_of(scope, text.split("\n")), path)


def blank(text: str) -> str:
    """Put the solution markers around the body of a function, or of every method of a class.

    Signature, docstring and a class's own attributes stay outside the markers.
    """
    lines = text.split("\n")
    tree = ast.parse(text).body[-1]
    if isinstance(tree, _Function):
        functions = [tree]
    elif isinstance(tree, ast.ClassDef):
        functions = [node for node in tree.body if isinstance(node, _Function)]
    else:
        functions = []
    if not functions:
        raise BadReference("an exercise is a function, a method or a class with methods")
    if "BEGIN SOLUTION" in text or "END SOLUTION" in text:
        raise BadReference("the source already speaks of solution markers")
    for function in reversed(functions):  # from the end, so that line numbers stay true
        first, last = _body_lines(function, lines)
        body = [line for line in lines[first:last] if line.strip()]
        if sum(not line.lstrip().startswith("#") for line in body) > LONGEST_BODY:
            raise BadReference(
                f"the body of '{function.name}' has more than {LONGEST_BODY} lines; "
                "split it into functions"
            )
        indent = body[0][: len(body[0]) - len(body[0].lstrip())]
        lines[first:last] = [indent + BEGIN, *lines[first:last], indent + END]
    return "\n".join(lines)


def code_only(text: str) -> str:
    """Return a module's text without comments, docstrings and blank lines: what it computes with.

    Positions are the same in every Python, so the result is too. Text that is not Python is
    returned as it is.
    """
    lines = text.split("\n")
    try:
        tree = ast.parse(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, tokenize.TokenError):
        return text
    for token in tokens:
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(tree):
        docstring = _docstring(node)
        if docstring is not None:
            for row in range(docstring.lineno - 1, docstring.end_lineno or docstring.lineno):
                lines[row] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _find(scope: ast.AST, name: str) -> ast.stmt | None:
    """The last definition of a name in a module or class, as running it would leave."""
    found: ast.stmt | None = None
    for node in getattr(scope, "body", []):
        if isinstance(node, (*_Function, ast.ClassDef)) and node.name == name:
            found = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                found = node
    return found


def _first_line(node: ast.stmt) -> int:
    """A definition begins at its first decorator."""
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def _text_of(node: ast.stmt, lines: list[str]) -> str:
    first = _first_line(node) - 1
    if isinstance(node, ast.Assign | ast.AnnAssign):  # a constant's comment stands above it
        while first and lines[first - 1].startswith("#"):
            first -= 1
    return textwrap.dedent("\n".join(lines[first : node.end_lineno]))


def _docstring(node: ast.AST) -> ast.Constant | None:
    if not isinstance(node, (*_Function, ast.ClassDef, ast.Module)) or not node.body:
        return None
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return first.value if isinstance(first.value.value, str) else None
    return None


def _body_lines(
    function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]
) -> tuple[int, int]:
    """The rows, from and up to, of a function's body after its docstring, comments included."""
    docstring = _docstring(function)
    statements = function.body[1:] if docstring else function.body
    if not statements:
        raise BadReference(f"'{function.name}' has no body to blank")
    first = _first_line(statements[0]) - 1
    if docstring:
        above = docstring.end_lineno or docstring.lineno
    else:
        if first == function.lineno - 1:
            raise BadReference(f"write the body of '{function.name}' on lines of its own")
        above = function.lineno
    while first > above and lines[first - 1].lstrip()[:1] in ("", "#"):
        first -= 1
    while not lines[first].strip():
        first += 1
    last = function.end_lineno or function.lineno
    indent = len(lines[first]) - len(lines[first].lstrip())
    while last < len(lines) and lines[last].startswith(" " * indent + "#"):
        last += 1
    return first, last
