"""Long values are shown short, around the place that matters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from minilm.check.messages import MOST_SHOWN, show


@pytest.mark.parametrize("value", [3, "ab", [1, 2], {"a": (1,)}, {1}, None, b"x", float("nan")])
def test_a_short_value_is_shown_as_it_is(value: Any) -> None:
    assert show(value) == repr(value)


LONG = [f"word{i}" for i in range(1000)]


@pytest.mark.parametrize(
    ("value", "path", "inside"),
    [
        ("x" * 500 + "HERE" + "x" * 500, (500,), "HERE"),
        (b"x" * 500 + b"HERE" + b"x" * 500, (500,), "HERE"),
        (LONG, (500,), "'word499', 'word500', 'word501'"),
        (tuple(LONG), (999,), "'word998', 'word999'"),
        ([LONG, LONG], (1, 700), "'word700'"),
        (dict.fromkeys(LONG, 1), ("word600",), "'word600': 1"),
        ({"key": LONG}, ("key", 800), "'word800'"),
        (set(LONG), (), "'word0'"),
        (torch.arange(900).reshape(30, 30), (4, 5), "125"),
        (np.arange(9000).reshape(30, 300), (4, 5), "1205"),
        ([["a" * 400]], (0, 0, 399), "a" * 40),
    ],
)
def test_a_long_value_is_shown_around_the_difference(value: Any, path: Any, inside: str) -> None:
    text = show(value, path)
    assert inside in text
    assert len(text) <= 2 * MOST_SHOWN + 60


def test_what_is_left_out_is_counted() -> None:
    text = show(LONG, (500,))
    before = int(text.split(" before")[0].split()[-1])
    after = int(text.split(" after")[0].split()[-1])
    assert before + after + text.count("word") == 1000
    assert show(dict.fromkeys(LONG, 1)).endswith("more}")


def test_an_object_that_cannot_be_shown_is_named() -> None:
    class Half:
        def __repr__(self) -> str:
            raise AttributeError("no name yet")

    assert "a Half that cannot be shown" in show(Half())
    assert "a Half that cannot be shown" in show([Half()] * 2)


@pytest.mark.parametrize("path", [(5000,), (-1,), ("odd",), (0, 0, 0, 0)])
def test_a_path_that_leads_nowhere_is_no_trouble(path: Any) -> None:
    assert "word" in show(LONG, path)
    assert "word" in show("word" * 500, path)
    assert "word" in show(dict.fromkeys(LONG, 1), path)
