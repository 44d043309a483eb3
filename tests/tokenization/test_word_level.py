import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from minilm.errors import UnknownToken
from minilm.tokenization.word_level import WordLevel

SECTION = {"type": "WordLevel", "vocab": {"<unk>": 0, "ab": 1, "é": 4}, "unk_token": "<unk>"}


@given(st.one_of(st.text(max_size=3), st.sampled_from(["ab", "é", "<unk>", ""])))
def test_ids_and_offsets_are_those_of_tokenizers(word):
    encoding = Tokenizer.from_str(json.dumps({"version": "1.0", "model": SECTION})).encode(word)
    model = WordLevel.from_json(SECTION)
    expected = [(i, *span) for i, span in zip(encoding.ids, encoding.offsets, strict=True)]
    assert model.encode_with_offsets(word) == expected
    assert model.encode(word) == encoding.ids


def test_a_section_keeps_every_field_through_reading_and_writing():
    section = SECTION | {"from_elsewhere": 1}
    assert WordLevel.from_json(section).to_json() == section


def test_a_missing_unknown_token_is_named_when_it_is_needed():
    with pytest.raises(UnknownToken, match="'<unk>'"):
        WordLevel({"a": 0}).encode("b")
