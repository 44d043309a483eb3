"""One step of beam search, by hand and against loops."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from minilm.generation import beam


@pytest.mark.parametrize(("batch", "n_beams", "vocab", "n_best"), [(1, 1, 5, 2), (3, 4, 7, 8)])
def test_the_best_continuations_are_those_of_a_loop_over_all(batch, n_beams, vocab, n_best):
    torch.manual_seed(0)
    log_probs = torch.randn(batch, n_beams, vocab).log_softmax(-1)
    scores = -torch.rand(batch, n_beams) * 3
    got = beam.best_continuations(log_probs, scores, n_best)
    for row in range(batch):
        everything = [
            (float(scores[row, b] + log_probs[row, b, t]), b, t)
            for b, t in itertools.product(range(n_beams), range(vocab))
        ]
        expected = sorted(everything, reverse=True)[:n_best]
        found = zip(*(each[row].tolist() for each in got), strict=True)
        for (score, b, t), (s, beam_number, token) in zip(expected, found, strict=True):
            assert (b, t) == (beam_number, token)
            assert s == pytest.approx(score, abs=1e-6)


def test_a_beam_goes_on_only_if_it_does_not_end():
    scores = torch.tensor([[-1.0, -2.0, -3.0, -4.0]])
    ends = torch.tensor([[True, False, True, False]])
    go_on, _, _ = beam.beam_step(scores, ends, 2, 1, 1.0)
    assert go_on.tolist() == [[1, 3]]


def test_a_text_is_finished_only_among_the_best_n():
    scores = torch.tensor([[-1.0, -2.0, -3.0, -4.0], [-1.0, -1.5, -2.0, -9.0]])
    ends = torch.tensor([[True, False, True, True], [False, False, False, True]])
    _, finished, final = beam.beam_step(scores, ends, 2, 1, 1.0)
    assert finished.tolist() == [[True, False, False, False], [False] * 4]
    assert final[0, 0] == -1.0
    assert (final[~finished] < -9e8).all()


@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 0.5, 2.0])
def test_a_finished_text_is_judged_by_its_length(length_penalty):
    scores, ends = torch.tensor([[-6.0, -8.0]]), torch.tensor([[True, True]])
    _, _, final = beam.beam_step(scores, ends, 2, 4, length_penalty)
    expected = [-6.0 / 4**length_penalty, -8.0 / 4**length_penalty]
    assert final[0].tolist() == pytest.approx(expected)


def test_what_a_step_is_given_stays_as_it_is():
    scores, ends = torch.tensor([[-6.0, -8.0]]), torch.tensor([[True, False]])
    beam.beam_step(scores, ends, 1, 4, 1.0)
    assert scores.tolist() == [[-6.0, -8.0]]
    assert ends.tolist() == [[True, False]]


def test_a_beam_may_improve_if_it_would_be_better_than_the_worst_of_those_finished():
    running, worst = torch.tensor([-4.0, -4.0]), torch.tensor([-1.9, -2.1])
    assert beam.may_improve(running, worst, 2, 1.0).tolist() == [False, True]
    assert beam.may_improve(running, worst, 4, 1.0).tolist() == [True, True]
    assert beam.may_improve(running, worst, 4, -1.0).tolist() == [False, False]


def test_as_many_beams_as_there_are_texts_find_the_most_probable_one(pair, prompts):
    from minilm.generation.generate import generate

    model, _ = pair("gpt2")
    ids, _ = prompts(1, 3)
    got = generate(
        model,
        ids,
        num_beams=361,
        num_return_sequences=5,
        max_new_tokens=2,
        length_penalty=0.0,
        pad_token_id=18,
        return_dict_in_generate=True,
        output_scores=True,
    )
    with torch.no_grad():
        first = model(ids).logits[0, -1].log_softmax(-1)
        both = {
            (a, b): float(first[a] + second)
            for a in range(19)
            for b, second in enumerate(
                model(torch.cat([ids, torch.tensor([[a]])], 1)).logits[0, -1].log_softmax(-1)
            )
        }
    expected = sorted(both, key=both.__getitem__, reverse=True)[:5]
    assert [tuple(row) for row in got.sequences[:, 3:].tolist()] == expected
    wanted = [both[text] for text in expected]
    assert got.sequences_scores.tolist() == pytest.approx(wanted, abs=1e-5)
    assert not math.isclose(wanted[0], wanted[1])
