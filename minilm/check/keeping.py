"""Writing down a function so that it runs by itself: its source and everything it needs."""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import math
import re
import symtable
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from minilm.check.comparing import with_article
from minilm.check.reading import source_of

# The mark that `from __future__ import annotations` leaves on compiled code.
_ANNOTATIONS_AS_TEXT = import_module("__future__").annotations.compiler_flag
# A constant longer than this, written out, is data and no part of an answer.
_LONGEST_CONSTANT = 20_000


class CannotKeep(Exception):
    """What a function needs cannot be written down; the message says what."""


def written_down(name: str, function: Callable[..., Any], namespace: Mapping[str, Any]) -> str:
    """The text of a module that defines a function and all it needs.

    name: the name it shall have    function: from a notebook cell or a file
    namespace: the global names it was written among

    Raises CannotKeep if it uses something that cannot be written down.
    """
    writer = _Writer(namespace)
    defined = writer.add(function)
    if defined != name:
        writer.definitions.append(f"{name} = {defined}")
    parts = []
    if writer.future:
        parts.append("from __future__ import annotations")
    if writer.imports:
        parts.append("\n".join(sorted(writer.imports)))
    if writer.constants:
        parts.append("\n".join(writer.constants))
    return "\n\n\n".join(["\n\n".join(parts), *writer.definitions]).strip() + "\n"


class _Writer:
    """Collects imports, constants and definitions, each once, in an order that runs."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self.namespace = namespace
        self.imports: dict[str, None] = {}
        self.constants: list[str] = []
        self.definitions: list[str] = []
        self.future = False
        self._done: dict[str, Any] = {}
        self._import_lines = _import_lines(namespace)

    def add(self, function: Any) -> str:
        """Add a function's or class's definition and return the name that it defines."""
        source = _definition(function)
        node = ast.parse(source).body[0]
        name = _defined_name(node)
        self._done[name] = function
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is not None and code.co_flags & _ANNOTATIONS_AS_TEXT:
            self.future = True
        scope = _scope(function, self.namespace)
        to_run = _names_needed(_without_annotations(source))
        for needed in _names_needed(source):
            if needed not in scope or needed == name:
                continue
            try:
                self._add_name(needed, scope[needed])
            except CannotKeep:
                if needed in to_run:
                    raise
                del self._done[needed]
                self.future = True  # named in annotations alone, which then nobody evaluates
        self.definitions.append(source.strip())
        return name

    def _add_name(self, name: str, value: Any) -> None:
        """Add what defines a name."""
        if name in self._done:
            if self._done[name] is not value:
                raise CannotKeep(f"two different things in it are called `{name}`")
            return
        if getattr(builtins, name, ...) is value:
            return
        self._done[name] = value
        line = self._import_line(name, value)
        if line is not None:
            self.imports[line] = None
        elif (constant := _constant(value)) is not None:
            text, needs = constant
            self.constants.append(f"{name} = {text}")
            if needs:
                self.imports[needs] = None
        elif isinstance(value, type) or inspect.isfunction(inspect.unwrap(value)):
            defined = self.add(value)
            if defined != name:
                self.definitions.append(f"{name} = {defined}")
        else:
            raise CannotKeep(
                f"it uses `{name}`, {with_article(type(value).__name__)} made in the notebook"
            )

    def _import_line(self, name: str, value: Any) -> str | None:
        """The line that imports a value under a name; None if it was made in the notebook."""
        line = self._import_lines.get(name)
        if line is not None and _gives(line, name, value):
            return line
        if isinstance(value, ModuleType):
            if value.__name__ in ("__main__", "builtins"):
                raise CannotKeep(f"it uses the module `{name}`, which cannot be imported by name")
            line = f"import {value.__name__}"
            return line if value.__name__ == name else f"{line} as {name}"
        home = getattr(value, "__module__", None)
        path = getattr(value, "__qualname__", None) or getattr(value, "_name", None)
        if not isinstance(home, str) or not isinstance(path, str) or not path.isidentifier():
            return None
        line = f"from {home} import {path}" + ("" if path == name else f" as {name}")
        return line if home != "__main__" and _gives(line, name, value) else None


def _gives(line: str, name: str, value: Any) -> bool:
    """Whether an import line binds a name to exactly this value, in a fresh process too."""
    statement = ast.parse(line).body[0]
    if isinstance(statement, ast.ImportFrom) and statement.module:
        module = sys.modules.get(statement.module)
        # A module without a file (a notebook, a test's toy) is not there next time.
        if module is None or getattr(module, "__spec__", None) is None:
            return False
    space: dict[str, Any] = {}
    try:
        exec(line, space)
    except Exception:
        return False
    return space.get(name, ...) is value


def _scope(function: Any, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The global names a function sees, and those of the functions around it."""
    function = inspect.unwrap(function)
    scope = dict(namespace)
    scope.update(getattr(function, "__globals__", {}))
    code = getattr(function, "__code__", None)
    for free, cell in zip(
        getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=True
    ):
        try:
            scope[free] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return scope


def _definition(thing: Any) -> str:
    """The source of a function, lambda or class, beginning with its `def`, assignment or `class`."""
    name = getattr(thing, "__name__", type(thing).__name__)
    source = _class_source(thing) if isinstance(thing, type) else source_of(thing)
    if source is None:
        raise CannotKeep(f"the source of `{name}` cannot be found")
    try:
        body = ast.parse(source).body
    except SyntaxError:
        raise CannotKeep(f"the source of `{name}` cannot be read by itself") from None
    if len(body) != 1 or _defined_name(body[0]) == "":
        raise CannotKeep(f"`{name}` is not defined by a `def` of its own")
    return source


def _class_source(thing: type) -> str | None:
    source = source_of(thing)
    if source is not None:
        return source
    # A class of a notebook has no file; its methods know the cell they come from.
    for member in vars(thing).values():
        code = getattr(inspect.unwrap(member), "__code__", None) if callable(member) else None
        if code is None:
            continue
        lines = linecache.getlines(code.co_filename)
        try:
            tree = ast.parse("".join(lines))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == thing.__name__:
                start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                return textwrap.dedent("".join(lines[start - 1 : node.end_lineno]))
    return None


def _defined_name(node: ast.stmt) -> str:
    """The one name that a statement defines, or ""."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
        target = node.targets[0]
        if len(node.targets) == 1 and isinstance(target, ast.Name):
            return target.id
    return ""


def _names_needed(source: str) -> list[str]:
    """The names that a piece of source takes from outside itself, in order."""
    needed: dict[str, None] = {}

    def walk(table: symtable.SymbolTable, top: bool) -> None:
        for symbol in table.get_symbols():
            outside = symbol.is_global() or (top and not symbol.is_assigned())
            if symbol.is_referenced() and outside:
                needed[symbol.get_name()] = None
        for child in table.get_children():
            walk(child, False)

    table = symtable.symtable(source, "<answer>", "exec")
    walk(table, True)
    return list(needed)


def _without_annotations(source: str) -> str:
    """The same source with no types said."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return ast.unparse(tree)


def _constant(value: Any) -> tuple[str, str] | None:
    """A value written as Python, and the import that this needs; None if it is no constant."""
    if isinstance(value, re.Pattern):
        return f"re.compile({value.pattern!r}, {value.flags})", "import re"
    if type(value).__name__ == "Pattern" and type(value).__module__ in ("_regex", "regex"):
        return f"regex.compile({value.pattern!r}, {value.flags})", "import regex"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")', ""
    if not isinstance(
        value, str | bytes | int | float | complex | bool | None | tuple | list | dict | set
    ) and not isinstance(value, frozenset):
        return None
    text = repr(value)
    if len(text) > _LONGEST_CONSTANT:
        return None
    try:
        same = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return (text, "") if type(same) is type(value) and same == value else None


def _import_lines(namespace: Mapping[str, Any]) -> dict[str, str]:
    """For every name that the notebook's cells import, the line that does."""
    cells = namespace.get("In")
    sources = [cell for cell in cells if isinstance(cell, str)] if isinstance(cells, list) else []
    lines: dict[str, str] = {}
    for source in sources:
        for statement in _statements(source):
            if isinstance(statement, ast.Import):
                for alias in statement.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    lines[bound] = ast.unparse(ast.Import([alias]))
            elif isinstance(statement, ast.ImportFrom) and statement.module != "__future__":
                for alias in statement.names:
                    one = ast.ImportFrom(statement.module, [alias], statement.level)
                    lines[alias.asname or alias.name] = ast.unparse(one)
    return lines


def _statements(source: str) -> Iterator[ast.stmt]:
    try:
        yield from ast.parse(source).body
        return
    except SyntaxError:
        pass  # a cell with magics: take the lines that are imports by themselves
    for line in source.split("\n"):
        if line.startswith(("import ", "from ")):
            try:
                yield from ast.parse(line).body
            except SyntaxError:
                continue


def loaded(text: str, filename: str) -> dict[str, Any]:
    """Run the text of a kept answer and return the names it defines.

    text: as `written_down` gives it    filename: for the lines of tracebacks

    Raises whatever the text raises.
    """
    space: dict[str, Any] = {"__name__": "minilm_desk_answer", "__file__": filename}
    exec(compile(text, filename, "exec", dont_inherit=True), space)
    return space
