"""How much of a pair is kept, and how a row is cut into windows, is as tokenizers has it."""

from __future__ import annotations

import pytest

from minilm.errors import InvalidInput
from minilm.tokenization import truncation

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def letters():
    """A tokenizer of tokenizers that makes each letter a token and adds nothing."""
    tokenizers = pytest.importorskip("tokenizers")
    vocab = {letter: number for number, letter in enumerate(LETTERS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab, "a"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return tokenizer


def test_pairs_share_the_room_as_in_tokenizers(letters):
    for first in range(12):
        for second in range(12):
            for room in range(1, 25):
                letters.enable_truncation(room)
                encoding = letters.encode(" ".join(LETTERS[:first]), " ".join(LETTERS[:second]))
                kept = (encoding.sequence_ids.count(0), encoding.sequence_ids.count(1))
                assert truncation.truncated_lengths(first, second, room) == kept


def test_no_room_keeps_nothing():
    assert truncation.truncated_lengths(3, 4, 0) == (0, 0)
    assert truncation.truncated_lengths(0, 0, 0) == (0, 0)


@pytest.mark.parametrize("length", range(1, 26))
def test_windows_are_those_of_tokenizers(letters, length):
    for size in range(1, 9):
        for stride in range(size):
            letters.enable_truncation(size, stride=stride)
            encoding = letters.encode(" ".join(LETTERS[:length]))
            expected = [
                (part.ids[0], part.ids[-1] + 1) for part in [encoding, *encoding.overflowing]
            ]
            assert truncation.windows(length, size, stride) == expected


def test_an_empty_row_is_one_empty_window():
    assert truncation.windows(0, 4, 1) == [(0, 0)]


@pytest.mark.parametrize(("size", "stride"), [(4, 4), (4, 9), (4, -1), (0, 0), (-1, 0)])
def test_windows_that_stand_still_are_refused(size, stride):
    with pytest.raises(InvalidInput, match="stride"):
        truncation.windows(10, size, stride)
