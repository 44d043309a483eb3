from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import InvalidInput
from minilm.tokenization.aligned_text import AlignedText
from minilm.tokenization.pre_tokenizers import (
    BEHAVIORS,
    Sequence,
    cut_at,
    pre_tokenizer_from_json,
)

tokenizers = pytest.importorskip("tokenizers")

TEXTS = st.lists(
    st.one_of(
        st.sampled_from([*"aabbAXx 19.,!'-_\n\t\r▁", "  ", "'s", "'ll", "\x1c", "\x85", "\u2028", "\xa0",
                         "中", "カ", "ー", "ひ", "é", "e\u0301", "²", "٣", "Ⅳ", "🙂", "\u200d", "ab", "\x00"]),
        st.characters(exclude_categories=["Cs", "Cn"]),
    ),
    max_size=16,
).map("".join)  # fmt: skip

PATTERNS = [
    {"String": "a"},
    {"String": "ab"},
    {"String": ""},
    *[{"Regex": p} for p in ("a+", r"\s?[ab]", "x*", "(?=a)", "^a|b$", "(a)|(b)", r"\p{L}{1,2}+")],
]
CASES = [
    *[
        {"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": True, "use_regex": cut}
        for space in (True, False)
        for cut in (True, False)
    ],
    *[
        {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
        for pattern in PATTERNS
        for behavior in BEHAVIORS
        for invert in (True, False)
    ],
    *[{"type": "Punctuation", "behavior": behavior} for behavior in BEHAVIORS],
    *[{"type": "Digits", "individual_digits": each} for each in (True, False)],
    *[
        {"type": kind}
        for kind in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts")
    ],
    *[{"type": "FixedLength", "length": length} for length in (1, 3)],
    {"type": "CharDelimiterSplit", "delimiter": "a"},
    *[
        {"type": "Metaspace", "replacement": sign, "prepend_scheme": scheme, "split": split}
        for sign in "▁_"
        for scheme in ("always", "never", "first")
        for split in (True, False)
    ],
]
BYTE_LEVEL, METASPACE = CASES[0], CASES[-6]
CASES += [
    {"type": "Sequence", "pretokenizers": steps}
    for steps in (
        [],
        [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL],
        [BYTE_LEVEL, {"type": "Digits", "individual_digits": True}],
        [{"type": "Whitespace"}, METASPACE | {"prepend_scheme": "first"}],
        [{"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}]}, METASPACE],
    )
]


@pytest.mark.parametrize("data", CASES, ids=lambda data: data["type"])
def test_both_ways_equal_the_reference(data):
    empty = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
             "normalizer": None, "pre_tokenizer": data, "post_processor": None, "decoder": None,
             "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"}}  # fmt: skip
    reference = tokenizers.Tokenizer.from_str(json.dumps(empty)).pre_tokenizer
    ours = pre_tokenizer_from_json(data)
    assert ours.to_json() == data

    @settings(max_examples=60, deadline=None)
    @given(TEXTS)
    def check(text):
        if not text:
            return
        expected = reference.pre_tokenize_str(text)
        aligned = ours.split_aligned(AlignedText(text))
        assert [(word.text, word.offsets(0, len(word))) for word in aligned] == expected
        if not (isinstance(ours, Sequence) and ours.needs_position()):
            assert ours.split(text) == [word for word, _ in expected]

    check()


@pytest.mark.parametrize(
    "kind",
    [
        "Whitespace",
        "WhitespaceSplit",
        "BertPreTokenizer",
        "UnicodeScripts",
        "Punctuation",
        "Digits",
    ],
)
def test_every_known_character_is_cut_as_in_the_reference(kind):
    reference = getattr(tokenizers.pre_tokenizers, kind)()
    ours = pre_tokenizer_from_json({"type": kind, "individual_digits": False})
    for code in range(0x110000):
        if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Co"):
            text = f"a{chr(code)}1"
            expected = [word for word, _ in reference.pre_tokenize_str(text)]
            assert ours.split(text) == expected, hex(code)


def test_delimiters_go_where_the_behavior_says():
    text = "the-final--countdown"
    matches = [(3, 4), (9, 10), (10, 11)]

    def pieces(behavior, invert=False):
        spans = cut_at(len(text), matches, behavior, invert)
        return [text[start:end] for start, end in spans]

    assert pieces("Removed") == ["the", "final", "countdown"]
    assert pieces("Removed", invert=True) == ["-", "-", "-"]
    assert pieces("Isolated") == ["the", "-", "final", "-", "-", "countdown"]
    assert pieces("MergedWithPrevious") == ["the-", "final-", "-", "countdown"]
    assert pieces("MergedWithNext") == ["the", "-final", "-", "-countdown"]
    assert pieces("Contiguous") == ["the", "-", "final", "--", "countdown"]


def test_metaspace_of_older_files_is_read():
    old = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": False, "str_rep": "▁"}
    assert pre_tokenizer_from_json(old).to_json() == {
        "type": "Metaspace",
        "replacement": "▁",
        "prepend_scheme": "never",
        "split": True,
    }
    assert pre_tokenizer_from_json(old | {"add_prefix_space": True}).prepend_scheme == "always"


SPLIT = {"type": "Split", "pattern": {"String": "a"}, "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "Cut"}, "pre_tokenizer has the unknown type 'Cut'.*WhitespaceSplit"),
        (SPLIT | {"behavior": "isolated"}, "behavior 'isolated'; known are: Removed"),
        (SPLIT | {"pattern": None}, "has the pattern None"),
        (SPLIT | {"pattern": {"Regex": "[a"}}, r"'\[a' .* cannot be compiled"),
        (SPLIT | {"invert": None}, "invert = None"),
        ({"type": "ByteLevel", "trim_offsets": True}, "lacks the field 'add_prefix_space'"),
        ({"type": "CharDelimiterSplit", "delimiter": "ab"}, "one character was expected"),
        ({"type": "Metaspace"}, "lacks the field 'replacement'"),
        ({"type": "Metaspace", "replacement": "__"}, "one character was expected"),
        ({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"}, "prepend_scheme"),
        (
            {"type": "Metaspace", "replacement": "_", "add_prefix_space": False,
             "prepend_scheme": "always"},
            "contradict",
        ),
        ({"type": "Digits", "individual_digits": "yes"}, "individual_digits = 'yes'"),
        ({"type": "FixedLength", "length": 0}, "length = 0"),
        ({"type": "FixedLength", "length": True}, "length = True"),
        ({"type": "Sequence", "pretokenizers": "x"}, "pretokenizers = 'x'"),
    ],
)  # fmt: skip
def test_a_malformed_pre_tokenizer_is_named(data, message):
    with pytest.raises(InvalidInput, match=message):
        pre_tokenizer_from_json(data)
