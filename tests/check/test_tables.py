"""Tensors as a check shows them."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from minilm.check.messages import show
from minilm.check.tables import MOST_LINES, WIDEST, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.tensor(0.5), "() float32: 0.5"),
        (torch.tensor([1, 20]), "(2,) int64: 1 20"),
        (torch.zeros(0, 3), "(0, 3) float32, empty"),
        (torch.tensor([[True, False]]), "(1, 2) bool, 1 = True: 1 0"),
        (torch.ones(2, 2).tril().bool(), "(2, 2) bool, 1 = True\n1 0\n1 1"),
        (torch.tensor([[1.0, -2.5], [0.0, 10.0]]), "(2, 2) float32\n 1.0 -2.5\n 0.0 10.0"),
        (torch.tensor([1 / 3, 2.0]), "(2,) float32: 0.333 2.000"),
        (torch.tensor([1 / 3, 0.25]).bfloat16(), "(2,) bfloat16: 0.3340 0.2500"),
        (torch.tensor([1e4, -123456.7]), "(2,) float32: 10000 -123457"),
        (torch.tensor([0.25, 1e-30]), "(2,) float32: 0.25 1.0e-30"),
        (torch.tensor([math.nan, math.inf, -math.inf]), "(3,) float32: nan  inf -inf"),
        (torch.tensor([-0.0, 1.0]), "(2,) float32: 0.0 1.0"),
        (np.array([1.5, 2.0]), "(2,) numpy float64: 1.5 2.0"),
        (torch.ones(2, 3, device="meta"), "(2, 3) float32 on meta"),
        (
            torch.arange(8).reshape(2, 1, 2, 2),
            "(2, 1, 2, 2) int64\n[0, 0]   [1, 0]\n0 1      4 5\n2 3      6 7",
        ),
    ],
)
def test_a_small_tensor_is_shown_whole(value: Any, text: str) -> None:
    assert table(value) == text


def test_the_columns_of_a_table_stand_below_each_other() -> None:
    lines = table(torch.randn(4, 5, generator=torch.Generator().manual_seed(0))).split("\n")[1:]
    assert len({len(line) for line in lines}) == 1


def test_a_history_of_gradients_is_not_shown() -> None:
    assert table(torch.ones(2, requires_grad=True) * 2) == "(2,) float32: 2.0 2.0"


@pytest.mark.parametrize(
    ("shape", "path", "inside"),
    [
        ((2, 3, 8, 8), (1, 2, 3, 4), "of it [1, 2]:\n320 321 322"),
        ((2, 3, 8, 8), (1, 2, 3, 4), " 372 "),
        ((40, 40), (20, 39), "; row [20] from "),
        ((40, 40), (20, 39), " 839"),
        ((500,), (250,), " 250 "),
        ((500,), (499,), " 499"),
        ((3, 900), (2, 0), "row [2]:\n1800 1801"),
        ((100, 1, 2), (99,), "of it [99]:\n198 199"),
    ],
)
def test_of_a_big_tensor_the_part_around_the_difference_is_shown(
    shape: Any, path: Any, inside: str
) -> None:
    text = table(torch.arange(math.prod(shape)).reshape(shape), path)
    assert text.startswith(f"{tuple(shape)} int64; ")
    assert inside in text
    assert len(text) < 600


@pytest.mark.parametrize("path", [(), (5,), (0, 99), (-7, 0), ("odd",), (0, 0, 0, 0, 0)])
def test_an_index_that_leads_nowhere_is_no_trouble(path: Any) -> None:
    assert table(torch.ones(30, 40), path).startswith("(30, 40) float32; row ")
    assert table(torch.ones(2, 2), path).startswith("(2, 2)")


@pytest.mark.parametrize("shape", [(6, 6), (2, 3, 4, 5), (20, 20), (1, 1, 12, 12), (9, 1, 3)])
@pytest.mark.parametrize("limit", [60, 150, 400])
def test_no_table_is_long_or_wide(shape: Any, limit: int) -> None:
    lines = table(torch.randn(shape), (), limit).split("\n")
    assert len(lines) <= MOST_LINES + 1
    assert max(map(len, lines)) <= WIDEST + 4
    assert len("\n".join(lines)) <= limit + 80


def test_very_large_and_no_finite_numbers_give_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lowest = torch.finfo(torch.float64).min
        assert "-1.8e+308" in table(torch.tensor([lowest, 0.0], dtype=torch.float64))
        assert table(torch.tensor([math.inf])) == "(1,) float32: inf"
        assert table(torch.tensor([[math.nan] * 2] * 2)) == "(2, 2) float32\nnan nan\nnan nan"


def test_a_tuple_of_tensors_is_shown_one_below_the_other() -> None:
    pair = torch.tensor([1, 2]), torch.tensor([[1, 2], [3, 4]])
    assert show(pair) == "[0] (2,) int64: 1 2\n[1] (2, 2) int64\n    1 2\n    3 4"
    assert show({"a": pair[0], "ok": True}) == "a: (2,) int64: 1 2\nok: True"
    assert show([pair[0], None]) == "[0] (2,) int64: 1 2\n[1] None"


def test_of_many_tensors_the_one_that_differs_is_shown() -> None:
    many = tuple(torch.full((4, 4), float(i)) / 3 for i in range(50))
    text = show(many, (30, 1, 1))
    assert "[30] (4, 4) float32" in text
    assert "more" in text.split("\n")[-1]
    assert len(text) < 1000
    assert show([torch.rand(6, 8)] * 3).endswith("\n… 2 more")
