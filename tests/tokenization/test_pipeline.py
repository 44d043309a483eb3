from __future__ import annotations

import json
import tracemalloc

import pytest

from minilm.errors import InvalidInput, OutOfRange, WrongType
from minilm.tokenization import pipeline as pipeline_module
from minilm.tokenization import words as words_module
from minilm.tokenization.pipeline import AddedToken, Pipeline

GPT2 = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    },
    "post_processor": None,
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {
        "type": "BPE",
        "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4, "Ã": 5, "©": 6},
        "merges": [["a", "b"], ["Ġ", "ab"]],
    },
}  # fmt: skip
WORDS = {
    "model": {"type": "WordLevel", "vocab": {"?": 0, "a": 1, "b": 2}, "unk_token": "?"},
    "pre_tokenizer": {"type": "WhitespaceSplit"},
}


def test_a_text_becomes_ids_and_ids_become_the_text():
    pipeline = Pipeline.from_json(GPT2)
    assert pipeline.encode_ids("ab aé") == [3, 2, 0, 5, 6]
    assert pipeline.decode([3, 2, 0, 5, 6]) == "ab aé"
    assert pipeline.decode([5]) == "\ufffd"
    encoding = pipeline.encode("ab aé")
    assert encoding.offsets == [(0, 2), (2, 3), (3, 4), (4, 5), (4, 5)]
    assert encoding.word_ids == [0, 1, 1, 1, 1]


def test_an_empty_text_has_no_tokens():
    for data in (GPT2, WORDS):
        pipeline = Pipeline.from_json(data)
        assert pipeline.encode_ids("") == []
        assert pipeline.encode("").ids == []
        assert pipeline.encode([]).ids == []
        assert pipeline.decode([]) == ""


def test_tokens_added_later_are_found():
    pipeline = Pipeline.from_json(GPT2)
    assert pipeline.add_tokens([AddedToken("<x>", special=True, normalized=False)]) == 1
    assert pipeline.encode_ids("ab<x> ab") == [3, 7, 4]
    assert pipeline.vocab_size == 8
    assert pipeline.decode([3, 7, 4], skip_special_tokens=True) == "ab ab"
    assert pipeline.decode([3, 7, 4]) == "ab<x> ab"


def test_a_replaced_step_takes_effect():
    pipeline = Pipeline.from_json(WORDS)
    pipeline.add_tokens([AddedToken("Ab")])
    assert pipeline.encode_ids("a A") == [1, 0]
    lowercase = Pipeline.from_json(WORDS | {"normalizer": {"type": "Lowercase"}}).normalizer
    pipeline.normalizer = lowercase
    assert pipeline.encode_ids("a A") == [1, 1]
    assert pipeline.encode_ids("AB") == [3]  # added tokens are looked for in their normalized form
    pipeline.pre_tokenizer = None
    assert pipeline.encode_ids("a a") == [0]


def test_a_replaced_split_words_takes_effect(monkeypatch):
    pipeline = Pipeline.from_json(GPT2)
    monkeypatch.setattr(words_module, "split_words", list)
    assert pipeline.encode_ids("ab") == [0, 1]
    assert pipeline.encode("ab").ids == [0, 1]


def test_words_are_remembered_in_a_bounded_number_and_length(monkeypatch):
    monkeypatch.setattr(pipeline_module, "REMEMBERED_WORDS", 50)
    monkeypatch.setattr(pipeline_module, "REMEMBERED_LENGTH", 8)
    worked_out = []
    memory = pipeline_module.WordMemory(lambda word: worked_out.append(word) or word.upper())
    for number in range(1000):
        assert memory[f"w{number}"] == f"W{number}"
        assert len(memory) <= 50
    assert memory["x" * 9] == memory["x" * 9] == "X" * 9
    assert "x" * 9 not in memory
    assert memory["short"] == memory["short"] == "SHORT"
    assert worked_out.count("short") == 1


def test_memory_stays_flat_over_many_different_words(monkeypatch):
    monkeypatch.setattr(pipeline_module, "REMEMBERED_WORDS", 2000)
    pipeline = Pipeline.from_json(WORDS)

    def highest(texts):
        tracemalloc.start()
        for text in texts:
            pipeline.encode_ids(text)
            pipeline.encode(text)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    def texts(start, count):
        return (" ".join(f"w{i}{j}" for j in range(500)) for i in range(start, start + count))

    few, many = highest(texts(0, 8)), highest(texts(1000, 40))
    assert many < 1.5 * few


class CoinModel:
    """A model that never says the same twice."""

    is_random = True

    def __init__(self):
        self.vocab = {"heads": 0, "tails": 1}
        self.calls = 0

    def encode(self, word):
        self.calls += 1
        return [self.calls % 2]

    def encode_with_offsets(self, word):
        return [(self.encode(word)[0], 0, len(word))]

    def token_to_id(self, token):
        return self.vocab.get(token)

    def id_to_token(self, number):
        return ["heads", "tails"][number]


def test_what_a_random_model_says_is_not_remembered():
    pipeline = Pipeline(CoinModel(), pre_tokenizer=Pipeline.from_json(WORDS).pre_tokenizer)
    assert pipeline.encode_ids("a a a a") == [1, 0, 1, 0]
    assert pipeline.encode("a a a a").ids == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "text", ["a" * 10**6, " " * 10**6, "é" * 10**6, "a " * 200_000, "a\u0301" * 10**6]
)
def test_a_million_characters_take_no_quadratic_time(text):
    data = WORDS | {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFD"},
                {"type": "StripAccents"},
                {"type": "Lowercase"},
                {"type": "Strip", "strip_left": True, "strip_right": True},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            ],
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Punctuation", "behavior": "Contiguous"},
                {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
            ],
        },
    }  # fmt: skip
    pipeline = Pipeline.from_json(data)
    assert pipeline.encode(text).ids == pipeline.encode_ids(text)


def test_ids_that_no_token_has_are_refused():
    pipeline = Pipeline.from_json(GPT2)
    for number in (7, -1, 10**12):
        with pytest.raises(OutOfRange, match=f"No token has the id {number}"):
            pipeline.decode([0, number])


def test_lone_surrogates_and_other_things_than_text_are_refused():
    pipeline = Pipeline.from_json(GPT2)
    for encode in (pipeline.encode, pipeline.encode_ids, pipeline.split_for_training):
        with pytest.raises(InvalidInput, match=r"lone surrogate, '\\ud83d', at character 2"):
            encode("ab\ud83d")
    with pytest.raises(WrongType, match="A text was expected, not NoneType"):
        pipeline.encode_ids(None)
    with pytest.raises(WrongType, match="A text was expected, not int"):
        pipeline.encode(["a", 3])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "no tokenizer.json"),
        ([], "no tokenizer.json"),
        ({}, "no tokenizer.json"),
        ({"model": None, "vocab": {}}, "'model', 'vocab'"),
        (WORDS | {"model": {"type": "Magic"}}, "model has the unknown type 'Magic'.*WordPiece"),
        (WORDS | {"model": {}}, "the model of type 'WordLevel'"),
        (WORDS | {"model": {"type": "BPE", "vocab": {"a": 0}}}, "the model of type 'BPE'"),
        (
            WORDS | {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}},
            "the model of type 'BPE'",
        ),
        (WORDS | {"added_tokens": {}}, None),
        (WORDS | {"added_tokens": {"a": 1}}, "'added_tokens' is .*a list was expected"),
        (WORDS | {"added_tokens": ["<s>"]}, "An entry of 'added_tokens'"),
        (WORDS | {"normalizer": "NFC"}, "the normalizer is 'NFC'"),
        (WORDS | {"pre_tokenizer": {"kind": "x"}}, "the pre_tokenizer is"),
        (WORDS | {"post_processor": {"type": "x"}}, "the post_processor has the unknown type"),
        (WORDS | {"decoder": 5}, "the decoder is 5"),
        (WORDS | {"truncation": []}, "'truncation' is"),
        (WORDS | {"padding": 1}, "'padding' is 1"),
    ],
)
def test_a_malformed_file_is_refused_by_the_name_of_its_section(data, message):
    if message is None:
        assert Pipeline.from_json(data).encode_ids("a") == [1]
        return
    with pytest.raises(InvalidInput, match=message):
        Pipeline.from_json(data)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ({"vocab": {"a": 0}, "merges": []}, "BPE"),
        ({"vocab": [["a", 0.0]], "unk_id": 0}, "Unigram"),
        ({"vocab": {"[UNK]": 0}, "unk_token": "[UNK]", "continuing_subword_prefix": "##",
          "max_input_chars_per_word": 100}, "WordPiece"),
        ({"vocab": {"?": 0}, "unk_token": "?"}, "WordLevel"),
    ],
)  # fmt: skip
def test_a_model_without_a_type_is_told_by_its_fields(model, kind):
    assert type(Pipeline.from_json({"model": model}).model).__name__ == kind


def test_what_is_written_is_what_was_read():
    for data in (GPT2, Pipeline.from_json(WORDS).to_json()):
        again = Pipeline.from_json(json.loads(json.dumps(data))).to_json()
        assert {key: again[key] for key in data if key != "model"} == {
            key: data[key] for key in data if key != "model"
        }
        assert Pipeline.from_json(again).to_json() == again
