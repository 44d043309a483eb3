import json
import math
import pydoc_data.topics
from collections import Counter

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from minilm.errors import InvalidInput
from minilm.tokenization import unigram_training
from minilm.tokenization.unigram_training import (
    expected_counts,
    log_likelihood,
    seed_pieces,
    train_unigram,
)

TEXTS = [text.replace("\n", " ") for text in list(pydoc_data.topics.topics.values())[:8]]
METASPACE = pre_tokenizers.Metaspace()
WORDS = Counter(word for text in TEXTS for word, _ in METASPACE.pre_tokenize_str(text))


def trained_by_tokenizers(vocab_size):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = METASPACE
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        unk_token="<unk>",
        special_tokens=["<s>", "<unk>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return json.loads(tokenizer.to_str())["model"]


@pytest.mark.parametrize("vocab_size", [300, 700, 3000])
def test_the_text_is_as_likely_as_under_the_vocabulary_of_tokenizers(vocab_size):
    theirs = trained_by_tokenizers(vocab_size)
    pieces, unk_id = train_unigram(WORDS, vocab_size, ["<s>", "<unk>"])
    assert [*pieces[:2], unk_id] == [("<s>", 0.0), ("<unk>", 0.0), theirs["unk_id"]]
    assert len(pieces) == len(theirs["vocab"])
    ours = log_likelihood(WORDS, dict(pieces[2:]))
    reference = log_likelihood(WORDS, dict(map(tuple, theirs["vocab"][2:])))
    assert ours == pytest.approx(reference, rel=0.02)


def test_without_pruning_pieces_and_scores_are_those_of_tokenizers():
    theirs = dict(map(tuple, trained_by_tokenizers(3000)["vocab"][2:]))
    ours = dict(train_unigram(WORDS, 3000, ["<s>", "<unk>"])[0][2:])
    assert ours.keys() == theirs.keys()
    assert all(ours[piece] == pytest.approx(theirs[piece], abs=0.01) for piece in theirs)


def all_cuts(text):
    if not text:
        yield []
    for end in range(1, len(text) + 1):
        for rest in all_cuts(text[end:]):
            yield [text[:end], *rest]


def test_expected_counts_are_the_sum_over_all_ways_to_cut():
    scores = {"a": -1.0, "b": -2.0, "ab": -1.5, "ba": -0.5, "aba": -4.0}
    words = {"abab": 3, "ba": 2, "aabx": 1}
    expected, likelihood = Counter(), 0.0
    for word, count in words.items():
        unknown = min(scores.values()) - 10
        cuts = {}
        for cut in all_cuts(word):
            if all(piece in scores or piece == "x" for piece in cut):
                cuts[tuple(cut)] = math.exp(sum(scores.get(piece, unknown) for piece in cut))
        likelihood += count * math.log(sum(cuts.values()))
        for cut, probability in cuts.items():
            for piece in cut:
                expected[piece] += count * probability / sum(cuts.values())
    found = expected_counts(words, scores)
    assert all(found[piece] == pytest.approx(expected[piece]) for piece in scores)
    assert log_likelihood(words, scores) == pytest.approx(likelihood)


def test_seeds_are_characters_and_substrings_that_go_on_differently():
    # Characters weigh their occurrences; "an", in three places of the two words, 3 times 2.
    # "nan" is always part of "anan": it goes on in one way only, and is no seed.
    weights = {"a": 7, "n": 5, "b": 3, "ban": 6, "an": 6, "ana": 6, "na": 4}
    seeds = seed_pieces({"banana": 2, "ban": 1}, 16)
    whole = sum(weights.values())
    assert seeds == pytest.approx({p: math.log(weight / whole) for p, weight in weights.items()})
    assert "ana" not in seed_pieces({"banana": 2, "ban": 1}, 2)


def test_no_piece_is_longer_than_allowed_and_every_character_is_one():
    pieces = dict(train_unigram(WORDS, 400, max_piece_length=4)[0][1:])
    assert max(map(len, pieces)) <= 4
    assert set("".join(WORDS)) <= pieces.keys()


def test_a_vocabulary_too_small_for_the_characters_is_refused_with_the_size_it_needs():
    with pytest.raises(InvalidInput, match="Give at least 5"):
        train_unigram({"abc": 4}, 4, ["<s>"])


def test_the_unknown_piece_comes_first_unless_it_is_a_special_token_or_there_is_none():
    words = {"ab": 5, "ba": 3}
    assert train_unigram(words, 6)[1] == 0
    assert [piece for piece, _ in train_unigram(words, 6, ["<s>"])[0][:2]] == ["<unk>", "<s>"]
    assert train_unigram(words, 6, ["<s>", "<unk>"])[1] == 1
    pieces, unk_id = train_unigram(words, 6, unk_token=None)
    assert unk_id is None
    assert pieces[0][0] in {"a", "b", "ab", "ba"}


def test_training_twice_gives_the_same_whatever_the_order_of_the_words():
    some = dict(list(WORDS.items())[:200])
    turned = dict(reversed(some.items()))
    first, again = train_unigram(some, 120)[0], train_unigram(turned, 120)[0]
    assert [piece for piece, _ in first] == [piece for piece, _ in again]


def test_a_single_word_and_an_empty_text_can_be_trained_on():
    assert dict(train_unigram({"ab": 1}, 9)[0]).keys() == {"<unk>", "a", "b"}
    assert train_unigram({}, 9) == ([("<unk>", 0.0)], 0)
    assert unigram_training.seed_pieces({}, 3) == {}
