"""Training a Unigram vocabulary: many pieces at first, then the least useful ones go (Kudo 2018).

Seed: every substring that occurs more than once. Then, in turns: estimate how often each piece is
used when all ways to cut a word count by their probability (EM, forward-backward), and drop the
pieces whose loss costs the likelihood least.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tqdm import tqdm

from minilm.errors import InvalidInput
from minilm.tokenization import unigram

# The seed holds at most this many pieces.
_SEED_SIZE = 1_000_000
# A piece expected less often than this is dropped at once.
_FEWEST = 0.5
# How much worse an unknown character is than the worst piece; as in the model.
_UNK_PENALTY = 10.0

Scores = dict[str, float]


def train_unigram(
    word_counts: Mapping[str, int],
    vocab_size: int,
    special_tokens: Sequence[str] = (),
    unk_token: str | None = "<unk>",
    shrinking_factor: float = 0.75,
    max_piece_length: int = 16,
    n_sub_iterations: int = 2,
    initial_alphabet: Iterable[str] = (),
    show_progress: bool = False,
) -> tuple[list[tuple[str, float]], int | None]:
    """Learn pieces and their log-probabilities by EM and pruning (Kudo 2018).

    word_counts: word → how often it occurs; no piece crosses a word
    vocab_size: how many pieces to end with, the special ones counted
    special_tokens: pieces that come first, with score 0
    unk_token: the unknown piece; put in front when it is no special token; None = none
    shrinking_factor: how much of the vocabulary one round of pruning leaves
    max_piece_length: no piece longer than this, in characters
    n_sub_iterations: rounds of EM between two prunings
    initial_alphabet: characters that become pieces though no word may hold them
    show_progress: show a bar

    Returns the pieces with their scores, the best first behind the special ones, and the position
    of the unknown piece. Every character of the words is a piece.
    Raises InvalidInput when the vocabulary is too small for that.
    The algorithm of tokenizers' `UnigramTrainer`. Its EM gives the same scores; which pieces are
    pruned differs in some of a hundred, with a likelihood as good.
    """
    # Sorted, because sums of floats depend on their order, and a choice among equals on the sums.
    words = {word: count for word, count in sorted(word_counts.items()) if word and count > 0}
    specials = list(dict.fromkeys(special_tokens))
    if unk_token is not None and unk_token not in specials:
        specials.insert(0, unk_token)
    characters = sorted(set(initial_alphabet).union(*words))
    room = vocab_size - len(specials)
    if len(characters) > room:
        raise InvalidInput(
            f"vocab_size is {vocab_size}, and the text needs {len(characters)} characters and "
            f"{len(specials)} special tokens. Give at least {len(characters) + len(specials)}."
        )
    scores = seed_pieces(words, max_piece_length)
    # Some more than asked for, so that the last choice has a choice. The unknown piece counts.
    enough = vocab_size * 11 // 10 - 1
    with tqdm(desc="pieces", total=len(scores), disable=not show_progress) as bar:
        while True:
            for _ in range(n_sub_iterations):
                scores = _most_likely(expected_counts(words, scores))
            bar.update(bar.total - len(scores) - bar.n)
            if len(scores) <= enough:
                break
            pruned = _pruned(
                words, scores, max(enough, int((len(scores) + 1) * shrinking_factor) - 1)
            )
            if len(pruned) == len(scores):
                break
            scores = pruned
    pieces = _with_characters(scores, characters, room, set(specials))
    unk_id = None if unk_token is None else specials.index(unk_token)
    return [*((special, 0.0) for special in specials), *pieces], unk_id


def seed_pieces(words: Mapping[str, int], max_piece_length: int) -> Scores:
    """Return the pieces to start from, with the logarithms of their share.

    words: word → how often it occurs
    max_piece_length: in characters

    All characters, each weighing what it occurs; and the substrings found more than once among
    the different words, each weighing its occurrences times its length. Of substrings that are
    always followed by the same character only the longest counts.
    """
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    by_count = sorted(characters, key=lambda character: (characters[character], character))
    weights: dict[str, float] = {character: characters[character] for character in by_count[::-1]}
    repeated = [(n * len(piece), piece) for piece, n in _repeated(words, max_piece_length)]
    repeated.sort(reverse=True)
    weights |= {piece: weight for weight, piece in repeated[: _SEED_SIZE - len(weights)]}
    whole = math.log(sum(weights.values())) if weights else 0.0
    return {piece: math.log(weight) - whole for piece, weight in weights.items()}


def _repeated(words: Mapping[str, int], longest: int) -> Iterator[tuple[str, int]]:
    """Find the substrings of two characters and more that branch: equal here, different after.

    Sorted, all endings of all words that begin alike stand together. A substring is a stretch of
    neighbours that share it; a stack holds the stretches that are still open.
    """
    end = "\0"
    endings = sorted(
        (word + end)[start : start + longest + 1] for word in words for start in range(len(word))
    )
    open_stretches: list[tuple[int, int]] = []  # (length they share, where the stretch began)
    previous = ""
    for place, ending in enumerate([*endings, ""]):
        shared = 0
        for one, other in zip(previous, ending, strict=False):
            if one != other:
                break
            shared += 1
        began = place - 1
        while open_stretches and open_stretches[-1][0] > shared:
            length, began = open_stretches.pop()
            piece = previous[:length]
            if 2 <= length <= longest and end not in piece:
                yield piece, place - began
        if shared and (not open_stretches or open_stretches[-1][0] < shared):
            open_stretches.append((shared, began))
        previous = ending


def expected_counts(words: Mapping[str, int], scores: Scores) -> Scores:
    """Return how often each piece is used when every way to cut a word counts by its probability.

    words: word → how often it occurs
    scores: piece → log-probability

    The E step, by forward-backward over the lattice of each word.
    """
    expected = dict.fromkeys(scores, 0.0)
    for word, edges in _lattices(words, scores):
        size, count = len(word), words[word]
        ahead = [-math.inf] * size + [0.0]  # ahead[i]: all ways to cut what follows position i
        for start, ways in zip(range(size - 1, -1, -1), reversed(edges), strict=True):
            ahead[start] = _log_sum([score + ahead[end] for end, score in ways])
        behind = [0.0] + [-math.inf] * size  # behind[i]: all ways to cut the first i characters
        reached: list[list[float]] = [[] for _ in range(size + 1)]
        for start, ways in enumerate(edges):
            if start:
                behind[start] = _log_sum(reached[start])
            for end, score in ways:
                reached[end].append(behind[start] + score)
                share = behind[start] + score + ahead[end] - ahead[0]
                piece = word[start:end]
                if piece in expected:  # otherwise an unknown character
                    expected[piece] += count * math.exp(share)
    return expected


def log_likelihood(word_counts: Mapping[str, int], scores: Scores) -> float:
    """Return the log-probability of all words, every way to cut them counted.

    word_counts: word → how often it occurs
    scores: piece → log-probability
    """
    total = 0.0
    for word, edges in _lattices(word_counts, scores):
        ahead = [-math.inf] * len(word) + [0.0]
        for start, ways in zip(range(len(word) - 1, -1, -1), reversed(edges), strict=True):
            ahead[start] = _log_sum([score + ahead[end] for end, score in ways])
        total += word_counts[word] * ahead[0]
    return total


def _lattices(
    words: Mapping[str, int], scores: Scores
) -> Iterator[tuple[str, list[list[tuple[int, float]]]]]:
    """For each word: from every position, the (end, score) of the pieces that begin there."""
    longest = max(map(len, scores), default=1)
    unk_score = min(scores.values(), default=0.0) - _UNK_PENALTY
    for word in words:
        size = len(word)
        edges = []
        for start in range(size):
            ways = []
            for end in range(start + 1, min(size, start + longest) + 1):
                score = scores.get(word[start:end])
                if score is not None:
                    ways.append((end, score))
            if word[start] not in scores:
                ways.append((start + 1, unk_score))
            edges.append(ways)
        yield word, edges


def _log_sum(values: list[float]) -> float:
    """Return log(sum(exp(values))) without leaving the range of floats."""
    highest = max(values, default=-math.inf)
    if len(values) < 2 or highest == -math.inf:
        return highest
    return highest + math.log(sum([math.exp(value - highest) for value in values]))


def _most_likely(expected: Scores) -> Scores:
    """Return the log-probabilities that the expected counts ask for: the M step.

    The digamma function instead of the logarithm makes rare pieces rarer (a sparse prior, Liang
    and Klein 2007).
    """
    kept = {piece: count for piece, count in expected.items() if count >= _FEWEST}
    if not kept:
        return {}
    whole = _digamma(sum(kept.values()))
    return {piece: _digamma(count) - whole for piece, count in kept.items()}


def _digamma(x: float) -> float:
    """Return the derivative of log(gamma(x)), for x > 0, by its asymptotic series."""
    shift = 0.0
    while x < 7:
        shift -= 1 / x
        x += 1
    x -= 0.5
    square = 1 / (x * x)
    series = (1 / 24 - (7 / 960 - (31 / 8064 - 127 / 30720 * square) * square) * square) * square
    return shift + math.log(x) + series


def _pruned(words: Mapping[str, int], scores: Scores, size: int) -> Scores:
    """Keep the pieces whose loss would cost the likelihood most.

    Without a piece the text that it covers would be cut in the second best way. What that costs
    is estimated as if each use of the piece became a use of those other pieces.
    """
    longest = max(map(len, scores))
    unk_score = min(scores.values()) - _UNK_PENALTY
    uses: Counter[str] = Counter()
    words_with: Counter[str] = Counter()
    for word, count in words.items():
        path = unigram.walk_back(word, unigram.best_path(word, scores, unk_score, longest))
        for piece in path:
            uses[piece] += count
            words_with[piece] += count
    all_uses, all_words = sum(uses.values()), sum(words.values())
    kept: Scores = {}
    losses: list[tuple[float, str]] = []
    for piece, score in scores.items():
        others: list[str] = []
        if len(piece) > 1:  # the best way to cut it into two and more
            others = unigram.walk_back(
                piece, unigram.best_path(piece, scores, unk_score, len(piece) - 1)
            )
        if others and sum(scores.get(other, unk_score) for other in others) > score:
            # Not even the best way to cut itself: useless, unless a rounding made it used.
            if uses[piece]:
                kept[piece] = score
        elif not others:
            kept[piece] = score
        elif uses[piece]:
            after = math.log(all_uses + uses[piece] * (len(others) - 1))
            before = math.log(uses[piece]) - math.log(all_uses)
            instead = sum(math.log(uses[other] + uses[piece]) - after for other in others)
            losses.append((words_with[piece] / all_words * (before - instead), piece))
    losses.sort(key=lambda item: -item[0])
    for _, piece in losses[: max(0, size - len(kept))]:
        kept[piece] = scores[piece]
    return kept


def _with_characters(
    scores: Scores, characters: list[str], room: int, taken: set[str]
) -> list[tuple[str, float]]:
    """Return all characters and the first other pieces, as many as there is room for."""
    worst = min(scores.values(), default=0.0)
    missing = [character for character in characters if character not in scores]
    chosen = {character: scores[character] for character in characters if character in scores}
    # Apart from each other by a hair, so that their order is fixed.
    chosen |= {character: worst + 0.0001 * i for i, character in enumerate(missing)}
    for piece, score in scores.items():
        if len(chosen) >= room:
            break
        if piece not in taken:
            chosen.setdefault(piece, score)
    return sorted(chosen.items(), key=lambda item: (-item[1], item[0]))
