"""Mistakes in finding the best path through a text, and in walking it back."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from minilm.check.exercise import Case, Exercise, Mistake

LESSON = "02_tokenizers"


def best_path_cases(draw: random.Random) -> list[Case]:
    """Texts on which greedy cuts, fewest pieces and unknown letters fail; in two, paths tie."""
    cases = [
        _scored("a", {"a": -1.0}),
        _scored("x", {"a": -1.0}),
        _scored("ab", {"a": -1.0, "b": -1.5, "ab": -2.0}),
        _scored("ab", {"a": -1.0, "b": -1.5, "ab": -4.0}),
        _scored("axb", {"a": -1.0, "b": -1.5, "axb": -30.0}),
        _scored("abc", {"a": -3.0, "b": -3.5, "c": -4.0, "ab": -2.5, "bc": -1.0}),
        _scored("abc", {"a": -2.0, "bc": -2.5, "ab": -1.0, "c": -9.0}),
        _scored("abcde", {"a": -1.0, "b": -1.5, "abc": -2.0, "cde": -2.2, "de": -2.4}),
        _scored("ab", {"a": -1.0, "b": -2.0, "ab": -3.0}),
        _scored("abc", {"a": -2.0, "bc": -3.0, "ab": -4.0, "c": -1.0, "abc": -9.0}),
        _scored("ab", {"a": 0.0, "b": -2.0, "ab": -3.0}),
        _scored("abx", {"ab": -1.0, "bx": -2.0}),
        _scored("abcd", {"ab": -5.0, "cd": -5.5, "a": -1.0, "b": -1.2, "c": -9.0, "d": -9.5}),
    ]
    while len(cases) < 32:
        letters = draw.choice(["ab", "abc", "abcé"])
        count = draw.randint(3, 12)
        pieces = {"".join(draw.choices(letters, k=draw.randint(1, 4))) for _ in range(count)}
        scores = {piece: round(-draw.uniform(0.5, 9), 2) for piece in sorted(pieces)}
        case = _scored("".join(draw.choices(letters, k=draw.randint(1, 9))), scores)
        if not _has_tie(**case):
            cases.append(case)
    return cases


def _scored(text: str, scores: dict[str, float]) -> Case:
    longest = max(map(len, scores))
    return {
        "text": text,
        "scores": scores,
        "unk_score": min(scores.values()) - 10,
        "longest": longest,
    }


def _has_tie(text: str, scores: dict[str, float], unk_score: float, longest: int) -> bool:
    """Whether two last pieces are as good as equal at some end: then either answer is right."""
    best = [0.0]
    for end in range(1, len(text) + 1):
        totals = []
        for start in range(end):
            score = scores.get(text[start:end], unk_score if start == end - 1 else None)
            if score is not None:
                totals.append(best[start] + score)
        totals.sort(reverse=True)
        if len(totals) > 1 and totals[0] - totals[1] < 1e-6:
            return True
        best.append(totals[0])
    return False


def best_path_reference(
    text: str, scores: dict[str, float], unk_score: float, longest: int
) -> list[int]:
    """Ask tokenizers' Unigram for the last piece of every beginning of the text."""
    from tokenizers.models import Unigram

    # The unknown piece stands first and has id 0. Its own score plays no part.
    model = Unigram([("<unk>", 0.0), *scores.items()], unk_id=0)
    starts = []
    for end in range(1, len(text) + 1):
        last = model.tokenize(text[:end])[-1]
        # Unknown letters in a row come back as one token; each of them is a step of its own.
        starts.append(end - 1 if last.id == 0 else end - len(last.value))
    return starts


def _viterbi(
    text: str,
    allowed: Callable[[str, int, int], float | None],
    total: Callable[[Any, float], Any],
    beginning: Any = 0.0,
    better: Callable[[Any, Any], bool] = lambda new, old: new > old,
) -> list[int]:
    """Find the best start for every end. allowed gives the score of a piece, or None."""
    best, starts = [beginning], []
    for end in range(1, len(text) + 1):
        chosen, highest = end - 1, None
        for start in range(end):
            score = allowed(text[start:end], start, end)
            if score is None:
                continue
            value = total(best[start], score)
            if highest is None or better(value, highest):
                chosen, highest = start, value
        starts.append(chosen)
        best.append(beginning if highest is None else highest)
    return starts


def _piece_scores(scores: Mapping[str, float], unk_score: float) -> Callable[..., float | None]:
    return lambda piece, start, end: scores.get(piece, unk_score if len(piece) == 1 else None)


def _sum(before: float, score: float) -> float:
    return before + score


def _longest_last_piece(text, scores, unk_score, longest):
    return [
        next((s for s in range(max(0, e - longest), e) if text[s:e] in scores), e - 1)
        for e in range(1, len(text) + 1)
    ]


def _shortest_last_piece(text, scores, unk_score, longest):
    return [
        next((s for s in range(e - 1, max(-1, e - longest - 1), -1) if text[s:e] in scores), e - 1)
        for e in range(1, len(text) + 1)
    ]


def _last_piece_alone(text, scores, unk_score, longest):
    return _viterbi(text, _piece_scores(scores, unk_score), lambda before, score: score)


def _lowest_score(text, scores, unk_score, longest):
    allowed = _piece_scores(scores, unk_score)
    return _viterbi(text, allowed, _sum, better=lambda new, old: new < old)


def _shorter_of_equals(text, scores, unk_score, longest):
    allowed = _piece_scores(scores, unk_score)
    return _viterbi(text, allowed, _sum, better=lambda new, old: new >= old)


def _zero_is_none(text, scores, unk_score, longest):
    known = {piece: score for piece, score in scores.items() if score}
    return _viterbi(text, _piece_scores(known, unk_score), _sum)


def _fewest_pieces(text, scores, unk_score, longest):
    allowed = _piece_scores(scores, unk_score)
    return _viterbi(
        text,
        allowed,
        lambda before, score: (before[0] - 1, before[1] + score),
        beginning=(0, 0.0),
    )


def _free_unknowns(text, scores, unk_score, longest):
    return _viterbi(text, _piece_scores(scores, 0.0), _sum)


def _unknown_of_any_length(text, scores, unk_score, longest):
    return _viterbi(
        text,
        lambda piece, start, end: scores.get(piece, unk_score) if len(piece) <= longest else None,
        _sum,
    )


def _no_unknowns(text, scores, unk_score, longest):
    best, starts = [0.0], []
    for end in range(1, len(text) + 1):
        ways = [
            (best[s] + scores[text[s:end]], s)
            for s in range(max(0, end - longest), end)
            if text[s:end] in scores
        ]
        value, start = max(ways, default=(float("-inf"), 0))
        best.append(value)
        starts.append(start)
    return starts


def _unknown_as_last_resort(text, scores, unk_score, longest):
    best, starts = [0.0], []
    for end in range(1, len(text) + 1):
        known = [s for s in range(max(0, end - longest), end) if text[s:end] in scores]
        totals = [(best[s] + scores[text[s:end]], -s) for s in known]
        value, start = max(totals, default=(best[-1] + unk_score, 1 - end))
        best.append(value)
        starts.append(-start)
    return starts


def _starts_over_at_unknowns(text, scores, unk_score, longest):
    best, starts = [0.0] + [float("-inf")] * len(text), [0] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - longest), end):
            score = scores.get(text[start:end])
            if score is not None and best[start] + score > best[end]:
                best[end], starts[end - 1] = best[start] + score, start
    return starts


def _misses_the_longest(text, scores, unk_score, longest):
    allowed = _piece_scores(scores, unk_score)
    return _viterbi(
        text,
        lambda piece, start, end: (
            allowed(piece, start, end) if len(piece) < longest or len(piece) == 1 else None
        ),
        _sum,
    )


def _multiplies(text, scores, unk_score, longest):
    allowed = _piece_scores(scores, unk_score)
    return _viterbi(text, allowed, lambda before, score: before * score, beginning=1.0)


def _adds_probabilities(text, scores, unk_score, longest):
    from math import exp

    allowed = _piece_scores(scores, unk_score)
    return _viterbi(text, allowed, lambda before, score: before + exp(score))


def _average_score(text, scores, unk_score, longest):
    allowed = _piece_scores(scores, unk_score)
    return _viterbi(
        text,
        allowed,
        lambda before, score: (before[0] + score, before[1] + 1),
        beginning=(0.0, 0),
        better=lambda new, old: new[0] / new[1] > old[0] / old[1],
    )


def _lengths_of_last_pieces(text, scores, unk_score, longest):
    starts = _viterbi(text, _piece_scores(scores, unk_score), _sum)
    return [end - start for end, start in enumerate(starts, start=1)]


def _one_start_too_many(text, scores, unk_score, longest):
    return [0, *_viterbi(text, _piece_scores(scores, unk_score), _sum)]


def _cuts_of_the_whole(text, scores, unk_score, longest):
    starts = _viterbi(text, _piece_scores(scores, unk_score), _sum)
    cuts, end = [], len(text)
    while end > 0:
        end = starts[end - 1]
        cuts.append(end)
    return cuts[::-1]


def _best_path_with_infinities(text, scores, unk_score, longest):
    n = len(text)
    best = [0.0] + [float("-inf")] * n
    back = [0] * (n + 1)
    for start in range(n):  # forwards: push each piece to where it ends
        for length in range(1, longest + 1):
            end = start + length
            if end > n:
                break
            score = scores.get(text[start:end])
            if score is None and length == 1:
                score = unk_score
            if score is not None and best[start] + score > best[end]:
                best[end], back[end] = best[start] + score, start
    return back[1:]


def _best_path_by_recursion(text, scores, unk_score, longest):
    from functools import cache

    @cache
    def best(end: int) -> tuple[float, int]:
        if end == 0:
            return 0.0, 0
        ways = [(best(end - 1)[0] + scores.get(text[end - 1], unk_score), end - 1)]
        for start in range(end):
            if (piece := text[start:end]) in scores:
                ways += [(best(start)[0] + scores[piece], start)]
        return max(ways, key=lambda way: (way[0], -way[1]))

    return tuple(best(end)[1] for end in range(1, len(text) + 1))


def _best_path_by_costs(text, scores, unk_score, longest):
    cost = {0: 0.0}
    chosen = {}
    for end in range(1, len(text) + 1):
        options = {
            start: cost[start] - scores[text[start:end]]
            for start in range(max(0, end - longest), end)
            if text[start:end] in scores
        }
        if text[end - 1] not in scores:
            options[end - 1] = cost[end - 1] - unk_score
        chosen[end] = min(options, key=options.__getitem__)
        cost[end] = options[chosen[end]]
    return [chosen[end] for end in sorted(chosen)]


best_path = Exercise(
    answer="minilm.tokenization.unigram:best_path",
    lesson=LESSON,
    cases=best_path_cases,
    reference=best_path_reference,
    reference_name="tokenizers' Unigram, asked for every beginning of the text",
    mistakes=[
        Mistake(
            "takes the longest last piece",
            _longest_last_piece,
            "Your code takes the longest piece that ends here, whatever it scores. That is greed "
            "again: the scores, and what comes before the piece, never get a say.",
        ),
        Mistake(
            "takes the shortest last piece",
            _shortest_last_piece,
            "Your code stops at the first piece it finds, going left from the end: the shortest. "
            "All pieces that end here must be compared by their totals.",
        ),
        Mistake(
            "forgets the path before the piece",
            _last_piece_alone,
            "Your code compares the last pieces by their own scores. Add best[start], the score of "
            "the best path up to where the piece starts: a good last piece may leave a bad rest.",
        ),
        Mistake(
            "takes the lowest score",
            _lowest_score,
            "Your code keeps the smallest total. Scores are log probabilities: -2 is likelier than "
            "-9, so the largest total wins.",
        ),
        Mistake(
            "takes the shorter of two equals",
            _shorter_of_equals,
            "Two paths have the same total, and your code takes the one whose last piece is "
            "shorter (>= in place of >, say). tokenizers keeps the longer piece.",
        ),
        Mistake(
            "takes score 0 for none",
            _zero_is_none,
            "Your code takes a piece with score 0 for an unknown one: `if score:` and `score or "
            "unk_score` are false for 0. Ask whether the piece is in the table.",
        ),
        Mistake(
            "never gets above its first value",
            lambda text, scores, unk_score, longest: [0] * len(text),
            "All your starts are 0, the value they begin with. If the best scores begin at 0, no "
            "total is higher, since scores are negative: begin at minus infinity, and only the "
            "empty beginning at 0.",
        ),
        Mistake(
            "takes the fewest pieces",
            _fewest_pieces,
            "Your code prefers paths with fewer pieces and looks at scores second. Unigram adds up "
            "scores alone: two common pieces may beat one rare one.",
        ),
        Mistake(
            "unknown letters cost nothing",
            _free_unknowns,
            "Your code counts an unknown letter as 0, better than any piece it knows, since scores "
            "are negative. It must cost unk_score, more than any known piece.",
        ),
        Mistake(
            "lets unknown pieces be long",
            _unknown_of_any_length,
            "Your code gives unk_score to unknown stretches of any length, so one unknown token "
            "swallows letters that are known. Only a single letter may be unknown.",
        ),
        Mistake(
            "has no way past an unknown letter",
            _no_unknowns,
            "Your code knows no path through a letter that is no piece, and everything behind it "
            "becomes unreachable. Such a letter is a step of one character that scores unk_score.",
        ),
        Mistake(
            "takes unknown letters for a last resort",
            _unknown_as_last_resort,
            "Your code lets a letter be unknown only where no piece ends. A piece that ends there "
            "may force worse pieces before it: let the unknown letter compete.",
        ),
        Mistake(
            "starts over at an unknown letter",
            _starts_over_at_unknowns,
            "Your code finds no path through a letter that is no piece, so behind it every start "
            "stays at its first value, 0: one huge piece. Such a letter is a step of one character "
            "that scores unk_score.",
        ),
        Mistake(
            "never tries the longest pieces",
            _misses_the_longest,
            "Your code looks back longest - 1 characters. A piece of `longest` letters that ends at "
            "`end` starts at end - longest, which the range must include.",
        ),
        Mistake(
            "multiplies log probabilities",
            _multiplies,
            "Your code multiplies the scores. They are logarithms: probabilities are multiplied, "
            "their logarithms are added, and minus times minus makes bad paths look good.",
        ),
        Mistake(
            "adds probabilities",
            _adds_probabilities,
            "Your code adds exp(score). The probability of a path is the product of its pieces', so "
            "its logarithm is the sum of the scores as they are.",
        ),
        Mistake(
            "takes the best average",
            _average_score,
            "Your code divides by the number of pieces. Then more pieces cost nothing, and words "
            "fall apart into common letters. Compare the sums.",
        ),
        Mistake(
            "returns lengths",
            _lengths_of_last_pieces,
            "Your code returns how long each last piece is. Return where it starts, counted from the "
            "beginning of the text.",
        ),
        Mistake(
            "one entry too many",
            _one_start_too_many,
            "Your code also returns an entry for the empty beginning. There is one start per "
            "character: entry i belongs to the first i + 1 characters.",
        ),
        Mistake(
            "returns the cuts of the whole text",
            _cuts_of_the_whole,
            "Your code follows the path back already and returns where its pieces start. Here every "
            "beginning of the text gets its own best start; walking back comes next.",
        ),
    ],
    accepts=[_best_path_with_infinities, _best_path_by_recursion, _best_path_by_costs],
)


def walk_back_cases(draw: random.Random) -> list[Case]:
    """Texts with a start for every end, as a search may leave them."""
    cases = [
        {"text": "a", "starts": [0]},
        {"text": "ab", "starts": [0, 0]},
        {"text": "ab", "starts": [0, 1]},
        {"text": "cab", "starts": [0, 1, 1]},
        {"text": "cabs", "starts": [0, 0, 1, 2]},
        {"text": "noon", "starts": [0, 1, 1, 2]},
    ]
    for _ in range(18):
        length = draw.randint(3, 9)
        starts = [draw.randint(max(0, end - 4), end) for end in range(length)]
        cases.append({"text": "".join(draw.choices("abcé", k=length)), "starts": starts})
    return cases


def walk_back_reference(text: str, starts: Sequence[int]) -> list[str]:
    """Ask tokenizers' Unigram, with a vocabulary in which each end has one piece leading to it."""
    from tokenizers.models import Unigram

    # Letters that are all different, so that a piece fits at one place only and no other path exists.
    letters = "".join(chr(0xE000 + index) for index in range(len(text)))
    pieces = [letters[start:end] for end, start in enumerate(starts, start=1)]
    model = Unigram([("<unk>", 0.0), *((piece, -0.1) for piece in pieces)], unk_id=0)
    cut, end = [], 0
    for token in model.tokenize(letters):
        cut.append(text[end : end + len(token.value)])
        end += len(token.value)
    return cut


def _back(text: str, starts: Sequence[int]) -> list[tuple[int, int]]:
    """Follow the starts from the end; the spans come last first."""
    spans, end = [], len(text)
    while end > 0:
        spans.append((starts[end - 1], end))
        end = starts[end - 1]
    return spans


def _left_reversed(text, starts):
    return [text[start:end] for start, end in _back(text, starts)]


def _reversed_as_text(text, starts):
    return [text[start:end][::-1] for start, end in _back(text, starts)][::-1]


def _cuts_at_every_start(text, starts):
    cuts = sorted({*starts, len(text)})
    return [text[start:end] for start, end in pairwise(cuts)]


def _a_piece_for_every_end(text, starts):
    return [text[start:end] for end, start in enumerate(starts, start=1)]


def _loses_the_first_piece(text, starts):
    pieces, end = [], len(text)
    while starts[end - 1] > 0:
        pieces.append(text[starts[end - 1] : end])
        end = starts[end - 1]
    return pieces[::-1]


def _last_piece_only(text, starts):
    return [text[: starts[-1]], text[starts[-1] :]] if starts[-1] else [text]


def _forwards(text: str, starts: Sequence[int], longest: bool) -> list[str]:
    pieces, start = [], 0
    while start < len(text):
        ends = [end for end in range(start + 1, len(text) + 1) if starts[end - 1] == start]
        if not ends:
            break
        end = ends[-1] if longest else ends[0]
        pieces.append(text[start:end])
        start = end
    return pieces


def _forwards_first(text, starts):
    return _forwards(text, starts, longest=False)


def _forwards_longest(text, starts):
    return _forwards(text, starts, longest=True)


def _one_end_too_early(text, starts):
    pieces, end = [], len(text)
    while end > 0:
        start = starts[end - 2] if end > 1 else 0
        pieces.append(text[start:end])
        end = start
    return pieces[::-1]


def _last_letter_twice(text, starts):
    return [text[start : end + 1] for start, end in _back(text, starts)][::-1]


def _positions(text, starts):
    return [start for start, _ in _back(text, starts)][::-1]


def _steps_by_letters(text, starts):
    pieces, end = [], len(text)
    while end > 0:
        pieces.append(text[starts[end - 1] : end])
        end -= 1
    return pieces[::-1]


def _walk_back_by_insert(text, starts):
    pieces, rest = [], text
    while rest:
        pieces.insert(0, rest[starts[len(rest) - 1] :])
        rest = rest[: starts[len(rest) - 1]]
    return pieces


def _walk_back_by_recursion(text, starts):
    if not text:
        return []
    cut = starts[len(text) - 1]
    return [*_walk_back_by_recursion(text[:cut], starts[:cut]), text[cut:]]


def _walk_back_by_cuts(text, starts):
    cuts = [len(text)]
    while cuts[-1] != 0:
        cuts.append(starts[cuts[-1] - 1])
    cuts.reverse()
    return tuple(text[a:b] for a, b in pairwise(cuts))


walk_back = Exercise(
    answer="minilm.tokenization.unigram:walk_back",
    lesson=LESSON,
    cases=walk_back_cases,
    reference=walk_back_reference,
    reference_name="tokenizers' Unigram",
    mistakes=[
        Mistake(
            "leaves the pieces in reverse",
            _left_reversed,
            "Your code returns the pieces in the order it found them, last first. The walk goes "
            "from the end to the beginning; a reader, and a model, goes the other way.",
        ),
        Mistake(
            "turns the letters round",
            _reversed_as_text,
            "Your code reverses the letters inside the pieces as well. Only the list of pieces is "
            "the wrong way round.",
        ),
        Mistake(
            "cuts at every start",
            _cuts_at_every_start,
            "Your code cuts wherever some beginning had its best start. Most of those lie on paths "
            "that lost: only the ones met on the way back from the end count.",
        ),
        Mistake(
            "a piece for every end",
            _a_piece_for_every_end,
            "Your code gives each end its best last piece, so the pieces overlap and spell more "
            "than the text. After a piece, go on at its start.",
        ),
        Mistake(
            "loses the first piece",
            _loses_the_first_piece,
            "Your code stops when a piece starts at 0, before keeping that piece, so the beginning "
            "of the text is gone. Stop when `end` is 0.",
        ),
        Mistake(
            "cuts once",
            _last_piece_only,
            "Your code splits off the last piece and leaves the rest whole. The rest has its own "
            "best last piece: look it up, and again, until nothing is left.",
        ),
        Mistake(
            "walks forwards to the nearest end",
            _forwards_first,
            "Your code starts at 0 and takes the first piece that begins there. Which of them lies "
            "on the best path is known only from the end: that is why one walks back.",
        ),
        Mistake(
            "walks forwards to the farthest end",
            _forwards_longest,
            "Your code starts at 0 and takes the longest piece that begins there. Which of them "
            "lies on the best path is known only from the end: that is why one walks back.",
        ),
        Mistake(
            "reads the entry before",
            _one_end_too_early,
            "Your code reads starts[end - 2]. Entry i belongs to the first i + 1 characters, so the "
            "piece that ends at `end` starts at starts[end - 1].",
        ),
        Mistake(
            "takes the next letter along",
            _last_letter_twice,
            "Your code slices to end + 1, so letters at the seams come twice. In Python text[a:b] "
            "leaves out b, and that is what is wanted here.",
        ),
        Mistake(
            "returns positions",
            _positions,
            "Your code returns where the pieces start. Return the pieces themselves, cut from the "
            "text.",
        ),
    ],
    accepts=[_walk_back_by_insert, _walk_back_by_recursion, _walk_back_by_cuts],
)
