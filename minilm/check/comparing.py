"""Comparing an answer with the expected one: what differs, where, and by how much.

Generous about spelling (a tuple for a list, a numpy integer for an integer), strict about meaning
(an array for a list, a float for a count, a missing key).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from minilm.check.arrays import compare, is_array, is_tensor, library
from minilm.errors import WrongType

Path = tuple[Any, ...]

# Floats that agree to this, absolutely or relative to their size, are equal unless an exercise
# asks for more.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Difference:
    """How an answer differs from the expected one.

    size: the largest difference of numbers; infinite where there is no number to give. Of equal
        answers it is relative to the size of numbers above 1
    sentence: the first thing that differs, in words; empty if nothing does
    path: the indices and keys that lead to it
    """

    size: float = 0.0
    sentence: str = ""
    path: Path = ()

    @property
    def equal(self) -> bool:
        """Whether nothing differs by more than the tolerance."""
        return not self.sentence


class _Differs(Exception):
    """Carries the first difference out of the comparison."""

    def __init__(self, sentence: str, path: Path, size: float = math.inf) -> None:
        self.difference = Difference(size, sentence, path)


def alike(
    *,
    tolerance: float = TOLERANCE,
    ignore_zero_counts: bool = False,
    any_order: bool = False,
    any_dtype: bool = False,
) -> Callable[[Any, Any], Difference]:
    """Make a comparison for an exercise.

    tolerance: floats that agree to this, absolutely or relative to their size, are equal
    ignore_zero_counts: a key whose value is 0 counts as missing
    any_order: the items of the outermost list may come in any order
    any_dtype: arrays and tensors may have another element type

    Returns a function (got, expected) → `Difference`.
    """

    def compare(got: Any, expected: Any) -> Difference:
        comparison = _Comparison(tolerance, ignore_zero_counts, any_dtype)
        try:
            if any_order and _is_sequence(got) and _is_sequence(expected):
                got, expected = sorted(got, key=repr), sorted(expected, key=repr)
            comparison.look(got, expected, ())
        except _Differs as differs:
            return differs.difference
        except RecursionError:
            return Difference(math.inf, "The answer is nested too deeply to compare.")
        return Difference(comparison.largest)

    return compare


_plain = alike()


def difference(
    got: Any, expected: Any, compare: Callable[[Any, Any], Any] | None = None
) -> Difference:
    """Compare an answer with the expected one.

    got, expected: any values    compare: the exercise's own comparison, if it has one
    """
    if compare is None:
        return _plain(got, expected)
    found = compare(got, expected)
    if isinstance(found, Difference):
        return found
    if found is None or isinstance(found, str):
        return Difference(math.inf, found) if found else Difference()
    if isinstance(found, int | float) and not isinstance(found, bool):
        return Difference(found, f"It is off by {found}." if found else "")
    raise WrongType(
        f"An exercise's `compare` returned {found!r}. It must return a Difference, a sentence or "
        "a number for what differs; None, '' and 0 mean that nothing does."
    )


def at(path: Path) -> str:
    """Where a path leads, as one would write it: `answer[2]['ab']`."""
    return "answer" + "".join(f"[{step!r}]" for step in path)


def kind_of(value: Any) -> str:
    """The type of a value in words that fit into a sentence."""
    if value is None or isinstance(value, bytes):
        return "None" if value is None else "a bytes object"
    name = with_article(type(value).__name__)
    return f"an iterator ({name}, to be read once)" if isinstance(value, Iterator) else name


def with_article(name: str) -> str:
    """A name with "a" or "an" before it.

    name: of a type
    """
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _plain_number(value: Any) -> Any:
    """The Python number behind a numpy scalar; anything else unchanged."""
    if library(value) == "numpy" and not is_array(value) and hasattr(value, "item"):
        return value.item()
    return value


class _Comparison:
    def __init__(self, tolerance: float, ignore_zero_counts: bool, any_dtype: bool) -> None:
        self.tolerance = tolerance
        self.ignore_zero_counts = ignore_zero_counts
        self.any_dtype = any_dtype
        self.largest = 0.0

    def look(self, got: Any, expected: Any, path: Path) -> None:
        """Walk both values together; raise `_Differs` at the first difference."""
        got, expected = _plain_number(got), _plain_number(expected)
        if is_tensor(expected) or is_array(expected):
            self._arrays(got, expected, path)
        elif isinstance(expected, bool | int | float | complex):
            self._numbers(got, expected, path)
        elif isinstance(expected, str):
            self._strings(got, expected, path)
        elif isinstance(expected, Mapping):
            self._mappings(got, expected, path)
        elif isinstance(expected, Set):
            self._sets(got, expected, path)
        elif _is_sequence(expected):
            self._sequences(got, expected, path)
        else:
            self._others(got, expected, path)

    def _wrong_kind(self, got: Any, expected: Any, path: Path) -> _Differs:
        place = f"{at(path)} is" if path else "Your answer is"
        hint = _kind_hint(got, expected)
        return _Differs(f"{place} {kind_of(got)}; expected {kind_of(expected)}.{hint}", path)

    def _numbers(self, got: Any, expected: Any, path: Path) -> None:
        if is_tensor(got) and isinstance(expected, float) and not got.shape:
            got = got.item()
        if not isinstance(got, bool | int | float | complex):
            raise self._wrong_kind(got, expected, path)
        if isinstance(got, float) and isinstance(expected, int):
            raise self._wrong_kind(got, expected, path)
        if got == expected or (got != got and expected != expected):
            return
        place = f"{at(path)} is" if path else "It is"
        if isinstance(expected, int) and isinstance(got, int):
            raise _Differs(f"{place} {got!r}; expected {expected!r}.", path, abs(got - expected))
        distance = abs(got - expected)
        close = math.isfinite(distance) and distance <= self.tolerance * max(1.0, abs(expected))
        if not close:
            size = distance if distance == distance else math.inf
            raise _Differs(
                f"{place} {got!r}; expected {expected!r} (off by {size:.3g}).", path, size
            )
        self.largest = max(self.largest, distance / max(1.0, abs(expected)))

    def _strings(self, got: Any, expected: str, path: Path) -> None:
        if not isinstance(got, str):
            raise self._wrong_kind(got, expected, path)
        if got == expected:
            return
        place = f"{at(path)}" if path else "Your answer"
        first = next(
            (i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b),
            min(len(got), len(expected)),
        )
        if max(len(got), len(expected)) <= 20:
            sentence = f"{place} is {got!r}; expected {expected!r}."
        elif first == len(got):
            sentence = f"{place} ends after {first} characters; {expected[first]!r} should follow."
        elif first == len(expected):
            sentence = f"{place} should end after {first} characters; {got[first]!r} follows."
        else:
            sentence = (
                f"{place} has {got[first]!r} as character {first} (counted from 0); "
                f"expected {expected[first]!r}."
            )
        raise _Differs(sentence, (*path, first))

    def _mappings(self, got: Any, expected: Mapping[Any, Any], path: Path) -> None:
        if not isinstance(got, Mapping):
            raise self._wrong_kind(got, expected, path)
        if self.ignore_zero_counts:
            got = {key: value for key, value in got.items() if not _is_zero(value)}
            expected = {key: value for key, value in expected.items() if not _is_zero(value)}
        place = f"{at(path)}" if path else "Your answer"
        for key in expected:
            if key not in got:
                raise _Differs(f"{place} lacks the key {key!r}.", path)
            self.look(got[key], expected[key], (*path, key))
        for key in got:
            if key not in expected:
                raise _Differs(f"{place} has a key too many: {key!r}.", (*path, key))

    def _sets(self, got: Any, expected: Set[Any], path: Path) -> None:
        if not isinstance(got, Set):
            raise self._wrong_kind(got, expected, path)
        place = f"{at(path)}" if path else "Your answer"
        for item in sorted(expected - got, key=repr):
            raise _Differs(f"{place} lacks {item!r}.", path)
        for item in sorted(got - expected, key=repr):
            raise _Differs(f"{place} has {item!r} too many.", path)

    def _sequences(self, got: Any, expected: Sequence[Any], path: Path) -> None:
        if not _is_sequence(got):
            raise self._wrong_kind(got, expected, path)
        try:
            for index, (mine, right) in enumerate(zip(got, expected, strict=False)):
                self.look(mine, right, (*path, index))
        except _Differs as differs:
            found = differs.difference
            if len(got) != len(expected):
                sentence = f"{found.sentence} {self._lengths(got, expected, path)}"
            elif self._are_exchanged(got, expected):
                sentence = "Both are right, in the other order: exchange what you return."
            else:
                raise
            raise _Differs(sentence, found.path) from None
        if len(got) != len(expected):
            shorter = min(len(got), len(expected))
            raise _Differs(self._lengths(got, expected, path), (*path, shorter))

    def _are_exchanged(self, got: Sequence[Any], expected: Sequence[Any]) -> bool:
        """Whether two tensors are the right ones with their places exchanged."""
        if len(expected) != 2 or not all(is_tensor(item) for item in (*got, *expected)):
            return False
        other = _Comparison(self.tolerance, self.ignore_zero_counts, self.any_dtype)
        try:
            other.look(got[0], expected[1], ())
            other.look(got[1], expected[0], ())
        except _Differs:
            return False
        return True

    def _lengths(self, got: Sequence[Any], expected: Sequence[Any], path: Path) -> str:
        place = f"{at(path)}" if path else "Your answer"
        items = "item" if len(got) == 1 else "items"
        return f"{place} has {len(got)} {items}; expected {len(expected)}."

    def _arrays(self, got: Any, expected: Any, path: Path) -> None:
        if is_tensor(got) != is_tensor(expected) or is_array(got) != is_array(expected):
            raise self._wrong_kind(got, expected, path)
        found = compare(got, expected, at(path), self.tolerance, self.any_dtype)
        if found.sentence:
            raise _Differs(found.sentence, (*path, *found.index), found.size)
        self.largest = max(self.largest, found.size)

    def _others(self, got: Any, expected: Any, path: Path) -> None:
        if got is expected:
            return
        if isinstance(expected, bytes | bytearray) and isinstance(got, bytes | bytearray):
            got, expected = bytes(got), bytes(expected)
        if not isinstance(got, type(expected)):
            raise self._wrong_kind(got, expected, path)
        if got != expected:
            place = f"{at(path)} is" if path else "It is"
            raise _Differs(f"{place} {got!r}; expected {expected!r}.", path)


def _is_zero(value: Any) -> bool:
    value = _plain_number(value)
    return isinstance(value, int | float) and value == 0


def _kind_hint(got: Any, expected: Any) -> str:
    """How to make a tensor, or several, of something that is none."""
    if is_tensor(expected):
        if is_array(got):
            return " numpy and torch do not mix: stay with torch, or use `torch.from_numpy`."
        if isinstance(got, bool | int | float):
            return " `.item()`, `float(...)` and the like take the number out; keep the tensor."
        if _is_sequence(got) and got and all(is_tensor(item) for item in got):
            if isinstance(got, tuple):
                tensors = (
                    "1 tensor; return that" if len(got) == 1 else f"{len(got)} tensors; return one"
                )
                return f" It holds {tensors}. `torch.stack` and `torch.cat` make one of several."
            return " `torch.stack` and `torch.cat` make one of a list of tensors."
        return " `torch.tensor` makes one of a list." if isinstance(got, list) else ""
    if _is_sequence(expected) and is_tensor(got) and any(map(is_tensor, expected)):
        return f" Return {len(expected)} things with a comma between: `return a, b`."
    if isinstance(expected, int | float) and is_tensor(got) and not got.shape:
        return " `.item()` takes the number out of a tensor."
    return ""
