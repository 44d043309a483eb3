"""The sinusoid table: Marian's and DistilBERT's, to the last bit."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch

from minilm.errors import InvalidInput, OutOfRange
from minilm.positions import SinusoidalPositions, sinusoid_table, sinusoidal

# (length, width): odd widths, one row, one column, and the sizes of published models.
SIZES = [(1, 1), (1, 2), (2, 1), (6, 3), (7, 5), (5, 8), (300, 64), (512, 512), (1024, 48), (90, 7)]


@pytest.mark.parametrize("length, width", SIZES)
def test_marian_has_the_same_table(length, width):
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

    theirs = MarianSinusoidalPositionalEmbedding(length, width).create_weight()
    ours = sinusoid_table(length, width)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("length, width", SIZES)
def test_distilbert_has_the_same_table_by_turns(length, width):
    from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings

    theirs = create_sinusoidal_embeddings(length, width, torch.empty(length, width))
    assert torch.equal(sinusoid_table(length, width, "interleaved"), theirs)


def test_six_positions_of_three_numbers_by_hand():
    slow = 10000 ** (-2 / 3)
    for position, row in enumerate(sinusoid_table(6, 3).tolist()):
        expected = [math.sin(position), math.sin(position * slow), math.cos(position)]
        assert row == pytest.approx(expected, abs=1e-7)


def test_late_positions_are_as_exact_as_early_ones():
    row = sinusoid_table(100_001, 4)[-1].tolist()
    expected = [math.sin(1e5), math.sin(1e3), math.cos(1e5), math.cos(1e3)]
    assert row == pytest.approx(expected, abs=1e-7)


def test_the_layouts_hold_the_same_numbers_in_another_order():
    half, turns = sinusoid_table(9, 8), sinusoid_table(9, 8, "interleaved")
    assert torch.equal(turns, half.view(9, 2, 4).transpose(1, 2).reshape(9, 8))
    assert not torch.equal(turns, half)


def test_another_layout_is_refused():
    with pytest.raises(InvalidInput, match=r"layout='halves' was given.*'half' or 'interleaved'"):
        sinusoid_table(4, 4, "halves")


def test_marian_looks_up_the_same_rows():
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

    theirs = MarianSinusoidalPositionalEmbedding(20, 6)
    with torch.no_grad():
        theirs.weight.copy_(theirs.create_weight())
    ours = SinusoidalPositions(20, 6)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours(torch.arange(4, 9)), theirs(torch.Size([2, 5]), 4))


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_the_module_is_the_table_and_learns_nothing(layout):
    ours = SinusoidalPositions(20, 6, layout)
    assert torch.equal(ours.weight, sinusoid_table(20, 6, layout))
    assert not ours.weight.requires_grad
    assert not ours(torch.tensor([[1, 2]])).requires_grad
    assert list(ours.state_dict()) == ["weight"]


def test_a_reset_writes_the_table_again():
    ours = SinusoidalPositions(5, 4).to("meta").to_empty(device="cpu")
    ours.reset_parameters()
    assert torch.equal(ours.weight, sinusoid_table(5, 4))


def test_a_readers_table_is_used(monkeypatch):
    monkeypatch.setattr(
        sinusoidal, "sinusoid_table", lambda n, c, layout="half": torch.ones(c, n).T
    )
    assert torch.equal(SinusoidalPositions(5, 4).weight, torch.ones(5, 4))


@pytest.mark.parametrize("bad", [20, -1])
def test_a_position_outside_is_named_with_its_place(bad):
    with pytest.raises(OutOfRange, match=rf"Position {bad} \(position_ids\[0, 1\]\).*20 positions"):
        SinusoidalPositions(20, 6)(torch.tensor([[0, bad]]))


@pytest.mark.parametrize("sizes", [(0, 4), (6, 0)])
def test_sizes_that_make_no_table_are_refused(sizes):
    with pytest.raises(InvalidInput, match="at least 1"):
        SinusoidalPositions(*sizes)


def test_default_dtype_copies_and_files():
    try:
        torch.set_default_dtype(torch.float64)
        wide = SinusoidalPositions(5, 4)
        table = sinusoid_table(5, 4)
    finally:
        torch.set_default_dtype(torch.float32)
    assert table.dtype == torch.float32
    assert wide.weight.dtype == torch.float64
    assert torch.equal(wide.weight, sinusoid_table(5, 4).double())
    for twin in (copy.deepcopy(wide), pickle.loads(pickle.dumps(wide))):
        assert torch.equal(twin.weight, wide.weight)
        assert repr(twin) == "SinusoidalPositions(5, 4, layout='half')"
