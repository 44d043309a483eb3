import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from minilm.tokenization.bpe import (
    apply_merges,
    apply_merges_by_heap,
    count_pairs,
    merge_order,
    merge_pair,
)

WORDS = st.lists(st.sampled_from("ab"), max_size=40)


@st.composite
def rank_tables(draw):
    """Merges of merges over two letters, in the order they came or in any other."""
    tokens, pairs = ["a", "b"], []
    for _ in range(draw(st.integers(0, 12))):
        pair = draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens))
        if pair not in pairs and len(pair[0] + pair[1]) <= 8:
            pairs.append(pair)
            tokens.append(pair[0] + pair[1])
    return {pair: rank for rank, pair in enumerate(draw(st.permutations(pairs)))}


def test_pairs_are_weighed_by_their_words_and_may_overlap():
    counts = count_pairs({("a", "a", "a"): 3, ("a", "b"): 2, ("b",): 9, (): 1})
    assert counts == {("a", "a"): 6, ("a", "b"): 2}


@given(WORDS)
def test_merging_replaces_what_str_replace_replaces(letters):
    merged = merge_pair(letters, ("a", "b"), "X")
    assert "".join(merged) == "".join(letters).replace("ab", "X")
    assert "".join(merge_pair(letters, ("a", "a"), "X")) == "".join(letters).replace("aa", "X")


def test_ids_merge_like_strings_and_the_first_two_of_three_become_one():
    assert merge_pair((7, 7, 7), (7, 7), 300) == [300, 7]


def test_merge_order_puts_frequent_pairs_first_and_then_small_ids():
    pairs = {(1, 1): 5, (0, 9): 5, (0, 2): 5, (9, 9): 8, (0, 0): 1}
    ordered = sorted(pairs, key=lambda pair: merge_order(pair, pairs[pair]))
    assert ordered == [(9, 9), (0, 2), (0, 9), (1, 1), (0, 0)]


@given(WORDS, rank_tables())
def test_the_heap_form_equals_the_plain_one(letters, ranks):
    assert apply_merges_by_heap(letters, ranks) == apply_merges(letters, ranks)


@given(WORDS, rank_tables())
def test_nothing_is_lost_and_no_known_pair_is_left(letters, ranks):
    tokens = apply_merges(letters, ranks)
    assert "".join(tokens) == "".join(letters)
    assert not any(pair in ranks for pair in pairwise(tokens))


def test_the_lowest_rank_goes_first_even_when_it_arises_late():
    # "bc" is worse than "abc": once "ab" is there, "ab" + "c" goes before the second "bc".
    ranks = {("ab", "c"): 0, ("a", "b"): 1, ("b", "c"): 2}
    assert apply_merges("abcbc", ranks) == ["abc", "bc"]
    # All "ab" at once would give ab, ab; one by one "ab" + "a" comes between.
    assert apply_merges("abab", {("ab", "a"): 0, ("a", "b"): 1}) == ["aba", "b"]


def test_equal_ranks_are_merged_from_the_left():
    ranks = {("a", "aa"): 5, ("aa", "a"): 5, ("a", "a"): 9}
    assert apply_merges(["a", "aa", "a"], ranks) == ["aaa", "a"]
    assert apply_merges_by_heap(["a", "aa", "a"], ranks) == ["aaa", "a"]


def test_what_was_given_is_left_as_it_was():
    letters = list("abab")
    apply_merges(letters, {("a", "b"): 0})
    apply_merges_by_heap(letters, {("a", "b"): 0})
    assert letters == list("abab")


def test_the_heap_form_takes_a_long_word_of_ids():
    draw = random.Random(0)
    word = [draw.choice((0, 1)) for _ in range(200_000)]
    ranks = {(0, 1): 0, (2, 2): 1, (1, 0): 2}
    merged = {(0, 1): 2, (2, 2): 3, (1, 0): 4}
    tokens = apply_merges_by_heap(word, ranks, merged)
    spelled = {0: [0], 1: [1], 2: [0, 1], 3: [0, 1, 0, 1], 4: [1, 0]}
    assert [letter for token in tokens for letter in spelled[token]] == word
    assert not any(pair in ranks for pair in pairwise(tokens))


def test_merges_that_are_passed_over_come_again_after_the_next_one():
    ranks = {("a", "b"): 0, ("b", "c"): 1, ("ab", "c"): 2}
    answers = iter([True, False, False])
    # "ab" is passed over, "bc" is done, and "ab" finds its "b" gone.
    assert apply_merges_by_heap("abc", ranks, pass_over=lambda: next(answers)) == ["a", "bc"]
    answers = iter([False, True, True])
    assert apply_merges_by_heap("abc", ranks, pass_over=lambda: next(answers)) == ["ab", "c"]
