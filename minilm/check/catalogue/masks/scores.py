"""The exercise mask_to_scores and its known mistakes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from minilm.check.catalogue.masks.common import LESSON, torch
from minilm.check.exercise import Case, Exercise, Mistake


def reference_scores(may_attend, dtype=None):
    """torch's own conversion, which takes the opposite: True for what is hidden."""
    from torch.nn.functional import _canonical_mask

    dtype = torch.float32 if dtype is None else dtype
    return _canonical_mask(~may_attend, "may_attend", None, "", dtype)


def filled(value: Callable, kept: float = 0.0, invert: bool = False) -> Callable:
    """Make a mask_to_scores with another number for what is hidden, or for what is shown."""

    def mask_to_scores(may_attend, dtype=None):
        dtype = torch.float32 if dtype is None else dtype
        scores = torch.full(may_attend.shape, kept, dtype=dtype)
        return scores.masked_fill(may_attend if invert else ~may_attend, value(dtype))

    return mask_to_scores


def minus(number: float) -> Callable:
    """A number that becomes minus infinity where the dtype is too small for it."""
    return lambda dtype: -number if number <= torch.finfo(dtype).max else -math.inf


def in_float32(may_attend, dtype=None):
    return filled(lambda dtype: -math.inf)(may_attend)


def by_product(may_attend, dtype=None):
    return (~may_attend).to(dtype or torch.float32) * -math.inf


def by_product_the_other_way(may_attend, dtype=None):
    return may_attend.to(dtype or torch.float32) * -math.inf


def blind_rows_see_all(may_attend, dtype=None):
    scores = filled(lambda dtype: -math.inf)(may_attend, dtype)
    return scores.masked_fill(~may_attend.any(-1, keepdim=True), 0.0)


def by_where(may_attend, dtype=None):
    dtype = dtype or torch.float32
    return torch.where(
        may_attend, torch.tensor(0.0, dtype=dtype), torch.tensor(-torch.inf).to(dtype)
    )


def by_logarithm(may_attend, dtype=None):
    return may_attend.to(dtype or torch.float32).log()


def in_place(may_attend, dtype=None):
    scores = torch.zeros(may_attend.shape, dtype=dtype or torch.float32)
    scores[may_attend == False] = float("-inf")  # noqa: E712
    return scores


def by_dividing(may_attend, dtype=None):
    return 1 - 1 / may_attend.to(dtype or torch.float32)


def by_items(may_attend, dtype=None):
    flat = [0.0 if shown else -math.inf for shown in may_attend.flatten().tolist()]
    return torch.tensor(flat, dtype=dtype or torch.float32).reshape(may_attend.shape)


def draw_masks(draw: random.Random) -> list[Case]:
    small: list[list] = [[True], [False], [True, False], [[True, False], [True, True]]]
    small += [[[False, False], [True, False]], [[[[True, True, False]]], [[[False, True, True]]]]]
    dtypes = [None, None, None, None, torch.float16, torch.bfloat16, torch.float64]
    cases: list[Case] = []
    for at in range(21):
        if at < len(small):
            mask = torch.tensor(small[at])
        else:
            shape = [draw.randint(1, 4) for _ in range(draw.choice([2, 2, 4]))]
            count = math.prod(shape)
            mask = torch.tensor([draw.random() < 0.6 for _ in range(count)]).view(shape)
        dtype = dtypes[at % len(dtypes)]
        cases.append({"may_attend": mask} | ({} if dtype is None else {"dtype": dtype}))
    return cases


NOT_INFINITE = (
    "A large score beats it: where a hidden key scores higher than a shown one by as much, it is "
    "seen again. And two such masks, added, are no longer the same mask. Minus infinity plus "
    "anything stays minus infinity."
)

MASK_TO_SCORES = Exercise(
    answer="minilm.masks:mask_to_scores",
    lesson=LESSON,
    cases=draw_masks,
    reference=reference_scores,
    reference_name="torch's _canonical_mask (which wants True for what is hidden)",
    mistakes=[
        Mistake(
            "hides what may be seen",
            filled(lambda dtype: -math.inf, invert=True),
            "Minus infinity stands where the mask is True. True means: may look, so it is ~mask "
            "that gets minus infinity.",
        ),
        Mistake(
            "hides nothing",
            lambda may_attend, dtype=None: torch.zeros(may_attend.shape, dtype=dtype),
            "Zeros come back and nothing else. `scores.masked_fill(…)` makes a new tensor and leaves "
            "the old one alone: keep what it returns, `scores = scores.masked_fill(…)`.",
        ),
        Mistake(
            "adds the mask as it is",
            lambda may_attend, dtype=None: may_attend.to(dtype or torch.float32),
            "True and False become 1 and 0. Added to the scores, that prefers allowed keys a little "
            "and hides none of them.",
        ),
        Mistake(
            "ones for what is hidden",
            lambda may_attend, dtype=None: (~may_attend).to(dtype or torch.float32),
            "Hidden keys get 1 and the others 0. Added to the scores, that even prefers what should "
            "be hidden.",
        ),
        Mistake(
            "zero times infinity",
            by_product,
            "0 × infinity is no number: NaN stands wherever the mask is True. Choose between two "
            "numbers (masked_fill, where) instead of multiplying.",
        ),
        Mistake(
            "zero times infinity, the other way",
            by_product_the_other_way,
            "0 × infinity is no number: NaN stands wherever the mask is False, and minus infinity "
            "where one may look. Choose between two numbers (masked_fill, where).",
        ),
        Mistake(
            "stops at the lowest finite number",
            filled(lambda dtype: torch.finfo(dtype).min),
            "This is what transformers' eager masks hold. Two of them add up to minus infinity "
            "after all, and a row that may look nowhere gives equal weight to everything, padding "
            "and future included, where you want to see that something is wrong.",
        ),
        Mistake("stops at minus one", filled(minus(1)), NOT_INFINITE),
        Mistake("stops at minus a hundred", filled(minus(100)), NOT_INFINITE),
        Mistake("stops at minus ten thousand", filled(minus(10_000)), NOT_INFINITE),
        Mistake("stops at minus a billion", filled(minus(1e9)), NOT_INFINITE),
        Mistake(
            "plus infinity",
            filled(lambda dtype: math.inf),
            "Plus infinity wins every softmax, or makes it NaN. What is hidden gets minus infinity.",
        ),
        Mistake(
            "stays boolean",
            lambda may_attend, dtype=None: ~may_attend,
            "A boolean tensor comes back. zeros_like(may_attend) is boolean too, and minus infinity "
            "in it becomes True; give it the dtype.",
        ),
        Mistake(
            "adds one to what may be seen",
            filled(lambda dtype: -math.inf, kept=1.0),
            "Shown keys get 1. Softmax does not notice, as long as it is the same for all; but the "
            "scores are no longer those of the model. What may be seen gets 0.",
        ),
        Mistake(
            "always float32",
            in_float32,
            "The dtype is ignored. Added to float16 or bfloat16 scores, float32 turns everything "
            "after it into float32; to float64, torch's attention refuses it.",
        ),
        Mistake(
            "lets a blind row see everything",
            blind_rows_see_all,
            "A row that may look nowhere is shown everything, so that softmax gives no NaN. But "
            "then padding looks at padding, and at the future. What becomes of such a row is "
            "attention's business.",
        ),
    ],
    accepts=[
        filled(lambda dtype: -math.inf),
        by_where,
        by_logarithm,
        in_place,
        by_dividing,
        by_items,
    ],
)
