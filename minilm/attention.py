"""Attention: every query mixes the values whose keys it matches (Vaswani et al. 2017).

The plain way returns its weights; the fast way, through torch's fused function, does not. Masks
are boolean, True = may attend, and the queries are the last T of the S keys.
"""

from __future__ import annotations

from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilm import fast_causal, masks
from minilm.errors import InvalidInput, MinilmError, WrongType
from minilm.positions import rotary


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """Cut each token's vector into one piece per head, and put the heads before the tokens.

    x: (B, T, H·D)    n_heads: H

    Returns (B, H, T, D): head h holds the numbers h·D … h·D + D − 1 of every token.
    """
    batch, length, width = x.shape
    x = x.reshape(batch, length, n_heads, width // n_heads)  # (B, T, H, D)
    return x.transpose(1, 2)  # (B, H, T, D)


def merge_heads(x: Tensor) -> Tensor:
    """Undo `split_heads`: put the pieces of each token side by side again.

    x: (B, H, T, D)

    Returns (B, T, H·D).
    """
    return x.transpose(1, 2).flatten(2)  # (B, T, H·D)


def repeat_kv(x: Tensor, n_rep: int) -> Tensor:
    """Repeat each key or value head for the query heads that share it (Ainslie et al. 2023).

    x: (B, H_kv, S, D)    n_rep: how many query heads share one of them

    Returns (B, H_kv·n_rep, S, D), as transformers' `repeat_kv`: each head n_rep times in a row.
    """
    return x.repeat_interleave(n_rep, dim=1)  # (B, H_kv·n_rep, S, D)


def attention_scores(query: Tensor, key: Tensor, scale: float | None = None) -> Tensor:
    """Score how well each query matches each key: their dot product, scaled.

    query: (B, H, T, D)    key: (B, H, S, D)
    scale: multiplies the scores; 1/√D unless given (T5 uses 1)

    Returns (B, H, T, S).
    """
    if scale is None:
        scale = query.shape[-1] ** -0.5
    return query @ key.transpose(-2, -1) * scale  # (B, H, T, S)


def masked_softmax(scores: Tensor, may_attend: Tensor | None = None) -> Tensor:
    """Turn each row of scores into weights that sum to 1, hidden keys left out.

    scores: (B, H, T, S)
    may_attend: bool, broadcastable to (B, H, T, S), True where a query may look; None = everywhere

    Returns (B, H, T, S) in the dtype of the scores, computed in float32 at least. Hidden keys
    weigh 0. A row that may look nowhere is all zeros, and so are its gradients: never NaN.
    """
    precise = torch.promote_types(scores.dtype, torch.float32)
    if may_attend is None:
        return scores.softmax(dim=-1, dtype=precise).to(scores.dtype)
    somewhere = may_attend.any(dim=-1, keepdim=True)  # (B, H, T, 1)
    # -inf in a whole row would give NaN: it looks everywhere instead, and then takes nothing.
    scores = scores + masks.mask_to_scores(may_attend | ~somewhere, scores.dtype)
    weights = scores.softmax(dim=-1, dtype=precise).to(scores.dtype)
    return weights.masked_fill(~somewhere, 0.0)


def eager_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    may_attend: Tensor | None = None,
    scale: float | None = None,
    bias: Tensor | None = None,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Mix the values by how well each query matches each key (Vaswani et al. 2017, eq. 1).

    query: (B, H, T, D)    key, value: (B, H_kv, S, D), each shared by H / H_kv query heads
    may_attend, scale: as in `masked_softmax` and `attention_scores`
    bias: added to the scores (T5, ALiBi)    dropout: the share of weights left out

    Returns the mixed values (B, H, T, D) and the weights (B, H, T, S).
    """
    n_rep = query.shape[1] // key.shape[1]
    key, value = repeat_kv(key, n_rep), repeat_kv(value, n_rep)  # (B, H, S, D)
    scores = attention_scores(query, key, scale)  # (B, H, T, S)
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    weights = F.dropout(masked_softmax(scores, may_attend), dropout)
    return weights @ value, weights  # (B, H, T, D), (B, H, T, S)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    may_attend: Tensor | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    bias: Tensor | None = None,
    dropout: float = 0.0,
    output_attentions: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Mix the values by how well each query matches each key, the fast way where it can be.

    query: (B, H, T, D)    key, value: (B, H_kv, S, D), each shared by H / H_kv query heads
    may_attend: bool, broadcastable to (B, H, T, S), True where a query may look; None = everywhere
    is_causal: besides, no query sees a key after it; the queries are the last T of the S keys
    scale: multiplies the scores; 1/√D unless given (T5 uses 1)
    bias: added to the scores, broadcastable to them (T5, ALiBi). Hide keys by may_attend, not by
        minus infinity here: a whole row of that is NaN where the weights are asked for
    dropout: the share of the weights that is left out; give 0.0 when not training
    output_attentions: also return the weights, which only `eager_attention` has

    Returns the mixed values (B, H, T, D), and the weights (B, H, T, S) or None.
    Raises InvalidInput where the shapes do not fit, WrongType for a mask that is not boolean, a
    bias that is, and what is no tensor.
    """
    if dropout and not 0.0 <= dropout <= 1.0:
        raise InvalidInput(f"dropout={dropout} was given; it is a share, from 0.0 to 1.0.")
    if output_attentions:
        return _with_weights(query, key, value, may_attend, is_causal, scale, bias, dropout)
    plain = is_causal and may_attend is None and bias is None and not dropout
    if plain and isinstance(query, Tensor) and fast_causal.pays(query, key, value):
        scale = query.shape[3] ** -0.5 if scale is None else scale
        return fast_causal.in_strips(query, key, value, scale), None
    mixed = sdpa_attention(
        query, key, value, may_attend, is_causal=is_causal, scale=scale, bias=bias, dropout=dropout
    )
    return mixed, None


def sdpa_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    may_attend: Tensor | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    bias: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Do what `eager_attention` does in one call of torch, which keeps no weights (Dao et al. 2022).

    All arguments: as in `attention`

    Returns the mixed values (B, H, T, D). Raises as `attention` does. Keys and values are not
    repeated in memory. Equals transformers' "sdpa" attention bit for bit, but for a bias and for
    one token of grouped heads, which come out the same to about 1e-7.
    """
    try:
        if query.ndim != 4 or key.shape[:3] != value.shape[:3]:  # torch does not mind either
            _explain(query, key, value, may_attend, bias)
        if may_attend is not None and may_attend.dtype is not torch.bool:
            _explain(query, key, value, may_attend, bias)
        if is_causal:
            if query.shape[2] == 1:  # the last token: nothing comes after it
                is_causal = False
            elif may_attend is not None or bias is not None or query.shape[2] != key.shape[2]:
                # torch would take the queries for the first T of the keys, and takes no mask besides.
                is_causal, may_attend = False, _and_causal(query, key, may_attend)
        mask = may_attend
        if bias is not None:
            if bias.dtype is torch.bool:
                _explain(query, key, value, may_attend, bias)
            mask = bias.to(query.dtype)
            if may_attend is not None:
                mask = mask + masks.mask_to_scores(may_attend, query.dtype)
        if mask is not None and mask.ndim not in (2, 4):  # those alone torch takes, or takes fast
            mask = mask[None] if mask.ndim == 3 else torch.atleast_2d(mask)  # (1, H, T, S), (1, S)
        n_heads, n_kv_heads = query.shape[1], key.shape[1]
        if n_heads == n_kv_heads:
            return F.scaled_dot_product_attention(
                query, key, value, mask, dropout, is_causal, scale=scale
            )
        if not n_kv_heads:
            _explain(query, key, value, may_attend, bias)
        if query.shape[2] != 1:
            return F.scaled_dot_product_attention(
                query, key, value, mask, dropout, is_causal, scale=scale, enable_gqa=True
            )
        # One token: the query heads that share a key head are its queries, in one product.
        rows = query.reshape(query.shape[0], n_kv_heads, -1, query.shape[3])  # (B, H_kv, n_rep, D)
        if mask is not None:
            if mask.shape[-2] != 1:  # it would pass for a mask of the n_rep query heads
                _explain(query, key, value, may_attend, bias)
            if mask.ndim == 4 and mask.shape[1] != 1:
                mask = mask.reshape(mask.shape[0], n_kv_heads, -1, mask.shape[3])
        mixed = F.scaled_dot_product_attention(rows, key, value, mask, dropout, scale=scale)
        return mixed.reshape(mixed.shape[0], n_heads, 1, mixed.shape[3])  # (B, H, 1, D)
    except MinilmError:
        raise
    except (RuntimeError, IndexError, ZeroDivisionError, AttributeError, TypeError) as error:
        _explain(query, key, value, may_attend, bias, error)


def _with_weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    may_attend: Tensor | None,
    is_causal: bool,
    scale: float | None,
    bias: Tensor | None,
    dropout: float,
) -> tuple[Tensor, Tensor]:
    """Call `eager_attention`, and say so in words where the shapes do not fit."""
    try:
        if query.ndim != 4 or (may_attend is not None and may_attend.dtype is not torch.bool):
            _explain(query, key, value, may_attend, bias)
        if bias is not None and bias.dtype is torch.bool:
            _explain(query, key, value, may_attend, bias)
        if is_causal and query.shape[2] > 1:
            may_attend = _and_causal(query, key, may_attend)
        mixed, weights = eager_attention(query, key, value, may_attend, scale, bias, dropout)
    except MinilmError:
        raise
    except (RuntimeError, IndexError, ZeroDivisionError, AttributeError, TypeError) as error:
        _explain(query, key, value, may_attend, bias, error)
    if mixed.shape[1:3] != query.shape[1:3]:  # stretched to a mask or bias of another form
        _explain(query, key, value, may_attend, bias)
    return mixed, weights


def _and_causal(query: Tensor, key: Tensor, may_attend: Tensor | None) -> Tensor:
    earlier = masks.causal_mask(query.shape[2], key.shape[2], query.device)  # (T, S)
    return earlier if may_attend is None else may_attend & earlier


def cached_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layer: Any = None,
    cos_sin: tuple[Tensor, Tensor] | None = None,
    may_attend: Tensor | None = None,
    is_causal: bool = True,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attend over the cached tokens and the new ones, and put the new ones into the cache.

    query: (B, H, T, D)    key, value: (B, H_kv, T, D), of the T new tokens
    layer: a layer of a cache; its update(key, value) gives all keys and values. None = no cache
    cos_sin: turns query and key, never value, at their positions; None = positions come otherwise
    may_attend, is_causal, options: as in `attention`

    Returns the mixed values (B, H, T, D) and the weights or None. The cache holds turned keys.
    """
    if cos_sin is not None:
        query, key = rotary.apply_rotary_pos_emb(query, key, *cos_sin)
    if layer is not None:
        key, value = layer.update(key, value)  # (B, H_kv, S, D)
    return attention(query, key, value, may_attend, is_causal=is_causal, **options)


class MultiHeadAttention(nn.Module):
    """Attention with its four projections: over the text itself, or over a context.

    width: C, of the hidden states    n_heads: H
    n_kv_heads: how many key and value heads there are; n_heads unless given
    head_dim: D; width / n_heads unless given
    bias: whether the projections have one
    context_width: of what `context` holds; width unless given
    dropout: the share of the weights that is left out in training

    Equal to LlamaAttention, BartAttention, T5's and BERT's, given their weights: q_proj, k_proj,
    v_proj, o_proj. Raises InvalidInput for numbers that do not divide.
    """

    def __init__(
        self,
        width: int,
        n_heads: int,
        n_kv_heads: int | None = None,
        head_dim: int | None = None,
        bias: bool = False,
        context_width: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        context_width = width if context_width is None else context_width
        for name, number in (("width", width), ("context_width", context_width)):
            if number < 1:
                raise InvalidInput(f"{name}={number} was given; it must be 1 or more.")
        if n_heads < 1 or n_kv_heads < 1 or n_heads % n_kv_heads:
            raise InvalidInput(
                f"n_heads={n_heads} and n_kv_heads={n_kv_heads} were given; the query heads share "
                "the key heads evenly: n_heads must be a multiple of n_kv_heads, both 1 or more."
            )
        if head_dim is None:
            if width % n_heads:
                raise InvalidInput(
                    f"width={width} cannot be cut into n_heads={n_heads} equal heads. Give a "
                    "multiple of n_heads, or the head_dim."
                )
            head_dim = width // n_heads
        if head_dim < 1:
            raise InvalidInput(f"head_dim={head_dim} was given; it must be 1 or more.")
        self.width, self.context_width, self.head_dim = width, context_width, head_dim
        self.n_heads, self.n_kv_heads, self.dropout = n_heads, n_kv_heads, dropout
        self.q_proj = nn.Linear(width, n_heads * head_dim, bias)
        self.k_proj = nn.Linear(context_width, n_kv_heads * head_dim, bias)
        self.v_proj = nn.Linear(context_width, n_kv_heads * head_dim, bias)
        self.o_proj = nn.Linear(n_heads * head_dim, width, bias)

    def forward(
        self,
        hidden_states: Tensor,
        context: Tensor | None = None,
        may_attend: Tensor | None = None,
        *,
        is_causal: bool = False,
        layer: Any = None,
        cos_sin: tuple[Tensor, Tensor] | None = None,
        bias: Tensor | None = None,
        scale: float | None = None,
        output_attentions: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Let each token gather what it looks for.

        hidden_states: (B, T, C)
        context: (B, S, C_context), what to attend over; None = the hidden states themselves
        layer: a layer of a cache. With a context, its keys and values are computed once, when the
            layer is empty; afterwards they are read from it
        cos_sin: turns query and key at their positions; without a context only
        may_attend, is_causal, bias, scale, output_attentions: as in `attention`

        Returns (B, T, C), and the weights (B, H, T, S) or None.
        Raises InvalidInput for states of another shape or width, or cos_sin together with a
        context; WrongType for a whole cache in place of one layer's.
        """
        if hidden_states.ndim != 3 or hidden_states.shape[-1] != self.width:
            raise InvalidInput(
                f"hidden_states {_form(hidden_states)} was given; expected (B, T, C), where C "
                f"must be the width, {self.width}."
            )
        if hasattr(layer, "layers"):
            raise WrongType(
                f"layer is a {type(layer).__name__}, the cache of all layers; give the cache of this "
                "one: cache.layer(layer_idx)."
            )
        query = split_heads(self.q_proj(hidden_states), self.n_heads)  # (B, H, T, D)
        options: dict[str, Any] = {
            "is_causal": is_causal,
            "scale": scale,
            "bias": bias,
            "dropout": self.dropout if self.training else 0.0,
            "output_attentions": output_attentions,
        }
        if context is None:
            key, value = self._keys_and_values(hidden_states)
            mixed, weights = cached_attention(
                query, key, value, layer, cos_sin, may_attend, **options
            )
        else:
            if cos_sin is not None:
                raise InvalidInput(
                    "cos_sin was given together with a context. It holds the positions of the "
                    "hidden states; the tokens of a context stand elsewhere. Leave one out."
                )
            if layer is not None and layer.get_seq_length():
                key, value = layer.keys, layer.values
            else:
                key, value = self._keys_and_values(context)
                if layer is not None:
                    key, value = layer.update(key, value)
            mixed, weights = attention(query, key, value, may_attend, **options)
        return self.o_proj(merge_heads(mixed)), weights  # (B, T, C)

    def _keys_and_values(self, states: Tensor) -> tuple[Tensor, Tensor]:
        if states.ndim != 3 or states.shape[-1] != self.context_width:
            raise InvalidInput(
                f"a context {_form(states)} was given; expected (B, S, C), where C must be "
                f"{self.context_width}."
            )
        key = split_heads(self.k_proj(states), self.n_kv_heads)  # (B, H_kv, S, D)
        value = split_heads(self.v_proj(states), self.n_kv_heads)  # (B, H_kv, S, D)
        return key, value


# When shapes do not fit -------------------------------------------------------------------------


def _explain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    may_attend: Tensor | None,
    bias: Tensor | None,
    error: Exception | None = None,
) -> NoReturn:
    """Say what does not fit. Only called once something failed: looking costs time."""
    given = {"query": query, "key": key, "value": value, "may_attend": may_attend, "bias": bias}
    for name, tensor in given.items():
        if not isinstance(tensor, Tensor) and not (
            tensor is None and name in ("may_attend", "bias")
        ):
            raise WrongType(f"{name} is a {type(tensor).__name__}; expected a tensor.") from error
    shapes = f"query {_form(query)}, key {_form(key)}, value {_form(value)}"
    if not query.ndim == key.ndim == value.ndim == 4:
        raise InvalidInput(
            f"{shapes}: expected (B, H, T, D), (B, H_kv, S, D) and (B, H_kv, S, D). "
            "split_heads makes them from (B, T, H·D)."
        ) from error
    if key.shape[:3] != value.shape[:3]:
        raise InvalidInput(
            f"{shapes}: each key needs one value; give both the same rows, heads and length."
        ) from error
    if query.shape[3] != key.shape[3]:
        raise InvalidInput(
            f"{shapes}: queries of {query.shape[3]} numbers cannot be matched with keys of "
            f"{key.shape[3]}; give both the same head size."
        ) from error
    if not key.shape[1] or query.shape[1] % key.shape[1]:
        raise InvalidInput(
            f"{shapes}: {query.shape[1]} query heads cannot share {key.shape[1]} key heads evenly; "
            "the first number must be a multiple of the second."
        ) from error
    if query.shape[0] != key.shape[0] and 1 not in (query.shape[0], key.shape[0]):
        raise InvalidInput(f"{shapes}: the batch sizes differ.") from error
    if not query.dtype == key.dtype == value.dtype:
        raise WrongType(
            f"{shapes}: query is {query.dtype}, key {key.dtype}, value {value.dtype}; "
            "give all three one dtype."
        ) from error
    if not query.is_floating_point():
        raise WrongType(
            f"{shapes}: query, key and value are {query.dtype}; attention takes floating-point "
            "numbers, such as the projections of a layer."
        ) from error
    if may_attend is not None and may_attend.dtype is not torch.bool:
        raise WrongType(
            f"may_attend is {may_attend.dtype}; a mask is boolean, True = may attend. From an "
            "attention_mask of 1 and 0, masks.padding_mask makes one; numbers to add are a bias."
        ) from error
    if bias is not None and bias.dtype is torch.bool:
        raise WrongType(
            "bias is torch.bool; a bias is numbers that are added to the scores, and True would "
            "add 1. A mask, True = may attend, goes into may_attend."
        ) from error
    scores = (max(query.shape[0], key.shape[0]), query.shape[1], query.shape[2], key.shape[2])
    for name, tensor in (("may_attend", may_attend), ("bias", bias)):
        if tensor is not None and not _spreads_to(tensor.shape, scores):
            raise InvalidInput(
                f"{name} {_form(tensor)} does not fit the scores (B, H, T, S) = {scores}. With a "
                "cache, S counts the cached tokens and the new ones. From an attention_mask "
                "(B, S), masks.padding_mask makes (B, 1, 1, S)."
            ) from error
    if error is None:
        raise InvalidInput(f"{shapes}: these do not fit.")
    raise error


def _form(x: Tensor) -> str:
    return f"of shape {tuple(x.shape)}"


def _spreads_to(shape: torch.Size, target: tuple[int, ...]) -> bool:
    if len(shape) > len(target):
        return False
    return all(n in (1, m) for n, m in zip(reversed(shape), reversed(target), strict=False))
