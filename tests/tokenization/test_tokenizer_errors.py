"""Every input that makes no sense gets one error, which says what was given and what to do."""

from __future__ import annotations

import contextlib
import inspect
import random
import warnings

import numpy
import pytest

from minilm import AutoTokenizer
from minilm.errors import InvalidInput, MinilmError, OutOfRange, UnknownToken, WrongType


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None,), "nothing to tokenize"),
        ((b"bytes",), "text must be text.*bytes.*decode"),
        ((5,), "text must be text.*int"),
        (({"a": 1},), "text must be text.*apply_chat_template"),
        ((["a", None],), r"text\[1\].*None"),
        ((["a", 5],), r"text\[1\].*int"),
        ((["a", b"b"],), r"text\[1\].*bytes"),
        ((["a", ["b"]],), r"text\[1\] is a list of 1.*is_split_into_words"),
        ((["a", ["b", "c", "d"]],), r"text\[1\] is a list of 3"),
        ((["a", ["b", 3]],), r"text\[1\]\[1\].*int"),
        (("a", 5), "text_pair must be text.*int"),
        ((["a", "b"], "c"), "text is a batch of 2, so text_pair must be a list"),
        ((["a", "b"], ["c"]), "batch of 2 and text_pair one of 1"),
        ((["a"], [None]), r"text_pair\[0\].*None"),
        (([],), "empty batch"),
        (((),), "empty batch"),
        ((iter(["a"]),), "text must be text"),
        (((word for word in "ab"),), "Make it a list"),
    ],
)
def test_what_is_no_text_is_refused(bert, arguments, words):
    with pytest.raises(MinilmError, match=words):
        bert(*arguments)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", "list of words.*Split it"),
        (["a", 5], r"text\[1\].*int"),
        ([["a"], ["b", None]], r"text\[1\]\[1\].*None"),
        ([["a"], "b"], r"text\[1\] must be a list of words"),
        ([[["a"], ["b"], ["c"]]], "3 lists of words"),
    ],
)
def test_what_is_no_list_of_words_is_refused(bert, text, words):
    with pytest.raises(WrongType, match=words):
        bert(text, is_split_into_words=True)


@pytest.mark.parametrize("text", ["ab\ud800", "\udc00", "日本\udfff語"])
def test_half_a_character_is_refused_with_its_position(bert, text):
    position = next(i for i, char in enumerate(text) if 0xD800 <= ord(char) < 0xE000)
    with pytest.raises(InvalidInput, match=f"surrogate.*position {position}"):
        bert(text)
    with pytest.raises(InvalidInput, match=rf"text\[1\].*position {position}"):
        bert(["fine", text])
    with pytest.raises(InvalidInput, match=rf"text\[0\].*position {position}"):
        bert([text], is_split_into_words=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"padding": "longst"}, "padding is 'longst'.*Did you mean 'longest'"),
        ({"padding": None}, "padding is None"),
        ({"padding": 1}, "padding is 1"),
        ({"truncation": "first"}, "truncation is 'first'"),
        ({"truncation": "only_frist"}, "Did you mean 'only_first'"),
        ({"padding_side": "up"}, "padding_side is 'up'"),
        ({"return_tensors": "tf"}, "return_tensors is 'tf'.*'pt'.*'np'"),
        ({"return_tensors": True}, "return_tensors is True"),
        ({"max_length": -1}, "max_length is -1"),
        ({"max_length": 2.5}, "max_length must be a whole number"),
        ({"max_length": "8"}, "max_length must be a whole number"),
        ({"max_length": True}, "max_length must be a whole number"),
        ({"max_length": 1}, "max_length is 1, and the special tokens alone need 2"),
        ({"max_length": 8, "stride": 6}, "stride is 6.*room for 6"),
        ({"max_length": 8, "stride": 60}, "stride is 60"),
        ({"max_length": 8, "stride": -1}, "stride is -1"),
        ({"pad_to_multiple_of": 0, "padding": True}, "pad_to_multiple_of is 0"),
        (
            {"max_length": 9, "pad_to_multiple_of": 4, "padding": True, "truncation": True},
            "multiple of 4",
        ),
        ({"truncation": "only_second", "max_length": 8}, "only_second.*there is none"),
        ({"paddding": True}, "no argument 'paddding'. Did you mean 'padding'"),
        ({"return_tensor": "pt"}, "Did you mean 'return_tensors'"),
        ({"tokenizer_kwargs": {"strid": 1}}, "Did you mean 'stride'"),
        ({"banana": 1}, "no argument 'banana'"),
    ],
)
def test_options_that_make_no_sense_are_refused(bert, options, words):
    with pytest.raises(MinilmError, match=words):
        bert("Hello world, how are you?", **options)


def test_only_second_asks_for_a_second_text_only_where_something_must_be_cut(tokenizer_folders):
    """An empty second text counts as none, and may well stand in a data set."""
    transformers = pytest.importorskip("transformers")
    bert = AutoTokenizer.from_pretrained(tokenizer_folders["bert"])
    theirs = transformers.AutoTokenizer.from_pretrained(str(tokenizer_folders["bert"]))
    options = {"truncation": "only_second", "max_length": 30}
    for texts in (("Hello world", ""), ("Hello world",), (["Hello world, how are you?"],)):
        for aligned in (False, True):
            given = {**options, "return_offsets_mapping": aligned}
            assert dict(bert(*texts, **given)) == dict(theirs(*texts, **given))
            with pytest.raises(InvalidInput, match=r"must cut .* and there is none"):
                bert(*texts, **{**given, "max_length": 3})


def test_a_first_text_too_short_to_cut_is_refused(bert):
    with pytest.raises(InvalidInput, match=r"must cut .* from the first text.*longest_first"):
        bert("a", "Hello world how are you", truncation="only_first", max_length=5)


def test_padding_without_a_token_says_how_to_get_one(gpt2):
    for call in (
        lambda: gpt2(["a", "a b c"], padding=True),
        lambda: gpt2.pad({"input_ids": [[1], [1, 2]]}),
    ):
        with pytest.raises(InvalidInput, match=r"tokenizer.pad_token =.*add_special_tokens"):
            call()
    gpt2.pad_token = gpt2.eos_token
    assert gpt2(["a", "a b c"], padding=True)["attention_mask"][0][-1] == 0


def test_padding_to_an_unknown_length_is_refused(gpt2, tokenizer_folders):
    """transformers does not pad at all then, and says nothing."""
    transformers = pytest.importorskip("transformers")
    gpt2.pad_token = gpt2.eos_token
    with pytest.raises(InvalidInput, match=r"padding='max_length' needs a length"):
        gpt2("a", padding="max_length")
    theirs = transformers.AutoTokenizer.from_pretrained(str(tokenizer_folders["gpt2"]))
    assert len(theirs("a", padding="max_length")["input_ids"]) == 1


def test_truncating_to_an_unknown_length_is_a_warning(gpt2):
    with pytest.warns(UserWarning, match="has no effect"):
        assert gpt2("a b", truncation=True) == gpt2("a b")


def test_a_length_too_small_for_the_special_tokens_is_refused(bert, tokenizer_folders):
    """transformers then returns the whole text, however long."""
    transformers = pytest.importorskip("transformers")
    with pytest.raises(InvalidInput, match="alone need 3"):
        bert("Hello", "world", max_length=2)
    theirs = transformers.AutoTokenizer.from_pretrained(str(tokenizer_folders["bert"]))
    assert len(theirs("Hello world " * 9, max_length=1)["input_ids"]) > 1
    assert bert("Hello world", max_length=0, add_special_tokens=False)["input_ids"] == []


def test_unknown_arguments_are_refused(bert, tokenizer_folders):
    """transformers passes over them in silence."""
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(str(tokenizer_folders["bert"]))
    assert "input_ids" in theirs("Hello", paddding=True)
    with pytest.raises(WrongType, match="padding"):
        bert("Hello", paddding=True)


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_unequal_rows_make_no_tensor(bert, kind):
    with pytest.raises(InvalidInput, match="padding=True"):
        bert(["a", "a b c"], return_tensors=kind)


def test_warnings_point_at_the_callers_line(bert):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bert("a " * 80)
        bert("a " * 80)
        bert.encode("a", padding=True, max_length=9)
    assert [str(warning.message)[:5] for warning in caught] == ["A row", "max_l"]
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize(
    ("ids", "error", "words"),
    [
        ([1, 2, 99999], OutOfRange, "99999 .position 2"),
        ([1, -1], OutOfRange, "-1 .position 1"),
        ([[1], [2, 3, -100]], OutOfRange, "-100 .row 1, position 2.*pad_token_id"),
        ([1.0], WrongType, "position 0 holds 1.0"),
        ([1, "2"], WrongType, "position 1 holds '2'"),
        ([1, None], WrongType, "position 1 holds None"),
        ([1, True], WrongType, "position 1 holds True"),
        (numpy.array([1.5]), WrongType, "position 0 holds 1.5"),
        ([[1], 2], WrongType, "list of rows"),
        ([[[1]]], WrongType, "position 0"),
        ("hello", WrongType, "convert_tokens_to_ids"),
        (None, WrongType, "None"),
        (1.5, WrongType, "1.5"),
        ({"ids": [1]}, InvalidInput, "input_ids"),
        (10**30, OutOfRange, "position 0"),
    ],
)
def test_ids_that_cannot_be_decoded_are_named(bert, ids, error, words):
    with pytest.raises(error, match=words):
        bert.decode(ids)
    if not isinstance(ids, dict):
        with pytest.raises(error, match=words):
            bert.batch_decode(ids)


def test_a_tensor_of_wrong_numbers_is_named_too(bert):
    torch = pytest.importorskip("torch")
    with pytest.raises(OutOfRange, match="row 1, position 0"):
        bert.decode(torch.tensor([[1, 2], [-100, 3]]))
    with pytest.raises(WrongType, match=r"1.0"):
        bert.decode(torch.tensor([1.0]))


def test_ids_without_a_token_have_no_token(bert):
    for ids in (99999, -1, [1, 99999]):
        with pytest.raises(OutOfRange, match="No token has the id"):
            bert.convert_ids_to_tokens(ids)


def test_a_role_needs_a_token_of_the_vocabulary(gpt2, tokenizer_folders):
    """transformers takes it, and the padding is then silently the unknown token."""
    transformers = pytest.importorskip("transformers")
    with pytest.raises(UnknownToken, match=r"'\[PAD\]'.*add_special_tokens"):
        gpt2.pad_token = "[PAD]"
    with pytest.raises(WrongType, match="pad_token"):
        gpt2.pad_token = 5
    with pytest.raises(OutOfRange):
        gpt2.pad_token_id = 99999
    theirs = transformers.AutoTokenizer.from_pretrained(str(tokenizer_folders["gpt2"]))
    theirs.pad_token = "[PAD]"
    assert theirs.pad_token_id == theirs.unk_token_id


def test_what_is_no_token_cannot_be_added(bert):
    for call, words in (
        (lambda: bert.add_tokens([5]), "5"),
        (lambda: bert.add_special_tokens({"pad_token": 5}), "pad_token"),
        (lambda: bert.add_special_tokens({"pad_tokn": "x"}), "Did you mean 'pad_token'"),
        (lambda: bert.add_special_tokens({"extra_special_tokens": "x"}), "list of tokens"),
    ):
        with pytest.raises(MinilmError, match=words):
            call()


def test_an_unknown_attribute_names_the_nearest(bert):
    with pytest.raises(AttributeError, match="Did you mean 'pad_token'"):
        _ = bert.pad_tokn


def test_tokenize_takes_one_text(bert):
    with pytest.raises(WrongType, match="one text"):
        bert.tokenize(["a", "b"])
    assert bert.tokenize(["a", "b"], is_split_into_words=True) == ["a", "b"]


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        ([], "empty list"),
        ([[1, 2]], "input_ids"),
        ({"ids": [1]}, "column 'input_ids'"),
        ([{"input_ids": [1]}, {"input_ids": [1], "labels": [2]}], "Row 1 has the columns"),
        ({"input_ids": [[1], [2]], "attention_mask": [[1]]}, "as many rows"),
    ],
)
def test_what_cannot_be_padded_is_refused(bert, encoded, words):
    with pytest.raises(MinilmError, match=words):
        bert.pad(encoded)


def test_columns_that_pad_does_not_know_are_named(bert):
    rows = [{"input_ids": [1], "labels": [1]}, {"input_ids": [1, 2], "labels": [1, 2]}]
    with pytest.raises(InvalidInput, match="labels"):
        bert.pad(rows, return_tensors="pt")


def test_the_batch_says_what_it_does_not_have(bert):
    batch = bert(["a", "b"])
    for call, error, words in (
        (lambda: batch["labels"], UnknownToken, "no column 'labels'"),
        (lambda: batch.labels, AttributeError, "labels"),
        (lambda: batch[5], OutOfRange, "no row 5"),
        (lambda: batch.tokens(2), OutOfRange, "no row 2"),
        (lambda: batch[1.5], WrongType, "float"),
        (lambda: bert.pad({"input_ids": [1]}).word_ids(), InvalidInput, "without a text"),
    ):
        with pytest.raises(error, match=words):
            call()


JUNK = [
    None,
    0,
    -1,
    2.5,
    True,
    "",
    "a",
    "longest",
    "only_second",
    b"x",
    [],
    ["a"],
    [["a"]],
    ("a", "b"),
    {"a": 1},
    {"input_ids": [1]},
    numpy.array([1, 2]),
    "\ud800",
    object(),
    [None],
    [[1], [2, 3]],
    10**30,
    float("nan"),
    [[[]]],
    {1, 2},
    len,
]


@pytest.mark.parametrize("seed", range(300))
def test_whatever_is_passed_the_errors_are_minilms_own(bert, seed):
    draw = random.Random(seed)
    names = [name for name in inspect.signature(bert).parameters if name != "unknown"]
    options = {name: draw.choice(JUNK) for name in names if draw.random() < 0.15}
    options.setdefault("text", "Hello")
    methods = (
        "decode batch_decode convert_ids_to_tokens convert_tokens_to_ids tokenize encode pad "
        "convert_tokens_to_string add_tokens add_special_tokens get_special_tokens_mask "
        "apply_chat_template"
    )
    calls = [lambda: bert(**options)]
    for name in methods.split():
        calls.append(lambda name=name: getattr(bert, name)(draw.choice(JUNK)))
    for call in calls:
        with warnings.catch_warnings(), contextlib.suppress(MinilmError):
            warnings.simplefilter("ignore")
            call()


@pytest.mark.parametrize("name", ["add_special_tokens", "return_length", "is_split_into_words"])
def test_a_flag_is_true_or_false(bert, name):
    for value in ("no", None, 2, [True]):
        with pytest.raises(WrongType, match=f"{name} must be True or False"):
            bert("a", **{name: value})
    assert bert("a", return_length=numpy.bool_(True))["length"] == [3]
