"""Padded rows are equally long, and the mask tells padding from tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from minilm.tokenization import padding

ROWS = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=5)


@given(ROWS, st.sampled_from(["left", "right"]), st.one_of(st.none(), st.integers(0, 9)))
def test_the_mask_finds_the_tokens_again(rows, side, length):
    ids, mask = padding.pad_rows(rows, 99, side, length)
    longest = max(map(len, rows), default=0)
    for row, padded, marks in zip(rows, ids, mask, strict=True):
        assert len(padded) == len(marks) == max(longest if length is None else length, len(row))
        assert [number for number, mark in zip(padded, marks, strict=True) if mark] == row
        assert {number for number, mark in zip(padded, marks, strict=True) if not mark} <= {99}
        assert marks == sorted(marks, reverse=side == "right")


def test_the_rows_given_are_left_as_they_were():
    rows = [[1], [2, 3]]
    ids, _ = padding.pad_rows(rows, 0)
    ids[1].append(4)
    assert rows == [[1], [2, 3]]
