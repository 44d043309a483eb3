"""T5's relative positions: a learned number for each head and each bucket of distances."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from minilm.errors import InvalidInput


def relative_position_bucket(
    relative_position: torch.Tensor,
    bidirectional: bool = True,
    num_buckets: int = 32,
    max_distance: int = 128,
) -> torch.Tensor:
    """Sort distances into buckets, exact when near and ever coarser when far (Raffel et al. 2020).

    relative_position: integers, the key's position minus the query's
    bidirectional: half of the buckets for keys after the query; else these count as distance 0
    num_buckets: in all    max_distance: from here on everything shares the last bucket

    Returns int64 of the same shape. Equals `_relative_position_bucket` of transformers' T5.
    """
    side = (relative_position > 0).long() * (num_buckets // 2) if bidirectional else 0
    num_buckets = num_buckets // 2 if bidirectional else num_buckets
    back = -relative_position.long()
    distance = back.abs() if bidirectional else back.clamp(min=0)
    n_exact = num_buckets // 2  # the nearest distances have a bucket each
    # The others share the rest in equal steps of the logarithm. Near ones wait at its start.
    steps = (distance.clamp(min=n_exact).float() / n_exact).log() / math.log(max_distance / n_exact)
    far = n_exact + (steps * (num_buckets - n_exact)).long()
    far = far.clamp(max=num_buckets - 1)
    return side + torch.where(distance < n_exact, distance, far)


class RelativePositionBias(nn.Embedding):
    """Learn what is added to the scores of each head, by the distance of key and query (T5).

    n_heads: H    num_buckets, max_distance, bidirectional: as for `relative_position_bucket`;
        T5's encoder looks both ways, its decoder back alone

    The weight is (num_buckets, H): `relative_attention_bias` in T5's checkpoints.
    Raises InvalidInput for no heads, or buckets that cannot be divided into near and far.
    Equals `compute_bias` of transformers' `T5Attention`.
    """

    def __init__(
        self,
        n_heads: int,
        num_buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = True,
    ) -> None:
        n_exact = num_buckets // (4 if bidirectional else 2)
        if n_heads < 1 or n_exact < 1 or max_distance <= n_exact:
            raise InvalidInput(
                f"n_heads={n_heads}, num_buckets={num_buckets}, max_distance={max_distance}, "
                f"bidirectional={bidirectional} were given. At least 1 head, 2 buckets (4 if "
                "bidirectional), and a max_distance beyond the buckets that are exact."
            )
        super().__init__(num_buckets, n_heads)
        self.max_distance = max_distance
        self.bidirectional = bidirectional

    def forward(self, query_length: int, key_length: int) -> torch.Tensor:
        """Make the biases for a block of scores.

        query_length: T, the last of the key_length: S tokens

        Returns (1, H, T, S), to be added to the scores.
        Raises InvalidInput unless 1 <= T <= S.
        """
        if not 1 <= query_length <= key_length:
            raise InvalidInput(
                f"query_length={query_length} and key_length={key_length} were given; the queries "
                "are the last of the keys, so there are 1 to key_length of them."
            )
        # Every distance once, from the last query's first key to the first query's last key.
        distances = torch.arange(1 - key_length, query_length, device=self.weight.device)
        buckets = relative_position_bucket(
            distances, self.bidirectional, self.num_embeddings, self.max_distance
        )
        by_distance = functional.embedding(buckets, self.weight).T  # (H, S + T - 1)
        # The last query reads it from its start, each query before that one step further on.
        windows = by_distance.unfold(-1, key_length, 1)  # (H, T, S)
        return windows.flip(-2)[None]  # (1, H, T, S)

    def extra_repr(self) -> str:
        """Say what it was made of, where a model is printed."""
        return (
            f"{self.embedding_dim}, num_buckets={self.num_embeddings}, "
            f"max_distance={self.max_distance}, bidirectional={self.bidirectional}"
        )
