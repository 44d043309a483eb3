"""How one tensor differs from another, in words."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from minilm.check.comparing import alike, difference

NAN, INF = math.nan, math.inf


def told(got: Any, expected: Any) -> str:
    found = difference(got, expected)
    assert not found.equal
    return found.sentence


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (torch.ones(1, 3).expand(2, 3), torch.ones(2, 3)),
        (torch.arange(6).reshape(2, 3).T, torch.tensor([[0, 3], [1, 4], [2, 5]])),
        (torch.ones(3, requires_grad=True) * 2, torch.full((3,), 2.0)),
        (torch.nn.Parameter(torch.ones(2)), torch.ones(2)),
        (torch.tensor([1 + 1j]).conj(), torch.tensor([1 - 1j])),
        (torch.tensor([-0.0]), torch.tensor([0.0])),
        (torch.tensor([NAN, -INF, INF]), torch.tensor([NAN, -INF, INF])),
        (torch.zeros(2, 0), torch.zeros(2, 0)),
        (torch.tensor(2.0), torch.tensor(2.0)),
        (torch.tensor([1e4 + 0.001]), torch.tensor([1e4])),
        (torch.tensor([1.0]).bfloat16(), torch.tensor([1.0 + 2**-7]).bfloat16()),
        (torch.tensor([1.0]).half(), torch.tensor([1.0 + 2**-10]).half()),
    ],
)
def test_what_holds_the_same_numbers_is_equal(got: Any, expected: Any) -> None:
    assert difference(got, expected).equal


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        ((2, 3, 4), (2, 4, 3), "the last two axes are swapped"),
        ((3, 2), (2, 3), "the two axes are swapped"),
        ((2, 3, 5, 4), (2, 5, 3, 4), "the axes 1 and 2 are swapped"),
        ((4, 2, 3), (2, 3, 4), "the same axes in another order"),
        ((2, 3), (2, 1, 3), "axis 1, of length 1, is missing"),
        ((3,), (1, 1, 3), "the axes 0 and 1 are missing"),
        ((1, 2, 3), (2, 3), "axis 0, of length 1, is too many"),
        ((1, 2, 1, 3), (2, 3), "the axes 0 and 2 are too many"),
        ((2, 3, 5), (2, 3, 4), "axis 2 (the last) is one too long"),
        ((2, 2, 4), (2, 3, 4), "axis 1 is one too short"),
        ((3,), (4,), "it is one too short"),
        ((2, 8, 3), (2, 2, 3), "axis 1 is 4 times too long"),
        ((2, 2, 3), (2, 8, 3), "axis 1 is 4 times too short"),
        ((2, 1, 3), (2, 7, 3), "axis 1 has the length 1, not 7"),
        ((2, 7, 3), (2, 4, 3), "axis 1 has the length 7, not 4"),
        ((0, 5), (3, 5), "axis 0 has the length 0, not 3"),
        ((2, 3, 4), (6, 4), "as many numbers, arranged in another way"),
        ((4, 6), (2, 3, 2, 2), "as many numbers, arranged in another way"),
    ],
)
def test_how_one_shape_comes_from_another(got: Any, expected: Any, words: str) -> None:
    sentence = told(torch.zeros(got), torch.zeros(expected))
    assert sentence == f"Your answer has the shape {got}; expected {expected}: {words}."


def test_a_shape_like_no_other_is_told_alone() -> None:
    sentence = told(torch.zeros(5, 7), torch.zeros(2, 3, 4))
    assert sentence == "Your answer has the shape (5, 7); expected (2, 3, 4)."


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (torch.ones(2).double(), torch.ones(2), "expected torch.float32. The values are right."),
        (torch.ones(2).half() / 3, torch.ones(2) / 3, "The values are right."),
        (torch.zeros(2).double(), torch.ones(2), "expected torch.float32."),
        (torch.ones(2).long(), torch.ones(2).bool(), "A mask is boolean, True = may attend"),
        (torch.ones(2).bool(), torch.ones(2), "It says yes or no where numbers are asked for."),
        (torch.ones(2).int(), torch.ones(2).long(), "torch.int64. The values are right."),
        (torch.zeros(1).long(), torch.full((1,), 0.004), "has the dtype torch.int64; expected"),
    ],
)
def test_another_dtype_is_told_with_what_can_be_said_of_the_values(
    got: Any, expected: Any, words: str
) -> None:
    assert words in told(got, expected)
    assert ("The values are right" in words) == ("The values are right" in told(got, expected))


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (np.ones(2), torch.ones(2), "stay with torch, or use `torch.from_numpy`"),
        ([1.0, 1.0], torch.ones(2), "`torch.tensor` makes one of a list"),
        ([torch.ones(2)] * 2, torch.ones(2, 2), "`torch.stack` and `torch.cat`"),
        ((torch.ones(2), None), torch.ones(2), "a tuple; expected a Tensor."),
        ((torch.ones(2), torch.ones(2)), torch.ones(2), "It holds 2 tensors; return one."),
        (2.0, torch.tensor(2.0), "keep the tensor"),
        (torch.ones(2), (torch.ones(2), torch.ones(2)), "`return a, b`"),
        (torch.tensor(3), 3, "`.item()` takes the number out"),
        (None, torch.ones(2), "Your answer is None; expected a Tensor."),
        ({"a": 1}, torch.ones(2), "Your answer is a dict; expected a Tensor."),
    ],
)
def test_what_is_no_tensor_is_told_how_to_become_one(got: Any, expected: Any, words: str) -> None:
    assert words in told(got, expected)


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (torch.ones(2, device="meta"), "on the device meta; expected cpu"),
        (torch.ones(2).to_sparse(), "a tensor of another kind (sparse_coo)"),
        (torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "(quantized)"),
        (torch.nested.nested_tensor([torch.ones(2)]), "(nested)"),
    ],
)
def test_a_tensor_that_lies_elsewhere_or_otherwise_is_told(got: Any, words: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert words in told(got, torch.ones(2))


def table_of(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (
            table_of([1, 2], [3, 5]).float(),
            table_of([1, 2], [3, 4]).float(),
            "answer[1, 1] is 5.0; expected 4.0 (1 of 4 elements differ).",
        ),
        (table_of([1, 2], [NAN, NAN]), table_of([1, 2], [0, 0]).float(), "Row [1] is NaN through"),
        (table_of([1, NAN], [1, 1]), torch.ones(2, 2), "[0, 1] is nan; expected 1.0 (1 of 4"),
        (torch.full((2, 2), NAN), torch.ones(2, 2), "All of it is NaN. NaN is not a number"),
        (table_of([1, INF]), table_of([1.0, 2.0]), "Infinity comes of a division by 0"),
        (table_of([1, 0]).bool(), table_of([0, 1]).bool(), "Everywhere it says the opposite."),
        (
            torch.arange(9.0).reshape(3, 3),
            torch.arange(9.0).reshape(3, 3).T,
            "With the last two axes swapped it would be right.",
        ),
        (table_of([1.0, -2.0]), table_of([-1.0, 2.0]), "Everywhere the sign is the other one."),
        (table_of([0.0, 3, 6]), table_of([0.0, 1, 2]), "it is 3 times what is expected."),
        (table_of([0.3, 0.2]), table_of([0.6, 0.4]), "it is 0.5 times what is expected."),
        (torch.tensor(1.0), torch.tensor(2.0), "answer is 1.0; expected 2.0."),
        (torch.tensor([1.00001]), torch.tensor([1.0]), "answer[0] is 1.00001; expected 1.0."),
        (torch.tensor([0.100002]), torch.tensor([0.1]), "is 0.100002; expected 0.1."),
    ],
)
def test_the_first_number_that_differs_is_told_and_what_is_odd(
    got: Any, expected: Any, words: str
) -> None:
    assert words in told(got, expected)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (table_of([1.0, 2.0]), table_of([2.0, 2.0])),
        (table_of([1, 0, 1]).bool(), table_of([0, 1, 1]).bool()),
        (table_of([1.0, 2], [3, 4]), table_of([1.0, 2], [3, 5])),
        (table_of([1.0, 2], [3, 4]), table_of([1.0, 3], [2, 4])),
        (table_of([1.0, 1.0]), table_of([0.0, 0.0])),
        (table_of([0.5, 2.0, 4.0]), table_of([0.0, 1.0, 2.0])),
    ],
)
def test_nothing_odd_is_said_where_nothing_is(got: Any, expected: Any) -> None:
    assert told(got, expected).endswith("elements differ).")


def test_a_row_with_a_single_nan_is_not_told_to_be_nan_throughout() -> None:
    assert "throughout" not in told(table_of([1, NAN], [1, 1]), torch.ones(2, 2))


def test_of_several_tensors_the_one_that_differs_is_named() -> None:
    one, other = torch.ones(2, 3), torch.zeros(2, 3)
    sentence = told((one, other + 1), (one, other))
    assert sentence.startswith("answer[1][0, 0] is 1.0; expected 0.0")
    assert difference((one, other + 1), (one, other)).path == (1, 0, 0)
    assert told({"a": one}, {"a": other}).startswith("answer['a'][0, 0] is 1.0")
    assert told((one, other[0]), (one, other)).startswith("answer[1] has the shape (3,)")


def test_two_tensors_in_the_other_order_are_told_so() -> None:
    one, other = torch.ones(2), torch.zeros(2)
    assert told((one, other), (other, one)) == (
        "Both are right, in the other order: exchange what you return."
    )
    assert "other order" not in told((one, one), (other, one))


def test_numbers_may_come_for_a_mask_where_an_exercise_allows_it() -> None:
    relaxed = alike(any_dtype=True)
    mask = torch.tensor([True, False])
    for dtype in (torch.int64, torch.float32, torch.uint8):
        assert difference(mask.to(dtype), mask, relaxed).equal
        assert not difference((~mask).to(dtype), mask, relaxed).equal
    assert not difference(torch.tensor([2, 0]), mask, relaxed).equal
    assert not difference(torch.tensor([0.0, -INF]), mask, relaxed).equal
    assert difference(torch.tensor([1 / 3]).bfloat16(), torch.tensor([1 / 3]), relaxed).equal


def test_half_precision_is_judged_by_its_own_precision() -> None:
    one = torch.tensor([1.0])
    assert not difference((one + 0.05).bfloat16(), one.bfloat16()).equal
    assert not difference((one + 0.005).half(), one.half()).equal
    assert not difference(one + 0.005, one).equal


def test_the_largest_difference_is_relative_to_large_numbers() -> None:
    got, expected = torch.tensor([1e4 + 0.002, 1.0]), torch.tensor([1e4, 1.0])
    assert difference(got, expected).size == pytest.approx(2e-7, rel=0.1)


def test_very_large_numbers_give_no_warning() -> None:
    lowest = torch.finfo(torch.float64).min
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        difference(torch.tensor([lowest, 1.0]).double(), torch.tensor([-lowest, 2.0]).double())
        difference(torch.tensor([INF, 1.0]), torch.tensor([-INF, 2.0]))
