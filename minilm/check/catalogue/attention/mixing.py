"""The exercise eager_attention and its known mistakes."""

from __future__ import annotations

import math
import random

from minilm.check.catalogue.attention.by_transformers import LESSON, TOLERANCE, eager
from minilm.check.comparing import alike
from minilm.check.drawing import may_attend as draw_mask
from minilm.check.drawing import normal
from minilm.check.exercise import Exercise, Mistake
from minilm.check.later import torch


def use_attention(function, query, key, value, dropout=0.0, **rest):
    """Ask for output and weights; with dropout, for what may be said of any random choice."""
    if not dropout:
        return function(query=query, key=key, value=value, **rest)
    # The values pick out each weight, and the sum of all.
    S = key.shape[2]
    value = torch.cat([torch.eye(S), torch.ones(S, 1)], dim=1).expand(*key.shape[:2], -1, -1)
    full, _ = function(query=query, key=key, value=value, **rest)
    mixed, _ = function(query=query, key=key, value=value, dropout=dropout, **rest)
    kept = mixed[..., :S] != 0
    grown = (mixed[..., :S] / full[..., :S])[kept].mean() if kept.any() else torch.zeros(())
    together = torch.allclose(mixed[..., :S].sum(-1), mixed[..., S], atol=1e-3)
    return {
        "share of weights left out": round(1 - kept.float().mean().item(), 1),
        "those left grow by": round(grown.item(), 3),
        "left out for all values alike": together,
    }


def reference_attention(query, key, value, **rest):
    return use_attention(eager, query, key, value, **rest)


def group(query, key):
    return query.shape[1] // key.shape[1]


def by_einsum(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
    n_rep = group(query, key)
    key, value = key.repeat_interleave(n_rep, 1), value.repeat_interleave(n_rep, 1)
    scores = torch.einsum("bhtd,bhsd->bhts", query, key)
    scores = scores * (scale if scale is not None else query.shape[-1] ** -0.5)
    if bias is not None:
        scores = scores + bias
    if may_attend is not None:
        scores = scores.masked_fill(~may_attend, -1e30)
    weights = torch.softmax(scores, dim=-1)
    if may_attend is not None:
        weights = weights * may_attend
    weights = torch.dropout(weights, dropout, train=True)
    return torch.einsum("bhts,bhsd->bhtd", weights, value), weights


def by_groups(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
    """Give the query heads of one key head an axis of their own: nothing is repeated."""
    B, H, T, D = query.shape
    H_kv, S = key.shape[1:3]
    grouped = query.reshape(B, H_kv, H // H_kv, T, D)
    scale = 1 / math.sqrt(D) if scale is None else scale
    scores = (grouped @ key.unsqueeze(2).mT).reshape(B, H, T, S) * scale
    scores = scores if bias is None else scores + bias
    if may_attend is not None:
        scores = torch.where(may_attend, scores, torch.tensor(-math.inf, dtype=scores.dtype))
    weights = scores.softmax(-1).nan_to_num()
    if dropout:
        weights = weights * (torch.rand_like(weights) >= dropout) / (1 - dropout)
    mixed = weights.reshape(B, H_kv, H // H_kv, T, S) @ value.unsqueeze(2)
    return mixed.reshape(B, H, T, value.shape[-1]), weights


def by_loop(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
    outputs, every_weight = [], []
    B, H, T, D = query.shape
    S = key.shape[2]
    for head in range(H):
        shared = head // (H // key.shape[1])
        scores = torch.bmm(query[:, head], key[:, shared].transpose(1, 2))
        scores = scores * (D**-0.5 if scale is None else scale)
        if bias is not None:
            scores = scores + bias.expand(B, H, T, S)[:, head]
        if may_attend is not None:
            may = may_attend.expand(B, H, T, S)[:, head]
            scores = scores.masked_fill(~may, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1)
        if may_attend is not None:
            weights = weights.masked_fill(~may, 0.0)
        weights = torch.nn.functional.dropout(weights, p=dropout)
        outputs.append(torch.bmm(weights, value[:, shared]))
        every_weight.append(weights)
    return torch.stack(outputs, dim=1), torch.stack(every_weight, dim=1)


def with_minilms_own_steps(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
    from minilm import attention

    n_rep = group(query, key)
    key = attention.repeat_kv(key, n_rep)
    value = attention.repeat_kv(value, n_rep)
    scores = attention.attention_scores(query, key, scale)
    if bias is not None:
        scores = scores + bias
    weights = attention.masked_softmax(scores, may_attend)
    weights = torch.nn.functional.dropout(weights, dropout)
    return torch.matmul(weights, value), weights


def mixing(
    repeat=lambda x, n: x.repeat_interleave(n, dim=1),
    score=lambda query, key, scale, bias: query @ key.mT * scale + bias,
    hide=lambda scores, may: scores.masked_fill(~may, -1e30),
    share=lambda scores: scores.softmax(-1),
    then=lambda weights, may, bias: weights * may,
    drop=lambda weights, p: torch.nn.functional.dropout(weights, p),
    mix=lambda weights, key, value: weights @ value,
    give=lambda output, weights: (output, weights),
    default=lambda query, key: query.shape[-1] ** -0.5,
    told=lambda scale: scale,
):
    """Make an eager_attention that takes one of its steps in another way."""

    def eager_attention(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
        n_rep = group(query, key)
        key, value = repeat(key, n_rep), repeat(value, n_rep)
        scale = told(scale)
        scale = default(query, key) if scale is None else scale
        bias = torch.zeros((), dtype=query.dtype) if bias is None else bias
        may = torch.ones((), dtype=torch.bool) if may_attend is None else may_attend
        scores = score(query, key, scale, bias)
        weights = then(share(hide(scores, may)), may, bias)
        if dropout:
            weights = drop(weights, dropout)
        return give(mix(weights, key, value), weights)

    return eager_attention


def keep_without_growing(weights, p):
    return weights * (torch.rand_like(weights) >= p)


def keep_the_dropped(weights, p):
    return weights * (torch.rand_like(weights) < p) / p


def drop_from_the_output(query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0):
    output, weights = mixing()(query, key, value, may_attend, scale, bias)
    return torch.nn.functional.dropout(output, dropout), weights


def draw_mixes(draw: random.Random) -> list[dict]:
    shapes = [
        # B  H  H_kv  T  S  D
        (1, 1, 1, 1, 1, 2),
        (1, 1, 1, 1, 2, 2),
        (1, 1, 1, 2, 3, 2),
        (1, 1, 1, 3, 3, 2),
        (1, 2, 2, 1, 2, 2),
        (1, 2, 1, 1, 2, 2),
        (1, 4, 2, 1, 2, 2),
        (1, 1, 1, 3, 3, 3),
        (2, 2, 2, 3, 4, 5),
        (2, 4, 2, 3, 5, 6),
        (2, 6, 3, 4, 4, 4),
        (3, 6, 2, 5, 7, 8),
    ]
    cases: list[dict] = []

    def add(B, H, H_kv, T, S, D, **rest):
        cases.append(
            {
                "query": normal(draw, B, H, T, D),
                "key": normal(draw, B, H_kv, S, D),
                "value": normal(draw, B, H_kv, S, D),
                **rest,
            }
        )

    for shape in shapes:
        add(*shape)
    add(1, 1, 1, 1, 2, 2, scale=1.0)
    add(1, 1, 1, 1, 3, 2, may_attend=torch.tensor([[True, True, False]]))
    add(1, 1, 1, 1, 2, 2, bias=normal(draw, 1, 1, 1, 2))
    add(1, 1, 1, 2, 2, 1, may_attend=torch.ones(2, 2).tril().bool())
    add(1, 1, 1, 2, 2, 2, may_attend=torch.tensor([[False, False], [True, False]]))
    add(2, 4, 2, 3, 5, 6, scale=draw.choice([1.0, 0.5]), bias=normal(draw, 1, 4, 3, 5, scale=2))
    add(2, 4, 2, 3, 5, 6, may_attend=draw_mask(draw, 2, 1, 3, 5))
    add(2, 4, 1, 3, 5, 6, may_attend=draw_mask(draw, 2, 1, 3, 5, none_at=(draw.randrange(3),)))
    mask = draw_mask(draw, 2, 3, 4, 6)
    add(2, 3, 3, 4, 6, 5, may_attend=mask, bias=normal(draw, 2, 3, 4, 6, scale=2), scale=1.0)
    add(2, 4, 4, 3, 4, 6, may_attend=draw_mask(draw, 2, 1, 1, 4))
    double = [normal(draw, 1, 2, 3, 4).double() for _ in "qkv"]
    cases.append(dict(zip(("query", "key", "value"), double, strict=True)))
    add(4, 4, 2, 32, 32, 4, dropout=0.5)
    add(4, 2, 2, 32, 64, 4, dropout=0.2)
    return cases


EAGER_ATTENTION = Exercise(
    answer="minilm.attention:eager_attention",
    lesson=LESSON,
    cases=draw_mixes,
    reference=reference_attention,
    reference_name="transformers' eager attention",
    compare=alike(tolerance=TOLERANCE),
    use=use_attention,
    mistakes=[
        Mistake(
            "never scales",
            mixing(default=lambda query, key: 1.0, told=lambda scale: None),
            "The scores are the bare products. Hand `scale` on to attention_scores, which takes "
            "1/√D where none is given.",
        ),
        Mistake(
            "scales only when told to",
            mixing(default=lambda query, key: 1.0),
            "Where no scale is given the scores stay as large as √D makes them. It is 1/√D unless "
            "somebody asks for another.",
        ),
        Mistake(
            "ignores the scale it is given",
            mixing(told=lambda scale: None),
            "You take 1/√D whatever `scale` says. T5 was trained with 1: hand it on.",
        ),
        Mistake(
            "scales by the width of the model",
            mixing(default=lambda query, key: (query.shape[1] * query.shape[-1]) ** -0.5),
            "You divide by √(H·D). Each product sums over one head's D numbers: √D.",
        ),
        Mistake(
            "forgets the bias",
            mixing(score=lambda query, key, scale, bias: query @ key.mT * scale),
            "The bias is never added. T5 and ALiBi know nothing of positions but what it tells "
            "them.",
        ),
        Mistake(
            "does not work without a bias",
            lambda query, key, value, may_attend=None, scale=None, bias=None, dropout=0.0: mixing()(
                query, key, value, may_attend, scale, torch.zeros(1) + bias, dropout
            ),
            "Most models have no bias: it is None then, and None cannot be added. Add it only "
            "where there is one.",
        ),
        Mistake(
            "scales the bias",
            mixing(score=lambda query, key, scale, bias: (query @ key.mT + bias) * scale),
            "You add the bias before the scale, which shrinks it too. It was learned as it is: "
            "scale the products, then add.",
        ),
        Mistake(
            "adds the bias to the weights",
            mixing(
                score=lambda query, key, scale, bias: query @ key.mT * scale,
                then=lambda weights, may, bias: (weights + bias) * may,
            ),
            "The bias is added after the softmax, so the rows no longer sum to 1. It belongs to "
            "the scores.",
        ),
        Mistake(
            "ignores the mask",
            mixing(hide=lambda scores, may: scores, then=lambda weights, may, bias: weights),
            "Every query looks everywhere. Hand `may_attend` on to masked_softmax.",
        ),
        Mistake(
            "hides after the softmax",
            mixing(hide=lambda scores, may: scores),
            "The rows have been shared out before the mask takes its part, and sum to less than 1. "
            "Mask the scores, then take the softmax.",
        ),
        Mistake(
            "hides what may be seen",
            mixing(
                hide=lambda scores, may: scores.masked_fill(may, -1e30) if may.dim() else scores,
                then=lambda weights, may, bias: weights * ~may if may.dim() else weights,
            ),
            "The mask is used the wrong way round: True means that a query may look.",
        ),
        Mistake(
            "looks everywhere where it may look nowhere",
            mixing(then=lambda weights, may, bias: weights),
            "A row that may look nowhere gets even weights over what must not be seen. Its weights "
            "are zeros, and so is its output.",
        ),
        Mistake(
            "gives NaN where it may look nowhere",
            mixing(
                hide=lambda scores, may: scores.masked_fill(~may, -math.inf),
                then=lambda weights, may, bias: weights,
            ),
            "A row of nothing but minus infinity gives 0/0, which is NaN. masked_softmax has an "
            "answer for it: zeros.",
        ),
        Mistake(
            "sums to 1 over the queries",
            mixing(share=lambda scores: scores.softmax(-2)),
            "The softmax runs over dim -2, so the columns sum to 1. Each query shares itself out "
            "among the keys, the last axis.",
        ),
        Mistake(
            "repeats the row of heads as a whole",
            mixing(repeat=lambda x, n: x.repeat(1, n, 1, 1)),
            "With two key heads for four query heads you give 0, 1, 0, 1; wanted is 0, 0, 1, 1. "
            "The shapes agree, and half the query heads meet keys they were not trained with.",
        ),
        Mistake(
            "repeats nothing",
            mixing(repeat=lambda x, n: x),
            "With fewer key heads than query heads the shapes do not fit; with a single one they "
            "do, by luck. Repeat keys and values, query.shape[1] // key.shape[1] times.",
        ),
        Mistake(
            "mixes the keys",
            mixing(mix=lambda weights, key, value: weights @ key),
            "`weights @ key` mixes what is searched by, not what is found. The output is made of "
            "the values.",
        ),
        Mistake(
            "mixes over the queries",
            mixing(mix=lambda weights, key, value: weights.mT @ value),
            "The weights are transposed before they meet the values, so each token gets what "
            "others asked for. The columns of the weights belong to the values: weights @ value.",
        ),
        Mistake(
            "returns the output alone",
            mixing(give=lambda output, weights: output),
            "Two things are asked for: `return output, weights`. The lesson draws the weights.",
        ),
        Mistake(
            "returns the weights first",
            mixing(give=lambda output, weights: (weights, output)),
            "The weights come first and the mixed values second. The mixed values come first.",
        ),
        Mistake(
            "puts the tokens before the heads",
            mixing(give=lambda output, weights: (output.transpose(1, 2).contiguous(), weights)),
            "The output is (B, T, H, D), as transformers' own function returns it. Here it stays "
            "(B, H, T, D), and merge_heads does the rest.",
        ),
        Mistake(
            "leaves out nothing",
            mixing(drop=lambda weights, p: weights),
            "`dropout` is not used. In training that share of the weights is left out at random.",
        ),
        Mistake(
            "leaves out without making up for it",
            mixing(drop=keep_without_growing),
            "The weights that remain stay as they are, so a row sums to 1 - dropout, and in use, "
            "without dropout, everything is larger than in training. Divide by 1 - dropout; "
            "`F.dropout` does.",
        ),
        Mistake(
            "leaves out what should stay",
            mixing(drop=keep_the_dropped),
            "`dropout` is the share that is left out; you keep that share. With 0.5 nobody sees "
            "it, with 0.2 four fifths are gone.",
        ),
        Mistake(
            "leaves out numbers of the output",
            drop_from_the_output,
            "Dropout is applied to the mixed values. Here it leaves out weights: a query does "
            "without some keys, for all numbers of their values alike.",
        ),
    ],
    accepts=[by_einsum, by_groups, by_loop, with_minilms_own_steps],
)
