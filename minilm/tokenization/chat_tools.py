"""Tools for a chat model: from a documented function to the JSON schema templates print."""

from __future__ import annotations

import enum
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from minilm.errors import InvalidInput, WrongType

_JSON_NAMES = {
    int: "integer",
    float: "number",
    str: "string",
    bool: "boolean",
    type(None): "null",
    list: "array",
    tuple: "array",
    dict: "object",
}
_SCALARS = (int, float, str, bool, type(None))


def tool_schema(tool: Any) -> dict[str, Any]:
    """Describe a tool the way chat templates expect it.

    tool: a JSON schema (returned as it is), or a function with type hints and a Google-style
        docstring that describes each argument

    Returns {"type": "function", "function": {"name", "description", "parameters", "return"}}.
    Raises `InvalidInput` for a function that lacks a docstring, a hint or a description.
    Equals transformers' `get_json_schema`.
    """
    if isinstance(tool, Mapping):
        return dict(tool)
    if not (inspect.isfunction(tool) or inspect.ismethod(tool)):
        raise WrongType(
            f"A tool is a JSON schema (a dict) or a documented Python function, and not {tool!r}."
        )
    name = tool.__name__
    documentation = inspect.getdoc(tool)
    if not documentation:
        raise InvalidInput(
            f"The tool '{name}' has no docstring. Describe it and its arguments there."
        )
    description, arguments, returns = read_docstring(documentation)
    parameters, result = _schema_of_hints(tool, name)
    for argument, schema in parameters["properties"].items():
        if argument not in arguments:
            raise InvalidInput(
                f"The docstring of the tool '{name}' does not describe the argument '{argument}'. "
                f"Add a line '{argument}: …' under 'Args:'."
            )
        text = arguments[argument]
        choices = re.search(r"\(choices:\s*(.*?)\)\s*$", text, flags=re.IGNORECASE)
        if choices:
            schema["enum"] = [
                choice.strip() if isinstance(choice, str) else choice
                for choice in json.loads(choices.group(1))
            ]
            text = text[: choices.start()].strip()
        schema["description"] = text
    function: dict[str, Any] = {"name": name, "description": description, "parameters": parameters}
    if result is not None:
        if returns is not None:
            result["description"] = returns
        function["return"] = result
    return {"type": "function", "function": function}


def read_docstring(text: str) -> tuple[str, dict[str, str], str | None]:
    """Read a Google-style docstring.

    text: the docstring, without the indentation of its function

    Returns what stands before the first section, argument → description, and what it returns.
    """
    sections: dict[str, list[str]] = {"": []}
    current = ""
    for line in text.strip().splitlines():
        heading = line.strip()
        if heading in ("Args:", "Returns:", "Raises:"):
            current = heading
            sections[current] = []
        elif line.strip() or not current:
            sections[current].append(line)
    arguments: dict[str, str] = {}
    depth = None
    name = ""
    for line in sections.get("Args:", []):
        indent = len(line) - len(line.lstrip())
        start = re.match(r"\s*(\w+):\s*(.*)", line)
        if start and (depth is None or indent <= depth):
            depth, name = indent, start.group(1)
            arguments[name] = start.group(2).strip()
        elif name:
            arguments[name] = f"{arguments[name]} {line.strip()}".strip()
    returns = "\n".join(sections["Returns:"]).strip() if "Returns:" in sections else None
    return "\n".join(sections[""]).strip(), arguments, returns


def _schema_of_hints(
    function: Callable[..., Any], name: str
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Read the type hints: a schema of the arguments, and one of the result if it has one."""
    parameters = inspect.signature(function).parameters
    hints = typing.get_type_hints(function)
    properties, required = {}, []
    for position, (argument, parameter) in enumerate(parameters.items()):
        if parameter.annotation is inspect.Parameter.empty:
            if position == 0 and argument in ("self", "cls"):
                continue
            raise InvalidInput(
                f"The argument '{argument}' of the tool '{name}' has no type hint. Add one, such "
                f"as {argument}: str."
            )
        properties[argument] = _schema_of_type(
            hints[argument], f"the argument '{argument}' of '{name}'"
        )
        if parameter.default is inspect.Parameter.empty:
            required.append(argument)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    result = None
    if "return" in hints:
        try:
            result = _schema_of_type(hints["return"], "the result")
        except InvalidInput:
            result = None  # the model never writes the result, so one without a schema is left out
    return schema, result


def _schema_of_type(hint: Any, where: str) -> dict[str, Any]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return {}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _schema_of_values([member.value for member in hint], where)
    if origin is None and hint in _JSON_NAMES:
        return {"type": _JSON_NAMES[hint]}
    if origin in (typing.Union, types.UnionType):
        return _schema_of_union(inner, where)
    if origin is typing.Literal:
        return _schema_of_values(list(inner), where)
    if origin is list:
        return {"type": "array", "items": _schema_of_type(inner[0], where)}
    if origin is tuple and len(inner) > 1 and ... not in inner:
        return {"type": "array", "prefixItems": [_schema_of_type(kind, where) for kind in inner]}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of_type(inner[1], where)}
    raise InvalidInput(
        f"The type hint {hint!r} of {where} has no JSON schema. Use int, float, str, bool, "
        "list[…], dict[…], tuple[…, …], Literal, an Enum or a union of them, or pass the schema "
        "itself as the tool."
    )


def _schema_of_union(kinds: tuple[Any, ...], where: str) -> dict[str, Any]:
    schemas = [_schema_of_type(kind, where) for kind in kinds if kind is not type(None)]
    names = {schema["type"] for schema in schemas if isinstance(schema.get("type"), str)}
    result: dict[str, Any]
    if len(schemas) == 1:
        result = schemas[0]
    elif all(list(schema) == ["type"] and isinstance(schema["type"], str) for schema in schemas):
        result = {"type": sorted(names) if len(names) > 1 else names.pop()}
    else:
        result = {"anyOf": schemas}
    if type(None) in kinds:
        result["nullable"] = True
    return result


def _schema_of_values(values: list[Any], where: str) -> dict[str, Any]:
    if not values or any(type(value) not in _SCALARS for value in values):
        raise InvalidInput(
            f"The choices {values} of {where} cannot be written in JSON. Use strings, numbers, "
            "True, False or None."
        )
    names = list(dict.fromkeys(_JSON_NAMES[type(value)] for value in values))
    return {"type": names[0] if len(names) == 1 else names, "enum": values}
