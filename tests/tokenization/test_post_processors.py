from __future__ import annotations

import pytest

from minilm.errors import InvalidInput
from minilm.tokenization import post_processors
from minilm.tokenization.encoding import Encoding
from minilm.tokenization.pipeline import Pipeline
from minilm.tokenization.post_processors import (
    fill_template,
    post_processor_from_json,
    trim_offsets,
)

TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ],
    "pair": [
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 1}},
        {"Sequence": {"id": "B", "type_id": 1}},
    ],
    "special_tokens": {
        "[CLS]": {"id": "[CLS]", "ids": [7, 8], "tokens": ["[C", "LS]"]},
        "[SEP]": {"id": "[SEP]", "ids": [9], "tokens": ["[SEP]"]},
    },
}


def test_a_template_is_filled_from_left_to_right():
    template = [("[CLS]", 0), ("A", 0), ("[SEP]", 0), ("B", 1), ("[SEP]", 1)]
    special = {"[CLS]": [101], "[SEP]": [102]}
    assert fill_template(template, {"A": [5, 6], "B": [7]}, special) == (
        [101, 5, 6, 102, 7, 102],
        [0, 0, 0, 0, 1, 1],
    )


def test_a_template_may_name_a_text_twice_and_leave_one_out():
    assert fill_template([("A", 1), ("A", 2)], {"A": [5], "B": [6]}, {}) == ([5, 5], [1, 2])
    assert fill_template([], {"A": [5]}, {}) == ([], [])


def test_filling_changes_neither_texts_nor_special_tokens():
    sequences, special = {"A": [5]}, {"x": [1]}
    ids, _ = fill_template([("A", 0), ("x", 0)], sequences, special)
    ids.append(3)
    assert (sequences, special) == ({"A": [5]}, {"x": [1]})


def pipeline_with(post_processor):
    return Pipeline.from_json(
        {
            "model": {"type": "WordLevel", "vocab": {"?": 0, "a": 1}, "unk_token": "?"},
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": post_processor,
        }
    )


def test_a_special_token_may_stand_for_several_ids():
    pipeline = pipeline_with(TEMPLATE)
    assert pipeline.num_special_tokens_to_add() == 2
    assert pipeline.num_special_tokens_to_add(pair=True) == 1
    assert pipeline.build_inputs([1]) == ([7, 8, 1], [0, 0, 0])
    processed = pipeline.post_process(pipeline.encode("a"))
    assert processed.tokens == ["[C", "LS]", "a"]
    assert processed.special_tokens_mask == [1, 1, 0]


def test_a_special_token_named_like_a_text_is_not_taken_for_one():
    data = TEMPLATE | {
        "single": [
            {"SpecialToken": {"id": "A", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "special_tokens": TEMPLATE["special_tokens"]
        | {"A": {"id": "A", "ids": [4], "tokens": ["A"]}},
    }
    assert pipeline_with(data).build_inputs([1]) == ([4, 1], [0, 0])


def test_a_replaced_fill_template_takes_effect(monkeypatch):
    monkeypatch.setattr(post_processors, "fill_template", lambda *_: ([42], [0]))
    assert pipeline_with(TEMPLATE).build_inputs([1]) == ([42], [0])


def test_a_sequence_adds_what_its_members_add():
    data = {
        "type": "Sequence",
        "processors": [
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
            TEMPLATE,
        ],
    }
    pipeline = pipeline_with(data)
    assert pipeline.num_special_tokens_to_add() == 2
    assert pipeline.build_inputs([1]) == ([7, 8, 1], [0, 0, 0])
    assert pipeline.build_inputs([1], add_special_tokens=False) == ([1], [0])


def test_trimming_leaves_a_space_that_was_put_before_the_text():
    def trimmed(tokens, offsets, add_prefix_space):
        encoding = Encoding(ids=[0] * len(tokens), tokens=tokens, offsets=offsets)
        trim_offsets(encoding, add_prefix_space)
        return encoding.offsets

    assert trimmed(["Ġa", "Ġb"], [(0, 1), (1, 3)], True) == [(0, 1), (2, 3)]
    assert trimmed(["Ġa", "Ġb"], [(0, 2), (2, 4)], False) == [(1, 2), (3, 4)]
    assert trimmed(["ĠĠa"], [(0, 2)], True) == [(2, 2)]
    assert trimmed(["aĠĠ", "ĠĠ"], [(0, 3), (3, 5)], True) == [(0, 1), (5, 5)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"single": None}, "single = None"),
        ({"single": [{"Sequence": {"id": "C", "type_id": 0}}]}, "single"),
        ({"single": [{"Sequence": {"id": "B", "type_id": 0}}]}, "second text"),
        ({"pair": [{"SpecialToken": {"id": "[X]", "type_id": 0}}]}, r"'\[X\]'"),
        ({"special_tokens": []}, "special_tokens"),
        (
            {"special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1, 2], "tokens": ["x"]}}},
            "as many 'ids'",
        ),
    ],
)
def test_a_malformed_template_is_named(change, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        post_processor_from_json(TEMPLATE | change)
    assert "post_processor" in str(caught.value)


@pytest.mark.parametrize("kind", ["BertProcessing", "RobertaProcessing"])
@pytest.mark.parametrize("sep", [None, "x", ["x"], ["x", "1"], ["x", True], ["x", -1], [1, "x"]])
def test_a_malformed_separator_is_named(kind, sep):
    data = {
        "type": kind,
        "cls": ["c", 1],
        "sep": sep,
        "trim_offsets": True,
        "add_prefix_space": True,
    }
    with pytest.raises(InvalidInput, match="sep = "):
        post_processor_from_json(data)
