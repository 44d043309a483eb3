"""The Llama family: Llama, Mistral, Qwen2 and Qwen3, from one module and one table of differences.

Against GPT-2 it changes: RMSNorm for LayerNorm, rotary positions for learned ones, a gated
feed-forward network, grouped queries, and no biases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from minilm import attention, layers
from minilm.cache import Cache
from minilm.config import PreTrainedConfig
from minilm.errors import InvalidInput
from minilm.layers import GatedMLP, RMSNorm
from minilm.models.decoder import CausalLM, Decoder, TokenEmbedding, as_asked, check_unknown
from minilm.outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from minilm.positions.rotary import RotaryEmbedding


class LlamaLikeConfig(PreTrainedConfig):
    """The settings that all of the family have."""

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    use_cache: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = False
    rope_parameters: dict | None = None
    attention_dropout: float | None = 0.0

    def complete(self) -> None:
        """Derive the sizes of heads, where they are not given."""
        super().complete()
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        if self.head_dim is None and self.num_attention_heads > 0:
            self.head_dim = self.hidden_size // self.num_attention_heads

    def check(self) -> None:
        """Refuse a padding token outside the vocabulary."""
        super().check()
        # The first Llama's files say -1, which is the last token.
        if self.pad_token_id is not None and not -1 <= self.pad_token_id < self.vocab_size:
            raise InvalidInput(
                f"pad_token_id={self.pad_token_id} and vocab_size={self.vocab_size} were given; "
                "the padding token is one of the vocabulary, or None."
            )


class LlamaConfig(LlamaLikeConfig):
    """The settings of a Llama (Touvron et al. 2023, and later ones)."""

    model_type: ClassVar[str] = "llama"

    attention_bias: bool = False
    mlp_bias: bool = False

    def check(self) -> None:
        """Refuse a width that is no multiple of the heads, whatever `head_dim` says."""
        super().check()
        self.must_divide("hidden_size", "num_attention_heads")


class MistralConfig(LlamaLikeConfig):
    """The settings of a Mistral (Jiang et al. 2023)."""

    model_type: ClassVar[str] = "mistral"

    intermediate_size: int = 14336
    num_key_value_heads: int | None = 8
    max_position_embeddings: int = 4096 * 32
    sliding_window: int | None = 4096


class QwenConfig(LlamaLikeConfig):
    """The settings that Qwen2 and Qwen3 have in common."""

    vocab_size: int = 151936
    intermediate_size: int = 22016
    num_key_value_heads: int | None = 32
    max_position_embeddings: int = 32768
    use_sliding_window: bool = False
    sliding_window: int | None = 4096
    max_window_layers: int = 28
    layer_types: list[str] | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None

    def complete(self) -> None:
        """Say for each layer whether it has a window: those from `max_window_layers` on."""
        super().complete()
        if not self.use_sliding_window:
            self.sliding_window = None
        if self.layer_types is None:
            windowed = self.sliding_window is not None
            self.layer_types = [
                "sliding_attention"
                if windowed and i >= self.max_window_layers
                else "full_attention"
                for i in range(self.num_hidden_layers)
            ]

    def check(self) -> None:
        """Refuse kinds of layers that are not there, or not as many as there are layers."""
        super().check()
        kinds = self.layer_types or []
        wrong = set(kinds) - {"full_attention", "sliding_attention"}
        if wrong or len(kinds) != self.num_hidden_layers:
            raise InvalidInput(
                f"layer_types={kinds} was given for num_hidden_layers={self.num_hidden_layers}; "
                'give "full_attention" or "sliding_attention" for each layer, or None.'
            )
        if "sliding_attention" in kinds and self.sliding_window is None:
            raise InvalidInput(
                "layer_types has layers of sliding_attention, and there is no window. Give "
                "use_sliding_window=True and sliding_window, or make them full_attention."
            )


class Qwen2Config(QwenConfig):
    """The settings of a Qwen2 or Qwen2.5 (Yang et al. 2024)."""

    model_type: ClassVar[str] = "qwen2"


class Qwen3Config(QwenConfig):
    """The settings of a Qwen3 (Yang et al. 2025)."""

    model_type: ClassVar[str] = "qwen3"

    head_dim: int | None = 128
    attention_bias: bool = False


def _no_windows(config: Any) -> list[int | None]:
    return [None] * config.num_hidden_layers


def _same_window(config: Any) -> list[int | None]:
    return [config.sliding_window] * config.num_hidden_layers


def _windows_by_layer(config: Any) -> list[int | None]:
    return [
        config.sliding_window if kind == "sliding_attention" else None
        for kind in config.layer_types
    ]


@dataclass(frozen=True)
class Family:
    """In what a family differs from the others.

    qkv_bias, output_bias, mlp_bias: whether the projections before attention, after it, and those
    of the feed-forward network have biases; the name of a setting = as that says
    norm_heads: whether queries and keys are normalised, head by head
    windows: of each layer, None where it sees everything
    """

    qkv_bias: bool | str = False
    output_bias: bool | str = False
    mlp_bias: bool | str = False
    norm_heads: bool = False
    windows: Callable[[Any], list[int | None]] = _no_windows


# All that tells the families apart, besides their defaults.
FAMILIES = {
    "llama": Family("attention_bias", "attention_bias", "mlp_bias"),
    "mistral": Family(windows=_same_window),
    "qwen2": Family(qkv_bias=True, windows=_windows_by_layer),
    "qwen3": Family("attention_bias", "attention_bias", norm_heads=True, windows=_windows_by_layer),
}


def family_of(config: PreTrainedConfig) -> Family:
    """Find in what a config's family differs; one that extends another differs as that does.

    config: of the family
    """
    for kind in type(config).__mro__:
        model_type = vars(kind).get("model_type")
        if model_type in FAMILIES:
            return FAMILIES[model_type]
    raise InvalidInput(
        f"{type(config).__name__} is none of this family, which has: {', '.join(FAMILIES)}. Extend "
        "one of their configs, or add an entry to FAMILIES."
    )


def _has_bias(config: Any, wanted: bool | str) -> bool:
    return getattr(config, wanted) if isinstance(wanted, str) else wanted


class LlamaAttention(nn.Module):
    """Attention with rotary positions and grouped queries."""

    def __init__(self, config: Any, family: Family) -> None:
        super().__init__()
        width, head_dim = config.hidden_size, config.head_dim
        self.n_heads, self.n_kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.dropout = config.attention_dropout or 0.0
        qkv_bias = _has_bias(config, family.qkv_bias)
        out_bias = _has_bias(config, family.output_bias)
        self.q_proj = nn.Linear(width, self.n_heads * head_dim, bias=qkv_bias)
        self.k_proj = nn.Linear(width, self.n_kv_heads * head_dim, bias=qkv_bias)
        self.v_proj = nn.Linear(width, self.n_kv_heads * head_dim, bias=qkv_bias)
        self.o_proj = nn.Linear(self.n_heads * head_dim, width, bias=out_bias)
        self.q_norm = RMSNorm(head_dim, config.rms_norm_eps) if family.norm_heads else None
        self.k_norm = RMSNorm(head_dim, config.rms_norm_eps) if family.norm_heads else None

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
        query = attention.split_heads(self.q_proj(x), self.n_heads)  # (B, H, T, D)
        key = attention.split_heads(self.k_proj(x), self.n_kv_heads)  # (B, H_kv, T, D)
        value = attention.split_heads(self.v_proj(x), self.n_kv_heads)  # (B, H_kv, T, D)
        if self.q_norm is not None and self.k_norm is not None:
            query, key = self.q_norm(query), self.k_norm(key)
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
        return self.o_proj(attention.merge_heads(mixed)), weights  # (B, T, C)


class LlamaLayer(nn.Module):
    """One block: attention, then a feed-forward network, each normed before and added after."""

    def __init__(self, config: Any, family: Family) -> None:
        super().__init__()
        self.self_attn = LlamaAttention(config, family)
        self.mlp = GatedMLP(
            config.hidden_size,
            config.intermediate_size,
            config.hidden_act,
            _has_bias(config, family.mlp_bias),
        )
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Tensor, *how: Any) -> tuple[Tensor, Tensor | None]:
        """Add to each token what attention and the network have to say.

        x: (B, T, C)    how: as in `LlamaAttention`
        """
        return layers.pre_norm_block(
            x,
            lambda normed: self.self_attn(normed, *how),
            self.mlp,
            self.input_layernorm,
            self.post_attention_layernorm,
        )


class LlamaModel(Decoder):
    """The body: embeddings, layers, final norm."""

    config_class: ClassVar[type[PreTrainedConfig]] = LlamaConfig
    base_model_prefix: ClassVar[str] = "model"
    embedding_name: ClassVar[str] = "embed_tokens"
    norm_name: ClassVar[str] = "norm"
    ignored_keys: ClassVar[tuple[str, ...]] = ("rotary_emb.inv_freq",)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        config.must_divide("num_attention_heads", "num_key_value_heads")
        family = family_of(config)
        self.windows = family.windows(config)
        self.embed_tokens = TokenEmbedding(
            config.vocab_size, config.hidden_size, config.pad_token_id
        )
        self.layers = nn.ModuleList(
            LlamaLayer(config, family) for _ in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        # Whole heads turn here, as in transformers, whatever a file says of parts.
        rope = {k: v for k, v in config.rope_parameters.items() if k != "partial_rotary_factor"}
        self.rotary_emb = RotaryEmbedding(config.head_dim, config.max_position_embeddings, rope)
        self.post_init()

    def place(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Any]:
        """Compute the angles by which every layer turns queries and keys.

        x: (B, T, C)    position_ids: int (B or 1, T)
        """
        return x, self.rotary_emb(x, position_ids)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **unknown: Any,
    ) -> BaseModelOutputWithPast:
        """Turn tokens into vectors that know what stands before them.

        input_ids: int (B, T), or inputs_embeds: (B, T, C)
        attention_mask: (B, S), 1 = real; cached tokens included
        position_ids: int (B or 1, T); counted on from the cache unless given, whatever is padding.
            With use_cache=False and no mask, where they do not go up by one another text begins
        past_key_values: a cache to go on from    use_cache: whether to return one
        output_attentions, output_hidden_states: whether to return those
        return_dict: False = a plain tuple

        Returns `BaseModelOutputWithPast`. Equals transformers' `LlamaModel` and its like.
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


class LlamaForCausalLM(CausalLM):
    """A Llama that predicts the next token."""

    config_class: ClassVar[type[PreTrainedConfig]] = LlamaConfig
    body_class: ClassVar[type[Decoder]] = LlamaModel
    base_model_prefix: ClassVar[str] = "model"
    tied_weights: ClassVar[dict[str, str]] = {"lm_head.weight": "model.embed_tokens.weight"}
    ignored_keys: ClassVar[tuple[str, ...]] = LlamaModel.ignored_keys

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
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
        The rest as in `LlamaModel.forward`.

        Returns `CausalLMOutputWithPast`. Equals transformers' `LlamaForCausalLM` and its like.
        """
        if unknown:
            check_unknown(self, unknown)
        body = self.base_model(
            input_ids,
            attention_mask,
            position_ids,
            past_key_values,
            inputs_embeds,
            use_cache,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        output = self.predict(body, labels, logits_to_keep, shift_labels, num_items_in_batch)
        return as_asked(output, return_dict, self.config)


class MistralModel(LlamaModel):
    """The body of a Mistral."""

    config_class: ClassVar[type[PreTrainedConfig]] = MistralConfig


class MistralForCausalLM(LlamaForCausalLM):
    """A Mistral that predicts the next token."""

    config_class: ClassVar[type[PreTrainedConfig]] = MistralConfig
    body_class: ClassVar[type[Decoder]] = MistralModel


class Qwen2Model(LlamaModel):
    """The body of a Qwen2."""

    config_class: ClassVar[type[PreTrainedConfig]] = Qwen2Config


class Qwen2ForCausalLM(LlamaForCausalLM):
    """A Qwen2 that predicts the next token."""

    config_class: ClassVar[type[PreTrainedConfig]] = Qwen2Config
    body_class: ClassVar[type[Decoder]] = Qwen2Model


class Qwen3Model(LlamaModel):
    """The body of a Qwen3."""

    config_class: ClassVar[type[PreTrainedConfig]] = Qwen3Config


class Qwen3ForCausalLM(LlamaForCausalLM):
    """A Qwen3 that predicts the next token."""

    config_class: ClassVar[type[PreTrainedConfig]] = Qwen3Config
    body_class: ClassVar[type[Decoder]] = Qwen3Model
