"""decoder_mask and encoder_mask say what transformers' mask functions say, everywhere."""

from __future__ import annotations

import pytest
import torch

from minilm.masks import causal_mask, decoder_mask, encoder_mask, mask_to_scores

# (B, T, tokens before the queries): all different wherever there is room, 1 and 2 among them.
SIZES = [(3, 1, 0), (1, 2, 0), (3, 2, 1), (2, 1, 4), (4, 5, 0), (2, 3, 7), (3, 7, 2), (5, 4, 8)]
WINDOWS = [None, 1, 2, 4, 50]


def same(ours: torch.Tensor, reference: torch.Tensor) -> bool:
    return ours.shape == reference.shape and torch.equal(ours, reference)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("batch", "query_length", "held"), SIZES)
def test_every_padding_and_window_without_and_with_a_growing_cache(
    batch, query_length, held, window, theirs, padded, whole
):
    length = held + query_length
    cache = theirs.cache("growing" if held else "none", batch, held, window)
    for name, attention_mask in padded(batch, length).items():
        mask = decoder_mask(query_length, length, attention_mask, sliding_window=window)
        ours = whole(mask, batch, query_length, length)
        reference = theirs.causal(batch, query_length, attention_mask, cache, window=window)
        assert same(ours, reference), name


@pytest.mark.parametrize("kind", ["int", "bool", "float"])
def test_an_attention_mask_may_be_of_any_kind(kind, theirs, padded, whole):
    for name, attention_mask in padded(3, 5).items():
        if attention_mask is not None:
            given = getattr(attention_mask, kind)()
            ours = whole(decoder_mask(5, 5, given), 3, 5, 5)
            assert same(ours, theirs.causal(3, 5, attention_mask)), name
            assert torch.equal(ours, theirs.causal(3, 5, given)), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("window", [None, 3])
def test_as_scores_it_hides_what_eager_attention_hides(window, dtype, theirs, padded, whole):
    lowest = torch.finfo(dtype).min
    for name, attention_mask in padded(4, 7).items():
        mask = decoder_mask(7, 7, attention_mask, sliding_window=window)
        ours = mask_to_scores(whole(mask, 4, 7, 7), dtype)
        reference = theirs.causal(
            4, 7, attention_mask, window=window, attention="eager", dtype=dtype
        )
        assert reference.dtype == ours.dtype == dtype
        assert same(ours, reference.masked_fill(reference == lowest, -torch.inf)), name


@pytest.mark.parametrize("window", [1, 2, 4, 50])
@pytest.mark.parametrize("query_length", [1, 2, 5])
def test_a_growing_sliding_cache_at_every_level(query_length, window, theirs, padded, whole):
    batch = 3
    for held in [1, 2, 3, 4, 5, 13]:
        cache = theirs.cache("growing sliding", batch, held, window)
        key_length = min(held, window - 1) + query_length  # what such a cache attends over
        for name, attention_mask in padded(batch, held + query_length).items():
            mask = decoder_mask(query_length, key_length, attention_mask, sliding_window=window)
            ours = whole(mask, batch, query_length, key_length)
            reference = theirs.causal(batch, query_length, attention_mask, cache, window=window)
            assert same(ours, reference), (held, name)


@pytest.mark.parametrize("window", [None, 4, 50])
@pytest.mark.parametrize(("batch", "query_length", "held"), SIZES)
def test_a_preallocated_cache_shows_the_same_and_nothing_of_its_empty_rest(
    batch, query_length, held, window, theirs, padded, whole
):
    length, room = held + query_length, held + query_length + 3
    cache = theirs.cache("preallocated", batch, held, window, room)
    for name, attention_mask in padded(batch, length).items():
        mask = decoder_mask(query_length, length, attention_mask, sliding_window=window)
        ours = whole(mask, batch, query_length, length)
        reference = theirs.causal(batch, query_length, attention_mask, cache, window=window)
        held_keys, rest = reference.split([length, reference.shape[-1] - length], dim=-1)
        assert same(ours, held_keys), name
        assert rest.shape[-1] == 3
        assert not rest.any()


@pytest.mark.parametrize("window", [2, 4, 50])
@pytest.mark.parametrize("query_length", [1, 2, 5])
def test_a_preallocated_sliding_cache_at_every_level(query_length, window, theirs, padded, whole):
    batch = 3
    for held in [1, 2, 3, 4, 5, 13]:
        cache = theirs.cache("preallocated sliding", batch, held, window, room=60)
        key_length = min(held, window - 1) + query_length
        for name, attention_mask in padded(batch, held + query_length).items():
            mask = decoder_mask(query_length, key_length, attention_mask, sliding_window=window)
            ours = whole(mask, batch, query_length, key_length)
            reference = theirs.causal(batch, query_length, attention_mask, cache, window=window)
            rest = reference[..., key_length:]
            assert same(ours, reference[..., :key_length]), (held, name)
            assert not rest.any()


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("batch", "query_length", "held"), SIZES)
def test_a_prefix_is_in_sight_of_everybody_through_any_window(
    batch, query_length, held, window, theirs, padded, whole
):
    length = held + query_length
    cache = theirs.cache("growing" if held else "none", batch, held, window)
    per_row = torch.arange(batch) % (length + 1)
    for prefix_length in [0, 1, length // 2, length, per_row, per_row.flip(0).int()]:
        for name in ["not given", "left", "both"]:
            attention_mask = padded(batch, length)[name]
            mask = decoder_mask(
                query_length,
                length,
                attention_mask,
                sliding_window=window,
                prefix_length=prefix_length,
            )
            ours = whole(mask, batch, query_length, length)
            reference = theirs.causal(
                batch,
                query_length,
                attention_mask,
                cache,
                window=window,
                prefix_length=prefix_length,
            )
            assert same(ours, reference), (name, prefix_length)


def test_a_prefix_that_a_sliding_cache_has_half_dropped_is_counted_from_the_start_of_the_text(
    theirs, whole
):
    batch, query_length, held, window = 2, 3, 6, 4
    attention_mask = torch.ones(batch, held + query_length, dtype=torch.long)
    cache = theirs.cache("growing sliding", batch, held, window)
    for prefix_length in [0, 2, 3, 4, 8, 9, torch.tensor([4, 8])]:
        mask = decoder_mask(
            query_length, 6, attention_mask, sliding_window=window, prefix_length=prefix_length
        )
        ours = whole(mask, batch, query_length, 6)
        reference = theirs.causal(
            batch, query_length, attention_mask, cache, window=window, prefix_length=prefix_length
        )
        assert same(ours, reference), prefix_length


@pytest.mark.parametrize("prefix_length", [0, 1, 3, 5])
def test_a_prefix_told_as_a_block_of_tokens_is_the_same(prefix_length, theirs, whole):
    blocks = torch.tensor([[0] * prefix_length + [-1] * (5 - prefix_length)] * 2)
    ours = whole(decoder_mask(5, 5, prefix_length=prefix_length), 2, 5, 5)
    assert same(ours, theirs.causal(2, 5, block_sequence_ids=blocks))


def test_under_a_window_their_two_ways_to_tell_a_prefix_differ_and_ours_is_the_first(theirs, whole):
    blocks = torch.tensor([[0, 0, -1, -1, -1]])
    in_sight = theirs.causal(1, 5, window=2, prefix_length=2)
    out_of_sight = theirs.causal(1, 5, window=2, block_sequence_ids=blocks)
    assert in_sight[0, 0, 4].tolist() == [True, True, False, True, True]
    assert out_of_sight[0, 0, 4].tolist() == [False, False, False, True, True]
    ours = decoder_mask(5, 5, sliding_window=2, prefix_length=2)
    assert same(whole(ours, 1, 5, 5), in_sight)


PACKED = {
    "one document": [[0, 1, 2, 3, 4, 5, 6]] * 3,
    "three documents": [[0, 1, 2, 0, 1, 0, 1]] * 3,
    "other cuts in every row": [
        [0, 1, 2, 0, 1, 2, 3],
        [0, 0, 0, 0, 1, 0, 1],
        [3, 4, 5, 6, 7, 8, 9],
    ],
    "a jump ahead": [[0, 1, 2, 7, 8, 9, 10], [5, 6, 7, 8, 0, 1, 2], [0, 2, 4, 6, 8, 10, 12]],
    "left padding": [[0, 0, 0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0, 0]],
    "one row for all": [[0, 1, 0, 1, 2, 0, 1]],
}


@pytest.mark.parametrize("window", [None, 1, 2, 3, 50])
@pytest.mark.parametrize("name", PACKED)
def test_positions_that_restart_part_the_documents(name, window, theirs, whole):
    position_ids = torch.tensor(PACKED[name])
    mask = decoder_mask(7, 7, position_ids=position_ids, sliding_window=window)
    reference = theirs.causal(3, 7, position_ids=position_ids, window=window)
    assert same(whole(mask, 3, 7, 7), reference)


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("prefix_length", [1, 2, torch.tensor([0, 3, 2])])
def test_every_packed_document_has_its_own_prefix(prefix_length, window, theirs, whole):
    position_ids = torch.tensor(
        [[0, 1, 2, 0, 1, 2, 3], [0, 0, 0, 1, 2, 0, 1], [0, 1, 2, 3, 4, 5, 6]]
    )
    mask = decoder_mask(
        7, 7, position_ids=position_ids, sliding_window=window, prefix_length=prefix_length
    )
    reference = theirs.causal(
        3, 7, position_ids=position_ids, window=window, prefix_length=prefix_length
    )
    assert same(whole(mask, 3, 7, 7), reference)


@pytest.mark.parametrize("given", ["attention_mask", "cache"])
def test_positions_part_no_documents_beside_an_attention_mask_or_a_cache(given, theirs, whole):
    position_ids = torch.tensor([[0, 1, 0, 1]])
    held = 2 if given == "cache" else 0
    attention_mask = torch.ones(1, 4) if given == "attention_mask" else None
    cache = theirs.cache("growing", 1, 2, None) if held else None
    ours = decoder_mask(4, 4 + held, attention_mask, position_ids=position_ids)
    reference = theirs.causal(1, 4, attention_mask, cache, position_ids=position_ids)
    assert ours is None
    assert same(whole(ours, 1, 4, 4 + held), reference)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("batch", "query_length", "held"), SIZES)
def test_none_is_said_exactly_where_plain_causal_order_is_right(
    batch, query_length, held, window, theirs, padded, whole
):
    length = held + query_length
    plain = whole(None, batch, query_length, length)
    cache = theirs.cache("growing" if held else "none", batch, held, window)
    for name, attention_mask in padded(batch, length).items():
        mask = decoder_mask(query_length, length, attention_mask, sliding_window=window)
        reference = theirs.causal(batch, query_length, attention_mask, cache, window=window)
        assert (mask is None) == torch.equal(reference, plain), name


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(("batch", "query_length", "key_length"), [(3, 1, 1), (2, 1, 5), (4, 7, 3)])
def test_an_encoder_hides_padding_from_itself_and_from_a_decoder(
    batch, query_length, key_length, attention, theirs, padded
):
    looked_at = torch.zeros(batch, key_length, 8)
    for name, attention_mask in padded(batch, key_length).items():
        if attention_mask is None:
            continue
        mask = encoder_mask(attention_mask)
        for length, states in [(key_length, None), (query_length, looked_at)]:
            reference = theirs.bidirectional(length, attention_mask, attention, states)
            ours = torch.ones(1, 1, 1, key_length, dtype=torch.bool) if mask is None else mask
            ours = ours.expand(batch, 1, length, key_length)
            if attention == "eager":
                ours = torch.zeros(ours.shape).masked_fill(~ours, torch.finfo(torch.float32).min)
            assert same(ours, reference), name


def test_an_encoder_without_padding_needs_no_mask(padded):
    masks = {name: encoder_mask(given) for name, given in padded(4, 3).items()}
    assert [name for name, mask in masks.items() if mask is None] == ["not given", "no padding"]
    assert {mask.shape for mask in masks.values() if mask is not None} == {(4, 1, 1, 3)}


def test_a_whole_mask_is_returned_as_it_is_as_in_transformers(theirs):
    everything = torch.ones(2, 1, 3, 5, dtype=torch.bool)
    cache = theirs.cache("growing", 2, 2, None)
    for window in [None, 2]:
        ours = decoder_mask(3, 5, everything, sliding_window=window)
        assert same(ours, theirs.causal(2, 3, everything, cache, window=window))
        assert ours.all()
    assert torch.equal(encoder_mask(everything), theirs.bidirectional(3, everything))


def test_a_whole_mask_of_the_whole_text_loses_the_columns_that_a_sliding_cache_has_dropped():
    whole_text = torch.tensor([True, True, False, False, True, True, True]).expand(2, 3, 2, 7)
    ours = decoder_mask(2, 4, whole_text, sliding_window=3)
    assert torch.equal(ours, whole_text[..., 3:])


def test_a_mask_always_has_four_dimensions():
    ids = torch.tensor([[0, 0, 1]])
    for options, shape in [
        ({"sliding_window": 2}, (1, 1, 2, 3)),
        ({"prefix_length": 3}, (1, 1, 2, 3)),
        ({"prefix_length": torch.tensor([3, 1])}, (2, 1, 2, 3)),
        ({"document_ids": ids}, (1, 1, 2, 3)),
        ({"attention_mask": ids, "sliding_window": 2}, (1, 1, 2, 3)),
    ]:
        assert decoder_mask(2, 3, **options).shape == shape


def test_a_single_query_meets_no_future():
    attention_mask = torch.tensor([[0, 1, 1], [1, 1, 1]])
    assert decoder_mask(1, 3, attention_mask).shape == (2, 1, 1, 3)
    assert decoder_mask(1, 3, sliding_window=3) is None
    assert decoder_mask(1, 3, prefix_length=2) is None
    assert decoder_mask(1, 1, position_ids=torch.tensor([[5]])) is None
    assert causal_mask(1, 3).all()
