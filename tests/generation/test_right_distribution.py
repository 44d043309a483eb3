"""Sampling draws from the right distribution: every text of a model of four tokens, counted."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from minilm.generation.generate import generate

DRAWS = 6000


def with_temperature(temperature):
    return lambda text, probs: probs ** (1 / temperature)


def only(keep):
    """A filter that keeps some tokens: those that keep(probs) says, as a list."""

    def change(text, probs):
        kept = keep(probs.tolist())
        return torch.tensor([p if i in kept else 0.0 for i, p in enumerate(probs.tolist())])

    return change


def by_rank(probs):
    return sorted(range(len(probs)), key=lambda i: -probs[i])


def top_k(k):
    return only(lambda probs: by_rank(probs)[:k])


def top_p(p):
    def keep(probs):
        kept, mass = [], 0.0
        for i in by_rank(probs):
            if mass >= p:
                break
            kept.append(i)
            mass += probs[i]
        return kept

    return only(keep)


def min_p(share):
    return only(lambda probs: [i for i, p in enumerate(probs) if p >= share * max(probs)])


def typical_p(mass):
    def keep(probs):
        entropy = -sum(p * math.log(p) for p in probs)
        kept, so_far = [], 0.0
        for i in sorted(range(len(probs)), key=lambda i: abs(-math.log(probs[i]) - entropy)):
            kept.append(i)
            so_far += probs[i]
            if so_far >= mass:
                break
        return kept

    return only(keep)


def epsilon(least):
    return only(lambda probs: [i for i, p in enumerate(probs) if p >= least or p == max(probs)])


def eta(cutoff):
    def keep(probs):
        entropy = -sum(p * math.log(p) for p in probs)
        least = min(cutoff, math.sqrt(cutoff) * math.exp(-entropy))
        return [i for i, p in enumerate(probs) if p >= least or p == max(probs)]

    return only(keep)


def top_h(share):
    def keep(probs):
        surprise = [-p * math.log(p) for p in probs]
        kept, so_far = [], 0.0
        for i in by_rank(probs):
            so_far += surprise[i]
            if kept and so_far > share * sum(surprise):
                break
            kept.append(i)
        return kept

    return only(keep)


def without_words(text, probs):
    """1 is forbidden, and 2 behind 3."""
    forbidden = {1, 2} if text[-1] == 3 else {1}
    return torch.tensor([0.0 if i in forbidden else p for i, p in enumerate(probs.tolist())])


def without_pairs(text, probs):
    """No pair of tokens comes twice."""
    there = set(itertools.pairwise(text))
    return torch.tensor(
        [0.0 if (text[-1], i) in there else p for i, p in enumerate(probs.tolist())]
    )


def without_repetition(penalty):
    """On log-probabilities it would be p ** penalty; on logits it depends on where 0 is."""

    def change(text, logits):
        return torch.stack(
            [
                (x * penalty if x < 0 else x / penalty) if i in text else x
                for i, x in enumerate(logits)
            ]
        )

    return change


FILTERS = {
    "nothing": ({}, None),
    "temperature below 1": ({"temperature": 0.6}, with_temperature(0.6)),
    "temperature above 1": ({"temperature": 1.8}, with_temperature(1.8)),
    "top-k": ({"top_k": 2}, top_k(2)),
    "top-p": ({"top_p": 0.7}, top_p(0.7)),
    "min-p": ({"min_p": 0.4}, min_p(0.4)),
    "typical": ({"typical_p": 0.6}, typical_p(0.6)),
    "epsilon": ({"epsilon_cutoff": 0.15}, epsilon(0.15)),
    "eta": ({"eta_cutoff": 0.3}, eta(0.3)),
    "top-h": ({"top_h": 0.7}, top_h(0.7)),
    "bad words": ({"bad_words_ids": [[1], [3, 2]]}, without_words),
    "no pair twice": ({"no_repeat_ngram_size": 2}, without_pairs),
    "suppressed": ({"suppress_tokens": [1]}, only(lambda probs: [0, 2, 3])),
    "temperature, then top-p": (
        {"temperature": 1.5, "top_p": 0.8},
        lambda text, probs: top_p(0.8)(text, probs ** (1 / 1.5) / (probs ** (1 / 1.5)).sum()),
    ),
}


@pytest.mark.parametrize("name", list(FILTERS))
def test_every_text_is_drawn_as_often_as_it_is_likely(name, pair, exact, chi_squared):
    settings, change = FILTERS[name]
    model, _ = pair("gpt2", 6, vocab_size=4)
    ids = torch.tensor([[1, 3]])
    expected = exact(model, ids, 3, change)
    got = generate(
        model,
        ids,
        do_sample=True,
        max_new_tokens=3,
        num_return_sequences=DRAWS,
        pad_token_id=0,
        generator=torch.Generator().manual_seed(0),
        **{"top_k": 0, **settings},
    )
    found = dict.fromkeys(expected, 0)
    for text in got[:, 2:].tolist():
        found[tuple(text)] += 1
    chi_squared(found, expected)
    if change is not None:  # the test can tell: without the filter it fails
        with pytest.raises(AssertionError):
            chi_squared(found, exact(model, ids, 3))


def test_repetition_is_drawn_as_often_as_its_penalty_leaves_it_likely(pair, exact, chi_squared):
    model, _ = pair("gpt2", 6, vocab_size=4)
    ids = torch.tensor([[1, 3]])
    punish = without_repetition(1.7)

    def change(text, probs):
        with torch.no_grad():
            logits = model(torch.tensor([text])).logits[0, -1]
        return punish(text, logits).softmax(-1)

    got = generate(
        model,
        ids,
        do_sample=True,
        top_k=0,
        repetition_penalty=1.7,
        max_new_tokens=3,
        num_return_sequences=DRAWS,
        pad_token_id=0,
        generator=torch.Generator().manual_seed(1),
    )
    expected = exact(model, ids, 3, change)
    found = dict.fromkeys(expected, 0)
    for text in got[:, 2:].tolist():
        found[tuple(text)] += 1
    chi_squared(found, expected)
    with pytest.raises(AssertionError):
        chi_squared(found, exact(model, ids, 3))
