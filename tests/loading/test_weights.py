"""minilm.weights: names, sizes, shards."""

from __future__ import annotations

import random

import pytest

from minilm.errors import InvalidInput
from minilm.loading import loading_report, tensor_owners
from minilm.weights import in_todays_name, match_keys, parse_size, plan_shards, shard_names


@pytest.mark.parametrize(
    ("old", "today"),
    [
        ("bert.encoder.layer.0.LayerNorm.gamma", "bert.encoder.layer.0.LayerNorm.weight"),
        ("ln_f.beta", "ln_f.bias"),
        ("gamma", "weight"),
        ("h.0.weight", "h.0.weight"),
        ("gamma.weight", "gamma.weight"),
        ("a.gammas", "a.gammas"),
        ("", ""),
    ],
)
def test_old_names_become_todays(old, today):
    assert in_todays_name(old) == today


def test_names_match_with_and_without_the_bodys_prefix():
    expected = ["body.a.weight", "body.b.bias", "head.weight"]
    whole = ["body.a.weight", "body.b.bias", "head.weight"]
    assert match_keys(expected, whole, "body") == ({name: name for name in expected}, [], [])
    body = ["a.weight", "b.beta", "c.weight"]
    assert match_keys(expected, body, "body") == (
        {"body.a.weight": "a.weight", "body.b.bias": "b.beta"},
        ["head.weight"],
        ["c.weight"],
    )
    assert match_keys(["a.weight", "b.bias"], whole, "body") == (
        {"a.weight": "body.a.weight", "b.bias": "body.b.bias"},
        [],
        ["head.weight"],
    )
    assert match_keys(["a"], ["a"], "") == ({"a": "a"}, [], [])
    assert match_keys([], ["a"], "") == ({}, [], ["a"])
    assert match_keys(["a"], [], "body") == ({}, ["a"], [])


def test_a_name_that_fits_as_it_is_comes_before_one_that_can_be_made_to_fit():
    for found in (["a.gamma", "a.weight"], ["a.weight", "a.gamma"]):
        assert match_keys(["a.weight"], found, "m") == ({"a.weight": "a.weight"}, [], ["a.gamma"])
    for found in (["a", "m.a"], ["m.a", "a"]):
        assert match_keys(["a"], found, "m") == ({"a": "a"}, [], ["m.a"])
    # A model may call its own weight gamma.
    assert match_keys(["a.gamma"], ["a.gamma"], "m") == ({"a.gamma": "a.gamma"}, [], [])
    assert match_keys(["a.gamma"], ["m.a.gamma"], "m") == ({"a.gamma": "m.a.gamma"}, [], [])


def test_a_prefix_is_a_whole_word():
    assert match_keys(["x.a"], ["body_x.a"], "body") == ({}, ["x.a"], ["body_x.a"])
    assert match_keys(["dy.a"], ["body.a"], "bo") == ({}, ["dy.a"], ["body.a"])


def test_names_may_be_any_iterables():
    names = match_keys(iter(["b.a"]), (name for name in ["a", "x"]), "b")
    assert names == ({"b.a": "a"}, [], ["x"])
    assert match_keys({"a": 1}, {"a": 2}, "b") == ({"a": "a"}, [], [])


@pytest.mark.parametrize(
    ("size", "total"),
    [
        (7, 7),
        ("5GB", 5 * 10**9),
        ("200MB", 2 * 10**8),
        ("1.5KB", 1500),
        (" 2 kb ", 2000),
        ("1TB", 10**12),
        ("3GiB", 3 * 2**30),
        ("9B", 9),
    ],
)
def test_sizes_in_words(size, total):
    assert parse_size(size) == total


@pytest.mark.parametrize(
    "size", [0, -1, True, 1.5, None, "", "5", "GB", "5XB", "-5GB", "0GB", "1e3GB"]
)
def test_what_is_no_size_is_refused(size):
    with pytest.raises(InvalidInput, match="A size of"):
        parse_size(size)


def test_sizes_and_shards_are_those_of_huggingface_hub():
    """On a thousand models: the same files with the same weights, in the same order."""
    serialization = pytest.importorskip("huggingface_hub.serialization._base")
    rng = random.Random(3)
    for _ in range(1000):
        sizes = {f"w{i}": rng.randint(0, 40) for i in range(rng.randint(1, 12))}
        limit = rng.randint(1, 60)
        theirs = serialization.split_state_dict_into_shards_factory(
            sizes,
            get_storage_size=lambda size: size,
            filename_pattern="model{suffix}.safetensors",
            max_shard_size=limit,
        )
        shards = plan_shards(sizes, limit)
        named = dict(zip(shard_names(len(shards)), shards, strict=True))
        assert named == theirs.filename_to_tensors
    for size in ("5GB", "200MB", "1.5KB"):
        assert parse_size(size) == serialization.parse_size_to_int(size)


def test_shards_hold_what_fits():
    assert plan_shards({"a": 6, "b": 6, "c": 2, "d": 6, "e": 2, "f": 2}, 10) == [
        ["a"],
        ["b", "c"],
        ["d", "e", "f"],
    ]
    assert plan_shards({"a": 1, "large": 99, "b": 1}, 10) == [["large"], ["a", "b"]]
    assert plan_shards({"a": 10}, 10) == [["a"]]
    assert plan_shards({}, 10) == [[]]
    assert shard_names(1) == ["model.safetensors"]
    assert shard_names(2)[1] == "model-00002-of-00002.safetensors"


def test_tied_weights_take_the_tensor_that_the_files_hold():
    tied = {"head": "embedding"}
    assert tensor_owners(tied, {"embedding"}) == {"head": "embedding"}
    assert tensor_owners(tied, {"head"}) == {"embedding": "head"}
    assert tensor_owners(tied, {"head", "embedding"}) == {"head": "embedding"}
    assert tensor_owners(tied, ()) == {"head": "embedding"}
    assert tensor_owners({}, {"head"}) == {}
    # Three that are one, as in models with an encoder and a decoder.
    tied = {"encoder": "shared", "decoder": "shared", "head": "shared", "b": "a"}
    assert tensor_owners(tied, {"decoder", "a"}) == {
        "shared": "decoder",
        "encoder": "decoder",
        "head": "decoder",
        "b": "a",
    }


def test_a_report_has_a_line_for_each_name():
    report = loading_report({"b.weight", "a"}, ["x"], {"wte": ((4, 2), (5, 2))})
    assert report.splitlines() == [
        "  a         missing     drawn at random",
        "  b.weight  missing     drawn at random",
        "  x         unexpected  not used",
        "  wte       mismatched  (4, 2) in the file, (5, 2) in the model",
    ]
    assert loading_report((), (), {}) == ""
