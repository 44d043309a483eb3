"""What counts as equal, and how the first difference is told."""

from __future__ import annotations

import collections
import math
from typing import Any

import numpy as np
import pytest
import torch

from minilm.check.comparing import Difference, alike, difference
from minilm.errors import WrongType

NAN = float("nan")


class Text(str):
    pass


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (3, 3),
        (np.int64(3), 3),
        (True, 1),
        (1, True),
        (np.bool_(True), True),
        (2, 2.0),
        (np.float32(0.5), 0.5),
        (torch.tensor(0.5), 0.5),
        (0.1 + 0.2, 0.3),
        (NAN, NAN),
        (math.inf, math.inf),
        (1e12 + 0.1, 1e12),
        ("ab", "ab"),
        (Text("ab"), "ab"),
        ((1, 2), [1, 2]),
        ([(1, 2)], ((1, 2),)),
        (range(3), [0, 1, 2]),
        ([np.int32(1)], [1]),
        ([], ()),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=[1]), {"a": (1,)}),
        ({1, 2}, frozenset({2, 1})),
        (bytearray(b"x"), b"x"),
        (None, None),
        (np.array([1.0, NAN]), np.array([1.0, NAN])),
        (torch.tensor([1.0, -math.inf]), torch.tensor([1.0, -math.inf])),
        (torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16)),
        (torch.ones(2, requires_grad=True), torch.ones(2)),
        (torch.zeros(0, 3), torch.zeros(0, 3)),
        (np.array(["a"]), np.array(["a"])),
    ],
)
def test_what_means_the_same_is_equal(got: Any, expected: Any) -> None:
    assert difference(got, expected).equal


@pytest.mark.parametrize(
    ("got", "expected", "says"),
    [
        (2, 3, "It is 2; expected 3."),
        (3.0, 3, "Your answer is a float; expected an int."),
        ("3", 3, "Your answer is a str; expected an int."),
        (None, [1], "Your answer is None; expected a list."),
        (1, None, "Your answer is an int; expected None."),
        (0.1, 0.2, "It is 0.1; expected 0.2 (off by 0.1)."),
        (NAN, 0.2, "It is nan; expected 0.2 (off by inf)."),
        (0.2, math.inf, "It is 0.2; expected inf (off by inf)."),
        ("abd", "abc", "Your answer is 'abd'; expected 'abc'."),
        ("x" * 30 + "a", "x" * 30 + "b", "Your answer has 'a' as character 30"),
        ("x" * 30, "x" * 30 + "b", "Your answer ends after 30 characters; 'b' should follow."),
        ("x" * 30 + "b", "x" * 30, "Your answer should end after 30 characters; 'b' follows."),
        ("ab", ["a", "b"], "Your answer is a str; expected a list."),
        (b"ab", [97, 98], "Your answer is a bytes object; expected a list."),
        ({"a": 1}.keys(), ["a"], "Your answer is a dict_keys; expected a list."),
        (map(str, [1]), ["1"], "Your answer is an iterator (a map, to be read once); expected"),
        (np.array([1]), [1], "Your answer is a ndarray; expected a list."),
        ([1, 2], [1, 2, 3], "Your answer has 2 items; expected 3."),
        ([1], [], "Your answer has 1 item; expected 0."),
        ([1, 9], [1, 2, 3], "[1] is 9; expected 2. Your answer has 2 items; expected 3."),
        ([[1], [2, 3]], [[1], [2, 4]], "answer[1][1] is 3; expected 4."),
        ([(1, 2)], [(1,)], "[0] has 2 items; expected 1."),
        ({"a": 1}, {"a": 1, "b": 0}, "Your answer lacks the key 'b'."),
        ({"a": 1, "c": 1}, {"a": 1}, "Your answer has a key too many: 'c'."),
        ({("a", "b"): 1}, {("a", "b"): 2}, "[('a', 'b')] is 1; expected 2."),
        ({1: {2: [3]}}, {1: {2: [4]}}, "[1][2][0] is 3; expected 4."),
        ([1], {1}, "Your answer is a list; expected a set."),
        ({1}, {1, 2}, "Your answer lacks 2."),
        ({1, 3}, {1}, "Your answer has 3 too many."),
        (np.ones((2, 3)), np.ones((3, 2)), "Your answer has the shape (2, 3); expected (3, 2)"),
        (torch.ones(2).double(), torch.ones(2), "the dtype torch.float64; expected torch.float32"),
        (np.ones(2), torch.ones(2), "Your answer is a ndarray; expected a Tensor."),
        (torch.tensor([1, 3]), torch.tensor([1, 2]), "[1] is 3; expected 2 (1 of 2 elements"),
        (torch.tensor([NAN, 1.0]), torch.ones(2), "[0] is nan; expected 1.0"),
        (torch.tensor([NAN, 1.0]), torch.ones(2), "NaN is not a number"),
        (torch.tensor([1.0]), torch.tensor([math.inf]), "[0] is 1.0; expected inf"),
        (torch.tensor([-math.inf]), torch.tensor([math.inf]), "[0] is -inf; expected inf"),
        (-math.inf, math.inf, "It is -inf; expected inf (off by inf)."),
        (torch.tensor([True]), torch.tensor([False]), "[0] is True; expected False"),
        (torch.tensor([2**60 + 1]), torch.tensor([2**60]), "[0] is 1152921504606846977"),
    ],
)
def test_the_first_difference_is_told(got: Any, expected: Any, says: str) -> None:
    found = difference(got, expected)
    assert not found.equal
    assert says in found.sentence


def test_the_largest_difference_is_measured_over_everything() -> None:
    expected = {"a": [1.0, 2.0], "b": torch.tensor([0.0, 1.0], dtype=torch.float64)}
    got = {"a": [1.0 + 1e-9, 2.0], "b": torch.tensor([0.0, 1.0 + 5e-8], dtype=torch.float64)}
    assert difference(got, expected).size == pytest.approx(5e-8, rel=1e-3)


def test_a_tolerance_can_be_asked_for() -> None:
    assert not difference(1.001, 1.0).equal
    assert difference(1.001, 1.0, alike(tolerance=0.01)).equal
    assert difference(1001.0, 1000.0, alike(tolerance=0.01)).equal
    assert not difference(torch.tensor([1.1]), torch.tensor([1.0]), alike(tolerance=0.01)).equal


def test_zero_counts_matter_unless_an_exercise_says_otherwise() -> None:
    assert not difference({"a": 1, "b": 0}, {"a": 1}).equal
    relaxed = alike(ignore_zero_counts=True)
    assert difference({"a": 1, "b": 0}, {"a": 1}, relaxed).equal
    assert difference({"a": 1}, {"a": 1, "b": 0}, relaxed).equal
    assert not difference({"a": 0}, {"a": 1}, relaxed).equal


def test_order_and_dtype_matter_unless_an_exercise_says_otherwise() -> None:
    assert not difference([2, 1], [1, 2]).equal
    assert difference([2, 1], [1, 2], alike(any_order=True)).equal
    assert not difference([2, 2], [1, 2], alike(any_order=True)).equal
    assert difference(torch.ones(2).double(), torch.ones(2), alike(any_dtype=True)).equal


def test_an_answer_that_holds_itself_ends_the_comparison() -> None:
    endless: list[Any] = []
    endless.append(endless)
    other: list[Any] = []
    other.append(other)
    assert "nested too deeply" in difference(endless, other).sentence


@pytest.mark.parametrize("nothing", [None, "", 0, 0.0, Difference()])
def test_an_own_comparison_says_in_several_ways_that_nothing_differs(nothing: Any) -> None:
    assert difference(1, 2, lambda got, expected: nothing).equal


@pytest.mark.parametrize("something", ["it is odd", 2, 0.5, Difference(1.0, "it is odd")])
def test_an_own_comparison_says_in_several_ways_what_differs(something: Any) -> None:
    assert not difference(1, 1, lambda got, expected: something).equal


def test_an_own_comparison_must_not_answer_yes_or_no() -> None:
    with pytest.raises(WrongType, match="returned True"):
        difference(1, 1, lambda got, expected: got == expected)
