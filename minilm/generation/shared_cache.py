"""A cache whose layers lie in one piece of memory, so that one call reaches all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minilm.cache import CacheLayer, DynamicCache, DynamicLayer

# Room that is made at once for a text whose length is known: memory that is not written to is not
# taken, but there must not be too much of it.
MOST_AT_ONCE = 256 << 20


class SharedCache(DynamicCache):
    """A cache that grows with the text, all layers in one tensor.

    n_layers: of the model    max_length: tokens there will be at most, if that is known

    room: (L, 2, B, H, capacity, D), keys and values of all layers; None before the first tokens,
        and where the layers differ in form
    It does what a `DynamicCache` does. What is faster is only to be had by writing to `room`: first
    `reserve`, then write, then say `wrote`. To reorder rows it copies what they do not have in
    common: beams share most of their past.
    """

    def __init__(self, n_layers: int, max_length: int | None = None) -> None:
        self.room: Tensor | None = None
        self.max_length = max_length
        # Tokens in the room; the layers hear of them when they are asked for, and then it is 0.
        self._n_written = 0
        self._all: list[Any] = [SharedLayer(self, i) for i in range(n_layers)]
        # alike[i][j]: how many tokens rows i and j certainly have in common; None = nobody knows
        self._alike: list[list[int]] | None = None
        super().__init__()

    @property
    def layers(self) -> list[CacheLayer]:  # type: ignore[override]
        """One for each layer of the model, in order."""
        if self._n_written:
            for layer in self._all:
                layer.catch_up(self._n_written)
            self._n_written = 0
        return self._all

    @layers.setter
    def layers(self, layers: list[CacheLayer]) -> None:
        """Pass over the empty list that every cache begins with."""

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many tokens a layer has seen: the position of the next one.

        layer_idx: which layer
        """
        return self._n_written or super().get_seq_length(layer_idx)

    def is_shared(self) -> bool:
        """Say whether all layers lie in `room`, with as many tokens each."""
        return self.room is not None and all(
            layer.is_shared and layer._seen == self._all[0]._seen for layer in self._all
        )

    def reserve(self, length: int) -> Tensor:
        """Make sure of room for that many tokens, and return it, (L, 2, B, H, capacity, D).

        length: those there are included
        """
        room = self.room
        assert room is not None
        if room.shape[4] < length:
            self._move(lambda held: held, length + length // 2)
        return self.room  # type: ignore[return-value]

    def wrote(self, length: int) -> None:
        """Take note that `room` holds that many tokens now.

        length: all of them
        """
        self._n_written = length

    def reorder(self, beam_idx: Tensor) -> None:
        """Let row i continue what row beam_idx[i] held, for beam search.

        beam_idx: int (B,), rows of the batch

        Raises OutOfRange for a row that is not there.
        """
        rows = beam_idx.tolist() if isinstance(beam_idx, Tensor) and beam_idx.ndim == 1 else None
        if rows is None or self.room is None or not self.is_shared() or not _fits(rows, self.room):
            super().reorder(beam_idx)
            return
        seen, alike = self.get_seq_length(), self._alike
        if alike is None or len(alike) != len(rows):
            alike = [[0] * len(rows) for _ in rows]
        moved = [alike[to][start] for to, start in enumerate(rows) if to != start]
        if moved:
            tail = self.room.narrow(4, min(moved), seen - min(moved))  # (L, 2, B, H, rest, D)
            tail.copy_(tail.index_select(2, beam_idx))
        self._alike = [[seen if a == b else alike[a][b] for b in rows] for a in rows]

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row, its copies side by side, as for several beams or answers per prompt.

        repeats: how often, at least 1
        """
        layers = self.layers
        if repeats < 1 or not self.is_shared():
            super().batch_repeat_interleave(repeats)
            return
        self._move(lambda held: held.repeat_interleave(repeats, dim=2))
        seen, n_rows = layers[0].get_seq_length(), self.room.shape[2]  # type: ignore[union-attr]
        self._alike = [
            [seen if a // repeats == b // repeats else 0 for b in range(n_rows)]
            for a in range(n_rows)
        ]

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens in every layer.

        tokens_to_remove: how many, as a negative number (transformers' convention)

        Raises InvalidInput for a positive number, OutOfRange where fewer are held.
        """
        super().crop(tokens_to_remove)
        self._alike = None

    def reset(self) -> None:
        """Forget everything, so that the cache can serve another batch."""
        super().reset()
        self.room, self._n_written, self._alike = None, 0, None

    def _new_layer(self) -> CacheLayer | None:
        return None

    def room_for(self, keys: Tensor, values: Tensor, length: int) -> Tensor | None:
        """Give a layer the room to lie in, made or made longer.

        keys, values: (B, H, T, D), of the form of its own
        length: how many tokens there must be room for

        Returns None where it cannot lie there: its form is another one.
        """
        if keys.shape != values.shape or keys.dtype != values.dtype:
            return None
        n_layers, most = len(self._all), self.max_length or 0
        if self.room is None and not any(layer._seen for layer in self._all):
            n_bytes = 2 * n_layers * keys[:, :, :1].nbytes * most
            capacity = most if length <= most and n_bytes <= MOST_AT_ONCE else length
            self.room = _empty((n_layers, 2, *keys.shape[:2], capacity, keys.shape[3]), keys)
        room = self.room
        wanted = (*keys.shape[:2], keys.shape[3], keys.dtype, keys.device)
        if room is None or wanted != (*room.shape[2:4], room.shape[5], room.dtype, room.device):
            return None
        return self.reserve(length)

    def _move(self, choose: Callable[[Tensor], Tensor], capacity: int = 0) -> None:
        """Move into new room what `choose` makes of what is held, (L, 2, B, H, S, D)."""
        room = self.room
        assert room is not None
        held = max(self._n_written, *(layer._seen for layer in self._all))
        there = [layer for layer in self._all if layer.is_shared]
        chosen = choose(room.narrow(4, 0, held))
        self.room = _empty((*chosen.shape[:4], max(capacity, room.shape[4]), room.shape[5]), room)
        self.room.narrow(4, 0, held).copy_(chosen)
        for layer in there:
            layer.lie_in(self.room)


class SharedLayer(DynamicLayer):
    """One layer of a `SharedCache`; it leaves the room it shares where it must.

    cache: whose    index: which layer, from 0
    """

    def __init__(self, cache: SharedCache, index: int) -> None:
        super().__init__()
        self._cache, self._index = cache, index
        self._room: Tensor | None = None  # the cache's, while this layer lies in it

    @property
    def is_shared(self) -> bool:
        """Whether its keys and values are written to the cache's room."""
        return self._key_room is not None and self._room is self._cache.room

    @property
    def nbytes(self) -> int:
        """The bytes of the memory that the layer holds, filled or not."""
        if self.is_shared:
            return self._key_room.nbytes + self._value_room.nbytes
        return super().nbytes

    def lie_in(self, room: Tensor) -> None:
        """Take the part of a room that is this layer's.

        room: (L, 2, B, H, capacity, D), in which is what this layer holds
        """
        self._room = room
        self._key_room, self._value_room = room[self._index].unbind(0)  # (B, H, capacity, D)
        self._look(self._seen)

    def catch_up(self, n_written: int) -> None:
        """Take note of tokens that were written to the room from outside.

        n_written: how many there are, those from before included
        """
        if self.is_shared:
            self._look(n_written)

    def reset(self) -> None:
        """Forget everything, the memory included."""
        super().reset()
        self._room = None

    def _look(self, length: int) -> None:
        self._seen = length
        self._keys = self._key_room[:, :, :length]  # (B, H, S, D)
        self._values = self._value_room[:, :, :length]  # (B, H, S, D)

    def _make_room(self, key_states: Tensor, value_states: Tensor, length: int) -> None:
        if self._keys is None or self.is_shared:
            room = self._cache.room_for(key_states, value_states, length)
            if room is not None:
                self.lie_in(room)
                return
        super()._make_room(key_states, value_states, length)
        self._room = None

    def _rows(self, choose: Callable[[Tensor], Tensor]) -> None:
        super()._rows(choose)
        self._room = None


def _fits(rows: list[int], room: Tensor) -> bool:
    return len(rows) == room.shape[2] and all(0 <= row < len(rows) for row in rows)


def _empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    # A tensor made in inference mode could not be written to outside of it.
    with torch.inference_mode(False):
        return torch.empty(shape, dtype=like.dtype, device=like.device)
