"""Texts with padding on every side, and transformers' masks to compare with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor


class TheirMasks:
    """transformers' mask functions, asked without their skips, so that there is always a mask."""

    def __init__(self) -> None:
        from transformers import MistralConfig

        self.config_class = MistralConfig

    def config(self, attention: str = "sdpa", window: int | None = None) -> Any:
        config = self.config_class(
            hidden_size=8, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=1
        )
        config.sliding_window = window
        config._attn_implementation = attention
        return config

    def cache(self, kind: str, batch: int, held: int, window: int | None, room: int = 0) -> Any:
        """A cache that has seen `held` tokens: "growing", "preallocated", each "sliding" or not."""
        from transformers import DynamicCache, StaticCache

        if "none" in kind:
            return None
        config = self.config(window=window if "sliding" in kind else None)
        if "growing" in kind:
            cache = DynamicCache(config=config)
        else:
            cache = StaticCache(config=config, max_cache_len=room)
        if held:
            cache.update(torch.zeros(batch, 1, held, 4), torch.zeros(batch, 1, held, 4), 0)
        return cache

    def causal(
        self,
        batch: int,
        query_length: int,
        attention_mask: Tensor | None = None,
        cache: Any = None,
        *,
        window: int | None = None,
        prefix_length: int | Tensor | None = None,
        attention: str = "sdpa",
        dtype: torch.dtype = torch.float32,
        **options: Any,
    ) -> Tensor:
        """Give (B, 1, T, S): booleans for sdpa, floats for eager."""
        from transformers import masking_utils

        if prefix_length is not None:
            lengths = torch.as_tensor(prefix_length).expand(batch)
            options["or_mask_function"] = lambda b, h, q, k: k < lengths[b]
        name = "create_causal_mask" if window is None else "create_sliding_window_causal_mask"
        return getattr(masking_utils, name)(
            self.config(attention, window),
            torch.zeros(batch, query_length, 8, dtype=dtype),
            attention_mask,
            cache,
            allow_is_causal_skip=False,
            **options,
        )

    def bidirectional(
        self,
        query_length: int,
        attention_mask: Tensor,
        attention: str = "sdpa",
        looked_at: Tensor | None = None,
    ) -> Tensor:
        from transformers.masking_utils import create_bidirectional_mask

        return create_bidirectional_mask(
            self.config(attention),
            torch.zeros(attention_mask.shape[0], query_length, 8),
            attention_mask,
            encoder_hidden_states=looked_at,
            allow_is_bidirectional_skip=False,
        )


@pytest.fixture(scope="session")
def theirs() -> TheirMasks:
    pytest.importorskip("transformers")
    return TheirMasks()


@pytest.fixture(scope="session")
def padded() -> Callable[[int, int], dict[str, Tensor | None]]:
    """For B rows of S tokens: attention masks, (B, S), by the name of what is padded."""

    def make(batch: int, length: int) -> dict[str, Tensor | None]:
        place = torch.arange(length)
        some = torch.arange(batch)[:, None] % (length + 1)  # 0, 1, 2 … padding tokens per row
        left = (place >= some).long()
        right = left.flip(-1)
        nothing_real = torch.ones(batch, length, dtype=torch.long)
        nothing_real[batch // 2] = 0
        return {
            "not given": None,
            "no padding": torch.ones(batch, length, dtype=torch.long),
            "left": left,
            "right": right,
            "both": left * right,
            "in between": (torch.arange(batch * length).view(batch, length) % 3 != 1).long(),
            "a row of padding": nothing_real,
        }

    return make


@pytest.fixture(scope="session")
def whole() -> Callable[..., Tensor]:
    """Write out what a mask of minilm says, (B, 1, T, S): None is plain causal order."""

    def write_out(mask: Tensor | None, batch: int, query_length: int, key_length: int) -> Tensor:
        if mask is None:
            mask = torch.ones(query_length, key_length, dtype=torch.bool)
            mask = mask.tril(key_length - query_length)
        assert mask.dtype == torch.bool
        return mask.expand(batch, 1, query_length, key_length)

    return write_out
