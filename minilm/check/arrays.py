"""Comparing tensors and arrays: which number differs first, and what is odd about the whole."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]


def library(value: Any) -> str:
    """The library a value's type comes from, found without importing any."""
    return type(value).__module__.partition(".")[0]


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor, also one of a subclass."""
    tensor = getattr(sys.modules.get("torch"), "Tensor", None)
    return tensor is not None and isinstance(value, tensor)


def is_array(value: Any) -> bool:
    """Whether a value is a numpy array (a numpy scalar is a number, and no array)."""
    return type(value).__name__ in ("ndarray", "matrix") and library(value) == "numpy"


def as_array(value: Any) -> Any:
    """A numpy array of a tensor's or array's values, wide enough to subtract."""
    import numpy as np

    if is_tensor(value):
        value = value.detach().cpu().resolve_conj().resolve_neg()
        if value.dtype.is_floating_point:
            value = value.double()
        value = value.numpy()
    value = np.asarray(value)
    return value.astype(np.float64) if value.dtype.kind == "f" else value


@dataclass(frozen=True)
class ArrayDifference:
    """How one array differs from another.

    size: the largest difference of numbers; infinite where there is no number to give. Where
        nothing differs it is relative to the size of numbers above 1
    sentence: the first thing that differs, in words; empty if nothing does
    index: of the first element that differs, if it is an element
    """

    size: float = 0.0
    sentence: str = ""
    index: Shape = ()


def compare(
    got: Any, expected: Any, name: str, tolerance: float, any_dtype: bool = False
) -> ArrayDifference:
    """Compare a tensor with a tensor, or an array with an array.

    name: of what is compared, "answer" or "answer[0]"
    tolerance: numbers that agree to this, absolutely or relative to their size, are equal; in half
        precision, those that agree to the precision of the dtype
    any_dtype: whether the elements may have another type
    """
    subject = "Your answer" if name == "answer" else name
    sentence = _place(got, expected, subject)
    if not sentence and tuple(got.shape) != tuple(expected.shape):
        mine, right = tuple(got.shape), tuple(expected.shape)
        words = _shape_words(mine, right)
        sentence = f"{subject} has the shape {mine}; expected {right}{words}."
    if sentence:
        return ArrayDifference(math.inf, sentence)
    import numpy as np

    mine, right = as_array(got), as_array(expected)
    with np.errstate(all="ignore"):  # it would warn on stderr of overflow, inf - inf and the like
        if got.dtype != expected.dtype and not any_dtype:
            return ArrayDifference(math.inf, _dtype_words(got, expected, mine, right, subject))
        own = _precision(got) if any_dtype else 0.0
        return _elements(mine, right, name, max(tolerance, _precision(expected), own))


def _place(got: Any, expected: Any, subject: str) -> str:
    """What is wrong with where or how the numbers of a tensor are stored."""
    if not is_tensor(expected):
        return ""
    if got.device != expected.device:
        return (
            f"{subject} is on the device {got.device}; expected {expected.device}, where the "
            "arguments are."
        )
    if got.layout != expected.layout or got.is_quantized or got.is_nested:
        layout = str(got.layout).removeprefix("torch.")
        kind = "quantized" if got.is_quantized else "nested" if got.is_nested else layout
        return f"{subject} is a tensor of another kind ({kind}); expected an ordinary one."
    return ""


def _precision(value: Any) -> float:
    """How finely a dtype of less than four bytes can tell numbers apart; 0 for any other."""
    if is_tensor(value) and value.dtype.is_floating_point and value.dtype.itemsize < 4:
        return sys.modules["torch"].finfo(value.dtype).eps
    if is_array(value) and value.dtype.kind == "f" and value.dtype.itemsize < 4:
        return 2.0**-10
    return 0.0


def _shape_words(got: Shape, expected: Shape) -> str:
    """How one shape comes from another, with a colon before it; empty where that is not plain."""
    if len(got) == len(expected):
        words = _same_depth(got, expected)
    elif len(got) > len(expected):
        words = _axes_too_many(got, expected)
    else:
        words = _axes_too_few(got, expected)
    if not words and math.prod(got) == math.prod(expected):
        words = "as many numbers, arranged in another way"
    return f": {words}" if words else ""


def _same_depth(got: Shape, expected: Shape) -> str:
    last = len(got) - 1
    for one, other in itertools.combinations(reversed(range(len(got))), 2):
        swapped = list(got)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        if tuple(swapped) == expected:
            if (one, other) == (last, last - 1):
                return "the two axes are swapped" if last == 1 else "the last two axes are swapped"
            return f"the axes {other} and {one} are swapped"
    if sorted(got) == sorted(expected):
        return "the same axes in another order"
    odd = [axis for axis, (a, b) in enumerate(zip(got, expected, strict=True)) if a != b]
    if len(odd) > 1:
        return ""
    [axis] = odd
    mine, right = got[axis], expected[axis]
    place = "it" if last == 0 else f"axis {axis}" + (" (the last)" if axis == last else "")
    if abs(mine - right) == 1:
        return f"{place} is one too {'long' if mine > right else 'short'}"
    times = max(mine, right) / max(1, min(mine, right))
    if mine == 1 or times != int(times) or not min(mine, right):
        return f"{place} has the length {mine}, not {right}"
    return f"{place} is {int(times)} times too {'long' if mine > right else 'short'}"


def _without(shape: Shape, axes: Sequence[int]) -> Shape:
    return tuple(length for axis, length in enumerate(shape) if axis not in axes)


def _axes_too_many(got: Shape, expected: Shape) -> str:
    for axes in itertools.combinations(range(len(got)), len(got) - len(expected)):
        if _without(got, axes) == expected:
            return f"{_axes(got, axes)} too many"
    return ""


def _axes_too_few(got: Shape, expected: Shape) -> str:
    for axes in itertools.combinations(range(len(expected)), len(expected) - len(got)):
        if _without(expected, axes) == got:
            return f"{_axes(expected, axes)} missing"
    return ""


def _axes(shape: Shape, axes: Sequence[int]) -> str:
    if len(axes) > 1:
        return "the axes " + " and ".join(map(str, axes)) + " are"
    return f"axis {axes[0]}, of length {shape[axes[0]]}, is"


def _dtype_words(got: Any, expected: Any, mine: Any, right: Any, subject: str) -> str:
    words = f"{subject} has the dtype {got.dtype}; expected {expected.dtype}."
    kinds = mine.dtype.kind, right.dtype.kind
    if kinds[1] == "b":
        return f"{words} A mask is boolean, True = may attend: a comparison gives one."
    if kinds[0] == "b":
        return f"{words} It says yes or no where numbers are asked for."
    return f"{words} The values are right." if _same_values(mine, right) else words


def _same_values(got: Any, expected: Any) -> bool:
    """Whether two arrays hold the same numbers, as nearly as their coarser dtype can tell."""
    import numpy as np

    counted = got.dtype.kind in "iu" or expected.dtype.kind in "iu"
    # Coarse, but never so coarse that 0 would pass for a small number: half precision has 3 digits.
    nearness = 0.0 if counted else 0.02
    return bool(np.allclose(got, expected, rtol=nearness, atol=nearness / 100, equal_nan=True))


def _elements(got: Any, expected: Any, name: str, tolerance: float) -> ArrayDifference:
    """Compare two arrays of one shape, element by element."""
    import numpy as np

    if got.dtype.kind not in "biufc" or expected.dtype.kind not in "biufc":
        differs = got != expected
        distance = np.where(differs, np.inf, 0.0)
    elif got.dtype.kind in "biu" and expected.dtype.kind in "biu":
        differs = got != expected
        distance = np.abs(got.astype(np.float64) - expected.astype(np.float64))
    else:
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        distance = np.where(same, 0.0, np.abs(got - expected))
        scale = np.maximum(1.0, np.abs(expected))
        differs = ~same & ~(np.isfinite(distance) & (distance <= tolerance * scale))
        if not differs.any() and distance.size:
            return ArrayDifference(float((distance / np.where(same, 1.0, scale)).max()))
    if not differs.any():
        return ArrayDifference(float(distance.max()) if distance.size else 0.0)
    index = tuple(int(i) for i in np.argwhere(differs)[0])
    finite = distance[np.isfinite(distance)]
    size = float(finite.max()) if len(finite) == distance.size else math.inf
    mine, right = got[index], expected[index]
    where = f"{name}[{', '.join(map(str, index))}]" if index else name
    parts = [f"{where} is {_number(mine, right)}; expected {_number(right, mine)}"]
    if differs.size > 1:
        parts[0] += f" ({int(differs.sum())} of {differs.size} elements differ)"
    parts += _remarks(got, expected, differs, index)
    return ArrayDifference(size, ". ".join(parts) + ".", index)


def _number(value: Any, beside: Any) -> str:
    """A number with as many digits as it takes to tell it from the one beside it."""
    if not isinstance(value.item(), float):
        return str(value)
    for digits in (4, 6, 9, 17):
        text = f"{value:.{digits}g}"
        if text != f"{beside:.{digits}g}":
            break
    return text if set(text) & set(".en") else f"{text}.0"


def _remarks(got: Any, expected: Any, differs: Any, index: Shape) -> list[str]:
    """What is odd about the whole answer, where it is odd in a way that has a name."""
    import numpy as np

    if got.dtype.kind == "f" and np.isnan(got[index]):
        row = index[:-1]
        is_row = len(index) > 1 and got.shape[-1] > 1 and np.isnan(got[row]).all()
        of = f"Row {list(row)} is NaN throughout. " if is_row else ""
        if np.isnan(got).all() and differs.size > 1:
            of = "All of it is NaN. "
        return [f"{of}NaN is not a number: look for 0/0 or inf - inf"]
    if got.dtype.kind == "f" and np.isinf(got[index]) and np.isfinite(expected[index]):
        return ["Infinity comes of a division by 0, of exp of a large number, or of a mask"]
    if differs.size < 2:
        return []
    if expected.dtype.kind == "b" and set(np.unique(got)) <= {0, 1} and differs.all():
        return ["Everywhere it says the opposite"]
    if np.isfinite(got).all() and np.isfinite(expected).all():
        square = got.ndim > 1 and got.shape[-1] == got.shape[-2] > 2
        if square and np.allclose(got.swapaxes(-1, -2), expected, atol=1e-6):
            return ["With the last two axes swapped it would be right"]
        if expected.dtype.kind == "f" and got.dtype.kind == "f":
            return _multiple(got, expected)
    return []


def _multiple(got: Any, expected: Any) -> list[str]:
    """Whether the whole is the expected one times some number."""
    import numpy as np

    counts = np.abs(expected) > 1e-3
    # Of one number, or several that are the same, any other is some multiple: that says nothing.
    if not counts.any() or np.ptp(expected[counts]) < 1e-3:
        return []
    factor = float(np.median(got[counts] / expected[counts]))
    if (
        abs(factor) < 1e-3
        or abs(factor - 1) < 1e-3
        or not np.allclose(got, factor * expected, rtol=1e-4, atol=1e-6)
    ):
        return []
    if abs(factor + 1) < 1e-4:
        return ["Everywhere the sign is the other one"]
    return [f"Everywhere it is {factor:.4g} times what is expected"]
