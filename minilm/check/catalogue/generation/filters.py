"""The exercises with_temperature, keep_top_k, keep_top_p and keep_min_p, and their mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from minilm.check.catalogue.generation.common import LESSON, distinct, without
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.check.later import torch

PROBABILITIES = (
    "Probabilities come back instead of scores. The next filter, and the draw, take the softmax "
    "once more: the distribution goes nearly flat."
)
ZERO_IS_A_SCORE = (
    "What is cut away gets 0, which is a score like any other, and often a good one. Only minus "
    "infinity has probability 0."
)
LOW_IS_NOT_OUT = (
    "What is cut away gets −1e9. The draw does not notice; whoever asks which tokens are left does, "
    "such as minilm's own error where nothing is. Only minus infinity says never."
)
LENT = (
    "The scores are changed inside the tensor that was handed in. Whoever asked for the raw "
    "logits, beside the scores, finds them cut as well."
)


def warper(name: str, setting: str) -> Callable[..., Any]:
    """A reference that asks one of transformers' warpers."""

    def reference(scores, **given):
        import transformers

        return getattr(transformers, name)(given[setting])(None, scores.clone())

    return reference


def cut(scores, away, value=-float("inf")):
    return scores.masked_fill(away, value)


# --- with_temperature ----------------------------------------------------------------------------


def draw_temperatures(draw: random.Random) -> list[Case]:
    cases: list[Case] = [{"scores": torch.tensor([[2.0, 1.0]]), "temperature": 0.5}]
    cases.append({"scores": torch.tensor([[3.0, -1.0, 0.0]]), "temperature": 2.0})
    for rows, size in [(1, 3), (2, 3), (2, 4), (3, 5), (4, 7)]:
        scores = distinct(draw, rows, size)
        cases.append({"scores": scores, "temperature": draw.choice([0.25, 0.7, 1.5, 3.0])})
    cases.append({"scores": without(distinct(draw, 2, 4), (0, 1), (1, 3)), "temperature": 0.7})
    cases.append({"scores": distinct(draw, 3, 8, scale=1.0), "temperature": 1.0})
    return cases


def divided_in_place(scores, temperature):
    scores /= temperature
    return scores


WITH_TEMPERATURE = Exercise(
    answer="minilm.generation.filters:with_temperature",
    lesson=LESSON,
    cases=draw_temperatures,
    reference=warper("TemperatureLogitsWarper", "temperature"),
    reference_name="transformers' TemperatureLogitsWarper",
    mistakes=[
        Mistake(
            "multiplies",
            lambda scores, temperature: scores * temperature,
            "The scores are multiplied, so a high temperature sharpens and a low one flattens: the "
            "knob turns the wrong way. Divide.",
        ),
        Mistake(
            "divides probabilities",
            lambda scores, temperature: scores.softmax(-1) / temperature,
            "The softmax comes first. Probabilities divided by a number are no distribution any "
            "more; divide the scores, and leave the softmax to whoever draws.",
        ),
        Mistake(
            "returns probabilities",
            lambda scores, temperature: (scores / temperature).softmax(-1),
            PROBABILITIES,
        ),
        Mistake(
            "subtracts",
            lambda scores, temperature: scores - temperature,
            "The same number taken from every score changes no probability at all: softmax sees "
            "differences only. Divide.",
        ),
        Mistake(
            "takes a power",
            lambda scores, temperature: scores.sign() * scores.abs() ** (1 / temperature),
            "It is probabilities that are raised to the power 1/temperature. Scores are their "
            "logarithms, and a power becomes a division there.",
        ),
        Mistake(
            "divides by the root",
            lambda scores, temperature: scores / temperature**0.5,
            "The scores are divided by the root of the temperature. The root belongs to attention "
            "scores, where the head size is divided by; here it is the temperature itself.",
        ),
        Mistake(
            "sharpens only",
            lambda scores, temperature: scores / min(temperature, 1.0),
            "A temperature above 1 does nothing here. It flattens: divide by it all the same.",
        ),
        Mistake(
            "divides what is likely only",
            lambda scores, temperature: torch.where(scores > 0, scores / temperature, scores),
            "Scores below 0 are left as they are, so tokens change their order with the "
            "temperature. All are divided; 0 is no border.",
        ),
        Mistake(
            "normalises first",
            lambda scores, temperature: scores.log_softmax(-1) / temperature,
            "The scores are normalised before they are divided. That draws the same tokens, but "
            "the scores are others: output_scores would show it. Divide what you are given.",
        ),
        Mistake("divides in place", divided_in_place, LENT),
    ],
    accepts=[
        lambda scores, temperature: scores.div(temperature),
        lambda scores, temperature: scores * (1 / temperature),
        lambda scores, temperature: torch.stack([row / temperature for row in scores]),
    ],
)


# --- keep_top_k ----------------------------------------------------------------------------------


def draw_top_k(draw: random.Random) -> list[Case]:
    cases: list[Case] = [
        {"scores": torch.tensor([[1.0, 3.0, 2.0]]), "top_k": 2},
        {"scores": torch.tensor([[1.0, 2.0]]), "top_k": 1},
        {"scores": torch.tensor([[2.0, 1.0, 2.0]]), "top_k": 1},
        {"scores": torch.tensor([[-2.0, -1.0, -3.0, -2.0]]), "top_k": 2},
        {"scores": torch.tensor([[0.5, -0.5]]), "top_k": 5},
    ]
    for rows, size in [(2, 3), (2, 5), (3, 4), (3, 7), (4, 6)]:
        scores = distinct(draw, rows, size)
        cases.append({"scores": scores, "top_k": draw.randint(1, size - 1)})
    wide = distinct(draw, 2, 6, scale=1.0)
    cases.append({"scores": without(wide, (0, 0), (1, 2)), "top_k": 3})
    cases.append({"scores": distinct(draw, 3, 5), "top_k": 5})
    return cases


def k_by_places(scores, top_k):
    kept = scores.topk(min(top_k, scores.shape[-1])).indices
    away = torch.ones_like(scores, dtype=torch.bool).scatter(-1, kept, False)
    return cut(scores, away)


def k_of_all_rows(scores, top_k):
    return cut(scores, scores < scores.flatten().topk(min(top_k, scores.numel())).values[-1])


def k_off_by(more: int, **how: Any) -> Callable[..., Any]:
    def wrong(scores, top_k):
        k = max(1, min(top_k + more, scores.shape[-1]))
        return cut(scores, scores < scores.topk(k).values[:, -1:], **how)

    return wrong


def k_smallest(scores, top_k):
    k = min(top_k, scores.shape[-1])
    return cut(scores, scores > scores.topk(k, largest=False).values[:, -1:])


def k_strict(scores, top_k):
    k = min(top_k, scores.shape[-1])
    return cut(scores, scores <= scores.topk(k).values[:, -1:])


def k_unbounded(scores, top_k):
    return cut(scores, scores < scores.topk(top_k).values[:, -1:])


def k_cut_in_place(scores, top_k):
    k = min(top_k, scores.shape[-1])
    scores[scores < scores.topk(k).values[:, -1:]] = -torch.inf
    return scores


def k_away(scores, top_k):
    k = min(top_k, scores.shape[-1])
    return cut(scores, scores >= scores.topk(k).values[:, -1:])


def k_of_first_row(scores, top_k):
    k = min(top_k, scores.shape[-1])
    return cut(scores, scores < scores[:1].topk(k).values[:, -1:])


def k_only(scores, top_k):
    return scores.topk(min(top_k, scores.shape[-1])).values


def k_by_sorting(scores, top_k):
    ordered = scores.sort(dim=-1, descending=True).values
    return cut(scores, scores < ordered[:, :top_k][:, -1:])


def k_by_lists(scores, top_k):
    rows = []
    for row in scores.tolist():
        least = sorted(row)[-min(top_k, len(row))]
        rows.append([score if score >= least else -float("inf") for score in row])
    return torch.tensor(rows)


KEEP_TOP_K = Exercise(
    answer="minilm.generation.filters:keep_top_k",
    lesson=LESSON,
    cases=draw_top_k,
    reference=warper("TopKLogitsWarper", "top_k"),
    reference_name="transformers' TopKLogitsWarper",
    mistakes=[
        Mistake(
            "breaks ties",
            k_by_places,
            "Of tokens that are as likely as the last one kept, some are cut and some are not, as "
            "topk happens to order them. transformers compares scores, and all of them stay.",
        ),
        Mistake(
            "counts over the whole batch",
            k_of_all_rows,
            "The k best of all rows together are kept; a row may be left with nothing. Each row "
            "has a distribution of its own.",
        ),
        Mistake(
            "takes the border of the first row",
            k_of_first_row,
            "Every row is cut where row 0 is. With one prompt nobody notices. Take the k-th score "
            "of each row: [:, -1:].",
        ),
        Mistake(
            "keeps one too many",
            k_off_by(1),
            "k + 1 tokens stay. With the scores in order, the last one kept stands at k − 1: they "
            "are counted from 0.",
        ),
        Mistake(
            "keeps one too few",
            k_strict,
            "The k-th token itself is cut: `<=` where `<` is meant. With k = 1 nothing is left, "
            "and there is nothing to draw.",
        ),
        Mistake(
            "keeps the least likely",
            k_smallest,
            "The k lowest scores stay: the sort ran the other way. The text would be one that the "
            "model holds for impossible.",
        ),
        Mistake(
            "cuts the best",
            k_away,
            "The k best are cut and the rest stays: the mask is the wrong way round.",
        ),
        Mistake("cuts to zero", k_off_by(0, value=0.0), ZERO_IS_A_SCORE),
        Mistake("cuts to a very low score", k_off_by(0, value=-1e9), LOW_IS_NOT_OUT),
        Mistake(
            "asks for more than there are",
            k_unbounded,
            "k may be larger than the vocabulary: the default is 50, and this book's first models "
            "have fewer tokens. Then all stay; topk stops with an error.",
        ),
        Mistake(
            "returns the best alone",
            k_only,
            "Only the k best scores come back, (B, k). Which tokens they belong to is lost: keep "
            "the shape, and put minus infinity elsewhere.",
        ),
        Mistake(
            "returns probabilities",
            lambda scores, top_k: k_by_sorting(scores, top_k).softmax(-1),
            PROBABILITIES,
        ),
        Mistake("cuts in place", k_cut_in_place, LENT),
    ],
    accepts=[k_by_sorting, k_by_lists],
)


# --- keep_top_p ----------------------------------------------------------------------------------


def between(draw: random.Random, scores: Any) -> float:
    """A top_p that no row's sum is near, so that rounding decides nothing."""
    sums = scores.double().sort(dim=-1, descending=True).values.softmax(-1).cumsum(-1).flatten()
    for _ in range(1000):
        p = draw.randint(10, 97) / 100
        if float((sums - p).abs().min()) > 2e-3:
            return p
    return 0.5


def draw_top_p(draw: random.Random) -> list[Case]:
    shares = [[0.5, 0.3, 0.2], [0.06, 0.5, 0.1, 0.3, 0.04], [0.1, 0.2, 0.7]]
    cases: list[Case] = []
    for row, p in zip(shares, [0.6, 0.81, 0.3], strict=True):
        scores = torch.tensor([row]).log().double().round(decimals=2).float()
        cases.append({"scores": scores, "top_p": p})
    for rows, size in [(1, 3), (2, 3), (2, 5), (3, 4), (3, 7), (4, 8), (2, 6)]:
        scores = distinct(draw, rows, size)
        cases.append({"scores": scores, "top_p": between(draw, scores)})
    steep = without(distinct(draw, 2, 5), (0, 1), (1, 3))
    cases.append({"scores": steep, "top_p": between(draw, steep)})
    cases.append({"scores": distinct(draw, 3, 6, scale=1.0), "top_p": 0.02})
    return cases


def nucleus(
    away: Callable[..., Any] = lambda p, before, top_p: before >= top_p,
    value: float = -float("inf"),
    back: Callable[..., Any] = lambda away, order: away.scatter(-1, order, away),
) -> Callable[..., Any]:
    """A keep_top_p from the most likely token downwards, one of its steps in another way."""

    def keep(scores, top_p):
        descending, order = scores.sort(dim=-1, descending=True)
        p = descending.softmax(-1)
        gone = away(p, p.cumsum(-1) - p, top_p)
        return cut(scores, back(gone, order), value)

    return keep


def ascending(scores, top_p):
    rising, order = scores.sort(dim=-1)
    away = rising.softmax(-1).cumsum(-1) > top_p
    return cut(scores, away.scatter(-1, order, away))


def sum_of_scores(scores, top_p):
    descending, order = scores.sort(dim=-1, descending=True)
    away = descending.cumsum(-1) - descending >= top_p
    return cut(scores, away.scatter(-1, order, away))


def unsorted(scores, top_p):
    p = scores.softmax(-1)
    return cut(scores, p.cumsum(-1) - p >= top_p)


def as_a_threshold(scores, top_p):
    return cut(scores, scores.softmax(-1) < 1 - top_p)


def over_the_batch(scores, top_p):
    descending, order = scores.sort(dim=0, descending=True)
    p = descending.softmax(0)
    away = p.cumsum(0) - p >= top_p
    return cut(scores, away.scatter(0, order, away))


def in_sorted_order(scores, top_p):
    descending, _ = scores.sort(dim=-1, descending=True)
    p = descending.softmax(-1)
    return cut(descending, p.cumsum(-1) - p >= top_p)


def top_p_in_place(scores, top_p):
    right = nucleus()(scores, top_p)
    scores[:] = right
    return scores


def top_p_by_lists(scores, top_p):
    rows = []
    for row in scores:
        p, total, kept = row.softmax(-1).tolist(), 0.0, set()
        for token in sorted(range(len(p)), key=lambda token: -p[token]):
            if total >= top_p and kept:
                break
            kept.add(token)
            total += p[token]
        rows.append([s if t in kept else -float("inf") for t, s in enumerate(row.tolist())])
    return torch.tensor(rows)


def top_p_shifted(scores, top_p):
    descending, order = scores.sort(dim=-1, descending=True)
    away = descending.softmax(-1).cumsum(-1) > top_p
    away[:, 1:] = away[:, :-1].clone()
    away[:, 0] = False
    return cut(scores, torch.zeros_like(away).scatter(-1, order, away))


KEEP_TOP_P = Exercise(
    answer="minilm.generation.filters:keep_top_p",
    lesson=LESSON,
    cases=draw_top_p,
    reference=warper("TopPLogitsWarper", "top_p"),
    reference_name="transformers' TopPLogitsWarper",
    mistakes=[
        Mistake(
            "drops the token that crosses",
            nucleus(lambda p, before, top_p: before + p > top_p),
            "The token with which the sum crosses p is cut too, so that less than p is left. If "
            "the first token alone is above p, nothing is left at all.",
        ),
        Mistake(
            "drops the token that crosses, but for the first",
            nucleus(lambda p, before, top_p: (before + p > top_p) & (before > 0)),
            "The token with which the sum crosses p is cut. The first one is saved, and every "
            "other time the rest of the row has less than p.",
        ),
        Mistake(
            "keeps one more",
            nucleus(
                lambda p, before, top_p: torch.cat(
                    [torch.zeros_like(p[:, :1], dtype=torch.bool), (before >= top_p)[:, :-1]], dim=1
                )
            ),
            "The token after the one that crosses p stays as well. The fewest are wanted that "
            "reach p.",
        ),
        Mistake(
            "starts with the least likely",
            ascending,
            "The sum begins at the least likely tokens and keeps those: the tail that was to be "
            "cut. Sort the other way; or cut, from below, what adds up to 1 − p.",
        ),
        Mistake(
            "does not go back to the order of the vocabulary",
            nucleus(back=lambda away, order: away),
            "The mask is in the order of the sort, the scores in that of the vocabulary: other "
            "tokens are cut than those meant. Bring it back: scatter with the order.",
        ),
        Mistake(
            "goes back the wrong way",
            nucleus(back=lambda away, order: away.gather(-1, order)),
            "`gather` with the order sorts once more. The way back is `scatter`: place order[i] "
            "gets what stands at i.",
        ),
        Mistake(
            "returns scores in their order",
            in_sorted_order,
            "The scores come back from the most likely to the least. Token 0 would always be the "
            "best one: a score must stay at its token's place.",
        ),
        Mistake(
            "does not sort",
            unsorted,
            "The sum runs in the order of the vocabulary, so ids near 0 stay, whatever they are. "
            "Sort first, the most likely first.",
        ),
        Mistake(
            "adds up scores",
            sum_of_scores,
            "Scores are added up, and p is a share of probability. Take the softmax before.",
        ),
        Mistake(
            "takes p for a threshold",
            as_a_threshold,
            "Each token is compared with 1 − p by itself. top-p asks how much the likeliest tokens "
            "have *together*.",
        ),
        Mistake(
            "sorts the batch",
            over_the_batch,
            "The sort and the sum run over the rows. Each row is a distribution: the last axis.",
        ),
        Mistake("cuts to zero", nucleus(value=0.0), ZERO_IS_A_SCORE),
        Mistake("cuts to a very low score", nucleus(value=-1e9), LOW_IS_NOT_OUT),
        Mistake(
            "returns probabilities",
            lambda scores, top_p: nucleus()(scores, top_p).softmax(-1),
            PROBABILITIES,
        ),
        Mistake("cuts in place", top_p_in_place, LENT),
    ],
    accepts=[nucleus(), top_p_by_lists, top_p_shifted],
)


# --- keep_min_p ----------------------------------------------------------------------------------


def draw_min_p(draw: random.Random) -> list[Case]:
    cases: list[Case] = [
        {"scores": torch.tensor([[1.0, 2.0, -1.0]]), "min_p": 0.2},
        {"scores": torch.tensor([[0.0, 0.5]]), "min_p": 0.7},
    ]
    for rows, size in [(1, 4), (2, 3), (2, 5), (3, 4), (3, 7), (4, 6), (2, 9)]:
        share = draw.choice([0.05, 0.15, 0.35, 0.55])
        cases.append({"scores": distinct(draw, rows, size), "min_p": share})
    cases.append({"scores": without(distinct(draw, 2, 5), (0, 1), (1, 3)), "min_p": 0.15})
    flat = torch.tensor([[0.0] * 9, [3.0] + [0.0] * 8])
    cases.append({"scores": flat, "min_p": 0.3})
    cases.append({"scores": distinct(draw, 2, 6), "min_p": 0.97})
    return cases


def least(border: Callable[..., Any], value: float = -float("inf")) -> Callable[..., Any]:
    """A keep_min_p with a border of its own: (probabilities, min_p) → the least that stays."""

    def keep(scores, min_p):
        p = scores.softmax(-1)
        return cut(scores, p < border(p, min_p), value)

    return keep


def min_p_of_scores(scores, min_p):
    return cut(scores, scores < min_p * scores.amax(-1, keepdim=True))


def min_p_upside_down(scores, min_p):
    p = scores.softmax(-1)
    return cut(scores, p >= min_p * p.amax(-1, keepdim=True))


def min_p_in_place(scores, min_p):
    p = scores.softmax(-1)
    scores[p < min_p * p.amax(-1, keepdim=True)] = -torch.inf
    return scores


def share_of_best(p, min_p):
    return min_p * p.amax(-1, keepdim=True)


def min_p_by_logarithms(scores, min_p):
    import math

    return cut(scores, scores < scores.amax(-1, keepdim=True) + math.log(min_p))


def min_p_by_lists(scores, min_p):
    rows = []
    for row in scores:
        p = row.softmax(-1).tolist()
        pairs = zip(row.tolist(), p, strict=True)
        rows.append([s if one >= min_p * max(p) else -float("inf") for s, one in pairs])
    return torch.tensor(rows)


KEEP_MIN_P = Exercise(
    answer="minilm.generation.filters:keep_min_p",
    lesson=LESSON,
    cases=draw_min_p,
    reference=warper("MinPLogitsWarper", "min_p"),
    reference_name="transformers' MinPLogitsWarper",
    mistakes=[
        Mistake(
            "takes min_p for a probability",
            least(lambda p, min_p: min_p),
            "Each probability is compared with min_p itself. Where the model hesitates among many, "
            "all are below it, and nothing is left. The border is a share of the likeliest one.",
        ),
        Mistake(
            "takes a share of the best score",
            min_p_of_scores,
            "min_p times the largest *score* is no share of a probability; with a best score below "
            "0 the border even lies above it. Take the softmax first.",
        ),
        Mistake(
            "finds the best of the whole batch",
            least(lambda p, min_p: min_p * p.max()),
            "The likeliest token of all rows sets the border for each. A row that hesitates may "
            "lose everything beside one that is sure. `amax` over the last axis.",
        ),
        Mistake(
            "finds the best over the rows",
            least(lambda p, min_p: min_p * p.amax(0, keepdim=True)),
            "The maximum runs over the rows of the batch. It is over the vocabulary, the last axis.",
        ),
        Mistake(
            "takes a share of the mean",
            least(lambda p, min_p: min_p * p.mean(-1, keepdim=True)),
            "The border is a share of the mean probability, 1/V, whatever the distribution: hardly "
            "anything is cut. It is a share of the likeliest.",
        ),
        Mistake(
            "takes 1 − min_p",
            least(lambda p, min_p: (1 - min_p) * p.amax(-1, keepdim=True)),
            "The border is (1 − min_p) of the likeliest. min_p is itself the share below which "
            "tokens are cut.",
        ),
        Mistake(
            "keeps the unlikely",
            min_p_upside_down,
            "What is likely enough is cut and the rest stays: the mask is the wrong way round.",
        ),
        Mistake(
            "multiplies by the border once more",
            least(lambda p, min_p: min_p * p.amax(-1, keepdim=True) ** 2),
            "The largest probability is multiplied in twice. min_p · the largest is the border.",
        ),
        Mistake("cuts to zero", least(share_of_best, 0.0), ZERO_IS_A_SCORE),
        Mistake("cuts to a very low score", least(share_of_best, -1e9), LOW_IS_NOT_OUT),
        Mistake(
            "returns probabilities",
            lambda scores, min_p: least(share_of_best)(scores, min_p).softmax(-1),
            PROBABILITIES,
        ),
        Mistake("cuts in place", min_p_in_place, LENT),
    ],
    accepts=[least(share_of_best), min_p_by_logarithms, min_p_by_lists],
)
