"""The exercises attention_scores and masked_softmax, and their known mistakes."""

from __future__ import annotations

import math
import random

from minilm.check.catalogue.attention.by_transformers import (
    LESSON,
    TOLERANCE,
    scores_of_eager,
    weights_of_eager,
)
from minilm.check.comparing import alike
from minilm.check.drawing import may_attend as draw_mask
from minilm.check.drawing import normal
from minilm.check.exercise import Exercise, Mistake
from minilm.check.later import torch


def scores_by_einsum(query, key, scale=None):
    factor = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    return torch.einsum("bhtd,bhsd->bhts", query, key) * factor


def scores_by_loop(query, key, scale=None):
    B, H, T, D = query.shape
    S = key.shape[2]
    scale = D**-0.5 if scale is None else scale
    scores = torch.zeros(B, H, T, S, dtype=query.dtype)
    for t in range(T):
        for s in range(S):
            scores[:, :, t, s] = (query[:, :, t] * key[:, :, s]).sum(-1) * scale
    return scores


def scores_of_scaled_queries(query, key, scale=None):
    if scale is None:
        scale = 1 / query.shape[-1] ** 0.5
    return torch.matmul(query * scale, key.permute(0, 1, 3, 2))


def scores_by_broadcasting(query, key, scale=None):
    product = query[:, :, :, None] * key[:, :, None]
    return product.sum(dim=-1) * (query.shape[-1] ** -0.5 if scale is None else scale)


def scaling(default):
    """Make an attention_scores with another scale where none is given."""

    def attention_scores(query, key, scale=None):
        return query @ key.transpose(-2, -1) * (default(query, key) if scale is None else scale)

    return attention_scores


def score_by_division(query, key, scale=None):
    scale = query.shape[-1] ** 0.5 if scale is None else scale
    return query @ key.transpose(-2, -1) / scale


def score_without_transpose(query, key, scale=None):
    return query @ key * (query.shape[-1] ** -0.5 if scale is None else scale)


def score_heads(query, key, scale=None):
    """Transpose heads and tokens in place of tokens and numbers."""
    return query @ key.transpose(1, 2) * (query.shape[-1] ** -0.5 if scale is None else scale)


def score_directions(query, key, scale=None):
    query = torch.nn.functional.normalize(query, dim=-1)
    key = torch.nn.functional.normalize(key, dim=-1)
    return query @ key.transpose(-2, -1) * (1.0 if scale is None else scale)


def draw_scores(draw: random.Random) -> list[dict]:
    #         B  H  T  S  D
    shapes = [
        (1, 1, 1, 1, 2),
        (1, 1, 1, 2, 4),
        (1, 1, 2, 1, 3),
        (1, 1, 2, 3, 2),
        (1, 1, 3, 2, 4),
        (1, 1, 3, 3, 3),
        (1, 2, 2, 3, 4),
        (1, 2, 4, 4, 4),
        (2, 1, 3, 5, 6),
        (2, 3, 1, 7, 8),
        (2, 3, 4, 5, 6),
        (3, 2, 5, 4, 10),
        (2, 6, 9, 16, 16),
    ]
    cases = []
    for number, (B, H, T, S, D) in enumerate(shapes):
        case = {"query": normal(draw, B, H, T, D), "key": normal(draw, B, H, S, D)}
        cases.append(case)
        if number % 3 == 1:
            cases.append({name: normal(draw, *x.shape) for name, x in case.items()})
            # None of them is 1/D or 1/√D of a shape above, by luck.
            cases[-1]["scale"] = draw.choice([1.0, 0.3, 3.0])
    double = {"query": normal(draw, 2, 2, 3, 5), "key": normal(draw, 2, 2, 4, 5)}
    cases.append({name: x.double() for name, x in double.items()})
    big = {"query": normal(draw, 1, 2, 3, 4, scale=10), "key": normal(draw, 1, 2, 5, 4)}
    return [*cases, big]


ATTENTION_SCORES = Exercise(
    answer="minilm.attention:attention_scores",
    lesson=LESSON,
    cases=draw_scores,
    reference=scores_of_eager,
    reference_name="what transformers' eager attention gives to its softmax",
    compare=alike(tolerance=TOLERANCE),
    mistakes=[
        Mistake(
            "never scales",
            lambda query, key, scale=None: query @ key.transpose(-2, -1),
            "The products are returned as they are. A sum of D products grows with √D, and large "
            "scores make the softmax put everything on one key: multiply by the scale.",
        ),
        Mistake(
            "scales only when told to",
            scaling(lambda query, key: 1.0),
            "Where no scale is given you take 1. A sum of D products grows with √D, so the scale "
            "is 1/√D unless somebody asks for another.",
        ),
        Mistake(
            "ignores the scale it is given",
            lambda query, key, scale=None: scaling(lambda q, k: q.shape[-1] ** -0.5)(query, key),
            "You take 1/√D whatever `scale` says. T5 was trained with 1, and gives other scores "
            "under any other scale.",
        ),
        Mistake(
            "divides by D",
            scaling(lambda query, key: 1 / query.shape[-1]),
            "The scale is 1/D where 1/√D is wanted (scaling query and key by 1/√D each does the "
            "same). The scores come out too small, and the weights nearly even.",
        ),
        Mistake(
            "divides by 2·D",
            scaling(lambda query, key: 1 / query.shape[-1] ** 1 / 2),
            "`1 / D ** 1 / 2` is 1/(2·D): powers come first, then division from left to right. "
            "Write `D ** -0.5`, or `1 / math.sqrt(D)`.",
        ),
        Mistake(
            "divides by the root of the model's width",
            scaling(lambda query, key: (query.shape[1] * query.shape[-1]) ** -0.5),
            "You divide by √(H·D), the width of the model. Each product sums over one head's D "
            "numbers, so √D is the size it grows to.",
        ),
        Mistake(
            "multiplies by √D",
            scaling(lambda query, key: query.shape[-1] ** 0.5),
            "√D is multiplied where it should divide. The scores get D times too large, and the "
            "softmax hears one key alone.",
        ),
        Mistake(
            "divides by the scale",
            score_by_division,
            "A scale that is given multiplies the scores; you divide by it. With scale=1 nobody "
            "notices, with 0.5 everything is four times too large.",
        ),
        Mistake(
            "scales twice where a scale is given",
            lambda query, key, scale=None: (
                scores_by_einsum(query, key) * (1.0 if scale is None else scale)
            ),
            "A scale that is given comes on top of 1/√D. It takes its place: T5 asks for 1, which "
            "means the bare products.",
        ),
        Mistake(
            "takes the number of keys for D",
            scaling(lambda query, key: key.shape[-2] ** -0.5),
            "The scale is 1/√S, from the number of keys. The same two tokens would get another "
            "score in a longer text; D is the last axis, shape[-1].",
        ),
        Mistake(
            "takes the number of queries for D",
            scaling(lambda query, key: query.shape[-2] ** -0.5),
            "The scale is 1/√T, from the number of queries. D is the last axis, shape[-1].",
        ),
        Mistake(
            "takes the number of heads for D",
            scaling(lambda query, key: query.shape[1] ** -0.5),
            "The scale is 1/√H, from the number of heads. D is the last axis, shape[-1].",
        ),
        Mistake(
            "lets the keys ask",
            lambda query, key, scale=None: scaling(lambda q, k: q.shape[-1] ** -0.5)(
                key, query, scale
            ),
            "You compute key @ queryᵀ, so there is a row for each key. Each query asks: the rows "
            "are queries, the columns keys, (B, H, T, S).",
        ),
        Mistake(
            "does not transpose the keys",
            score_without_transpose,
            "`query @ key` multiplies each query with columns of numbers that belong to different "
            "keys. It runs where S happens to equal D, and is wrong there too.",
        ),
        Mistake(
            "multiplies number by number",
            lambda query, key, scale=None: (
                query * key * (query.shape[-1] ** -0.5 if scale is None else scale)
            ),
            "`*` multiplies in place, token by token, and adds nothing up. A score is the sum over "
            "D, for every query with every key: `query @ key.transpose(-2, -1)`.",
        ),
        Mistake(
            "transposes heads and tokens",
            score_heads,
            "`key.transpose(1, 2)` exchanges heads and tokens. What must change places for the "
            "product are the last two axes, tokens and numbers.",
        ),
        Mistake(
            "reverses all axes",
            lambda query, key, scale=None: (
                query @ key.T * (query.shape[-1] ** -0.5 if scale is None else scale)
            ),
            "`key.T` turns the order of all four axes round, the batch and the heads too. "
            "`key.transpose(-2, -1)` (or `key.mT`) exchanges the last two.",
        ),
        Mistake(
            "goes on to the softmax",
            lambda query, key, scale=None: scores_by_einsum(query, key, scale).softmax(-1),
            "These are weights already. The mask comes between the scores and the softmax, so "
            "return the scores.",
        ),
        Mistake(
            "compares directions only",
            score_directions,
            "You divide each vector by its length (cosine similarity). Attention takes the plain "
            "dot product: a long key may ask for more attention.",
        ),
    ],
    accepts=[
        scores_by_einsum,
        scores_by_loop,
        scores_of_scaled_queries,
        scores_by_broadcasting,
    ],
)


# --- masked_softmax ---------------------------------------------------------------------------


def use_softmax(function, scores, may_attend=None):
    """Ask for the weights, and where a row may look nowhere also for the gradients of the scores.

    NaN gradients appear there alone; in every other case the weights say it all. Those of very
    large scores are rounded: exp(score - logsumexp) is right too, to three digits.
    """
    if may_attend is None:
        return rounded(function(scores=scores), scores)
    if bool(may_attend.any(dim=-1).all()) or scores.dtype is not torch.float32:
        return rounded(function(scores=scores, may_attend=may_attend), scores)
    scores.requires_grad_()
    with torch.enable_grad():
        weights = function(scores=scores * 1.0, may_attend=may_attend)
        if not isinstance(weights, torch.Tensor):
            return weights
        ramp = torch.arange(weights.numel()).reshape(weights.shape) % 3.0
        # Weights that depend on no score at all are fine where all of them are 0.
        (weights * ramp + scores.sum() * 0).sum().backward()
    return {
        "weights": rounded(weights.detach(), scores),
        "gradients": rounded(scores.grad, scores),
    }


def rounded(weights, scores):
    if (
        isinstance(weights, torch.Tensor)
        and weights.is_floating_point()
        and scores.abs().max() > 1000
    ):
        return weights.round(decimals=2)
    return weights


def reference_softmax(scores, may_attend=None):
    """Ask transformers' eager attention in the same way."""
    return use_softmax(weights_of_eager, scores, may_attend)


def softmax_that_looks_everywhere_instead(scores, may_attend=None):
    if may_attend is None:
        return torch.softmax(scores.float(), -1).to(scores.dtype)
    empty = ~may_attend.any(-1, keepdim=True)
    hidden = ~may_attend & ~empty
    weights = scores.masked_fill(hidden, float("-inf")).float().softmax(-1)
    return torch.where(empty, 0.0, weights).to(scores.dtype)


def softmax_with_the_lowest_number(scores, may_attend=None):
    if may_attend is None:
        may_attend = torch.ones_like(scores, dtype=torch.bool)
    lowest = torch.finfo(scores.dtype).min
    weights = torch.where(may_attend, scores, lowest).softmax(dim=-1)
    return weights.masked_fill(~may_attend, 0)


def softmax_then_repair(scores, may_attend=None):
    if may_attend is None:
        return scores.softmax(-1)
    weights = scores.masked_fill(~may_attend, -torch.inf).softmax(dim=-1)
    return weights.nan_to_num(0.0)


def softmax_by_hand(scores, may_attend=None):
    wide = scores.double()
    if may_attend is not None:
        wide = wide.masked_fill(~may_attend, -math.inf)
    highest = wide.detach().amax(-1, keepdim=True).clamp(min=-1e30)
    powers = (wide - highest).exp()
    return (powers / powers.sum(-1, keepdim=True).clamp(min=1e-30)).to(scores.dtype)


def softmax_by_rows(scores, may_attend=None):
    if may_attend is None:
        return scores.softmax(-1)
    rows = []
    mask = may_attend.expand(scores.shape).reshape(-1, scores.shape[-1])
    for row, may in zip(scores.reshape(-1, scores.shape[-1]), mask, strict=True):
        weights = torch.zeros_like(row)
        if may.any():
            weights = weights.index_put((may,), row[may].float().softmax(0).to(row.dtype))
        rows.append(weights)
    return torch.stack(rows).reshape(scores.shape)


def filling(low):
    """Make a masked_softmax that hides with a finite number."""

    def masked_softmax(scores, may_attend=None):
        if may_attend is None:
            return scores.softmax(-1)
        return scores.masked_fill(~may_attend, low).softmax(-1)

    return masked_softmax


def changing(change):
    """Make a masked_softmax that does something else to the scores where there is a mask."""

    def masked_softmax(scores, may_attend=None):
        return (scores if may_attend is None else change(scores, may_attend)).softmax(-1)

    return masked_softmax


def along(dim):
    """Make a masked_softmax along another axis."""

    def masked_softmax(scores, may_attend=None):
        if may_attend is None:
            return scores.softmax(dim)
        weights = scores.masked_fill(~may_attend, -math.inf).softmax(dim)
        return weights.masked_fill(~may_attend, 0.0)

    return masked_softmax


def hide_after_softmax(scores, may_attend=None):
    weights = scores.softmax(-1)
    return weights if may_attend is None else weights * may_attend


def hide_after_softmax_and_divide(scores, may_attend=None):
    weights = scores.softmax(-1)
    if may_attend is None:
        return weights
    weights = weights * may_attend
    return weights / weights.sum(-1, keepdim=True)


def hide_after_softmax_and_divide_softly(scores, may_attend=None):
    weights = scores.softmax(-1)
    if may_attend is None:
        return weights
    weights = weights * may_attend
    return weights / (weights.sum(-1, keepdim=True) + 1e-9)


def look_everywhere_instead(scores, may_attend=None):
    if may_attend is None:
        return scores.softmax(-1)
    somewhere = may_attend.any(-1, keepdim=True)
    return scores.masked_fill(~may_attend & somewhere, -math.inf).softmax(-1)


def never_divide(scores, may_attend=None):
    powers = (scores - scores.amax(-1, keepdim=True)).exp()
    return powers if may_attend is None else powers * may_attend


def wiping_up(scores, may_attend=None):
    weights = filling(-1e4)(scores, may_attend)
    return weights if may_attend is None else weights.masked_fill(~may_attend, 0.0)


def hide_inverted(scores, may_attend=None):
    if may_attend is None:
        return scores.softmax(-1)
    return scores.masked_fill(may_attend, -math.inf).softmax(-1).masked_fill(may_attend, 0.0)


def add_infinity_and_repair(scores, may_attend=None):
    if may_attend is None:
        return scores.softmax(-1)
    hidden = torch.zeros_like(scores).masked_fill(~may_attend, -math.inf)
    return (scores + hidden).softmax(-1).nan_to_num(0.0)


def powers_without_the_highest(scores, may_attend=None):
    powers = scores.exp()
    if may_attend is not None:
        powers = powers * may_attend
    return powers / powers.sum(-1, keepdim=True).clamp(min=1e-30)


def powers_with_one_highest(scores, may_attend=None):
    powers = (scores - scores.max()).exp()
    if may_attend is not None:
        powers = powers * may_attend
    return powers / powers.sum(-1, keepdim=True)


def empty_every_row_with_a_gap(scores, may_attend=None):
    if may_attend is None:
        return scores.softmax(-1)
    weights = scores.masked_fill(~may_attend, -math.inf).softmax(-1)
    return weights.masked_fill(~may_attend.all(-1, keepdim=True), 0.0)


def softmax_in_place(scores, may_attend=None):
    if may_attend is None:
        return scores.softmax(-1)
    scores.masked_fill_(~may_attend, -math.inf)
    return scores.softmax(-1).masked_fill(~may_attend, 0.0)


def always_float(scores, may_attend=None):
    return softmax_that_looks_everywhere_instead(scores.float(), may_attend)


def draw_softmax(draw: random.Random) -> list[dict]:
    def triangle(T, S):
        return torch.ones(T, S).tril(S - T).bool()

    def real(*lengths, total):
        return (torch.arange(total) >= total - torch.tensor(lengths)[:, None])[:, None, None]

    cases: list[dict] = [
        {"scores": normal(draw, 1, 1, 1, 2)},
        {"scores": normal(draw, 1, 1, 2, 2)},
        {"scores": normal(draw, 1, 2, 2, 3)},
        {"scores": normal(draw, 1, 1, 1, 3), "may_attend": torch.tensor([[True, True, False]])},
        {"scores": normal(draw, 1, 1, 2, 2), "may_attend": triangle(2, 2)},
        {"scores": normal(draw, 1, 1, 3, 3), "may_attend": triangle(3, 3)},
        {
            "scores": normal(draw, 1, 1, 2, 3),
            "may_attend": torch.tensor([[False, False, False], [True, False, True]]),
        },
        {"scores": normal(draw, 1, 1, 2, 3), "may_attend": real(3, total=3) & triangle(2, 3)},
        {"scores": normal(draw, 1, 2, 2, 4), "may_attend": triangle(2, 4)},
        {"scores": normal(draw, 2, 1, 3, 3), "may_attend": real(3, 1, total=3) & triangle(3, 3)},
        {"scores": normal(draw, 2, 3, 2, 5), "may_attend": real(4, 2, total=5)},
        {"scores": normal(draw, 2, 3, 4, 5), "may_attend": draw_mask(draw, 2, 1, 4, 5)},
        {"scores": normal(draw, 2, 3, 4, 5), "may_attend": draw_mask(draw, 2, 3, 4, 5)},
        {
            "scores": normal(draw, 2, 2, 3, 5),
            "may_attend": draw_mask(draw, 2, 1, 3, 5, none_at=(draw.randrange(3),)),
        },
        {"scores": normal(draw, 2, 2, 3, 4, dtype=torch.float64)},
        {
            "scores": normal(draw, 2, 2, 3, 4, dtype=torch.bfloat16),
            "may_attend": draw_mask(draw, 1, 1, 3, 4),
        },
        {"scores": normal(draw, 3, 2, 7, 11, digits=None), "may_attend": triangle(7, 11)},
    ]
    # Large ones: exp overflows at 89, and a hidden score of -100 or -10,000 is not the lowest.
    high, low = draw.choice([2e4, 3e4]), draw.choice([-2e4, -3e4])
    large = torch.tensor([[high, high + 1, 0.0], [low, low - 1, 5.0], [low, 1.0, high]])
    mixed = torch.tensor([[True, True, False], [True, True, False], [True, True, False]])
    cases += [
        {"scores": large[None, None, :1]},
        {"scores": large[None, None, 1:2], "may_attend": mixed[1:2]},
        {"scores": large[None, None, 1:2] / 8, "may_attend": mixed[1:2]},
        {"scores": large[None, None, 2:], "may_attend": mixed[2:]},
        {"scores": large[None, None], "may_attend": mixed},
        {
            "scores": large[None, None, :2].repeat(2, 1, 1, 1),
            "may_attend": torch.tensor([[True, True, True], [False, False, False]]),
        },
    ]
    return cases


MASKED_SOFTMAX = Exercise(
    answer="minilm.attention:masked_softmax",
    lesson=LESSON,
    cases=draw_softmax,
    reference=reference_softmax,
    reference_name="the weights of transformers' eager attention",
    compare=alike(tolerance=TOLERANCE),
    use=use_softmax,
    mistakes=[
        Mistake(
            "sums to 1 over the queries",
            along(-2),
            "The softmax runs over dim -2, so the columns sum to 1. Each query shares itself out "
            "among the keys: the last axis must sum to 1.",
        ),
        Mistake(
            "sums to 1 over the heads",
            along(1),
            "The softmax runs over dim 1, the heads (`F.softmax` without a dim does so too). Each "
            "head shares out its attention by itself, among the keys: dim=-1.",
        ),
        Mistake(
            "ignores the mask",
            lambda scores, may_attend=None: scores.softmax(-1),
            "Nothing is hidden. A model that may look at the next token learns to copy it, and its "
            "training loss will look wonderful.",
        ),
        Mistake(
            "hides after the softmax",
            hide_after_softmax,
            "The hidden weights are taken out when the row has been shared out already, so what is "
            "left sums to less than 1. Hide the scores, then take the softmax.",
        ),
        Mistake(
            "hides after the softmax and divides again",
            hide_after_softmax_and_divide,
            "Dividing by the sum repairs most rows. Where a hidden key had nearly all the weight, "
            "or nothing may be seen, the sum is 0 and 0/0 is NaN. Hide the scores first.",
        ),
        Mistake(
            "hides after the softmax and divides by nearly the sum",
            hide_after_softmax_and_divide_softly,
            "A small number in the divisor avoids NaN, not the trouble: where a hidden key had "
            "nearly all the weight, rounding has eaten the rest. Hide the scores first.",
        ),
        Mistake(
            "multiplies the scores by the mask",
            changing(lambda scores, may: scores * may),
            "A hidden score becomes 0, and exp(0) is 1: the key is still looked at, more than one "
            "with a negative score. What is hidden needs minus infinity.",
        ),
        Mistake(
            "adds the mask as it is",
            changing(lambda scores, may: scores + may),
            "True and False count as 1 and 0, so the visible keys get a little more and the hidden "
            "ones stay. transformers' eager attention does that too when it is handed a boolean "
            "mask, without a word.",
        ),
        Mistake(
            "hides with -1",
            changing(lambda scores, may: scores.masked_fill(~may, -1.0)),
            "A hidden key gets the score -1, and exp(-1) is 0.37: it is still looked at. Hidden "
            "means minus infinity.",
        ),
        Mistake(
            "hides with a number like -100",
            filling(-100.0),
            "Such a number is low among scores around 0. Where the visible scores are lower still, the "
            "hidden keys win. Minus infinity cannot be beaten.",
        ),
        Mistake(
            "hides with a number like -10,000",
            filling(-1e4),
            "Such a number is low until a model's scores grow: among scores of -20,000 the hidden keys "
            "win. Minus infinity cannot be beaten.",
        ),
        Mistake(
            "hides with a number like -10,000 and wipes up behind",
            wiping_up,
            "Taking the hidden weights out in the end is right. Among scores of -20,000 a number "
            "like -10,000 has won before, and nothing is left for the visible keys. Minus infinity, "
            "or the lowest number of the dtype, cannot be beaten.",
        ),
        Mistake(
            "looks everywhere where it may look nowhere",
            filling(-1e9),
            "Hidden keys get a finite score (-1e9, or the lowest number there is). In a row that "
            "may look nowhere they are all equal, and the weights come out even over what must "
            "not be seen. Such a row is zeros.",
        ),
        Mistake(
            "lets a row that may look nowhere look everywhere",
            look_everywhere_instead,
            "In a row that may look nowhere nothing is hidden, which avoids NaN; but its weights "
            "stay. Take them out after the softmax: such a row is zeros.",
        ),
        Mistake(
            "gives logarithms",
            lambda scores, may_attend=None: (
                scores if may_attend is None else scores.masked_fill(~may_attend, -1e30)
            ).log_softmax(-1),
            "`log_softmax` gives the logarithms of the weights, which are negative. Values are "
            "mixed by the weights themselves: `softmax`.",
        ),
        Mistake(
            "never divides by the sum",
            never_divide,
            "The powers are there, and nobody has divided them by the sum of their row: the weights "
            "of a row must add up to 1.",
        ),
        Mistake(
            "adds a large negative number",
            changing(lambda scores, may: scores + ~may * -1e9),
            "With -1e9 added, hidden scores keep a rest of what they were, and in a row that may "
            "look nowhere the hidden keys share out the weight. Such a row is zeros.",
        ),
        Mistake(
            "hides what may be seen",
            hide_inverted,
            "The mask is used the wrong way round: True means that a query may look. (torch's "
            "MultiheadAttention means the opposite, and `masked_fill` fills where True: "
            "write `~may_attend`.)",
        ),
        Mistake(
            "hides what may be seen, and gets NaN",
            changing(lambda scores, may: scores.masked_fill(may, -math.inf)),
            "The mask is used the wrong way round: True means that a query may look. A row that "
            "may look everywhere is hidden altogether, and gives 0/0. Write `~may_attend`.",
        ),
        Mistake(
            "hides what may be seen with a large negative number",
            changing(lambda scores, may: scores.masked_fill(may, -1e9)),
            "The mask is used the wrong way round: True means that a query may look, and "
            "`masked_fill` fills where True. Write `~may_attend`.",
        ),
        Mistake(
            "gives NaN where it may look nowhere",
            filling(-math.inf),
            "A row of nothing but minus infinity has the sum 0, and 0/0 is NaN, which spreads "
            "through every layer above. Such a row is zeros.",
        ),
        Mistake(
            "multiplies minus infinity by 0",
            changing(lambda scores, may: scores + ~may * -math.inf),
            "Where a key may be seen you add 0 times minus infinity, which is NaN. Choose instead "
            "of multiplying: `masked_fill` or `torch.where`.",
        ),
        Mistake(
            "repairs the weights but not the gradients",
            add_infinity_and_repair,
            "The weights are right. On the way back the softmax meets its own NaN, and 0 times NaN "
            "is NaN: one empty row spoils every weight of the model. Let such a row look "
            "everywhere, and take its weights out afterwards.",
        ),
        Mistake(
            "overflows",
            powers_without_the_highest,
            "exp(89) is too large for float32: inf/inf is NaN. Take the highest score of each row "
            "away first, which changes no weight; `softmax` does so.",
        ),
        Mistake(
            "takes one highest score for all rows",
            powers_with_one_highest,
            "You subtract the highest score of the whole tensor. A row that lies far below it "
            "comes out as zeros, and 0/0 is NaN. Each row has a highest score of its own.",
        ),
        Mistake(
            "empties every row that has a hidden key",
            empty_every_row_with_a_gap,
            "You ask whether *all* keys may be seen, and empty the other rows. The question is "
            "whether *any* may.",
        ),
        Mistake(
            "writes into the scores",
            softmax_in_place,
            "`masked_fill_` changes the tensor that was handed in; whoever called still holds it, "
            "and torch needs it for the gradients. `masked_fill` makes a new one.",
        ),
        Mistake(
            "changes the dtype",
            always_float,
            "The weights of bfloat16 scores come out as float32. It is right to compute the "
            "softmax so; then go back with `.to(scores.dtype)`.",
        ),
        Mistake(
            "does not work without a mask",
            lambda scores, may_attend=None: scores.masked_fill(~may_attend, -math.inf).softmax(-1),
            "Without a mask `may_attend` is None, and `~None` is an error. No mask means that "
            "every query may look everywhere.",
        ),
    ],
    accepts=[
        softmax_that_looks_everywhere_instead,
        softmax_with_the_lowest_number,
        softmax_then_repair,
        softmax_by_hand,
        softmax_by_rows,
    ],
)
