"""The short way to the next token: a model's layers in as few calls as can be.

Whatever is not as minilm itself has it (a reader's function, a hook, an adapter, training) goes the
plain way, which gives the same numbers.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from minilm.generation import fast_layers
from minilm.generation.desk import Desk
from minilm.generation.forward import Forward
from minilm.generation.shared_cache import SharedCache
from minilm.outputs import CausalLMOutputWithPast

# Up to how many tokens at once are taken the short way, as when guesses are looked at.
MOST_AT_ONCE = 64


class FastForward(Forward):
    """Call a model as `Forward` does, and take the short way for single tokens where there is one.

    Several tokens of one text take it too, as long as they are few.

    copies: how often each prompt is there, side by side; the model sees it once
    The rest: as in `Forward`.
    """

    def __init__(self, *how: Any, copies: int = 1, **options: Any) -> None:
        super().__init__(*how, **options)
        self._copies = copies
        self._short: fast_layers.ShortModel | None = None
        self._desks: dict[tuple[int, int], Desk] = {}
        self._is_fast = not any(self._wanted.values()) and self._token_type_ids is None
        self._is_padded = self.attention_mask is not None and not bool(self.attention_mask.all())

    def __call__(self, input_ids: Tensor, logits_to_keep: int = 1) -> Any:
        """Show the model what it has not seen yet of a text.

        input_ids: int (B, L), the whole text so far
        logits_to_keep: of how many of its last places to compute the logits

        Returns the model's output.
        """
        total = input_ids.shape[1] + self.not_in_ids
        if self._copies > 1 and not self.steps and self._may_see_once():
            return self._see_once(input_ids, logits_to_keep)
        if not (self._is_fast and self.steps and self.use_cache and self._is_few(total, input_ids)):
            return super().__call__(input_ids, logits_to_keep)
        if self._short is None:
            self._short = fast_layers.short_form(self.model, self.cache, self._to_come(input_ids))
            if self._short is None:
                self._is_fast = False
                return super().__call__(input_ids, logits_to_keep)
        logits = self._next(self._short, input_ids, total, logits_to_keep)  # (B, K, V)
        self.output = CausalLMOutputWithPast(None, logits, self.cache)
        self.seen = total
        self.steps += 1
        return self.output

    def _may_see_once(self) -> bool:
        """Whether the prompts may be run without their copies, which are made in the cache."""
        if not (self._is_fast and self.use_cache) or self.model.training:
            return False  # while training, dropout makes copies differ
        return isinstance(self.cache, SharedCache) and not self.seen and self._inputs_embeds is None

    def _see_once(self, input_ids: Tensor, logits_to_keep: int) -> Any:
        """Show the model each prompt once, and go on as if it had seen all copies."""
        copies, whole = self._copies, (self.attention_mask, self._position_ids)
        self.attention_mask, self._position_ids = (
            each if each is None or len(each) == 1 else each[::copies] for each in whole
        )
        output = super().__call__(input_ids[::copies], logits_to_keep)
        self.attention_mask, self._position_ids = whole
        output.logits = output.logits.repeat_interleave(copies, dim=0)  # (B, K, V)
        if self.cache is not None:
            self.cache.batch_repeat_interleave(copies)
        return output

    def _to_come(self, input_ids: Tensor) -> int:
        """How many tokens of one text may be to come; 0 for several."""
        most = getattr(self.cache, "max_length", None) or 0
        return most - self.seen if len(input_ids) == 1 else 0

    def _is_few(self, total: int, input_ids: Tensor) -> bool:
        """Whether so few tokens are new that they may take the short way."""
        n_new = total - self.seen
        if n_new == 1:
            return True
        is_one = len(input_ids) == 1 and not self._is_padded and self._position_ids is None
        return is_one and 1 < n_new <= MOST_AT_ONCE and isinstance(self.cache, SharedCache)

    def _next(
        self, short: fast_layers.ShortModel, input_ids: Tensor, total: int, n_kept: int
    ) -> Tensor:
        """Show the model the last tokens, and return the logits behind the last n, (B, n, V)."""
        cache, seen, length = self.cache, self.seen, total - self.seen
        assert cache is not None
        positions, masks = None, [None] * len(short.steps)
        if self._is_padded or self._position_ids is not None:
            inputs = self._inputs(input_ids, seen, total)
            positions = inputs["position_ids"]  # (B, 1)
            if self._is_padded:
                masks = self._masks(inputs["attention_mask"])
        elif length > 1:
            masks = [_causal(seen, length, self.model.dtype)] * len(short.steps)
        desk = self._desk(short, len(input_ids), length)
        desk.begin(cache, seen, masks)
        x = short.begin(input_ids[:, -length:], positions, seen, desk)  # (B·T, C)
        # Inference mode takes less time for every call; what it makes must not get out of here.
        with torch.inference_mode() if desk.is_shared else nullcontext():
            for step in short.steps:
                x = step(x, desk)
            if length > n_kept:
                x = x[length - n_kept :]  # several tokens are of one text
            logits = short.score(x)  # (B·K, V)
        desk.end(total)
        logits = logits.clone() if logits.is_inference() else logits
        return logits.view(len(input_ids), -1, short.n_tokens)  # (B, K, V)

    def _desk(self, short: fast_layers.ShortModel, batch: int, length: int) -> Desk:
        desk = self._desks.get((batch, length))
        if desk is None:
            like = self.model.get_input_embeddings().weight
            desk = self._desks[batch, length] = Desk(short.heads, batch, length, like)
        return desk

    def _masks(self, mask: Tensor) -> list[Tensor | None]:
        """What the scores of each layer's keys in sight get: 0, or −inf where they are padding."""
        is_padding = (mask == 0)[:, None, None]  # (B, 1, 1, S)
        scores = torch.zeros_like(is_padding, dtype=self.model.dtype)
        scores.masked_fill_(is_padding, -torch.inf)
        cache = self.cache
        assert cache is not None
        windows = self.model.base_model.windows
        if not any(windows):
            return [scores] * len(windows)
        return [scores[..., -cache.get_mask_sizes(1, i)[0] :] for i in range(len(windows))]


def _causal(seen: int, length: int, dtype: torch.dtype) -> Tensor:
    """What the scores get where new tokens see each other, (1, 1, T, S): −inf for later ones."""
    later = torch.full((length, length), -torch.inf, dtype=dtype).triu(1)  # (T, T)
    earlier = torch.zeros(length, seen, dtype=dtype)
    return torch.cat([earlier, later], dim=1)[None, None]  # (1, 1, T, S)
