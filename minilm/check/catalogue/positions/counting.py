"""The exercise position_ids_from_mask, and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from minilm.check.exercise import Exercise, Mistake
from minilm.check.later import torch

LESSON = "03_positions"


def reference_position_ids(attention_mask, query_length=None):
    from transformers import GenerationMixin

    # It looks at its arguments alone, never at the model.
    position_ids = GenerationMixin._prepare_position_ids_for_generation(
        None, attention_mask, {"attention_mask": attention_mask}
    )
    return position_ids if query_length is None else position_ids[:, -query_length:]


def last(position_ids, query_length):
    """The last columns, as many as there are queries."""
    return position_ids if query_length is None else position_ids[:, -query_length:]


def counting(count: Callable[[Any], Any]) -> Callable[..., Any]:
    """Make a position_ids_from_mask that counts a whole mask in another way."""

    def position_ids_from_mask(attention_mask, query_length=None):
        return last(count(attention_mask), query_length)

    return position_ids_from_mask


def up_to_here(mask):
    return mask.long().cumsum(-1)


def count_real_tokens(mask):
    return (up_to_here(mask) - 1).masked_fill(mask == 0, 0)


def count_columns(mask):
    return torch.arange(mask.shape[1]).expand(mask.shape[0], -1)


def count_from_the_first_real(mask):
    first = (mask != 0).long().argmax(-1, keepdim=True)
    return (torch.arange(mask.shape[1]) - first).clamp(min=0)


def count_through_the_batch(mask):
    counted = mask.bool().flatten().cumsum(0).view(mask.shape) - 1
    return counted.masked_fill(mask == 0, 0)


def count_from_the_number_of_zeros(mask):
    padding = (mask == 0).sum(-1, keepdim=True)
    return (torch.arange(mask.shape[1]) - padding).clamp(min=0)


def positions_after_cutting(attention_mask, query_length=None):
    return count_real_tokens(last(attention_mask, query_length))


def positions_in_front(attention_mask, query_length=None):
    return count_real_tokens(attention_mask)[:, :query_length]


def positions_by_loops(attention_mask, query_length=None):
    rows = []
    for row in attention_mask.tolist():
        seen, positions = 0, []
        for real in row:
            positions.append(seen if real else 0)
            seen += bool(real)
        rows.append(positions if query_length is None else positions[len(row) - query_length :])
    return torch.tensor(rows)


def positions_by_product(attention_mask, query_length=None):
    mask = attention_mask.to(torch.int64)
    return last((torch.cumsum(mask, dim=1) - 1) * mask, query_length)


def positions_by_triangle(attention_mask, query_length=None):
    mask = attention_mask.bool()
    earlier = torch.ones(mask.shape[1], mask.shape[1]).triu(1)
    counted = (mask.float() @ earlier).round().long()
    counted[~mask] = 0
    return last(counted, query_length)


def positions_by_numpy(attention_mask, query_length=None):
    import numpy as np

    mask = attention_mask.numpy().astype(bool)
    counted = np.where(mask, np.cumsum(mask, axis=1) - 1, 0)
    return last(torch.from_numpy(counted), query_length)


def draw_masks(draw: random.Random) -> list[dict]:
    one = torch.tensor
    cases: list[dict[str, Any]] = [
        {"attention_mask": one([[1]])},
        {"attention_mask": one([[0, 1]])},
        {"attention_mask": one([[1, 1, 1]])},
        {"attention_mask": one([[0, 0, 1, 1]])},
        {"attention_mask": one([[1, 1, 1, 0]])},
        {"attention_mask": one([[0, 1, 1, 1, 1, 1]])},
        {"attention_mask": one([[1, 1, 1]]), "query_length": 1},
        {"attention_mask": one([[0, 1, 1]]), "query_length": 2},
        {"attention_mask": one([[0, 0, 1, 1, 1]]), "query_length": 2},
        {"attention_mask": one([[0, 1, 1], [1, 1, 1]]), "query_length": 3},
        {"attention_mask": one([[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]])},
        {"attention_mask": one([[0, 1, 1], [1, 1, 1]]).bool()},
        {"attention_mask": one([[0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]])},
        {"attention_mask": one([[1, 0, 0, 1, 1], [1, 1, 0, 0, 1]])},
        {"attention_mask": one([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]], dtype=torch.int32)},
    ]
    for kind in (torch.int64, torch.bool, torch.float32):
        lengths = [draw.randint(1, 7) for _ in range(5)]
        rows = [[0] * (7 - length) + [1] * length for length in lengths]
        cases.append({"attention_mask": one(rows).to(kind)})
        cases.append({"attention_mask": one(rows[:3]).to(kind), "query_length": 1})
        cases.append({"attention_mask": one([row[::-1] for row in rows]).to(kind)})
        cases.append({"attention_mask": one(rows).to(kind), "query_length": draw.randint(2, 6)})
    return cases


POSITION_IDS_FROM_MASK = Exercise(
    answer="minilm.positions.counting:position_ids_from_mask",
    lesson=LESSON,
    cases=draw_masks,
    reference=reference_position_ids,
    reference_name="what generate() counts",
    mistakes=[
        Mistake(
            "counts the padding too",
            counting(count_columns),
            "The number of the column is no position: after two columns of padding the first word "
            "stands at 0, not at 2. A model with learned positions reads another text.",
        ),
        Mistake(
            "begins at 1",
            counting(lambda mask: up_to_here(mask).masked_fill(mask == 0, 0)),
            "cumsum gives 1 for the first real token, and it stands at position 0. Subtract one, "
            "or the first row of the table is never used.",
        ),
        Mistake(
            "begins at 1, and counts the padding",
            counting(lambda mask: count_columns(mask) + 1),
            "You number the columns from 1. Count real tokens alone, and from 0.",
        ),
        Mistake(
            "leaves -1 at the padding",
            counting(lambda mask: up_to_here(mask) - 1),
            "Padding on the left gets -1, and no table has a row -1: an embedding stops with an "
            "error. (Padding on the right repeats the last position.) Padding gets 0.",
        ),
        Mistake(
            "makes all padding -1",
            counting(lambda mask: count_real_tokens(mask).masked_fill(mask == 0, -1)),
            "You set the padding to zero before the one is subtracted, so it ends at -1, and an "
            "embedding has no row -1. Padding gets 0: subtract first.",
        ),
        Mistake(
            "clamps in place of filling",
            counting(lambda mask: (up_to_here(mask) - 1).clamp(min=0)),
            "Clamping mends padding on the left. On the right the count stands still, so padding "
            "gets the last token's position. Use the mask itself: padding gets 0 on both sides.",
        ),
        Mistake(
            "gives padding a 1",
            counting(lambda mask: (up_to_here(mask) - 1).masked_fill(mask == 0, 1)),
            "Padding gets position 1, as generate() had it for years. Nobody looks at padding, so "
            "no token of the output changes; but generate() now gives 0, and so does the docstring.",
        ),
        Mistake(
            "goes on counting in the padding",
            counting(count_from_the_first_real),
            "You look for the first real token and number the columns from there. Padding that "
            "comes later is counted as if it were text.",
        ),
        Mistake(
            "starts again with a cache",
            positions_after_cutting,
            "You cut the mask to the new columns and then count, so each new token stands at 0. "
            "Its position is how many real tokens came before: count all columns, then cut.",
        ),
        Mistake(
            "starts again with a cache, at the column",
            lambda attention_mask, query_length=None: count_columns(
                last(attention_mask, query_length)
            ),
            "You number the new columns from 0 and do not look at the mask. The cached tokens "
            "were there first, and padding does not count.",
        ),
        Mistake(
            "returns the first columns",
            positions_in_front,
            "[:, :query_length] gives the positions of the oldest tokens. The new ones stand at "
            "the end.",
        ),
        Mistake(
            "ignores query_length",
            lambda attention_mask, query_length=None: count_real_tokens(attention_mask),
            "You return a position for every column, cached ones included. With query_length, "
            "only the last ones are asked for.",
        ),
        Mistake(
            "counts down the batch",
            counting(lambda mask: (mask.long().cumsum(0) - 1).masked_fill(mask == 0, 0)),
            "cumsum(0) adds up the rows: it counts texts. Count along the last dimension, the "
            "tokens of one text.",
        ),
        Mistake(
            "goes on counting in the next row",
            counting(count_through_the_batch),
            "The count runs on from row to row. Each row is a text of its own and begins with 0: "
            "set the counter back.",
        ),
        Mistake(
            "expects padding on the left",
            counting(count_from_the_number_of_zeros),
            "You take away the number of paddings from the column. That is right where they all "
            "stand on the left; on the right they come after the text and move nothing.",
        ),
        Mistake(
            "takes 1 for padding",
            counting(lambda mask: count_real_tokens(mask == 0)),
            "You count the padding and fill the text with 0. In an attention mask 1 is a real "
            "token.",
        ),
        Mistake(
            "counts from the end",
            counting(lambda mask: count_real_tokens(mask.flip(-1)).flip(-1)),
            "The last token gets 0 and the first the highest number. A text that grows by a token "
            "would move all the others.",
        ),
        Mistake(
            "keeps the type of the mask",
            counting(lambda mask: (mask.cumsum(-1) - 1).masked_fill(mask == 0, 0)),
            "A mask of floats makes float positions, and an embedding takes integers alone. Turn "
            "the mask to integers before counting.",
        ),
    ],
    accepts=[
        positions_by_loops,
        positions_by_product,
        positions_by_triangle,
        positions_by_numpy,
    ],
)
