"""What is drawn is drawn with the right probabilities, counted against every text there can be."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from minilm.generation import filters, loop
from minilm.generation.generate import generate

WORDS = 4
DRAWS = 6000
PROMPT = [1, 3]


def softmax(scores: list[float]) -> list[float]:
    exps = [math.exp(s - max(scores)) for s in scores]
    return [e / sum(exps) for e in exps]


def entropy(p: list[float]) -> float:
    return -sum(q * math.log(q) for q in p if q)


def only(p: list[float], keep: set[int]) -> list[float]:
    total = sum(p[i] for i in keep)
    return [p[i] / total if i in keep else 0.0 for i in range(len(p))]


def by_probability(p: list[float]) -> list[int]:
    return sorted(range(len(p)), key=lambda i: -p[i])


def top_p(p: list[float], share: float) -> list[float]:
    keep: set[int] = set()
    for i in by_probability(p):
        if sum(p[j] for j in keep) >= share:
            break
        keep.add(i)
    return only(p, keep)


def typical(p: list[float], share: float) -> list[float]:
    keep: set[int] = set()
    for i in sorted(range(len(p)), key=lambda i: abs(-math.log(p[i]) - entropy(p))):
        if sum(p[j] for j in keep) >= share:
            break
        keep.add(i)
    return only(p, keep)


def top_h(p: list[float], share: float) -> list[float]:
    keep, so_far = set(), 0.0
    for i in by_probability(p):
        so_far -= p[i] * math.log(p[i])
        if keep and so_far > share * entropy(p):
            break
        keep.add(i)
    return only(p, keep)


def above(p: list[float], least: float) -> list[float]:
    return only(p, {i for i in range(len(p)) if p[i] >= least} | {by_probability(p)[0]})


def penalized(scores: list[float], text: list[int], penalty: float) -> list[float]:
    changed = [s * penalty if s < 0 else s / penalty for s in scores]
    return [changed[i] if i in text else scores[i] for i in range(len(scores))]


# Settings → the probabilities that follow from scores and the text so far, by definition.
BY_DEFINITION = {
    "nothing": ({}, lambda s, text: softmax(s)),
    "temperature": ({"temperature": 0.6}, lambda s, text: softmax([x / 0.6 for x in s])),
    "top_k": ({"top_k": 2}, lambda s, text: only(softmax(s), set(by_probability(softmax(s))[:2]))),
    "top_p": ({"top_p": 0.7}, lambda s, text: top_p(softmax(s), 0.7)),
    "min_p": ({"min_p": 0.4}, lambda s, text: above(softmax(s), 0.4 * max(softmax(s)))),
    "typical_p": ({"typical_p": 0.6}, lambda s, text: typical(softmax(s), 0.6)),
    "top_h": ({"top_h": 0.6}, lambda s, text: top_h(softmax(s), 0.6)),
    "epsilon_cutoff": ({"epsilon_cutoff": 0.2}, lambda s, text: above(softmax(s), 0.2)),
    "eta_cutoff": (
        {"eta_cutoff": 0.6},
        lambda s, text: above(
            softmax(s), min(0.6, math.sqrt(0.6) * math.exp(-entropy(softmax(s))))
        ),
    ),
    "repetition_penalty": (
        {"repetition_penalty": 1.8},
        lambda s, text: softmax(penalized(s, text, 1.8)),
    ),
    "suppress_tokens": (
        {"suppress_tokens": [2]},
        lambda s, text: only(softmax(s), {0, 1, 3}),
    ),
    "temperature, then top_p": (
        {"temperature": 1.7, "top_p": 0.8},
        lambda s, text: top_p(softmax([x / 1.7 for x in s]), 0.8),
    ),
}


@pytest.fixture
def four_words(pair):
    model, _ = pair("llama", 4, vocab_size=WORDS, bos_token_id=None)
    return model


def largest_chi_squared(degrees: int) -> float:
    """What chi-squared exceeds once in a million times (Wilson and Hilferty 1931)."""
    share = 2 / (9 * degrees)
    return degrees * (1 - share + 4.753 * math.sqrt(share)) ** 3


def texts_by_definition(model, probabilities) -> dict[tuple[int, int], float]:
    """Every text of two new words, with its probability."""

    def next_word(text: list[int]) -> list[float]:
        scores = model(torch.tensor([text])).logits[0, -1].tolist()
        return probabilities(scores, text)

    first = next_word(PROMPT)
    found = {}
    for one, two in itertools.product(range(WORDS), repeat=2):
        if first[one]:
            found[one, two] = first[one] * next_word([*PROMPT, one])[two]
    return found


@pytest.mark.parametrize("name", list(BY_DEFINITION))
@torch.no_grad()
def test_texts_are_drawn_as_often_as_they_are_likely(four_words, name):
    settings, probabilities = BY_DEFINITION[name]
    expected = texts_by_definition(four_words, probabilities)
    assert math.isclose(sum(expected.values()), 1.0, rel_tol=1e-5)
    settings = {"top_k": 0, "repetition_penalty": 1.0, **settings}
    drawn = generate(
        four_words,
        torch.tensor([PROMPT]),
        do_sample=True,
        max_new_tokens=2,
        num_return_sequences=DRAWS,
        generator=torch.Generator().manual_seed(1),
        **settings,
    )
    counts = dict.fromkeys(expected, 0)
    for one, two in drawn[:, -2:].tolist():
        assert expected.get((one, two), 0) > 0, "a text that cannot be was drawn"
        counts[one, two] += 1
    possible = {text: p for text, p in expected.items() if p > 0}
    assert sum(p * DRAWS >= 5 for p in possible.values()) >= 3, "the test would see nothing"
    chi_squared = sum((counts[t] - p * DRAWS) ** 2 / (p * DRAWS) for t, p in possible.items())
    assert chi_squared < largest_chi_squared(len(possible) - 1)


def test_filters_cut_what_they_say_on_a_distribution_that_fits_on_a_page():
    scores = torch.tensor([[0.5, 0.3, 0.1, 0.06, 0.04]]).log()

    def kept(filtered: torch.Tensor) -> list[int]:
        return filtered.isfinite().nonzero()[:, 1].tolist()

    assert kept(filters.keep_top_k(scores, 2)) == [0, 1]
    assert kept(filters.keep_top_p(scores, 0.81)) == [0, 1, 2]  # the one that crosses stays
    assert kept(filters.keep_top_p(scores, 0.0)) == [0]
    assert kept(filters.keep_min_p(scores, 0.15)) == [0, 1, 2]
    tied = torch.tensor([[1.0, 2.0, 2.0, 0.0]])
    assert kept(filters.keep_top_k(tied, 1)) == [1, 2]  # as likely as the last: stays too
    colder = filters.with_temperature(scores, 0.5).softmax(-1)
    assert torch.allclose(colder[0, :2], torch.tensor([0.25, 0.09]) / 0.3552, atol=1e-4)
    text = torch.tensor([[1, 1, 2, 4]])  # 4 = V: padding
    got = filters.penalize_repetition(text, torch.tensor([[1.0, 1.0, -1.0, 2.0]]), 2.0)
    assert got.tolist() == [[1.0, 0.5, -2.0, 2.0]]
    again = filters.forbid_repeated_ngrams(torch.tensor([[0, 1, 2, 0, 1]]), tied, 3)
    assert kept(again) == [0, 1, 3]


def test_one_draw_a_step_for_the_whole_batch():
    """The same seed leaves torch's generator where one multinomial leaves it."""
    scores = torch.randn(5, 7)
    torch.manual_seed(3)
    chosen = loop.choose_next(scores, do_sample=True)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(chosen, torch.multinomial(scores.softmax(-1), 1)[:, 0])
    assert torch.equal(after, torch.rand(1))
    torch.manual_seed(3)
    loop.choose_next(scores)  # greedy draws nothing
    first = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(first, torch.rand(1))


def test_a_generator_of_ones_own_is_drawn_with_alone():
    scores = torch.randn(5, 7)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    one = loop.choose_next(scores, True, torch.Generator().manual_seed(9))
    two = loop.choose_next(scores, True, torch.Generator().manual_seed(9))
    assert torch.equal(one, two)
    assert torch.equal(before, torch.random.get_rng_state())


def test_finished_rows_get_padding_and_the_loop_ends_with_the_last():
    planned = torch.tensor([[5, 2, 5, 5], [5, 5, 2, 5], [2, 5, 5, 5]])
    seen = []

    def next_scores(ids: torch.Tensor) -> torch.Tensor:
        seen.append(ids.clone())
        return torch.nn.functional.one_hot(planned[:, ids.shape[1] - 1], 8).float()

    written = loop.write_tokens(
        torch.tensor([[1], [1], [1]]),
        next_scores,
        lambda scores: scores.argmax(-1),
        lambda ids: ids[:, -1] == 2,
        pad_token_id=0,
    )
    assert written.tolist() == [[1, 5, 2, 0], [1, 5, 5, 2], [1, 2, 0, 0]]
    assert [each.shape[1] for each in seen] == [1, 2, 3]
    # A row whose padding looks like no end stays finished.
    assert (written[:, -1] == 2).tolist() == [False, True, False]


def test_without_padding_finished_rows_go_on_as_they_like():
    written = loop.write_tokens(
        torch.tensor([[1], [1]]),
        lambda ids: torch.eye(8)[ids[:, -1] + torch.tensor([1, 2])],
        lambda scores: scores.argmax(-1),
        lambda ids: ids[:, -1] >= 4,
    )
    assert written.tolist() == [[1, 2, 3, 4], [1, 3, 5, 7]]
