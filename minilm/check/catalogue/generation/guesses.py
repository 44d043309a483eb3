"""The exercises look_up and accept_guesses, and their known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable

from minilm.check.catalogue.generation.common import LESSON
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch

# --- look_up -------------------------------------------------------------------------------------


def reference_look_up(input_ids, n_tokens, max_ngram_size=2):
    """What transformers' PromptLookupCandidateGenerator puts behind a text."""
    from transformers.generation.candidate_generator import PromptLookupCandidateGenerator

    generator = PromptLookupCandidateGenerator(None, n_tokens, max_ngram_size, max_length=10_000)
    return generator.get_candidates(input_ids[None])[0][0, len(input_ids) :]


def looking(
    sizes: Callable = lambda most, length: range(min(most, length - 1), 0, -1),
    place: Callable = lambda places: places[0],
    start: Callable = lambda place, size: place + size,
    last: int = 1,
) -> Callable:
    """A look_up that takes one of its steps in another way.

    last: how many of the last places are left out
    """

    def look(input_ids, n_tokens, max_ngram_size=2):
        ids = input_ids.tolist()
        for size in sizes(max_ngram_size, len(ids)):
            key = ids[len(ids) - size :]
            ends = range(len(ids) - size + 1 - last)
            places = [at for at in ends if ids[at : at + size] == key]
            if places:
                begin = start(place(places), size)
                return input_ids[begin : begin + n_tokens]
        return input_ids[:0]

    return look


def first_to_last(input_ids, n_tokens, max_ngram_size=2):
    return looking(place=lambda places: places[-1])(input_ids, n_tokens, max_ngram_size)


def all_the_rest(input_ids, n_tokens, max_ngram_size=2):
    return looking()(input_ids, len(input_ids), max_ngram_size)


def never_empty(input_ids, n_tokens, max_ngram_size=2):
    found = looking()(input_ids, n_tokens, max_ngram_size)
    return found if len(found) else input_ids[:n_tokens]


def with_the_text(input_ids, n_tokens, max_ngram_size=2):
    return torch.cat([input_ids, looking()(input_ids, n_tokens, max_ngram_size)])


def bag_of_tokens(input_ids, n_tokens, max_ngram_size=2):
    ids = input_ids.tolist()
    for size in range(min(max_ngram_size, len(ids) - 1), 0, -1):
        key = set(ids[-size:])
        for at in range(len(ids) - size):
            if set(ids[at : at + size]) == key:
                return input_ids[at + size : at + size + n_tokens]
    return input_ids[:0]


def by_windows(input_ids, n_tokens, max_ngram_size=2):
    length = len(input_ids)
    for size in range(max_ngram_size, 0, -1):
        if length <= size:
            continue
        same = (input_ids.unfold(0, size, 1)[:-1] == input_ids[-size:]).all(-1)
        if same.any():
            begin = int(same.int().argmax()) + size
            return input_ids[begin : min(begin + n_tokens, length)]
    return input_ids.new_empty(0)


def draw_texts(draw: random.Random) -> list[Case]:
    small = [
        ([7, 8, 7], 2, 2),
        ([7, 8, 9], 2, 2),
        ([5], 3, 2),
        ([5, 5], 3, 2),
        ([1, 2, 9, 3, 1, 2], 2, 2),
        ([2, 9, 1, 2, 8, 1, 2], 1, 2),
        ([1, 2, 7, 1, 2, 8, 1, 2], 1, 2),
        ([2, 1, 7, 1, 2, 8, 1, 2], 3, 2),
        ([4, 6, 3, 4, 5, 6, 3, 9, 5, 6, 3], 2, 3),
        ([1, 1, 1, 1], 4, 2),
    ]
    cases = [
        {"input_ids": torch.tensor(ids), "n_tokens": n, "max_ngram_size": size}
        for ids, n, size in small
    ]
    for length in (6, 8, 9, 11, 13, 15):
        ids = [draw.randint(1, 3) for _ in range(length)]
        n, size = draw.randint(1, 4), draw.randint(1, 3)
        cases.append({"input_ids": torch.tensor(ids), "n_tokens": n, "max_ngram_size": size})
    return cases


LOOK_UP = Exercise(
    answer="minilm.generation.candidates:look_up",
    lesson=LESSON,
    cases=draw_texts,
    reference=reference_look_up,
    reference_name="transformers' PromptLookupCandidateGenerator",
    mistakes=[
        Mistake(
            "finds the end itself",
            looking(last=0),
            "The last tokens are found where they are: at the end, with nothing behind them. Leave "
            "that place out, and look for earlier ones.",
        ),
        Mistake(
            "takes the last place",
            first_to_last,
            "It takes the latest earlier place. That may even be the better idea; transformers "
            "takes the first.",
        ),
        Mistake(
            "begins with the shortest",
            looking(sizes=lambda most, length: range(1, min(most, length - 1) + 1)),
            "A single token is looked for first, and is found nearly always. The longest comes "
            "first: more in common, a better guess.",
        ),
        Mistake(
            "looks for the longest only",
            looking(sizes=lambda most, length: [most] if length > most else []),
            "Where max_ngram_size tokens are not found, it gives up. Fewer, down to 1, are tried "
            "as well.",
        ),
        Mistake(
            "does not try single tokens",
            looking(sizes=lambda most, length: range(min(most, length - 1), 1, -1)),
            "It stops at pairs: the range ends one too early. A single token is tried at last.",
        ),
        Mistake(
            "guesses the key again",
            looking(start=lambda place, size: place),
            "The guess begins at the place that was found, with the tokens that have just been "
            "written. It begins *behind* them.",
        ),
        Mistake(
            "guesses from the second token of the key",
            looking(start=lambda place, size: place + 1),
            "The guess begins one token behind the place, whatever the size. With a key of n tokens "
            "it begins n behind.",
        ),
        Mistake(
            "skips a token",
            looking(start=lambda place, size: place + size + 1),
            "The guess begins one token too late: what directly followed is left out, and every "
            "guess is off by one.",
        ),
        Mistake(
            "guesses all the rest",
            all_the_rest,
            "Everything behind the place is guessed. n_tokens is the most: each guess costs the "
            "model some work.",
        ),
        Mistake(
            "always guesses",
            never_empty,
            "Where nothing is found, the beginning of the text is guessed. An empty answer is "
            "cheaper: the model then writes one token as ever.",
        ),
        Mistake(
            "returns the text too",
            with_the_text,
            "The text comes back with the guess behind it. Only the guess is asked for.",
        ),
        Mistake(
            "passes over the order",
            bag_of_tokens,
            "It looks for the same tokens in any order. `b a` is not `a b`, and something else "
            "follows.",
        ),
    ],
    accepts=[looking(), by_windows],
)

# --- accept_guesses ------------------------------------------------------------------------------


def reference_acceptance(guesses, drawn_from, probs, seed=0):
    """transformers' own rule; it takes logits, and probabilities' logarithms are some."""
    from transformers.generation.utils import _speculative_sampling

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokens, _ = _speculative_sampling(
            guesses[None], drawn_from.log()[None], len(guesses), probs.log()[None]
        )
    return tokens[0]


def use_acceptance(function, guesses, drawn_from, probs, seed=0):
    """What is kept with a generator of that seed."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)  # another one, for whoever passes the generator over
        return function(guesses=guesses, drawn_from=drawn_from, probs=probs, generator=generator)


def remainder(p, q):
    left = (p - q).clamp(min=0)
    return left / left.sum() if left.any() else p


def accepting(
    ratio: Callable = lambda p, q: p / q,
    count: Callable = lambda accepted: int(accepted.long().cumprod(0).sum()),
    left: Callable = remainder,
    more: Callable = lambda p, left: p,
    accept: Callable = lambda dice, ratio: dice <= ratio,
) -> Callable:
    """An accept_guesses that takes one of its steps in another way."""

    def keep(guesses, drawn_from, probs, generator=None):
        G = len(guesses)
        each = torch.arange(G)
        ratios = ratio(probs[each, guesses], drawn_from[each, guesses])
        accepted = accept(torch.rand(G, generator=generator), ratios)
        n = count(accepted)
        share = left(probs[n], drawn_from[n]) if n < G else more(probs[n], None)
        one = torch.multinomial(share, 1, generator=generator)
        return torch.cat([guesses[:n], one])

    return keep


def without_the_generator(guesses, drawn_from, probs, generator=None):
    return accepting()(guesses, drawn_from, probs, None)


def one_die(guesses, drawn_from, probs, generator=None):
    return accepting(accept=lambda dice, ratio: dice[0] <= ratio)(
        guesses, drawn_from, probs, generator
    )


def one_after_the_other(guesses, drawn_from, probs, generator=None):
    for n, token in enumerate(guesses):
        ratio = probs[n, token] / drawn_from[n, token]
        if torch.rand(1, generator=generator) > ratio:
            share = remainder(probs[n], drawn_from[n])
            break
    else:
        n, share = len(guesses), probs[-1]
    return torch.cat([guesses[:n], torch.multinomial(share, 1, generator=generator)])


def by_agreement(guesses, drawn_from, probs, generator=None):
    n = int((guesses == probs[:-1].argmax(-1)).long().cumprod(0).sum())
    return torch.cat([guesses[:n], probs[n].argmax()[None]])


def without_one_more(guesses, drawn_from, probs, generator=None):
    found = accepting()(guesses, drawn_from, probs, generator)
    return found[: len(guesses)]


def redrawn_behind(guesses, drawn_from, probs, generator=None):
    G = len(guesses)
    each = torch.arange(G)
    ratios = probs[each, guesses] / drawn_from[each, guesses]
    n = int((torch.rand(G, generator=generator) <= ratios).long().cumprod(0).sum())
    share = probs[min(n + 1, G)]
    return torch.cat([guesses[:n], torch.multinomial(share, 1, generator=generator)])


def by_loop(guesses, drawn_from, probs, generator=None):
    dice, kept = torch.rand(len(guesses), generator=generator).tolist(), []
    for i, token in enumerate(guesses.tolist()):
        if dice[i] * drawn_from[i, token] > probs[i, token]:
            left = torch.relu(probs[i] - drawn_from[i])
            break
        kept.append(token)
    else:
        left = probs[-1]
    return torch.tensor([*kept, int(torch.multinomial(left / left.sum(), 1, generator=generator))])


def distribution(draw: random.Random, size: int):
    shares = [draw.choice([1, 1, 2, 3, 5, 8]) for _ in range(size)]
    return [round(share / sum(shares), 3) for share in shares]


def draw_guesses(draw: random.Random) -> list[Case]:
    cases: list[Case] = [
        {
            "guesses": torch.tensor([0]),
            "drawn_from": torch.tensor([[0.9, 0.1]]),
            "probs": torch.tensor([[0.1, 0.9], [0.5, 0.5]]),
            "seed": seed,
        }
        for seed in (1, 2)
    ]
    sizes = [(1, 3), (2, 3), (2, 4), (3, 4), (3, 5), (4, 5), (4, 6), (5, 4), (3, 6), (2, 5)] * 2
    for n, size in sizes:
        q = [distribution(draw, size) for _ in range(n)]
        p = [distribution(draw, size) for _ in range(n + 1)]
        guesses = [draw.choices(range(size), row)[0] for row in q]
        cases.append(
            {
                "guesses": torch.tensor(guesses),
                "drawn_from": normalised(q),
                "probs": normalised(p),
                "seed": draw.randrange(1000),
            }
        )
    return cases


def normalised(rows):
    table = torch.tensor(rows)
    return table / table.sum(-1, keepdim=True)


ACCEPT_GUESSES = Exercise(
    answer="minilm.generation.assisted:accept_guesses",
    lesson=LESSON,
    cases=draw_guesses,
    reference=reference_acceptance,
    use=use_acceptance,
    reference_name="transformers' _speculative_sampling with the same seed",
    mistakes=[
        Mistake(
            "counts what is accepted after a refusal",
            accepting(count=lambda accepted: int(accepted.sum())),
            "All accepted guesses are counted, those behind a refused one as well. They were "
            "guessed as the continuation of a text that is not written. Stop at the first refusal.",
        ),
        Mistake(
            "has the ratio upside down",
            accepting(ratio=lambda p, q: q / p),
            "The guesser's probability is divided by the model's: what the model holds for "
            "unlikely is kept. It is probs / drawn_from.",
        ),
        Mistake(
            "takes the model's probability for the ratio",
            accepting(ratio=lambda p, q: p),
            "A guess is kept with the model's probability alone. The guesser drew it with "
            "probability q already, so it would come q · p often. Divide by q.",
        ),
        Mistake(
            "redraws from all",
            accepting(left=lambda p, q: p),
            "After a refusal it draws from the model's distribution. Tokens that were guessed often "
            "have had their chance; only what is left, (p − q)+, is to be given out.",
        ),
        Mistake(
            "redraws what is below zero too",
            accepting(left=lambda p, q: (p - q).abs()),
            "The absolute difference gives tokens a second chance that the guesser proposes too "
            "often. Cut at 0: clamp(min=0).",
        ),
        Mistake(
            "redraws from the wrong side",
            accepting(left=lambda p, q: remainder(q, p)),
            "q − p is what the guesser proposes too often. What the model wants more often is "
            "p − q.",
        ),
        Mistake(
            "subtracts after all were accepted",
            accepting(more=lambda p, _: remainder(p, torch.full_like(p, 1 / len(p)))),
            "Something is subtracted though every guess was accepted. There was no guess at that "
            "place: the token is drawn from the model's own probabilities.",
        ),
        Mistake(
            "refuses what should be kept",
            accepting(accept=lambda dice, ratio: dice > ratio),
            "A guess is kept when the random number is *above* the ratio: the mask is the wrong way "
            "round.",
        ),
        Mistake(
            "keeps the likely only",
            accepting(accept=lambda dice, ratio: ratio >= 1),
            "Guesses are kept only where the model holds them for at least as likely. Others have a "
            "chance of p / q, or the text is another than the model's own.",
        ),
        Mistake(
            "throws one die for all",
            one_die,
            "One random number decides about all guesses. Each has its own.",
        ),
        Mistake(
            "throws one die after the other",
            one_after_the_other,
            "A number is drawn for one guess after the other, and none after a refusal. The texts come "
            "as often as they should, but with the same seed they are not transformers': it throws "
            "all dice at once, one for each guess.",
        ),
        Mistake(
            "keeps what it would say itself",
            by_agreement,
            "Guesses are compared with the likeliest token. That is the rule for greedy search; "
            "here every token must come as often as the model would draw it.",
        ),
        Mistake(
            "redraws one place too late",
            redrawn_behind,
            "The token after the kept ones is drawn from the place behind it. After n kept guesses "
            "it is probs[n].",
        ),
        Mistake(
            "writes no token of its own",
            without_one_more,
            "When all guesses are accepted, the model's own next token is left out. It was computed "
            "along with them and costs nothing.",
        ),
        Mistake(
            "passes the generator over",
            without_the_generator,
            "Both draws are made with torch's own generator, so a seed given to yours changes "
            "nothing. Hand it on: `generator=generator`.",
        ),
    ],
    accepts=[accepting(), by_loop],
)
