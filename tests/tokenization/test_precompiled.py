from __future__ import annotations

import base64
import io
import os
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import InvalidInput
from minilm.tokenization.aligned_text import AlignedText
from minilm.tokenization.normalizers import normalizer_from_json
from minilm.tokenization.precompiled import CharacterMap

os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
tokenizers = pytest.importorskip("tokenizers")
sentencepiece = pytest.importorskip("sentencepiece")


@pytest.fixture(scope="module", params=["nmt_nfkc", "nmt_nfkc_cf", "nfkc"])
def table(request) -> bytes:
    """sentencepiece's own compiled table for a rule."""
    from sentencepiece import sentencepiece_model_pb2

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the small text of a small model"] * 20),
        model_writer=model,
        vocab_size=30,
        hard_vocab_limit=False,
        normalization_rule_name=request.param,
        minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    return proto.normalizer_spec.precompiled_charsmap


MARKS = [chr(c) for c in range(0x3100) if unicodedata.category(chr(c))[0] == "M"]
TEXTS = st.lists(
    st.one_of(
        st.sampled_from([*"abAB 1\r\n\t", "\r\n", "\u200d", "\u200c", "\xad", "\u061c", "\u0600",
                         "ſ", "é", "ﬁ", "①", "㎏", "ｶ", "ﾞ", "가", "ᄀ", "ᅡ", "क", "त", "न", "א", "\x00"]),
        st.sampled_from(MARKS),
        st.characters(exclude_categories=["Cs", "Cn"]),
    ),
    max_size=10,
).map("".join)  # fmt: skip


def test_both_ways_equal_the_reference(table):
    reference = tokenizers.normalizers.Precompiled(table)
    ours = normalizer_from_json(
        {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()}
    )

    @settings(max_examples=1500, deadline=None)
    @given(TEXTS)
    def check(text):
        expected = reference.normalize_str(text)
        assert ours.normalize(text) == expected
        assert ours.normalize_aligned(AlignedText(text)).text == expected

    check()


def test_a_short_grapheme_is_looked_up_whole(table):
    ours = CharacterMap(base64.b64encode(table).decode())
    # "ſ" is known and its grapheme has five bytes: the sign for joining vanishes with it.
    assert ours.normalize("ſ\u094dत") == "sत"
    assert ours.normalize("e\u0301") == "é"


@pytest.mark.parametrize("text", ["🇩" * 300_000, "a" + "\u0301" * 300_000, "👩\u200d" * 150_000])
def test_long_graphemes_and_long_runs_take_no_quadratic_time(table, text):
    ours = CharacterMap(base64.b64encode(table).decode())
    assert ours.normalize(text).startswith(text[0])
    assert AlignedText(text).transform(ours.changes(text) or []).text in ("", ours.normalize(text))


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ("not base64!", "is not base64"),
        ("", "is cut off"),
        (base64.b64encode(b"\x00\x01").decode(), "is cut off"),
        (base64.b64encode(b"\xff\x00\x00\x00abc").decode(), "is cut off"),
        (base64.b64encode(b"\x00\x00\x00\x00\xff\xfe").decode(), "not UTF-8"),
    ],
)
def test_a_damaged_table_is_told(encoded, message):
    with pytest.raises(InvalidInput, match=message):
        normalizer_from_json({"type": "Precompiled", "precompiled_charsmap": encoded})


def test_a_table_whose_trie_leads_nowhere_changes_nothing():
    table = b"\x04\x00\x00\x00" + b"\xff\xff\xff\xff" + b"x\0"
    assert CharacterMap(base64.b64encode(table).decode()).normalize("abc é") == "abc é"
