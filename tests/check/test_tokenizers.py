"""The references and cases of lesson 02, worked by hand, and answers that stand in no catalogue."""

from __future__ import annotations

import re
from itertools import combinations, pairwise

import pytest

from minilm.check import judging
from minilm.check.catalogue import tokenizers as lesson
from minilm.check.exercise import Raises
from minilm.errors import InvalidInput
from minilm.tokenization.added_tokens import any_of
from minilm.tokenization.chat_templates import template_environment, template_errors

BERT_PAIR = [("[CLS]", 0), ("A", 0), ("[SEP]", 0), ("B", 1), ("[SEP]", 1)]
DEFAULTS = {"unk_token": "[UNK]", "prefix": "##", "max_chars": 100}
HELLO = [{"role": "user", "content": "<Hi>"}]

BY_HAND = [
    (
        lesson.split_wordpiece,
        {"word": "abc", "vocab": {"a": 0, "ab": 1, "##c": 2}, **DEFAULTS},
        ["ab", "##c"],
    ),
    (lesson.split_wordpiece, {"word": "abcd", "vocab": {"ab": 1, "##c": 2}, **DEFAULTS}, ["[UNK]"]),
    # a = -1, ab = -4 or -1 - 2, abx: the unknown letter stands alone
    (
        lesson.best_path,
        {
            "text": "abx",
            "scores": {"a": -1.0, "b": -2.0, "ab": -4.0},
            "unk_score": -14.0,
            "longest": 2,
        },
        [0, 1, 2],
    ),
    (
        lesson.best_path,
        {
            "text": "abxx",
            "scores": {"a": -1.0, "b": -2.0, "ab": -2.5},
            "unk_score": -12.5,
            "longest": 2,
        },
        [0, 0, 2, 3],
    ),
    (lesson.walk_back, {"text": "abba", "starts": [0, 0, 2, 2]}, ["ab", "ba"]),
    (lesson.walk_back, {"text": "aaaa", "starts": [0, 1, 1, 3]}, ["a", "aa", "a"]),
    (lesson.byte_pieces, {"character": "\t"}, ["<0x09>"]),
    (lesson.byte_pieces, {"character": "€"}, ["<0xE2>", "<0x82>", "<0xAC>"]),
    (
        lesson.split_on_tokens,
        {"text": "a<s><s>xb.", "tokens": ["<s>", "<s>x", "."]},
        [("a", False), ("<s>", True), ("<s>x", True), ("b", False), (".", True)],
    ),
    (
        lesson.fill_template,
        {
            "template": BERT_PAIR,
            "sequences": {"A": [7, 8], "B": [9]},
            "special_ids": {"[CLS]": [1], "[SEP]": [2]},
        },
        ([1, 7, 8, 2, 9, 2], [0, 0, 0, 0, 1, 1]),
    ),
    (lesson.windows, {"length": 7, "max_length": 4, "stride": 1}, [(0, 4), (3, 7)]),
    (lesson.windows, {"length": 8, "max_length": 4, "stride": 1}, [(0, 4), (3, 7), (6, 8)]),
    (
        lesson.pad_rows,
        {"rows": [[5, 0], [6]], "pad_id": 0, "padding_side": "left", "length": None},
        ([[5, 0], [0, 6]], [[1, 1], [0, 1]]),
    ),
    (lesson.without_special_tokens, {"ids": [1, 0, 5, 1, 2], "special_ids": {1, 2}}, [0, 5]),
    (
        lesson.render_chat,
        {"template": "{{ messages[0].content }}\n{% if true %}\n.{% endif %}\n", "messages": HELLO},
        "<Hi>\n.",
    ),
]


@pytest.mark.parametrize(("exercise", "case", "expected"), BY_HAND)
def test_a_reference_agrees_with_a_case_worked_by_hand(exercise, case, expected):
    assert exercise.reference(**case) == expected


def test_a_template_that_refuses_is_expected_to_raise():
    case = {"template": "{{ raise_exception('no') }}", "messages": HELLO}
    assert isinstance(lesson.render_chat.reference(**case), Raises)


@pytest.mark.parametrize("seed", range(6))
def test_best_path_expects_the_longest_last_piece_among_the_best_paths(seed):
    for case in lesson.best_path.draw_cases(seed):
        scores, text = case["scores"], case["text"]
        expected = lesson.best_path.reference(**case)
        assert case["longest"] == max(map(len, scores))
        for end in range(1, len(text) + 1):
            totals: list[tuple[float, int]] = []
            for count in range(end):
                for inner in combinations(range(1, end), count):
                    cuts = [0, *inner, end]
                    pieces = [text[a:b] for a, b in pairwise(cuts)]
                    if all(piece in scores or len(piece) == 1 for piece in pieces):
                        total = sum(scores.get(piece, case["unk_score"]) for piece in pieces)
                        totals.append((total, cuts[-2]))
            best = max(totals)[0]
            # Sums that are nearly equal would leave the answer to rounding.
            assert not any(best - 1e-7 < total < best for total, _ in totals)
            starts = {start for total, start in totals if total == best}
            assert expected[end - 1] == min(starts)


def alike_wordpiece(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    def longest(rest, mark):
        hits = [
            mark + rest[:size] for size in range(1, len(rest) + 1) if mark + rest[:size] in vocab
        ]
        return max(hits, key=len, default=None)

    pieces, rest = [], "" if len(word) > max_chars else word
    while rest:
        piece = longest(rest, prefix if pieces else "")
        if piece is None:
            return [unk_token]
        rest = rest[len(piece) - (len(prefix) if pieces else 0) :]
        pieces.append(piece)
    return pieces or ([unk_token] if word else [])


def with_numpy(text, scores, unk_score, longest):
    import numpy as np

    best, starts = np.zeros(len(text) + 1), []
    for end in range(1, len(text) + 1):
        totals = np.full(end, -np.inf)
        for start in range(end):
            if (piece := text[start:end]) in scores:
                totals[start] = best[start] + scores[piece]
        if text[end - 1] not in scores:
            totals[end - 1] = best[end - 1] + unk_score
        starts.append(totals.argmax())
        best[end] = totals.max()
    return starts


def by_the_given_pattern(text, tokens):
    found = [m.span() for m in any_of(tuple(tokens)).finditer(text)]
    edges = sorted({0, len(text), *(place for span in found for place in span)})
    return [(text[a:b], (a, b) in found) for a, b in pairwise(edges)]


def by_zipping(rows, pad_id, padding_side="right", length=None):
    from itertools import zip_longest

    if padding_side == "left":
        ids, mask = by_zipping([row[::-1] for row in rows], pad_id, "right", length)
        return [row[::-1] for row in ids], [row[::-1] for row in mask]
    ids = []
    for row in rows:
        room = range(length) if length is not None else range(max(map(len, rows)))
        ids.append([i if r is None else r for r, i in zip_longest(row, [pad_id] * len(room))])
    return ids, [
        [int(at < len(row)) for at in range(len(new))] for row, new in zip(rows, ids, strict=True)
    ]


def rendered(template, messages, add_generation_prompt=False, **variables):
    variables["messages"] = messages
    variables["add_generation_prompt"] = add_generation_prompt
    try:
        return template_environment().from_string(template).render(**variables)
    except Exception as error:
        raise InvalidInput("no") from error


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        (lesson.split_wordpiece, alike_wordpiece),
        (lesson.best_path, with_numpy),
        (lesson.split_on_tokens, by_the_given_pattern),
        (lesson.pad_rows, by_zipping),
        (lesson.render_chat, rendered),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_right_answers_nobody_foresaw_pass(exercise, answer, seed):
    verdict = judging.judge(exercise, answer, judging.expected_of(exercise, seed))
    assert verdict.right, verdict.expected.cases[verdict.wrong[0]]


def own(exercise, **case):
    from minilm.check import installing

    return installing.own(exercise)(**case)


def truthy(scores):
    return {piece: score for piece, score in scores.items() if score}


def shorter_of_equals(text, scores, unk_score, longest):
    best, starts = [0.0] + [float("-inf")] * len(text), [0] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - longest), end):
            score = scores.get(text[start:end], unk_score if start == end - 1 else float("-inf"))
            if best[start] + score >= best[end]:
                best[end], starts[end - 1] = best[start] + score, start
    return starts


def by_zip_star(template, sequences, special_ids):
    table = {**special_ids, **sequences}
    ids, kinds = zip(*[(i, kind) for name, kind in template for i in table[name]])
    return list(ids), list(kinds)


def without_refusing(length, max_length, stride=0):
    step = max(1, max_length - stride)
    return [(s, min(s + max_length, length)) for s in range(0, max(1, length - stride), step)]


UNFORESEEN = [
    (lesson.split_wordpiece, lambda **case: own(lesson.split_wordpiece, **case)[:3]),
    (lesson.best_path, lambda **case: own(lesson.best_path, **{**case, "unk_score": -1e9})[:-1]),
    (lesson.best_path, lambda **case: own(lesson.best_path, **{**case, "longest": 2})),
    (lesson.best_path, shorter_of_equals),
    (lesson.best_path, lambda scores, **case: own(lesson.best_path, scores=truthy(scores), **case)),
    (
        lesson.split_wordpiece,
        lambda word, **case: own(lesson.split_wordpiece, word=word.lower(), **case),
    ),
    (lesson.byte_pieces, lambda character: own(lesson.byte_pieces, character=character[0])),
    (lesson.fill_template, by_zip_star),
    (
        lesson.fill_template,
        lambda sequences, **case: own(
            lesson.fill_template,
            sequences={k: v for k, v in sequences.items() if k not in case["special_ids"]},
            **case,
        ),
    ),
    (lesson.windows, without_refusing),
    (
        lesson.pad_rows,
        lambda length=None, **case: own(lesson.pad_rows, length=length or None, **case),
    ),
    (
        lesson.render_chat,
        lambda template, **case: template_environment().from_string(template).render(**case),
    ),
    (lesson.walk_back, lambda text, starts: [text]),
    (lesson.byte_pieces, lambda character: [f"<0x{byte:02X}>" for byte in character.encode()][:3]),
    (
        lesson.split_on_tokens,
        lambda text, tokens: [(p, bool(p.strip())) for p in re.split(r"(\W)", text) if p],
    ),
    (lesson.fill_template, lambda **case: (own(lesson.fill_template, **case)[0], [0])),
    (lesson.windows, lambda length, max_length, stride=0: [(0, length)]),
    (lesson.pad_rows, lambda **case: own(lesson.pad_rows, **{**case, "length": 7})),
    (lesson.pad_rows, lambda rows, **case: own(lesson.pad_rows, rows=rows[:2], **case)),
    (lesson.without_special_tokens, lambda ids, special_ids: list(dict.fromkeys(ids))),
    (lesson.render_chat, lambda messages, **case: "".join(m["content"] for m in messages)),
]


@pytest.mark.parametrize(("exercise", "answer"), UNFORESEEN)
def test_wrong_answers_nobody_foresaw_are_refused(exercise, answer):
    assert not judging.judge(exercise, answer).right


def best_from_zero(text, scores, unk_score, longest):
    best, starts = [0.0] * (len(text) + 1), [0] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - longest), end):
            score = scores.get(text[start:end], unk_score if start == end - 1 else float("-inf"))
            if best[start] + score > best[end]:
                best[end], starts[end - 1] = best[start] + score, start
    return starts


def unknown_in_need(text, scores, unk_score, longest):
    best, starts = {0: 0.0}, []
    for end in range(1, len(text) + 1):
        totals = {s: best[s] + scores[text[s:end]] for s in range(end) if text[s:end] in scores}
        totals = totals or {end - 1: best[end - 1] + unk_score}
        starts.append(max(totals, key=totals.get))
        best[end] = totals[starts[-1]]
    return starts


def one_end_too_early(word, vocab, unk_token="[UNK]", prefix="##", max_chars=100):
    pieces, start = [], 0
    while start < len(word) <= max_chars:
        for end in range(len(word) - 1, start, -1):
            if prefix * (start > 0) + word[start:end] in vocab:
                break
        else:
            return [unk_token]
        pieces.append(prefix * (start > 0) + word[start:end])
        start = end
    return pieces if len(word) <= max_chars else [unk_token]


def no_window_for_nothing(length, max_length, stride=0):
    if stride >= max_length:
        raise InvalidInput("no")
    step = max_length - stride
    return [
        (start, min(start + max_length, length))
        for start in range(0, length, step)
        if start == 0 or start + stride < length
    ]


def compiled_outside(template, messages, add_generation_prompt=False, **variables):
    compiled = template_environment().from_string(template)
    with template_errors(template):
        return compiled.render(
            messages=messages, add_generation_prompt=add_generation_prompt, **variables
        )


@pytest.mark.parametrize(
    ("exercise", "answer", "name"),
    [
        (lesson.best_path, shorter_of_equals, "takes the shorter of two equals"),
        (lesson.best_path, unknown_in_need, "takes unknown letters for a last resort"),
        (lesson.best_path, best_from_zero, "never gets above its first value"),
        (lesson.split_wordpiece, one_end_too_early, "leaves the last letter out"),
        (lesson.windows, no_window_for_nothing, "no window for an empty row"),
        (lesson.render_chat, compiled_outside, "compiles outside template_errors"),
    ],
)
def test_the_mistake_that_is_named_is_the_one_that_was_made(exercise, answer, name):
    mistake = judging.judge(exercise, answer).mistake
    assert (mistake.name if mistake else None) == name
