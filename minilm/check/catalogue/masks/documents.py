"""The exercises document_ids_from_positions and document_mask, and their known mistakes."""

from __future__ import annotations

import itertools
import random

from minilm.check.catalogue.masks.common import INVERTED, LESSON, NUMBERS, masking, theirs, torch
from minilm.check.exercise import Case, Exercise, Mistake


def reference_ids(position_ids):
    ids = masking().find_packed_sequence_indices(position_ids)
    return torch.zeros_like(position_ids, dtype=torch.int64) if ids is None else ids


def steps(position_ids):
    """How far each position is from the one before it; the first counts as one step."""
    return torch.diff(position_ids, prepend=position_ids[:, :1] - 1)


def right_ids(position_ids):
    return (steps(position_ids) != 1).cumsum(-1)


def ids_by_start(position_ids):
    return torch.arange(position_ids.shape[1]) - position_ids


def ids_across_rows(position_ids):
    return (steps(position_ids) != 1).flatten().cumsum(0).view(position_ids.shape)


def ids_from_flat_positions(position_ids):
    return right_ids(position_ids.reshape(1, -1)).view(position_ids.shape)


def ids_down_the_batch(position_ids):
    return (steps(position_ids) != 1).cumsum(0)


def ids_one_early(position_ids):
    ends = torch.diff(position_ids, append=position_ids[:, -1:] + 1) != 1
    return ends.cumsum(-1)


def ids_one_short(position_ids):
    return (position_ids.diff() != 1).cumsum(-1)


def ids_by_loops(position_ids):
    ids = torch.zeros(position_ids.shape, dtype=torch.long)
    for row, positions in enumerate(position_ids.tolist()):
        for at in range(1, len(positions)):
            ids[row, at] = ids[row, at - 1] + (positions[at] - positions[at - 1] != 1)
    return ids


def ids_by_accumulate(position_ids):
    rows = []
    for row in position_ids.tolist():
        new = [0, *(int(after != before + 1) for before, after in itertools.pairwise(row))]
        rows.append(list(itertools.accumulate(new)))
    return torch.tensor(rows)


def ids_by_cat(position_ids):
    new = position_ids[:, 1:] - position_ids[:, :-1] != 1
    first = torch.zeros_like(new[:, :1]) if new.shape[1] else position_ids[:, :1] > torch.inf
    return torch.cat([first, new], dim=1).long().cumsum(dim=1)


def draw_positions(draw: random.Random) -> list[Case]:
    small = [
        [[0]],
        [[0, 0]],
        [[0, 1]],
        [[0, 1, 0]],
        [[0, 1, 2, 0, 1]],
        [[3, 4, 0, 1]],
        [[0, 0, 0, 1, 2]],
        [[0, 1, 5, 6]],
        [[0, 1, 0, 0, 1]],
        [[0, 2, 2, 3]],
        [[0, 1, 0, 1], [0, 1, 2, 3]],
        [[0, 0, 1, 0], [2, 3, 3, 4], [0, 1, 0, 1]],
    ]
    for _ in range(12):
        length, rows = draw.randint(2, 8), []
        for _ in range(draw.randint(1, 3)):
            row = [draw.choice([0, 0, 3])]
            while len(row) < length:
                row.append(draw.choice([row[-1] + 1] * 4 + [0, 0, row[-1], row[-1] + 3]))
            rows.append(row)
        small.append(rows)
    return [{"position_ids": torch.tensor(rows)} for rows in small]


DOCUMENT_IDS_FROM_POSITIONS = Exercise(
    answer="minilm.masks:document_ids_from_positions",
    lesson=LESSON,
    cases=draw_positions,
    reference=reference_ids,
    reference_name="transformers' find_packed_sequence_indices",
    mistakes=[
        Mistake(
            "marks borders and does not count",
            lambda position_ids: (steps(position_ids) != 1).long(),
            "There is a 1 where a document begins and 0 elsewhere. Add them up along the row "
            "(cumsum), and each document gets a number of its own.",
        ),
        Mistake(
            "counts from one",
            lambda position_ids: right_ids(position_ids) + 1,
            "Each row begins with document 1. Which tokens belong together is right; the first "
            "document has the number 0.",
        ),
        Mistake(
            "begins a document at every zero",
            lambda position_ids: (position_ids == 0).cumsum(-1) - 1,
            "You begin a document at each position 0. One that was cut begins at another position, "
            "and then two documents share a number. Ask whether the step from the last position is "
            "1.",
        ),
        Mistake(
            "begins a document at every zero, and counts from one",
            lambda position_ids: (position_ids == 0).cumsum(-1),
            "You begin a document at each position 0, and count the first as 1. Ask whether the step "
            "from the last position is 1, and begin with 0.",
        ),
        Mistake(
            "a gap is no border",
            lambda position_ids: (steps(position_ids) <= 0).cumsum(-1),
            "From 1 to 5 is no border for you. Nothing but a step of exactly 1 goes on with the same "
            "document.",
        ),
        Mistake(
            "only going back is a border",
            lambda position_ids: (steps(position_ids) < 0).cumsum(-1),
            "A position that repeats, or that jumps ahead, is no border for you. A document of one "
            "token has position 0, and after it stands another 0. Only a step of exactly 1 goes on.",
        ),
        Mistake(
            "wants a step of more than one",
            lambda position_ids: (steps(position_ids).abs() > 1).cumsum(-1),
            "A step back from 1 to 0, or none at all, is no border for you. Only a step of exactly "
            "+1 goes on with the same document.",
        ),
        Mistake(
            "only a gap is a border",
            lambda position_ids: (steps(position_ids) > 1).cumsum(-1),
            "Going back to 0 is no border for you. That is what most borders look like. Only a step "
            "of exactly 1 goes on with the same document.",
        ),
        Mistake(
            "expects every row to begin at 0",
            lambda position_ids: (
                torch.diff(position_ids, prepend=torch.full_like(position_ids[:, :1], -1)) != 1
            ).cumsum(-1),
            "You put a -1 before the first position. A row that begins at another position than 0, "
            "as the rest of a text does that was cut, then begins with document 1.",
        ),
        Mistake(
            "goes on counting in the next row",
            ids_across_rows,
            "The count runs on from row to row. Each row begins anew with 0.",
        ),
        Mistake(
            "takes all rows for one",
            ids_from_flat_positions,
            "The batch is laid end to end, so the first token of a row is compared with the last of "
            "the row before. Each row stands for itself.",
        ),
        Mistake(
            "counts down the batch",
            ids_down_the_batch,
            "You add up over the batch (dimension 0). Add up along the row, the last dimension.",
        ),
        Mistake(
            "begins a document one token early",
            ids_one_early,
            "The last token of a document is counted to the next one. The step belongs to the token "
            "at which it arrives, so the first token needs one before it, not the last one after.",
        ),
        Mistake(
            "lacks the first token",
            ids_one_short,
            "There are T - 1 steps between T tokens, and you return as many ids. The first token "
            "opens document 0.",
        ),
        Mistake(
            "names documents by where they begin",
            ids_by_start,
            "Column minus position is where a document would begin. With a gap and a repetition two "
            "documents can get the same number, as in 0 2 2. Count the borders.",
        ),
        Mistake(
            "returns the positions",
            lambda position_ids: position_ids,
            "These are the positions as they came. Tokens with the same position are strangers; "
            "tokens of one document are to get the same number.",
        ),
        Mistake(
            "counts in 32 bits",
            lambda position_ids: right_ids(position_ids).int(),
            "The numbers are right, and the ids are int32. Ids are int64 everywhere in torch: "
            "cumsum of booleans gives that by itself.",
        ),
    ],
    accepts=[right_ids, ids_by_loops, ids_by_accumulate, ids_by_cat],
)


def reference_document_mask(document_ids, query_length=None):
    batch_size, key_length = document_ids.shape
    rule = masking().packed_sequence_mask_function(document_ids)
    query_length = key_length if query_length is None else query_length
    return theirs(rule, query_length, key_length, batch_size)


def of_queries(document_ids, query_length):
    """The documents of the queries, (B, 1, T, 1)."""
    length = document_ids.shape[1]
    first = 0 if query_length is None else length - query_length
    return document_ids[:, None, first:, None]


def of_keys(document_ids):
    return document_ids[:, None, None, :]


def right_mask(document_ids, query_length=None):
    return of_queries(document_ids, query_length) == of_keys(document_ids)


def causal(mask):
    """Whether a key is no later than a query, in the shape (T, S) of a mask."""
    query_length, key_length = mask.shape[-2:]
    ones = torch.ones(query_length, key_length, dtype=torch.bool)
    return ones.tril(key_length - query_length)


def first_rows(document_ids, query_length=None):
    return right_mask(document_ids)[:, :, :query_length]


def last_keys_only(document_ids, query_length=None):
    first = 0 if query_length is None else document_ids.shape[1] - query_length
    return right_mask(document_ids[:, first:])


def neighbours(document_ids, query_length=None):
    distance = of_queries(document_ids, query_length) - of_keys(document_ids)
    return distance.abs() <= 1


def mixed_rows(document_ids, query_length=None):
    """Compare rows of the batch with each other: a dimension was added at the wrong place."""
    first = 0 if query_length is None else document_ids.shape[1] - query_length
    return (document_ids[:, None, first:] == document_ids[None, :, first:])[:, None]


def first_row_for_all(document_ids, query_length=None):
    return right_mask(document_ids[:1], query_length).expand(len(document_ids), -1, -1, -1)


def mask_by_loops(document_ids, query_length=None):
    batch_size, key_length = document_ids.shape
    query_length = query_length or key_length
    mask = torch.zeros(batch_size, 1, query_length, key_length, dtype=torch.bool)
    for b in range(batch_size):
        for row in range(query_length):
            mine = document_ids[b, key_length - query_length + row]
            mask[b, 0, row] = document_ids[b] == mine
    return mask


def mask_by_cutting_a_square(document_ids, query_length=None):
    square = document_ids.unsqueeze(2) == document_ids.unsqueeze(1)
    if query_length is not None:
        square = square[:, -query_length:]
    return square.unsqueeze(1)


def mask_by_subtracting(document_ids, query_length=None):
    first = document_ids.shape[-1] - (query_length or document_ids.shape[-1])
    differs = document_ids[:, first:].unsqueeze(-1) - document_ids.unsqueeze(-2)
    return ~differs.bool()[:, None]


def draw_documents(draw: random.Random) -> list[Case]:
    small: list[tuple] = [
        ([[0]], None),
        ([[0, 1]], None),
        ([[0, 0]], None),
        ([[0, 0, 1]], None),
        ([[0, 0, 1]], 1),
        ([[0, 0, 1, 2]], None),
        ([[0, 0, 1, 1, 2]], 2),
        ([[0, 1, 1], [0, 0, 0]], None),
        ([[0, 0, 1, 1], [0, 1, 2, 2]], 3),
        ([[2, 0, 2, 1]], None),
    ]
    for at in range(12):
        length, rows = draw.randint(2, 7), []
        for _ in range(draw.randint(1, 4)):
            row = [0]
            while len(row) < length:
                row.append(row[-1] + draw.choice([0, 0, 1]))
            rows.append(row)
        small.append((rows, None if at % 2 else draw.randint(1, length)))
    return [
        {"document_ids": torch.tensor(rows)}
        | ({} if query_length is None else {"query_length": query_length})
        for rows, query_length in small
    ]


DOCUMENT_MASK = Exercise(
    answer="minilm.masks:document_mask",
    lesson=LESSON,
    cases=draw_documents,
    reference=reference_document_mask,
    reference_name="transformers' packed_sequence_mask_function",
    mistakes=[
        Mistake(
            "sees earlier documents too",
            lambda document_ids, query_length=None: (
                of_queries(document_ids, query_length) >= of_keys(document_ids)
            ),
            "Keys of earlier documents are shown: you compare with >=. Documents in one row are "
            "strangers. Compare with ==.",
        ),
        Mistake(
            "sees later documents too",
            lambda document_ids, query_length=None: (
                of_queries(document_ids, query_length) <= of_keys(document_ids)
            ),
            "Keys of later documents are shown: you compare with <=. Documents in one row are "
            "strangers. Compare with ==.",
        ),
        Mistake(
            "sees the other documents",
            lambda document_ids, query_length=None: ~right_mask(document_ids, query_length),
            INVERTED,
        ),
        Mistake(
            "hides the future as well",
            lambda document_ids, query_length=None: (
                right_mask(document_ids, query_length)
                & causal(right_mask(document_ids, query_length))
            ),
            "Your mask is causal, too. That does no harm in a decoder, but encoders pack documents "
            "as well. Write `document_mask(…) & causal_mask(…)` where both hold.",
        ),
        Mistake(
            "lacks the dimension of heads",
            lambda document_ids, query_length=None: right_mask(document_ids, query_length)[:, 0],
            "The shape is (B, T, S). Against scores (B, H, T, S) the batch then stands where heads "
            "belong. Return (B, 1, T, S).",
        ),
        Mistake(
            "takes the first rows",
            first_rows,
            "With fewer queries than keys you keep the rows of the first tokens. The queries are "
            "the last of the keys.",
        ),
        Mistake(
            "ignores query_length",
            lambda document_ids, query_length=None: right_mask(document_ids),
            "There is a row for every key, also for the cached ones, whose queries are not asked "
            "any more. Keep the last query_length rows.",
        ),
        Mistake(
            "cuts the keys too",
            last_keys_only,
            "You keep the last tokens as queries and as keys, so what is in the cache is gone. Cut "
            "the queries only.",
        ),
        Mistake(
            "columns are queries",
            lambda document_ids, query_length=None: right_mask(
                document_ids, query_length
            ).transpose(-1, -2),
            "The mask is turned: its rows are keys. With as many queries as keys nobody sees it; "
            "with a cache the shape is wrong.",
        ),
        Mistake(
            "sees the neighbours' documents",
            neighbours,
            "Documents whose numbers differ by one see each other. The numbers are names; only the "
            "same one counts.",
        ),
        Mistake(
            "takes document 0 for padding",
            lambda document_ids, query_length=None: (
                right_mask(document_ids, query_length) & (of_keys(document_ids) > 0)
            ),
            "Nobody sees document 0. Some packers number from 1 and keep 0 for padding; here the "
            "first document is 0, and padding has a mask of its own.",
        ),
        Mistake(
            "takes ids for ones and zeros",
            lambda document_ids, query_length=None: (
                of_queries(document_ids, query_length).bool() & of_keys(document_ids).bool()
            ),
            "All documents but 0 see each other: you ask whether the ids are different from zero, "
            "not whether they are the same.",
        ),
        Mistake(
            "compares the rows of the batch",
            mixed_rows,
            "You compare each row with the other rows, column by column: a dimension was added at "
            "the wrong place. Queries are (B, 1, T, 1), keys (B, 1, 1, S).",
        ),
        Mistake(
            "gives all rows the first row's documents",
            first_row_for_all,
            "The borders of the first row are used for the whole batch. Every row is packed in its "
            "own way.",
        ),
        Mistake(
            "ones and zeros",
            lambda document_ids, query_length=None: right_mask(document_ids, query_length).float(),
            NUMBERS,
        ),
    ],
    accepts=[right_mask, mask_by_loops, mask_by_cutting_a_square, mask_by_subtracting],
)
