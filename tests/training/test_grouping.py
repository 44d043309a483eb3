"""Blocks of one length: nothing lost but the very end, nothing doubled, nothing slow."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import InvalidInput
from minilm.training import grouping
from minilm.training.grouping import group_texts, rows_of, text_blocks


def of_the_article(examples, block_size):
    """What the guide's own function does, on one batch."""
    whole = {name: sum(rows, []) for name, rows in examples.items()}  # noqa: RUF017
    total = len(whole["input_ids"])
    if total >= block_size:
        total = total // block_size * block_size
    result = {
        name: [row[at : at + block_size] for at in range(0, total, block_size)]
        for name, row in whole.items()
    }
    result["labels"] = result["input_ids"].copy()
    return result


@given(st.lists(st.lists(st.integers(0, 9), max_size=7), max_size=6), st.integers(1, 6))
def test_it_gives_what_the_article_gives(rows, block_size):
    examples = {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}
    found = group_texts(examples, block_size)
    assert found == of_the_article(examples, block_size)
    assert examples["input_ids"] is rows


def test_labels_are_a_copy_of_their_own():
    found = group_texts({"input_ids": [[1, 2, 3, 4]]}, 2)
    found["labels"][0][0] = -100
    assert found["input_ids"] == [[1, 2], [3, 4]]


def test_a_million_texts_take_no_longer_than_a_million_times_one():
    """`sum(lists, [])` would copy everything for each text."""
    copied = 0

    class Text(list):
        def __add__(self, other):
            raise AssertionError("texts are added one to another")

        def __radd__(self, other):
            nonlocal copied
            copied += len(other)
            return NotImplemented

    group_texts({"input_ids": [Text([1, 2, 3])] * 100}, 4)
    assert copied == 0


def test_columns_become_rows_and_must_be_equally_long():
    assert rows_of({"a": [1, 2], "b": [3, 4]}) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
    assert rows_of({}) == []
    with pytest.raises(InvalidInput, match="'b': 1"):
        rows_of({"a": [1, 2], "b": [3]})


def letters(eos_token_id=9):
    """A tokenizer that gives each letter a number."""

    def tokenize(texts):
        return {"input_ids": [[ord(letter) - ord("a") for letter in text] for text in texts]}

    class Tokenizer(SimpleNamespace):
        def __call__(self, texts):
            return tokenize(texts)

    return Tokenizer(eos_token_id=eos_token_id)


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
def test_the_remainder_is_dropped_once_however_many_are_read_at_once(monkeypatch, at_once):
    monkeypatch.setattr(grouping, "AT_ONCE", at_once)
    rows = list(text_blocks(letters(), iter(["ab", "c", "", "dea", "bcd"]), 4))
    assert [row["input_ids"] for row in rows] == [[0, 1, 9, 2], [9, 9, 3, 4], [0, 9, 1, 2]]
    assert all(row["labels"] == row["input_ids"] for row in rows)


def test_texts_run_on_without_an_end_if_so_wished():
    rows = list(text_blocks(letters(None), ["ab", "cde"], 2, end=False))
    assert [row["input_ids"] for row in rows] == [[0, 1], [2, 3]]
    with pytest.raises(InvalidInput, match="eos_token"):
        list(text_blocks(letters(None), ["ab"], 2))


def test_less_than_a_block_makes_no_row_here():
    assert list(text_blocks(letters(), ["a"], 4)) == []


def test_texts_are_read_as_they_are_needed(monkeypatch):
    monkeypatch.setattr(grouping, "AT_ONCE", 2)

    def endless():
        while True:
            yield "abc"

    blocks = text_blocks(letters(), endless(), 3)
    found = [next(blocks)["input_ids"] for _ in range(3)]
    assert found == [[0, 1, 2], [9, 0, 1], [2, 9, 0]]


def test_blocks_are_cut_by_the_readers_function(monkeypatch):
    monkeypatch.setattr(
        grouping, "group_texts", lambda columns, size: {"input_ids": [[5]], "labels": [[6]]}
    )
    assert list(text_blocks(letters(), ["abcd"], 4)) == [{"input_ids": [5], "labels": [6]}]
