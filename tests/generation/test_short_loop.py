"""The short loop writes what the plain one writes, and steps aside for a reader's."""

from __future__ import annotations

import functools

import pytest
import torch

from minilm.generation import beam, loop, short_loop
from minilm.generation.criteria import (
    EosTokenCriteria,
    MaxLengthCriteria,
    MaxTimeCriteria,
    StoppingCriteriaList,
)
from minilm.generation.generate import generate


@pytest.mark.parametrize("seed", range(10))
def test_the_same_tokens_are_drawn_as_by_multinomial(seed):
    scores = torch.randn(4, 50, generator=torch.Generator().manual_seed(seed)) * 3
    scores[:, ::7] = -torch.inf
    plain, quick = (torch.Generator().manual_seed(seed) for _ in range(2))
    for _ in range(5):
        expected = loop.choose_next(scores, True, plain)
        assert torch.equal(short_loop.draw(scores, quick), expected)
    assert torch.equal(plain.get_state(), quick.get_state())


@pytest.mark.parametrize("bad", [-torch.inf, torch.nan, torch.inf])
def test_scores_without_a_distribution_are_refused(bad):
    scores = torch.zeros(2, 5)
    scores[1] = bad
    with pytest.raises(RuntimeError):
        short_loop.draw(scores)


def test_criteria_have_a_short_form_if_they_are_the_usual_ones():
    length, ends = MaxLengthCriteria(9), EosTokenCriteria([2, 4])
    found = short_loop.Ends.of(StoppingCriteriaList([length, ends]))
    assert found.max_length == 9
    assert found.rows(torch.tensor([1, 4, 2])).tolist() == [False, True, True]
    assert found.rows(torch.tensor([1, 3, 5])) is None
    assert found.rows(torch.tensor([4])).tolist() == [True]
    assert found.rows(torch.tensor([5])) is None

    class Own(EosTokenCriteria):
        pass

    for others in ([length, Own(2)], [length, MaxTimeCriteria(9.0)], [ends]):
        assert short_loop.Ends.of(StoppingCriteriaList(others)) is None
    assert short_loop.Ends.of([MaxLengthCriteria(9, max_position_embeddings=8)]) is None
    assert short_loop.Ends.of([MaxLengthCriteria(9, max_position_embeddings=9)]) is not None


def replaced(module, name, monkeypatch):
    """Put a reader's function in place of minilm's; returns the list of its calls."""
    own, calls = getattr(module, name), []

    @functools.wraps(own)
    def readers(*given, **named):
        calls.append(name)
        return own(*given, **named)

    monkeypatch.setattr(module, name, readers)
    return calls


WAYS = [
    (loop, "write_tokens", {}),
    (loop, "write_tokens", {"do_sample": True}),
    (loop, "choose_next", {"do_sample": True}),
    (beam, "beam_step", {"num_beams": 3}),
    (beam, "may_improve", {"num_beams": 4, "early_stopping": "never"}),
    (beam, "beam_step", {"num_beams": 3, "do_sample": True}),
]


@pytest.mark.parametrize(("module", "name", "settings"), WAYS)
def test_a_readers_function_is_called_and_the_text_is_the_same(
    pair, prompts, module, name, settings, monkeypatch
):
    model = pair("llama")[0]
    ids, mask = prompts(3, 5, padding=(0, 2, 1))
    for seed in range(4):
        how = {"max_new_tokens": 12, "eos_token_id": [3 + seed, 7], "pad_token_id": 0, **settings}
        monkeypatch.undo()
        torch.manual_seed(seed)
        ours = generate(model, ids, attention_mask=mask, **how)
        calls = replaced(module, name, monkeypatch)
        torch.manual_seed(seed)
        assert torch.equal(generate(model, ids, attention_mask=mask, **how), ours)
        assert calls
