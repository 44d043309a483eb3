"""Reading a function without running it: its source, whether it is still blank, its parameters."""

from __future__ import annotations

import ast
import dis
import inspect
import textwrap
from typing import Any


def source_of(function: Any) -> str | None:
    """The source text of a function, not indented; None where it cannot be found.

    function: a function written in a notebook cell or a file
    """
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError, IndentationError, SyntaxError):
        return None


def definition_of(function: Any) -> ast.FunctionDef | None:
    """The `def` of a function as a syntax tree; None for a lambda or where there is no source.

    function: a function written in a notebook cell or a file
    """
    source = source_of(function)
    if source is None:
        return None
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return None
    first = body[0] if body else None
    return first if isinstance(first, ast.FunctionDef) else None


def is_blank(function: Any) -> bool:
    """Whether nothing has been written into a function yet.

    function: blank if its body is a docstring, `pass`, `...` or `raise NotImplementedError()`
    """
    definition = definition_of(function)
    if definition is None:
        return _is_blank_code(getattr(inspect.unwrap(function), "__code__", None))
    body = definition.body
    return all(_says_nothing(statement) for statement in body)


def _says_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return isinstance(statement.value.value, str) or statement.value.value is Ellipsis
    return isinstance(statement, ast.Pass) or _is_stub(statement)


def _is_stub(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Raise) or statement.exc is None:
        return False
    error = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
    return isinstance(error, ast.Name) and error.id == "NotImplementedError"


def _nothing() -> None:
    pass


def _stub() -> None:
    raise NotImplementedError()


def _is_blank_code(code: Any) -> bool:
    """The same judgement on compiled code, for functions whose source is lost."""
    if code is None:
        return False

    def steps(code: Any) -> list[tuple[str, Any]]:
        return [(i.opname, i.argval) for i in dis.get_instructions(code)]

    return any(steps(code) == steps(blank.__code__) for blank in (_nothing, _stub))


def keeps_stub(function: Any) -> bool:
    """Whether `raise NotImplementedError()` still stands somewhere in a function's own body."""
    definition = definition_of(function)
    return definition is not None and any(
        _is_stub(node) for node in ast.walk(definition) if isinstance(node, ast.stmt)
    )
