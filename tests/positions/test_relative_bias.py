"""T5's buckets and biases, near and far, one way and both."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import pytest
import torch

from minilm.errors import InvalidInput
from minilm.positions import RelativePositionBias, relative_bias, relative_position_bucket

# (num_buckets, max_distance): T5's own, others', and the smallest.
BUCKETS = [(32, 128), (8, 20), (16, 64), (33, 128), (320, 800), (10, 1000), (4, 3), (6, 128)]
# (T, S): below and past 8, 16 and 128, one query with a cache, several with a cache.
LENGTHS = [(1, 1), (2, 2), (6, 6), (9, 9), (17, 17), (130, 130), (1, 2), (1, 40), (3, 11), (5, 150)]


@pytest.fixture
def t5():
    """T5's attention, with the settings and weights of one of ours."""
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    def build(ours: RelativePositionBias) -> T5Attention:
        config = T5Config(
            d_model=8,
            d_kv=2,
            num_heads=ours.embedding_dim,
            relative_attention_num_buckets=ours.num_embeddings,
            relative_attention_max_distance=ours.max_distance,
            is_decoder=not ours.bidirectional,
        )
        theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
        theirs.relative_attention_bias.load_state_dict(ours.state_dict())
        return theirs

    return build


def their_bucket(*args, **kwargs) -> torch.Tensor:
    from transformers.models.t5.modeling_t5 import T5Attention

    return T5Attention._relative_position_bucket(*args, **kwargs)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("num_buckets, max_distance", BUCKETS)
def test_every_distance_falls_into_t5s_bucket(bidirectional, num_buckets, max_distance):
    distances = torch.arange(-2100, 2101)
    ours = relative_position_bucket(distances, bidirectional, num_buckets, max_distance)
    assert ours.dtype == torch.int64
    assert torch.equal(ours, their_bucket(distances, bidirectional, num_buckets, max_distance))


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("length", [1, 2, 8, 9, 16, 17, 128, 130])
def test_a_square_of_distances_keeps_its_shape(bidirectional, length):
    square = torch.arange(length)[None] - torch.arange(length)[:, None]
    ours = relative_position_bucket(square, bidirectional)
    assert torch.equal(ours, their_bucket(square, bidirectional))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32])
def test_small_integers_do(dtype):
    distances = torch.arange(-128, 128)
    expected = relative_position_bucket(distances)
    assert torch.equal(relative_position_bucket(distances.to(dtype)), expected)


def test_seven_distances_by_hand():
    distances = torch.tensor([-200, -9, -8, -1, 0, 1, 8])
    assert relative_position_bucket(distances).tolist() == [15, 8, 8, 1, 0, 17, 24]
    one_way = relative_position_bucket(distances, bidirectional=False)
    assert one_way.tolist() == [31, 9, 8, 1, 0, 0, 0]


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("T, S", LENGTHS)
def test_the_biases_are_those_of_t5(bidirectional, T, S, t5):
    ours = RelativePositionBias(3, bidirectional=bidirectional)
    theirs = t5(ours).compute_bias(T, S, past_seen_tokens=S - T)
    assert ours(T, S).shape == (1, 3, T, S)
    assert torch.equal(ours(T, S), theirs)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("num_buckets, max_distance", BUCKETS)
def test_other_buckets_too(bidirectional, num_buckets, max_distance, t5):
    ours = RelativePositionBias(2, num_buckets, max_distance, bidirectional)
    theirs = t5(ours).compute_bias(4, 70, past_seen_tokens=66)
    assert torch.equal(ours(4, 70), theirs)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("T, S", LENGTHS)
def test_gradients_are_those_of_t5(bidirectional, T, S, t5, draw):
    ours = RelativePositionBias(3, bidirectional=bidirectional)
    # In float32, T5 adds a bucket's thousands of entries one by one: off by 3e-6 at 130 tokens.
    theirs = t5(ours).double()
    weights = draw(1, 3, T, S) / (T * S) ** 0.5
    (ours(T, S) * weights).sum().backward()
    (theirs.compute_bias(T, S, past_seen_tokens=S - T) * weights.double()).sum().backward()
    difference = ours.weight.grad - theirs.relative_attention_bias.weight.grad
    assert ours.weight.grad.abs().max() > 1e-3
    assert difference.abs().max() <= 1e-6


def test_the_queries_are_the_last_of_the_keys():
    ours = RelativePositionBias(3)
    assert torch.equal(ours(2, 30), ours(30, 30)[:, :, 28:])


def test_a_readers_bucket_is_used(monkeypatch):
    wrong = partial(torch.full_like, fill_value=5)
    monkeypatch.setattr(relative_bias, "relative_position_bucket", lambda r, *args: wrong(r))
    ours = RelativePositionBias(3)
    assert torch.equal(ours(2, 4), ours.weight[5][None, :, None, None].expand(1, 3, 2, 4))


@pytest.mark.parametrize("T, S", [(0, 3), (4, 3)])
def test_lengths_that_cannot_be_are_refused(T, S):
    with pytest.raises(InvalidInput, match=f"query_length={T} and key_length={S}"):
        RelativePositionBias(2)(T, S)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_heads": 0},
        {"n_heads": 2, "num_buckets": 3},
        {"n_heads": 2, "num_buckets": 1, "bidirectional": False},
        {"n_heads": 2, "max_distance": 8},
    ],
)
def test_settings_that_make_no_buckets_are_refused(settings):
    with pytest.raises(InvalidInput, match="At least 1 head, 2 buckets"):
        RelativePositionBias(**settings)


def test_dtype_device_copies_and_files():
    ours = RelativePositionBias(3, 16, 40, bidirectional=False)
    for twin in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert torch.equal(twin(3, 50), ours(3, 50))
    assert copy.deepcopy(ours).to(torch.bfloat16)(3, 5).dtype == torch.bfloat16
    on_meta = copy.deepcopy(ours).to("meta")(3, 5)
    assert on_meta.is_meta
    assert on_meta.shape == (1, 3, 3, 5)
    text = "RelativePositionBias(3, num_buckets=16, max_distance=40, bidirectional=False)"
    assert repr(ours) == text
