"""Each block alone: what it shows, small enough to read, and transformers' function of the same rule."""

from __future__ import annotations

import doctest
import math

import pytest
import torch

from minilm import masks
from minilm.masks import (
    causal_mask,
    document_ids_from_positions,
    document_mask,
    mask_to_scores,
    padding_mask,
    prefix_mask,
    sliding_window_mask,
)

SIZES = [(1, 1), (1, 2), (2, 2), (1, 7), (2, 5), (6, 6), (3, 8), (9, 11)]


def rows(mask: torch.Tensor) -> list[str]:
    """A (T, S) mask as one string per query: x for a key that it sees."""
    return ["".join(".x"[seen] for seen in row) for row in mask.int().tolist()]


def of_transformers(rule, query_length: int, key_length: int, batch: int = 1) -> torch.Tensor:
    """transformers' mask of a rule, (B, 1, T, S), the queries being the last of the keys."""
    masking = pytest.importorskip("transformers.masking_utils")
    return masking.sdpa_mask(
        batch,
        query_length,
        key_length,
        q_offset=key_length - query_length,
        mask_function=rule(masking),
        allow_is_causal_skip=False,
    )


def test_a_query_sees_itself_and_what_came_before():
    assert rows(causal_mask(4, 4)) == ["x...", "xx..", "xxx.", "xxxx"]


def test_with_a_cache_the_queries_are_the_last_of_the_keys():
    assert rows(causal_mask(2, 5)) == ["xxxx.", "xxxxx"]
    assert rows(causal_mask(1, 3)) == ["xxx"]


def test_a_window_of_three_shows_three_keys_and_says_nothing_of_the_future():
    assert rows(sliding_window_mask(3, 5, 3)) == ["xxxxx", ".xxxx", "..xxx"]
    assert rows(sliding_window_mask(3, 5, 3) & causal_mask(3, 5)) == ["xxx..", ".xxx.", "..xxx"]


def test_a_window_of_one_shows_the_query_itself():
    assert rows(sliding_window_mask(4, 4, 1) & causal_mask(4, 4)) == [
        "x...",
        ".x..",
        "..x.",
        "...x",
    ]


def test_everybody_sees_the_prefix():
    assert rows(prefix_mask(4, 4, 2)) == ["xx..", "xx..", "xxx.", "xxxx"]
    assert rows(prefix_mask(2, 4, 4)) == ["xxxx", "xxxx"]


def test_every_row_may_have_its_own_prefix():
    mask = prefix_mask(3, 3, torch.tensor([0, 3]))
    assert mask.shape == (2, 1, 3, 3)
    assert rows(mask[0, 0]) == ["x..", "xx.", "xxx"]
    assert rows(mask[1, 0]) == ["xxx"] * 3


def test_padding_is_seen_by_nobody():
    for attention_mask in [[[0, 1, 1]], [[False, True, True]], [[0.0, 1.0, 1.0]]]:
        mask = padding_mask(torch.tensor(attention_mask))
        assert mask.shape == (1, 1, 1, 3)
        assert mask.tolist() == [[[[False, True, True]]]]


def test_documents_do_not_see_each_other():
    mask = document_mask(torch.tensor([[0, 0, 1, 1, 1]]))
    assert rows(mask[0, 0]) == ["xx...", "xx...", "..xxx", "..xxx", "..xxx"]
    assert rows(document_mask(torch.tensor([[0, 0, 1]]), query_length=2)[0, 0]) == ["xx.", "..x"]


def test_a_document_id_that_comes_back_is_the_same_document():
    assert rows(document_mask(torch.tensor([[7, 3, 7]]))[0, 0]) == ["x.x", ".x.", "x.x"]


@pytest.mark.parametrize(
    ("position_ids", "document_ids"),
    [
        ([0, 1, 2, 0, 1], [0, 0, 0, 1, 1]),
        ([0, 0, 0, 1, 2], [0, 1, 2, 2, 2]),
        ([4, 5, 6, 7, 8], [0, 0, 0, 0, 0]),
        ([0, 1, 5, 6, 3], [0, 0, 1, 1, 2]),
        ([3], [0]),
    ],
)
def test_a_document_begins_where_positions_do_not_go_up_by_one(position_ids, document_ids):
    found = document_ids_from_positions(torch.tensor([position_ids]))
    assert found.dtype == torch.int64
    assert found.tolist() == [document_ids]


def test_rows_are_numbered_apart():
    position_ids = torch.tensor([[0, 1, 0, 1], [0, 1, 2, 3]], dtype=torch.int32)
    assert document_ids_from_positions(position_ids).tolist() == [[0, 0, 1, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_scores_are_zero_where_one_may_look_and_minus_infinity_elsewhere(dtype):
    scores = mask_to_scores(torch.tensor([[True, False], [False, True]]), dtype)
    assert scores.dtype == dtype
    assert scores.tolist() == [[0.0, -math.inf], [-math.inf, 0.0]]


def test_no_score_is_large_enough_to_beat_a_mask():
    may_attend = torch.tensor([True, False])
    scores = torch.tensor([-3e38, 3e38])
    assert (scores + mask_to_scores(may_attend)).softmax(-1).tolist() == [1.0, 0.0]
    lowest = torch.where(may_attend, 0.0, torch.finfo(torch.float32).min)
    assert (scores + lowest).softmax(-1)[1] > 0.5


def test_scores_can_be_made_from_a_mask_spread_over_heads_without_copying():
    spread = causal_mask(2, 3).expand(4, 5, 2, 3)
    assert torch.equal(mask_to_scores(spread), mask_to_scores(causal_mask(2, 3)).expand(4, 5, 2, 3))


@pytest.mark.parametrize(("query_length", "key_length"), SIZES)
def test_each_rule_is_that_of_transformers(query_length, key_length):
    size = query_length, key_length
    assert torch.equal(causal_mask(*size)[None, None], of_transformers(_causal, *size))
    for window in [1, 2, 5, 40]:
        ours = sliding_window_mask(*size, window)[None, None]
        assert torch.equal(
            ours, of_transformers(lambda m, w=window: m.sliding_window_overlay(w), *size)
        )
        ours = (sliding_window_mask(*size, window) & causal_mask(*size))[None, None]
        rule = of_transformers(lambda m, w=window: m.sliding_window_causal_mask_function(w), *size)
        assert torch.equal(ours, rule)


@pytest.mark.parametrize(("query_length", "key_length"), SIZES)
def test_padding_and_documents_are_those_of_transformers(query_length, key_length):
    size = query_length, key_length
    real = torch.arange(3 * key_length).view(3, key_length) % 4 != 2
    ids = (torch.arange(3 * key_length).view(3, key_length) % 5 == 3).cumsum(-1)
    ours = padding_mask(real.long()).expand(3, 1, *size)
    assert torch.equal(ours, of_transformers(lambda m: m.padding_mask_function(real), *size, 3))
    ours = document_mask(ids, query_length)
    rule = of_transformers(lambda m: m.packed_sequence_mask_function(ids), *size, 3)
    assert torch.equal(ours, rule)


def test_documents_are_numbered_as_in_transformers():
    masking = pytest.importorskip("transformers.masking_utils")
    draw = torch.Generator().manual_seed(3)
    for length in [1, 2, 5, 23]:
        steps = torch.randint(0, 3, (40, length), generator=draw)
        position_ids = steps.cumsum(-1) % 7
        reference = masking.find_packed_sequence_indices(position_ids)
        ours = document_ids_from_positions(position_ids)
        assert torch.equal(ours, torch.zeros_like(ours) if reference is None else reference)


def test_masks_live_where_they_are_asked_to():
    for mask in [
        causal_mask(2, 3, "meta"),
        sliding_window_mask(2, 3, 2, "meta"),
        prefix_mask(2, 3, 1, "meta"),
        masks.decoder_mask(3, 3, sliding_window=2, prefix_length=1, device="meta"),
        mask_to_scores(causal_mask(2, 3, "meta")),
    ]:
        assert mask.device.type == "meta"


def test_the_examples_in_the_docstrings_are_true():
    found = doctest.testmod(masks, extraglobs={"torch": torch})
    assert found.attempted
    assert not found.failed


def _causal(masking):
    return masking.causal_mask_function
