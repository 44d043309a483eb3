"""What a check tells the reader: the smallest case that shows it, and what their code does there."""

from __future__ import annotations

import ast
import contextlib
import inspect
import linecache
import math
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any

from minilm.check.arrays import is_array, is_tensor
from minilm.check.comparing import Path
from minilm.check.exercise import Raises, size
from minilm.check.installing import OWN_WAS_ASKED, own
from minilm.check.judging import Expected, Verdict
from minilm.check.reading import definition_of, keeps_stub, source_of
from minilm.check.tables import table

# A shown value has about this many characters at most.
MOST_SHOWN = 280


def show(value: Any, path: Path = (), limit: int = MOST_SHOWN) -> str:
    """A value as one would write it, shortened around the place a path leads to.

    value: anything    path: indices and keys    limit: about how many characters at most
    """
    if is_tensor(value) or is_array(value):
        return table(value, path, limit + limit // 3)
    if _holds_arrays(value):
        return _show_parts(value, path, limit)
    if size(value) <= 20 * limit:
        with contextlib.suppress(Exception):  # an item that cannot be shown
            text = repr(value)
            if len(text) <= limit:
                return text
    first, rest = (path[0], path[1:]) if path else (0, ())
    if isinstance(value, str | bytes):
        return _show_text(value, first if isinstance(first, int) else 0, limit)
    if isinstance(value, list | tuple) and value:
        return _show_items(value, first if isinstance(first, int) else 0, rest, limit)
    if isinstance(value, Mapping) and value:
        return _show_mapping(value, path, limit)
    if isinstance(value, set | frozenset) and value:
        inside = _show_items(sorted(value, key=repr), 0, (), limit)
        return "{" + inside[1:-1] + "}"
    return _cut(_repr(value), limit)


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # a half-built object of the reader's
        return f"<a {type(value).__name__} that cannot be shown: {error!r}>"


def _holds_arrays(value: Any) -> bool:
    """Whether a tuple, list or mapping has tensors or arrays for items."""
    if not isinstance(value, list | tuple | Mapping) or len(value) > 100:
        return False
    items = value.values() if isinstance(value, Mapping) else value
    return any(is_tensor(item) or is_array(item) for item in items)


def _show_parts(value: Any, path: Path, limit: int) -> str:
    """The items of a tuple, list or mapping one below the other, those alone that fit."""
    keys = list(value) if isinstance(value, Mapping) else range(len(value))
    focus = path[0] if path and path[0] in keys else next(iter(keys))
    shown = {focus: show(value[focus], path[1:], limit)}
    room = limit + limit // 2 - len(shown[focus])
    for key in keys:
        if key != focus and room > 0:
            text = show(value[key], (), room)
            if len(text) <= room:
                shown[key] = text
            room -= len(text)
    lines = []
    for key in keys:
        if key in shown:
            name = f"{key}: " if isinstance(value, Mapping) else f"[{key}] "
            lines.append(name + shown[key].replace("\n", "\n" + " " * min(len(name), 4)))
    if len(shown) < len(keys):
        lines.append(f"… {len(keys) - len(shown)} more")
    return "\n".join(lines)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} …"


def _show_text(value: str | bytes, focus: int, limit: int) -> str:
    start = max(0, min(focus - limit // 3, len(value) - 2 * limit // 3))
    end = min(len(value), start + 2 * limit // 3)
    before = f"… {start} before " if start else ""
    after = f" … {len(value) - end} after" if end < len(value) else ""
    return f"{before}{value[start:end]!r}{after}"


def _show_items(value: list[Any] | tuple[Any, ...], focus: int, rest: Path, limit: int) -> str:
    focus = max(0, min(focus, len(value) - 1))
    shown = {focus: show(value[focus], rest, limit // 2)}
    room = limit - len(shown[focus])
    low = high = focus
    while room > 0 and (low > 0 or high < len(value) - 1):
        # Two items after the focus for each one before it.
        for step in (1, 1, -1):
            index = high + 1 if step > 0 else low - 1
            if 0 <= index < len(value) and room > 0:
                shown[index] = show(value[index], (), limit // 3)
                room -= len(shown[index]) + 2
                low, high = min(low, index), max(high, index)
    parts = [shown[index] for index in sorted(shown)]
    if low > 0:
        parts.insert(0, f"… {low} before")
    if high < len(value) - 1:
        parts.append(f"… {len(value) - 1 - high} after")
    inside = ", ".join(parts)
    return f"[{inside}]" if isinstance(value, list) else f"({inside})"


def _show_mapping(value: Mapping[Any, Any], path: Path, limit: int) -> str:
    keys = list(value)
    if path and path[0] in value:
        keys.remove(path[0])
        keys.insert(0, path[0])
    parts: list[str] = []
    room = limit
    for key in keys:
        inside = show(value[key], path[1:] if path and key == path[0] else (), limit // 2)
        parts.append(f"{show(key, (), limit // 3)}: {inside}")
        room -= len(parts[-1]) + 2
        if room <= 0:
            break
    if len(parts) < len(keys):
        parts.append(f"… {len(keys) - len(parts)} more")
    return "{" + ", ".join(parts) + "}"


def _rows(rows: list[tuple[str, str]]) -> list[str]:
    """Lines `name = value`, the names in one column, further lines of a value under its first."""
    width = max(len(name) for name, _ in rows)
    lines: list[str] = []
    for name, text in rows:
        first, *others = text.split("\n")
        lines.append(f"    {name:<{width}} = {first}")
        lines.extend(f"    {'':<{width}}   {other}" for other in others)
    return lines


def right(verdict: Verdict) -> str:
    """The line for a right answer: on how many cases it equals what.

    verdict: of a function that is right on every case
    """
    name, reference = verdict.exercise.name, verdict.exercise.reference_name
    count = len(verdict.outcomes)
    cases = f"{count} case{'' if count == 1 else 's'} (largest difference {_size(verdict.largest)})"
    missing = verdict.expected.missing
    if missing:
        return (
            f"{name}: right. Equals minilm's own answer on {cases}. {missing} is not installed: "
            f"with it, the check compares with {reference}."
        )
    return f"{name}: right. Equals {reference} on {cases}."


def _size(largest: float) -> str:
    """A largest difference, rounded up to a power of ten: its digits differ between machines."""
    return "0" if largest == 0 else f"below 1e{math.ceil(math.log10(largest * 1.000001)):+03d}"


def wrong(verdict: Verdict, function: Callable[..., Any]) -> str:
    """The message for a wrong answer.

    verdict: of a function that is wrong somewhere    function: the reader's, for its source
    """
    exercise, expected = verdict.exercise, verdict.expected
    outcome, found = verdict.outcomes[verdict.shown], verdict.differences[verdict.shown]
    value = expected.values[verdict.shown]
    lines = [
        f"{exercise.name} is not right yet: {_how_many(verdict)}.",
        "",
        "The smallest case that shows it:",
        "",
    ]
    # Many arguments are shown shorter each, so that the whole stays readable.
    limit = min(MOST_SHOWN, 6 * MOST_SHOWN // (len(expected.cases[verdict.shown]) + 2))
    inputs = _inputs(expected, verdict.shown, limit)
    answer = {
        "value": show(outcome.value, found.path, limit),
        "error": f"no answer, but {_error(outcome.error)}",
        "endless": "none: it does not come to an end",
        "memory": "none: it asks for more memory than there is",
    }[outcome.kind]
    wanted = repr(value) if isinstance(value, Raises) else show(value, found.path, limit)
    lines += _rows([*inputs, ("expected", wanted), ("your answer", answer)])
    if outcome.kind == "error":
        lines += _place(outcome.error, function)
    elif outcome.kind == "value":
        lines += ["", found.sentence]
    if outcome.printed.strip():
        printed = outcome.printed.strip().split("\n")
        lines += ["", "It printed:", *[f"    {_cut(line, 100)}" for line in printed[:8]]]
        if len(printed) > 8:
            lines.append("    …")
    if verdict.mistake is not None:
        opening = "This is a known mistake" if verdict.sure else "It looks like a known mistake"
        lines += ["", f'{opening}, "{verdict.mistake.name}".', verdict.mistake.reason]
    elif advice := _advice(verdict, function):
        lines += ["", advice]
    return "\n".join(lines)


def _how_many(verdict: Verdict) -> str:
    failed, tried = len(verdict.wrong), len(verdict.outcomes)
    if tried < len(verdict.expected.cases):
        return f"it does not get beyond case {tried} of {len(verdict.expected.cases)}"
    if tried == 1:
        return "it is wrong on the one case there is"
    if failed == tried:
        return f"it is wrong on all {tried} cases"
    return f"it is wrong on {failed} of {tried} cases"


def _inputs(expected: Expected, index: int, limit: int) -> list[tuple[str, str]]:
    case = expected.cases[index]
    return [(name, show(value, (), limit)) for name, value in case.items()] or [
        ("arguments", "none")
    ]


def _error(error: BaseException | None) -> str:
    text = _cut(str(error), MOST_SHOWN)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _own_code(function: Any) -> CodeType | None:
    return getattr(inspect.unwrap(function), "__code__", None)


def _frames(error: BaseException | None) -> Iterator[tuple[CodeType, int]]:
    """The code and line of every call that an error came through, outermost first."""
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        yield trace.tb_frame.f_code, trace.tb_lineno
        trace = trace.tb_next


def _place(error: BaseException | None, function: Any) -> list[str]:
    """The reader's own line that the error came from."""
    code = _own_code(function)
    if code is None:
        return []
    mine = [(c, line) for c, line in _frames(error) if c.co_filename == code.co_filename]
    if not mine:
        return []
    where, line = mine[-1]
    text = linecache.getline(where.co_filename, line).strip()
    inside = "" if where is code else f" of `{where.co_name}`"
    return ["", f"It stops in line {line}{inside}: {text}"] if text else []


def _advice(verdict: Verdict, function: Any) -> str:
    """A sentence on what the code does, where no known mistake fits."""
    outcome = verdict.outcomes[verdict.shown]
    if outcome.kind == "endless":
        if isinstance(verdict.expected.values[verdict.shown], Raises):
            return "Here no loop can come to an end. Look at the arguments first, and raise."
        return (
            "Does the loop always get closer to its end? Something that it waits for may never "
            "happen on this case. (If it is only slow: it does more work than it needs to.)"
        )
    if outcome.kind == "memory":
        return "Does the loop always get closer to its end? Something grows in it without bound."
    if outcome.kind == "error":
        return _advice_on_error(verdict, function)
    if isinstance(verdict.expected.values[verdict.shown], Raises):
        if isinstance(outcome.value, BaseException):
            return "It returns an error. Write `raise` in place of `return`."
        return (
            "Here the right answer is to raise an error. One that is caught, or printed, does not "
            "reach whoever called."
        )
    if outcome.value is None:
        if outcome.printed.strip():
            return (
                "Your function prints its answer and returns None. Whoever calls it needs the "
                "value itself: write `return` in place of `print`."
            )
        if _ends_in_return(function):
            return (
                "What stands behind your `return` is None on this case. (`append`, `extend`, "
                "`sort` and `reverse` change a list and give back None.)"
            )
        if _returns_something(function):
            return "On this case it reaches its end without passing a `return`, so it returns None."
        return "Your function returns None. Is the line missing that returns the answer?"
    if inspect.isgenerator(outcome.value):
        return (
            "Your function returns a generator (it has a `yield`, or round brackets about a "
            "`for`), which can be read only once and has no length. Return a list of its items."
        )
    if inspect.iscoroutine(outcome.value):
        return "`async def` makes a function that must be awaited. Write `def`."
    if isinstance(outcome.value, Iterator):
        return (
            f"A {type(outcome.value).__name__} object can be read only once and has no length. "
            "Put `list(...)` around it."
        )
    if isinstance(outcome.value, type) or inspect.isroutine(outcome.value):
        return "It returns a function or a class, not what that gives. Are the brackets missing?"
    if outcome.changed is not None:
        words = (
            f"The value it returns is right, but whoever called it still needs `{outcome.changed}` "
            "as it was. Make a copy first and change that."
        )
        if not verdict.differences[verdict.shown].sentence.startswith("It changes"):
            words = (
                f"It also changes `{outcome.changed}`, which whoever called it still needs as it "
                "was. Make a copy first and change that."
            )
        if is_tensor(outcome.left):
            words += (
                " `x += y`, `x[...] = y` and names that end in _ (`masked_fill_`) write into the "
                "tensor itself; `x = x + y` and `masked_fill` make a new one."
            )
        return words
    if verdict.unsteady:
        return (
            "Asked the same thing again, your function gives another answer. Something outlives "
            "the call (a list as default value, a variable outside it), or it draws random numbers."
        )
    return ""


def _ends_in_return(function: Any) -> bool:
    definition = definition_of(function)
    last = definition.body[-1] if definition is not None else None
    return isinstance(last, ast.Return) and last.value is not None


def _returns_something(function: Any) -> bool:
    definition = definition_of(function)
    return definition is not None and any(
        isinstance(node, ast.Return) and node.value is not None for node in ast.walk(definition)
    )


# What torch means by some of its errors, found by a piece of their text.
_ADVICE_ON_TORCH = [
    (
        "view size is not compatible",
        "After `transpose`, `permute` or `expand` the numbers no longer lie in a row in memory, "
        "and `view` cannot rearrange them. Use `reshape`.",
    ),
    (
        "must match the size of tensor",
        "Two shapes do not fit together. Axes are matched from the right: two of them must be "
        "equally long, or one of them 1. Print both shapes before this line.",
    ),
    (
        "must match the existing size",
        "What is written does not have the shape of the place it is written to. Print both shapes "
        "before this line.",
    ),
    (
        "cannot be multiplied",
        "In `a @ b` the last axis of a must be as long as the last but one of b. Is a transpose "
        "missing? Print both shapes before this line.",
    ),
    (
        "Expected size for first two dimensions of batch2",
        "In `a @ b` the last axis of a must be as long as the last but one of b. Is a transpose "
        "missing? Print both shapes before this line.",
    ),
    (
        "must be tuple of ints",
        "A length must be a whole number. `/` always gives one with a decimal point: divide by `//`.",
    ),
    (
        "slice indices must be integers",
        "A place must be a whole number. `/` always gives one with a decimal point: divide by `//`.",
    ),
    (
        "is invalid for input of size",
        "There are more or fewer numbers than the new shape holds. Multiply its lengths and "
        "compare.",
    ),
    (
        "The shape of the mask",
        "`x[mask]` wants a mask of the very shape of x. `masked_fill` and `torch.where` stretch a "
        "smaller one.",
    ),
    (
        "must be Tensor, not",
        "Functions of torch work on tensors, and this is a plain number: `math.sqrt(n)`, "
        "`n ** 0.5` and the like work on those.",
    ),
    (
        "only supports boolean masks",
        "A mask says yes or no for each place, so it must be boolean: compare (`x == 0`), or use "
        "`.bool()`.",
    ),
    (
        "bitwise_not",
        "`~` turns yes into no, and this tensor holds numbers with a decimal point. Make it "
        "boolean first, by a comparison or `.bool()`.",
    ),
    (
        "same dtype",
        "Two tensors of different types meet. One that you make yourself takes `dtype=x.dtype`; "
        "`.to(x.dtype)` changes one that is there.",
    ),
    (
        "same device",
        "Two tensors lie on different devices. One that you make yourself takes `device=x.device`.",
    ),
    (
        "is not on the expected device",
        "Two tensors lie on different devices. Each that you make yourself takes the device that "
        "was given: `device=device`. (`meta` stands for a graphics card here.)",
    ),
    (
        "leaf Variable that requires grad",
        "A name that ends in _ and `x[...] = y` write into the tensor itself, and torch needs it "
        "as it was for the gradients. Make a new tensor.",
    ),
    (
        "Can't call numpy() on Tensor that requires grad",
        "numpy knows nothing of gradients, and with the detach() that torch proposes they would be "
        "lost. Compute with torch throughout.",
    ),
    (
        "Boolean value of Tensor with",
        "`if`, `and`, `or` and `not` want one yes or no, and a tensor has many, or none. Use `&`, `|`, `~`, "
        "`.all()` or `.any()`; whether an argument is given is asked by `is None`.",
    ),
]


def _advice_on_error(verdict: Verdict, function: Any) -> str:
    error = verdict.outcomes[verdict.shown].error
    if isinstance(verdict.expected.values[verdict.shown], Raises):
        if isinstance(error, AssertionError):
            return (
                "An error is right here, but not this one: `assert` is for what cannot happen, and "
                "Python may be told to skip it. Use `if` and `raise`."
            )
        return "An error is right here, but of another kind: look first, and raise it yourself."
    name = verdict.exercise.name
    code = _own_code(function)
    last = [c for c, _ in _frames(error)][-1:]
    if isinstance(error, NotImplementedError):
        if last == [code] and keeps_stub(function):
            return (
                "You have written code, and `raise NotImplementedError()` still stands below or "
                "above it. Take that line out."
            )
        if last and last[0] is not code:
            return (
                f"It calls `{last[0].co_name}`, which is not written yet. Write that one first, or "
                "run its check: then minilm's own takes its place."
            )
    if isinstance(error, RecursionError):
        source = source_of(function) or ""
        if f".{name}(" in source or str(error) == OWN_WAS_ASKED:
            return (
                f"It asks minilm's own {name} for the answer. Yours is to take that place, and "
                "would then ask itself for ever. Write the steps out."
            )
        return (
            "It calls itself too often: on this case nothing ends the chain of calls, or the chain "
            "grows with the length of the input. A loop has no such limit."
        )
    if isinstance(error, SystemExit):
        return "It ends the whole program (`exit`). Return the answer."
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
        return "Is the name spelt right, and has the cell that defines or imports it been run?"
    if f"{name}() got an unexpected keyword argument" in str(error):
        return "Its first line does not take this argument. Keep that line as the lesson has it."
    if "NoneType" in str(error) and (nones := _nones(verdict)):
        several = len(nones) > 1
        names = ", ".join(f"`{name}`" for name in nones[:-1])
        names += f" and `{nones[-1]}` are" if several else f"`{nones[0]}` is"
        return f"On this case {names} None. Ask `if ... is not None` before using what may be so."
    return next((words for sign, words in _ADVICE_ON_TORCH if sign in str(error)), "")


def _nones(verdict: Verdict) -> list[str]:
    """The arguments that are None on the shown case, also those that it does not give."""
    case = verdict.expected.cases[verdict.shown]
    names = [name for name, value in case.items() if value is None]
    with contextlib.suppress(TypeError, ValueError):
        parameters = inspect.signature(own(verdict.exercise)).parameters
        if set(case) <= set(parameters):
            names += [n for n, p in parameters.items() if p.default is None and n not in case]
    return names
