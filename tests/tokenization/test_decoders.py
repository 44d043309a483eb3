from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import InvalidInput
from minilm.tokenization.decoders import decoder_from_json

tokenizers = pytest.importorskip("tokenizers")

TOKENS = st.lists(
    st.sampled_from(["a", "b", "##b", "#c", "▁", "▁▁a▁", "_x", "</w>", "a</w>", "<pad>", "|", ".", "!",
                     " n't", "'s", " ' ", " do not", "<0xC3>", "<0xA9>", "<0xE4>", "<0x0a>", "<0xg0>",
                     "Ġ", "Ċ", "Ã", "©", "中", " a ", "", "aaaa", "  ", "\n", "\x00", "éĠ"]),
    max_size=9,
)  # fmt: skip

METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
CASES = [
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {"type": "WordPiece", "prefix": "##", "cleanup": True},
    {"type": "WordPiece", "prefix": "#", "cleanup": False},
    METASPACE,
    METASPACE | {"prepend_scheme": "never"},
    METASPACE | {"prepend_scheme": "first", "replacement": "_"},
    {"type": "BPEDecoder", "suffix": "</w>"},
    {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
    {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": False},
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
    {"type": "Replace", "pattern": {"Regex": r"\s+|x*"}, "content": "_"},
    {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    {"type": "Strip", "content": "a", "start": 2, "stop": 0},
    {"type": "ByteFallback"},
    {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    },
]


@pytest.mark.parametrize("data", CASES, ids=lambda data: data["type"])
def test_any_tokens_become_the_text_that_the_reference_makes(data):
    file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
            "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": data,
            "model": {"type": "WordLevel", "vocab": {"?": 0}, "unk_token": "?"}}  # fmt: skip
    reference = tokenizers.Tokenizer.from_str(json.dumps(file)).decoder
    ours = decoder_from_json(data)
    assert ours.to_json() == data

    @settings(max_examples=300, deadline=None)
    @given(TOKENS)
    def check(tokens):
        if data["type"] != "BPEDecoder" or tokens:  # of no tokens at all, the reference panics
            assert "".join(ours.decode(tokens)) == reference.decode(tokens)

    check()


def test_stripping_takes_no_more_than_is_there():
    strip = decoder_from_json({"type": "Strip", "content": "a", "start": 2, "stop": 2})
    assert strip.decode(["aaab aaa", "aaa", "a", ""]) == ["ab a", "", "", ""]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "Guess"}, "decoder has the unknown type 'Guess'.*WordPiece"),
        ({"type": "WordPiece", "cleanup": True}, "lacks the field 'prefix'"),
        ({"type": "Strip", "content": "ab", "start": 0, "stop": 0}, "one character"),
        ({"type": "Strip", "content": "a", "start": -1, "stop": 0}, "start = -1"),
        ({"type": "Replace", "content": ""}, "lacks the field 'pattern'"),
        ({"type": "Sequence", "decoders": [{}]}, "an object with a 'type'"),
    ],
)
def test_a_malformed_decoder_is_named(data, message):
    with pytest.raises(InvalidInput, match=message):
        decoder_from_json(data)
