"""GPT-NeoX (Black et al. 2022) and the Pythia models: parallel residuals, rotary on part of a head."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from minilm import attention
from minilm.cache import Cache
from minilm.config import PreTrainedConfig
from minilm.layers import LayerNorm, activation
from minilm.models.decoder import CausalLM, Decoder, TokenEmbedding, as_asked, check_unknown
from minilm.outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from minilm.positions.rotary import RotaryEmbedding


class GPTNeoXConfig(PreTrainedConfig):
    """The settings of a GPT-NeoX."""

    model_type: ClassVar[str] = "gpt_neox"

    vocab_size: int = 50432
    hidden_size: int = 6144
    num_hidden_layers: int = 44
    num_attention_heads: int = 64
    intermediate_size: int = 24576
    hidden_act: str = "gelu"
    attention_dropout: float = 0.0
    hidden_dropout: float = 0.0
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    use_cache: bool = True
    bos_token_id: int | None = 0
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = None
    tie_word_embeddings: bool = False
    use_parallel_residual: bool = True
    rope_parameters: dict | None = None
    attention_bias: bool = True

    def rope_defaults(self) -> dict[str, Any]:
        """A quarter of each head turns."""
        return {**super().rope_defaults(), "partial_rotary_factor": 0.25}

    def check(self) -> None:
        """Refuse heads that do not divide the width."""
        super().check()
        self.must_divide("hidden_size", "num_attention_heads")


class GPTNeoXAttention(nn.Module):
    """Attention whose one projection holds query, key and value head by head, not one after all."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.n_heads = config.num_attention_heads
        self.dropout = config.attention_dropout
        self.query_key_value = nn.Linear(width, 3 * width, bias=config.attention_bias)
        self.dense = nn.Linear(width, width, bias=config.attention_bias)

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
        cos_sin: of the tokens' positions    cache: of all layers; this is layer_idx's

        Returns (B, T, C) and the weights (B, H, T, S), or None.
        """
        heads = attention.split_heads(self.query_key_value(x), self.n_heads)  # (B, H, T, 3·D)
        query, key, value = heads.chunk(3, dim=-1)  # (B, H, T, D) each
        mixed, weights = attention.cached_attention(
            query,
            key,
            value,
            cache.layer(layer_idx) if cache is not None else None,
            cos_sin,
            may_attend,
            is_causal=may_attend is None,
            dropout=self.dropout if self.training else 0.0,
            output_attentions=want_weights,
        )
        return self.dense(attention.merge_heads(mixed)), weights  # (B, T, C)


class GPTNeoXMLP(nn.Module):
    """Wider, bent by GELU, and back."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(config.hidden_size, config.intermediate_size)
        self.dense_4h_to_h = nn.Linear(config.intermediate_size, config.hidden_size)
        self.act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token's vector.

        x: (B, T, C)    Returns (B, T, C).
        """
        return self.dense_4h_to_h(self.act(self.dense_h_to_4h(x)))


class GPTNeoXLayer(nn.Module):
    """One block: attention and network side by side, both reading what came into the block."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.parallel = config.use_parallel_residual
        self.input_layernorm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_attention_layernorm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.attention = GPTNeoXAttention(config)
        self.mlp = GPTNeoXMLP(config)

    def forward(self, x: Tensor, *how: Any) -> tuple[Tensor, Tensor | None]:
        """Add to each token what attention and the network have to say.

        x: (B, T, C)    how: as in `GPTNeoXAttention`
        """
        mixed, weights = self.attention(self.input_layernorm(x), *how)
        mixed = self.dropout(mixed)
        seen = x if self.parallel else x + mixed
        thought = self.dropout(self.mlp(self.post_attention_layernorm(seen)))
        return thought + mixed + x, weights


class GPTNeoXModel(Decoder):
    """The body: embeddings, layers, final norm."""

    config_class: ClassVar[type[PreTrainedConfig]] = GPTNeoXConfig
    base_model_prefix: ClassVar[str] = "gpt_neox"
    embedding_name: ClassVar[str] = "embed_in"
    norm_name: ClassVar[str] = "final_layer_norm"
    ignored_keys: ClassVar[tuple[str, ...]] = (
        ".attention.bias",
        ".attention.masked_bias",
        "rotary_emb.inv_freq",
    )

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.windows = [None] * config.num_hidden_layers
        self.embed_in = TokenEmbedding(config.vocab_size, config.hidden_size)
        self.emb_dropout = nn.Dropout(config.hidden_dropout)
        self.layers = nn.ModuleList(GPTNeoXLayer(config) for _ in range(config.num_hidden_layers))
        self.final_layer_norm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.rotary_emb = RotaryEmbedding(
            config.hidden_size // config.num_attention_heads,
            config.max_position_embeddings,
            config.rope_parameters,
        )
        self.post_init()

    def place(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Any]:
        """Compute the angles by which every layer turns queries and keys.

        x: (B, T, C)    position_ids: int (B or 1, T)
        """
        x = self.emb_dropout(x)
        return x, self.rotary_emb(x, position_ids)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **unknown: Any,
    ) -> BaseModelOutputWithPast:
        """Turn tokens into vectors that know what stands before them.

        The arguments are those of `minilm.models.llama.LlamaModel.forward`.

        Returns `BaseModelOutputWithPast`. Equals transformers' `GPTNeoXModel`.
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
        )
        return as_asked(output, return_dict, self.config)


class GPTNeoXForCausalLM(CausalLM):
    """A GPT-NeoX that predicts the next token."""

    config_class: ClassVar[type[PreTrainedConfig]] = GPTNeoXConfig
    body_class: ClassVar[type[Decoder]] = GPTNeoXModel
    base_model_prefix: ClassVar[str] = "gpt_neox"
    tied_weights: ClassVar[dict[str, str]] = {"lm_head.weight": "gpt_neox.embed_in.weight"}
    file_names: ClassVar[dict[str, str]] = {"lm_head.weight": "embed_out.weight"}
    ignored_keys: ClassVar[tuple[str, ...]] = GPTNeoXModel.ignored_keys

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: Cache | None = None,
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

        The arguments are those of `minilm.models.llama.LlamaForCausalLM.forward`.

        Returns `CausalLMOutputWithPast`. Equals transformers' `GPTNeoXForCausalLM`.
        """
        if unknown:
            check_unknown(self, unknown)
        body = self.base_model(
            input_ids,
            attention_mask,
            position_ids,
            inputs_embeds,
            past_key_values,
            use_cache,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        output = self.predict(body, labels, logits_to_keep, shift_labels, num_items_in_batch)
        return as_asked(output, return_dict, self.config)
