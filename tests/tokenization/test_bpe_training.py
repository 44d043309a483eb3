import argparse
import inspect
import json
import pydoc_data.topics
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from minilm.tokenization import bpe
from minilm.tokenization.bpe_training import PairIndex, train_bpe, train_bpe_with_marks
from minilm.tokenization.byte_alphabet import STAND_INS, text_to_symbols
from minilm.tokenization.words import split_words

BORDER = "\x01"


def many_languages():
    """Words of several scripts, drawn the way real text repeats itself."""
    draw = random.Random(5)
    syllables = [
        "ka",
        "ти",
        "ла",
        "το",
        "ση",
        "שלו",
        "من",
        "ال",
        "東",
        "京",
        "の",
        "é",
        "ß",
        "👩\u200d👧",
        "नम",
    ]
    common = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(300)]
    weights = [1 / (place + 1) for place in range(len(common))]
    return " ".join(draw.choices(common, weights, k=6000))


CORPORA = {
    "documentation": lambda: "\n".join(pydoc_data.topics.topics.values())[:200_000],
    "Python source": lambda: "".join(inspect.getsource(m) for m in (argparse, json, random)),
    "many languages": many_languages,
}


def trained_by_tokenizers(pre_tokenizer, texts, **options):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(show_progress=False, **options)
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def from_words(word_counts, **options):
    texts = (word for word, count in word_counts.items() for _ in range(count))
    return trained_by_tokenizers(pre_tokenizers.Split(BORDER, "removed"), texts, **options)


@pytest.mark.parametrize("vocab_size", [300, 700, 2000])
@pytest.mark.parametrize("corpus", CORPORA)
def test_merges_and_vocabulary_are_those_of_tokenizers(corpus, vocab_size):
    text = CORPORA[corpus]()
    words = Counter(map(text_to_symbols, split_words(text)))
    special = ["<|endoftext|>", "<pad>"]
    expected = trained_by_tokenizers(
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        [text],
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    assert train_bpe(words, vocab_size, STAND_INS.values(), special) == expected


@pytest.mark.parametrize("vocab_size", [80, 200, 1500])
def test_characters_may_be_symbols_as_well_as_bytes(vocab_size):
    words = Counter(many_languages().split())
    expected = from_words(words, vocab_size=vocab_size, min_frequency=3)
    assert train_bpe(words, vocab_size, min_frequency=3) == expected


WORD_COUNTS = st.dictionaries(
    st.text("ab", min_size=1, max_size=14), st.integers(1, 6), max_size=12
)


@given(
    WORD_COUNTS,
    st.integers(0, 40),
    st.sampled_from([0, 0, 2, 4]),
    st.lists(st.sampled_from(["<s>", "ab", "aa", "b", "<s>"]), max_size=3),
    st.lists(st.sampled_from("ax☃"), max_size=3),
)
def test_ties_overlaps_and_names_taken_by_special_tokens_go_as_in_tokenizers(
    words, vocab_size, min_frequency, special, alphabet
):
    options = {"vocab_size": vocab_size, "min_frequency": min_frequency}
    expected = from_words(words, special_tokens=special, initial_alphabet=alphabet, **options)
    got = train_bpe(words, initial_alphabet=alphabet, special_tokens=special, **options)
    assert got == expected


def test_the_index_keeps_the_counts_that_counting_anew_gives():
    draw = random.Random(1)
    words = {
        "".join(draw.choices("abc", k=draw.randint(1, 30))): draw.randint(1, 9) for _ in range(40)
    }
    vocab = {letter: number for number, letter in enumerate("abc")}
    index = PairIndex(words.items(), vocab)
    symbols = {tuple(word): count for word, count in words.items()}
    for _ in range(60):
        counts = bpe.count_pairs(symbols)
        ids = list(vocab)
        expected = min(counts, key=lambda p: bpe.merge_order((vocab[p[0]], vocab[p[1]]), counts[p]))
        assert index.best(counts[expected]) == expected
        assert index.best(counts[expected] + 1) is None
        merged = "".join(expected)
        vocab[merged] = len(ids)
        index.merge(expected, merged)
        symbols = {tuple(bpe.merge_pair(w, expected, merged)): n for w, n in symbols.items()}


def test_the_order_of_merges_is_asked_of_merge_order(monkeypatch):
    monkeypatch.setattr(bpe, "merge_order", lambda pair, count: (count, pair[0], pair[1]))
    assert train_bpe({"aab": 5, "cd": 1}, 5)[1] == [("c", "d")]


def test_one_long_word_trains_as_in_tokenizers():
    word = "".join(random.Random(2).choices("abc", k=10_000))
    assert train_bpe({word: 1}, 60) == from_words({word: 1}, vocab_size=60)


def test_a_word_of_half_a_million_letters_trains_like_its_halves():
    # Visiting the whole word for each merge, or moving its tail, would take hours.
    half = "".join(random.Random(3).choices("abc", k=250_000))
    whole = train_bpe({half + "|" + half: 1}, 60)[1]
    assert whole[:40] == train_bpe({half: 2, "|": 1}, 60)[1][:40]


def test_training_stops_when_no_pair_is_left():
    assert train_bpe({"ab": 2, "a": 9}, 50) == ({"a": 0, "b": 1, "ab": 2}, [("a", "b")])
    assert train_bpe({}, 50) == ({}, [])
    assert train_bpe({"ab": 0}, 50, special_tokens=["<s>"])[1] == []


def test_a_vocabulary_that_is_full_from_the_start_learns_nothing():
    assert train_bpe({"abc": 2}, 2) == ({"a": 0, "b": 1, "c": 2}, [])


@pytest.mark.parametrize("longest", [0, 2, 3, 5, 6])
def test_the_limit_on_token_length_works_as_in_tokenizers(longest):
    words = {"abcdefgh": 5, "abcdabcd": 4, "gh": 3, "fghfgh": 1}
    expected = from_words(words, vocab_size=40, max_token_length=longest)
    assert train_bpe_with_marks(words, 40, max_token_length=longest) == expected


def test_a_limited_alphabet_drops_the_rare_letters_and_joins_what_stood_around_them():
    words = {"abcdefgh": 3, "hha": 1, "adh": 2}
    expected = from_words(words, vocab_size=30, limit_alphabet=3)
    assert train_bpe_with_marks(words, 30, limit_alphabet=3) == expected
    assert sorted(expected[0])[:1] == ["a"]


def test_prefix_and_suffix_mark_the_symbols_as_in_tokenizers():
    # No ties and one marked character of each kind: tokenizers numbers those at random.
    words = {"ab": 9, "cab": 4}
    marks = {"continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"}
    vocab, merges = train_bpe_with_marks(words, 20, **marks)
    expected_vocab, expected_merges = from_words(words, vocab_size=20, **marks)
    assert merges == expected_merges
    assert vocab.keys() == expected_vocab.keys()
    assert ("a", "##b</w>") in merges
    assert "ab</w>" in vocab


def test_marked_characters_are_numbered_in_sorted_order_whatever_the_order_of_the_words():
    words = {"ba": 2, "ab": 2, "cb": 1}
    turned = dict(reversed(words.items()))
    marked = train_bpe_with_marks(words, 20, continuing_subword_prefix="##")
    assert marked == train_bpe_with_marks(turned, 20, continuing_subword_prefix="##")
    assert [token for token in marked[0] if token.startswith("##")] == ["##a", "##b"]


def test_a_bar_is_shown_only_on_demand(capfd):
    train_bpe_with_marks({"ab": 2}, 5)
    assert capfd.readouterr() == ("", "")
    train_bpe_with_marks({"ab": 2}, 5, show_progress=True)
    assert "3/5" in capfd.readouterr().err
