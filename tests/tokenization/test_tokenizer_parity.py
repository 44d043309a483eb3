"""Calls drawn at random give what transformers gives, whatever the options."""

from __future__ import annotations

import random
import warnings

import pytest

from minilm.errors import MinilmError

DRAWS = 150
TEXTS = [
    "",
    " ",
    "Hello",
    "Hello world! How are you?",
    "  two  spaces   and three ",
    "The quick brown fox jumps over the lazy dog, 1234567 times.",
    "naïve café 日本語 🎉🎉 emoji 👩‍👩‍👧",
    "don't tokenize\tthis\nline\n\nor that",
    "[CLS] special [SEP] tokens </s> in <s> the <|endoftext|> text<|eot_id|>",
    "ZWJ\u200dand combining e\u0301 a\u0308",
    "x" * 70,
]
WORDS = ["Hello", "world", "naïve", "日本", "🎉", "a", "", " x", "tokenizers", "12345", "don't"]


def draw_call(draw: random.Random) -> tuple[dict, dict]:
    """Draw texts and options of one call."""
    split = draw.random() < 0.25

    def text():
        return draw.choices(WORDS, k=draw.randint(0, 9)) if split else draw.choice(TEXTS)

    paired = draw.random() < 0.4
    inputs: dict = {}
    if draw.random() < 0.6:
        size = draw.randint(1, 4)
        inputs["text"] = [text() for _ in range(size)]
        if paired:
            inputs["text_pair"] = [text() for _ in range(size)]
    else:
        inputs["text"] = text()
        if paired:
            inputs["text_pair"] = text()
    options: dict = {"is_split_into_words": True} if split else {}
    choices = {
        "padding": [True, "longest", "max_length", False, "do_not_pad"],
        "truncation": [True, "longest_first", "only_first", "only_second", False, None],
        "max_length": [4, 5, 8, 13, 40],
        "stride": [0, 1, 2],
        "pad_to_multiple_of": [4, 7],
        "padding_side": ["left", "right", None],
        "add_special_tokens": [True, False],
        "return_token_type_ids": [True, False],
        "return_attention_mask": [True, False],
        "return_special_tokens_mask": [True],
        "return_offsets_mapping": [True],
        "return_overflowing_tokens": [True],
        "return_length": [True],
        "return_tensors": ["np", "pt"],
    }
    for name, values in choices.items():
        if draw.random() < 0.35:
            options[name] = draw.choice(values)
    if "padding" in options and options["padding"] == "max_length":
        options.setdefault("max_length", 8)
    if not paired and options.get("truncation") == "only_second":
        options["truncation"] = True
    return inputs, options


def plain(value):
    return value.tolist() if hasattr(value, "tolist") else value


def outcome(tokenizer, inputs, options):
    """The columns of a call as lists, or the exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            batch = tokenizer(**inputs, **options)
        except BaseException as error:
            # tokenizers panics with an exception that is none of Python's.
            if isinstance(error, KeyboardInterrupt):
                raise
            return error, None
    return {name: plain(column) for name, column in batch.items()}, batch


def fits(tokenizer, inputs, options) -> bool:
    """Whether max_length leaves room for the special tokens; otherwise transformers does not truncate."""
    special = tokenizer.num_special_tokens_to_add("text_pair" in inputs)
    return options.get("max_length", 99) >= special


def stands_still(tokenizer, options) -> bool:
    """Whether the stride is as long as a window, so that windows would not move forward."""
    truncates = options.get("truncation") or (
        options.get("truncation", None) is None and not options.get("padding", False)
    )
    if options.get("padding") == "do_not_pad" and not options.get("truncation"):
        truncates = False
    special = options.get("add_special_tokens", True) and tokenizer.num_special_tokens_to_add()
    length = options.get("max_length", tokenizer.model_max_length)
    return bool(
        truncates and options.get("stride", 0) > 0 and options["stride"] >= length - special
    )


@pytest.mark.parametrize("seed", range(DRAWS))
def test_a_drawn_call_gives_the_same_columns(both_tokenizers, seed):
    ours, theirs = both_tokenizers
    draw = random.Random(seed)
    for side in ("right", "left"):
        ours.truncation_side = theirs.truncation_side = side
        inputs, options = draw_call(draw)
        if not fits(ours, inputs, options):
            continue
        expected, their_batch = outcome(theirs, inputs, options)
        got, our_batch = outcome(ours, inputs, options)
        if stands_still(ours, options):
            # tokenizers says so only when a text is long enough to need a second window.
            assert isinstance(got, MinilmError)
            continue
        if isinstance(expected, BaseException):
            if options.get("stride") and not options.get("return_overflowing_tokens"):
                continue  # a stride without windows has no effect here, and transformers may panic
            assert isinstance(got, MinilmError), (inputs, options, expected)
            continue
        if "return_tensors" in options:
            lists, _ = outcome(ours, inputs, {**options, "return_tensors": None})
            rows = lists["input_ids"]
            if rows and isinstance(rows[0], list) and len({len(row) for row in rows}) > 1:
                # transformers makes an array of objects, or (torch, an empty row first) drops all ids.
                assert isinstance(got, MinilmError)
                continue
        assert got == expected, (inputs, options)
        assert list(got) == list(expected)
        assert our_batch.n_sequences == their_batch.n_sequences
        for row in range(len(their_batch.encodings)):
            assert our_batch.tokens(row) == their_batch.tokens(row), (inputs, options)
            assert our_batch.word_ids(row) == their_batch.word_ids(row), (inputs, options)
            assert our_batch.sequence_ids(row) == their_batch.sequence_ids(row)


@pytest.mark.parametrize("seed", range(30))
def test_the_way_back_to_the_text_is_the_same(both_tokenizers, seed):
    ours, theirs = both_tokenizers
    draw = random.Random(1000 + seed)
    texts = [draw.choice(TEXTS), draw.choice(TEXTS)]
    pair = [draw.choice(TEXTS), draw.choice(TEXTS)] if seed % 2 else None
    our_batch, their_batch = (tokenizer(texts, pair, padding=True) for tokenizer in (ours, theirs))
    for row in range(2):
        for token in range(len(their_batch["input_ids"][row])):
            for method in ("token_to_sequence", "token_to_word", "token_to_chars"):
                expected = getattr(their_batch, method)(row, token)
                assert getattr(our_batch, method)(row, token) == expected, (method, texts, token)
        for sequence in range(2 if pair else 1):
            text = (texts, pair)[sequence][row]
            for char in range(len(text)):
                for method in ("char_to_token", "char_to_word"):
                    expected = getattr(their_batch, method)(row, char, sequence)
                    assert getattr(our_batch, method)(row, char, sequence) == expected
            for word in {number for number in their_batch.word_ids(row) if number is not None}:
                expected = their_batch.word_to_tokens(row, word, sequence)
                assert our_batch.word_to_tokens(row, word, sequence) == expected
                if expected is not None:
                    chars = their_batch.word_to_chars(row, word, sequence)
                    assert our_batch.word_to_chars(row, word, sequence) == chars


@pytest.mark.parametrize("seed", range(60))
def test_decoding_gives_the_same_text(both_tokenizers, seed):
    ours, theirs = both_tokenizers
    draw = random.Random(seed)
    ids = [draw.randrange(len(theirs)) for _ in range(draw.randint(0, 25))]
    skip = bool(seed % 2)
    assert ours.decode(ids, skip_special_tokens=skip) == theirs.decode(
        ids, skip_special_tokens=skip
    )
    assert ours.convert_ids_to_tokens(ids, skip) == theirs.convert_ids_to_tokens(ids, skip)
    tokens = theirs.convert_ids_to_tokens(ids)
    assert ours.convert_tokens_to_string(tokens) == theirs.convert_tokens_to_string(tokens)
    assert ours.convert_tokens_to_ids(tokens) == theirs.convert_tokens_to_ids(tokens)


def test_what_a_tokenizer_says_of_itself_is_the_same(both_tokenizers):
    ours, theirs = both_tokenizers
    names = (
        "vocab_size model_max_length padding_side truncation_side model_input_names "
        "special_tokens_map all_special_tokens all_special_ids extra_special_tokens is_fast "
        "clean_up_tokenization_spaces pad_token pad_token_id bos_token bos_token_id eos_token "
        "eos_token_id unk_token unk_token_id sep_token cls_token mask_token mask_token_id "
        "max_len_single_sentence max_len_sentences_pair pad_token_type_id"
    )
    for name in names.split():
        assert getattr(ours, name) == getattr(theirs, name), name
    assert len(ours) == len(theirs)
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.get_added_vocab() == theirs.get_added_vocab()
    for pair in (False, True):
        assert ours.num_special_tokens_to_add(pair) == theirs.num_special_tokens_to_add(pair)
    unknown = "no-such-token"
    assert ours.convert_tokens_to_ids(unknown) == theirs.convert_tokens_to_ids(unknown)


@pytest.mark.parametrize("text", TEXTS)
def test_tokenize_gives_the_same_tokens(both_tokenizers, text):
    ours, theirs = both_tokenizers
    assert ours.tokenize(text) == theirs.tokenize(text)
    assert ours.tokenize(text, "pair", add_special_tokens=True) == theirs.tokenize(
        text, "pair", add_special_tokens=True
    )
    assert ours.encode(text, "pair", max_length=9) == theirs.encode(text, "pair", max_length=9)


@pytest.mark.parametrize("text", TEXTS)
def test_special_tokens_in_a_text_can_be_treated_as_text(both_tokenizers, text):
    ours, theirs = both_tokenizers
    assert ours.encode(text, split_special_tokens=True) == theirs.encode(
        text, split_special_tokens=True
    )


@pytest.mark.parametrize("seed", range(40))
def test_padding_afterwards_gives_the_same_columns(both_tokenizers, seed):
    ours, theirs = both_tokenizers
    draw = random.Random(seed)
    rows = [
        {
            "input_ids": [draw.randrange(9) for _ in range(draw.randint(1, 7))],
        }
        for _ in range(draw.randint(1, 4))
    ]
    for row in rows:
        if seed % 3:
            row["attention_mask"] = [1] * len(row["input_ids"])
            row["special_tokens_mask"] = [0] * len(row["input_ids"])
        if seed % 3 == 2:
            row["token_type_ids"] = [1] * len(row["input_ids"])
    forms = [rows, {name: [row[name] for row in rows] for name in rows[0]}, rows[0]]
    options: dict = {"padding": draw.choice([True, "max_length", False]), "max_length": 9}
    if draw.random() < 0.5:
        options["pad_to_multiple_of"] = 4
    if draw.random() < 0.5:
        options["padding_side"] = draw.choice(["left", "right"])
    if draw.random() < 0.5:
        # With False, transformers leaves a mask that is there at its old length.
        options["return_attention_mask"] = draw.choice([True, None]) if seed % 3 else False
    if options["padding"] == "max_length" and draw.random() < 0.5:
        options["return_tensors"] = draw.choice(["pt", "np"])
    import copy

    for form in forms:
        if isinstance(form, dict) and not isinstance(form["input_ids"][0], list):
            options.pop("return_tensors", None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = theirs.pad(copy.deepcopy(form), **options)
            got = ours.pad(copy.deepcopy(form), **options)
        assert {name: plain(value) for name, value in got.items()} == {
            name: plain(value) for name, value in expected.items()
        }, (form, options)
