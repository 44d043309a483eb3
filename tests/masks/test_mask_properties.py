"""What holds for every mask, whatever its sizes."""

from __future__ import annotations

import operator
from functools import reduce

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minilm.masks import (
    causal_mask,
    decoder_mask,
    document_ids_from_positions,
    document_mask,
    mask_to_scores,
    padding_mask,
    prefix_mask,
    sliding_window_mask,
)

steadily = settings(deadline=None, max_examples=60)


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int, int]:
    """Rows, queries, keys: at least as many keys as queries."""
    query_length = draw(st.integers(1, 7))
    return draw(st.integers(1, 3)), query_length, query_length + draw(st.integers(0, 6))


def drawn(draw: st.DrawFn, batch: int, length: int, lowest: int, highest: int) -> Tensor:
    row = st.lists(st.integers(lowest, highest), min_size=length, max_size=length)
    return torch.tensor(draw(st.lists(row, min_size=batch, max_size=batch)))


@st.composite
def what_is_hidden(draw: st.DrawFn) -> tuple[tuple[int, int, int], dict]:
    """Sizes, and any of decoder_mask's arguments that only ever hide."""
    batch, _, key_length = size = draw(sizes())
    options: dict = {}
    if draw(st.booleans()):
        options["attention_mask"] = drawn(draw, batch, key_length, 0, 1)
    if draw(st.booleans()):
        options["document_ids"] = drawn(draw, batch, key_length, 0, 2).sort(-1).values
    if draw(st.booleans()):
        options["sliding_window"] = draw(st.integers(1, key_length + 2))
    return size, options


def blocks(size: tuple[int, int, int], options: dict) -> list[Tensor]:
    _, query_length, key_length = size
    parts = [causal_mask(query_length, key_length)]
    if "attention_mask" in options:
        parts.append(padding_mask(options["attention_mask"]))
    if "document_ids" in options:
        parts.append(document_mask(options["document_ids"], query_length))
    if "sliding_window" in options:
        window = options["sliding_window"]
        parts.append(sliding_window_mask(query_length, key_length, window))
    return parts


def written_out(mask: Tensor | None, size: tuple[int, int, int]) -> Tensor:
    batch, query_length, key_length = size
    mask = causal_mask(query_length, key_length) if mask is None else mask
    return mask.expand(batch, 1, query_length, key_length)


@steadily
@given(what_is_hidden())
def test_what_one_block_hides_no_combination_shows(drawing):
    size, options = drawing
    parts = blocks(size, options)
    together = written_out(reduce(operator.and_, parts), size)
    for part in parts:
        assert not (together & ~written_out(part, size)).any()


@steadily
@given(what_is_hidden())
def test_a_decoders_mask_is_its_blocks_together(drawing):
    size, options = drawing
    mask = decoder_mask(size[1], size[2], **options)
    together = written_out(reduce(operator.and_, blocks(size, options)), size)
    assert torch.equal(written_out(mask, size), together)


@steadily
@given(what_is_hidden())
def test_none_is_said_where_and_only_where_plain_causal_order_is_right(drawing):
    size, options = drawing
    mask = decoder_mask(size[1], size[2], **options)
    together = written_out(reduce(operator.and_, blocks(size, options)), size)
    assert (mask is None) == torch.equal(together, written_out(None, size))


@steadily
@given(sizes(), st.data())
def test_with_a_prefix_too_none_is_said_only_where_plain_causal_order_is_right(size, data):
    batch, query_length, key_length = size
    length = data.draw(st.integers(0, key_length))
    per_row = torch.full((batch,), length)
    plain = torch.equal(
        written_out(prefix_mask(query_length, key_length, length), size), written_out(None, size)
    )
    assert (decoder_mask(query_length, key_length, prefix_length=length) is None) == plain
    if decoder_mask(query_length, key_length, prefix_length=per_row) is None:
        assert plain


@steadily
@given(what_is_hidden(), st.data())
def test_a_chunk_after_a_cache_has_the_last_rows_of_the_full_mask(drawing, data):
    (batch, _, length), options = drawing
    if data.draw(st.booleans()):
        options["prefix_length"] = data.draw(st.integers(0, length))
    chunk = data.draw(st.integers(1, length))
    full = written_out(decoder_mask(length, length, **options), (batch, length, length))
    last = written_out(decoder_mask(chunk, length, **options), (batch, chunk, length))
    assert torch.equal(last, full[:, :, length - chunk :])


@steadily
@given(what_is_hidden(), st.data())
def test_a_sliding_cache_has_the_last_columns_of_the_full_mask(drawing, data):
    (batch, _, length), options = drawing
    window = options.setdefault("sliding_window", 3)
    if data.draw(st.booleans()):
        options["prefix_length"] = data.draw(st.integers(0, length))
        options.setdefault("attention_mask", torch.ones(batch, length))
    chunk = data.draw(st.integers(1, length))
    held = min(length - chunk, window - 1)
    full = written_out(decoder_mask(length, length, **options), (batch, length, length))
    last = written_out(decoder_mask(chunk, held + chunk, **options), (batch, chunk, held + chunk))
    assert torch.equal(last, full[:, :, length - chunk :, length - chunk - held :])


@steadily
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.one_of(st.none(), st.integers(1, 6)))
def test_packed_documents_attend_as_if_they_were_alone(lengths, window):
    position_ids = torch.tensor([[place for length in lengths for place in range(length)]])
    total = sum(lengths)
    packed = written_out(
        decoder_mask(total, total, position_ids=position_ids, sliding_window=window),
        (1, total, total),
    )[0, 0]
    alone = [
        written_out(decoder_mask(length, length, sliding_window=window), (1, length, length))[0, 0]
        for length in lengths
    ]
    assert torch.equal(packed, torch.block_diag(*alone).bool())


@steadily
@given(st.integers(1, 6), st.integers(0, 5), st.one_of(st.none(), st.integers(1, 7)))
def test_left_padding_changes_nothing_among_real_tokens(length, padding, window):
    total = padding + length
    attention_mask = torch.tensor([[0] * padding + [1] * length])
    padded = decoder_mask(total, total, attention_mask, sliding_window=window)
    padded = written_out(padded, (1, total, total))
    bare = written_out(decoder_mask(length, length, sliding_window=window), (1, length, length))
    assert torch.equal(padded[:, :, padding:, padding:], bare)
    assert not padded[:, :, :, :padding].any()


@steadily
@given(what_is_hidden(), st.randoms(use_true_random=False))
def test_rows_do_not_meet(drawing, random):
    (batch, query_length, key_length), options = drawing
    order = list(range(batch))
    random.shuffle(order)
    shuffled = {
        name: value[order] if isinstance(value, Tensor) else value
        for name, value in options.items()
    }
    size = batch, query_length, key_length
    mask = written_out(decoder_mask(query_length, key_length, **options), size)
    assert torch.equal(
        written_out(decoder_mask(query_length, key_length, **shuffled), size), mask[order]
    )


@steadily
@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_documents_found_in_positions_are_runs_that_count_up(positions):
    ids = document_ids_from_positions(torch.tensor([positions]))[0].tolist()
    assert ids[0] == 0
    for at in range(1, len(positions)):
        goes_on = positions[at] == positions[at - 1] + 1
        assert ids[at] == ids[at - 1] + (not goes_on)


@steadily
@given(what_is_hidden())
def test_scores_and_mask_say_the_same(drawing):
    size, options = drawing
    mask = written_out(decoder_mask(size[1], size[2], **options), size)
    assert torch.equal(mask_to_scores(mask).isfinite(), mask)


def test_future_tokens_stay_hidden_whatever_else_is_asked_for():
    assert not decoder_mask(3, 4, torch.tensor([[1, 0, 1, 1]]))[..., :1, 2:].any()


@pytest.mark.parametrize("window", [1, 2, 3, 9])
def test_a_query_sees_as_many_keys_as_its_window_has(window):
    seen = written_out(decoder_mask(6, 6, sliding_window=window), (1, 6, 6)).sum(-1)
    assert seen.flatten().tolist() == [min(window, place + 1) for place in range(6)]


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("prefix_length", [1, 2, 3, torch.tensor([2, 0])])
def test_a_chunk_of_packed_documents_with_prefixes_is_cut_from_the_full_mask(prefix_length, window):
    options = {
        "document_ids": torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 2, 2, 2]]),
        "prefix_length": prefix_length,
        "sliding_window": window,
    }
    full = written_out(decoder_mask(7, 7, **options), (2, 7, 7))
    for chunk in range(1, 8):
        last = written_out(decoder_mask(chunk, 7, **options), (2, chunk, 7))
        assert torch.equal(last, full[:, :, 7 - chunk :])


def test_documents_of_the_whole_text_tell_a_sliding_cache_where_prefixes_end():
    options = {
        "document_ids": torch.tensor([[0, 0, 0, 0, 0, 0, 0, 1, 1]]),
        "prefix_length": 6,
        "sliding_window": 3,
    }
    full = written_out(decoder_mask(9, 9, **options), (1, 9, 9))
    assert torch.equal(decoder_mask(3, 5, **options), full[:, :, 6:, 4:])
    assert full[0, 0, 6, 4:].tolist() == [True, True, True, False, False]
