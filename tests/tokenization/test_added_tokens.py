from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from minilm.errors import InvalidInput, WrongType
from minilm.tokenization import added_tokens
from minilm.tokenization.added_tokens import AddedToken, any_of, split_on_tokens
from minilm.tokenization.pipeline import Pipeline

tokenizers = pytest.importorskip("tokenizers")

MANY = settings(max_examples=400, deadline=None)
SHORT = st.text("ab <>\n", min_size=1, max_size=4)


def naive_split(text, tokens):
    """Every place looked at with every token: the definition, slowly."""
    pieces, rest, position = [], "", 0
    while position < len(text):
        here = [token for token in tokens if token and text.startswith(token, position)]
        if here:
            longest = max(here, key=len)
            pieces += [(rest, False)] * (rest != "") + [(longest, True)]
            rest, position = "", position + len(longest)
        else:
            rest, position = rest + text[position], position + 1
    return pieces + [(rest, False)] * (rest != "")


def test_splitting_takes_the_leftmost_and_of_those_the_longest():
    assert split_on_tokens("a<s><sep>b<s", ["<s>", "<s><sep>"]) == [
        ("a", False),
        ("<s><sep>", True),
        ("b<s", False),
    ]
    assert split_on_tokens("", ["x"]) == []
    assert split_on_tokens("text", []) == [("text", False)]


@MANY
@given(st.text("ab <>\n", max_size=30), st.lists(SHORT, max_size=8))
def test_splitting_equals_the_slow_definition(text, tokens):
    assert split_on_tokens(text, tokens) == naive_split(text, tokens)


@MANY
@given(st.text("ab <>\n", max_size=30), st.sets(SHORT, max_size=8))
def test_splitting_equals_the_reference(text, tokens):
    tokens = sorted(tokens)
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0}, unk_token="?"))
    words.add_tokens([tokenizers.AddedToken(token, normalized=False) for token in tokens])
    expected = [
        (text[start:end], token_id > 0)
        for token_id, (start, end) in zip(
            words.encode(text).ids, words.encode(text).offsets, strict=True
        )
    ]
    assert split_on_tokens(text, tokens) == expected


def test_special_characters_of_regular_expressions_are_plain_text():
    tokens = ["<|a|>", "[b]", "(c", "d+", "\\", "\x00", "$", "^"]
    assert split_on_tokens("".join(tokens), tokens) == [(token, True) for token in tokens]


def test_thousands_of_tokens_with_one_beginning_make_one_pattern():
    tokens = [f"<|reserved_{number}|>" for number in range(3000)]
    pieces = split_on_tokens("x<|reserved_2999|><|reserved_30|><|reserved_x|>", tokens)
    assert [piece for piece, is_token in pieces if is_token] == [tokens[2999], tokens[30]]


def test_tokens_that_are_beginnings_of_each_other_do_not_exhaust_the_compiler():
    tokens = ["a" * length for length in range(1, 400)]
    assert split_on_tokens("a" * 500, tokens) == [("a" * 399, True), ("a" * 101, True)]
    assert isinstance(any_of(tuple(tokens)), re.Pattern)


FLAGS = st.fixed_dictionaries(
    {name: st.booleans() for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
)
CONTENTS = st.sampled_from(["<s>", "<S>", "ab", "AB", "a", " ", "  ", "b c", "é", "_", "x", ">"])
# Of two tokens that are equal once they are normalized, the reference finds one at random.
TOKENS = st.lists(st.tuples(CONTENTS, FLAGS), max_size=5, unique_by=lambda token: token[0].lower())
TEXTS = st.lists(
    st.sampled_from([*"abxé _.AB>", "  ", " \n", "\x1c", "<s>", "<S>", "ab", "b c", "\u3000"]),
    max_size=16,
).map("".join)
NORMALIZERS = st.sampled_from(
    [None, {"type": "Lowercase"}, {"type": "NFD"}, {"type": "Prepend", "prepend": "▁"}]
)


def both(normalizer, tokens):
    """tokenizers' Tokenizer and our Pipeline with the same added tokens."""
    file = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated",
                          "invert": False},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {"?": 0, "a": 1, "x": 2}, "unk_token": "?"},
    }  # fmt: skip
    reference = tokenizers.Tokenizer.from_str(json.dumps(file))
    pipeline = Pipeline.from_json(file)
    for content, flags in tokens:
        new = reference.add_tokens([tokenizers.AddedToken(content, **flags)])
        assert pipeline.add_tokens([AddedToken(content, **flags)]) == new
    return reference, pipeline


@settings(max_examples=800, deadline=None)
@given(NORMALIZERS, TOKENS, TEXTS)
def test_every_flag_does_what_it_does_in_the_reference(normalizer, tokens, text):
    reference, pipeline = both(normalizer, tokens)
    try:
        expected = reference.encode(text)
    except BaseException as error:
        # Where tokens overlap in a certain way, the reference ends in a panic of Rust's.
        assert type(error).__name__ == "PanicException"
        reject()
    encoding = pipeline.encode(text)
    assert encoding.ids == expected.ids
    assert encoding.tokens == expected.tokens
    assert encoding.offsets == expected.offsets
    assert encoding.word_ids == expected.word_ids
    assert pipeline.encode_ids(text) == expected.ids
    assert pipeline.get_vocab() == reference.get_vocab()
    for skip in (False, True):
        assert pipeline.decode(expected.ids, skip) == reference.decode(expected.ids, skip)
    written = json.loads(reference.to_str())["added_tokens"]
    assert pipeline.to_json()["added_tokens"] == written


@pytest.mark.parametrize("special", [(False, False), (False, True), (True, False)])
@pytest.mark.parametrize("normalized", [(False, True), (True, False)])
def test_a_token_added_again_counts_as_it_was_added_last(normalized, special):
    again = [
        ("a", {"normalized": first, "special": second, "lstrip": last})
        for first, second, last in zip(normalized, special, (True, False), strict=True)
    ]
    reference, pipeline = both({"type": "Prepend", "prepend": "▁"}, again)
    for text in ("a ▁a", " a", "▁a"):
        assert pipeline.encode(text).tokens == reference.encode(text).tokens
        assert pipeline.encode_ids(text) == reference.encode(text).ids


def test_ids_in_a_file_give_way_to_the_vocabulary():
    _, pipeline = both(None, [])
    entry = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}  # fmt: skip
    file = pipeline.to_json()
    file["added_tokens"] = [
        {"id": 70, "content": "<a>"} | entry,
        {"id": 5, "content": "<b>"} | entry,
        {"id": 9, "content": "x"} | entry,
    ]
    read = Pipeline.from_json(file)
    expected = tokenizers.Tokenizer.from_str(json.dumps(file))
    assert read.get_vocab() == expected.get_vocab()
    assert [read.token_to_id(token) for token in ("<a>", "<b>", "x")] == [3, 4, 2]


def test_a_replaced_split_on_tokens_takes_effect(monkeypatch):
    _, pipeline = both(None, [("<s>", {"normalized": False})])
    assert pipeline.encode_ids("a<s>") == [1, 3]
    monkeypatch.setattr(added_tokens, "split_on_tokens", lambda text, tokens: [(text, False)])
    assert pipeline.encode_ids("a<s>") == [1, 0, 0, 0]


def test_a_million_characters_of_added_tokens_and_spaces_take_no_quadratic_time():
    _, pipeline = both(
        None,
        [(" ", {"lstrip": True, "rstrip": True, "normalized": False}), ("<s>", {"lstrip": True})],
    )
    # Rescanning the spaces for each token would take 10^10 steps here.
    assert pipeline.encode_ids(" " * 100_000) == [3]
    assert len(pipeline.encode_ids("a" + " " * 100_000 + "a")) == 3
    assert len(pipeline.encode_ids("<s> " * 100_000)) == 200_000


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("<s>", "must be an object"),
        ({"id": 1}, "'id' and 'content'"),
        ({"content": "x"}, "id = None"),
        ({"id": "1", "content": "x"}, "id = '1'"),
        ({"id": True, "content": "x"}, "id = True"),
        ({"id": -1, "content": "x"}, "ids start at 0"),
        ({"id": 1, "content": "x", "lstrip": 1}, "lstrip = 1"),
        ({"id": 1, "content": "x", "special": None}, "special = None"),
    ],
)
def test_a_malformed_entry_is_named(entry, message):
    with pytest.raises(InvalidInput, match=message):
        AddedToken.from_json(entry)


def test_only_added_tokens_can_be_added():
    _, pipeline = both(None, [])
    with pytest.raises(WrongType, match="no AddedToken"):
        pipeline.add_tokens(["<s>"])
    with pytest.raises(InvalidInput, match="surrogate"):
        pipeline.add_tokens([AddedToken("\ud800")])
