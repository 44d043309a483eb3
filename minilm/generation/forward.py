"""Calling a model token after token: what it has seen is in its cache, and the rest follows.

Every way to generate calls its model through a `Forward`, which alone knows of caches, masks and
positions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from minilm.cache import Cache, DynamicCache, StaticCache
from minilm.errors import NotFinite
from minilm.generation.shared_cache import SharedCache
from minilm.positions import counting, learned


class Forward:
    """Hold the state of a model that a text is written with.

    model: a causal one
    input_ids: int (B, L), the prompts
    attention_mask: (B, S), 1 = real, of the prompts and of what the cache holds; None = all real
    position_ids: int (B, S or L), of the prompts, counted on from there; None = of real tokens
    past_key_values: a cache to go on from, or an empty one to fill
    inputs_embeds: (B, E, C), what the model sees in place of the prompts; kept in the cache alone
    use_cache: False = the model sees the whole text anew for every token
    output_attentions, output_hidden_states: whether the model is to return those
    allow_nan: False = scores that are not numbers are an error

    output: of the last call    steps: how many there were
    cache: of all that the model has seen    seen: how many tokens that is
    """

    def __init__(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        use_cache: bool = True,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        allow_nan: bool = False,
    ) -> None:
        self.model = model
        self.use_cache = use_cache
        self.cache = past_key_values
        self.output: Any = None
        self.steps = 0
        self.seen = past_key_values.get_seq_length() if past_key_values is not None else 0
        self.attention_mask = attention_mask
        self._position_ids = position_ids
        self._token_type_ids = token_type_ids
        self._inputs_embeds = inputs_embeds
        self._wanted = {
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        self._allow_nan = allow_nan
        # How many tokens the model has seen after the first call, and how many of them are no ids.
        self._first = input_ids.shape[1]
        if inputs_embeds is not None:
            self._first = inputs_embeds.shape[1]
        elif attention_mask is not None and past_key_values is not None:
            self._first = attention_mask.shape[1]
        self.not_in_ids = self._first - input_ids.shape[1]

    def __call__(self, input_ids: Tensor, logits_to_keep: int = 1) -> Any:
        """Show the model what it has not seen yet of a text.

        input_ids: int (B, L), the whole text so far
        logits_to_keep: of how many of its last places to compute the logits

        Returns the model's output.
        """
        total = input_ids.shape[1] + self.not_in_ids
        seen = self.seen if self.use_cache else 0
        self.output = self.model(
            **self._inputs(input_ids, seen, total),
            **self._wanted,
            past_key_values=self.cache if self.use_cache else None,
            use_cache=self.use_cache,
            logits_to_keep=logits_to_keep,
            return_dict=True,
        )
        if self.use_cache:
            self.cache = self.output.past_key_values
            self.use_cache = self.cache is not None  # none is kept under gradient checkpointing
        self.seen = total
        self.steps += 1
        return self.output

    def next_logits(self, input_ids: Tensor) -> Tensor:
        """Ask the model for the token behind each text.

        input_ids: int (B, L), the whole text so far

        Returns float32 (B, V). Raises NotFinite where the model gives what is no number.
        """
        logits = self(input_ids).logits[:, -1].float()  # (B, V)
        if not self._allow_nan:
            check_numbers(logits, self.steps)
        return logits

    def reorder(self, beam_idx: Tensor) -> None:
        """Let row i go on from what row beam_idx[i] has seen.

        beam_idx: int (B,)
        """
        if self.cache is not None:
            self.cache.reorder(beam_idx)

    def take_back(self, n_tokens: int) -> None:
        """Let the model forget the last tokens it has seen, as when a guess at them was wrong.

        n_tokens: how many, 0 or more
        """
        if self.use_cache and self.cache is not None:
            self.cache.crop(-n_tokens)
        self.seen -= n_tokens

    def _inputs(self, input_ids: Tensor, seen: int, total: int) -> dict[str, Any]:
        """What the model is told of the tokens from `seen` on."""
        inputs: dict[str, Any] = {}
        if self._inputs_embeds is not None and self.steps == 0:
            inputs["inputs_embeds"] = self._inputs_embeds[:, seen:]  # (B, T, C)
        else:
            first = input_ids.shape[1] - (total - seen)
            inputs["input_ids"] = input_ids[:, first:] if first > 0 else input_ids  # (B, T)
        if self.attention_mask is not None:
            n_more = total - self.attention_mask.shape[1]
            if n_more > 0:
                new = self.attention_mask.new_ones(len(input_ids), n_more)
                self.attention_mask = torch.cat([self.attention_mask, new], dim=1)  # (B, S)
            mask = inputs["attention_mask"] = self.attention_mask[:, :total]  # (B, S)
            if self._position_ids is None:
                inputs["position_ids"] = counting.position_ids_from_mask(mask, total - seen)
        if self._position_ids is not None:
            inputs["position_ids"] = self._went_on(self._position_ids, 1, seen, total)  # (B, T)
        if self._token_type_ids is not None:
            inputs["token_type_ids"] = self._went_on(self._token_type_ids, 0, seen, total)
        return inputs

    def _went_on(self, given: Tensor, step: int, seen: int, total: int) -> Tensor:
        """What was given for the prompts and goes on in steps: of the tokens from `seen` on."""
        start = self._first - given.shape[1]  # the token that its first column belongs to
        if total > self._first:
            more = torch.arange(1, total - self._first + 1, device=given.device) * step
            given = torch.cat([given, given[:, -1:] + more], dim=1)  # (B, P + more)
        return given[:, seen - start : total - start]  # (B, T)


def check_numbers(logits: Tensor, step: int) -> None:
    """Refuse scores that are not numbers, and say where they are.

    logits: (B, V)    step: how many tokens the model was asked for, this one included
    """
    if math.isnan(logits.sum().item()):  # one number to look at; infinities alone may give it too
        rows = logits.isnan().any(dim=-1).nonzero()[:, 0].tolist()
        if rows:
            raise NotFinite(
                f"The model's scores for new token {step} are NaN in row {rows[0]} of the batch"
                f"{f' (and in {len(rows) - 1} more)' if rows[1:] else ''}. Its weights, or what it "
                "computes in their dtype, overflow: look for NaN in model.state_dict(), or load it "
                "with dtype='float32'."
            )


def new_cache(
    model: Any, implementation: str | None, max_cache_len: int, take_back: int = 0
) -> Cache:
    """Make an empty cache for a model.

    implementation: "static" or "offloaded_static" has its size from the start; others grow with the
        text
    max_cache_len: how many tokens a static one has room for, and others need room for at most
    take_back: how many tokens `Forward.take_back` must be able to take back from a sliding window
    """
    windows = list(getattr(model.base_model, "windows", ()))
    sliding = windows if any(windows) else None
    if implementation in ("static", "offloaded_static"):
        return StaticCache(max_cache_len, sliding, take_back)
    if windows and sliding is None:
        return SharedCache(len(windows), max_cache_len)
    return DynamicCache(sliding, take_back)


def n_learned_positions(model: Any) -> int | None:
    """Say how many tokens a model has learned positions for; None where it goes by none.

    model: any
    """
    for module in model.modules():
        if isinstance(module, learned.LearnedPositions):
            return module.num_embeddings - module.offset
    return None
