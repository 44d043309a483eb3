"""Long values are shown short, around the place that matters."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from minilm.check import Exercise, judging, messages
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


X = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        (lambda: X.T.view(6), "Use `reshape`."),
        (lambda: X.view(5), "more or fewer numbers than the new shape holds"),
        (lambda: X + torch.ones(2, 4), "Axes are matched from the right"),
        (lambda: X @ X, "Is a transpose missing?"),
        (lambda: X[None] @ X[None], "Is a transpose missing?"),
        (lambda: ~X, "Make it boolean first"),
        (lambda: X.masked_fill(X, 0.0), "A mask says yes or no for each place"),
        (lambda: X @ X.T.double(), "Two tensors of different types meet"),
        (lambda: X.clone().requires_grad_().add_(1), "write into the tensor itself"),
        (lambda: 1 if X else 0, "Use `&`, `|`, `~`"),
        (lambda: X.clone()[:1].copy_(torch.ones(2, 3)), "not have the shape of the place"),
        (lambda: X + torch.ones(2, 3, device="meta"), "lie on different devices"),
        (lambda: X[None][X > 0], "`masked_fill` and `torch.where` stretch a smaller one"),
        (lambda: torch.sqrt(3), "this is a plain number"),
    ],
)
def test_what_torch_means_by_an_error_is_said_in_plain_words(wrong: Any, advice: str) -> None:
    toy = Exercise(
        answer="toy_home:total",
        lesson="01_toys",
        cases=lambda draw: [{}],
        reference=lambda: X,
        reference_name="ones",
        mistakes=[],
    )
    assert advice in messages.wrong(judging.judge(toy, wrong), wrong)


def test_an_argument_that_is_none_is_named_where_none_makes_the_trouble() -> None:
    def one(x: Any, past: Any = None) -> Any:
        return past.shape

    def two(x: Any, past: Any = None, mask: Any = None) -> Any:
        return x + mask

    def message(wrong: Any, **case: Any) -> str:
        toy = Exercise(
            answer="minilm.check.messages:show",
            lesson="01_toys",
            cases=lambda draw: [{"x": X, **case}],
            reference=lambda **case: X,
            reference_name="ones",
            mistakes=[],
        )
        return messages.wrong(judging.judge(toy, wrong), wrong)

    assert "On this case `past` is None. Ask" in message(one, past=None)
    assert "On this case `past` and `mask` are None." in message(two, past=None, mask=None)
    told = message(lambda x: None + x)
    assert "On this case" not in told


def test_an_argument_that_is_not_given_and_none_is_named(toys: dict[str, Exercise]) -> None:
    toy = Exercise(
        answer="minilm.attention:masked_softmax",
        lesson="05_attention",
        cases=lambda draw: [{"scores": X}],
        reference=lambda scores: scores,
        reference_name="scores",
        mistakes=[],
    )

    def masked_softmax(scores: Any, may_attend: Any = None) -> Any:
        return scores + may_attend

    message = messages.wrong(judging.judge(toy, masked_softmax), masked_softmax)
    assert "On this case `may_attend` is None." in message
    # Where the answer is used in a way of the exercise's own, nobody knows what it was given.
    toy = dataclasses.replace(
        toy,
        cases=lambda draw: [{"other": X}],
        reference=lambda other: other,
        use=lambda function, other: function(other),
    )
    message = messages.wrong(judging.judge(toy, masked_softmax), masked_softmax)
    assert "NoneType" in message
    assert "may_attend` is None" not in message


def test_many_long_arguments_are_shown_shorter_each() -> None:
    names = "abcdefghij"
    toy = Exercise(
        answer="toy_home:total",
        lesson="01_toys",
        cases=lambda draw: [{name: torch.rand(6, 8) for name in names}],
        reference=lambda **case: case["a"],
        reference_name="the first",
        mistakes=[],
    )
    message = messages.wrong(judging.judge(toy, lambda **case: case["b"]), lambda: None)
    assert all(f"    {name} " in message for name in names)
    assert len(message) < 2500
