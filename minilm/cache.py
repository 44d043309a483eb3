"""The key–value cache: what attention has computed once and need not compute again.

A layer's `update` takes the keys and values of the new tokens, each (B, H, T, D), and gives back
those to attend over: the new tokens are always the last T of them. What it gives back may be a view
of the cache's own memory: good until the cache is next changed, and not to be written to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from minilm.errors import InvalidInput, OutOfRange, WrongType


def cache_bytes(
    n_layers: int,
    batch_size: int,
    n_kv_heads: int,
    length: int,
    head_dim: int,
    bytes_per_number: int = 4,
) -> int:
    """Say how many bytes the keys and values of that many tokens take.

    length: tokens held for each row    bytes_per_number: 4 for float32, 2 for bfloat16

    Returns an int: two tensors (n_kv_heads, length, head_dim) for each layer and row.
    """
    numbers = n_kv_heads * length * head_dim  # in the keys of one layer and one row
    return 2 * n_layers * batch_size * numbers * bytes_per_number  # 2: keys, and values


def write_in_place(buffer: Tensor, new: Tensor, length: int) -> Tensor:
    """Write new keys (or values) behind those that a buffer holds already.

    buffer: (B, H, capacity, D), its first `length` tokens filled    new: (B, H, T, D)

    Returns the filled part (B, H, length + T, D): a view of the buffer, not a copy. Raises
    OutOfRange where the new tokens do not fit. Reference: transformers' StaticLayer.update, which
    returns the whole buffer.
    """
    n_new, capacity = new.shape[2], buffer.shape[2]
    end = length + n_new
    if end > capacity:
        raise OutOfRange(
            f"The cache holds {length} tokens of a capacity of {capacity}: {n_new} more do not fit. "
            "Make it with a larger max_cache_len, or crop or reset it first."
        )
    buffer[:, :, length:end] = new
    return buffer[:, :, :end]  # (B, H, length + T, D)


def keep_window(past: Tensor | None, new: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Say which keys (or values) to attend to now, and which ones the next token may still need.

    past: (B, H, P, D), what was kept so far, or None    new: (B, H, T, D)
    window: how many keys a query sees, its own included

    Returns all of past and new, to attend to (B, H, P + T, D), and the last window - 1 of them,
    to keep. Reference: transformers' DynamicSlidingWindowLayer.update (which keeps everything
    where the window is 1).
    """
    to_attend = new if past is None else torch.cat([past, new], dim=2)  # (B, H, P + T, D)
    too_old = max(to_attend.shape[2] - (window - 1), 0)
    return to_attend, to_attend[:, :, too_old:]  # (B, H, window - 1 or fewer, D)


class CacheLayer:
    """What the caches of one attention layer have in common; the kinds below say how they store.

    keys, values: (B, H, held, D), what the layer holds; None before the first update
    """

    is_sliding = False

    def __init__(self) -> None:
        self._keys: Any = None  # a tensor, once begun
        self._values: Any = None
        self._seen = 0  # tokens, since the start
        self._form: Any = None  # of the tensors that this layer was begun with

    def __repr__(self) -> str:
        return f"{type(self).__name__}(seq_length={self.get_seq_length()})"

    @property
    def keys(self) -> Tensor | None:
        """The keys held, (B, H, held, D), or None."""
        return self._keys

    @property
    def values(self) -> Tensor | None:
        """The values held, (B, H, held, D), or None."""
        return self._values

    @property
    def nbytes(self) -> int:
        """The bytes of the memory that the layer holds, filled or not."""
        return sum(tensor.untyped_storage().nbytes() for tensor in self._memory())

    def update(self, key_states: Tensor, value_states: Tensor) -> tuple[Tensor, Tensor]:
        """Take in the keys and values of new tokens.

        key_states, value_states: (B, H, T, D); the two may differ in D

        Returns the keys and values to attend over, (B, H, S, D) each, the new tokens last. Raises
        InvalidInput where their form is not that of the earlier ones, OutOfRange where the layer
        is full. Reference: transformers' cache layer of the same name.
        """
        raise NotImplementedError

    def get_seq_length(self) -> int:
        """Return how many tokens the layer has seen, those it has since forgotten included."""
        return self._seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Say which keys the next update will give back.

        query_length: T, how many new tokens it will be given

        Returns their number S and the position of the first one.
        """
        return self._seen + query_length, 0

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens, as when a guess at them was refused.

        tokens_to_remove: how many, as a negative number (transformers' convention)

        Raises InvalidInput for a positive number, OutOfRange where fewer are held.
        """
        self._check_crop(tokens_to_remove)
        if tokens_to_remove and self._form is not None:
            self._drop_last(-tokens_to_remove)

    def reorder(self, beam_idx: Tensor) -> None:
        """Let row i continue what row beam_idx[i] held, for beam search.

        beam_idx: int (B,), rows of the batch

        Raises OutOfRange for a row that is not there.
        """
        beam_idx = torch.as_tensor(beam_idx)
        if beam_idx.ndim != 1 or beam_idx.dtype not in (torch.int64, torch.int32):
            raise InvalidInput(
                f"beam_idx is a {beam_idx.dtype} tensor of shape {tuple(beam_idx.shape)}; expected "
                "one row number for each row: an integer tensor of shape (B,)."
            )
        self._choose(lambda held: held.index_select(0, beam_idx.to(held.device)), beam_idx)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Do what `reorder` does, under transformers' name.

        beam_idx: int (B,), rows of the batch
        """
        self.reorder(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row, its copies side by side, as for several beams or answers per prompt.

        repeats: how often, at least 1
        """
        _check_at_least("repeats", repeats, 1)
        self._choose(lambda held: held.repeat_interleave(repeats, dim=0), repeats)  # (B·n, H, S, D)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows of the batch.

        indices: row numbers, or a bool tensor (B,) that is True for the rows to keep

        Raises OutOfRange for a row that is not there, InvalidInput for what is no list of rows.
        """

        def choose(held: Tensor) -> Tensor:
            rows = torch.arange(held.shape[0], device=held.device)[indices]  # (B',)
            if rows.ndim != 1:
                raise InvalidInput(
                    f"indices={indices!r} was given; expected row numbers, such as [0, 2], or a "
                    "bool tensor (B,)."
                )
            return held.index_select(0, rows)  # (B', H, S, D)

        self._choose(choose, indices)

    def reset(self) -> None:
        """Forget everything, so that the layer can serve another batch."""
        self._keys = self._values = self._form = None
        self._seen = 0

    def _memory(self) -> list[Tensor]:
        """The tensors whose memory this layer holds."""
        return [] if self._keys is None else [self._keys, self._values]

    def _begin(self, key_states: Tensor, value_states: Tensor) -> None:
        """Prepare for tensors of this form."""

    def _drop_last(self, n: int) -> None:
        """Forget the last n tokens."""
        raise NotImplementedError

    def _rows(self, choose: Callable[[Tensor], Tensor]) -> None:
        """Replace the rows held by those that `choose` makes of them; nothing changes if it fails."""
        raise NotImplementedError

    def _check_form(self, key_states: Tensor, value_states: Tensor) -> None:
        """See that new tokens belong here; on the way of every token, so one comparison does it."""
        form: tuple[Any, ...] = ()
        try:
            k, v = key_states.shape, value_states.shape
            # fmt: off
            form = (
                k[0], k[1], k[3], v[0], v[1], v[3], len(k), len(v), k[2] - v[2],
                key_states.dtype, value_states.dtype, key_states.device, value_states.device,
            )
            # fmt: on
        except (AttributeError, IndexError):
            pass  # no tensor, or not four dimensions: said below
        if form != self._form:  # the first tokens, or rows have been chosen, or they do not fit
            self._meet(form, key_states, value_states)

    def _meet(self, form: tuple[Any, ...], key_states: Tensor, value_states: Tensor) -> None:
        """Begin with tensors of a new form, or say why they do not fit."""
        for name, states in (("key_states", key_states), ("value_states", value_states)):
            if not isinstance(states, Tensor):
                raise WrongType(f"{name} is a {type(states).__name__}; expected a tensor.")
            if states.ndim != 4:
                raise InvalidInput(
                    f"{name} has shape {tuple(states.shape)}; expected (batch, heads, new tokens, "
                    "head size). Split the heads first."
                )
        keys, values = _described(key_states), _described(value_states)
        alike = ["batch", "number of heads", "number of new tokens", "device"]
        if not (torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")):
            alike.append("dtype")  # under autocast, keys that were turned are float32 again
        for name in alike:
            if keys[name] != values[name]:
                raise InvalidInput(
                    f"The keys' {name} is {keys[name]} and the values' {values[name]}; expected "
                    "the same: both come from the same tokens."
                )
        if not self._seen:
            self.reset()  # emptied by a crop, or never filled: any batch may come
        else:
            held = _described(self._memory()[0]), _described(self._memory()[1])
            for new, old, whose in ((keys, held[0], "keys"), (values, held[1], "values")):
                for name in ("batch", "number of heads", "head size", "dtype", "device"):
                    if new[name] != old[name]:
                        raise InvalidInput(
                            f"The new {whose}' {name} is {new[name]}; the cache was begun with "
                            f"{old[name]}. Use one cache for one batch, or reset it first."
                        )
        self._begin(key_states, value_states)
        self._form = form

    def _check_crop(self, tokens_to_remove: int) -> None:
        if isinstance(tokens_to_remove, bool) or not isinstance(tokens_to_remove, int):
            raise WrongType(
                f"crop was given {tokens_to_remove!r}; expected a whole number, 0 or negative."
            )
        if tokens_to_remove > 0:
            raise InvalidInput(
                f"crop was given {tokens_to_remove}; expected a negative number: "
                f"crop({-tokens_to_remove}) forgets the last {tokens_to_remove} tokens."
            )
        if self._form is not None and -tokens_to_remove > self._seen:
            raise OutOfRange(
                f"crop was asked to forget {-tokens_to_remove} tokens; the cache holds "
                f"{self._seen}. Ask for that many at most."
            )

    def _choose(self, choose: Callable[[Tensor], Tensor], asked: Any) -> None:
        if not self._seen:
            return
        batch = self._memory()[0].shape[0]
        try:
            self._rows(choose)
        except IndexError as error:
            rows = asked.tolist() if isinstance(asked, Tensor) else asked
            raise OutOfRange(
                f"The rows asked for are {rows}; the cache holds a batch of {batch}. "
                f"Expected row numbers from 0 to {batch - 1}."
            ) from error


def _described(states: Tensor) -> dict[str, Any]:
    return {
        "batch": states.shape[0],
        "number of heads": states.shape[1],
        "number of new tokens": states.shape[2],
        "head size": states.shape[3],
        "dtype": states.dtype,
        "device": states.device,
    }


def _empty(like: Tensor, capacity: int) -> Tensor:
    """Room for `capacity` tokens in the form of `like`: (B, H, capacity, D)."""
    # A tensor made in inference mode could not be written to outside of it.
    with torch.inference_mode(False):
        shape = (*like.shape[:2], capacity, like.shape[3])
        return torch.empty(shape, dtype=like.dtype, device=like.device)  # (B, H, capacity, D)


class DynamicLayer(CacheLayer):
    """A cache that grows with the text.

    While gradients are on it concatenates, so that they flow through it. Under `torch.no_grad()`
    it writes in place, with room for half as much again whenever it is full: to copy everything
    for every token, as transformers' DynamicLayer does, costs more than the attention itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self._key_room: Any = None  # (B, H, capacity, D), while there is room to grow
        self._value_room: Any = None

    def update(self, key_states: Tensor, value_states: Tensor) -> tuple[Tensor, Tensor]:
        """Append the keys and values of new tokens.

        key_states, value_states: (B, H, T, D)

        Returns all keys and values, (B, H, S, D) each.
        """
        self._check_form(key_states, value_states)
        held, length = self._seen, self._seen + key_states.shape[2]
        if torch.is_grad_enabled():
            self._key_room = self._value_room = None
            self._keys = _joined(self._keys, key_states)  # (B, H, S, D)
            self._values = _joined(self._values, value_states)  # (B, H, S, D)
        else:
            if self._key_room is None or self._key_room.shape[2] < length:
                self._make_room(key_states, value_states, length)
            self._keys = write_in_place(self._key_room, key_states, held)  # (B, H, S, D)
            self._values = write_in_place(self._value_room, value_states, held)  # (B, H, S, D)
        self._seen = length
        return self._keys, self._values

    def reset(self) -> None:
        """Forget everything, the memory included."""
        super().reset()
        self._key_room = self._value_room = None

    def _make_room(self, key_states: Tensor, value_states: Tensor, length: int) -> None:
        # The first time exactly what is asked for: a prompt may be all that ever comes.
        capacity = length if self._keys is None else length + length // 2
        key_room, value_room = _empty(key_states, capacity), _empty(value_states, capacity)
        if self._keys is not None:
            write_in_place(key_room, self._keys, 0)
            write_in_place(value_room, self._values, 0)
        self._key_room, self._value_room = key_room, value_room

    def _drop_last(self, n: int) -> None:
        self._seen -= n
        self._keys = self._keys[:, :, : self._seen]  # (B, H, S - n, D)
        self._values = self._values[:, :, : self._seen]  # (B, H, S - n, D)

    def _rows(self, choose: Callable[[Tensor], Tensor]) -> None:
        if self._key_room is None:
            self._keys, self._values = choose(self._keys), choose(self._values)
        else:  # the room comes along, or the next token would have to make it again
            with torch.inference_mode(False):  # as in `_empty`
                self._key_room, self._value_room = choose(self._key_room), choose(self._value_room)
            self._keys = self._key_room[:, :, : self._seen]  # (B, H, S, D)
            self._values = self._value_room[:, :, : self._seen]  # (B, H, S, D)


class DynamicSlidingWindowLayer(CacheLayer):
    """A cache that forgets what no later token can see.

    sliding_window: how many keys a query sees, its own included
    take_back: how many tokens `crop` must be able to take back; that many more are kept
    """

    is_sliding = True

    def __init__(self, sliding_window: int, take_back: int = 0) -> None:
        super().__init__()
        _check_at_least("sliding_window", sliding_window, 1)
        _check_at_least("take_back", take_back, 0)
        self.sliding_window = sliding_window
        self.take_back = take_back

    def update(self, key_states: Tensor, value_states: Tensor) -> tuple[Tensor, Tensor]:
        """Append the keys and values of new tokens, and forget those that have slid out of sight.

        key_states, value_states: (B, H, T, D)

        Returns keys and values, (B, H, S, D) each, where S = min(seen, sliding_window - 1) + T:
        the earliest of the new tokens sees all of them that are not after it.
        """
        self._check_form(key_states, value_states)
        window = self.sliding_window + self.take_back
        keys, kept_keys = keep_window(self._keys, key_states, window)  # (B, H, held + T, D)
        values, kept_values = keep_window(self._values, value_states, window)
        if self._keys is None or kept_keys.shape[2] + 1 < keys.shape[2]:
            # A view would keep a whole prompt alive, or be the caller's own memory.
            kept_keys, kept_values = kept_keys.clone(), kept_values.clone()
        in_sight = min(self._seen, self.sliding_window - 1) + key_states.shape[2]
        self._keys, self._values = kept_keys, kept_values
        self._seen += key_states.shape[2]
        if self.take_back:
            too_old = keys.shape[2] - in_sight
            keys, values = keys[:, :, too_old:], values[:, :, too_old:]  # (B, H, S, D)
        return keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Say which keys the next update will give back.

        query_length: T, how many new tokens it will be given

        Returns their number S and the position of the first one.
        """
        in_sight = min(self._seen, self.sliding_window - 1)
        return in_sight + query_length, self._seen - in_sight

    def _held(self) -> int:
        return 0 if self._keys is None else self._keys.shape[2]

    def _check_crop(self, tokens_to_remove: int) -> None:
        super()._check_crop(tokens_to_remove)
        held, n = self._held(), -tokens_to_remove
        if self._form is not None and held - n < min(self._seen - n, self.sliding_window - 1):
            possible = max(held - (self.sliding_window - 1), 0)
            raise OutOfRange(
                f"crop was asked to forget {n} tokens; of {self._seen} tokens seen this sliding "
                f"layer still holds {held}, and the window of {self.sliding_window} needs what "
                f"came before them: {possible} can be taken back now. Make the cache with a "
                f"take_back of at least {n}."
            )

    def _drop_last(self, n: int) -> None:
        self._seen -= n
        left = self._held() - n
        self._keys, self._values = self._keys[:, :, :left], self._values[:, :, :left]

    def _rows(self, choose: Callable[[Tensor], Tensor]) -> None:
        self._keys, self._values = choose(self._keys), choose(self._values)


class StaticLayer(CacheLayer):
    """A cache of fixed size, made once and written in place: no token costs more than the last.

    max_cache_len: how many tokens it has room for

    Unlike transformers' it gives back only the part that is filled, so that the new tokens are the
    last keys here as everywhere, and it refuses what does not fit.
    """

    def __init__(self, max_cache_len: int) -> None:
        super().__init__()
        _check_at_least("max_cache_len", max_cache_len, 1)
        self.max_cache_len = max_cache_len
        self._key_room: Any = None  # (B, H, max_cache_len, D), once begun
        self._value_room: Any = None

    def update(self, key_states: Tensor, value_states: Tensor) -> tuple[Tensor, Tensor]:
        """Write the keys and values of new tokens behind those that are there.

        key_states, value_states: (B, H, T, D)

        Returns all keys and values so far, (B, H, S, D) each, as views. Raises OutOfRange where
        the new tokens do not fit, InvalidInput where gradients would have to flow.
        """
        self._check_form(key_states, value_states)
        _check_no_gradients(key_states, value_states)
        length = self._seen
        self._keys = write_in_place(self._key_room, key_states, length)  # (B, H, S, D)
        self._values = write_in_place(self._value_room, value_states, length)  # (B, H, S, D)
        self._seen = length + key_states.shape[2]
        return self._keys, self._values

    def _memory(self) -> list[Tensor]:
        return [] if self._key_room is None else [self._key_room, self._value_room]

    def _begin(self, key_states: Tensor, value_states: Tensor) -> None:
        self._key_room = _room_like(self._key_room, key_states, self.max_cache_len)
        self._value_room = _room_like(self._value_room, value_states, self.max_cache_len)

    def _drop_last(self, n: int) -> None:
        self._seen -= n
        self._keys = self._keys[:, :, : self._seen]  # (B, H, S - n, D)
        self._values = self._values[:, :, : self._seen]  # (B, H, S - n, D)

    def _rows(self, choose: Callable[[Tensor], Tensor]) -> None:
        keys, values = choose(self._keys), choose(self._values)
        self._begin(keys, values)  # in the same memory where the batch is still as large
        self._keys = write_in_place(self._key_room, keys, 0)  # (B, H, S, D)
        self._values = write_in_place(self._value_room, values, 0)  # (B, H, S, D)


class StaticSlidingWindowLayer(DynamicSlidingWindowLayer):
    """A cache that forgets what no later token can see, in memory made once.

    sliding_window: how many keys a query sees, its own included
    take_back: how many tokens `crop` must be able to take back; that many more are kept
    max_cache_len: with a promise of no more tokens than this, no more room is made

    It writes in place in room for twice the window, and moves what it keeps back to the front when
    it comes to the end: about one copy for each token, and the keys stay in order.
    """

    def __init__(
        self, sliding_window: int, take_back: int = 0, max_cache_len: int | None = None
    ) -> None:
        super().__init__(sliding_window, take_back)
        self.capacity = 2 * (sliding_window + take_back)
        if max_cache_len is not None:
            _check_at_least("max_cache_len", max_cache_len, 1)
            self.capacity = min(self.capacity, max_cache_len)
        self._key_room: Any = None  # (B, H, capacity, D), once begun
        self._value_room: Any = None
        self._end = 0  # of the tokens in there; those held are the last ones before it
        self._n_held = 0

    @property
    def keys(self) -> Tensor | None:
        """The keys held, (B, H, held, D), or None."""
        return None if self._form is None else self._held_in(self._key_room)

    @property
    def values(self) -> Tensor | None:
        """The values held, (B, H, held, D), or None."""
        return None if self._form is None else self._held_in(self._value_room)

    def update(self, key_states: Tensor, value_states: Tensor) -> tuple[Tensor, Tensor]:
        """Write the keys and values of new tokens behind those that are there.

        key_states, value_states: (B, H, T, D)

        Returns keys and values, (B, H, S, D) each, where S = min(seen, sliding_window - 1) + T.
        """
        self._check_form(key_states, value_states)
        _check_no_gradients(key_states, value_states)
        n_new, keep = key_states.shape[2], self.sliding_window - 1 + self.take_back
        in_sight = min(self._n_held, self.sliding_window - 1)
        n_held = min(self._n_held + n_new, keep)
        if self._end + n_new > self.capacity >= keep:  # back to the front, with what must stay
            past_keys, past_values = (self.keys, self.values) if self._n_held else (None, None)
            keys, kept_keys = keep_window(past_keys, key_states, keep + 1)  # (B, H, held + T, D)
            values, kept_values = keep_window(past_values, value_states, keep + 1)
            write_in_place(self._key_room, kept_keys, 0)
            write_in_place(self._value_room, kept_values, 0)
            self._end = n_held
        else:
            keys = write_in_place(self._key_room, key_states, self._end)  # (B, H, end + T, D)
            values = write_in_place(self._value_room, value_states, self._end)
            self._end += n_new
        self._n_held = n_held
        self._seen += n_new
        too_old = keys.shape[2] - in_sight - n_new
        return keys[:, :, too_old:], values[:, :, too_old:]  # (B, H, S, D)

    def reset(self) -> None:
        """Forget everything, so that the layer can serve another batch."""
        super().reset()
        self._end = self._n_held = 0

    def _held_in(self, room: Tensor) -> Tensor:
        return room[:, :, self._end - self._n_held : self._end]  # (B, H, held, D)

    def _held(self) -> int:
        return self._n_held

    def _memory(self) -> list[Tensor]:
        return [] if self._key_room is None else [self._key_room, self._value_room]

    def _begin(self, key_states: Tensor, value_states: Tensor) -> None:
        self._key_room = _room_like(self._key_room, key_states, self.capacity)
        self._value_room = _room_like(self._value_room, value_states, self.capacity)

    def _drop_last(self, n: int) -> None:
        self._seen -= n
        self._n_held -= n
        self._end -= n

    def _rows(self, choose: Callable[[Tensor], Tensor]) -> None:
        keys, values = choose(self.keys), choose(self.values)
        self._begin(keys, values)
        write_in_place(self._key_room, keys, 0)
        write_in_place(self._value_room, values, 0)
        self._end = self._n_held


def _joined(past: Tensor | None, new: Tensor) -> Tensor:
    """Past and new in memory of their own: (B, H, P + T, D)."""
    return torch.cat([new] if past is None else [past, new], dim=2)  # (B, H, P + T, D)


def _room_like(room: Tensor | None, states: Tensor, capacity: int) -> Tensor:
    """The room there is, where it has the form of these states, or a new one."""
    wanted = (*states.shape[:2], capacity, states.shape[3], states.dtype, states.device)
    if room is None or (*room.shape, room.dtype, room.device) != wanted:
        return _empty(states, capacity)  # (B, H, capacity, D)
    return room


def _check_no_gradients(key_states: Tensor, value_states: Tensor) -> None:
    if torch.is_grad_enabled() and (key_states.requires_grad or value_states.requires_grad):
        raise InvalidInput(
            "The keys or values require gradients, and a cache that is written in place cannot "
            "carry them. Generate under torch.no_grad(), or use a DynamicCache."
        )


def _check_at_least(name: str, number: int, least: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int):
        raise WrongType(f"{name} is {number!r}; expected a whole number.")
    if number < least:
        raise InvalidInput(f"{name} is {number}; expected {least} or more.")


class Cache:
    """The caches of all layers of a model.

    layers: one for each layer of the model, in order
    """

    def __init__(self, layers: Sequence[CacheLayer]) -> None:
        self.layers = list(layers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(layers={self.layers})"

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def nbytes(self) -> int:
        """The bytes of the memory that all layers hold, filled or not."""
        return sum(layer.nbytes for layer in self.layers)

    @property
    def is_sliding(self) -> list[bool]:
        """For each layer, whether it forgets what has slid out of a window."""
        return [layer.is_sliding for layer in self.layers]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Take in the keys and values of new tokens for one layer.

        key_states, value_states: (B, H, T, D)    layer_idx: which layer, from 0

        Returns the keys and values to attend over, (B, H, S, D) each, the new tokens last. Raises
        OutOfRange for a layer that the cache does not have, or one that is full.
        """
        return self.layer(layer_idx).update(key_states, value_states)

    def layer(self, layer_idx: int) -> CacheLayer:
        """Return the cache of one layer, made now where it is the next to come.

        layer_idx: which layer, from 0

        Raises OutOfRange for a layer that the cache does not have.
        """
        if not 0 <= layer_idx < len(self.layers):
            self._add_layer(layer_idx)
        return self.layers[layer_idx]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many tokens a layer has seen: the position of the next one.

        layer_idx: which layer; 0 for one that is not there yet
        """
        return self.layers[layer_idx].get_seq_length() if layer_idx < len(self.layers) else 0

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        """Say which keys the next update of a layer will give back.

        query_length: T, how many new tokens it will be given    layer_idx: which layer

        Returns their number S and the position of the first one.
        """
        if layer_idx < len(self.layers):
            return self.layers[layer_idx].get_mask_sizes(query_length)
        return query_length, 0

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens in every layer, or, where one cannot, in none.

        tokens_to_remove: how many, as a negative number (transformers' convention)

        Raises InvalidInput for a positive number, OutOfRange where a layer holds fewer or, sliding,
        no longer has what came before.
        """
        for layer in self.layers:
            layer._check_crop(tokens_to_remove)
        for layer in self.layers:
            layer.crop(tokens_to_remove)

    def reorder(self, beam_idx: Tensor) -> None:
        """Let row i continue what row beam_idx[i] held, for beam search.

        beam_idx: int (B,), rows of the batch

        Raises OutOfRange for a row that is not there.
        """
        for layer in self.layers:
            layer.reorder(beam_idx)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Do what `reorder` does, under transformers' name.

        beam_idx: int (B,), rows of the batch
        """
        self.reorder(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row, its copies side by side, as for several beams or answers per prompt.

        repeats: how often, at least 1
        """
        for layer in self.layers:
            layer.batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows of the batch.

        indices: row numbers, or a bool tensor (B,) that is True for the rows to keep

        Raises OutOfRange for a row that is not there.
        """
        for layer in self.layers:
            layer.batch_select_indices(indices)

    def reset(self) -> None:
        """Forget everything, so that the cache can serve another batch."""
        for layer in self.layers:
            layer.reset()

    def _new_layer(self) -> CacheLayer | None:
        """A layer for a model that turns out to have one more; None where all are there."""
        return None

    def _add_layer(self, layer_idx: int) -> None:
        layer = self._new_layer() if layer_idx == len(self.layers) else None
        if layer is None:
            raise OutOfRange(
                f"layer_idx is {layer_idx}; the cache has this many layers: {len(self.layers)}. "
                "Layers are counted from 0 and filled in order."
            )
        self.layers.append(layer)


Windows = int | Sequence[int | None] | None


class DynamicCache(Cache):
    """A cache that grows with the text, layer by layer as they come.

    sliding_window: None where every token sees all before it; a number of keys where all layers
        have that window; a list of either, one for each layer
    take_back: how many tokens `crop` must be able to take back from a window
    """

    def __init__(self, sliding_window: Windows = None, take_back: int = 0) -> None:
        _check_at_least("take_back", take_back, 0)
        self._window = sliding_window
        self._take_back = take_back
        super().__init__(_layers_of(self._layer, sliding_window))

    def _layer(self, window: int | None) -> CacheLayer:
        if window is None:
            return DynamicLayer()
        return DynamicSlidingWindowLayer(window, self._take_back)

    def _new_layer(self) -> CacheLayer | None:
        window = self._window
        return self._layer(window) if window is None or isinstance(window, int) else None


class StaticCache(Cache):
    """A cache of fixed size, made when the first tokens come and written in place.

    max_cache_len: how many tokens it has room for: the prompt's and the new ones
    sliding_window, take_back: as for `DynamicCache`; layers with a window take only twice as much
    """

    def __init__(
        self, max_cache_len: int, sliding_window: Windows = None, take_back: int = 0
    ) -> None:
        _check_at_least("max_cache_len", max_cache_len, 1)
        _check_at_least("take_back", take_back, 0)
        self.max_cache_len = max_cache_len
        self._window = sliding_window
        self._take_back = take_back
        super().__init__(_layers_of(self._layer, sliding_window))

    def _layer(self, window: int | None) -> CacheLayer:
        if window is None:
            return StaticLayer(self.max_cache_len)
        return StaticSlidingWindowLayer(window, self._take_back, self.max_cache_len)

    def _new_layer(self) -> CacheLayer | None:
        window = self._window
        return self._layer(window) if window is None or isinstance(window, int) else None


def _layers_of(layer: Callable[[int | None], CacheLayer], windows: Windows) -> list[CacheLayer]:
    """The layers that can be made now; making one also shows whether its numbers are sound."""
    if windows is None or not isinstance(windows, Sequence):
        layer(windows)
        return []
    return [layer(window) for window in windows]


class EncoderDecoderCache(Cache):
    """The caches of a decoder that also attends to an encoder.

    self_attention_cache: of the decoder's own tokens, growing
    cross_attention_cache: of the encoder's, whose keys and values are computed once and stay
    """

    def __init__(self, self_attention_cache: Cache, cross_attention_cache: Cache) -> None:
        for name, cache in (
            ("self_attention_cache", self_attention_cache),
            ("cross_attention_cache", cross_attention_cache),
        ):
            if not isinstance(cache, Cache):
                raise WrongType(
                    f"{name} is a {type(cache).__name__}; expected a Cache, such as DynamicCache()."
                )
        self.self_attention_cache = self_attention_cache
        self.cross_attention_cache = cross_attention_cache
        self.layers = self_attention_cache.layers

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(self_attention_cache={self.self_attention_cache}, "
            f"cross_attention_cache={self.cross_attention_cache})"
        )

    @property
    def nbytes(self) -> int:
        """The bytes of the memory that both caches hold, filled or not."""
        return self.self_attention_cache.nbytes + self.cross_attention_cache.nbytes

    @property
    def is_updated(self) -> dict[int, bool]:
        """For each layer, whether it has the encoder's keys and need not compute them."""
        layers = self.cross_attention_cache.layers
        return {i: layer.get_seq_length() > 0 for i, layer in enumerate(layers)}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Take in the keys and values of the decoder's new tokens for one layer.

        key_states, value_states: (B, H, T, D)    layer_idx: which layer, from 0

        Returns the keys and values to attend over, (B, H, S, D) each. The encoder's go into
        `cross_attention_cache`.
        """
        return self.self_attention_cache.update(key_states, value_states, layer_idx)

    def layer(self, layer_idx: int) -> CacheLayer:
        """Return the cache of the decoder's own tokens in one layer.

        layer_idx: which layer, from 0
        """
        return self.self_attention_cache.layer(layer_idx)

    def reorder(self, beam_idx: Tensor) -> None:
        """Let row i continue what row beam_idx[i] held, in both caches.

        beam_idx: int (B,), rows of the batch
        """
        self.self_attention_cache.reorder(beam_idx)
        self.cross_attention_cache.reorder(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row, its copies side by side, in both caches.

        repeats: how often, at least 1
        """
        self.self_attention_cache.batch_repeat_interleave(repeats)
        self.cross_attention_cache.batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows of the batch in both caches.

        indices: row numbers, or a bool tensor (B,) that is True for the rows to keep
        """
        self.self_attention_cache.batch_select_indices(indices)
        self.cross_attention_cache.batch_select_indices(indices)

    def reset(self) -> None:
        """Forget everything, the encoder's keys and values included."""
        self.self_attention_cache.reset()
        self.cross_attention_cache.reset()
