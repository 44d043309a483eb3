"""Byte-pair encoding: counting pairs, merging them, and encoding by rank (Sennrich et al. 2016)."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any


def count_pairs(word_counts: Mapping[tuple[Any, ...], int]) -> dict[tuple[Any, Any], int]:
    """Count how often each two symbols stand side by side.

    word_counts: word as a tuple of symbols (strings or ids) → how often the word occurs

    Returns pair → count, every word weighing as much as it occurs. Overlapping pairs all count:
    "aaa" holds ("a", "a") twice.

    >>> count_pairs({("l", "o", "w"): 5, ("l", "o"): 2})
    {('l', 'o'): 7, ('o', 'w'): 5}
    """
    counts: dict[tuple[Any, Any], int] = {}
    for word, count in word_counts.items():
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + count
    return counts


def merge_pair(symbols: Sequence[Any], pair: tuple[Any, Any], merged: Any) -> list[Any]:
    """Replace every occurrence of a pair by one symbol, from left to right.

    symbols: the symbols of a word (strings or ids)
    pair: the two neighbours to replace
    merged: what takes their place

    Returns the new symbols. Occurrences do not overlap: the first of "aaa" wins.
    The plain form of `PairIndex.merge`, which does it in all words at once.

    >>> merge_pair(["a", "a", "a", "b"], ("a", "a"), "aa")
    ['aa', 'a', 'b']
    """
    result = []
    position = 0
    while position < len(symbols):
        if tuple(symbols[position : position + 2]) == tuple(pair):
            result.append(merged)
            position += 2
        else:
            result.append(symbols[position])
            position += 1
    return result


def merge_order(pair: tuple[int, int], count: int) -> tuple[int, int, int]:
    """Give the sort key of a pair: the pair whose key comes first is merged next.

    pair: the ids of the two symbols
    count: how often they stand side by side

    Returns a key that puts higher counts first and breaks ties by the smaller left id, then by
    the smaller right id, as tokenizers' `BpeTrainer` does.

    >>> min([(3, 1), (2, 9)], key=lambda pair: merge_order(pair, count=7))
    (2, 9)
    """
    return -count, pair[0], pair[1]


def apply_merges(symbols: Sequence[str], ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Merge the neighbours of lowest rank, leftmost first, until no two neighbours are known.

    symbols: the symbols of one word
    ranks: pair → rank; the pair learned first has rank 0

    Returns the tokens of the word. One merge at a time: each may bring a pair of lower rank.
    Equals tokenizers' `BPE` model. For long words see `apply_merges_by_heap`.

    >>> apply_merges(list("lower"), {("e", "r"): 0, ("l", "o"): 1, ("lo", "w"): 2})
    ['low', 'er']
    """
    tokens = list(symbols)
    found = [ranks.get(pair, math.inf) for pair in pairwise(tokens)]
    while found and (lowest := min(found)) < math.inf:
        left = found.index(lowest)
        merged = tokens[left] + tokens.pop(left + 1)
        tokens[left] = merged
        del found[left]
        if left > 0:  # only the pairs with the new token have a new rank
            found[left - 1] = ranks.get((tokens[left - 1], merged), math.inf)
        if left < len(found):
            found[left] = ranks.get((merged, tokens[left + 1]), math.inf)
    return tokens


def apply_merges_by_heap(
    symbols: Sequence[Any],
    ranks: Mapping[tuple[Any, Any], int],
    merged: Mapping[tuple[Any, Any], Any] | None = None,
    pass_over: Callable[[], bool] | None = None,
) -> list[Any]:
    """Do what `apply_merges` does in O(n log n), for words of thousands of symbols.

    symbols: the symbols of one word (strings or ids)
    ranks: pair → rank; pairs of one rank are merged from left to right
    merged: pair → what takes its place; left + right unless given
    pass_over: asked before each merge; True leaves it for later, until another one is done
        (BPE dropout, Provilkov et al. 2020). None = no merge is passed over

    Returns the tokens of the word.
    """
    tokens: list[Any] = list(symbols)
    end = len(tokens)
    after = list(range(1, end + 1))  # the next living position; `end` after the last
    before = list(range(-1, end - 1))
    heap = [(ranks[pair], left) for left, pair in enumerate(pairwise(tokens)) if pair in ranks]
    heapq.heapify(heap)
    passed: list[tuple[int, int]] = []
    while heap:
        rank, left = heapq.heappop(heap)
        if pass_over is not None:
            if pass_over():
                passed.append((rank, left))
                continue
            while passed:
                heapq.heappush(heap, passed.pop())
        right = after[left]
        if right == end or tokens[left] is None:
            continue
        pair = (tokens[left], tokens[right])
        if ranks.get(pair) != rank:  # an older entry: one of the two has been merged since
            continue
        tokens[left] = pair[0] + pair[1] if merged is None else merged[pair]
        tokens[right] = None  # a hole; `after` and `before` lead around it
        beyond = after[left] = after[right]
        if beyond != end:
            before[beyond] = left
            rank = ranks.get((tokens[left], tokens[beyond]), -1)
            if rank >= 0:
                heapq.heappush(heap, (rank, left))
        previous = before[left]
        if previous >= 0:
            rank = ranks.get((tokens[previous], tokens[left]), -1)
            if rank >= 0:
                heapq.heappush(heap, (rank, previous))
    return [token for token in tokens if token is not None]
