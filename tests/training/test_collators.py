"""Collators: batch for batch those of transformers, but for the labels that one brings along."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

import minilm
from minilm.errors import InvalidInput, MinilmError, WrongType
from minilm.training import collators

WORDS = ["<pad>", "<end>", "a", "b", "c", "d", "e"]
ROWS = [[2, 3, 4, 5, 6], [3, 2], [1, 6, 0, 3]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("words")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def pair(folder):
    """Ours and transformers' tokenizer, with one pad token and side."""

    @functools.cache
    def made(side="right", pad="<pad>"):
        names = {"eos_token": "<end>", "pad_token": pad, "padding_side": side}
        names = {name: value for name, value in names.items() if value is not None}
        theirs = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"), **names
        )
        return minilm.AutoTokenizer.from_pretrained(folder, **names), theirs

    return made


def assert_same(ours, theirs):
    assert dict(ours).keys() == dict(theirs).keys()
    for name in ours:
        mine, right = ours[name], theirs[name]
        assert type(mine) is type(right), name
        if isinstance(right, int):
            assert mine == right
            continue
        assert mine.dtype == right.dtype, name
        assert mine.shape == right.shape, name
        assert (mine == right).all(), name


def features(kind="dicts", rows=ROWS, **more):
    if kind == "lists":
        return [list(row) for row in rows]
    if kind == "tensors":
        return [torch.tensor(row) for row in rows]
    made = [{"input_ids": list(row)} for row in rows]
    if kind == "masked":
        for row in made:
            row["attention_mask"] = [1] * len(row["input_ids"])
            row["special_tokens_mask"] = [0] * len(row["input_ids"])
    return made


@pytest.mark.parametrize("return_tensors", ["pt", "np"])
@pytest.mark.parametrize("multiple", [None, 4, 8])
@pytest.mark.parametrize("pad", ["<pad>", "<end>"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", ["dicts", "masked", "lists", "tensors"])
def test_causal_batches_are_those_of_transformers(pair, kind, side, pad, multiple, return_tensors):
    if kind == "tensors":  # transformers has no numpy batch of tensors
        return_tensors = "pt"
    ours, theirs = pair(side, pad)
    given = {"mlm": False, "pad_to_multiple_of": multiple, "return_tensors": return_tensors}
    mine = minilm.training.DataCollatorForLanguageModeling(ours, **given)
    right = transformers.DataCollatorForLanguageModeling(theirs, **given)
    for rows in (ROWS, ROWS[:1], [ROWS[0], ROWS[0][::-1]]):
        assert_same(mine(features(kind, rows)), right(features(kind, rows)))


def test_a_batch_of_bare_rows_of_one_length_needs_no_pad_token(pair):
    ours, theirs = pair(pad=None)
    rows = [[2, 3], [4, 5]]
    mine = collators.DataCollatorForLanguageModeling(ours, mlm=False)(rows)
    assert_same(mine, transformers.DataCollatorForLanguageModeling(theirs, mlm=False)(rows))
    for given in ([[2], [3, 4]], features(rows=rows)):
        with pytest.raises(MinilmError, match="pad"):
            collators.DataCollatorForLanguageModeling(ours, mlm=False)(given)


def test_where_tokens_stood_in_the_text_does_not_go_into_the_batch(pair):
    ours, theirs = pair()
    rows = [{"input_ids": [2, 3], "offset_mapping": [[0, 1], [2, 3]]}] * 2
    mine = collators.DataCollatorForLanguageModeling(ours, mlm=False)(rows)
    assert set(mine) == {"input_ids", "attention_mask", "labels"}
    assert_same(mine, transformers.DataCollatorForLanguageModeling(theirs, mlm=False)(rows))


@pytest.mark.parametrize("side", ["right", "left"])
def test_labels_that_were_prepared_are_kept_where_transformers_writes_over_them(pair, side):
    ours, theirs = pair(side)
    rows = [
        {"input_ids": [2, 3, 4, 1], "labels": [-100, -100, 4, 1]},
        {"input_ids": [5, 1], "labels": [-100, 1]},
    ]
    mine = collators.DataCollatorForLanguageModeling(ours, mlm=False)([dict(r) for r in rows])
    padded = [-100, 1, -100, -100] if side == "right" else [-100, -100, -100, 1]
    assert mine["labels"].tolist() == [[-100, -100, 4, 1], padded]
    assert "labels" in rows[0]
    rows[1] = {"input_ids": [5, 6, 6, 1], "labels": [-100, 6, 6, 1]}
    theirs = transformers.DataCollatorForLanguageModeling(theirs, mlm=False)(rows)
    assert theirs["labels"].tolist() == [[2, 3, 4, 1], [5, 6, 6, 1]]  # the prompt is back


def test_the_end_of_a_text_stays_a_label_when_it_was_given_as_one(pair):
    ours, theirs = pair(pad="<end>")
    rows = [{"input_ids": [2, 1, 3, 4], "labels": [2, 1, 3, 4]}] * 2
    mine = collators.DataCollatorForLanguageModeling(ours, mlm=False)(rows)
    right = transformers.DataCollatorForLanguageModeling(theirs, mlm=False)(rows)
    assert mine["labels"].tolist() == [[2, 1, 3, 4]] * 2
    assert right["labels"].tolist() == [[2, -100, 3, 4]] * 2  # never learned
    alone = [{"input_ids": [2, 1, 3, 4]}] * 2
    mine = collators.DataCollatorForLanguageModeling(ours, mlm=False)(alone)
    assert mine["labels"].tolist() == right["labels"].tolist()


def test_given_labels_are_ignored_where_the_attention_mask_is_zero(pair):
    ours, theirs = pair()
    rows = [{"input_ids": [2, 3, 0], "attention_mask": [1, 1, 0], "labels": [2, 3, 0]}]
    mine = collators.DataCollatorForLanguageModeling(ours, mlm=False)(rows)
    assert mine["labels"].tolist() == [[2, 3, -100]]
    assert_same(mine, transformers.DataCollatorForLanguageModeling(theirs, mlm=False)(rows))


def test_labels_of_another_length_are_refused(pair):
    ours, _ = pair()
    collate = collators.DataCollatorForLanguageModeling(ours, mlm=False)
    with pytest.raises(InvalidInput, match="Example 1 has 2 input_ids and 1 labels"):
        collate([{"input_ids": [2], "labels": [2]}, {"input_ids": [2, 3], "labels": [2]}])


def test_masked_language_modeling_is_promised_and_not_pretended(pair):
    ours, _ = pair()
    with pytest.raises(InvalidInput, match="mlm=False"):
        collators.DataCollatorForLanguageModeling(ours)
    with pytest.raises(InvalidInput, match="masks nothing"):
        collators.DataCollatorForLanguageModeling(ours, mlm=False, whole_word_mask=True)


def test_masks_come_from_whoever_puts_a_function_there(pair, monkeypatch):
    def masking(input_ids, special_tokens_mask, collator):
        return input_ids * 0 + 6, input_ids + int(100 * collator.mlm_probability)

    monkeypatch.setattr(collators, "mask_tokens", masking)
    batch = collators.DataCollatorForLanguageModeling(pair()[0])(features(rows=ROWS[:1]))
    assert batch["input_ids"].tolist() == [[6] * 5]
    assert batch["labels"].tolist() == [[17, 18, 19, 20, 21]]


@pytest.mark.parametrize("labels", [None, "label", "label_ids"])
@pytest.mark.parametrize("multiple", [None, 4])
@pytest.mark.parametrize("return_tensors", ["pt", "np"])
def test_padded_batches_are_those_of_transformers(pair, labels, multiple, return_tensors):
    ours, theirs = pair()
    given = {"pad_to_multiple_of": multiple, "return_tensors": return_tensors}

    def rows():
        made = features("masked")
        for at, row in enumerate(made):
            row |= {labels: at} if labels else {}
        return made

    mine = collators.DataCollatorWithPadding(ours, **given)(rows())
    assert_same(mine, transformers.DataCollatorWithPadding(theirs, **given)(rows()))
    short = {"padding": "max_length", "max_length": 9, "return_tensors": return_tensors}
    mine = collators.DataCollatorWithPadding(ours, **short)(rows())
    assert_same(mine, transformers.DataCollatorWithPadding(theirs, **short)(rows()))


@pytest.mark.parametrize("return_tensors", ["pt", "np"])
@pytest.mark.parametrize("has_labels", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_position_ids": False},
        {"separator_id": -7, "position_ids_start": 2},
        {"return_flash_attn_kwargs": True, "return_seq_idx": True},
    ],
)
def test_flattened_batches_are_those_of_transformers(options, has_labels, return_tensors):
    rows = features()
    for row in rows:
        row |= {"labels": [9 * i for i in row["input_ids"]]} if has_labels else {}
    options = {**options, "return_tensors": return_tensors}
    mine = collators.DataCollatorWithFlattening(**options)
    theirs = transformers.DataCollatorWithFlattening(**options)
    assert_same(mine(rows), theirs(rows))
    assert_same(mine(rows, separator_id=-1), theirs(rows, separator_id=-1))
    if not has_labels:
        tensors = [{"input_ids": torch.tensor(row["input_ids"])} for row in rows]
        assert_same(mine(tensors), theirs(tensors))


DEFAULT = [
    [{"input_ids": [1, 2], "label": 1}, {"input_ids": [3, 4], "label": 0}],
    [{"x": [1.5, 2], "label": 1.5}, {"x": [3.0, 4], "label": 2.0}],
    [{"label_ids": [1, 2], "text": "a", "n": None}, {"label_ids": [3, 4], "text": "b", "n": 1}],
    [{"label_ids": [1.0, 2], "at": 3}, {"label_ids": [3, 4], "at": 4}],
    [{"x": np.ones((2, 3)), "label": np.int64(3)}, {"x": np.zeros((2, 3)), "label": np.int64(2)}],
    [{"x": [[1, 2]], "labels": [5]}, {"x": [[3, 4]], "labels": [6]}],
]
TENSORS = [
    [{"x": torch.ones(2), "label": torch.tensor(3)}, {"x": torch.zeros(2), "label": 1}],
    [{"label_ids": torch.tensor([1, 2])}, {"label_ids": torch.tensor([3, 4])}],
]


@pytest.mark.parametrize("rows", DEFAULT + TENSORS)
def test_stacked_batches_are_those_of_transformers(rows):
    assert_same(
        minilm.training.default_data_collator(rows), transformers.default_data_collator(rows)
    )
    mine = collators.DefaultDataCollator()(rows)
    assert_same(mine, transformers.DefaultDataCollator()(rows))


@pytest.mark.parametrize("rows", DEFAULT)
def test_stacked_numpy_batches_are_those_of_transformers(rows):
    mine = collators.default_data_collator(rows, "np")
    assert_same(mine, transformers.default_data_collator(rows, "np"))


def test_objects_with_attributes_are_stacked_as_well():
    class Example:
        def __init__(self, x):
            self.x, self.label = x, 1

    rows = [Example([1]), Example([2])]
    assert_same(collators.default_data_collator(rows), transformers.default_data_collator(rows))


@pytest.mark.parametrize(
    ("rows", "kind", "message"),
    [
        ([], InvalidInput, "no examples"),
        (["a text"], WrongType, "Tokenize them first"),
        ([{"x": [1]}, {"x": [1, 2]}], InvalidInput, r"'x' cannot be stacked.*\[1, 2\]"),
        ([{"x": ["a"]}], InvalidInput, "'x' cannot be stacked"),
    ],
)
def test_what_cannot_be_a_batch_is_said(rows, kind, message):
    with pytest.raises(kind, match=message):
        collators.default_data_collator(rows)


def test_other_frameworks_are_refused():
    with pytest.raises(InvalidInput, match="'pt' or 'np'"):
        collators.default_data_collator([{"x": 1}], "tf")


def test_labels_are_made_by_the_readers_function(pair, monkeypatch):
    monkeypatch.setattr(collators, "causal_labels", lambda ids, pad_token_id: ids * 0 + 7)
    batch = collators.DataCollatorForLanguageModeling(pair()[0], mlm=False)(features())
    assert set(batch["labels"].flatten().tolist()) == {7}


def test_labels_do_not_share_memory_with_the_text():
    ids = torch.tensor([[1, 2, 0]])
    labels = collators.causal_labels(ids, 0)
    assert labels.tolist() == [[1, 2, -100]]
    assert ids.tolist() == [[1, 2, 0]]
    assert collators.causal_labels(ids).tolist() == [[1, 2, 0]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "a NoneType"),
        ({"input_ids": [[1]]}, "a dict"),
        (iter([[1]]), "expected a list"),
        ([{"input_ids": [1]}, [1]], "Example 1"),
        ([[0.5, 1.0]], "whole numbers"),
        ([{"input_ids": [1], "labels": [1]}, {"input_ids": [1]}], "has no 'labels'"),
        ([{"text": "a"}], "no input_ids"),
        ([["a", "b"]], "Tokenize"),
    ],
)
@pytest.mark.parametrize("kind", ["causal", "flattening"])
def test_what_is_no_list_of_examples_is_said(pair, kind, given, message):
    if kind == "causal":
        collate = minilm.DataCollatorForLanguageModeling(pair()[0], mlm=False)
    else:
        collate, given = minilm.DataCollatorWithFlattening(), given
        if isinstance(given, list) and given == [[0.5, 1.0]]:
            given = [{"input_ids": given[0]}]
    with pytest.raises(MinilmError, match=message):
        collate(given)


@pytest.mark.parametrize("tokenizer", [None, "gpt2", minilm.AutoTokenizer])
def test_a_collator_wants_a_tokenizer(tokenizer):
    for kind in (minilm.DataCollatorForLanguageModeling, minilm.DataCollatorWithPadding):
        with pytest.raises(WrongType, match="from_pretrained"):
            kind(tokenizer, **({} if kind is minilm.DataCollatorWithPadding else {"mlm": False}))


def test_an_empty_row_takes_no_tokens_from_the_others():
    rows = [{"input_ids": []}, {"input_ids": [4, 5]}]
    with pytest.raises(InvalidInput, match=r"lengths \[0, 2\]"):
        minilm.default_data_collator(rows)
    flat = minilm.DataCollatorWithFlattening()(rows)
    assert flat["input_ids"].tolist() == [[4, 5]]
    assert flat["labels"].tolist() == [[-100, 5]]
    with pytest.raises(InvalidInput, match="1 labels"):
        minilm.DataCollatorWithFlattening()([{"input_ids": [4, 5], "labels": [4]}])
