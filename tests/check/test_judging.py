"""How the case to show and the mistake to name are chosen, and whom a missing library stops."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from minilm.check import Exercise, Mistake, Raises, catalogue, check, installing, judging, messages
from minilm.check.exercise import of
from minilm.errors import InvalidInput, WrongType


def exercise(*mistakes: Mistake, **changes: Any) -> Exercise:
    values: dict[str, Any] = {
        "answer": "toy_home:total",
        "lesson": "01_toys",
        "cases": lambda draw: [{"n": n} for n in range(8)],
        "reference": lambda n: n * n,
        "reference_name": "the square",
        "mistakes": mistakes,
        "time_limit": 0.4,
        **changes,
    }
    return Exercise(**values)


def mistake(name: str, variant: Callable[..., Any]) -> Mistake:
    return Mistake(name, variant, f"It does what {name} does.")


def test_the_mistake_that_explains_most_is_named() -> None:
    toy = exercise(
        mistake("zero above three", lambda n: n * n if n < 4 else 0),
        mistake("zero above four", lambda n: n * n if n < 5 else 0),
    )
    verdict = judging.judge(toy, lambda n: n * n if n <= 4 else 0)
    assert verdict.mistake is toy.mistakes[1]
    assert verdict.sure
    assert verdict.wrong == [5, 6, 7]


def test_of_two_that_explain_equally_the_earlier_is_named() -> None:
    one, other = mistake("one", lambda n: 2 * n), mistake("other", lambda n: n + n)
    assert judging.judge(exercise(one, other), lambda n: n << 1).mistake is one
    assert judging.judge(exercise(other, one), lambda n: n << 1).mistake is other


def test_the_case_shown_is_the_smallest_that_the_mistake_explains() -> None:
    toy = exercise(mistake("forgets", lambda n: n * n if n < 4 else 0))
    answers = [0, 1, 5, 9, 0, 0, 0, 0]  # wrong for 2 in a way of its own
    verdict = judging.judge(toy, lambda n: answers[n])
    assert verdict.wrong[0] == 2
    assert verdict.shown == 4
    assert not verdict.sure
    assert 'It looks like a known mistake, "forgets".' in messages.wrong(verdict, lambda n: n)


def test_a_mistake_that_explains_little_is_not_named() -> None:
    toy = exercise(mistake("wrong at seven", lambda n: n * n if n < 7 else 0))
    verdict = judging.judge(toy, lambda n: 100 + n if n < 7 else 0)
    assert verdict.mistake is None
    assert verdict.shown == 0


def test_an_error_is_told_apart_by_kind_and_words() -> None:
    def fails(words: str) -> Callable[[int], int]:
        def function(n: int) -> int:
            raise IndexError(words)

        return function

    toy = exercise(mistake("here", fails("here")), mistake("there", fails("there")))
    assert judging.judge(toy, fails("there")).mistake is toy.mistakes[1]
    assert judging.judge(toy, fails("elsewhere")).mistake is None


def test_an_endless_answer_names_the_endless_mistake_and_the_case_that_hung() -> None:
    def endless_from(least: int) -> Callable[[int], int]:
        def function(n: int) -> int:
            while n >= least:
                pass
            return n * n

        return function

    toy = exercise(mistake("never ends", endless_from(3)))
    verdict = judging.judge(toy, endless_from(3))
    assert verdict.mistake is toy.mistakes[0]
    message = messages.wrong(verdict, endless_from(3))
    assert "    n           = 3" in message
    assert "none: it does not come to an end" in message
    assert "it does not get beyond case 4 of 8." in message


def test_all_cases_together_have_one_time_limit() -> None:
    import time

    def slow(n: int) -> int:
        end = time.thread_time() + 0.15
        while time.thread_time() < end:
            pass
        return n * n

    outcomes = judging.judge(exercise(), slow).outcomes
    assert outcomes[-1].kind == "endless"
    assert len(outcomes) < 8


def test_out_of_memory_is_caught() -> None:
    def hungry(n: int) -> int:
        raise MemoryError

    verdict = judging.judge(exercise(), hungry)
    assert "asks for more memory than there is" in messages.wrong(verdict, hungry)


@pytest.mark.parametrize("error", [ValueError, InvalidInput, UnicodeError])
def test_an_expected_error_may_be_any_of_its_kind(error: type[Exception]) -> None:
    def fails(n: int) -> int:
        raise error("no")

    toy = exercise(reference=lambda n: Raises(ValueError))
    assert judging.judge(toy, fails).right


def test_an_expected_error_must_come() -> None:
    toy = exercise(reference=lambda n: Raises(ValueError, TypeError))
    verdict = judging.judge(toy, lambda n: n)
    assert not verdict.right
    assert "an error: ValueError or TypeError" in messages.wrong(verdict, lambda n: n)

    def fails(n: int) -> int:
        raise KeyError(n)

    assert not judging.judge(toy, fails).right


def test_an_error_of_another_kind_is_told_to_be_nearly_right() -> None:
    toy = exercise(reference=lambda n: Raises(ValueError))

    def asserts(n: int) -> None:
        assert n < 0

    def stumbles(n: int) -> float:
        return n / 0

    assert "Use `if` and `raise`" in messages.wrong(judging.judge(toy, asserts), asserts)
    assert "of another kind" in messages.wrong(judging.judge(toy, stumbles), stumbles)


def test_an_error_of_minilms_own_as_reference_expects_its_builtin_kind() -> None:
    def reference(n: int) -> int:
        raise InvalidInput("no")

    def answer(n: int) -> int:
        raise ValueError("my own words")

    assert judging.judge(exercise(reference=reference), answer).right


def test_an_answer_may_be_used_in_another_way_than_one_call() -> None:
    toy = exercise(
        cases=lambda draw: [{"words": ["bb", "a", "ccc"]}],
        reference=lambda words: sorted(words, key=len),
        use=lambda function, words: sorted(words, key=function),
    )
    assert judging.judge(toy, lambda word: len(word) * 2).right
    assert not judging.judge(toy, lambda word: -len(word)).right


def test_an_answer_may_change_its_inputs_where_the_exercise_allows_it() -> None:
    def changing(numbers: list[int]) -> int:
        numbers.sort()
        return len(numbers)

    changes: dict[str, Any] = {
        "cases": lambda draw: [{"numbers": [2, 1]}],
        "reference": lambda numbers: len(numbers),
    }
    assert not judging.judge(exercise(**changes), changing).right
    assert judging.judge(exercise(**changes, may_change_inputs=True), changing).right


def test_one_case_does_not_see_what_another_changed() -> None:
    shared = [3, 1]
    toy = exercise(
        cases=lambda draw: [{"numbers": shared}, {"numbers": shared}],
        reference=lambda numbers: numbers[0],
        may_change_inputs=True,
    )
    assert judging.judge(toy, lambda numbers: numbers.pop(0)).right
    assert shared == [3, 1]


def test_an_answer_that_fills_the_same_list_again_is_no_fault() -> None:
    kept: list[int] = []

    def answer(n: int) -> list[int]:
        kept.clear()
        kept.append(n)
        return kept

    assert judging.judge(exercise(reference=lambda n: [n]), answer).right


def test_without_the_library_minilms_own_answers_stand_in_and_the_line_says_so(
    toys: dict[str, Exercise],
    desk_folder: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reference(numbers: list[int], start: int = 0) -> int:
        import nowhere_at_all.inside  # type: ignore[import-not-found]

        return nowhere_at_all.inside(numbers, start)

    toy = dataclasses.replace(toys["total"], reference=reference)
    monkeypatch.setitem(toys, "total", toy)

    def total(numbers: list[int], start: int = 0) -> int:
        if start < 0:
            raise ValueError
        return start + sum(numbers)

    check(total)
    assert capsys.readouterr().out.startswith(
        "total: right. Equals minilm's own answer on 7 cases (largest difference 0). "
        "nowhere_at_all is not installed: with it, the check compares with Python's sum.\n"
    )


def test_minilms_own_answers_are_asked_also_while_a_readers_function_is_in_use(
    toys: dict[str, Exercise],
) -> None:
    installing.install(toys["total"], lambda numbers, start=0: 77)
    expected = judging.own_expected(toys["total"], 0, 3)
    assert len(expected.cases) == 3
    assert 77 not in expected.values


@pytest.mark.parametrize(
    ("largest", "says"),
    [(0.0, "0"), (3e-8, "below 1e-07"), (1e-7, "below 1e-06"), (2.0, "below 1e+01")],
)
def test_a_largest_difference_is_told_without_digits_that_vary(largest: float, says: str) -> None:
    toy = exercise(
        reference=lambda n: float(n), compare=lambda got, expected: judging.Difference(largest)
    )
    verdict = judging.judge(toy, lambda n: float(n))
    assert verdict.right
    assert f"(largest difference {says})" in messages.right(verdict)


def test_cases_are_tried_smallest_first() -> None:
    toy = exercise(
        cases=lambda draw: [{"n": "long one"}, {"n": [1, [2, 3]]}, {"n": ""}, {"n": "ab"}]
    )
    assert [case["n"] for case in toy.draw_cases()] == ["", "ab", [1, [2, 3]], "long one"]


def test_seeds_draw_other_cases_and_the_same_seed_the_same() -> None:
    toy = exercise(cases=lambda draw: [{"n": draw.random()} for _ in range(3)])
    assert toy.draw_cases(1) == toy.draw_cases(1) != toy.draw_cases(2)


def test_a_reference_can_name_a_function_of_another_library() -> None:
    assert of("os.path:basename")(p="a/b") == "b"
    assert of("collections:OrderedDict.fromkeys")(iterable="ab") == {"a": None, "b": None}


def test_a_malformed_exercise_says_what_is_wrong() -> None:
    with pytest.raises(InvalidInput, match="'module:function'"):
        exercise(answer="toy_home.total")
    with pytest.raises(InvalidInput, match="has no cases"):
        exercise(cases=lambda draw: []).draw_cases()
    with pytest.raises(WrongType, match="returned True"):
        judging.judge(exercise(compare=lambda got, expected: True), lambda n: n)


def test_an_answer_that_minilm_lacks_is_named(toys: dict[str, Exercise]) -> None:
    with pytest.raises(InvalidInput, match="There is no 'nothing' in toy_home"):
        installing.own(exercise(answer="toy_home:nothing"))


def test_two_exercises_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    twice = types.SimpleNamespace(EXERCISES=[exercise(), exercise(answer="elsewhere:total")])
    monkeypatch.setattr(catalogue, "import_module", lambda name: twice)
    with pytest.raises(InvalidInput, match="Two exercises are called total"):
        catalogue.all_exercises.__wrapped__()


# --- tensors ----------------------------------------------------------------------------------


def on_tensors(**changes: Any) -> Exercise:
    values: dict[str, Any] = {
        "cases": lambda draw: [{"x": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}],
        "reference": lambda x: x + 1e-9,
        "time_limit": 5.0,
    }
    return exercise(**{**values, **changes})


def test_an_argument_that_is_written_into_is_named_however_little_it_changed() -> None:
    def answer(x: torch.Tensor) -> torch.Tensor:
        x += 1e-7
        return x.clone()

    verdict = judging.judge(on_tensors(), answer)
    assert verdict.differences[0].sentence == "It changes `x`, which it was only lent."
    message = messages.wrong(verdict, answer)
    assert "still needs `x` as it was" in message
    assert "names that end in _ (`masked_fill_`) write into the tensor" in message


def test_an_argument_whose_shape_is_changed_is_named() -> None:
    def answer(x: torch.Tensor) -> torch.Tensor:
        right = x.clone()
        x.unsqueeze_(0)
        return right

    assert "`x`" in judging.judge(on_tensors(), answer).differences[0].sentence


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: x,
        lambda x: x[:],
        lambda x: x.requires_grad_() * 1.0,
        lambda x: torch.nn.Parameter(x),
        lambda x: x.T.contiguous().T,
    ],
)
def test_views_of_an_argument_and_tensors_with_a_history_are_answers(answer: Any) -> None:
    assert judging.judge(on_tensors(), answer).right


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (x, x), lambda x: {"a": [x]}])
def test_an_answer_with_a_history_that_is_filled_again_is_no_fault(wrap: Any) -> None:
    kept = torch.zeros(1, requires_grad=True) * 2  # torch refuses to copy what was computed so

    def answer(n: int) -> Any:
        with torch.no_grad():
            kept.fill_(n)
        return wrap(kept)

    toy = exercise(reference=lambda n: wrap(torch.tensor([float(n)])), time_limit=5.0)
    assert judging.judge(toy, answer).right


def test_an_answer_that_draws_random_numbers_is_unsteady_or_the_same_each_time() -> None:
    verdict = judging.judge(on_tensors(), lambda x: x + torch.rand(2, 2))
    assert not verdict.right
    assert not verdict.unsteady  # the same luck at every call


def test_a_mistake_that_gives_nan_is_told_from_one_that_gives_another_shape() -> None:
    toy = on_tensors(
        mistakes=(
            mistake("gives nan", lambda x: x * math.nan),
            mistake("gives a row", lambda x: x[0]),
        )
    )
    assert judging.judge(toy, lambda x: x / 0 * 0).mistake is toy.mistakes[0]
    assert judging.judge(toy, lambda x: x[:1].squeeze(0)).mistake is toy.mistakes[1]


def test_a_tensor_on_no_real_device_fails_in_words() -> None:
    verdict = judging.judge(on_tensors(), lambda x: x.to("meta"))
    assert "on the device meta" in messages.wrong(verdict, lambda x: x)
