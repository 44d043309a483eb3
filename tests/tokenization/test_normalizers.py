from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import InvalidInput
from minilm.tokenization import canonical_forms
from minilm.tokenization.aligned_text import AlignedText
from minilm.tokenization.normalizers import NORMALIZERS, normalizer_from_json

tokenizers = pytest.importorskip("tokenizers")

# Characters that this Python does not know are left out: a newer Unicode may have given them case.
TEXTS = st.lists(
    st.one_of(
        st.sampled_from([*"ab aXYx \n\t▁'.,-", "\u0301", "\u0323", "\u0345", "\u05b0", "\u0f73",
                         "\u0344", "\u0340", "İ", "Σ", "ς", "ﬁ", "각", "ᄀ", "ᅡ", "ᆨ", "中", "\u302e",
                         "\U0001d165", "\U0001d15f", "\u0958", "\u2126", "\x00", "\x85", "\x1c",
                         "\u200d", "ガ", "か\u3099", "\u3099", " ab ", "\ufffd", "\u1abf", "\U00011938"]),
        st.characters(exclude_categories=["Cs", "Cn"]),
    ),
    max_size=16,
).map("".join)  # fmt: skip

REPLACE = [
    ({"String": "a"}, "xyz"),
    ({"String": "ab"}, "x"),
    ({"String": "a"}, ""),
    ({"String": ""}, "x"),
    ({"Regex": r"\s+"}, " "),
    ({"Regex": "x*"}, "-"),
    ({"Regex": "(?=a)"}, "qq"),
    ({"Regex": "^a|b$"}, "<>"),
]
CASES = [
    *[
        {"type": kind}
        for kind in ("Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents", "Nmt")
    ],
    *[
        {"type": "Strip", "strip_left": left, "strip_right": right}
        for left in (True, False)
        for right in (True, False)
    ],
    {"type": "Prepend", "prepend": "ab"},
    {"type": "ByteLevel"},
    *[{"type": "Replace", "pattern": pattern, "content": to} for pattern, to in REPLACE],
    *[
        {
            "type": "BertNormalizer",
            "clean_text": clean,
            "handle_chinese_chars": chinese,
            "strip_accents": accents,
            "lowercase": lower,
        }
        for clean in (True, False)
        for chinese in (True, False)
        for accents in (None, True, False)
        for lower in (True, False)
    ],
    {
        "type": "Sequence",
        "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "NFC"}],
    },
    {"type": "Sequence", "normalizers": []},
]


@pytest.mark.parametrize("data", CASES, ids=lambda data: data["type"])
def test_both_ways_equal_the_reference(data):
    reference = tokenizers.Tokenizer.from_str(
        json.dumps(
            {
                "version": "1.0",
                "truncation": None,
                "padding": None,
                "added_tokens": [],
                "normalizer": data,
                "pre_tokenizer": {"type": "FixedLength", "length": 1},
                "post_processor": None,
                "decoder": None,
                "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"},
            }
        )
    )
    ours = normalizer_from_json(data)
    assert ours.to_json() == data

    @settings(max_examples=150, deadline=None)
    @given(TEXTS)
    def check(text):
        expected = reference.normalizer.normalize_str(text)
        assert ours.normalize(text) == expected
        aligned = ours.normalize_aligned(AlignedText(text))
        assert aligned.text == expected
        places = list(zip(aligned.starts, aligned.ends, strict=True))
        assert places == reference.encode(text).offsets  # one token per character

    check()


@pytest.mark.parametrize(
    "form", ["NFC", "NFD", "NFKC", "NFKD", "StripAccents", "Nmt", "BertNormalizer"]
)
def test_every_known_character_becomes_what_it_becomes_in_the_reference(form):
    options = dict.fromkeys(
        ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), True
    )
    data = {"type": form} | (options if form == "BertNormalizer" else {})
    reference = getattr(tokenizers.normalizers, form)()
    ours = normalizer_from_json(data)
    for code in range(0x110000):
        if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Co"):
            text = f"a{chr(code)}b"
            assert ours.normalize(text) == reference.normalize_str(text), hex(code)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_the_stream_of_changes_spells_the_normalized_text(form):
    text = "e\u0301\u0323 \u0344\u0f73 각 \u1100\u1161\u11a8 ﬁ ① " + "a\u0315\u0323" * 5
    stream = "".join(
        character for character, _ in canonical_forms.normalization_changes(form, text)
    )
    assert stream == unicodedata.normalize(form, text)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_long_runs_of_marks_are_sorted_in_no_quadratic_time(form):
    # CPython's own sorting would compare 10^11 times here.
    marks = "\u0315\u0323\u0f73" * 150_000
    result = canonical_forms.normalize(form, "a" + marks + "b")
    assert len(result) in (600_002, 600_001)  # ạ composes
    assert result[-2] == "\u0315"
    assert result[-1] == "b"


def test_a_capital_sigma_never_becomes_the_final_one():
    assert normalizer_from_json({"type": "Lowercase"}).normalize("ΟΔΟΣ") == "οδοσ"


def test_unknown_types_are_named_with_the_known_ones():
    with pytest.raises(InvalidInput, match="normalizer has the unknown type 'Shout'") as caught:
        normalizer_from_json({"type": "Shout"})
    assert all(name in str(caught.value) for name in NORMALIZERS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "an object with a 'type'"),
        ({}, "an object with a 'type'"),
        ({"type": 3}, "an object with a 'type'"),
        ({"type": "Prepend"}, "lacks the field 'prepend'"),
        ({"type": "Prepend", "prepend": None}, "prepend = None, and str was expected"),
        ({"type": "Strip", "strip_left": 1, "strip_right": True}, "strip_left = 1"),
        ({"type": "Replace", "pattern": "a", "content": "b"}, "has the pattern 'a'"),
        ({"type": "Replace", "pattern": {"Regex": 1}, "content": "b"}, "has the pattern"),
        (
            {"type": "Replace", "pattern": {"Regex": "("}, "content": "b"},
            r"'\(' .* cannot be compiled",
        ),
        ({"type": "Sequence"}, "normalizers = None"),
        ({"type": "Sequence", "normalizers": [None]}, "normalizers = "),
        ({"type": "Sequence", "normalizers": [{"type": "Nope"}]}, "unknown type 'Nope'"),
        ({"type": "BertNormalizer", "clean_text": True}, "lacks the field 'handle_chinese_chars'"),
    ],
)
def test_a_malformed_normalizer_is_named(data, message):
    with pytest.raises(InvalidInput, match=message):
        normalizer_from_json(data)
