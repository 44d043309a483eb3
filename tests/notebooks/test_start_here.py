"""What lesson 00 says in words holds for the numbers that its cells compute, on this Python."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import pytest

LESSON = Path(__file__).resolve().parents[2] / "lessons" / "00_start_here.ipynb"
LENGTHS = range(1, 6)
SMOOTHINGS = (0.0001, 0.001, 0.01, 0.1, 1.0)


def run(edit: Callable[[str], str] = str) -> dict:
    names: dict = {}
    for cell in nbformat.read(LESSON, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(edit(cell.source), LESSON.name, "exec"), names)
    return names


def perplexities(names: dict, k: float = 0.001) -> tuple[list[float], list[float]]:
    both = [[names["perplexity"](p) for p in names["ngram_chances"](n, k)] for n in LENGTHS]
    training, held_out = zip(*both)
    return list(training), list(held_out)


@pytest.fixture(scope="module")
def names() -> dict:
    return run()


@pytest.fixture(scope="module")
def prose() -> str:
    cells = nbformat.read(LESSON, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_the_chances_of_all_next_words_sum_to_one(names):
    sums = names["chance"].sum(axis=1)
    assert np.allclose(sums[1:], 1)  # row 0 is the word never seen
    assert sums[0] == 0


@pytest.mark.parametrize("n", LENGTHS)
def test_the_ngram_chances_equal_a_count_by_hand(names, n):
    words = names["ids"].tolist()
    train, k = words[: names["end"]], 0.001
    grams, contexts = {}, {}
    for start in range(len(train) - n + 1):
        gram = tuple(train[start : start + n])
        grams[gram] = grams.get(gram, 0) + 1
        contexts[gram[:-1]] = contexts.get(gram[:-1], 0) + 1
    chances = np.concatenate(names["ngram_chances"](n, k))
    for start in [0, 1, 777, len(train) - n, len(train) - n + 1, len(words) - n]:
        gram = tuple(words[start : start + n])
        seen, context_seen = grams.get(gram, 0), contexts.get(gram[:-1], 0)
        assert chances[start] == pytest.approx((seen + k) / (context_seen + k * names["V"]))


def test_one_word_to_the_left_beats_none_and_none_beats_guessing(names):
    _, held_out = perplexities(names)
    assert names["V"] > held_out[0] > held_out[1]


def test_training_perplexity_falls_with_every_word_of_context(names):
    training, _ = perplexities(names)
    assert training == sorted(training, reverse=True)


def test_held_out_perplexity_rises_from_the_bigram_on(names):
    _, held_out = perplexities(names)
    assert held_out[1:] == sorted(held_out[1:])


@pytest.mark.parametrize("k", SMOOTHINGS)
def test_no_smoothing_saves_the_long_ones(names, k):
    _, held_out = perplexities(names, k)
    assert min(held_out[:2]) < min(held_out[2:])


def test_most_long_contexts_of_the_exam_are_new(names):
    assert names["unseen"] == sorted(names["unseen"])
    assert names["unseen"][3] > 0.5


def test_seeing_the_needle_low_and_pressing_it_down_are_different_things(names):
    seeing, pressing = names["after"]("low", "storm"), names["storm_when_pressed"].mean()
    assert seeing > 2 * pressing
    assert pressing == pytest.approx(names["storm"].mean(), abs=0.01)
    assert names["total"] == pytest.approx(pressing, abs=0.01)


def test_a_word_that_was_never_counted_has_no_row(names):
    with pytest.raises(KeyError, match="pizza"):
        names["generate"]("pizza", 5, seed=0)


def test_the_solution_of_the_first_exercise_keeps_the_long_ones_from_rising(names, prose, capsys):
    [solution] = re.findall(r"```python\n(def backed_off.*?)```", prose, flags=re.DOTALL)
    exec(solution, names)
    printed = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(printed) == len(LENGTHS)
    assert printed == sorted(printed, reverse=True)
    assert printed[-1] > 0.9 * printed[2], "from n = 3 on it hardly falls"


def test_repeated_paragraphs_make_the_exam_of_the_long_ones_easy(names):
    once = "list(dict.fromkeys(sentences))"
    cheating = run(lambda source: source.replace(once, "sentences"))
    assert len(cheating["prose"]) > len(names["prose"])
    _, honest = perplexities(names)
    _, flattered = perplexities(cheating)
    assert all(new < old / 2 for new, old in zip(flattered[2:], honest[2:]))
