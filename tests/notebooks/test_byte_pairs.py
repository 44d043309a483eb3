"""What lesson 01 says in words holds for what its cells compute, on this Python."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from minilm.tokenization import bpe, bpe_training, byte_alphabet, utf8, words

LESSON = Path(__file__).resolve().parents[2] / "lessons" / "01_byte_pairs.ipynb"
ANSWERS = [
    *(utf8.utf8_bytes, byte_alphabet.byte_alphabet, byte_alphabet.tokens_to_text),
    *(words.split_words, bpe.count_pairs, bpe.merge_pair, bpe.merge_order, bpe.apply_merges),
    bpe_training.train_bpe,
]


@pytest.fixture(scope="module")
def cells() -> list[nbformat.NotebookNode]:
    return nbformat.read(LESSON, as_version=4).cells


@pytest.fixture(scope="module")
def names(cells) -> dict:
    """What the lesson's own cells leave behind, with minilm's answers to its exercises."""
    space: dict = {answer.__name__: answer for answer in ANSWERS}
    for cell in cells:
        if cell.cell_type == "code" and "nbgrader" not in cell.metadata:
            source = cell.source.split("\nlongest_token.__name__")[0]  # behind it stands a check
            exec(compile(source, LESSON.name, "exec"), space)
    return space


@pytest.fixture(scope="module")
def solutions(cells) -> list[str]:
    return re.findall(r"```python\n(.*?)```", cells[-1].source, re.DOTALL)


def test_chance_breaks_a_tie_within_the_first_ten_merges(names):
    assert names["at"] < 10
    assert names["right"] != names["chance"]
    assert len(names["right"]) == len(names["chance"])
    assert names["right"] == bpe_training.train_bpe(names["small"], 90)[1]


def test_a_tie_in_banana_ends_in_two_ways(names):
    one, other = (bpe.merge_pair("banana", tuple(pair), pair) for pair in ("an", "na"))
    assert one != other
    assert bpe.count_pairs({tuple("banana"): 1})["a", "n"] == 2
    assert bpe.count_pairs({tuple("banana"): 1})["n", "a"] == 2


def test_the_slow_trainer_and_the_fast_one_agree_on_the_manual(names):
    size = len(set().union(*names["words"])) + 20
    slow = names["train_slowly"](names["words"], size)
    assert len(slow[1]) == 20
    assert slow == bpe_training.train_bpe_with_marks(names["words"], size)


def test_each_doubling_adds_less_than_the_one_before(names):
    gains = [after - before for before, after in pairwise(names["lengths"])]
    assert min(gains) > 0
    assert gains == sorted(gains, reverse=True)
    assert all(after < 2 * before for before, after in list(pairwise(names["lengths"]))[1:])


def test_the_rough_pattern_makes_the_two_cuts_that_the_answer_names(names):
    import regex

    rough = regex.findall(names["rough"], "We'll see:    4 lines, it's late.")
    assert rough[:3] == ["We", "'", "ll"]
    assert "4" in rough
    assert " lines" in rough


def test_the_longest_token_keeps_the_text_and_loses_the_ids(names):
    assert all("".join(longest) == "".join(ranked) for longest, ranked in names["both"])
    assert 0 < len(names["other"]) < len(names["both"])


def test_the_tree_has_something_to_show(names):
    word, ranks = names["word"], names["ranks"]
    assert 1 < len(bpe.apply_merges(list(word), ranks)) < len(word) / 2


def test_a_space_changes_the_tokens_of_a_word(names):
    bare, spaced = (names["tokenizer"].tokenize(text) for text in ("want", " want"))
    assert "".join(bare) == "want"
    assert spaced == ["Ġwant"]


def test_nothing_in_the_table_differs(names):
    for mine, reference in names["table"].values():
        assert len(mine) == len(reference) > 20
        assert list(mine) == list(reference)


def test_the_decoding_row_holds_broken_characters_and_whole_ones(names):
    texts, _ = names["table"]["text, stopped anywhere"]
    assert sum("\ufffd" in text for text in texts) > 3
    assert "\ufffd" not in texts[-1]
    assert "🙂" in texts[-1]


def test_the_first_solution_spells_the_letters(names, solutions, capsys):
    exec(solutions[0], names)
    *spellings, letters = capsys.readouterr().out.splitlines()
    assert len(set(spellings)) == 3
    assert letters == str([*"-".join("strawberry")])


def test_the_second_solution_makes_longer_tokens_that_are_never_used(names, solutions, capsys):
    exec(solutions[1], names)
    assert "cross a cut" in capsys.readouterr().out
    wild, tame = names["wild"], names["vocab"]
    assert sum(map(len, wild)) / len(wild) > sum(map(len, tame)) / len(tame)
    assert len(names["crossing"]) > len(wild) / 4
    crossing = set(names["crossing"])
    assert not crossing & set(words.split_words(names["manual"]))
