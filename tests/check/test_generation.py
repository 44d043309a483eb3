"""Lesson 08's catalogue: its references worked by hand, and answers that are in no list."""

from __future__ import annotations

import math
import textwrap

import pytest
import torch

from minilm.check import catalogue, installing, judging, messages
from minilm.check.catalogue import generation as lesson
from minilm.check.catalogue.generation.loops import Ends, Says, SecondBest
from minilm.check.keeping import loaded
from minilm.check.parameters import fit

EXERCISES = catalogue.all_exercises()
IMPORTS = """\
import math
import torch
import torch.nn.functional as F
from torch import Tensor

"""
OUT = -math.inf


def verdict(source):
    source = textwrap.dedent(source)
    name = source.partition("def ")[2].partition("(")[0]
    exercise, answer = EXERCISES[name], loaded(IMPORTS + source, "<cell>")[name]
    fitting, _ = fit(answer, installing.own(exercise))
    return judging.judge(exercise, fitting, in_place=True), answer


def ask(name, **case):
    return EXERCISES[name].reference(
        **{
            key: torch.tensor(value) if isinstance(value, list) else value
            for key, value in case.items()
        }
    )


# --- the references, worked by hand --------------------------------------------------------------


def test_the_lesson_asks_for_ten_functions_in_its_order():
    assert [exercise.name for exercise in lesson.EXERCISES][:2] == ["choose_next", "write_tokens"]
    assert len(lesson.EXERCISES) == 10
    assert {exercise.lesson for exercise in lesson.EXERCISES} == {"08_generation"}


def test_tokens_as_likely_as_the_last_one_kept_stay():
    assert ask("keep_top_k", scores=[[2.0, 1.0, 2.0]], top_k=1).tolist() == [[2.0, OUT, 2.0]]


def test_the_token_that_crosses_p_stays():
    shares = [[0.5, 0.3, 0.1, 0.06, 0.04]]
    kept = ask("keep_top_p", scores=torch.tensor(shares).log(), top_p=0.81)
    assert kept.isfinite().tolist() == [[True, True, True, False, False]]


def test_min_p_is_a_share_of_the_likeliest():
    kept = ask("keep_min_p", scores=torch.tensor([[0.5, 0.3, 0.2]]).log(), min_p=0.5)
    assert kept.isfinite().tolist() == [[True, True, False]]


def test_a_penalty_pushes_both_signs_down_once_and_passes_over_padding():
    found = ask(
        "penalize_repetition",
        input_ids=[[4, 0, 0, 1]],
        scores=[[2.0, -2.0, 1.0, -1.0]],
        penalty=2.0,
    )
    assert found.tolist() == [[1.0, -4.0, 1.0, -1.0]]


def test_a_row_that_has_finished_is_padded_until_the_last_has():
    found = ask(
        "write_tokens",
        input_ids=[[5], [6]],
        next_scores=Says(1, [[3, 7, 7], [8, 4, 3]]),
        choose=SecondBest(),
        has_finished=Ends([3], 9),
        pad_token_id=0,
    )
    assert found.tolist() == [[5, 3, 0, 0], [6, 8, 4, 3]]


def test_a_text_that_ends_below_the_best_is_not_finished():
    go_on, finished, final = ask(
        "beam_step",
        scores=[[-1.0, -1.5, -2.0, -3.0]],
        ends=[[False, True, True, False]],
        n_beams=2,
        length=2,
        length_penalty=1.0,
    )
    assert go_on.tolist() == [[0, 3]]
    assert finished.tolist() == [[False, True, False, False]]
    assert final[0, 1] == -0.75
    assert (final[0, [0, 2, 3]] < -1e8).all()


def test_what_followed_the_first_place_is_guessed():
    found = ask("look_up", input_ids=[1, 2, 7, 1, 2, 8, 1, 2], n_tokens=2, max_ngram_size=2)
    assert found.tolist() == [7, 1]
    assert ask("look_up", input_ids=[7, 8, 9], n_tokens=2, max_ngram_size=2).tolist() == []


def test_a_guess_that_the_model_never_writes_is_refused():
    for seed in range(10):
        found = ask(
            "accept_guesses",
            guesses=[0, 1],
            drawn_from=[[0.9, 0.1], [0.5, 0.5]],
            probs=[[0.0, 1.0], [0.5, 0.5], [0.5, 0.5]],
            seed=seed,
        )
        assert found.tolist() == [1]


# --- answers that are in no list -----------------------------------------------------------------

RIGHT = [
    """
    def choose_next(scores, do_sample=False, generator=None):
        if do_sample:
            return torch.multinomial(F.softmax(scores, dim=-1), num_samples=1, generator=generator).squeeze(1)
        return scores.max(dim=-1)[1]
    """,
    """
    def keep_top_k(scores, top_k):
        k = min(top_k, scores.size(-1))
        least = torch.kthvalue(scores, scores.size(-1) - k + 1, dim=-1, keepdim=True).values
        return torch.where(scores < least, torch.full_like(scores, -math.inf), scores)
    """,
    """
    def keep_top_p(scores, top_p):
        s, order = torch.sort(scores, descending=True)
        c = s.softmax(-1).cumsum(-1)
        away = c - s.softmax(-1) >= top_p
        s = s.masked_fill(away, -math.inf)
        return torch.empty_like(scores).scatter_(1, order, s)
    """,
    """
    def look_up(input_ids, n_tokens, max_ngram_size=2):
        ids = input_ids.tolist()
        for n in reversed(range(1, max_ngram_size + 1)):
            for i in range(len(ids) - n):
                if n < len(ids) and ids[i:i + n] == ids[-n:]:
                    return torch.tensor(ids[i + n:i + n + n_tokens], dtype=torch.long)
        return torch.tensor([], dtype=torch.long)
    """,
]
NAMED = [
    (
        """
        def keep_top_p(scores, top_p):
            s, order = torch.sort(scores, descending=True)
            away = s.softmax(-1).cumsum(-1) > top_p
            return scores.masked_fill(away.scatter(1, order, away), -math.inf)
        """,
        "drops the token that crosses",
    ),
    (
        """
        def keep_top_k(scores, top_k):
            top_k = min(top_k, scores.size(-1))
            values, places = scores.topk(top_k)
            return torch.full_like(scores, -math.inf).scatter(1, places, values)
        """,
        "breaks ties",
    ),
    (
        """
        def penalize_repetition(input_ids, scores, penalty):
            wide = F.pad(scores, (0, 1))
            wide.scatter_(1, input_ids, wide.gather(1, input_ids) / penalty)
            return wide[:, :-1]
        """,
        "divides negative scores too",
    ),
    (
        """
        def write_tokens(input_ids, next_scores, choose, has_finished, pad_token_id=None):
            done = torch.zeros(len(input_ids), dtype=torch.bool)
            while not done.all():
                t = choose(next_scores(input_ids))
                if pad_token_id is not None:
                    t = torch.where(done, pad_token_id, t)
                input_ids = torch.cat([input_ids, t[:, None]], 1)
                done = has_finished(input_ids)
            return input_ids
        """,
        "forgets who has finished",
    ),
    (
        """
        def accept_guesses(guesses, drawn_from, probs, generator=None):
            i = torch.arange(len(guesses))
            ok = torch.rand(len(guesses), generator=generator) <= probs[i, guesses] / drawn_from[i, guesses]
            n = 0
            while n < len(guesses) and ok[n]:
                n += 1
            return torch.cat([guesses[:n], torch.multinomial(probs[n], 1, generator=generator)])
        """,
        "redraws from all",
    ),
    (
        """
        def accept_guesses(guesses, drawn_from, probs, generator=None):
            kept, left = [], probs[-1]
            for i, g in enumerate(guesses.tolist()):
                if torch.rand((), generator=generator) > probs[i, g] / drawn_from[i, g]:
                    left = F.relu(probs[i] - drawn_from[i])
                    break
                kept.append(g)
            return torch.tensor(kept + torch.multinomial(left, 1, generator=generator).tolist())
        """,
        "throws one die after the other",
    ),
    (
        """
        def penalize_repetition(input_ids, scores, penalty):
            score = torch.gather(scores, 1, input_ids)
            score = torch.where(score < 0, score * penalty, score / penalty)
            return scores.scatter(1, input_ids, score)
        """,
        "has no place for padding",
    ),
]


@pytest.mark.parametrize("source", RIGHT)
def test_a_right_answer_in_no_list_is_right(source):
    found, answer = verdict(source)
    assert found.right, messages.wrong(found, answer)


@pytest.mark.parametrize(("source", "mistake"), NAMED, ids=[name for _, name in NAMED])
def test_the_mistake_that_is_named_is_the_one_that_was_made(source, mistake):
    found, _ = verdict(source)
    assert not found.right
    assert found.mistake is not None
    assert found.mistake.name == mistake


def test_who_writes_on_and_on_is_stopped():
    found, answer = verdict(
        """
        def write_tokens(input_ids, next_scores, choose, has_finished, pad_token_id=None):
            while True:
                input_ids = torch.cat([input_ids, choose(next_scores(input_ids))[:, None]], 1)
        """
    )
    assert not found.right
    assert "asked on and on" in messages.wrong(found, answer)
