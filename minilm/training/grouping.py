"""From texts of all lengths to rows of one length: blocks, with nothing padded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from minilm.errors import InvalidInput

# Texts that are tokenized at once.
AT_ONCE = 1000


def group_texts(
    examples: Mapping[str, list[list[int]]], block_size: int = 128
) -> dict[str, list[list[int]]]:
    """Write all texts one after the other, and cut that into blocks of one length.

    examples: column → a list of ints for each text, as a tokenizer makes them

    Returns the same columns, a list for each block, and labels: a copy of input_ids. What is left
    over at the end is dropped; if all is shorter than a block, it stays as it is.
    """
    blocks = {}
    for name, rows in examples.items():
        whole = list(chain.from_iterable(rows))
        end = len(whole) // block_size * block_size or len(whole)
        blocks[name] = [whole[start : start + block_size] for start in range(0, end, block_size)]
    return {**blocks, "labels": [list(block) for block in blocks["input_ids"]]}


def rows_of(columns: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Turn columns into rows, which is what a Trainer takes.

    columns: name → a list with a value for each row

    Returns a dict for each row. Raises InvalidInput if the columns differ in length.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(f"Each column needs a value for each row; these have {lengths}.")
    names = list(columns)
    return [dict(zip(names, row)) for row in zip(*columns.values())]


def text_blocks(
    tokenizer: Any, texts: Iterable[str], block_size: int = 128, *, end: bool = True
) -> Iterator[dict[str, list[int]]]:
    """Tokenize texts and cut them into blocks, with an end-of-text token after each of them.

    tokenizer: with an eos_token, if `end`    texts: any number; read as they are needed
    block_size: tokens in a block    end: whether each text is followed by the end-of-text token

    Returns rows with input_ids and labels, one after the other. Tokens are left over once, after
    the last text. Raises InvalidInput if the tokenizer has no end-of-text token.
    """
    if end and tokenizer.eos_token_id is None:
        raise InvalidInput(
            "text_blocks() puts an end-of-text token between texts, and the tokenizer has none. "
            "Set tokenizer.eos_token, or give end=False."
        )
    after = [tokenizer.eos_token_id] if end else []
    texts, pool = iter(texts), []
    while several := list(islice(texts, AT_ONCE)):
        for ids in tokenizer(several)["input_ids"]:
            pool += [*ids, *after]
        whole = len(pool) // block_size * block_size
        if whole:
            yield from rows_of(group_texts({"input_ids": [pool[:whole]]}, block_size))
            pool = pool[whole:]
