"""Lesson 01's catalogue: its references, and answers that are in no list."""

from __future__ import annotations

import itertools
import random
import unicodedata
from collections import Counter, OrderedDict, UserString, defaultdict
from functools import cmp_to_key

import numpy as np
import pytest
import regex

from minilm.check import catalogue, installing, judging, messages
from minilm.check.catalogue.byte_pairs.encoding import reference_encode
from minilm.check.catalogue.byte_pairs.pairs import reference_counts, reference_merge
from minilm.check.catalogue.byte_pairs.training import reference_order, reference_training
from minilm.check.catalogue.byte_pairs.words import SMALL_TEXTS, reference_split
from minilm.check.parameters import fit
from minilm.errors import InvalidInput

EXERCISES = catalogue.all_exercises()


def verdict(name, answer):
    exercise = EXERCISES[name]
    return judging.judge(exercise, fit(answer, installing.own(exercise))[0])


def small_corpus(draw: random.Random) -> dict[str, int]:
    words = ("".join(draw.choices("abcd", k=draw.randint(1, 7))) for _ in range(6))
    return {word: draw.randint(1, 9) for word in words}


# --- the references agree with tokenizers, also where they are written out here --------------


@pytest.mark.parametrize("seed", range(20))
def test_the_trainer_merges_the_pair_that_the_reference_counts_highest(seed):
    words = small_corpus(random.Random(seed))
    counts = reference_counts({tuple(word): count for word, count in words.items()})
    vocab, merges = reference_training(words, vocab_size=5)
    if merges:
        assert merges[0] == min(counts, key=lambda p: (-counts[p], vocab[p[0]], vocab[p[1]]))


@pytest.mark.parametrize("seed", range(20))
def test_the_trainer_counts_a_word_as_often_as_it_is_given(seed):
    draw = random.Random(seed)
    words = small_corpus(draw)
    as_lists = [word for word, count in words.items() for _ in range(count)]
    draw.shuffle(as_lists)
    again = dict.fromkeys(as_lists, 0) | Counter(as_lists)
    assert reference_training(words, 12) == reference_training(again, 12)


def test_the_order_of_the_trainer_is_count_then_left_then_right():
    counts = {(2, 1): 3, (1, 2): 3, (9, 9): 4, (1, 10): 3, (1, 9): 3}
    assert reference_order(counts) == [(9, 9), (1, 2), (1, 9), (1, 10), (2, 1)]


def test_the_model_with_one_merge_goes_from_left_to_right_for_any_kind_of_symbol():
    assert reference_merge([7, 7, 7], (7, 7), 99) == [99, 7]
    assert reference_merge(["x", "ab", "x", "ab"], ("x", "ab"), "!") == ["!", "!"]
    assert reference_merge([], ("a", "b"), "ab") == []


def test_the_model_sorts_merges_by_rank_whatever_the_numbers_are():
    assert reference_encode(list("abc"), {("a", "b"): 40, ("b", "c"): 7}) == ["a", "bc"]


@pytest.mark.parametrize("text", SMALL_TEXTS)
def test_the_words_of_the_reference_are_the_text(text):
    assert "".join(reference_split(text)) == text


# --- right answers that are in no list -------------------------------------------------------


class Counts(dict):
    def __missing__(self, key):
        return 0


def utf8_by_shifting_down(char):
    n = ord(char)
    if n < 128:
        return (n,)
    if 0xD800 <= n < 0xE000:
        raise UnicodeError("no character")
    out = []
    while n > (0x3F >> len(out)):
        out.insert(0, n % 64 + 128)
        n //= 64
    return ((0xFF << (7 - len(out)) & 0xFF) + n, *out)


def alphabet_in_another_order():
    rest = iter(range(256, 512))
    table = OrderedDict()
    for byte in itertools.chain(range(0x21), range(0x7F, 0xA1), [0xAD]):
        table[byte] = chr(next(rest))
    for byte in range(256):
        table.setdefault(byte, chr(byte))
    return table


def split_with_named_classes(text):
    parts = r"'(?:ll|ve|re|s|t|d|m)", r"\x20?\p{Letter}+", r"\x20?\p{Number}+"
    parts += r"\x20?(?:(?![\s\p{Letter}\p{Number}]).)+", r"\s+(?!\S)|\s+"
    return [m.group(0) for m in regex.finditer("|".join(parts), text, regex.DOTALL)]


def count_with_missing(words):
    counts = Counts()
    for word in words:
        for i, left in enumerate(word[:-1]):
            counts[left, word[i + 1]] += words[word]
    return counts


def count_in_nested_loops(word_counts):
    counts = defaultdict(int)
    for word, times in word_counts.items():
        for _ in range(times):
            for place in range(1, len(word)):
                counts[word[place - 1 : place + 1]] += 1
    return dict(counts)


def merge_with_a_stack(symbols, pair, merged):
    todo, done = list(reversed(symbols)), []
    while todo:
        symbol = todo.pop()
        if symbol == pair[0] and todo and todo[-1] == pair[1]:
            todo.pop()
            symbol = merged
        done.append(symbol)
    return tuple(done)


def train_with_sorted_pairs(counts, size, initial_alphabet=(), special_tokens=(), min_frequency=0):
    letters = set(initial_alphabet).union(*map(set, counts)) - set(special_tokens)
    names = [*dict.fromkeys(special_tokens), *sorted(letters)]
    words = [(list(word), n) for word, n in counts.items()]
    merges = []
    while len(names) < size:
        table = Counter()
        for word, n in words:
            for pair in itertools.pairwise(word):
                table[pair] += n
        found = sorted((-n, names.index(a), names.index(b)) for (a, b), n in table.items())
        if not found or -found[0][0] < max(1, min_frequency):
            break
        pair = [names[found[0][1]], names[found[0][2]]]
        merges.append(pair)
        if "".join(pair) not in names:
            names.append("".join(pair))
        words = [(list(merge_with_a_stack(w, pair, "".join(pair))), n) for w, n in words]
    return {name: names.index(name) for name in names}, merges


def encode_with_while_and_for(word, merge_ranks):
    word = [*word]
    while True:
        best = None
        for i in range(len(word) - 1):
            rank = merge_ranks.get((word[i], word[i + 1]))
            if rank is not None and (best is None or rank < best[0]):
                best = rank, i
        if best is None:
            return word
        i = best[1]
        word[i : i + 2] = ["".join(word[i : i + 2])]


def decode_with_a_table(pieces):
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in kept]
    table = {chr(b): b for b in kept} | {chr(256 + i): b for i, b in enumerate(moved)}
    data = bytearray()
    for piece in pieces:
        data.extend([table[c] for c in piece] if set(piece) <= set(table) else piece.encode())
    return str(data, "utf-8", errors="replace")


def utf8_by_filling_in_bits(character):
    code = ord(character)
    if code in range(0xD800, 0xE000):
        raise InvalidInput("half a pair")
    bits = f"{code:b}"
    for pattern in ("0" + 7 * "x", "110xxxxx", "1110xxxx", "11110xxx"):
        pattern += " 10xxxxxx" * max(0, pattern.index("0") - 1)
        if len(bits) <= pattern.count("x"):
            digits = iter(bits.zfill(pattern.count("x")))
            filled = "".join(next(digits) if sign == "x" else sign for sign in pattern)
            return [int(byte, 2) for byte in filled.split()]
    return None


def split_by_categories(text):
    def kind(sign):
        category = unicodedata.category(sign)[0]
        return "s" if regex.match(r"\s", sign) else category if category in "LN" else "o"

    words, start = [], 0
    while start < len(text):
        short = regex.match("'(s|t|re|ve|m|ll|d)", text[start : start + 3])
        end = start + len(short[0]) if short else start
        if not short:
            if text[start] == " " and start + 1 < len(text) and kind(text[start + 1]) != "s":
                end += 1
            first = end
            while end < len(text) and kind(text[end]) == kind(text[first]):
                end += 1
            end -= kind(text[first]) == "s" and end < len(text) and end - start > 1
        words.append(text[start:end])
        start = end
    return words


def merge_by_generator(symbols, pair, merged):
    def walk():
        held = []
        for symbol in symbols:
            if held and (held[0], symbol) == tuple(pair):
                held.clear()
                yield merged
            else:
                yield from held
                held[:] = [symbol]
        yield from held

    return list(walk())


def compare_pairs(one, other):
    (ids, count), (other_ids, other_count) = one, other
    return other_count - count or ids[0] - other_ids[0] or ids[1] - other_ids[1]


def encode_by_a_sweep_for_each_pair(symbols, ranks):
    tokens, changed = list(symbols), True
    while changed:
        changed = False
        for left, right in sorted(ranks, key=ranks.get):
            for at in range(len(tokens) - 1):
                if not changed and tokens[at] == left and tokens[at + 1] == right:
                    tokens[at : at + 2], changed = [left + right], True
            if changed:
                break
    return tokens


def decode_by_numpy(tokens):
    byte_of = {symbol: byte for byte, symbol in alphabet_in_another_order().items()}
    parts = [np.zeros(0, np.uint8)]
    for token in tokens:
        known = all(map(byte_of.__contains__, token))
        numbers = [byte_of[sign] for sign in token] if known else list(token.encode())
        parts.append(np.array(numbers, np.uint8))
    return np.concatenate(parts).tobytes().decode("utf-8", "replace")


RIGHT = [
    ("utf8_bytes", utf8_by_shifting_down),
    ("byte_alphabet", alphabet_in_another_order),
    ("split_words", split_with_named_classes),
    ("count_pairs", count_with_missing),
    ("count_pairs", count_in_nested_loops),
    ("merge_pair", merge_with_a_stack),
    ("merge_order", lambda ids, n: (1 / n, ids)),
    ("merge_order", lambda ids, n: complex(-n).real * 2**36 + ids[0] * 2**18 + ids[1]),
    ("merge_order", lambda ids, n: cmp_to_key(compare_pairs)((ids, n))),
    ("utf8_bytes", utf8_by_filling_in_bits),
    ("split_words", split_by_categories),
    ("merge_pair", merge_by_generator),
    ("apply_merges", encode_by_a_sweep_for_each_pair),
    ("tokens_to_text", decode_by_numpy),
    ("train_bpe", train_with_sorted_pairs),
    ("apply_merges", encode_with_while_and_for),
    ("tokens_to_text", decode_with_a_table),
]


@pytest.mark.parametrize(
    ("name", "answer"), RIGHT, ids=lambda value: getattr(value, "__name__", value)
)
def test_nobody_is_falsely_accused(name, answer):
    found = verdict(name, answer)
    assert found.right, messages.wrong(found, answer)


# --- wrong answers that are in no list -------------------------------------------------------


def train_with_ids_in_the_wrong_place(word_counts, vocab_size, *rest):
    vocab, merges = installing.own(EXERCISES["train_bpe"])(word_counts, vocab_size, *rest)
    return {token: i + 1 for token, i in vocab.items()}, merges


def merge_and_change_the_input(symbols, pair, merged):
    at = 0
    while at < len(symbols) - 1:
        if tuple(symbols[at : at + 2]) == pair:
            symbols[at : at + 2] = [merged]
        at += 1
    return symbols


def train_a_set_number_of_merges(counts, size, alphabet=(), special=(), least=0):
    """Right, but that it looks at the size of the vocabulary only once."""
    vocab = {
        t: i
        for i, t in enumerate(dict.fromkeys([*special, *sorted({*alphabet, *"".join(counts)})]))
    }
    words, merges = {tuple(word): n for word, n in counts.items()}, []
    for _ in range(size - len(vocab)):
        table = count_in_nested_loops(words)
        if not table or max(table.values()) < least:
            break
        pair = min(table, key=lambda p: (-table[p], vocab[p[0]], vocab[p[1]]))
        merges.append(pair)
        vocab.setdefault("".join(pair), len(vocab))
        words = {merge_with_a_stack(w, pair, "".join(pair)): n for w, n in words.items()}
    return vocab, merges


def splitting(pattern):
    return lambda text: regex.findall(pattern + r"|\s+(?!\S)|\s+", text)


WORDS = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"


def as_cl100k(text):
    return regex.findall(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        text,
    )


WRONG = [
    ("utf8_bytes", lambda character: list(character.encode("utf-16-le"))),
    ("utf8_bytes", lambda character: list(character.encode("utf-8", "replace"))),
    ("utf8_bytes", lambda character: list(character.encode("utf-8", "surrogatepass"))),
    ("utf8_bytes", lambda character: [float(byte) for byte in character.encode()]),
    ("utf8_bytes", lambda character: character.encode().hex()),
    ("byte_alphabet", lambda: {b: bytes([b]).decode("cp437") for b in range(256)}),
    ("byte_alphabet", lambda: {b: chr(b) for b in range(33, 127)}),
    ("byte_alphabet", lambda: [chr(b) for b in range(256)]),
    ("split_words", as_cl100k),
    ("split_words", lambda text: [text] if text else []),
    ("split_words", lambda text: regex.split(r"(?= )", text)),
    ("split_words", lambda text: regex.findall(r"\s?\w+|\W", text)),
    ("split_words", splitting(r"'(?:[sdmt]|ll|re)|" + WORDS)),
    ("split_words", splitting(r"'(?:[sdmt]|ll|ve)|" + WORDS)),
    ("split_words", splitting(r"'(?:[smt]|ll|ve|re)|" + WORDS)),
    ("split_words", splitting(r"'(?:[sdt]|ll|ve|re)|" + WORDS)),
    ("split_words", splitting(r" ?'(?:[sdmt]|ll|ve|re)|" + WORDS)),
    ("count_pairs", lambda word_counts: list(word_counts)),
    ("count_pairs", lambda word_counts: {}),
    ("merge_pair", merge_and_change_the_input),
    ("merge_pair", lambda symbols, pair, merged: list(symbols)),
    ("merge_order", lambda pair, count: count),
    ("merge_order", lambda pair, count: -count * pair[0]),
    ("merge_order", lambda pair, count: None),
    ("merge_order", lambda pair, count: -count * 1e9 + pair[0] * 1e4 + pair[1]),
    ("merge_order", lambda pair, count: -count + pair[0] / 1e6 + pair[1] / 1e12),
    ("merge_order", lambda pair, count: f"{-count} {pair}"),
    ("train_bpe", train_with_ids_in_the_wrong_place),
    ("train_bpe", lambda word_counts, vocab_size, *rest: ({}, [])),
    ("train_bpe", train_a_set_number_of_merges),
    ("apply_merges", lambda symbols, ranks: ["".join(symbols)]),
    ("apply_merges", lambda symbols, ranks: list(symbols)),
    ("tokens_to_text", lambda tokens: "".join(tokens)),
    ("tokens_to_text", lambda tokens: UserString("".join(tokens))),
    ("tokens_to_text", lambda tokens: "".join(t.replace("Ġ", " ") for t in tokens)),
]


@pytest.mark.parametrize(
    ("name", "answer"), WRONG, ids=[f"{n} {i}" for i, (n, _) in enumerate(WRONG)]
)
def test_nothing_wrong_slips_through(name, answer):
    assert not verdict(name, answer).right


def test_the_message_for_a_tie_shows_a_corpus_of_one_word():
    exercise = EXERCISES["train_bpe"]
    chance = next(m for m in exercise.mistakes if m.name == "breaks ties by who was seen first")
    found = judging.judge(exercise, chance.variant)
    assert len(exercise.draw_cases()[found.shown]["word_counts"]) == 1


# --- what is said of them is true ------------------------------------------------------------


def encode_down_to_two(symbols, ranks):
    tokens = list(symbols)
    while len(tokens) > 2:
        known = [(ranks[p], at) for at, p in enumerate(itertools.pairwise(tokens)) if p in ranks]
        if not known:
            break
        at = min(known)[1]
        tokens[at : at + 2] = [tokens[at] + tokens[at + 1]]
    return tokens


def merge_by_slices(symbols, pair, merged):
    result, at = [], 0
    while at < len(symbols):
        found = symbols[at : at + 2] == pair
        result.append(merged if found else symbols[at])
        at += 2 if found else 1
    return result


def decode_all_at_once(tokens):
    try:
        byte_of = {symbol: byte for byte, symbol in alphabet_in_another_order().items()}
        return bytes(byte_of[sign] for sign in "".join(tokens)).decode("utf-8", "replace")
    except KeyError:
        return "".join(tokens)


NAMED = [
    (
        "split_words",
        lambda text: regex.findall(WORDS + r"|\s+", text),
        "is the first try of the page",
    ),
    ("split_words", splitting("'(s|t|d|m|ll|ve|re)|" + WORDS), "returns what a group caught"),
    ("split_words", splitting("'[sdmt]|" + WORDS), "knows some contractions only"),
    ("split_words", splitting("'(?:[smt]|ll|ve|re)|" + WORDS), "lacks the contraction 'd"),
    ("merge_pair", merge_by_slices, "never finds the pair"),
    ("merge_order", lambda ids, n: -n + ids[0] / 1e6 + ids[1] / 1e12, "makes fractions of the ids"),
    ("merge_order", lambda ids, n: (-n, max(ids), min(ids)), "looks at the larger id first"),
    ("merge_order", lambda ids, n: (-n, ids[0] * 1e4 + ids[1]), "leaves too little room for ids"),
    ("apply_merges", encode_down_to_two, "stops at two tokens"),
    ("tokens_to_text", decode_all_at_once, "gives the whole text up for one token"),
]


@pytest.mark.parametrize(("name", "answer", "mistake"), NAMED, ids=[row[2] for row in NAMED])
def test_the_mistake_that_is_named_is_the_one_that_was_made(name, answer, mistake):
    found = verdict(name, answer)
    assert (found.mistake.name if found.mistake else None) == mistake


def printing(pair, count):
    print(-count, pair)


def test_a_sort_key_that_is_printed_is_said_to_be_printed():
    found = verdict("merge_order", printing)
    assert "write `return` in place of `print`" in messages.wrong(found, printing)


def test_an_error_that_is_returned_is_told_apart_from_one_that_is_raised():
    def utf8_bytes(character):
        try:
            return list(character.encode())
        except UnicodeEncodeError as error:
            return error

    message = messages.wrong(verdict("utf8_bytes", utf8_bytes), utf8_bytes)
    assert "Write `raise` in place of `return`" in message
    assert "gives another answer" not in message
