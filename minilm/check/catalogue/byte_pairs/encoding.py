"""The exercise apply_merges and its known mistakes."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.byte_pairs.pairs import (
    adjacent,
    merge_by_index,
    merge_first_only,
    merge_overlapping,
)
from minilm.check.catalogue.byte_pairs.training import training
from minilm.check.exercise import Exercise, Mistake

LESSON = "01_byte_pairs"


def reference_encode(symbols, ranks):
    from tokenizers.models import BPE

    merges = sorted(ranks, key=ranks.__getitem__)
    tokens = dict.fromkeys([*symbols, *itertools.chain(*merges), *map("".join, merges)])
    model = BPE({token: at for at, token in enumerate(tokens)}, merges)
    return [token.value for token in model.tokenize("".join(symbols))]


def merging(choose: Callable[[list, dict], int | None], rounds: float = math.inf) -> Callable:
    """Make an apply_merges that asks where to merge next, until the answer is None."""

    def apply_merges(symbols, ranks):
        tokens = list(symbols)
        done = 0
        while done < rounds:
            at = choose(tokens, ranks)
            if at is None:
                break
            tokens[at : at + 2] = [tokens[at] + tokens[at + 1]]
            done += 1
        return tokens

    return apply_merges


def best_by(key: Callable[..., Any]) -> Callable[[list, dict], int | None]:
    """Choose the known pair with the smallest key(rank, place, pair, tokens)."""

    def choose(tokens, ranks):
        known = [
            (key(ranks[pair], at, pair, tokens), at)
            for at, pair in enumerate(adjacent(tokens))
            if pair in ranks
        ]
        return min(known)[1] if known else None

    return choose


def encode_by_longest_token(symbols, ranks):
    tokens, text, found, at = {left + right for left, right in ranks}, "".join(symbols), [], 0
    while at < len(text):
        ends = (end for end in range(len(text), at, -1) if text[at:end] in tokens)
        end = next(ends, at + 1)
        found.append(text[at:end])
        at = end
    return found


def encode_without_rank_zero(symbols, ranks):
    return merging(best_by(lambda rank, at, pair, tokens: (rank, at)))(
        symbols, {pair: rank for pair, rank in ranks.items() if rank}
    )


def encode_from_first_ranks(symbols, ranks):
    """Decide by the pairs of single symbols and never look at pairs with a new token."""
    tokens = list(symbols)
    for pair in sorted(set(adjacent(tokens)) & set(ranks), key=ranks.__getitem__):
        tokens = merge_by_index(tokens, pair, "".join(pair))
    return tokens


def encode_down_to_two(symbols, ranks):
    tokens = list(symbols)
    choose = best_by(lambda rank, at, pair, tokens: (rank, at))
    while len(tokens) > 2 and (at := choose(tokens, ranks)) is not None:
        tokens[at : at + 2] = [tokens[at] + tokens[at + 1]]
    return tokens


def encode_each_once(symbols, ranks):
    tokens = list(symbols)
    for pair in sorted(ranks, key=ranks.__getitem__):
        tokens = merge_first_only(tokens, pair, "".join(pair))
    return tokens


def encode_overlapping(symbols, ranks):
    tokens = list(symbols)
    for pair in sorted(ranks, key=ranks.__getitem__):
        tokens = merge_overlapping(tokens, pair, "".join(pair))
    return tokens


def encode_by_list_order(symbols, ranks):
    tokens = list(symbols)
    for pair in ranks:
        tokens = merge_by_index(tokens, pair, "".join(pair))
    return tokens


def encode_known_only(symbols, ranks):
    known = {symbol for pair in ranks for symbol in pair}
    return encode_by_rounds([symbol for symbol in symbols if symbol in known], ranks)


def encode_by_rounds(symbols, ranks):
    """GPT-2's own way: merge the best pair at all its places, then look again."""
    word = tuple(symbols)
    while pairs := set(adjacent(word)) & ranks.keys():
        best = min(pairs, key=ranks.get)
        word = tuple(merge_by_index(word, best, best[0] + best[1]))
    return list(word)


def encode_in_training_order(symbols, ranks):
    for pair, _ in sorted(ranks.items(), key=lambda item: item[1]):
        symbols = merge_by_index(symbols, pair, "".join(pair))
    return list(symbols)


def encode_by_recursion(symbols, ranks):
    known = [(ranks[pair], at) for at, pair in enumerate(adjacent(symbols)) if pair in ranks]
    if not known:
        return [*symbols]
    _, at = min(known)
    joined = [*symbols[:at], symbols[at] + symbols[at + 1], *symbols[at + 2 :]]
    return encode_by_recursion(joined, ranks)


def encode_by_one_pass(symbols, ranks):
    """Read from left to right and let a token grow as long as it can."""
    tokens: list = []
    for symbol in symbols:
        if tokens and (tokens[-1], symbol) in ranks:
            tokens[-1] += symbol
        else:
            tokens.append(symbol)
    return tokens


def ranked(*pairs: str) -> dict[tuple[str, str], int]:
    """Read "a b" "ab c" as the ranks 0, 1."""
    return {tuple(pair.split()): rank for rank, pair in enumerate(pairs)}  # type: ignore[misc]


def draw_words_with_ranks(draw: random.Random) -> list[dict]:
    small: list[tuple] = [
        ("", {}),
        ("a", {}),
        ("ab", {}),
        ("", ranked("a b")),
        ("a", ranked("a b")),
        ("ab", ranked("a b")),
        ("ba", ranked("a b")),
        ("abc", ranked("b c", "a b")),
        ("abc", ranked("a b", "b c")),
        ("abc", ranked("a b", "ab c")),
        ("abc", ranked("a b", "b c", "a bc")),
        ("abx", ranked("a b")),
        ("aaa", ranked("a a")),
        ("aaaa", ranked("a a")),
        ("aaaaa", ranked("a a", "aa a")),
        ("abab", ranked("a b")),
        ("abab", ranked("b a", "a b")),
        ("abcd", ranked("b c", "c d", "a b", "ab cd")),
        ("abcd", ranked("a b", "ab c", "c d")),
        ("abc", dict(reversed(ranked("b c", "a b").items()))),
        ("aabcbc", ranked("a b", "b c", "a a")),
        ("lower", {("e", "r"): 3, ("l", "o"): 8, ("lo", "w"): 21}),
    ]
    for at in range(30):
        letters = ["ab", "abc", "an\u0120b"][at % 3]
        corpus = {
            "".join(draw.choices(letters, k=2 + at % 7)): draw.randint(1, 9) for _ in range(6)
        }
        _, merges = training()(corpus, vocab_size=4 + at % 11)
        word = "".join(draw.choices(letters + "x" * (at % 5 == 0), k=draw.randint(2, 12)))
        shuffled = draw.sample(list(enumerate(merges)), k=len(merges))
        small.append((word, {pair: rank for rank, pair in shuffled}))
    return [{"symbols": list(word), "ranks": ranks} for word, ranks in small]


APPLY_MERGES = Exercise(
    answer="minilm.tokenization.bpe:apply_merges",
    lesson=LESSON,
    cases=draw_words_with_ranks,
    reference=reference_encode,
    reference_name="tokenizers' BPE model",
    mistakes=[
        Mistake(
            "takes the leftmost known pair",
            merging(best_by(lambda rank, at, pair, tokens: at)),
            "The first pair that is known is merged, whatever its rank. The pair learned first "
            "goes first, wherever it stands.",
        ),
        Mistake(
            "takes the longest token",
            encode_by_longest_token,
            "From the left you cut off the longest token there is. WordPiece does so. BPE repeats "
            "the merges in the order they were learned, and may never reach that token.",
        ),
        Mistake(
            "takes the longest pair",
            merging(best_by(lambda rank, at, pair, tokens: (-len("".join(pair)), rank, at))),
            "Of the known pairs you merge the one that gives the longest token. The rank decides.",
        ),
        Mistake(
            "takes the highest rank",
            merging(best_by(lambda rank, at, pair, tokens: (-rank, at))),
            "The pair learned last is merged first. Rank 0 was learned first and goes first.",
        ),
        Mistake(
            "takes the most frequent pair",
            merging(
                best_by(lambda rank, at, pair, tokens: (-adjacent(tokens).count(pair), rank, at))
            ),
            "The pair that stands most often in this word is merged first. Frequency ruled in "
            "training; encoding follows the ranks.",
        ),
        Mistake(
            "starts from the right",
            merging(best_by(lambda rank, at, pair, tokens: (rank, -at))),
            "Where a pair stands twice you merge the right one first, and aaa comes out as a, aa. "
            "Leftmost first.",
        ),
        Mistake(
            "stops after one merge",
            merging(best_by(lambda rank, at, pair, tokens: (rank, at)), rounds=1),
            "One merge is made, and the word is given back. Look again until no pair is known.",
        ),
        Mistake(
            "takes rank 0 for none",
            encode_without_rank_zero,
            "The very first merge is never made. `if rank:` and `rank or inf` are false for 0: ask "
            "whether the pair is in the table.",
        ),
        Mistake(
            "looks at the first pairs only",
            encode_from_first_ranks,
            "You list the pairs once, at the beginning. Each merge brings new neighbours: list "
            "them again.",
        ),
        Mistake(
            "stops at two tokens",
            encode_down_to_two,
            "The loop ends as soon as two tokens are left, and these may be a pair that is known. "
            "A word of two symbols is never merged at all.",
        ),
        Mistake(
            "merges each pair once",
            encode_each_once,
            "Each merge is made at one place only. A pair that stands twice is merged twice.",
        ),
        Mistake(
            "uses a symbol twice",
            encode_overlapping,
            "All places of a pair are merged at once, also where they share a symbol: aaa grows "
            "to aaaa.",
        ),
        Mistake(
            "goes by the order of the table",
            encode_by_list_order,
            "You merge in the order in which the pairs stand in the dictionary. Their ranks are "
            "its values.",
        ),
        Mistake(
            "goes over the word once",
            encode_by_one_pass,
            "You go over the word once and let the last token grow. A merge further right may have "
            "a lower rank and take the letter away.",
        ),
        Mistake(
            "drops symbols without a merge",
            encode_known_only,
            "A symbol that is part of no merge is lost. It is a token of its own.",
        ),
    ],
    accepts=[
        encode_by_rounds,
        encode_in_training_order,
        encode_by_recursion,
        merging(best_by(lambda rank, at, pair, tokens: rank)),
    ],
)
