"""At every step of any schedule our caches hold and give what transformers' do.

A second reference beside it, the whole history, has the last word where transformers' has none
(layers without `crop`) or a wrong one (a window of 1).
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minilm import cache as ours
from minilm.errors import OutOfRange

transformers = pytest.importorskip("transformers")
from transformers import cache_utils as theirs  # noqa: E402

CAPACITY = 400
SCHEDULES = st.lists(
    st.tuples(
        st.sampled_from(["one", "one", "several", "crop", "reorder", "repeat", "select", "reset"]),
        st.integers(0, 2**20),
    ),
    min_size=1,
    max_size=16,
)
WINDOWS = st.lists(st.sampled_from([None, 1, 2, 3, 5, 16]), min_size=1, max_size=3)
MODES = {"no_grad": torch.no_grad, "inference": torch.inference_mode, "grad": torch.enable_grad}


class History:
    """Everything a layer was ever given, and what a window lets one see and take back of it."""

    def __init__(self, window: int | None, take_back: int = 0) -> None:
        self.window, self.take_back = window, take_back
        self.states: tuple[Tensor, ...] | None = None
        self.kept = 0

    def __len__(self) -> int:
        return 0 if self.states is None else self.states[0].shape[2]

    def last(self, n: int) -> tuple[Tensor, ...]:
        assert self.states is not None
        return tuple(held[:, :, len(self) - n :] for held in self.states)

    def in_sight(self) -> int:
        return len(self) if self.window is None else min(len(self), self.window - 1)

    def update(self, *new: Tensor) -> tuple[Tensor, ...]:
        seen = self.in_sight() + new[0].shape[2]
        old = self.states or tuple(states[:, :, :0] for states in new)
        self.states = tuple(torch.cat(pair, dim=2) for pair in zip(old, new))
        self.kept += new[0].shape[2]
        if self.window is not None:
            self.kept = min(self.kept, self.window - 1 + self.take_back)
        return self.last(seen)

    def can_forget(self, n: int) -> bool:
        left = len(self) - n
        return self.kept - n >= (left if self.window is None else min(left, self.window - 1))

    def crop(self, n: int) -> None:
        if self.states is not None:
            self.states, self.kept = self.last_but(n), self.kept - n

    def last_but(self, n: int) -> tuple[Tensor, ...]:
        return tuple(held[:, :, : len(self) - n] for held in self.states or ())

    def change(self, change: Any) -> None:
        self.states = None if self.states is None else tuple(map(change, self.states))


def drawn(number: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(number))


class Run:
    """One schedule, on a cache of ours, the whole history, and a cache of transformers'."""

    def __init__(
        self,
        mine: ours.Cache,
        windows: list[int | None],
        reference: Any = None,
        take_back: int = 0,
    ) -> None:
        self.mine, self.reference = mine, reference
        self.histories = [History(window, take_back) for window in windows]
        self.batch = 2

    @property
    def seen(self) -> int:
        return len(self.histories[0])

    def step(self, what: str, number: int) -> None:
        if what in ("one", "several"):
            self.update(1 if what == "one" else 2 + number % 8, number)
        elif what == "crop":
            self.crop(number)
        elif what == "reset":
            if number % 3 == 0:  # rarely, or nothing would ever grow long
                self.everywhere("reset")
                for history in self.histories:
                    history.states, history.kept = None, 0
                self.batch = 1 + number % 4
        elif what == "reorder":
            rows = torch.randint(self.batch, (self.batch,), generator=_seeded(number))
            self.everywhere("reorder_cache", rows)
            self.change(lambda states: states[rows])
        elif what == "repeat" and self.batch < 4:
            self.everywhere("batch_repeat_interleave", 2)
            self.change(lambda states: states.repeat_interleave(2, dim=0))
        elif what == "select":
            rows = torch.randint(self.batch, (1 + number % 3,), generator=_seeded(number))
            self.everywhere("batch_select_indices", rows)
            self.change(lambda states: states[rows])
        self.compare()

    def update(self, n_new: int, number: int) -> None:
        for i, history in enumerate(self.histories):
            keys = drawn(number + i, self.batch, 3, n_new, 4)
            values = drawn(number + i + 10, self.batch, 3, n_new, 5)
            length, offset = self.mine.get_mask_sizes(n_new, i)
            got = self.mine.update(keys, values, i)
            expected = history.update(keys, values)
            assert (length, offset) == (expected[0].shape[2], len(history) - expected[0].shape[2])
            assert same(got, expected)
            if self.reference is not None:
                assert length == self.reference.get_mask_sizes(n_new, i)[0]
                assert same(got, self.reference.update(keys, values, i))

    def crop(self, number: int) -> None:
        # Emptied, theirs would keep the batch it had, and refuse the next one.
        n = min(number % 4, self.seen if self.reference is None else max(self.seen - 1, 0))
        if n and self.seen and not all(history.can_forget(n) for history in self.histories):
            with pytest.raises(OutOfRange, match=f"asked to forget {n} tokens"):
                self.mine.crop(-n)
            return  # and no layer has changed: compared after every step
        self.everywhere("crop", -n)
        for history in self.histories:
            history.crop(n)

    def change(self, change: Any) -> None:
        for history in self.histories:
            history.change(change)
            if history.states is not None:
                self.batch = history.states[0].shape[0]

    def everywhere(self, name: str, *arguments: Any) -> None:
        for cache in (self.mine, self.reference):
            if cache is not None:
                getattr(cache, name)(*arguments)

    def compare(self) -> None:
        for i, (layer, history) in enumerate(zip(self.mine.layers, self.histories)):
            assert layer.get_seq_length() == self.mine.get_seq_length(i) == len(history)
            if not len(history):
                assert layer.keys is None or layer.keys.shape[2] == 0
                continue
            n = history.in_sight()
            held = layer.keys.shape[2]
            assert same(
                (layer.keys[:, :, held - n :], layer.values[:, :, held - n :]), history.last(n)
            )
            if self.reference is not None:
                assert self.reference.get_seq_length(i) == len(history)
                assert same((layer.keys, layer.values), _held(self.reference.layers[i]))


def same(got: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(*pair) for pair in zip(got, expected, strict=True))


def _held(layer: Any) -> tuple[Tensor, Tensor]:
    return layer.keys, layer.values


def _seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


@pytest.mark.parametrize("mode", MODES)
def test_a_growing_cache_equals_transformers_at_every_step(mode: str) -> None:
    @settings(deadline=None, max_examples=60)
    @given(SCHEDULES, st.integers(1, 3))
    def check(schedule: list[tuple[str, int]], n_layers: int) -> None:
        with MODES[mode]():
            run = Run(ours.DynamicCache(), [None] * n_layers, theirs.DynamicCache())
            for step in schedule:
                run.step(*step)

    check()


@pytest.mark.parametrize("mode", MODES)
def test_a_growing_cache_with_windows_equals_transformers_at_every_step(mode: str) -> None:
    @settings(deadline=None, max_examples=60)
    @given(SCHEDULES, WINDOWS)
    def check(schedule: list[tuple[str, int]], windows: list[int | None]) -> None:
        windows = [2 if window == 1 else window for window in windows]  # theirs is wrong at 1
        reference = theirs.Cache(
            layers=[
                theirs.DynamicSlidingWindowLayer(window) if window else theirs.DynamicLayer()
                for window in windows
            ]
        )
        with MODES[mode]():
            run = Run(ours.DynamicCache(windows), windows, reference)
            for what, number in schedule:
                if what != "crop":  # below: theirs needs to be told of it beforehand
                    run.step(what, number)

    check()


@settings(deadline=None, max_examples=60)
@given(SCHEDULES, WINDOWS)
def test_taking_back_equals_transformers_recording_the_past(
    schedule: list[tuple[str, int]], windows: list[int | None]
) -> None:
    windows = [2 if window == 1 else window for window in windows]
    reference = theirs.Cache(
        layers=[
            theirs.DynamicSlidingWindowLayer(window) if window else theirs.DynamicLayer()
            for window in windows
        ]
    )
    reference.activate_past_recording()
    mine = ours.DynamicCache(windows, take_back=3)
    for step, (_, number) in enumerate(schedule):
        n_new, n_back = 4 + number % 3, number % 4
        for i in range(len(windows)):
            keys, values = drawn(number + i, 2, 3, n_new, 4), drawn(number - i, 2, 3, n_new, 5)
            assert same(mine.update(keys, values, i), reference.update(keys, values, i))
        mine.crop(-n_back)
        reference.crop(-n_back)
        for i, window in enumerate(windows):
            assert mine.get_seq_length(i) == reference.get_seq_length(i)
            assert mine.get_mask_sizes(2, i) == reference.get_mask_sizes(2, i), (step, window)


@pytest.mark.parametrize("mode", [*MODES, "another at every step"])
@pytest.mark.parametrize("kind", ["growing", "fixed"])
def test_any_cache_gives_what_the_whole_history_has(kind: str, mode: str) -> None:
    """Every operation, every window, 1 among them, and crop as far back as was promised."""

    @settings(deadline=None, max_examples=100)
    @given(SCHEDULES, WINDOWS, st.sampled_from([0, 1, 3]), st.sampled_from([150, 1000]))
    def check(
        schedule: list[tuple[str, int]], windows: list[int | None], take_back: int, room: int
    ) -> None:
        made = {
            "growing": lambda: ours.DynamicCache(windows, take_back),
            "fixed": lambda: ours.StaticCache(room, windows, take_back),
        }
        run = Run(made[kind](), windows, take_back=take_back)
        for i, (what, number) in enumerate(schedule):
            with MODES.get(mode, list(MODES.values())[(i + number) % 3])():
                run.step(what, number)

    check()


def static_pair(windows: list[int | None]) -> tuple[ours.Cache, Any]:
    mine = ours.StaticCache(CAPACITY, windows)
    config = transformers.LlamaConfig(
        hidden_size=12,
        num_attention_heads=3,
        num_hidden_layers=len(windows),
        sliding_window=max((w for w in windows if w), default=None),
        layer_types=["sliding_attention" if window else "full_attention" for window in windows],
    )
    return mine, theirs.StaticCache(config=config, max_cache_len=CAPACITY)


@settings(deadline=None, max_examples=80)
@given(SCHEDULES, st.lists(st.booleans(), min_size=1, max_size=3), st.sampled_from([1, 2, 5, 16]))
def test_a_fixed_cache_holds_what_transformers_holds_at_every_step(
    schedule: list[tuple[str, int]], sliding: list[bool], window: int
) -> None:
    """Theirs gives back its whole memory, empty places included: compared where it is filled."""
    windows = [window if slides else None for slides in sliding]
    mine, reference = static_pair(windows)
    with torch.no_grad():
        for what, number in schedule:
            if what == "reorder" and mine.get_seq_length():
                rows = torch.randint(2, (2,), generator=_seeded(number))
                mine.reorder_cache(rows)
                reference.reorder_cache(rows)
                continue
            n_new = 1 if what == "one" else 2 + number % 8
            for i in range(len(windows)):
                keys, values = drawn(number + i, 2, 3, n_new, 4), drawn(number - i, 2, 3, n_new, 4)
                got = mine.update(keys, values, i)
                whole = reference.update(keys, values, i)
                n = got[0].shape[2]
                assert same(got, tuple(states[:, :, :n] for states in whole))
                assert all((states[:, :, n:] == 0).all() for states in whole)
                assert mine.get_seq_length(i) == int(reference.get_seq_length(i))


def test_a_window_of_one_holds_nothing_here_and_everything_in_transformers() -> None:
    mine, reference = ours.DynamicCache(sliding_window=1), theirs.DynamicSlidingWindowLayer(1)
    for number in range(4):
        new = drawn(number, 1, 2, 1, 3)
        assert mine.update(new, new, 0)[0].shape[2] == 1
        reference.update(new, new)
    assert mine.layers[0].keys is not None
    assert mine.layers[0].keys.shape[2] == 0
    assert reference.keys.shape[2] == 4


@settings(deadline=None, max_examples=60)
@given(SCHEDULES)
def test_the_two_caches_of_a_seq2seq_model_equal_transformers(
    schedule: list[tuple[str, int]],
) -> None:
    mine = ours.EncoderDecoderCache(ours.DynamicCache(), ours.DynamicCache())
    reference = theirs.EncoderDecoderCache(theirs.DynamicCache(), theirs.DynamicCache())
    batch = 2
    with torch.no_grad():
        for what, number in schedule:
            if what in ("one", "several"):
                n_new = 1 if what == "one" else 2 + number % 8
                new = drawn(number, batch, 3, n_new, 4)
                assert same(
                    mine.update(new, -new, 0),
                    reference.self_attention_cache.update(new, -new, 0),
                )
                assert mine.is_updated.get(0, False) == reference.is_updated.get(0, False)
                if not mine.is_updated.get(0):  # the encoder's, once
                    encoded = drawn(number, batch, 3, 7, 4)
                    mine.cross_attention_cache.update(encoded, -encoded, 0)
                    reference.cross_attention_cache.update(encoded, -encoded, 0)
                    reference.is_updated[0] = True
            rows = torch.randint(batch, (batch,), generator=_seeded(number))
            for cache in (mine, reference):
                if what == "crop":
                    cache.crop(-min(number % 3, max(cache.get_seq_length() - 1, 0)))
                elif what == "reset":
                    cache.reset()
                elif what == "reorder":
                    cache.reorder_cache(rows)
                elif what == "repeat" and batch < 4:
                    cache.batch_repeat_interleave(2)
                elif what == "select":
                    cache.batch_select_indices(rows[:1])
            assert mine.get_seq_length() == reference.get_seq_length()
            if mine.get_seq_length():
                for name in ("self_attention_cache", "cross_attention_cache"):
                    layers = [getattr(cache, name).layers[0] for cache in (mine, reference)]
                    assert same(_held(layers[0]), _held(layers[1]))
                batch = mine.layers[0].keys.shape[0]
