"""The exercises count_pairs and merge_pair, and their known mistakes."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from minilm.check.exercise import Exercise, Mistake

LESSON = "01_byte_pairs"


def counting(neighbours: Callable[[tuple], Any], weighs: bool = True) -> Callable[[dict], dict]:
    """Make a count_pairs that finds the pairs of a word in another way."""

    def count_pairs(word_counts):
        counts = {}
        for word, count in word_counts.items():
            for pair in neighbours(word):
                counts[pair] = counts.get(pair, 0) + (count if weighs else 1)
        return counts

    return count_pairs


def adjacent(word):
    return list(itertools.pairwise(word))


count_adjacent = counting(adjacent)


def apart(word):
    """Find the pairs of a word that share no symbol with the same pair before."""
    found, end_of = [], {}
    for at, pair in enumerate(adjacent(word)):
        if end_of.get(pair, 0) <= at:
            found.append(pair)
            end_of[pair] = at + 2
    return found


def count_by_overwriting(word_counts):
    counts = {}
    for word, count in word_counts.items():
        for pair in adjacent(word):
            counts[pair] = count
    return counts


def count_across_words(word_counts):
    text = [symbol for word, count in word_counts.items() for symbol in word * count]
    return dict(Counter(adjacent(text)))


def count_by_recursion(word_counts):
    def pairs_of(word):
        return [] if len(word) < 2 else [(word[0], word[1]), *pairs_of(word[1:])]

    return Counter(p for word, count in word_counts.items() for p in pairs_of(word) * count)


def count_by_comprehension(word_counts):
    found = [((w[i], w[i + 1]), n) for w, n in word_counts.items() for i in range(len(w) - 1)]
    return {pair: sum(n for other, n in found if other == pair) for pair, _ in found}


def count_by_default(word_counts):
    totals: defaultdict = defaultdict(int)
    for word in word_counts:
        previous = None
        for symbol in word:
            if previous is not None:
                totals[previous, symbol] += word_counts[word]
            previous = symbol
    return totals


def reference_counts(word_counts):
    """Count every pair that could be, by looking at every place of every word."""
    symbols = sorted({symbol for word in word_counts for symbol in word})
    counts = {
        (left, right): sum(
            count * sum(word[at : at + 2] == (left, right) for at in range(len(word)))
            for word, count in word_counts.items()
        )
        for left in symbols
        for right in symbols
    }
    return {pair: count for pair, count in counts.items() if count}


def draw_word_counts(draw: random.Random) -> list[dict]:
    small: list[dict] = [
        {},
        {("a",): 3},
        {("a", "b"): 1},
        {("a", "b"): 2},
        {("a", "a", "a"): 1},
        {("a", "b", "a"): 1},
        {("a", "b", "c"): 1},
        {("a",) * 4: 2, ("a",): 5},
        {("a", "b"): 1, ("b", "a"): 1},
        {("a", "b"): 2, ("a", "b", "c"): 3},
        {("a", "b", "a", "b"): 1},
        {("ab", "c"): 1, ("a", "bc"): 1},
        {("Ġ", "é", "Ġ"): 4, ("Ġ", "é"): 1},
        {(0, 257, 0, 300): 2, (300, 0, 257, 0, 0): 3},
    ]
    for _ in range(20):
        words = [tuple(draw.choices(["a", "b", "c", "ab", "Ġ"], k=1 + at)) for at in range(6)]
        small.append({word: draw.randint(1, 9) for word in words})
    return [{"word_counts": word_counts} for word_counts in small]


COUNT_PAIRS = Exercise(
    answer="minilm.tokenization.bpe:count_pairs",
    lesson=LESSON,
    cases=draw_word_counts,
    reference=reference_counts,
    reference_name="a count of every pair at every place",
    mistakes=[
        Mistake(
            "counts each word once",
            counting(adjacent, weighs=False),
            "You add 1 for a pair, however often its word occurs. A word seen 5 times holds the "
            "pair 5 times: add the word's count.",
        ),
        Mistake(
            "overwrites the count",
            count_by_overwriting,
            "counts[pair] = count forgets what earlier words, or earlier places of this word, "
            "added. Add to what is there.",
        ),
        Mistake(
            "counts a pair once in a word",
            counting(lambda word: dict.fromkeys(adjacent(word))),
            "A pair that stands twice in a word counts once. Every place counts: abab holds "
            "(a, b) twice.",
        ),
        Mistake(
            "skips overlapping pairs",
            counting(apart),
            "aaa holds (a, a) at two places, and you count one because they share a letter. Only "
            "merging must choose; counting takes both, as tokenizers does.",
        ),
        Mistake(
            "takes every second pair",
            counting(lambda word: list(zip(word[::2], word[1::2], strict=False))),
            "After a pair you step on by two, so abc holds (a, b) and never (b, c). Step by one.",
        ),
        Mistake(
            "misses the last pair",
            counting(lambda word: adjacent(word)[:-1]),
            "The loop ends one pair early. A word of n symbols has n - 1 pairs.",
        ),
        Mistake(
            "misses the first pair",
            counting(lambda word: adjacent(word)[1:]),
            "The loop starts one pair late. A word of n symbols has n - 1 pairs.",
        ),
        Mistake(
            "closes the word to a ring",
            counting(lambda word: [(word[at - 1], word[at]) for at in range(len(word))]),
            "At the first symbol, word[i - 1] is word[-1]: the last one. You count a pair that "
            "stands nowhere.",
        ),
        Mistake(
            "counts across words",
            count_across_words,
            "The end of one word and the beginning of the next make a pair. Words are counted "
            "apart, or tokens would cross the cuts you made.",
        ),
        Mistake(
            "forgets which comes first",
            counting(lambda word: [tuple(sorted(pair)) for pair in adjacent(word)]),
            "(a, b) and (b, a) are counted together. They are merged into ab and ba, two "
            "different tokens.",
        ),
        Mistake(
            "glues the pair together",
            counting(lambda word: [left + right for left, right in adjacent(word)]),
            "The keys are strings. From 'abc' nobody can tell (ab, c) and (a, bc) apart: keep "
            "the pair as a tuple of two.",
        ),
        Mistake(
            "takes symbols apart",
            counting(lambda word: adjacent("".join(map(str, word)))),
            "You join the symbols and pair their letters. What has been merged stays whole: the "
            "symbols ab and c are one pair, (ab, c).",
        ),
        Mistake(
            "counts symbols",
            counting(list),
            "The keys are single symbols. What is merged is two neighbours, so count those.",
        ),
        Mistake(
            "pairs symbols at any distance",
            counting(lambda word: itertools.combinations(word, 2)),
            "You pair each symbol with every later one. Only neighbours can be merged.",
        ),
    ],
    accepts=[count_by_recursion, count_by_comprehension, count_by_default],
)


def reference_merge(symbols, pair, merged):
    """Merge with tokenizers' BPE model, each symbol written as one private character."""
    from tokenizers.models import BPE

    letters = {symbol: chr(0xE000 + at) for at, symbol in enumerate({*symbols, *pair})}
    left, right = (letters[symbol] for symbol in pair)
    vocab = {letter: at for at, letter in enumerate([*letters.values(), left + right])}
    symbol_of = {letter: symbol for symbol, letter in letters.items()} | {left + right: merged}
    tokens = BPE(vocab, [(left, right)]).tokenize("".join(letters[symbol] for symbol in symbols))
    return [symbol_of[token.value] for token in tokens]


def merge_from_the_right(symbols, pair, merged):
    mirrored = [*reversed(symbols)], (pair[1], pair[0]), merged
    return merge_by_index(*mirrored)[::-1]


def merge_by_index(symbols, pair, merged):
    out, i = [], 0
    while i < len(symbols):
        if i + 1 < len(symbols) and symbols[i] == pair[0] and symbols[i + 1] == pair[1]:
            out.append(merged)
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return out


def merge_by_recursion(symbols, pair, merged):
    if len(symbols) < 2:
        return list(symbols)
    if (symbols[0], symbols[1]) == tuple(pair):
        return [merged, *merge_by_recursion(symbols[2:], pair, merged)]
    return [symbols[0], *merge_by_recursion(symbols[1:], pair, merged)]


def merge_by_looking_back(symbols, pair, merged):
    """Append one symbol after another; the last one may still be free to merge."""
    done, free = [], False
    for symbol in symbols:
        if free and done[-1] == pair[0] and symbol == pair[1]:
            done[-1], free = merged, False
        else:
            done.append(symbol)
            free = True
    return done


def merge_in_a_copy(symbols, pair, merged):
    symbols = list(symbols)
    at = 0
    while at < len(symbols) - 1:
        if symbols[at : at + 2] == [*pair]:
            symbols[at : at + 2] = [merged]
        at += 1
    return symbols


def merge_by_iterator(symbols, pair, merged):
    rest = iter(symbols)
    result = []
    waiting = next(rest, None)
    while waiting is not None:
        following = next(rest, None)
        if following is not None and (waiting, following) == (pair[0], pair[1]):
            result.append(merged)
            waiting = next(rest, None)
        else:
            result.append(waiting)
            waiting = following
    return result


def merge_overlapping(symbols, pair, merged):
    result, covered = [], False
    for at, symbol in enumerate(symbols):
        starts = tuple(symbols[at : at + 2]) == tuple(pair)
        if starts:
            result.append(merged)
        elif not covered:
            result.append(symbol)
        covered = starts
    return result


def merge_first_only(symbols, pair, merged):
    for at in range(len(symbols) - 1):
        if tuple(symbols[at : at + 2]) == tuple(pair):
            return [*symbols[:at], merged, *symbols[at + 2 :]]
    return list(symbols)


def merge_without_end(symbols, pair, merged):
    result, at = [], 0
    while at < len(symbols) - 1:
        if tuple(symbols[at : at + 2]) == tuple(pair):
            result.append(merged)
            at += 2
        else:
            result.append(symbols[at])
            at += 1
    return result


def merge_and_keep(symbols, pair, merged):
    result = []
    for at, symbol in enumerate(symbols):
        fits = tuple(symbols[at : at + 2]) == tuple(pair)
        result.append(merged if fits else symbol)
    return result


def merge_and_skip(symbols, pair, merged):
    result, at = [], 0
    while at < len(symbols):
        if tuple(symbols[at : at + 2]) == tuple(pair):
            result.append(merged)
            at += 3
        else:
            result.append(symbols[at])
            at += 1
    return result


def merge_either_way(symbols, pair, merged):
    result, at = [], 0
    while at < len(symbols):
        if tuple(symbols[at : at + 2]) in (tuple(pair), tuple(pair[::-1])):
            result.append(merged)
            at += 2
        else:
            result.append(symbols[at])
            at += 1
    return result


def merge_at_even_places(symbols, pair, merged):
    result = []
    for at in range(0, len(symbols), 2):
        two = tuple(symbols[at : at + 2])
        result += [merged] if two == tuple(pair) else two
    return result


def merge_as_text(symbols, pair, merged):
    """Sennrich's first script did so before it learned to look at the borders of symbols."""
    joined = " ".join(map(str, symbols))
    replaced = joined.replace(" ".join(map(str, pair)), str(merged))
    names = {str(symbol): symbol for symbol in [*symbols, merged]}
    return [names.get(name, name) for name in replaced.split(" ")] if symbols else []


def merge_by_left_symbol(symbols, pair, merged):
    result, at = [], 0
    while at < len(symbols):
        if symbols[at] == pair[0] and at + 1 < len(symbols):
            result.append(merged)
            at += 2
        else:
            result.append(symbols[at])
            at += 1
    return result


def draw_symbols(draw: random.Random) -> list[dict]:
    small: list[tuple] = [
        ([], ("a", "b"), "ab"),
        (["a"], ("a", "b"), "ab"),
        (["a", "b"], ("a", "b"), "ab"),
        (["b", "a"], ("a", "b"), "ab"),
        (["a", "c"], ("a", "b"), "ab"),
        (["c", "a", "b"], ("a", "b"), "ab"),
        (["a", "b", "c"], ("a", "b"), "ab"),
        (["a", "a", "a"], ("a", "a"), "aa"),
        (["a", "a", "a", "a"], ("a", "a"), "aa"),
        (["a", "b", "a", "b"], ("a", "b"), "ab"),
        (["ca", "b"], ("a", "b"), "ab"),
        (["ab", "a"], ("a", "b"), "ab"),
    ]
    for _ in range(30):
        symbols = draw.choices(["a", "b", "ab", "ba"], k=draw.randint(2, 9))
        pair = tuple(draw.choices(symbols, k=2))
        small.append((symbols, pair, "".join(pair)))
        # Longer than the words: an answer is shown by its smallest case, and letters read easier.
        ids = draw.choices([97, 98, 99], k=draw.randint(15, 25))
        small.append((ids, tuple(draw.choices(ids, k=2)), 256))
    return [{"symbols": s, "pair": p, "merged": m} for s, p, m in small]


MERGE_PAIR = Exercise(
    answer="minilm.tokenization.bpe:merge_pair",
    lesson=LESSON,
    cases=draw_symbols,
    reference=reference_merge,
    reference_name="tokenizers' BPE model that knows one merge",
    mistakes=[
        Mistake(
            "merges from the right",
            merge_from_the_right,
            "In aaa the last two are merged. Everybody else starts at the left, so the same word "
            "would get other tokens.",
        ),
        Mistake(
            "uses a symbol twice",
            merge_overlapping,
            "In aaa the middle letter goes into two tokens, and the word grows. After a merge, "
            "step over both symbols.",
        ),
        Mistake(
            "merges the first place only",
            merge_first_only,
            "You stop after one merge. Every place where the pair stands is merged.",
        ),
        Mistake(
            "loses the last symbol",
            merge_without_end,
            "The loop ends before the last symbol, and one that is not part of a pair is never "
            "copied.",
        ),
        Mistake(
            "keeps the second symbol",
            merge_and_keep,
            "You write the merged symbol and move on by one, so its second half is written again.",
        ),
        Mistake(
            "skips what follows a merge",
            merge_and_skip,
            "After a merge you move on by three, one too many, and a symbol is lost.",
        ),
        Mistake(
            "merges either way round",
            merge_either_way,
            "(b, a) is merged like (a, b). The order is part of the pair.",
        ),
        Mistake(
            "looks at the left symbol only",
            merge_by_left_symbol,
            "Whatever follows the left symbol is merged with it. Compare both.",
        ),
        Mistake(
            "looks at even places only",
            merge_at_even_places,
            "You step by two whether or not something was merged, and miss pairs that start at "
            "an odd place.",
        ),
        Mistake(
            "merges letters instead of symbols",
            merge_as_text,
            "You replace within a string, so the end of one symbol can take part: in 'ca b' the "
            "text 'a b' is found, though no symbol is a. Compare whole symbols.",
        ),
        Mistake(
            "never finds the pair",
            lambda symbols, pair, merged: list(symbols),
            "Nothing is merged. If you compare a slice with the pair: symbols[i : i + 2] is a list "
            "here and pair a tuple, and these are never equal. Write tuple(symbols[i : i + 2]).",
        ),
        Mistake(
            "adds the halves together",
            lambda symbols, pair, merged: merge_by_index(symbols, pair, pair[0] + pair[1]),
            "You write pair[0] + pair[1]. With strings that is the same; with ids it is a sum. "
            "Write `merged`.",
        ),
    ],
    accepts=[
        merge_by_index,
        merge_by_recursion,
        merge_by_looking_back,
        merge_in_a_copy,
        merge_by_iterator,
    ],
)
