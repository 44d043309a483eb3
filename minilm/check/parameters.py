"""Whether a reader's function can be called in every way that minilm's own is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any

_BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_COLLECTORS = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class Misfit(Exception):
    """A function's parameters are not those of minilm's own; the message says how."""


def fit(function: Callable[..., Any], own: Callable[..., Any]) -> tuple[Callable[..., Any], str]:
    """Make a function callable in every way that minilm's own is.

    function: the reader's    own: minilm's

    Returns the function, or one around it if it has other names for its parameters, and a remark
    for the reader about that (empty if there is nothing to remark).
    Raises `Misfit` if it takes other arguments than minilm's own.
    """
    try:
        mine, right = inspect.signature(function), inspect.signature(own)
    except (TypeError, ValueError):
        return function, ""
    kinds = {p.kind for p in mine.parameters.values()}
    wanted = [p for p in right.parameters.values() if p.kind not in _COLLECTORS]
    if kinds.issuperset(_COLLECTORS) or len(wanted) < len(right.parameters):
        return function, ""
    keep_line = f"Keep the first line as the lesson has it: `def {own.__name__}{_bare(right)}:`"
    partners = _partners(mine, wanted, keep_line)
    _check_rest(mine, wanted, partners, keep_line)
    collects = not kinds.isdisjoint(_COLLECTORS)
    if not collects and all(
        found.name == p.name and found.kind is p.kind
        for p, found in zip(wanted, partners, strict=True)
        if found is not None
    ):
        return function, ""
    renamed = {
        p.name: found.name
        for p, found in zip(wanted, partners, strict=True)
        if found is not None and found.name != p.name
    }
    remark = "; ".join(f"`{found}` is `{name}` in minilm" for name, found in renamed.items())
    return (
        _adapted(function, right, partners),
        f"Your names for its arguments work too: {remark}." if remark else "",
    )


def _partners(
    mine: inspect.Signature, wanted: list[Parameter], keep_line: str
) -> list[Parameter | None]:
    """For every parameter of minilm's own the reader's; None where *args or **kwargs takes it."""
    kinds = {p.kind for p in mine.parameters.values()}
    places = [p for p in mine.parameters.values() if p.kind in _BY_PLACE]
    names = {p.name for p in wanted}
    partners: list[Parameter | None] = []
    for index, p in enumerate(wanted):
        named = mine.parameters.get(p.name)
        here = places[index] if index < len(places) else None
        if named is not None and (named is here or named.kind is Parameter.KEYWORD_ONLY):
            partners.append(named)
        elif named is not None or (here is not None and here.name in names):
            raise Misfit(f"Its parameters do not come in the order minilm gives them. {keep_line}")
        elif here is not None:
            partners.append(here)
        elif kinds.isdisjoint(_COLLECTORS):
            raise Misfit(_count(mine, wanted, keep_line))
        else:
            partners.append(None)
    return partners


def _check_rest(
    mine: inspect.Signature,
    wanted: list[Parameter],
    partners: list[Parameter | None],
    keep_line: str,
) -> None:
    """Raise `Misfit` for arguments that nobody would give, and for lost default values."""
    taken = {found.name for found in partners if found is not None}
    for p in mine.parameters.values():
        if p.kind not in _COLLECTORS and p.default is Parameter.empty and p.name not in taken:
            raise Misfit(_count(mine, wanted, keep_line))
    for p, found in zip(wanted, partners, strict=True):
        optional = p.default is not Parameter.empty
        if optional and found is not None and found.default is Parameter.empty:
            raise Misfit(
                f"`{found.name}` has lost its default value, which is used when minilm does not "
                f"give it. {keep_line}"
            )


def _adapted(
    function: Callable[..., Any], right: inspect.Signature, partners: list[Parameter | None]
) -> Callable[..., Any]:
    """A function with minilm's parameters that hands them on under the reader's names."""

    def adapted(*args: Any, **kwargs: Any) -> Any:
        given = right.bind(*args, **kwargs).arguments
        positions: list[Any] = []
        by_name: dict[str, Any] = {}
        for (name, _), found in zip(right.parameters.items(), partners, strict=True):
            if name not in given:
                continue
            if found is not None and found.kind in _BY_NAME:
                by_name[found.name] = given[name]
            elif found is None and takes_names:
                by_name[name] = given[name]
            else:
                positions.append(given[name])
        return function(*positions, **by_name)

    parameters = inspect.signature(function).parameters.values()
    takes_names = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
    if any(p.kind is Parameter.VAR_POSITIONAL for p in parameters):
        # Behind *args nothing before it may be given by name.
        partners = [None if p is not None and p.kind in _BY_PLACE else p for p in partners]
    return functools.update_wrapper(adapted, function)


def _bare(signature: inspect.Signature) -> str:
    """A signature without its annotations."""
    parameters = [p.replace(annotation=Parameter.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(parameters))


def _count(mine: inspect.Signature, wanted: list[Parameter], keep_line: str) -> str:
    count = len(mine.parameters)
    arguments = "argument" if count == 1 else "arguments"
    return f"It takes {count} {arguments}, and minilm gives it {len(wanted)}. {keep_line}"
