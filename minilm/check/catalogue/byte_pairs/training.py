"""The exercises merge_order and train_bpe, and their known mistakes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.byte_pairs.pairs import (
    adjacent,
    apart,
    count_adjacent,
    counting,
    merge_by_index,
    merge_by_looking_back,
    merge_first_only,
    merge_from_the_right,
)
from minilm.check.exercise import Exercise, Mistake

LESSON = "01_byte_pairs"


def reference_training(
    word_counts, vocab_size, initial_alphabet=(), special_tokens=(), min_frequency=0
):
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    border = "\ue000"  # no case uses it as a letter
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(border, "removed")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=list(initial_alphabet),
        special_tokens=list(special_tokens),
        min_frequency=min_frequency,
        show_progress=False,
    )
    texts = (border.join([word] * count) for word, count in word_counts.items())
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def reference_order(counts):
    """Train on words of two letters: none shares a pair, so pairs merge in their order."""
    letters = {at: chr(0x4E00 + at) for pair in counts for at in pair}
    words = {letters[left] + letters[right]: count for (left, right), count in counts.items()}
    _, merges = reference_training(words, vocab_size=len(letters) + len(words))
    return [(ord(left) - 0x4E00, ord(right) - 0x4E00) for left, right in merges]


def sorted_by(function, counts):
    """Sort pairs with the reader's key; the pairs come in the order they were first seen."""
    keys = {pair: function(pair, count) for pair, count in counts.items()}
    if any(key is None for key in keys.values()):
        return None  # it printed its key, say, or has no `return` yet
    return sorted(counts, key=keys.__getitem__)


def draw_counts(draw: random.Random) -> list[dict]:
    small: list[dict] = [
        {(1, 2): 3, (3, 4): 5},
        {(3, 4): 5, (1, 2): 5},
        {(1, 2): 5, (3, 4): 5},
        {(2, 3): 4, (2, 1): 4},
        {(2, 9): 4, (9, 1): 4},
        {(9, 1): 4, (10, 2): 4},
        {(1, 9): 4, (2, 3): 4},
        {(3, 3): 9, (1, 5): 9, (2, 2): 10},
        {(7, 2): 5, (2, 7): 5},
        {(2, 7): 5, (3, 1): 5, (3, 0): 5},
        {(0, 1): 9, (1, 0): 10, (1, 1): 11},
        # Real vocabularies are large: one number made of all three must keep them apart.
        {(2, 3): 3, (1, 20_000): 3},
        {(1, 2): 3, (20_000, 4): 4},
        {(3, 9): 20_000, (3, 8): 20_000, (3, 7): 20_000, (3, 6): 20_000},
    ]
    for size in range(3, 23):
        pairs = {(draw.randrange(12), draw.randrange(120)): 0 for _ in range(size)}
        small.append({pair: draw.randint(1, 3) for pair in pairs})
    return [{"counts": counts} for counts in small]


MERGE_ORDER = Exercise(
    answer="minilm.tokenization.bpe:merge_order",
    lesson=LESSON,
    cases=draw_counts,
    reference=reference_order,
    reference_name="the order of tokenizers' BpeTrainer",
    use=sorted_by,
    mistakes=[
        Mistake(
            "merges the rarest first",
            lambda pair, count: (count, *pair),
            "Sorting puts small keys first, so the rarest pair comes first. Negate the count.",
        ),
        Mistake(
            "leaves ties to chance",
            lambda pair, count: -count,
            "Pairs with the same count stay in the order in which they were first seen. The "
            "vocabulary then depends on the order of the words.",
        ),
        Mistake(
            "prefers larger ids",
            lambda pair, count: (-count, -pair[0], -pair[1]),
            "Among pairs with the same count the larger ids come first, as with "
            "max((count, pair)). tokenizers takes the smaller.",
        ),
        Mistake(
            "prefers larger left ids",
            lambda pair, count: (-count, -pair[0], pair[1]),
            "You negate the left id. Only the count is to be turned round.",
        ),
        Mistake(
            "looks at the right id first",
            lambda pair, count: (-count, pair[1], pair[0]),
            "Ties are broken by the right id, then by the left. It is left first.",
        ),
        Mistake(
            "looks at the left id only",
            lambda pair, count: (-count, pair[0]),
            "Pairs with the same count and the same left id stay in the order in which they were "
            "first seen. Add the right id.",
        ),
        Mistake(
            "puts ids before counts",
            lambda pair, count: (*pair, -count),
            "The ids decide, and the count never gets a say: no two pairs have the same ids.",
        ),
        Mistake(
            "compares ids as text",
            lambda pair, count: (-count, str(pair)),
            "As text, '(10, 2)' comes before '(9, 1)'. Compare numbers.",
        ),
        Mistake(
            "looks at the larger id first",
            lambda pair, count: (-count, max(pair), min(pair)),
            "The larger id of the two decides, whichever side it stands on. The left one does.",
        ),
        Mistake(
            "leaves too little room for ids",
            lambda pair, count: (-count, 1000 * pair[0] + pair[1]),
            "You make one number of several, and a large id spills over into its neighbour's "
            "place. Vocabularies have 50,000 tokens and more: return a tuple.",
        ),
        Mistake(
            "makes fractions of the ids",
            lambda pair, count: -count + pair[0] / 1e6 + pair[1] / 1e12,
            "You make one float of three numbers. A float keeps about 16 digits, and with a large "
            "count the last id is beyond them: return a tuple.",
        ),
        Mistake(
            "adds the ids",
            lambda pair, count: (-count, sum(pair)),
            "The sum of the ids decides, and different pairs have the same sum. Compare the left "
            "ids, then the right.",
        ),
        Mistake(
            "forgets which comes first",
            lambda pair, count: (-count, *sorted(pair)),
            "The smaller id of the two decides, whichever side it stands on. The left one does.",
        ),
    ],
    accepts=[
        lambda pair, count: (-count, pair),
        lambda pair, count: [-count, *pair],
        lambda pair, count: pair[1] + 10**6 * pair[0] - 10**12 * count,
        lambda pair, count: (1 / count, pair[0], pair[1]),
    ],
)


def smallest_ids(pair, count, vocab):
    return -count, vocab[pair[0]], vocab[pair[1]]


def training(
    key: Callable[..., Any] = smallest_ids,
    letters: Callable[..., Any] = lambda words, given: sorted({*given, *"".join(words)}),
    ids: str = "special first",
    enough: Callable[..., bool] = lambda vocab, merges, size, special: len(vocab) >= size,
    wanted: Callable[[int, int], bool] = lambda count, least: count >= least,
    count: Callable[[dict], dict] = count_adjacent,
    merge: Callable[..., list] = merge_by_index,
    split: Callable[[dict], dict] = lambda counts: {tuple(w): n for w, n in counts.items()},
    recounts: bool = True,
    renames: bool = False,
) -> Callable[..., tuple]:
    """Make a train_bpe that recounts all words after each merge, with one part changed.

    ids: "special first", "special last" or "no special"
    """

    def train_bpe(
        word_counts,
        vocab_size,
        initial_alphabet=(),
        special_tokens=(),
        min_frequency=0,
    ):
        special = [] if ids == "no special" else list(special_tokens)
        first = [*letters(word_counts, initial_alphabet)]
        tokens = [*first, *special] if ids == "special last" else [*special, *first]
        vocab = {token: at for at, token in enumerate(dict.fromkeys(tokens))}
        words, merges = split(word_counts), []
        counts = count(words)
        while not enough(vocab, merges, vocab_size, special) and counts:
            pair = min(counts, key=lambda pair: key(pair, counts[pair], vocab))
            if not wanted(counts[pair], min_frequency):
                break
            token = pair[0] + pair[1]
            vocab[token] = len(vocab) if renames else vocab.get(token, len(vocab))
            merges.append(pair)
            merged: Counter = Counter()
            for word, n in words.items():
                merged[tuple(merge(word, pair, token))] += n
            words = dict(merged)
            counts = count(words) if recounts else {p: n for p, n in counts.items() if p != pair}
        return vocab, merges

    return train_bpe


def first_seen(pair, count, vocab):
    return -count


def cut_across_words(word_counts):
    """Write all words one after another, as if there were no pre-tokenizer."""
    return {tuple("".join(word * count for word, count in word_counts.items())): 1}


def train_on_lists(
    word_counts,
    vocab_size,
    initial_alphabet=(),
    special_tokens=(),
    min_frequency=0,
):
    """The same with lists of symbols, a Counter, and a search by sorting."""
    tokens = list(dict.fromkeys(special_tokens))
    tokens += sorted(({c for w in word_counts for c in w} | set(initial_alphabet)) - set(tokens))
    words = [[*w] for w in word_counts]
    weights = list(word_counts.values())
    merges = []
    while len(tokens) < vocab_size:
        found: Counter = Counter()
        for word, weight in zip(words, weights, strict=True):
            for at in range(1, len(word)):
                found[word[at - 1], word[at]] += weight
        ranking = sorted(found.items(), key=lambda item: (-item[1], *map(tokens.index, item[0])))
        if not ranking or ranking[0][1] < min_frequency:
            break
        (left, right), _ = ranking[0]
        merges.append((left, right))
        if left + right not in tokens:
            tokens.append(left + right)
        words = [merge_by_looking_back(word, (left, right), left + right) for word in words]
    return {token: at for at, token in enumerate(tokens)}, merges


def train_on_ids(
    word_counts,
    vocab_size,
    initial_alphabet=(),
    special_tokens=(),
    min_frequency=0,
):
    """The same on ids, with the parts that minilm has."""
    from minilm.tokenization import bpe

    vocab: dict = {}
    for token in [*special_tokens, *sorted({*initial_alphabet, *"".join(word_counts)})]:
        vocab.setdefault(token, len(vocab))
    names = dict(enumerate(vocab))
    corpus: Counter = Counter()
    for word, count in word_counts.items():
        corpus[tuple(vocab[letter] for letter in word)] += count
    merges = []
    while len(vocab) < vocab_size and (counts := bpe.count_pairs(corpus)):
        keys = {pair: bpe.merge_order(pair, count) for pair, count in counts.items()}
        best = min(keys, key=keys.__getitem__)
        if counts[best] < min_frequency:
            break
        merges.append((names[best[0]], names[best[1]]))
        new = vocab.setdefault("".join(merges[-1]), len(vocab))
        names[new] = "".join(merges[-1])
        merged: Counter = Counter()
        for word, count in corpus.items():
            merged[tuple(bpe.merge_pair(word, best, new))] += count
        corpus = merged
    return vocab, merges


def draw_corpora(draw: random.Random) -> list[dict]:
    small: list[dict] = [
        {"word_counts": {}, "vocab_size": 3},
        {"word_counts": {"ab": 1}, "vocab_size": 3},
        {"word_counts": {"ba": 2}, "vocab_size": 1},
        {"word_counts": {"ab": 1}, "vocab_size": 9},
        {"word_counts": {"cab": 1}, "vocab_size": 4},
        {"word_counts": {"aaaa": 1}, "vocab_size": 9},
        {"word_counts": {"ab": 1, "cd": 2}, "vocab_size": 5},
        {"word_counts": {"cd": 2, "ab": 2}, "vocab_size": 5},
        {"word_counts": {"ab": 1, "bc": 1}, "vocab_size": 9},
        {"word_counts": {"abab": 1, "ca": 2}, "vocab_size": 4},
        {"word_counts": {"abab": 1, "ab": 1}, "vocab_size": 9},
        {"word_counts": {"aaa": 1}, "vocab_size": 9},
        {"word_counts": {"ab": 1, "ccc": 1}, "vocab_size": 4},
        {"word_counts": {"ab": 1, "abd": 1, "cd": 1}, "vocab_size": 6},
        {"word_counts": {"banana": 2, "band": 1}, "vocab_size": 8},
    ]
    small += [
        {"word_counts": {"ab": 2}, "vocab_size": 9, "initial_alphabet": ["c", "a"]},
        {"word_counts": {"ab": 2}, "vocab_size": 5, "special_tokens": ["<s>"]},
        {"word_counts": {"abc": 1}, "vocab_size": 5, "special_tokens": ["<s>"]},
        {"word_counts": {"ab": 2, "abc": 1}, "vocab_size": 6, "special_tokens": ["ab"]},
        {"word_counts": {"abc": 2, "ab": 1}, "vocab_size": 5, "special_tokens": ["ab"]},
        {"word_counts": {"ab": 2, "cd": 1}, "vocab_size": 9, "min_frequency": 2},
        {"word_counts": {"ab": 3, "cd": 2}, "vocab_size": 9, "min_frequency": 3},
    ]
    for at in range(24):
        letters = ["abc", "abcdé", "Ġnatio", "日a🙂b"][at % 4]
        words = ("".join(draw.choices(letters, k=draw.randint(1, 8))) for _ in range(2 + at // 2))
        case: dict = {"word_counts": {word: draw.randint(1, 5) for word in words}}
        case["vocab_size"] = draw.randint(4, 30)
        if at % 3 == 1:
            case["initial_alphabet"] = draw.sample("zyxwvu" + letters, k=4)
            case["special_tokens"] = ["<s>", letters[:2], "</s>"][: 1 + at % 4]
        if at % 3 == 2:
            case["min_frequency"] = draw.randint(2, 4)
        small.append(case)
    return [*small, {"word_counts": FRUIT, "vocab_size": 40}]


# Many ties, and many letters that could go to either side.
FRUIT = dict.fromkeys(["banana", "bandana", "cabana", "canal", "manana", "ananas", "anna"], 3)
FRUIT |= dict.fromkeys(["ban", "can", "band", "alan", "nab", "lab", "slab", "all"], 5)

TRAIN_BPE = Exercise(
    answer="minilm.tokenization.bpe_training:train_bpe",
    lesson=LESSON,
    cases=draw_corpora,
    reference=reference_training,
    reference_name="tokenizers' BpeTrainer",
    mistakes=[
        Mistake(
            "breaks ties by who was seen first",
            training(key=first_seen),
            "Of two pairs with the same count you take the one you met first, as max(counts, "
            "key=counts.get) does. Another order of the words gives another vocabulary. "
            "Use merge_order, with the ids of the two symbols.",
        ),
        Mistake(
            "breaks ties by larger ids",
            training(key=lambda pair, n, vocab: (-n, -vocab[pair[0]], -vocab[pair[1]])),
            "Of two pairs with the same count you take the one with the larger ids. tokenizers "
            "takes the smaller: the older token goes first.",
        ),
        Mistake(
            "breaks ties by spelling",
            training(key=lambda pair, n, vocab: (-n, *pair)),
            "Of two pairs with the same count you take the one that comes first as text. That "
            "agrees for single letters and no longer for merged tokens. Compare ids.",
        ),
        Mistake(
            "breaks ties by spelling, backwards",
            training(key=lambda pair, n, vocab: [-n, *(-ord(c) for c in "\x7f".join(pair))]),
            "Of two pairs with the same count you take the one that comes last as text, as "
            "max((count, pair)) does. Compare ids, smaller first.",
        ),
        Mistake(
            "takes letters as they come",
            training(letters=lambda words, given: [*given, *"".join(words)]),
            "Letters get their ids in the order in which they appear. They are sorted first, so "
            "that the same text in another order gives the same ids.",
        ),
        Mistake(
            "keeps the given alphabet's order",
            training(letters=lambda words, given: [*given, *sorted(set("".join(words)))]),
            "The initial alphabet comes first, in the order it was given. It is sorted together "
            "with the letters of the words: by character, also where characters stand for bytes.",
        ),
        Mistake(
            "ignores the given alphabet",
            training(letters=lambda words, given: sorted(set("".join(words)))),
            "Only letters that occur get a token. A byte that the corpus lacks would then have "
            "none, and a text that holds it could not be written.",
        ),
        Mistake(
            "puts the special tokens last",
            training(ids="special last"),
            "Special tokens get their ids after the letters. They come first, in the order given.",
        ),
        Mistake(
            "leaves the special tokens out",
            training(ids="no special"),
            "Special tokens get no id. They come first in the vocabulary.",
        ),
        Mistake(
            "does not count the special tokens",
            training(enough=lambda vocab, merges, size, special: len(vocab) - len(special) >= size),
            "You reach vocab_size without the special tokens. The size is that of the whole "
            "vocabulary: the model has one row for each of them too.",
        ),
        Mistake(
            "counts merges instead of tokens",
            training(enough=lambda vocab, merges, size, special: len(merges) >= size),
            "You learn vocab_size merges. The letters and special tokens count too: stop when the "
            "vocabulary has vocab_size tokens.",
        ),
        Mistake(
            "learns one merge too many",
            training(enough=lambda vocab, merges, size, special: len(vocab) > size),
            "The vocabulary ends with vocab_size + 1 tokens. Stop when it has vocab_size.",
        ),
        Mistake(
            "learns one merge too few",
            training(enough=lambda vocab, merges, size, special: len(vocab) + 1 >= size),
            "The vocabulary ends with vocab_size - 1 tokens. Stop when it has vocab_size.",
        ),
        Mistake(
            "gives a token a second id",
            training(renames=True),
            "A merge may spell a token that is there already, here a special one. You give it a "
            "new id and lose the old. Keep what is there.",
        ),
        Mistake(
            "ignores min_frequency",
            training(wanted=lambda count, least: True),
            "You merge pairs that occur less often than min_frequency. Stop at the first.",
        ),
        Mistake(
            "stops at min_frequency",
            training(wanted=lambda count, least: count > least or least < 2),
            "A pair that occurs exactly min_frequency times is merged too. Stop below it.",
        ),
        Mistake(
            "stops at pairs seen once",
            training(wanted=lambda count, least: count >= max(least, 2)),
            "You stop when the best pair occurs once. That may be wise, but min_frequency is 0 "
            "here, and the vocabulary is not full.",
        ),
        Mistake(
            "forgets how often a word occurs",
            training(count=counting(adjacent, weighs=False)),
            "Every word counts once. A pair in a word seen 1,000 times is worth 1,000.",
        ),
        Mistake(
            "skips overlapping pairs",
            training(count=counting(apart)),
            "Where a pair overlaps itself, as in aaa, you count one. Count both places; only "
            "merging must choose.",
        ),
        Mistake(
            "counts only at the start",
            training(recounts=False),
            "You choose by the counts of the first round. Merging changes them: pairs with the "
            "new token appear, and their neighbours lose.",
        ),
        Mistake(
            "merges a word's first place only",
            training(merge=merge_first_only),
            "In each word only the first place of the pair is merged. All of them are.",
        ),
        Mistake(
            "merges from the right",
            training(merge=merge_from_the_right),
            "In aaa the last two are merged. Start at the left.",
        ),
        Mistake(
            "merges across words",
            training(split=cut_across_words),
            "The words are joined to one, and tokens grow across the cuts. Count each word apart.",
        ),
    ],
    accepts=[training(), train_on_lists, train_on_ids],
)
