"""The exercise group_texts and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import chain

from minilm.check.catalogue.training.common import LESSON
from minilm.check.exercise import Case, Exercise, Mistake


def reference_blocks(examples, block_size=128):
    """What the guide's function does, token by token."""
    count = sum(map(len, examples["input_ids"]))
    kept = count if count < block_size else count - count % block_size
    found = {}
    for name, rows in examples.items():
        tokens, blocks = [token for row in rows for token in row], []
        for at in range(kept):
            if at % block_size == 0:
                blocks.append([])
            blocks[-1].append(tokens[at])
        found[name] = blocks
    found["labels"] = [list(block) for block in found["input_ids"]]
    return found


def end_of(count, block_size):
    return count if count < block_size else count // block_size * block_size


def grouping(
    join: Callable = lambda rows: list(chain(*rows)),
    end: Callable = end_of,
    starts: Callable = lambda end, block_size: range(0, end, block_size),
    cut: Callable = lambda whole, at, block_size: whole[at : at + block_size],
    label: Callable = lambda blocks, name: [list(block) for block in blocks],
    columns: Callable = list,
) -> Callable:
    """Make a group_texts that takes one of its steps in another way."""

    def group_texts(examples, block_size=128):
        found = {}
        for name in columns(examples):
            whole = join(examples[name])
            at = starts(end(len(whole), block_size), block_size)
            found[name] = [cut(whole, start, block_size) for start in at]
        return {**found, "labels": label(found["input_ids"], "input_ids")}

    return group_texts


def without_labels(examples, block_size=128):
    found = grouping()(examples, block_size)
    del found["labels"]
    return found


def each_text_by_itself(examples, block_size=128):
    found = {}
    for name, rows in examples.items():
        found[name] = [
            row[at : at + block_size]
            for row in rows
            for at in range(0, len(row) // block_size * block_size, block_size)
        ]
    return {**found, "labels": [list(block) for block in found["input_ids"]]}


def each_text_with_its_rest(examples, block_size=128):
    found = {}
    for name, rows in examples.items():
        found[name] = [
            row[at : at + block_size] for row in rows for at in range(0, len(row), block_size)
        ]
    return {**found, "labels": [list(block) for block in found["input_ids"]]}


def texts_in_groups(examples, block_size=128):
    found = {
        name: [rows[at : at + block_size] for at in range(0, len(rows), block_size)]
        for name, rows in examples.items()
    }
    return {**found, "labels": [list(block) for block in found["input_ids"]]}


def rows_instead(examples, block_size=128):
    found = grouping()(examples, block_size)
    return [dict(zip(found, row)) for row in zip(*found.values())]


def counting_columns(examples, block_size=128):
    found = {name: list(chain(*rows)) for name, rows in examples.items()}
    end = end_of(len(found), block_size)
    found = {
        name: [row[at : at + block_size] for at in range(0, end, block_size)]
        for name, row in found.items()
    }
    return {**found, "labels": found["input_ids"][:]}


def padded(whole, at, block_size):
    block = whole[at : at + block_size]
    return block + [0] * (block_size - len(block))


def one_long_row(examples, block_size=128):
    found = {name: list(chain(*rows)) for name, rows in examples.items()}
    found = {name: row[: end_of(len(row), block_size)] for name, row in found.items()}
    return {**found, "labels": list(found["input_ids"])}


def next_tokens(blocks, name):
    return [[*block[1:], -100] for block in blocks]


def whole_of_next(examples, block_size=128):
    found = grouping()(examples, block_size)
    whole = list(chain(*examples["input_ids"]))
    moved = [*whole[1:], -100]
    end = end_of(len(whole), block_size)
    found["labels"] = [moved[at : at + block_size] for at in range(0, end, block_size)]
    return found


def ids_only(examples, block_size=128):
    return grouping(columns=lambda examples: ["input_ids"])(examples, block_size)


def drop_a_short_whole(count, block_size):
    return count // block_size * block_size


def always_drop_one(count, block_size):
    return count if count < block_size else (count - 1) // block_size * block_size


def as_in_the_guide(examples, block_size=128):
    concatenated = {k: sum(examples[k], []) for k in examples}  # noqa: RUF017
    total_length = len(concatenated[next(iter(examples))])
    if total_length >= block_size:
        total_length = (total_length // block_size) * block_size
    result = {
        k: [t[i : i + block_size] for i in range(0, total_length, block_size)]
        for k, t in concatenated.items()
    }
    result["labels"] = result["input_ids"].copy()
    return result


def by_popping(examples, block_size=128):
    found = {name: [] for name in examples}
    for name, rows in examples.items():
        block = []
        for row in rows:
            for token in row:
                block.append(token)
                if len(block) == block_size:
                    found[name].append(block)
                    block = []
        if block and not found[name]:
            found[name].append(block)
    return found | {"labels": [block[:] for block in found["input_ids"]]}


def by_zipping(examples, block_size=128):
    found = {}
    for name, rows in examples.items():
        tokens = [token for row in rows for token in row]
        groups = [list(group) for group in zip(*[iter(tokens)] * block_size, strict=False)]
        found[name] = groups or ([tokens] if tokens else [])
    found["labels"] = [list(group) for group in found["input_ids"]]
    return found


def draw_texts(draw: random.Random) -> list[Case]:
    cases: list[Case] = [
        {"examples": {"input_ids": [[1, 2], [3, 4]]}, "block_size": 2},
        {"examples": {"input_ids": [[1, 2, 3]]}, "block_size": 2},
        {"examples": {"input_ids": [[1], [2, 3], [4]]}, "block_size": 2},
        {"examples": {"input_ids": [[1, 2], [3]]}, "block_size": 4},
        {"examples": {"input_ids": [[5, 6, 7], [8, 9]]}, "block_size": 1},
    ]
    for at in range(7):
        size = draw.randint(2, 5)
        lengths = [draw.randint(0 if at > 2 else 1, 7) for _ in range(draw.randint(2, 5))]
        lengths[-1] += -sum(lengths) % size if at % 3 == 0 else 0
        rows = [[draw.randint(1, 50) for _ in range(length)] for length in lengths]
        examples = {"input_ids": rows}
        if at % 2:
            examples["attention_mask"] = [[1] * len(row) for row in rows]
            examples["word_ids"] = [[draw.randint(1, 9) for _ in row] for row in rows]
        cases.append({"examples": examples, "block_size": size})
    rows = [[draw.randint(1, 99) for _ in range(length)] for length in (150, 120)]
    cases.append({"examples": {"input_ids": rows}})
    return cases


GROUP_TEXTS = Exercise(
    answer="minilm.training.grouping:group_texts",
    lesson=LESSON,
    cases=draw_texts,
    reference=reference_blocks,
    reference_name="the guide's group_texts",
    mistakes=[
        Mistake(
            "cuts each text by itself",
            each_text_by_itself,
            "Each text is cut alone, and each one's rest is thrown away: of many short texts "
            "nothing is left. First write all texts one after the other, then cut.",
        ),
        Mistake(
            "cuts each text by itself and keeps the rests",
            each_text_with_its_rest,
            "Each text is cut alone, so every text ends in a short block, and those would need "
            "padding. First write all texts one after the other, then cut.",
        ),
        Mistake(
            "keeps the remainder",
            grouping(end=lambda count, block_size: count),
            "The last block is shorter than the others, and rows of different lengths do not "
            "stack to a batch. Stop at count // block_size * block_size.",
        ),
        Mistake(
            "pads the remainder",
            grouping(end=lambda count, block_size: count, cut=padded),
            "The last block is filled up with zeros, which are tokens like any other: the model "
            "would learn to write them. The remainder is dropped.",
        ),
        Mistake(
            "drops the last block although it is whole",
            grouping(end=always_drop_one),
            "When the tokens come out even, the last block is whole, and you drop it. The range "
            "ends at count // block_size * block_size itself.",
        ),
        Mistake(
            "drops what is shorter than one block",
            grouping(end=drop_a_short_whole),
            "All texts together are shorter than one block, and nothing is left of them. In that "
            "case they stay together as one short row.",
        ),
        Mistake(
            "lets blocks overlap",
            grouping(starts=lambda end, block_size: range(max(0, end - block_size + 1))),
            "A block begins at every token, so that nearly the same row is learned block_size "
            "times. The range needs a step: range(0, end, block_size).",
        ),
        Mistake(
            "gives no labels",
            without_labels,
            "There are no labels. They are the text itself, a copy of the input_ids; the loss "
            "shifts them.",
        ),
        Mistake(
            "shifts the labels in each block",
            grouping(label=next_tokens),
            "The labels are moved by one already, and the loss moves them again: the model would "
            "learn to leave out every other word. Labels are a copy of input_ids.",
        ),
        Mistake(
            "shifts the labels across the blocks",
            whole_of_next,
            "The labels are moved by one already, and the loss moves them again: the model would "
            "learn to leave out every other word. Cut the same blocks for both.",
        ),
        Mistake(
            "groups the input_ids only",
            ids_only,
            "Only input_ids come back. Every column that went in is cut in the same way, the "
            "attention_mask too.",
        ),
        Mistake(
            "returns rows instead of columns",
            rows_instead,
            "A list with a dict for each block comes back. Columns went in and columns come out: "
            "one dict, with a list of blocks under each name.",
        ),
        Mistake(
            "counts columns instead of tokens",
            counting_columns,
            "len() of the dict is the number of its columns. Tokens are counted in one of them: "
            'len(joined["input_ids"]).',
        ),
        Mistake(
            "returns one long row",
            one_long_row,
            "The texts are joined and never cut. A block is a list of block_size tokens, and a "
            "list of blocks comes back.",
        ),
        Mistake(
            "groups texts instead of tokens",
            texts_in_groups,
            "You put block_size *texts* in a block. The texts have to become one list of tokens "
            "first; then the tokens are counted.",
        ),
        Mistake(
            "cuts from the end",
            grouping(
                starts=lambda end, block_size: range(0, end, block_size),
                cut=lambda whole, at, block_size: whole[
                    len(whole) - end_of(len(whole), block_size) :
                ][at : at + block_size],
            ),
            "The remainder is dropped at the front. Blocks begin with the first token, and what "
            "is left over at the end is dropped.",
        ),
        Mistake(
            "cuts at one block size only",
            lambda examples, block_size=128: grouping()(examples, 128),
            "Blocks are 128 tokens long, whatever block_size says.",
        ),
    ],
    accepts=[grouping(), as_in_the_guide, by_popping, by_zipping],
)
