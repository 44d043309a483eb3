"""The exercise beam_step and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.generation.common import LESSON
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


def reference_step(scores, ends, n_beams, length, length_penalty):
    """Ask the two functions in which transformers' beam search decides this."""
    from transformers import GenerationMixin

    class Asked(GenerationMixin):
        pass

    asked = Asked()
    B, K = scores.shape
    places = torch.arange(K).expand(B, K)[..., None]  # (B, K, 1): each text is its own place
    go_on = asked._get_running_beams_for_next_iteration(scores, places, places, ends, n_beams)[0]
    nothing = torch.full((B, K), -torch.inf)  # as many held as there are continuations
    texts, final, _, finished = asked._update_finished_beams(
        torch.full((B, K, 1), -1),
        places,
        nothing,
        scores.clone(),
        torch.full((B, K, 1), -1),
        places,
        torch.ones(B, 1, dtype=torch.bool),
        torch.zeros(B, K, dtype=torch.bool),
        ends,
        torch.arange(K) < n_beams,
        K,
        length - 1,
        0,
        length_penalty,
        False,
    )
    back = texts[..., 0].argsort(-1)  # in the order in which they came
    return go_on[..., 0], finished.gather(1, back), final.gather(1, back)


def stepping(
    go_on: Callable = lambda scores, ends, N: (scores - 1e9 * ends).topk(N).indices,
    finished: Callable = lambda ends, N: ends & (torch.arange(ends.shape[1]) < N),
    divided: Callable = lambda scores, length, penalty: scores / length**penalty,
    out: float = 1e9,
) -> Callable:
    """A beam_step that takes one of its steps in another way."""

    def step(scores, ends, n_beams, length, length_penalty):
        done = finished(ends, n_beams)
        final = divided(scores, length, length_penalty) - out * ~done
        return go_on(scores, ends, n_beams), done, final

    return step


def right(scores, ends, n_beams, length, length_penalty):
    return stepping()(scores, ends, n_beams, length, length_penalty)


def outs_by_ends(scores, ends, n_beams, length, length_penalty):
    go_on, finished, _ = right(scores, ends, n_beams, length, length_penalty)
    return go_on, finished, scores / length**length_penalty - 1e9 * ~ends


def by_lists(scores, ends, n_beams, length, length_penalty):
    go_on, finished, final = [], [], []
    for row, end in zip(scores.tolist(), ends.tolist(), strict=True):
        running = [place for place, ended in enumerate(end) if not ended]
        go_on.append(running[:n_beams])
        finished.append([ended and place < n_beams for place, ended in enumerate(end)])
        final.append(
            [
                score / length**length_penalty - (0.0 if done else 1e9)
                for score, done in zip(row, finished[-1], strict=True)
            ]
        )
    return torch.tensor(go_on), torch.tensor(finished), torch.tensor(final)


def by_sorting(scores, ends, n_beams, length, length_penalty):
    go_on = (scores - 1e9 * ends.float()).argsort(dim=-1, descending=True)[:, :n_beams]
    finished = ends.clone()
    finished[:, n_beams:] = False
    final = scores * length**-length_penalty
    return go_on, finished, torch.where(finished, final, final - 1e9)


def draw_steps(draw: random.Random) -> list[Case]:
    def case(scores, ends, n_beams, length, penalty) -> Case:
        names = ("scores", "ends", "n_beams", "length", "length_penalty")
        values: tuple[Any, ...] = torch.tensor(scores), torch.tensor(ends), n_beams, length, penalty
        return dict(zip(names, values, strict=True))

    cases = [
        case([[-1.0, -2.0]], [[True, False]], 1, 2, 1.0),
        case([[-1.0, -2.0]], [[False, True]], 1, 2, 1.0),
        case([[-1.0, -1.5, -2.0, -3.0]], [[False, True, True, False]], 2, 3, 2.0),
        case([[-1.0, -1.5, -2.0, -3.0]], [[True, True, False, False]], 2, 4, 0.0),
    ]
    for rows, n_beams, length in [(2, 2, 2), (1, 3, 5), (3, 2, 3), (2, 3, 4), (3, 4, 6), (2, 2, 1)]:
        k = 2 * n_beams
        drawn = [sorted(draw.sample(range(5, 90), k)) for _ in range(rows)]
        ends = [
            [place in found for place in range(k)]
            for found in (draw.sample(range(k), draw.randint(1, n_beams)) for _ in range(rows))
        ]
        penalty = draw.choice([1.0, 2.0, 0.5, -1.0, 1.5])
        cases.append(
            case([[-n / 10 for n in row] for row in drawn], ends, n_beams, length, penalty)
        )
    return cases


BEAM_STEP = Exercise(
    answer="minilm.generation.beam:beam_step",
    lesson=LESSON,
    cases=draw_steps,
    reference=reference_step,
    reference_name="one step of transformers' beam search",
    mistakes=[
        Mistake(
            "lets ended texts go on",
            stepping(go_on=lambda scores, ends, N: scores.topk(N).indices),
            "Texts that have ended go on as beams, and are extended behind their end. The beams "
            "are the N best of those that have not ended.",
        ),
        Mistake(
            "lets any of the K finish",
            stepping(finished=lambda ends, N: ends),
            "Every text that ends is taken for finished. It has to be among the N best as well: "
            "the other continuations are there so that enough are left to go on.",
        ),
        Mistake(
            "multiplies by the length",
            stepping(divided=lambda scores, length, penalty: scores * length**penalty),
            "The scores are multiplied. They are sums of log-probabilities, below 0, so long texts "
            "become far worse; divided they become comparable.",
        ),
        Mistake(
            "counts one token more",
            stepping(divided=lambda scores, length, penalty: scores / (length + 1) ** penalty),
            "It divides by length + 1. `length` counts the tokens written, the one of this step and "
            "the end-of-text token included.",
        ),
        Mistake(
            "counts one token less",
            stepping(divided=lambda s, length, penalty: s / max(length - 1, 1) ** penalty),
            "It divides by length − 1. The end-of-text token is a token: its probability is in the "
            "score, so it counts.",
        ),
        Mistake(
            "passes the penalty over",
            stepping(divided=lambda scores, length, penalty: scores / length),
            "It divides by the length, whatever length_penalty says. It is the length's power: 0 "
            "means no division at all.",
        ),
        Mistake(
            "does not divide",
            stepping(divided=lambda scores, length, penalty: scores),
            "The final scores are plain sums, so every token makes a text worse, and the shortest "
            "wins. Divide by length ** length_penalty.",
        ),
        Mistake(
            "multiplies length and penalty",
            stepping(divided=lambda s, length, penalty: s / (length * penalty or 1.0)),
            "It divides by length · length_penalty, the same number for all texts of a length. It "
            "is a power: length ** length_penalty.",
        ),
        Mistake(
            "takes Google's length penalty",
            stepping(divided=lambda s, length, penalty: s / ((5 + length) / 6) ** penalty),
            "((5 + length) / 6) ** penalty is the rule of the paper on Google's translator. "
            "transformers takes length ** penalty.",
        ),
        Mistake(
            "does not put back what is unfinished",
            stepping(out=0.0),
            "Texts that have not finished keep their scores, and would be taken for results. They "
            "get 1e9 less, so that every finished one is above them.",
        ),
        Mistake(
            "takes minus infinity",
            lambda scores, ends, n_beams, length, length_penalty: (
                *(found := right(scores, ends, n_beams, length, length_penalty))[:2],
                found[2].masked_fill(~found[1], -torch.inf),
            ),
            "What is unfinished gets minus infinity. It is 1e9 less that transformers gives, so that "
            "the unfinished stay in an order, and a sum with them stays a number.",
        ),
        Mistake(
            "takes 1e9 from the finished",
            lambda scores, ends, n_beams, length, length_penalty: (
                *(found := right(scores, ends, n_beams, length, length_penalty))[:2],
                scores / length**length_penalty - 1e9 * found[1],
            ),
            "It is the finished texts that get 1e9 less; the mask is the wrong way round.",
        ),
        Mistake(
            "gives late ends a score",
            outs_by_ends,
            "A text that ends and is not among the N best keeps its score. It is not finished, so "
            "it gets 1e9 less too.",
        ),
        Mistake(
            "goes on with all",
            stepping(go_on=lambda s, ends, N: (s - 1e9 * ends).sort(-1, descending=True).indices),
            "All K continuations go on. The number of beams stays N.",
        ),
    ],
    accepts=[right, by_lists, by_sorting],
)
