"""Mistakes in cutting words the WordPiece way."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from minilm.check.exercise import Case, Exercise, Mistake

LESSON = "02_tokenizers"


def wordpiece_cases(draw: random.Random) -> list[Case]:
    """Words that need a prefix, a second piece, an unknown letter, a dead end, a length limit."""
    letters = {name: index for index, name in enumerate(["a", "b", "##a", "##b"])}
    dead_end = {"ab": 0, "a": 1, "##bc": 2}
    cases = [
        _word("ab", {"a": 0, "##b": 1}),
        _word("ab", {"a": 0, "b": 1}),
        _word("ab", {"##a": 0, "##b": 1}),
        _word("ab", {"a": 0, "ab": 1, "##b": 2}),
        _word("abc", {"a": 0, "##b": 1, "##bc": 2, "##c": 3}),
        _word("abc", dead_end),
        _word("axb", letters),
        _word("abx", letters),
        _word("ab", {"a": 0, "~b": 1}, prefix="~"),
        _word("abba", {"a": 0, "b": 1, "bb": 2}, prefix=""),
        _word("x", letters, unk_token="<unk>"),
        _word("aba", letters, max_chars=3),
        _word("abab", letters, max_chars=3),
        _word("éa", {"é": 0, "##a": 1}, max_chars=2),
        _word("Ba", {"b": 0, "B": 1, "##a": 2}),
    ]
    for _ in range(24):
        alphabet = draw.choice(["ab", "abc", "aé"])
        pieces = ["".join(draw.choices(alphabet, k=draw.randint(1, 3))) for _ in range(14)]
        marked = [draw.choice(["", "##"]) + piece for piece in pieces]
        vocab = {piece: index for index, piece in enumerate(dict.fromkeys(marked))}
        word = "".join(draw.choices(alphabet, k=draw.randint(1, 8)))
        cases.append(_word(word, vocab, max_chars=draw.choice([100, 6])))
    return cases


def _word(word: str, vocab: dict[str, int], **others: Any) -> Case:
    defaults = {"unk_token": "[UNK]", "prefix": "##", "max_chars": 100}
    return {"word": word, "vocab": vocab, **defaults, **others}


def wordpiece_reference(
    word: str, vocab: dict[str, int], unk_token: str, prefix: str, max_chars: int
) -> list[str]:
    """Ask tokenizers' WordPiece model."""
    from tokenizers.models import WordPiece

    model = WordPiece(
        {**vocab, unk_token: len(vocab)},
        unk_token=unk_token,
        continuing_subword_prefix=prefix,
        max_input_chars_per_word=max_chars,
    )
    return [token.value for token in model.tokenize(word)]


def _longest_first(
    word: str,
    vocab: Mapping[str, int],
    first_prefix: str,
    later_prefix: str,
    at_a_gap: Callable[[list[str], int], tuple[list[str], int | None]],
    shortest: bool = False,
) -> list[str]:
    """Cut a word greedily. at_a_gap gives what to keep, and where to go on (None: stop there)."""
    pieces: list[str] = []
    start: int | None = 0
    while start is not None and start < len(word):
        ends = range(start + 1, len(word) + 1)
        mark = later_prefix if start else first_prefix
        for end in ends if shortest else reversed(ends):
            if mark + word[start:end] in vocab:
                pieces.append(mark + word[start:end])
                start = end
                break
        else:
            pieces, start = at_a_gap(pieces, start)
    return pieces


def _all_unknown(unk_token: str) -> Callable[[list[str], int], tuple[list[str], None]]:
    return lambda pieces, start: ([unk_token], None)


def _no_prefix(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word) > max_chars:
        return [unk_token]
    return _longest_first(word, vocab, "", "", _all_unknown(unk_token))


def _prefix_everywhere(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word) > max_chars:
        return [unk_token]
    return _longest_first(word, vocab, prefix, prefix, _all_unknown(unk_token))


def _prefix_by_hand(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word) > max_chars:
        return [unk_token]
    return _longest_first(word, vocab, "", "##", _all_unknown(unk_token))


def _prefix_not_written(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word) > max_chars:
        return [unk_token]
    unknown = _all_unknown(unk_token)
    pieces = _longest_first(word, vocab, "", prefix, unknown)
    return pieces[:1] + [piece[len(prefix) :] for piece in pieces[1:]]


def _keeps_the_start(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word) > max_chars:
        return [unk_token]
    return _longest_first(
        word, vocab, "", prefix, lambda pieces, start: ([*pieces, unk_token], None)
    )


def _drops_the_rest(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word) > max_chars:
        return [unk_token]
    return _longest_first(word, vocab, "", prefix, lambda pieces, start: (pieces, None))


def _unknown_letter_by_letter(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word) > max_chars:
        return [unk_token]
    return _longest_first(
        word, vocab, "", prefix, lambda pieces, start: ([*pieces, unk_token], start + 1)
    )


def _skips_unknown_letters(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word) > max_chars:
        return [unk_token]
    return _longest_first(word, vocab, "", prefix, lambda pieces, start: (pieces, start + 1))


def _shortest_first(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word) > max_chars:
        return [unk_token]
    return _longest_first(word, vocab, "", prefix, _all_unknown(unk_token), shortest=True)


def _one_letter_too_strict(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word) >= max_chars:
        return [unk_token]
    return _longest_first(word, vocab, "", prefix, _all_unknown(unk_token))


def _no_limit(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    return _longest_first(word, vocab, "", prefix, _all_unknown(unk_token))


def _limit_in_bytes(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word.encode()) > max_chars:
        return [unk_token]
    return _longest_first(word, vocab, "", prefix, _all_unknown(unk_token))


def _whole_words_only(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    return [word] if word in vocab and len(word) <= max_chars else [unk_token]


def _last_letter_left_out(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    # A piece ends before the last letter at most, so no word is ever cut to its end.
    return [unk_token] if word else []


def _tries_again(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    def cut(start: int) -> list[str] | None:
        if start == len(word):
            return []
        for end in range(len(word), start, -1):
            piece = (prefix if start else "") + word[start:end]
            rest = cut(end) if piece in vocab else None
            if rest is not None:
                return [piece, *rest]
        return None

    found = cut(0) if len(word) <= max_chars else None
    return [unk_token] if found is None else found


def _unknown_by_hand(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if len(word) > max_chars:
        return ["[UNK]"]
    return _longest_first(word, vocab, "", prefix, _all_unknown("[UNK]"))


def _wordpiece_by_shrinking(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    if not len(word) <= max_chars:
        return [unk_token]
    result, rest = [], word
    while rest:
        candidate = rest
        while candidate and (prefix if result else "") + candidate not in vocab:
            candidate = candidate[:-1]
        if not candidate:
            return [unk_token]
        result.append((prefix if result else "") + candidate)
        rest = rest[len(candidate) :]
    return result


def _wordpiece_by_recursion(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    def cut(rest: str, mark: str) -> list[str] | None:
        if not rest:
            return []
        size = next((n for n in range(len(rest), 0, -1) if mark + rest[:n] in vocab), 0)
        tail = cut(rest[size:], prefix) if size else None
        return None if tail is None else [mark + rest[:size], *tail]

    pieces = None if len(word) > max_chars else cut(word, "")
    return pieces if pieces is not None else [unk_token]


def _wordpiece_by_flag(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    known = set(vocab)
    pieces, start, bad = [], 0, len(word) > max_chars
    while start < len(word) and not bad:
        end, found = len(word), None
        while start < end:
            piece = word[start:end] if start == 0 else f"{prefix}{word[start:end]}"
            if piece in known:
                found = piece
                break
            end -= 1
        bad = found is None
        pieces.append(found)
        start = end
    return (unk_token,) if bad else tuple(pieces)


split_wordpiece = Exercise(
    answer="minilm.tokenization.wordpiece:split_wordpiece",
    lesson=LESSON,
    cases=wordpiece_cases,
    reference=wordpiece_reference,
    reference_name="tokenizers' WordPiece",
    mistakes=[
        Mistake(
            "forgets the prefix",
            _no_prefix,
            "Your code looks later pieces up as they stand in the word. Inside a word WordPiece "
            "wants the prefix: 'b' is a word that begins, '##b' one that goes on, and they have "
            "different ids.",
        ),
        Mistake(
            "prefix on the first piece",
            _prefix_everywhere,
            "Your code puts the prefix before the first piece too. The first piece has none, so "
            "whole words such as 'the' are never found.",
        ),
        Mistake(
            "writes ## by hand",
            _prefix_by_hand,
            "Your code writes '##' itself and ignores the argument prefix. A vocabulary that marks "
            "its pieces differently gives [UNK] everywhere.",
        ),
        Mistake(
            "returns pieces without their prefix",
            _prefix_not_written,
            "Your code looks the pieces up with the prefix and returns them without. What you "
            "return is looked up in the vocabulary next, and 'b' has another id than '##b'.",
        ),
        Mistake(
            "keeps the pieces before the gap",
            _keeps_the_start,
            "Your code returns the pieces found so far and then the unknown token. In WordPiece one "
            "gap makes the whole word unknown: the answer is the unknown token alone.",
        ),
        Mistake(
            "drops what it cannot cut",
            _drops_the_rest,
            "Your code stops at the gap and returns what it has, so the end of the word is lost "
            "and nothing says so. The whole word must become the unknown token.",
        ),
        Mistake(
            "one unknown token per letter",
            _unknown_letter_by_letter,
            "Your code writes an unknown token for the letter and goes on behind it. WordPiece has "
            "no partly known words: one gap, and the word is one unknown token.",
        ),
        Mistake(
            "skips unknown letters",
            _skips_unknown_letters,
            "Your code steps over a letter it does not know. Two different words then get the same "
            "ids, and the model is told a word that was not there.",
        ),
        Mistake(
            "shortest piece first",
            _shortest_first,
            "Your code tries the ends from the left and takes the first hit, the shortest piece. "
            "WordPiece takes the longest, so try the ends from the right.",
        ),
        Mistake(
            "one letter too strict",
            _one_letter_too_strict,
            "Your code gives up on a word of exactly max_chars letters (>= instead of >). Only a "
            "longer word is unknown.",
        ),
        Mistake(
            "ignores max_chars",
            _no_limit,
            "Your code cuts words of any length. Longer ones than max_chars are unknown as a whole: "
            "the limit keeps a web page's base64 blob from becoming a thousand tokens.",
        ),
        Mistake(
            "counts bytes",
            _limit_in_bytes,
            "Your code measures the word in bytes. max_chars counts characters, and 'é' is one "
            "character of two bytes.",
        ),
        Mistake(
            "leaves the last letter out",
            _last_letter_left_out,
            "Your code never tries a piece that reaches the end of the word, so every word ends in "
            "a gap. range(len(word), start, -1) begins at len(word) itself.",
        ),
        Mistake(
            "makes words lowercase",
            lambda word, vocab, *others, **named: _wordpiece_by_flag(
                word.lower(), vocab, *others, **named
            ),
            "Your code changes capitals. The word it gets is normalized already, and a BERT that "
            "knows capitals has pieces for them.",
        ),
        Mistake(
            "whole words only",
            _whole_words_only,
            "Your code knows a word or calls it unknown. The point of WordPiece is the step "
            "between: cut it into pieces that are known.",
        ),
        Mistake(
            "goes back at a dead end",
            _tries_again,
            "Your code tries a shorter piece when the rest cannot be cut. Reasonable, and not "
            "WordPiece: it never takes a piece back, and BERT's ids were made that way.",
        ),
        Mistake(
            "writes [UNK] by hand",
            _unknown_by_hand,
            "Your code returns '[UNK]' whatever unk_token says. Another vocabulary calls it "
            "'<unk>', and '[UNK]' has no id there.",
        ),
    ],
    accepts=[_wordpiece_by_shrinking, _wordpiece_by_recursion, _wordpiece_by_flag],
)
