from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import InvalidInput
from minilm.tokenization.encoding import Encoding, join_encodings

tokenizers = pytest.importorskip("tokenizers")


def made(length: int) -> Encoding:
    return Encoding(
        ids=list(range(length)),
        tokens=[f"t{i}" for i in range(length)],
        offsets=[(2 * i, 2 * i + 1) for i in range(length)],
        word_ids=[i // 2 for i in range(length)],
        type_ids=[0] * length,
        special_tokens_mask=[0] * length,
        attention_mask=[1] * length,
    )


def theirs(length: int):
    """tokenizers' Encoding of the same tokens (its ids and offsets; each word is one token)."""
    vocab = {f"t{i}": i for i in range(length)} | {"?": length}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocab, unk_token="?"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return words.encode(" ".join(f"t{i}" for i in range(length)))


SIDES = st.sampled_from(["left", "right"])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 25), st.integers(0, 12), st.integers(0, 11), SIDES)
def test_truncation_makes_the_reference_s_windows(length, max_length, stride, side):
    ours, expected = made(length), theirs(length)
    if max_length and stride >= max_length:
        stride = max_length - 1
    expected.truncate(max_length, stride, side)
    ours.truncate(max_length, stride, side)
    assert ours.ids == expected.ids
    assert [o.ids for o in ours.overflowing] == [o.ids for o in expected.overflowing]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 9), st.integers(0, 12), st.integers(1, 5), SIDES)
def test_padding_equals_the_reference_s(length, target, max_length, side):
    ours, expected = made(length), theirs(length)
    for encoding in (ours, expected):
        encoding.truncate(max_length, 0, "right")
    expected.pad(target, direction=side, pad_id=77, pad_type_id=3, pad_token="<p>")
    ours.pad(target, 77, 3, "<p>", side)
    for one, other in zip(
        [ours, *ours.overflowing], [expected, *expected.overflowing], strict=True
    ):
        assert one.ids == other.ids
        assert one.tokens == other.tokens
        assert one.type_ids == other.type_ids
        assert one.attention_mask == other.attention_mask
        assert one.special_tokens_mask == other.special_tokens_mask
        assert one.sequence_ids == other.sequence_ids


def test_padding_on_the_left_moves_the_sequences():
    pair = join_encodings([made(2), made(3)])
    pair.sequence_ranges = {0: (0, 2), 1: (2, 5)}
    pair.pad(7, direction="left")
    assert pair.sequence_ids == [None, None, 0, 0, 1, 1, 1]


def test_a_copy_shares_nothing():
    first = made(5)
    first.truncate(2)
    second = first.copy()
    second.ids.append(9)
    second.overflowing[0].ids.append(9)
    assert first.ids == [0, 1]
    assert first.overflowing[0].ids == [2, 3]


def test_a_stride_that_leaves_nothing_new_is_refused():
    with pytest.raises(InvalidInput, match="smaller than max_length"):
        made(5).truncate(2, 2)
    with pytest.raises(InvalidInput, match="0 or more"):
        made(5).truncate(-1)
    with pytest.raises(InvalidInput, match="'left' or 'right'"):
        made(5).truncate(2, 0, "up")
    with pytest.raises(InvalidInput, match="'left' or 'right'"):
        made(5).pad(9, direction="up")


def test_characters_words_and_tokens_find_each_other():
    encoding = join_encodings([made(4), made(2)])
    encoding.sequence_ranges = {0: (0, 4), 1: (4, 6)}
    assert encoding.token_to_sequence(4) == 1
    assert encoding.token_to_sequence(6) is None
    assert encoding.token_to_chars(2) == (4, 5)
    assert encoding.token_to_word(3) == 1
    assert encoding.word_to_tokens(1) == (2, 4)
    assert encoding.word_to_chars(1) == (4, 7)
    assert encoding.word_to_tokens(9) is None
    assert encoding.char_to_token(2, 1) == 5
    assert encoding.char_to_token(1) is None
    assert encoding.char_to_word(6) == 1
