"""Which guesses are kept: as in transformers, and so that no text becomes likelier than it was."""

from __future__ import annotations

import itertools

import pytest
import torch

from minilm.generation import assisted
from minilm.generation.generate import generate


@pytest.mark.parametrize(
    ("guesses", "chosen", "kept"),
    [
        ([4, 7, 9], [4, 7, 9, 2], [4, 7, 9, 2]),
        ([4, 7, 9], [4, 8, 9, 2], [4, 8]),  # what comes after a wrong guess is of no use
        ([4, 7, 9], [5, 7, 9, 2], [5]),
        ([], [3], [3]),
    ],
)
def test_guesses_are_kept_up_to_the_first_wrong_one(guesses, chosen, kept):
    guesses, chosen = (torch.tensor(ids, dtype=torch.int64) for ids in (guesses, chosen))
    assert assisted.keep_agreed(guesses, chosen).tolist() == kept


def test_guesses_are_accepted_as_by_transformers_with_the_same_seed():
    from transformers.generation.utils import _speculative_sampling

    lengths = set()
    for number in range(300):
        generator = torch.Generator().manual_seed(number)
        n, vocab = 1 + number % 5, 4 + number % 30
        guessed = torch.randn(1, n, vocab, generator=generator) * 2
        own = torch.randn(1, n + 1, vocab, generator=generator) * 2
        if number % 2:
            own[:, :n] = guessed + 0.2 * own[:, :n]
        ids = torch.randint(0, vocab, (1, n + 3), generator=generator)
        torch.manual_seed(number)
        expected, _ = _speculative_sampling(ids, guessed, n, own)
        state = torch.get_rng_state()
        torch.manual_seed(number)
        got = assisted.accept_guesses(ids[0, -n:], guessed[0].softmax(-1), own[0].softmax(-1))
        assert torch.equal(got, expected[0])
        assert torch.equal(torch.get_rng_state(), state)
        lengths.add((n, len(got)))
    assert {(3, 1), (3, 2), (3, 4), (5, 6)} <= lengths


def test_a_guess_that_was_drawn_from_the_models_own_probabilities_is_kept():
    probs = torch.rand(4, 6).softmax(-1)
    for seed in range(50):
        generator = torch.Generator().manual_seed(seed)
        guesses = torch.multinomial(probs[:3], 1, generator=generator)[:, 0]
        kept = assisted.accept_guesses(guesses, probs[:3], probs, generator)
        assert torch.equal(kept[:3], guesses)


def test_what_the_model_never_writes_is_never_kept():
    probs = torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    drawn_from = torch.tensor([[1.0, 0.0]])
    for seed in range(20):
        torch.manual_seed(seed)
        assert assisted.accept_guesses(torch.tensor([0]), drawn_from, probs).tolist() == [1]


def table(generator: torch.Generator, sharp: float) -> torch.Tensor:
    """Probabilities of the next of four tokens, by the one before, (4, 4)."""
    return (torch.randn(4, 4, generator=generator, dtype=torch.float64) * sharp).softmax(-1)


@pytest.mark.parametrize("sharp", [0.5, 2.0])
def test_texts_are_as_likely_with_guesses_as_without(sharp, chi_squared):
    generator = torch.Generator().manual_seed(1)
    model, guesser = table(generator, sharp), table(generator, sharp)
    expected = {
        text: float(model[0, text[0]] * model[text[0], text[1]] * model[text[1], text[2]])
        for text in itertools.product(range(4), repeat=3)
    }
    found = dict.fromkeys(expected, 0)
    n_kept = [0, 0, 0]
    for _ in range(8000):
        text = [0]
        while len(text) < 4:
            guesses = [text[-1]]
            for _ in range(min(2, 3 - len(text))):
                row = guesser[guesses[-1]]
                guesses.append(int(torch.multinomial(row, 1, generator=generator)))
            before = torch.tensor(guesses)
            kept = assisted.accept_guesses(
                before[1:], guesser[before[:-1]], model[before], generator
            )
            n_kept[len(kept) - 1] += 1
            text += kept.tolist()
        found[tuple(text[1:4])] += 1
    assert min(n_kept) > 100
    chi_squared(found, expected)


@pytest.mark.parametrize("guesser", ["assistant", "prompt lookup"])
def test_whole_calls_with_guesses_draw_from_the_right_distribution(
    guesser, pair, exact, chi_squared
):
    model, _ = pair("gpt2", 0, vocab_size=4)
    ids = torch.tensor([[1, 3, 2, 1]])
    how = {"do_sample": True, "top_k": 0, "max_new_tokens": 2, "pad_token_id": 0}
    if guesser == "assistant":
        how["assistant_model"], _ = pair("gpt2", 1, vocab_size=4)
    else:
        how["prompt_lookup_num_tokens"] = 1
    expected = exact(model, ids, 2)
    found = dict.fromkeys(expected, 0)
    generator = torch.Generator().manual_seed(2)
    for _ in range(400):
        got = generate(model, ids, generator=generator, **how)
        found[tuple(got[0, -2:].tolist())] += 1
    chi_squared(found, expected)
