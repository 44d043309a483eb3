"""What every decoder does around its layers: embed, place, mask, cache, run, collect.

A family brings its layers (`LlamaLayer`, `GPT2Layer` …) and says how it embeds tokens and positions.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from minilm import losses, masks
from minilm.cache import Cache, DynamicCache
from minilm.errors import InvalidInput, OutOfRange, WrongType
from minilm.models.base import PreTrainedModel, at_places, refuse_unknown
from minilm.outputs import BaseModelOutputWithPast, CausalLMOutputWithPast, ModelOutput


class TokenEmbedding(nn.Embedding):
    """Turn ids into vectors, and say which id is out of range."""

    def forward(self, input_ids: Tensor) -> Tensor:
        """Look up the vectors of tokens.

        input_ids: int (B, T)    Returns (B, T, C).
        """
        try:
            return F.embedding(input_ids, self.weight, self.padding_idx)
        except (IndexError, RuntimeError):
            self._explain(input_ids)
            raise

    def _explain(self, input_ids: Tensor) -> None:
        if input_ids.dtype not in (torch.int32, torch.int64):
            raise WrongType(
                f"input_ids of dtype {input_ids.dtype} were given; ids are whole numbers, int64. "
                "Give vectors as inputs_embeds."
            ) from None
        outside = ((input_ids < 0) | (input_ids >= self.num_embeddings)).nonzero()
        if len(outside):
            place = tuple(outside[0].tolist())
            raise OutOfRange(
                f"input_ids{list(place)} is {int(input_ids[place])}; the vocabulary has "
                f"{self.num_embeddings} tokens, ids 0 to {self.num_embeddings - 1}. Use the "
                "model's own tokenizer."
            ) from None


class Decoder(PreTrainedModel):
    """The body of a causal model.

    A family sets `layers` (called as layer(x, mask, cos_sin, cache, layer_idx, want_weights)) and
    `windows` (one for each layer), and defines `place`.

    embedding_name, norm_name: the attributes that hold its table of tokens and its final norm
    """

    embedding_name: ClassVar[str]
    norm_name: ClassVar[str]
    layers: Any
    windows: Sequence[int | None]

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the module that turns ids into vectors."""
        return getattr(self, self.embedding_name)

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Put another module in its place.

        value: (V, C)
        """
        setattr(self, self.embedding_name, value)

    def embed(self, input_ids: Tensor) -> Tensor:
        """Turn ids into vectors: (B, T) → (B, T, C).

        input_ids: int (B, T)
        """
        return self.get_input_embeddings()(input_ids)

    def place(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Any]:
        """Tell tokens their positions.

        x: (B, T, C)    position_ids: int (B or 1, T)

        Returns x, with positions added if the family does so, and cos and sin, or None.
        """
        raise NotImplementedError

    def finish(self, x: Tensor) -> Tensor:
        """Apply the final norm.

        x: (B, T, C)
        """
        return getattr(self, self.norm_name)(x)

    def new_cache(self) -> DynamicCache:
        """Make an empty cache that fits this model."""
        windows = list(self.windows)
        return DynamicCache(windows if any(windows) else None)

    def run(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        past_key_values: Cache | None,
        inputs_embeds: Tensor | None,
        use_cache: bool | None,
        output_attentions: bool | None,
        output_hidden_states: bool | None,
        token_type_ids: Tensor | None = None,
    ) -> BaseModelOutputWithPast:
        """Run the stack; the arguments are those of `forward`, None where the config decides."""
        config = self.config
        recompute = self.gradient_checkpointing and self.training
        use_cache = (config.use_cache if use_cache is None else use_cache) and not recompute
        want_weights = config.output_attentions if output_attentions is None else output_attentions
        want_states = (
            config.output_hidden_states if output_hidden_states is None else output_hidden_states
        )
        x = self._vectors(input_ids, inputs_embeds)  # (B, T, C)
        if token_type_ids is not None:
            x = x + self.embed(token_type_ids)
        cache = self._cache(past_key_values, use_cache, recompute)
        may_attend = self._masks(x, attention_mask, position_ids, cache)
        x, cos_sin = self.place(x, self._positions(x, position_ids, cache))

        states: list[Tensor] = []
        attentions: list[Tensor] = []
        plain = want_weights or self.attn_implementation == "eager"
        if len(self.layers) > len(self.windows):
            raise InvalidInput(
                f"There are {len(self.layers)} layers, and windows for {len(self.windows)}: layers "
                "were added. Give the body as many: model.base_model.windows = [None, …], None "
                "where a layer sees everything."
            )
        # Not strict: whoever cuts layers off need not know of the windows.
        for i, (layer, window) in enumerate(zip(self.layers, self.windows, strict=False)):
            if want_states:
                states.append(x)
            how = (x, may_attend[window], cos_sin, cache, i, plain)
            x, weights = checkpoint(layer, *how, use_reentrant=False) if recompute else layer(*how)
            if want_weights:
                attentions.append(weights)
        x = self.finish(x)
        return BaseModelOutputWithPast(
            last_hidden_state=x,
            past_key_values=cache if use_cache else None,
            hidden_states=(*states, x) if want_states else None,
            attentions=tuple(attentions) if want_weights else None,
        )

    def _vectors(self, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        if (input_ids is None) == (inputs_embeds is None):
            given = "neither" if input_ids is None else "both"
            raise InvalidInput(
                f"Of input_ids and inputs_embeds, {given} was given. Give one of them."
            )
        if inputs_embeds is not None:
            self._check_vectors(inputs_embeds)
            return inputs_embeds
        if not isinstance(input_ids, Tensor):
            raise WrongType(
                f"input_ids are a {type(input_ids).__name__}; expected a tensor (batch, tokens). "
                'Tokenize with return_tensors="pt", and give the batch as model(**batch).'
            )
        if input_ids.dim() != 2 or not input_ids.shape[1]:
            raise InvalidInput(
                f"input_ids of shape {tuple(input_ids.shape)} were given; expected (batch, "
                "tokens), at least one token each. One text is a batch of one: input_ids[None]."
            )
        return self.embed(input_ids)

    def _check_vectors(self, inputs_embeds: Tensor) -> None:
        if not isinstance(inputs_embeds, Tensor):
            raise WrongType(
                f"inputs_embeds are a {type(inputs_embeds).__name__}; expected a tensor (batch, "
                "tokens, width), such as model.get_input_embeddings()(input_ids) gives."
            )
        embedding = self.get_input_embeddings()
        width = embedding.embedding_dim
        if (
            inputs_embeds.dim() != 3
            or inputs_embeds.shape[2] != width
            or not inputs_embeds.shape[1]
        ):
            raise InvalidInput(
                f"inputs_embeds of shape {tuple(inputs_embeds.shape)} were given; expected "
                f"(batch, tokens, {width}), at least one token each."
            )
        given, own = inputs_embeds.dtype, embedding.weight.dtype
        mixed = torch.is_autocast_enabled(inputs_embeds.device.type)
        if given != own and not (mixed and given.is_floating_point):
            raise WrongType(
                f"inputs_embeds are {given} and the model is {own}. Give "
                "inputs_embeds.to(model.dtype); ids go in as input_ids."
            )

    def _cache(
        self, past_key_values: Cache | None, use_cache: bool, recompute: bool
    ) -> Cache | None:
        if past_key_values is None:
            return self.new_cache() if use_cache else None
        if not isinstance(past_key_values, Cache):
            tuples = isinstance(past_key_values, tuple | list)
            raise WrongType(
                f"past_key_values is a {type(past_key_values).__name__}; expected a Cache, such as "
                "the past_key_values of an earlier output, or DynamicCache()."
                + (" Tuples of keys and values are how it was before 2025." if tuples else "")
            )
        if recompute:
            raise InvalidInput(
                "past_key_values were given while gradient checkpointing is on: computing a layer "
                "twice would fill them twice. Leave them out, or switch it off."
            )
        return past_key_values

    def _positions(self, x: Tensor, position_ids: Tensor | None, cache: Cache | None) -> Tensor:
        """The positions that were given, or those after the cached tokens."""
        batch, length, _ = x.shape
        if position_ids is None:
            past = cache.get_seq_length() if cache is not None else 0
            return torch.arange(past, past + length, device=x.device)[None]  # (1, T)
        if not isinstance(position_ids, Tensor):
            raise WrongType(f"position_ids are a {type(position_ids).__name__}; expected a tensor.")
        if position_ids.shape not in ((1, length), (batch, length)):
            raise InvalidInput(
                f"position_ids of shape {tuple(position_ids.shape)} were given for {batch} × "
                f"{length} tokens; expected {(batch, length)} or {(1, length)}: new tokens only."
            )
        return position_ids

    def _masks(
        self,
        x: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor | None,
        cache: Cache | None,
    ) -> dict[int | None, Tensor | None]:
        """The mask of each window that a layer has; None where plain causal order is all."""
        found: dict[int | None, Tensor | None] = {}
        batch, length, _ = x.shape
        if isinstance(attention_mask, Tensor) and attention_mask.ndim in (2, 4):
            past = cache.get_seq_length() if cache is not None else 0
            _check_mask(attention_mask, batch, past, length)
        for i, window in enumerate(self.windows):
            if window not in found:
                keys = cache.get_mask_sizes(length, i)[0] if cache is not None else length
                found[window] = masks.decoder_mask(
                    length,
                    keys,
                    attention_mask,
                    # Packed texts are told apart where no cache is kept, as in transformers.
                    position_ids=position_ids if cache is None else None,
                    sliding_window=window,
                    device=x.device,
                )
        return found


def _check_mask(attention_mask: Tensor, batch: int, past: int, length: int) -> None:
    """Refuse a mask that is not about these texts; one of 2 dimensions covers all their tokens."""
    if len(attention_mask) not in (1, batch):
        raise InvalidInput(
            f"attention_mask of shape {tuple(attention_mask.shape)} was given for a batch of "
            f"{batch}. Give a row for each text."
        )
    columns = attention_mask.shape[1]
    if attention_mask.ndim == 4 or columns == past + length:
        return
    given = f"attention_mask has {columns} columns and there are {past + length} tokens"
    if columns == length:
        raise InvalidInput(
            f"{given}: it covers only the new ones, and {past} cached ones are looked at too. Put "
            "theirs in front: torch.cat([mask of the cached tokens, attention_mask], dim=1)."
        )
    raise InvalidInput(
        f"{given}: {past} cached and {length} new ones. Give it one column for each."
    )


class CausalLM(PreTrainedModel):
    """A body with a head that gives every place the logits of its next token.

    body_class: the family's body, held under the name that is `base_model_prefix`
    """

    body_class: ClassVar[type[Decoder]]
    lm_head: nn.Linear

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.body_class(config))
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.init_weights(self.lm_head)
        self.tie_weights()

    def can_generate(self) -> bool:
        """Say whether the model writes texts: it does."""
        return True

    def get_output_embeddings(self) -> nn.Linear:
        """Return the head."""
        return self.lm_head

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Put another head in its place.

        value: (V, C)
        """
        self.lm_head = value  # type: ignore[assignment]

    def predict(
        self,
        body: BaseModelOutputWithPast,
        labels: Tensor | None,
        logits_to_keep: int | Tensor,
        shift_labels: Tensor | None = None,
        num_items_in_batch: Any = None,
    ) -> CausalLMOutputWithPast:
        """Turn what the body returns into logits, and into a loss if there are labels.

        body: its output    the rest: as in `forward`
        """
        logits = self.lm_head(at_places(body.last_hidden_state, logits_to_keep))  # (B, K, V)
        loss = None
        given = labels if shift_labels is None else shift_labels
        if given is not None:
            name = "labels" if shift_labels is None else "shift_labels"
            losses.check_labels(logits, given, name)
            losses.check_count(num_items_in_batch)
            compute = losses.causal_lm_loss if shift_labels is None else losses.shifted_loss
            try:
                loss = compute(logits, given.long(), num_items_in_batch=num_items_in_batch)
            except (IndexError, RuntimeError):
                losses.explain_labels(given, logits.shape[-1], name)
                raise
        return CausalLMOutputWithPast(
            loss, logits, body.past_key_values, body.hidden_states, body.attentions
        )


def as_asked(output: ModelOutput, return_dict: bool | None, config: Any) -> Any:
    """Give an output by name, or as a plain tuple where that is asked for.

    return_dict: as given; None = as the config says
    """
    by_name = config.return_dict if return_dict is None else return_dict
    return output if by_name else output.to_tuple()


def check_unknown(model: PreTrainedModel, unknown: dict[str, Any]) -> None:
    """Refuse keyword arguments that `forward` does not know.

    unknown: what `**unknown` caught
    """
    known = [
        name
        for name, parameter in inspect.signature(model.forward).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    refuse_unknown(unknown, known, f"{type(model).__name__}'s forward")
