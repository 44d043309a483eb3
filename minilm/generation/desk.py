"""Where the heads of one layer lie while a few tokens go through it, and what they attend to.

All tensors and views that are the same for every layer and every token are made once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minilm.cache import Cache
from minilm.generation.shared_cache import SharedCache


@dataclass(frozen=True)
class Heads:
    """How queries, keys and values lie in a row, as one projection gives them, (A,).

    n_heads, n_kv_heads, head_dim: H, H_kv, D    n_turned: R, dimensions that are turned; 0 = none
    by_head: query, key, value of one head after the other, as in GPT-NeoX; not all queries first
    """

    n_heads: int
    n_kv_heads: int
    head_dim: int
    n_turned: int = 0
    by_head: bool = False

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Columns of all queries, keys and values, where they lie in this order."""
        n_kv = self.n_kv_heads * self.head_dim
        return self.n_heads * self.head_dim, n_kv, n_kv

    def queries(self, rows: Tensor) -> Tensor:
        """See the queries, (B, T, A) → (B, T, H_kv, n_rep, D): those that share a key together."""
        if self.by_head:
            return rows.unflatten(-1, (self.n_heads, 3, 1, -1))[:, :, :, 0]
        queries = rows[..., : self.sizes[0]]
        return queries.unflatten(-1, (self.n_kv_heads, -1, self.head_dim))

    def keys_values(self, rows: Tensor) -> Tensor:
        """See keys and values as a cache keeps them, (B, T, A) → (2, B, H_kv, T, D)."""
        if self.by_head:
            both = rows.unflatten(-1, (self.n_heads, 3, -1))[..., 1:, :]  # (B, T, H, 2, D)
            return both.permute(3, 0, 2, 1, 4)
        both = rows[..., self.sizes[0] :].unflatten(-1, (2, self.n_kv_heads, -1))
        return both.permute(2, 0, 3, 1, 4)

    def turning(self, rows: Tensor) -> Tensor:
        """See what is turned by its position, (B, T, A) → (B, T, …, R)."""
        if self.by_head:
            heads = rows.unflatten(-1, (self.n_heads, 3, -1))  # (B, T, H, 3, D)
            return heads[..., :2, : self.n_turned]  # (B, T, H, 2, R)
        heads = rows[..., : sum(self.sizes[:2])].unflatten(-1, (-1, self.head_dim))
        return heads[..., : self.n_turned]


class Desk:
    """Hold the heads of one layer, for T tokens of B texts, and let them attend.

    heads: how they lie    batch: B    length: T, which is 1 where B is not
    like: a tensor of the model's dtype

    rows: (B·T, A), where a layer's projection writes to
    is_shared: whether what is kept goes into the room of a `SharedCache`
    """

    def __init__(self, heads: Heads, batch: int, length: int, like: Tensor) -> None:
        self.heads, self.batch, self.length = heads, batch, length
        self.rows = like.new_empty(batch * length, sum(heads.sizes))
        self.parts = self.rows.split(heads.sizes, dim=-1)  # (B·T, columns) each
        raw = self.rows.view(batch, length, -1)  # (B, T, A)
        ready = self._with_angles(raw) if heads.n_turned else raw
        queries = heads.queries(ready)  # (B, T, H_kv, n_rep, D)
        # One token: (B, H_kv, n_rep, D). One text: (H_kv, n_rep, T, D).
        self._query = queries[:, 0] if length == 1 else queries[0].permute(1, 2, 0, 3)
        self._keys_values = heads.keys_values(ready)  # (2, B, H_kv, T, D)
        self._key, self._value = self._keys_values.unbind(0)
        self.query_heads = raw[..., : heads.sizes[0]].unflatten(-1, (heads.n_heads, -1))
        self.key_heads = self.parts[1].view(batch, length, heads.n_kv_heads, -1)
        self._cache: Any = None
        self.is_shared = False

    def _with_angles(self, raw: Tensor) -> Tensor:
        """Make room for cosines, sines and what they make of the heads, which is returned."""
        half = self.heads.n_turned // 2
        self._turned = torch.empty_like(self.rows)
        self._cos = torch.ones_like(self.rows)  # values are not turned: for them it stays 1
        ready = self._turned.view_as(raw)
        self._raw_halves = self.heads.turning(raw).split(half, dim=-1)
        self._turned_halves = self.heads.turning(ready).split(half, dim=-1)
        self._cos_there = self.heads.turning(self._cos.view_as(raw))
        return ready

    def place(self, cos_sin: tuple[Tensor, Tensor]) -> None:
        """Take the angles of the tokens' positions.

        cos_sin: (B or 1, T, R) each
        """
        cos, sin = cos_sin
        if self.heads.by_head:
            cos, sin = cos[:, :, None, None], sin[:, :, None, None]  # (B or 1, T, 1, 1, R)
        else:
            cos, sin = cos[:, :, None], sin[:, :, None]  # (B or 1, T, 1, R)
        self._cos_there.copy_(cos)
        self._sin = sin.chunk(2, dim=-1)  # of both halves

    def turn(self) -> None:
        """Turn the queries and keys in `rows` as their positions say."""
        first, second = self._raw_halves
        turned_first, turned_second = self._turned_halves
        torch.mul(self.rows, self._cos, out=self._turned)
        turned_first.addcmul_(second, self._sin[0], value=-1)
        turned_second.addcmul_(first, self._sin[1])

    def begin(self, cache: Cache, seen: int, masks: list[Tensor | None]) -> None:
        """Prepare for the next tokens.

        cache: of all layers    seen: how many tokens are in it
        masks: for each layer, bool, broadcastable to (B, 1, 1, S), which keys may be seen; None =
            all that are not after the token
        """
        self._cache, self._masks = cache, masks
        self.is_shared = isinstance(cache, SharedCache) and cache.is_shared()
        if not self.is_shared:
            return
        end = seen + self.length
        room = self._cache.reserve(end)  # (L, 2, B, H_kv, capacity, D)
        self._places = room.narrow(4, seen, self.length).unbind(0)  # (2, B, H_kv, T, D) each
        keys, values = room.narrow(4, 0, end).unbind(1)  # (L, B, H_kv, S, D)
        if self.length > 1:
            keys, values = self._for_each_query(keys), self._for_each_query(values)
        self._keys, self._values = keys.unbind(0), values.unbind(0)

    def _for_each_query(self, keys: Tensor) -> Tensor:
        """Show keys to all queries that share them, (…, 1, H_kv, S, D) → (…, H_kv, n_rep, S, D)."""
        n_rep = self._query.shape[1]
        return keys.movedim(-4, -3).expand(*keys.shape[:-4], -1, n_rep, -1, -1)

    def attend(self, i: int, scale: float | None = None) -> Tensor:
        """Let the heads that lie here attend in layer i, and keep their keys and values.

        scale: of the scores; None = 1 / √D    Returns (B·T, H·D).
        """
        if self.is_shared:
            self._places[i].copy_(self._keys_values)
            keys, values = self._keys[i], self._values[i]
        else:
            keys, values = self._cache.layer(i).update(self._key, self._value)
            if self.length > 1:
                keys, values = self._for_each_query(keys), self._for_each_query(values)
        mask = self._masks[i]
        mixed = F.scaled_dot_product_attention(self._query, keys, values, mask, scale=scale)
        if self.length > 1:
            mixed = mixed.permute(2, 0, 1, 3)  # (T, H_kv, n_rep, D)
        return mixed.reshape(len(self.rows), -1)  # (B·T, H·D)

    def end(self, total: int) -> None:
        """Say that all layers are done.

        total: how many tokens the cache holds now
        """
        if self.is_shared:
            self._cache.wrote(total)
