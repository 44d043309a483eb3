"""Training BPE: the fast form of "count all pairs, merge the best one, count again".

Counting everything anew after each merge costs the whole text each time. `PairIndex` keeps the
counts instead and corrects only what a merge touches.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from tqdm import tqdm

from minilm.tokenization import bpe

_WORD_END = -1  # stands between two words, so that no pair crosses them
_HOLE = -2  # where the right half of a merged pair was


class PairIndex:
    """The pairs of all words: how often each occurs, where, and which one is next.

    All words lie in one flat list of ids. A merge visits the places of its pair and nothing else,
    so a word of a million letters costs no more than a million letters in short words.

    word_counts: (symbols of a word, how often the word occurs); a plain string is a word whose
        symbols are its characters
    vocab: symbol → id, for every symbol in the words; ids count from 0 without a gap
    may_join: says whether a pair that a merge brings about may be merged in turn; None = any may
    """

    def __init__(
        self,
        word_counts: Iterable[tuple[Sequence[str], int]],
        vocab: Mapping[str, int],
        may_join: Callable[[str, str], bool] | None = None,
    ) -> None:
        self._names = list(vocab)
        self._ids = dict(vocab)
        self._may_join = may_join
        words: Counter[tuple[int, ...]] = Counter()
        for symbols, count in word_counts:
            if count > 0:
                words[tuple([vocab[symbol] for symbol in symbols])] += count
        self._counts: dict[tuple[int, int], int] = defaultdict(int, bpe.count_pairs(words))
        self._places: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._tokens = [_WORD_END]
        self._weights = [0]
        for ids, count in words.items():
            for place, pair in enumerate(pairwise(ids), len(self._tokens)):
                self._places[pair].append(place)
            self._tokens += [*ids, _WORD_END]
            self._weights += [count] * (len(ids) + 1)
        # The nearest living neighbours: merging leaves holes, and these lead around them.
        self._after = list(range(1, len(self._tokens) + 1))
        self._before = list(range(-1, len(self._tokens) - 1))
        self._heap = [(bpe.merge_order(pair, n), pair, n) for pair, n in self._counts.items()]
        heapq.heapify(self._heap)

    def best(self, min_frequency: int = 0) -> tuple[str, str] | None:
        """Return the pair to merge next, or None when no pair occurs often enough."""
        while self._heap:
            _, pair, filed_count = self._heap[0]
            count = self._counts.get(pair, 0)
            if count == filed_count:
                enough = count >= min_frequency
                return (self._names[pair[0]], self._names[pair[1]]) if enough else None
            # The count has changed since this entry was made: file it where it belongs now.
            heapq.heappop(self._heap)
            if 0 < count < filed_count:
                heapq.heappush(self._heap, (bpe.merge_order(pair, count), pair, count))
        return None

    def merge(self, pair: tuple[str, str], merged: str) -> None:
        """Replace the pair by one token in all words, and correct the counts of its neighbours.

        pair: the two symbols
        merged: the token that takes their place; a new one gets the next free id
        """
        left_id, right_id = self._ids[pair[0]], self._ids[pair[1]]
        merged_id = self._ids.setdefault(merged, len(self._names))
        if merged_id == len(self._names):
            self._names.append(merged)
        tokens, counts, after, before = self._tokens, self._counts, self._after, self._before
        brought: dict[tuple[int, int], list[int]] = {}
        # From left to right, so that the first two of "aaa" become one and not the last two.
        for left in sorted(self._places.pop((left_id, right_id), ())):
            right = after[left]
            if tokens[left] != left_id or tokens[right] != right_id:
                continue  # one of the two has become part of another token
            previous, following = before[left], after[right]
            tokens[left], tokens[right] = merged_id, _HOLE
            after[left], before[following] = following, left
            if tokens[previous] != _WORD_END:
                counts[tokens[previous], left_id] -= self._weights[left]
                brought.setdefault((tokens[previous], merged_id), []).append(previous)
            if tokens[following] != _WORD_END:
                counts[right_id, tokens[following]] -= self._weights[left]
                brought.setdefault((merged_id, tokens[following]), []).append(left)
        counts.pop((left_id, right_id), None)
        for new_pair, places in brought.items():
            self._bring(new_pair, places)

    def _bring(self, pair: tuple[int, int], places: list[int]) -> None:
        """Note the places at which a merge brought a pair about."""
        if self._may_join and not self._may_join(self._names[pair[0]], self._names[pair[1]]):
            return
        self._counts[pair] += sum([self._weights[place] for place in places])
        self._places[pair] += places
        count = self._counts[pair]
        if count > 0:  # it can be gone again already: in "aaaa" the first "aa a" ends as "aa aa"
            heapq.heappush(self._heap, (bpe.merge_order(pair, count), pair, count))


def train_bpe(
    word_counts: Mapping[str, int],
    vocab_size: int,
    initial_alphabet: Iterable[str] = (),
    special_tokens: Iterable[str] = (),
    min_frequency: int = 0,
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Merge the most frequent pair, again and again, as `BpeTrainer` does (Sennrich et al. 2016).

    word_counts: word → how often it occurs; no merge crosses a word
    vocab_size: stop at this many tokens    min_frequency: stop at the first pair that is rarer
    initial_alphabet: characters that get a token though no word may hold them

    Returns token → id (special tokens as given, the sorted alphabet, then what was merged) and
    the merges in the order they were learned. Ties go by `merge_order` of the two ids.
    """
    alphabet = sorted(set(initial_alphabet).union(*word_counts))
    vocab = {token: i for i, token in enumerate(dict.fromkeys([*special_tokens, *alphabet]))}
    merges: list[tuple[str, str]] = []
    index = PairIndex(word_counts.items(), vocab)
    while len(vocab) < vocab_size and (pair := index.best(min_frequency)):
        merges.append(pair)
        vocab.setdefault("".join(pair), len(vocab))
        index.merge(pair, "".join(pair))
    return vocab, merges


def train_bpe_with_marks(
    word_counts: Mapping[str, int],
    vocab_size: int,
    initial_alphabet: Iterable[str] = (),
    special_tokens: Iterable[str] = (),
    min_frequency: int = 0,
    show_progress: bool = False,
    limit_alphabet: int | None = None,
    continuing_subword_prefix: str | None = None,
    end_of_word_suffix: str | None = None,
    max_token_length: int | None = None,
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Train BPE with everything that tokenizers' `BpeTrainer` can be told.

    word_counts, vocab_size, initial_alphabet, special_tokens, min_frequency: as for `train_bpe`
    show_progress: show a bar
    limit_alphabet: keep only this many characters, the most frequent; the others are skipped
    continuing_subword_prefix: goes before every symbol but the first of a word ("##")
    end_of_word_suffix: goes after the last symbol of a word ("</w>")
    max_token_length: no token longer than this, in characters without prefix and suffix

    Returns the vocabulary and the merges.
    Equals tokenizers' `BpeTrainer` except in the ids of the marked characters: it numbers them in
    the order of a hash table, so that ties, and with them its merges, vary from run to run. Here
    they are numbered in sorted order.
    """
    prefix, suffix = continuing_subword_prefix or "", end_of_word_suffix or ""
    alphabet = _most_frequent(word_counts, initial_alphabet, limit_alphabet)
    vocab = {token: i for i, token in enumerate(dict.fromkeys([*special_tokens, *alphabet]))}
    words = [(_mark(word, set(vocab), prefix, suffix), n) for word, n in word_counts.items()]
    for symbol in sorted({symbol for symbols, _ in words for symbol in symbols}):
        vocab.setdefault(symbol, len(vocab))

    lengths = dict.fromkeys(vocab, 1)  # in characters, marks not counted

    def may_join(left: str, right: str) -> bool:
        # "Shorter than", and never asked about two single characters: so the reference does it.
        return max_token_length is None or lengths[left] + lengths[right] < max_token_length

    merges: list[tuple[str, str]] = []
    index = PairIndex(words, vocab, may_join)
    with tqdm(total=vocab_size, initial=len(vocab), disable=not show_progress) as bar:
        while len(vocab) < vocab_size and (pair := index.best(min_frequency)):
            merged = pair[0] + pair[1].removeprefix(prefix)
            merges.append(pair)
            lengths[merged] = lengths[pair[0]] + lengths[pair[1]]
            vocab.setdefault(merged, len(vocab))
            index.merge(pair, merged)
            bar.update(len(vocab) - bar.n)
    return vocab, merges


def _most_frequent(
    word_counts: Mapping[str, int], initial_alphabet: Iterable[str], limit: int | None
) -> list[str]:
    """Return the sorted alphabet, cut to the most frequent characters where a limit is given."""
    counts: dict[str, float] = defaultdict(int)
    for word, count in word_counts.items():
        for character in word:
            counts[character] += count
    counts.update(dict.fromkeys(initial_alphabet, float("inf")))
    kept = sorted(counts, key=lambda character: (-counts[character], character))[:limit]
    return sorted(kept)


def _mark(word: str, known: set[str], prefix: str, suffix: str) -> list[str]:
    """Write prefix and suffix to the characters of a word; skip characters that are not known."""
    last = len(word) - 1
    return [
        prefix * (i > 0) + character + suffix * (i == last)
        for i, character in enumerate(word)
        if character in known
    ]
