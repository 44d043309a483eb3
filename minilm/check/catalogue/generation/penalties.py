"""The exercise penalize_repetition and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable

from minilm.check.catalogue.generation.common import LESSON, distinct, without
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch


def reference_penalty(input_ids, scores, penalty):
    """Ask transformers' processor, row by row where padding is to be passed over."""
    from transformers import RepetitionPenaltyLogitsProcessor

    processor = RepetitionPenaltyLogitsProcessor(penalty)
    rows = []
    for ids, row in zip(input_ids, scores, strict=True):
        real = ids[ids < scores.shape[-1]]
        rows.append(processor(real[None], row[None].clone()) if len(real) else row[None])
    return torch.cat(rows)


def in_text(input_ids, scores):
    """How often each token is in each text, (B, V)."""
    V = scores.shape[-1]
    return torch.stack([torch.bincount(row, minlength=V + 1)[:V] for row in input_ids])


def lowered(scores, penalty):
    return torch.where(scores < 0, scores * penalty, scores / penalty)


def penalizing(lower: Callable = lowered, told: Callable = lambda counts: counts > 0) -> Callable:
    """A penalize_repetition that lowers in another way, or other tokens."""
    return lambda input_ids, scores, penalty: torch.where(
        told(in_text(input_ids, scores)), lower(scores, penalty), scores
    )


def each_time(input_ids, scores, penalty):
    counts = in_text(input_ids, scores)
    return torch.where(counts > 0, lowered(scores, penalty ** counts.float()), scores)


def last_only(input_ids, scores, penalty):
    return penalizing()(input_ids[:, -1:], scores, penalty)


def all_but_the_last(input_ids, scores, penalty):
    return penalizing()(input_ids[:, :-1], scores, penalty)


def padding_is_the_last_word(input_ids, scores, penalty):
    return penalizing()(input_ids.clamp(max=scores.shape[-1] - 1), scores, penalty)


def of_probabilities(input_ids, scores, penalty):
    p = scores.softmax(-1)
    return torch.where(in_text(input_ids, scores) > 0, p / penalty, p)


def in_place(input_ids, scores, penalty):
    scores[:] = penalizing()(input_ids, scores, penalty)
    return scores


def without_a_place_for_padding(input_ids, scores, penalty):
    found = scores.gather(1, input_ids)
    return scores.scatter(1, input_ids, lowered(found, penalty))


def by_gathering(input_ids, scores, penalty):
    wide = torch.cat([scores, scores.new_zeros(len(scores), 1)], dim=1)
    found = wide.gather(1, input_ids)
    return wide.scatter(1, input_ids, lowered(found, penalty))[:, :-1]


def by_loops(input_ids, scores, penalty):
    scores = scores.clone()
    for row, ids in enumerate(input_ids.tolist()):
        for token in {token for token in ids if token < scores.shape[1]}:
            score = scores[row, token]
            scores[row, token] = score * penalty if score < 0 else score / penalty
    return scores


def draw_texts(draw: random.Random) -> list[Case]:
    cases: list[Case] = [
        {
            "input_ids": torch.tensor([[0, 2, 0]]),
            "scores": torch.tensor([[2.0, 1.0, -1.0, -2.0]]),
            "penalty": 2.0,
        },
        {
            "input_ids": torch.tensor([[1]]),
            "scores": torch.tensor([[3.0, -2.0]]),
            "penalty": 1.25,
        },
    ]
    for rows, size, length in [(1, 3, 2), (2, 4, 3), (2, 5, 4), (3, 5, 2), (3, 6, 5), (2, 8, 7)]:
        ids = [[draw.randrange(size) for _ in range(length)] for _ in range(rows)]
        penalty = draw.choice([1.1, 1.3, 1.5, 2.0, 0.8])
        scores = distinct(draw, rows, size)
        cases.append({"input_ids": torch.tensor(ids), "scores": scores, "penalty": penalty})
    padded = torch.tensor([[4, 4, 1, 0], [4, 2, 2, 1], [0, 1, 3, 3]])
    cases.append({"input_ids": padded, "scores": distinct(draw, 3, 4) - 0.05, "penalty": 1.5})
    cut = without(distinct(draw, 2, 4), (0, 1), (1, 2))
    cases.append({"input_ids": torch.tensor([[1, 0], [3, 2]]), "scores": cut, "penalty": 1.3})
    return cases


PENALIZE_REPETITION = Exercise(
    answer="minilm.generation.filters:penalize_repetition",
    lesson=LESSON,
    cases=draw_texts,
    reference=reference_penalty,
    reference_name="transformers' RepetitionPenaltyLogitsProcessor",
    mistakes=[
        Mistake(
            "divides negative scores too",
            penalizing(lambda scores, penalty: scores / penalty),
            "A score of -2 divided by 2 is -1: the token becomes *more* likely. Scores below 0 are "
            "multiplied, so that all go down.",
        ),
        Mistake(
            "multiplies all",
            penalizing(lambda scores, penalty: scores * penalty),
            "A score above 0 grows when it is multiplied: what was said is said again, and again. "
            "Scores above 0 are divided.",
        ),
        Mistake(
            "has the two exchanged",
            penalizing(lambda scores, penalty: lowered(scores, 1 / penalty)),
            "Scores above 0 are multiplied and those below divided: repetition is rewarded. It is "
            "the other way round.",
        ),
        Mistake(
            "subtracts",
            penalizing(lambda scores, penalty: scores - penalty),
            "The penalty is subtracted. So do other libraries' frequency penalties; this one "
            "divides, and 1.0 means none.",
        ),
        Mistake(
            "penalizes each time again",
            each_time,
            "A token that is there three times is penalized three times. Here it is once, however "
            "often: or `the` and `.` would soon be impossible.",
        ),
        Mistake(
            "penalizes what is new",
            penalizing(told=lambda counts: counts == 0),
            "The tokens that the text does *not* have are penalized: the mask is the wrong way "
            "round.",
        ),
        Mistake(
            "penalizes all",
            penalizing(told=lambda counts: counts >= 0),
            "Every token is penalized, those as well that the text does not have.",
        ),
        Mistake(
            "penalizes what another row has",
            penalizing(told=lambda counts: (counts > 0).any(0, keepdim=True).expand_as(counts)),
            "What stands in one text is penalized in all of them. Rows of a batch know nothing of "
            "each other.",
        ),
        Mistake(
            "looks at the last token only",
            last_only,
            "Only the last token is penalized. The whole text counts, the prompt included.",
        ),
        Mistake(
            "passes over the last token",
            all_but_the_last,
            "The last token is not penalized: the range ends one too early. It is the one that is "
            "most easily repeated.",
        ),
        Mistake(
            "penalizes every token that repeats",
            penalizing(told=lambda counts: counts > 1),
            "Only tokens that are in the text twice or more are penalized. Once is enough.",
        ),
        Mistake(
            "takes padding for a word",
            padding_is_the_last_word,
            "The id V stands for padding, and is taken for the last token of the vocabulary, which "
            "then is rarer in short prompts. It is to be passed over.",
        ),
        Mistake(
            "has no place for padding",
            without_a_place_for_padding,
            "The id V stands for padding, and no score has that place: gather stops with an error. "
            "Add a column for it, and leave it out at the end.",
        ),
        Mistake(
            "divides probabilities",
            of_probabilities,
            "The softmax comes first, and probabilities come back. The penalty works on scores; "
            "the softmax comes at the very end.",
        ),
        Mistake(
            "writes into the scores",
            in_place,
            "The scores are changed inside the tensor that was handed in. Whoever asked for the "
            "raw logits, beside the scores, finds them penalized.",
        ),
    ],
    accepts=[penalizing(), by_gathering, by_loops],
)
