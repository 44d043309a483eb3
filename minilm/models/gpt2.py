"""GPT-2 (Radford et al. 2019): learned positions, LayerNorm, biases, one head tied to the embedding."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from minilm import attention, layers
from minilm.cache import Cache
from minilm.config import PreTrainedConfig
from minilm.errors import InvalidInput
from minilm.layers import Conv1D, LayerNorm, activation
from minilm.models.decoder import CausalLM, Decoder, TokenEmbedding, as_asked, check_unknown
from minilm.outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from minilm.positions.learned import LearnedPositions


class GPT2Config(PreTrainedConfig):
    """The settings of a GPT-2, under the names of its files; the usual ones work as well."""

    model_type: ClassVar[str] = "gpt2"
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    scale_attn_weights: bool = True
    use_cache: bool = True
    bos_token_id: int | None = 50256
    eos_token_id: int | list[int] | None = 50256
    pad_token_id: int | None = None
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = False
    add_cross_attention: bool = False
    tie_word_embeddings: bool = True

    def check(self) -> None:
        """Refuse what cannot be built."""
        super().check()
        self.must_divide("n_embd", "n_head")
        if self.add_cross_attention:
            raise InvalidInput(
                "add_cross_attention=True was given; this GPT-2 has no encoder to look at."
            )


class GPT2Attention(nn.Module):
    """Attention whose queries, keys and values come from one projection."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.n_heads = config.n_head
        self.c_attn = Conv1D(3 * config.n_embd, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, config.n_embd)
        self.attn_dropout = config.attn_pdrop
        self.resid_dropout = nn.Dropout(config.resid_pdrop)
        self.scale = (config.n_embd // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
        if config.scale_attn_by_inverse_layer_idx:
            self.scale /= layer_idx + 1

    def forward(
        self,
        x: Tensor,
        may_attend: Tensor | None,
        cos_sin: Any,
        cache: Cache | None,
        layer_idx: int,
        want_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Let tokens look at each other.

        x: (B, T, C)    may_attend: bool, broadcastable to (B, H, T, S); None = causal order
        cos_sin: None    cache: of all layers; this is layer_idx's

        Returns (B, T, C) and the weights (B, H, T, S), or None.
        """
        parts = self.c_attn(x).split(x.shape[-1], dim=-1)  # (B, T, C) each
        query, key, value = (attention.split_heads(part, self.n_heads) for part in parts)
        mixed, weights = attention.cached_attention(
            query,
            key,
            value,
            cache.layer(layer_idx) if cache is not None else None,
            cos_sin,
            may_attend,
            is_causal=may_attend is None,
            scale=self.scale,
            dropout=self.attn_dropout if self.training else 0.0,
            output_attentions=want_weights,
        )
        return self.resid_dropout(self.c_proj(attention.merge_heads(mixed))), weights


class GPT2MLP(nn.Module):
    """Four times as wide, bent by GELU, and back."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        inner = config.n_inner or 4 * config.n_embd
        self.c_fc = Conv1D(inner, config.n_embd)
        self.c_proj = Conv1D(config.n_embd, inner)
        self.act = activation(config.activation_function)
        self.dropout = nn.Dropout(config.resid_pdrop)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token's vector.

        x: (B, T, C)    Returns (B, T, C).
        """
        return self.dropout(self.c_proj(self.act(self.c_fc(x))))


class GPT2Layer(nn.Module):
    """One block: attention, then a feed-forward network, each normed before and added after."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = GPT2Attention(config, layer_idx)
        self.ln_2 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = GPT2MLP(config)

    def forward(self, x: Tensor, *how: Any) -> tuple[Tensor, Tensor | None]:
        """Add to each token what attention and the network have to say.

        x: (B, T, C)    how: as in `GPT2Attention`
        """
        return layers.pre_norm_block(
            x, lambda normed: self.attn(normed, *how), self.mlp, self.ln_1, self.ln_2
        )


class GPT2Model(Decoder):
    """The body: embeddings, layers, final norm."""

    config_class: ClassVar[type[PreTrainedConfig]] = GPT2Config
    base_model_prefix: ClassVar[str] = "transformer"
    embedding_name: ClassVar[str] = "wte"
    norm_name: ClassVar[str] = "ln_f"
    # Masks that old files carry along; transformers reports their other one, attn.masked_bias.
    ignored_keys: ClassVar[tuple[str, ...]] = (".attn.bias",)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.windows = [None] * config.n_layer
        self.wte = TokenEmbedding(config.vocab_size, config.n_embd)
        self.wpe = LearnedPositions(config.n_positions, config.n_embd)
        self.drop = nn.Dropout(config.embd_pdrop)
        self.h = nn.ModuleList(GPT2Layer(config, i) for i in range(config.n_layer))
        self.ln_f = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.post_init()

    @property
    def layers(self) -> nn.ModuleList:  # type: ignore[override]
        """The blocks, which GPT-2's files call `h`."""
        return self.h

    def init_weights(self, module: nn.Module) -> None:
        """Fill one module's weights; what is added to the stream starts smaller in a deeper model.

        module: any of the model's
        """
        super().init_weights(module)
        if isinstance(module, GPT2Attention | GPT2MLP):
            std = self.config.initializer_range / (2 * self.config.n_layer) ** 0.5
            with torch.no_grad():
                module.c_proj.weight.normal_(0.0, std)

    def place(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, None]:
        """Add the vectors of the positions.

        x: (B, T, C)    position_ids: int (B or 1, T)
        """
        return self.drop(x + self.wpe(position_ids)), None

    def forward(
        self,
        input_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **unknown: Any,
    ) -> BaseModelOutputWithPast:
        """Turn tokens into vectors that know what stands before them.

        input_ids: int (B, T), or inputs_embeds: (B, T, C)
        past_key_values: a cache to go on from    use_cache: whether to return one
        attention_mask: (B, S), 1 = real; cached tokens included
        token_type_ids: int (B, T), looked up among the tokens and added
        position_ids: int (B or 1, T); counted on from the cache unless given, whatever is padding.
            With use_cache=False and no mask, where they do not go up by one another text begins
        output_attentions, output_hidden_states: whether to return those
        return_dict: False = a plain tuple

        Returns `BaseModelOutputWithPast`. Equals transformers' `GPT2Model`.
        """
        if unknown:
            check_unknown(self, unknown)
        output = self.run(
            input_ids,
            attention_mask,
            position_ids,
            past_key_values,
            inputs_embeds,
            use_cache,
            output_attentions,
            output_hidden_states,
            token_type_ids,
        )
        return as_asked(output, return_dict, self.config)


class GPT2LMHeadModel(CausalLM):
    """A GPT-2 that predicts the next token."""

    config_class: ClassVar[type[PreTrainedConfig]] = GPT2Config
    body_class: ClassVar[type[Decoder]] = GPT2Model
    base_model_prefix: ClassVar[str] = "transformer"
    tied_weights: ClassVar[dict[str, str]] = {"lm_head.weight": "transformer.wte.weight"}
    ignored_keys: ClassVar[tuple[str, ...]] = GPT2Model.ignored_keys

    def forward(
        self,
        input_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        shift_labels: Tensor | None = None,
        num_items_in_batch: Any = None,
        **unknown: Any,
    ) -> CausalLMOutputWithPast:
        """Score every possible next token at every place.

        labels: int (B, T), the text itself (the loss shifts them); −100 = not judged
        logits_to_keep: compute the last places only; 0 = all; or which ones, int (K,) or (B, K)
        shift_labels: labels that were shifted already, in place of labels
        num_items_in_batch: divide the summed loss by this
        The rest as in `GPT2Model.forward`.

        Returns `CausalLMOutputWithPast`. Equals transformers' `GPT2LMHeadModel`.
        """
        if unknown:
            check_unknown(self, unknown)
        body = self.base_model(
            input_ids,
            past_key_values,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            use_cache,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        output = self.predict(body, labels, logits_to_keep, shift_labels, num_items_in_batch)
        return as_asked(output, return_dict, self.config)
