"""Beam search, and its outputs, as in transformers; and where transformers is wrong."""

from __future__ import annotations

import itertools

import pytest
import torch

from minilm.errors import InvalidInput
from minilm.generation.criteria import StoppingCriteria
from minilm.generation.generate import generate

SCORES = 1e-4
ALL = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}


def settings_of(**others):
    return {"max_new_tokens": 6, "pad_token_id": 18, "num_beams": 3, **others}


@pytest.mark.parametrize("early_stopping", [False, True, "never"])
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 2.0])
def test_length_penalty_and_early_stopping_are_those_of_transformers(
    length_penalty, early_stopping, pair, prompts
):
    for family, eos, seed in itertools.product(["gpt2", "llama"], [2, [3, 5, 8]], [0, 1]):
        ours, theirs = pair(family, seed)
        ids, mask = prompts(5, 4, (0, 2, 0, 3), seed=seed)
        how = settings_of(
            attention_mask=mask,
            eos_token_id=eos,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
            num_return_sequences=3,
            **ALL,
        )
        expected, got = theirs.generate(ids, **how), generate(ours, ids, **how)
        assert torch.equal(got.sequences, expected.sequences)
        assert torch.equal(got.beam_indices, expected.beam_indices)
        assert got.beam_indices.dtype == expected.beam_indices.dtype
        torch.testing.assert_close(
            got.sequences_scores, expected.sequences_scores, rtol=0, atol=SCORES
        )
        for name in ("scores", "logits"):
            pairs = zip(getattr(got, name), getattr(expected, name), strict=True)
            for one, other in pairs:
                torch.testing.assert_close(one, other, rtol=1e-5, atol=SCORES)


def test_some_of_these_texts_end_early_and_some_do_not(pair, prompts):
    ours, _ = pair("llama", 0)
    ids, mask = prompts(5, 4, (0, 2, 0, 3))
    how = settings_of(attention_mask=mask, eos_token_id=[3, 5, 8], num_return_sequences=3)
    got = generate(ours, ids, **how)[:, 4:]
    lengths = (got != 18).sum(1)
    assert 1 <= lengths.min() < lengths.max() <= 6


def test_attentions_and_hidden_states_are_those_of_transformers(pair, prompts):
    ours, theirs = pair("llama")
    theirs.set_attn_implementation("eager")
    try:
        ids, mask = prompts(2, 4, (0, 2))
        how = settings_of(attention_mask=mask, eos_token_id=2, **ALL)
        how |= {"output_attentions": True, "output_hidden_states": True}
        expected, got = theirs.generate(ids, **how), generate(ours, ids, **how)
    finally:
        theirs.set_attn_implementation("sdpa")
    real = mask.bool().repeat_interleave(3, 0)  # (6, 4)
    for name in ("attentions", "hidden_states"):
        steps = zip(getattr(got, name), getattr(expected, name), strict=True)
        for number, (one, other) in enumerate(steps):
            assert len(one) == len(other)
            for a, b in zip(one, other, strict=True):
                assert a.shape == b.shape
                if number == 0:  # what padding sees is nobody's business
                    rows = real[:, None, :, None] if a.ndim == 4 else real[:, :, None]
                    a, b = a * rows, b * rows
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_padding_is_the_padding_token_where_it_is_0_and_in_transformers_the_end(pair, prompts):
    ours, theirs = pair("llama", 0)
    ids, mask = prompts(5, 4, seed=1)
    how = {"num_beams": 3, "num_return_sequences": 3, "max_new_tokens": 6, "pad_token_id": 0}
    how |= {"attention_mask": mask, "eos_token_id": [3, 5, 8]}
    expected, got = theirs.generate(ids, **how), generate(ours, ids, **how)
    behind = torch.zeros_like(got, dtype=torch.bool)
    ends = torch.isin(got[:, 4:], torch.tensor([3, 5, 8])).int()
    behind[:, 4:] = (ends.cumsum(1) - ends) > 0
    assert behind.any()
    assert (got[behind] == 0).all()
    assert (expected[behind] == 3).all()
    assert torch.equal(got[~behind], expected[~behind])


def test_padding_on_the_left_changes_nothing(pair, prompts):
    for family in ("gpt2", "llama", "qwen2"):
        ours, _ = pair(family)
        ids, mask = prompts(2, 6, (0, 3), seed=4)
        how = settings_of(eos_token_id=2, **ALL)
        together = generate(ours, ids, attention_mask=mask, **how)
        alone = generate(ours, ids[1:, 3:], **how)
        length = alone.sequences.shape[1]
        assert torch.equal(together.sequences[1, 3 : 3 + length], alone.sequences[0])
        torch.testing.assert_close(
            together.sequences_scores[1:], alone.sequences_scores, rtol=0, atol=SCORES
        )


def test_beam_sampling_draws_from_a_generator_as_from_the_global_one(pair, prompts):
    ours, _ = pair("gpt2")
    ids, _ = prompts(2, 4)
    how = settings_of(do_sample=True, eos_token_id=2, temperature=1.3)
    torch.manual_seed(5)
    expected = generate(ours, ids, **how)
    before = torch.get_rng_state()
    got = generate(ours, ids, generator=torch.Generator().manual_seed(5), **how)
    assert torch.equal(got, expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_cache_makes_no_difference(pair, prompts):
    for family in ("gpt2", "mistral"):
        ours, _ = pair(family)
        ids, mask = prompts(2, 5, (2, 0))
        how = settings_of(attention_mask=mask, num_return_sequences=2)
        got = [generate(ours, ids, use_cache=use, **how) for use in (True, False)]
        assert torch.equal(*got)


def test_there_may_be_more_ends_than_other_tokens(pair):
    ours, _ = pair("gpt2", 3, vocab_size=4)
    ids = torch.tensor([[3, 3]])
    how = {"num_beams": 2, "max_new_tokens": 4, "pad_token_id": 3, "num_return_sequences": 2}
    got = generate(ours, ids, eos_token_id=[0, 1, 2], **how)
    assert got.shape[0] == 2
    assert not torch.equal(got[0], got[1])


def test_the_cache_of_the_caller_is_gone_on_from_and_stays_as_it_is(pair, prompts):
    ours, _ = pair("llama")
    ids, _ = prompts(2, 5)
    with torch.no_grad():
        cache = ours(ids[:, :3]).past_key_values
    kept = cache.layers[0].keys.clone()
    got = generate(ours, ids, past_key_values=cache, **settings_of())
    assert torch.equal(got, generate(ours, ids, **settings_of()))
    assert torch.equal(cache.layers[0].keys, kept)


class Interrupts(StoppingCriteria):
    """Somebody presses Ctrl-C while the n-th token is written."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, input_ids, scores=None, **more):
        self.n -= 1
        if self.n < 0:
            raise KeyboardInterrupt
        return torch.zeros(len(input_ids), dtype=torch.bool)


def test_an_interrupted_search_returns_what_there_is_if_asked_to(pair, prompts):
    ours, _ = pair("llama")
    ids, _ = prompts(2, 4)
    how = settings_of(on_interrupt="return", num_return_sequences=2, **ALL)
    got = generate(ours, ids, stopping_criteria=[Interrupts(2)], **how)
    expected = generate(ours, ids, **{**how, "max_new_tokens": 2})
    assert torch.equal(got.sequences, expected.sequences)
    assert len(got.scores) == 2
    at_once = generate(ours, ids, stopping_criteria=[Interrupts(0)], **how)
    assert torch.equal(at_once.sequences, ids.repeat_interleave(2, 0))
    with pytest.raises(KeyboardInterrupt):
        generate(ours, ids, stopping_criteria=[Interrupts(2)], **settings_of())


def test_beam_sampling_says_what_is_wrong_where_nothing_is_left_to_draw_from(pair, prompts):
    ours, _ = pair("gpt2")
    ids, _ = prompts(1, 3)
    with pytest.raises(InvalidInput, match="every token is forbidden"):
        generate(ours, ids, do_sample=True, suppress_tokens=list(range(19)), **settings_of())
