"""The exercise padding_mask and its known mistakes."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace

from minilm.check.catalogue.masks.common import INVERTED, LESSON, NUMBERS, SCORES, masking, torch
from minilm.check.exercise import Case, Exercise, Mistake


def reference_padding(attention_mask):
    config = SimpleNamespace(_attn_implementation="sdpa")
    one_query = torch.empty(attention_mask.shape[0], 1, 1)  # (B, T = 1, width)
    return masking().create_bidirectional_mask(
        config, one_query, attention_mask, allow_is_bidirectional_skip=False
    )


def right(attention_mask):
    return attention_mask.bool()[:, None, None, :]


def of_queries(attention_mask):
    return attention_mask.bool()[:, None, :, None]


def of_both(attention_mask):
    return right(attention_mask) & of_queries(attention_mask)


def without_heads(attention_mask):
    return attention_mask.bool()[:, None, :]


def batch_as_queries(attention_mask):
    return attention_mask.bool()[None, None]


def at_the_end(attention_mask):
    return attention_mask.bool()[..., None, None]


def row_for_every_query(attention_mask):
    length = attention_mask.shape[1]
    return right(attention_mask).expand(-1, -1, length, -1)


def with_causal(attention_mask):
    length = attention_mask.shape[1]
    return right(attention_mask) & torch.ones(length, length).tril().bool()


def on_the_right(attention_mask):
    real = attention_mask.bool().sum(dim=-1, keepdim=True)  # (B, 1)
    return (torch.arange(attention_mask.shape[1]) < real)[:, None, None, :]


def until_the_first_zero(attention_mask):
    return attention_mask.bool().long().cumprod(dim=-1).bool()[:, None, None, :]


def negated_as_it_is(attention_mask):
    return (~attention_mask).bool()[:, None, None, :]


def scores(attention_mask):
    shown = right(attention_mask)
    return torch.zeros(shown.shape).masked_fill(~shown, -math.inf)


def finite_scores(attention_mask):
    return (1.0 - right(attention_mask).float()) * torch.finfo(torch.float32).min


def old_scores(attention_mask):
    return (1.0 - right(attention_mask).float()) * -10000.0


def one_row_for_all(attention_mask):
    return attention_mask.bool()[:1, None, None, :]


def by_loops(attention_mask):
    batch_size, length = attention_mask.shape
    mask = torch.zeros(batch_size, 1, 1, length, dtype=torch.bool)
    for row in range(batch_size):
        for key in range(length):
            mask[row, 0, 0, key] = bool(attention_mask[row, key] == 1)
    return mask


def by_unsqueezing(attention_mask):
    return (attention_mask != 0).unsqueeze(1).unsqueeze(2)


def by_view(attention_mask):
    return (attention_mask > 0.5).view(attention_mask.shape[0], 1, 1, attention_mask.shape[1])


def draw_masks(draw: random.Random) -> list[Case]:
    small = [
        [[1]],
        [[1, 0]],
        [[0, 1]],
        [[1, 1, 0], [1, 1, 1]],
        [[0, 1, 1], [1, 1, 1]],
        [[0, 0], [1, 1], [0, 1]],
        [[1, 0, 1, 1]],
    ]
    drawn = []
    for at in range(12):
        length = draw.randint(2, 8)
        rows = []
        for _ in range(draw.randint(1, 4)):
            real = draw.randint(0, length)
            row = [1] * real + [0] * (length - real)
            rows.append(row if at % 2 else row[::-1])
        drawn.append(rows)
    kinds = [torch.int64, torch.int64, torch.float32, torch.bool, torch.int32]
    return [
        {"attention_mask": torch.tensor(rows, dtype=kinds[at % len(kinds)])}
        for at, rows in enumerate([*small, *drawn])
    ]


PADDING_MASK = Exercise(
    answer="minilm.masks:padding_mask",
    lesson=LESSON,
    cases=draw_masks,
    reference=reference_padding,
    reference_name="transformers' create_bidirectional_mask",
    mistakes=[
        Mistake("says what is hidden", lambda attention_mask: ~right(attention_mask), INVERTED),
        Mistake(
            "hides padding's queries",
            of_queries,
            "The shape is (B, 1, S, 1): the rows of padding see nothing, and everybody else still "
            "sees the padding. It is the keys that must go, in the last dimension.",
        ),
        Mistake(
            "hides padding's queries as well",
            of_both,
            "Keys and queries of padding are hidden. A query that sees nothing has no softmax, and "
            "nobody reads its output anyway. Hide the keys, (B, 1, 1, S).",
        ),
        Mistake(
            "lacks both middle dimensions",
            lambda attention_mask: attention_mask.bool(),
            "The shape is (B, S). Against scores (B, H, T, S) its rows are taken for queries: with "
            "as many rows as queries, each query gets the mask of another sentence.",
        ),
        Mistake(
            "lacks the dimension of heads",
            without_heads,
            "The shape is (B, 1, S). Counted from the right B stands where heads stand in (B, H, "
            "T, S): with as many rows as heads, each head gets the mask of another sentence.",
        ),
        Mistake(
            "takes the batch for queries",
            batch_as_queries,
            "The shape is (1, 1, B, S): rows of the batch stand where queries belong, and with as "
            "many rows as queries nobody notices. The batch comes first.",
        ),
        Mistake(
            "puts the new dimensions last",
            at_the_end,
            "The shape is (B, S, 1, 1), so keys stand where heads belong. The new dimensions go "
            "between batch and keys.",
        ),
        Mistake(
            "writes a row for every query",
            row_for_every_query,
            "The shape is (B, 1, S, S). All its rows are equal, and with a cache there are fewer "
            "queries than keys. One row is enough: it is stretched over the queries.",
        ),
        Mistake(
            "hides the future as well",
            with_causal,
            "You have combined it with the causal mask. An encoder needs padding alone; a decoder "
            "writes `padding_mask(…) & causal_mask(…)`.",
        ),
        Mistake(
            "expects padding on the right",
            on_the_right,
            "You count the real tokens and take as many from the left. For generation the padding "
            "stands on the left, and then you keep padding and hide text.",
        ),
        Mistake(
            "stops at the first zero",
            until_the_first_zero,
            "Behind the first zero everything is hidden. With padding on the left that is the whole "
            "text. Take each column as it is.",
        ),
        Mistake(
            "turns numbers with ~",
            negated_as_it_is,
            "~ turns the bits of an integer: ~1 is -2 and ~0 is -1, and both count as True. Make it "
            "boolean first; and then no ~ is needed, since 1 means real and True means may look.",
        ),
        Mistake(
            "one row for the whole batch",
            one_row_for_all,
            "Only the first row's mask is used. Every row of the batch has padding of its own.",
        ),
        Mistake(
            "leaves the numbers as they are",
            lambda attention_mask: attention_mask[:, None, None, :],
            "The shape is right, and the numbers stay numbers. torch's attention adds a float mask "
            "to the scores, so that real tokens would get 1 more and padding stays. Make it boolean.",
        ),
        Mistake(
            "ones and zeros",
            lambda attention_mask: right(attention_mask).float(),
            NUMBERS,
        ),
        Mistake("returns scores", scores, SCORES),
        Mistake(
            "returns finite scores",
            finite_scores,
            "These are scores to be added, 0 and the lowest finite number. Masks stay boolean until "
            "the very end, so that they combine with &.",
        ),
        Mistake(
            "returns the scores of old BERT code",
            old_scores,
            "(1 - mask) * -10000 makes scores to be added, as BERT's first code did. Masks stay "
            "boolean until the very end, so that they combine with &.",
        ),
    ],
    accepts=[right, by_loops, by_unsqueezing, by_view],
)
