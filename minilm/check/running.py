"""Running one function on the cases of an exercise, and what comes of each."""

from __future__ import annotations

import contextlib
import copy
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from minilm.check.arrays import is_tensor
from minilm.check.comparing import alike, difference
from minilm.check.exercise import Case, Exercise
from minilm.check.limits import OutOfMemory, OutOfTime, limited, quiet

# Whoever writes into an argument changes it, by however little.
_exactly = alike(tolerance=0.0)


@dataclass(frozen=True)
class Outcome:
    """What a function did with one case.

    kind: it returned a value, raised an error, did not come to an end, or asked for too much memory
    value: what it returned    error: what it raised
    changed: the name of an argument that it changed, if it did    left: what became of that
    printed: the beginning of what it printed
    """

    kind: Literal["value", "error", "endless", "memory"]
    value: Any = None
    error: BaseException | None = None
    changed: str | None = None
    left: Any = None
    printed: str = ""


def copied(value: Any) -> Any:
    """A deep copy, or the value itself where it cannot be copied (a generator, a module).

    value: anything
    """
    try:
        return copy.deepcopy(value)
    except Exception:
        return _without_history(value)


def _without_history(value: Any) -> Any:
    """A copy of tensors that know how they were computed, which torch's own copying refuses.

    Their numbers alone; in tuples, lists and dicts too. Anything else is the value itself.
    """
    if is_tensor(value):
        with contextlib.suppress(Exception):
            return value.detach().clone()
    elif type(value) in (tuple, list):
        return type(value)(copied(item) for item in value)
    elif type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    return value


@contextlib.contextmanager
def _fresh_defaults(function: Any) -> Iterator[None]:
    """Give a function its default values back afterwards: a list among them may have grown."""
    function = inspect.unwrap(function)
    names = [n for n in ("__defaults__", "__kwdefaults__") if getattr(function, n, None)]
    before = {name: copied(getattr(function, name)) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            with contextlib.suppress(AttributeError, TypeError):
                setattr(function, name, value)


def run(
    exercise: Exercise, function: Callable[..., Any], cases: Sequence[Case], limit: float
) -> list[Outcome]:
    """Ask a function for its answer to each case, stopping after one that does not end.

    function: takes the answer's parameters
    cases: its inputs; they stay as they are, the function gets copies
    limit: seconds of processor time for all cases together

    Returns one outcome a case; fewer if one did not end.
    """
    outcomes: list[Outcome] = []
    spent = 0.0
    with _fresh_defaults(function):
        for case in cases:
            started = time.thread_time()
            outcomes.append(run_one(exercise, function, case, max(limit - spent, 0.05)))
            spent += time.thread_time() - started
            if outcomes[-1].kind in ("endless", "memory"):
                break
    return outcomes


def run_one(exercise: Exercise, function: Callable[..., Any], case: Case, limit: float) -> Outcome:
    """Ask a function for its answer to one case.

    function: takes the answer's parameters    case: stays as it is
    limit: seconds of processor time
    """
    given = {name: copied(value) for name, value in case.items()}
    printed = ""
    try:
        with quiet() as stream:
            try:
                with limited(limit):
                    value = exercise.call(function, given)
            finally:
                printed = stream.text()
            if inspect.iscoroutine(value):
                value.close()  # or Python complains on stderr that nobody awaited it
            value = copied(value)  # a list that the function keeps and fills again would change
    except KeyboardInterrupt:
        raise
    except OutOfTime:
        return Outcome("endless", printed=printed)
    except (OutOfMemory, MemoryError):
        return Outcome("memory", printed=printed)
    except BaseException as error:  # sys.exit() in an answer, a panic in a Rust library
        return Outcome("error", error=error, printed=printed)
    changed = None if exercise.may_change_inputs else _changed(given, case)
    left = None if changed is None else given[changed]
    return Outcome("value", value, changed=changed, left=left, printed=printed)


def _changed(given: Case, case: Case) -> str | None:
    """The name of an argument that is no longer what it was."""
    for name, value in case.items():
        if given[name] is value:
            continue
        if type(value).__eq__ is object.__eq__:
            continue  # copies of such objects never compare equal
        try:
            # A mapping that adds keys when read (defaultdict) changes too, so lengths count.
            if not difference(given[name], value, _exactly).equal:
                return name
        except Exception:
            continue
    return None


def same_outcome(one: Outcome, other: Outcome, compare: Callable[[Any, Any], Any] | None) -> bool:
    """Whether two functions did the same with a case.

    compare: the exercise's own comparison, if it has one
    """
    if one.kind != other.kind or one.changed != other.changed:
        return False
    if one.kind == "error":
        if type(one.error) is not type(other.error):
            return False
        # How deep a recursion got is told in several wordings.
        return isinstance(one.error, RecursionError) or str(one.error) == str(other.error)
    if one.kind != "value":
        return True
    try:
        if not difference(one.left, other.left).equal:
            return False
        return difference(one.value, other.value, compare).equal
    except Exception:
        return False
