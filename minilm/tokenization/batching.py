"""From rows of text to columns of numbers: encode, cut, add special tokens, pad.

There are two ways. The fast one carries ids alone. The aligned one carries for every token where it
stands in the text, and is taken when somebody asks for that. Tests prove both equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput
from minilm.tokenization import padding, truncation
from minilm.tokenization.call_options import Options, Rows, TextOrWords

if TYPE_CHECKING:
    from minilm.tokenization.encoding import Encoding
    from minilm.tokenization.pipeline import Pipeline

# Columns that the fast way cannot fill.
ALIGNED_COLUMNS = {"special_tokens_mask", "offset_mapping"}


def room_for_text(pipeline: Pipeline, options: Options, pair: bool) -> int | None:
    """How many tokens a row may have before special tokens are added; None = as many as it likes.

    pipeline: knows how many special tokens there will be
    options: the call's options
    pair: whether the row is a pair of texts

    Raises `InvalidInput` when not even the special tokens fit. (transformers then does not truncate
    at all: with max_length=1, BERT's tokenizer returns the whole text.)
    """
    if not options.truncates or options.max_length is None:
        return None
    special = pipeline.num_special_tokens_to_add(pair) if options.add_special_tokens else 0
    room = options.max_length - special
    if room < 0:
        raise InvalidInput(
            f"max_length is {options.max_length}, and the special tokens alone need {special}. "
            "Give a larger max_length, or add_special_tokens=False."
        )
    alone = pipeline.num_special_tokens_to_add(False) if options.add_special_tokens else 0
    if options.stride and options.stride >= options.max_length - alone:
        raise InvalidInput(
            f"stride is {options.stride} and a window has room for {options.max_length - alone} "
            f"tokens of text (max_length {options.max_length} less {alone} special tokens), so "
            "windows would not move forward. Give a smaller stride."
        )
    return room


def kept_lengths(
    first: int, second: int | None, room: int | None, options: Options
) -> tuple[int, int | None]:
    """How many tokens of each text of a row are kept.

    first, second: their lengths in tokens; second is None when there is no pair
    room: how many the row has room for; None = no limit
    options: the call's options
    """
    if room is None or first + (second or 0) <= room:
        return first, second
    surplus = first + (second or 0) - room
    if options.truncation == "longest_first":
        if second is None:
            return room, None
        return truncation.truncated_lengths(first, second, room)
    cut_first = options.truncation == "only_first"
    if second is None and not cut_first:
        raise InvalidInput(
            f"truncation='only_second' must cut {surplus} tokens from the second text of a pair, "
            "and there is none. Give a text_pair, or pass truncation=True."
        )
    length = first if cut_first else second or 0
    if length <= surplus:
        which = "first" if cut_first else "second"
        raise InvalidInput(
            f"truncation='only_{which}' must cut {surplus} tokens from the {which} text, which has "
            f"{length}. Pass truncation='longest_first', or a larger max_length."
        )
    return (first - surplus, second) if cut_first else (first, length - surplus)


def fast_columns(
    pipeline: Pipeline, rows: Rows, options: Options, pad: dict[str, Any]
) -> dict[str, Any]:
    """Make the columns of a batch from ids alone.

    pipeline: encodes
    rows, options: the call
    pad: what to pad with: "pad_id" and "pad_type_id"

    Returns column name → B rows.
    """
    id_rows, type_rows = [], []
    for text, pair in zip(rows.texts, rows.pairs, strict=True):
        ids = _ids(pipeline, text)
        pair_ids = None if pair is None else _ids(pipeline, pair)
        room = room_for_text(pipeline, options, pair is not None)
        if room is not None:
            second = None if pair_ids is None else len(pair_ids)
            keep_first, keep_second = kept_lengths(len(ids), second, room, options)
            ids = _cut(ids, keep_first, options.truncation_side)
            if pair_ids is not None:
                pair_ids = _cut(pair_ids, keep_second or 0, options.truncation_side)
        row, types = pipeline.build_inputs(ids, pair_ids, options.add_special_tokens)
        id_rows.append(row)
        type_rows.append(types)
    columns: dict[str, Any] = {
        "input_ids": id_rows,
        "token_type_ids": type_rows,
        "length": [len(row) for row in id_rows],
    }
    if options.pads:
        side = options.padding_side
        length = options.padded_length(columns["length"])
        columns["input_ids"], mask = padding.pad_rows(id_rows, pad["pad_id"], side, length)
        columns["attention_mask"] = mask
        if "token_type_ids" in options.columns:
            columns["token_type_ids"], _ = padding.pad_rows(
                type_rows, pad["pad_type_id"], side, length
            )
        columns["length"] = [len(row) for row in columns["input_ids"]]
    elif "attention_mask" in options.columns:
        columns["attention_mask"] = [[1] * len(row) for row in id_rows]
    return {name: columns[name] for name in options.columns}


def aligned_rows(
    pipeline: Pipeline, rows: Rows, options: Options, pad: dict[str, Any]
) -> list[list[Encoding]]:
    """Make the encodings of a batch, with everything known about each token.

    pipeline, rows, options, pad: as for `fast_columns`; pad also holds "pad_token"

    Returns for each row its encodings: one, or one for each window with return_overflowing_tokens.
    """
    # What overflows is dropped unless it is asked for, and then it does not matter how it is cut.
    stride = options.stride if options.return_overflowing_tokens else 0
    encodings = []
    for text, pair in zip(rows.texts, rows.pairs, strict=True):
        encoding = pipeline.encode(text)
        pair_encoding = None if pair is None else pipeline.encode(pair)
        room = room_for_text(pipeline, options, pair is not None)
        second = None if pair_encoding is None else len(pair_encoding)
        keep_first, keep_second = kept_lengths(len(encoding), second, room, options)
        for part, kept in ((encoding, keep_first), (pair_encoding, keep_second)):
            if part is not None and kept is not None and kept < len(part):
                part.truncate(kept, stride, options.truncation_side)
        encodings.append(pipeline.post_process(encoding, pair_encoding, options.add_special_tokens))
    if options.pads:
        length = options.padded_length(map(len, encodings))
        for encoding in encodings:
            encoding.pad(length, direction=options.padding_side, **pad)
    windows = options.return_overflowing_tokens
    return [[encoding, *(encoding.overflowing if windows else [])] for encoding in encodings]


def aligned_columns(encodings: Sequence[Sequence[Encoding]], options: Options) -> dict[str, Any]:
    """Read the columns of a batch off its encodings.

    encodings: for each row its windows
    options: says which columns
    """
    flat = [encoding for windows in encodings for encoding in windows]
    columns: dict[str, Any] = {
        "input_ids": [list(encoding.ids) for encoding in flat],
        "token_type_ids": [list(encoding.type_ids) for encoding in flat],
        "attention_mask": [list(encoding.attention_mask) for encoding in flat],
        "special_tokens_mask": [list(encoding.special_tokens_mask) for encoding in flat],
        "offset_mapping": [list(encoding.offsets) for encoding in flat],
        "length": [len(encoding.ids) for encoding in flat],
    }
    result = {name: columns[name] for name in options.columns}
    if options.return_overflowing_tokens:
        result["overflow_to_sample_mapping"] = [
            row for row, windows in enumerate(encodings) for _ in windows
        ]
    return result


def _ids(pipeline: Pipeline, text: TextOrWords) -> list[int]:
    if isinstance(text, str):
        return pipeline.encode_ids(text)
    return pipeline.encode_words_ids(text)


def _cut(ids: list[int], length: int, side: str) -> list[int]:
    return ids[:length] if side == "right" else ids[len(ids) - length :]
