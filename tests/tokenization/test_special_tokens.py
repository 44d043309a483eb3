"""Roles of tokens are read, set, added and skipped as in transformers."""

from __future__ import annotations

import copy

import numpy
import pytest

from minilm.tokenization import tokenizer as tokenizer_module
from minilm.tokenization.added_tokens import AddedToken


@pytest.fixture
def pair(both_tokenizers):
    """Copies of one family's tokenizer of both libraries, to be changed."""
    return tuple(map(copy.deepcopy, both_tokenizers))


def same(pair):
    ours, theirs = pair
    for name in (
        "special_tokens_map",
        "all_special_tokens",
        "all_special_ids",
        "extra_special_tokens",
        "vocab_size",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert len(ours) == len(theirs)
    assert ours.get_vocab() == theirs.get_vocab()
    text = "Hello <new> world<x>  <y>  A[NEW]z new-token NEW-TOKEN </s>"
    ids = theirs(text)["input_ids"]
    assert ours(text)["input_ids"] == ids
    assert ours.decode(ids) == theirs.decode(ids)
    assert ours.decode(ids, skip_special_tokens=True) == theirs.decode(
        ids, skip_special_tokens=True
    )
    assert ours.tokenize(text) == theirs.tokenize(text)


@pytest.mark.parametrize(
    "call",
    [
        lambda tok: tok.add_tokens("<new>"),
        lambda tok: tok.add_tokens(["<x>", "<y>", "<x>", ""]),
        lambda tok: tok.add_tokens(["new-token"]),
        lambda tok: tok.add_tokens(["<x>"], special_tokens=True),
        lambda tok: tok.add_tokens([]),
        lambda tok: tok.add_tokens(["a"]),
        lambda tok: tok.add_special_tokens({"pad_token": "<new>"}),
        lambda tok: tok.add_special_tokens({"cls_token": "<x>", "extra_special_tokens": ["<y>"]}),
        lambda tok: tok.add_special_tokens({"additional_special_tokens": ["<x>", "<y>"]}),
        lambda tok: tok.add_special_tokens({}),
    ],
)
def test_tokens_are_added_the_same(pair, call):
    ours, theirs = pair
    assert call(ours) == call(theirs)
    same(pair)


@pytest.mark.parametrize("flags", [{}, {"lstrip": True}, {"rstrip": True}, {"single_word": True}])
@pytest.mark.parametrize("normalized", [False, True])
def test_flags_of_added_tokens_count(pair, flags, normalized):
    tokenizers = pytest.importorskip("tokenizers")
    ours, theirs = pair
    flags = {**flags, "normalized": normalized}
    for content in ("<x>", "[NEW]", "new-token"):
        theirs.add_tokens([tokenizers.AddedToken(content, **flags)])
        if content == "<x>":
            ours.add_tokens([tokenizers.AddedToken(content, **flags)])
        else:
            ours.add_tokens([AddedToken(content, **flags)])
    same(pair)


def test_extra_special_tokens_can_be_extended(pair):
    for tok in pair:
        tok.add_special_tokens({"extra_special_tokens": ["<x>"]})
        tok.add_special_tokens(
            {"extra_special_tokens": ["<x>", "<y>"]}, replace_extra_special_tokens=False
        )
    same(pair)
    for tok in pair:
        tok.add_special_tokens({"extra_special_tokens": ["<new>"]})
    same(pair)


def test_roles_are_set_by_token_and_by_id(pair):
    ours, _ = pair
    for tok in pair:
        tok.pad_token = "a"
        tok.sep_token_id = tok.convert_tokens_to_ids("b")
        tok.mask_token = None
    assert ours.sep_token == "b" and ours.pad_token_id == ours.convert_tokens_to_ids("a")
    assert ours.mask_token is None and ours.mask_token_id is None
    same(pair)


def test_the_special_tokens_of_a_finished_row_are_marked(both_tokenizers):
    ours, theirs = both_tokenizers
    ids = ours("Hello", "world")["input_ids"]
    expected = theirs.get_special_tokens_mask(ids, already_has_special_tokens=True)
    assert ours.get_special_tokens_mask(ids, already_has_special_tokens=True) == expected
    first = ours.encode("Hello", add_special_tokens=False)
    second = ours.encode("world", add_special_tokens=False)
    row = ours("Hello", "world", return_special_tokens_mask=True)
    assert ours.get_special_tokens_mask(first, second) == row["special_tokens_mask"]


def test_ids_may_come_in_any_form(both_tokenizers):
    torch = pytest.importorskip("torch")
    ours, theirs = both_tokenizers
    ids = ours("Hello world")["input_ids"]
    text = theirs.decode(ids)
    forms = [
        ids,
        tuple(ids),
        iter(ids),
        numpy.array(ids),
        torch.tensor(ids),
        list(map(numpy.int64, ids)),
        [torch.tensor(number) for number in ids],
        {"input_ids": ids},
        ours("Hello world"),
    ]
    for form in forms:
        assert ours.decode(form) == text
    batches = [
        [ids, ids],
        (tuple(ids), ids),
        numpy.array([ids, ids]),
        torch.tensor([ids, ids]),
        [torch.tensor(ids), torch.tensor(ids)],
        ours(["Hello world"] * 2, return_tensors="pt"),
    ]
    for batch in batches:
        assert ours.decode(batch) == ours.batch_decode(batch) == [text, text]
    assert ours.decode([]) == theirs.decode([]) == ""
    assert ours.decode([[], ids]) == theirs.decode([[], ids])
    assert ours.decode(ids[1]) == ours.decode(numpy.int32(ids[1])) == theirs.decode(ids[1])
    assert ours.batch_decode(ids) == theirs.batch_decode(ids)
    assert ours.convert_ids_to_tokens(torch.tensor(ids)) == theirs.convert_ids_to_tokens(ids)
    assert ours.convert_ids_to_tokens(ids[1]) == theirs.convert_ids_to_tokens(ids[1])


def test_spaces_before_punctuation_are_cleaned_up_the_same(both_tokenizers):
    import warnings

    ours, theirs = both_tokenizers
    ids = ours("don ' t stop , they ' re here . Is n't it ? do n't !")["input_ids"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for clean in (True, False, None):
            assert ours.decode(ids, clean_up_tokenization_spaces=clean) == theirs.decode(
                ids, clean_up_tokenization_spaces=clean
            )


def test_special_tokens_are_dropped_from_a_row():
    drop = tokenizer_module.without_special_tokens
    assert drop([1, 5, 2, 5, 1], {1, 2}) == [5, 5]
    assert drop(iter([1, 1]), [1]) == []
    assert drop([], {1}) == []


def test_the_readers_own_functions_take_effect(bert, monkeypatch):
    """What a lesson lets a reader write is called through its module, also from other modules."""
    from minilm.tokenization import chat_templates, padding, truncation

    called = []

    def watch(module, name):
        function = getattr(module, name)

        def watched(*arguments, **options):
            called.append(name)
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, watched)

    for module, name in (
        (truncation, "truncated_lengths"),
        (truncation, "windows"),
        (padding, "pad_rows"),
        (chat_templates, "render_chat"),
        (tokenizer_module, "without_special_tokens"),
    ):
        watch(module, name)
    batch = bert(["Hello world"], ["how are you"], truncation=True, max_length=6, padding=True)
    bert.decode(batch["input_ids"], skip_special_tokens=True)
    bert("Hello there world", max_length=4, return_overflowing_tokens=True)
    bert.apply_chat_template([{"role": "user", "content": "x"}], chat_template="{{ 1 }}")
    assert set(called) == {
        "truncated_lengths",
        "windows",
        "pad_rows",
        "render_chat",
        "without_special_tokens",
    }


def test_repr_names_what_matters(bert):
    text = repr(bert)
    for part in (
        "PreTrainedTokenizer(",
        "vocab_size=",
        "'pad_token': '[PAD]'",
        "[MASK]",
        "'right'",
    ):
        assert part in text


def test_tensors_are_padded_to_tensors(both_tokenizers):
    torch = pytest.importorskip("torch")
    ours, theirs = both_tokenizers
    for make, kind in ((torch.tensor, torch.Tensor), (numpy.array, numpy.ndarray)):
        rows = [{"input_ids": make([1, 2, 3])}, {"input_ids": make([4])}]
        got = ours.pad([dict(row) for row in rows])
        expected = theirs.pad([dict(row) for row in rows])
        assert isinstance(got["input_ids"], kind)
        assert {name: value.tolist() for name, value in got.items()} == {
            name: value.tolist() for name, value in expected.items()
        }


def test_transformers_collators_take_the_tokenizer(both_tokenizers):
    transformers = pytest.importorskip("transformers")
    ours, theirs = both_tokenizers
    rows = [ours("Hello world"), ours("a")]
    batches = [
        transformers.DataCollatorWithPadding(tokenizer, padding=True)([dict(row) for row in rows])
        for tokenizer in (ours, theirs)
    ]
    for name in batches[1]:
        assert batches[0][name].tolist() == batches[1][name].tolist()


def test_cleaning_up_after_decoding_follows_transformers_and_not_the_wordpiece_decoder() -> None:
    from transformers import PreTrainedTokenizerBase

    from minilm.tokenization.decoders import clean_up
    from minilm.tokenization.tokenizer import PreTrainedTokenizer

    text = "we do not , ca n't ; it 's ' so ' . I 'm ? you 've ! they 're"
    theirs = PreTrainedTokenizerBase.clean_up_tokenization(None, text)
    assert PreTrainedTokenizer.clean_up_tokenization(text) == theirs
    assert "do not" in theirs
    assert "don't" in clean_up(text)
