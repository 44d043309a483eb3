"""A model in its short form: each layer one function, made once for a text, in as few calls as can be.

A layer made of modules asks, checks and reshapes for every token what is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilm import layers
from minilm.cache import Cache
from minilm.generation.desk import Desk, Heads
from minilm.generation.own_code import is_own_model, nothing_replaced
from minilm.models import gpt2, gpt_neox, llama

# Copies of weights, joined and turned round, take at most this much memory. Where they would take
# more, the weights are used one by one, turned round in their place if that is worth it.
MOST_COPIED = 32 << 20

# From how many numbers on a weight is large: several rows are then multiplied by oneDNN, which takes
# longer to begin than a small product takes.
LARGE = 1 << 19

# From how many tokens to come, for one text, turning the weights of a large model round costs less
# than it saves.
WORTH_TURNING = 32

# (x (N, C), where its heads lie) → x (N, C), for N tokens
Step = Callable[[Tensor, Desk], Tensor]
Projection = Callable[..., Tensor]


@dataclass
class ShortModel:
    """A causal model in its short form.

    heads: how those of a layer lie    n_tokens: V
    begin: (ids (B, T), position_ids (B, T) or None, tokens seen, desk) → x (B·T, C)
    steps: one for each layer    score: (N, C) → (N, V), the final norm and the head
    """

    heads: Heads
    n_tokens: int
    begin: Callable[[Tensor, Tensor | None, int, Desk], Tensor]
    steps: list[Step]
    score: Callable[[Tensor], Tensor]


def short_form(model: Any, cache: Any, n_to_come: int = 0) -> ShortModel | None:
    """Make the short form of a model.

    model: a causal one    cache: that it is called with
    n_to_come: how many tokens are to come, where they come one by one; with enough of them, the
        weights of a large model are turned round in their place

    Returns None where the model, or what it goes through, is not as minilm has it, or where the
    cache has other windows than the model.
    """
    if not isinstance(cache, Cache) or not (is_own_model(model) and nothing_replaced()):
        return None
    body = model.base_model
    kinds = {type(layer) for layer in body.layers}
    if len(kinds) != 1 or not kinds <= {*MAKERS} or not _same_windows(body, cache):
        return None
    return MAKERS[kinds.pop()](model, body, Room(MOST_COPIED, n_to_come >= WORTH_TURNING))


def _same_windows(body: Any, cache: Cache) -> bool:
    """Whether what a layer's cache gives back is what the layer may see."""
    return all(
        getattr(cache.layer(i), "sliding_window", None) == window
        for i, window in enumerate(body.windows)
    )


# Weights ----------------------------------------------------------------------------------------


class Room:
    """Copy weights into a form that is read faster, as long as there is room for copies.

    n_bytes: how much there is    may_turn: whether weights that are not copied may be turned round
    """

    def __init__(self, n_bytes: int, may_turn: bool = False) -> None:
        self.n_bytes, self.may_turn = n_bytes, may_turn

    def joined(self, *projections: nn.Linear, scale: Tensor | None = None) -> Projection:
        """Make one projection of several that read the same: one call for all of them.

        projections: each with a weight (O, C)    scale: (C,), what x is multiplied by before

        Returns a function, (x (N, C), where to write to or None) → (N, all O).
        """
        weights = [one.weight for one in projections]
        size = sum(weight.nbytes for weight in weights)
        if size > self.n_bytes or len({one.bias is None for one in projections}) > 1:
            if self.may_turn:
                for one in projections:
                    turn_round(one.weight)
            return _one_by_one(projections, scale)
        self.n_bytes -= size
        # As (in, out) one row is read faster than as (out, in).
        weight = torch.cat(weights).t().contiguous()  # (C, all O)
        if scale is not None:
            weight.mul_(scale[:, None])
        has_bias = projections[0].bias is not None
        return product(weight, torch.cat([one.bias for one in projections]) if has_bias else None)


def product(weight: Tensor, bias: Tensor | None) -> Projection:
    """Make a function that projects, the quickest way that there is for a few rows.

    weight: (C, O)    bias: (O,), or None

    Returns a function, (x (N, C), where to write to or None) → (N, O).
    """

    def project(x: Tensor, out: Tensor | None = None) -> Tensor:
        if bias is None:
            return torch.mm(x, weight, out=out)
        return torch.addmm(bias, x, weight, out=out)

    if weight.numel() < LARGE or weight.dtype != torch.float32 or not _has_onednn():
        return project
    linear, turned = torch.ops.mkldnn._linear_pointwise, weight.t()

    def project_several(x: Tensor, out: Tensor | None = None) -> Tensor:
        if len(x) == 1:
            return project(x, out)
        y = linear(x, turned, bias, "none", [], "")  # (N, O)
        return y if out is None else out.copy_(y)

    return project_several


def _has_onednn() -> bool:
    """Whether torch was built with oneDNN, whose product of a few rows needs no copy of a weight."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def turn_round(weight: Tensor) -> None:
    """Let a weight lie in memory as (in, out), which one row is read faster with, in its place.

    weight: (O, C), and so it remains, with the same numbers: its strides alone are others
    """
    if weight.stride(0) != 1:
        weight.data = weight.data.t().contiguous().t()


def _one_by_one(projections: tuple[nn.Linear, ...], scale: Tensor | None) -> Projection:
    """Several projections of the same, with weights as they lie."""
    each = [product(one.weight.t(), one.bias) for one in projections]
    sizes = [len(one.weight) for one in projections]

    def project(x: Tensor, out: Tensor | None = None) -> Tensor:
        if scale is not None:
            x = x * scale
        if out is None:
            out = x.new_empty(len(x), sum(sizes))
        for one, part in zip(each, out.split(sizes, dim=-1), strict=True):
            one(x, part)
        return out

    return project


# Norms ------------------------------------------------------------------------------------------


def _layer_norm(norm: nn.LayerNorm) -> Callable[[Tensor], Tensor]:
    shape, weight, bias, eps = norm.normalized_shape, norm.weight, norm.bias, norm.eps
    return lambda x: torch.layer_norm(x, shape, weight, bias, eps)


def _rms_norm(norm: layers.RMSNorm) -> tuple[Callable[[Tensor], Tensor], Tensor | None]:
    """A norm without its weight, and what its result is still to be multiplied by, or None."""
    weight, eps = norm.weight, norm.eps
    # Rounded at other places it would come out otherwise, and so it would where numbers overflow.
    if weight.dtype != torch.float32 or not weight.abs().max() < 1e18:
        return lambda x: layers.rms_norm(x, weight, eps), None
    # x / √(|x|²/C + eps) = x · √C / √(|x|² + C·eps): the same in three calls instead of seven,
    # and √C goes with the weight.
    root = len(weight) ** 0.5
    small, length = torch.tensor(root * eps**0.5), torch.linalg.vector_norm
    return lambda x: x.div(torch.hypot(length(x, 2, -1, True), small)), weight * root


def _whole_rms_norm(norm: layers.RMSNorm) -> Callable[[Tensor], Tensor]:
    normed, scale = _rms_norm(norm)
    return normed if scale is None else lambda x: normed(x).mul_(scale)


# Positions --------------------------------------------------------------------------------------


def _embedded(body: Any, table: Tensor, ids: Tensor) -> Tensor:
    """Look up the vectors of tokens, (B, T) → (B, T, C)."""
    try:
        return F.embedding(ids, table)
    except (IndexError, RuntimeError):
        return body.embed(ids)  # which says what is wrong with them


# For how many tokens to come the angles are computed at once.
AHEAD = 64


def _turning_start(body: Any) -> Callable[[Tensor, Tensor | None, int, Desk], Tensor]:
    """How a text begins whose heads are turned at every layer."""
    table, angles = body.get_input_embeddings().weight, body.rotary_emb
    # These two depend on the largest position asked for.
    is_steady = angles.rope_type not in ("dynamic", "longrope")
    ahead: list[Any] = [0, ()]  # the first position that is computed, and all from there on

    def angles_of(x: Tensor, seen: int, length: int) -> tuple[Tensor, Tensor]:
        n_ahead = max(AHEAD, length) if is_steady else length
        start, known = ahead
        if not known or not is_steady or not start <= seen <= start + known[0].shape[1] - length:
            positions = torch.arange(seen, seen + n_ahead)[None]  # (1, n)
            ahead[:] = start, known = seen, angles(x, positions)  # (1, n, R) each
        cos, sin = known
        return cos.narrow(1, seen - start, length), sin.narrow(1, seen - start, length)

    def begin(ids: Tensor, positions: Tensor | None, seen: int, desk: Desk) -> Tensor:
        x = _embedded(body, table, ids)  # (B, T, C)
        known = positions is None
        desk.place(angles_of(x, seen, desk.length) if known else angles(x, positions))
        return x.view(-1, x.shape[-1])

    return begin


def _gpt2_start(body: Any) -> Callable[[Tensor, Tensor | None, int, Desk], Tensor]:
    """How a text begins whose tokens get a vector for their position."""
    table, places = body.wte.weight, body.wpe.weight[body.wpe.offset :]  # (n_positions, C)

    def begin(ids: Tensor, positions: Tensor | None, seen: int, desk: Desk) -> Tensor:
        x, end = _embedded(body, table, ids), seen + desk.length  # (B, T, C)
        if positions is None and end <= len(places):
            x += places[seen:end]
        else:
            if positions is None:
                positions = torch.arange(seen, end)[None]  # (1, T)
            x = body.place(x, positions)[0]
        return x.view(-1, x.shape[-1])

    return begin


# One layer, one function ------------------------------------------------------------------------


def _gpt2(model: Any, body: Any, room: Room) -> ShortModel:
    attn = body.layers[0].attn
    norm, head = _layer_norm(body.ln_f), room.joined(model.lm_head)
    heads = Heads(attn.n_heads, attn.n_heads, attn.c_proj.weight.shape[1] // attn.n_heads)
    steps = [_gpt2_step(i, layer) for i, layer in enumerate(body.layers)]
    return ShortModel(
        heads, model.lm_head.out_features, _gpt2_start(body), steps, lambda x: head(norm(x))
    )


def _gpt2_step(i: int, layer: gpt2.GPT2Layer) -> Step:
    attn, mlp = layer.attn, layer.mlp
    norm_1, norm_2 = _layer_norm(layer.ln_1), _layer_norm(layer.ln_2)
    scale, act = attn.scale, mlp.act
    # Their weights lie as (in, out) already.
    qkv, out, up, down = (
        product(one.weight, one.bias) for one in (attn.c_attn, attn.c_proj, mlp.c_fc, mlp.c_proj)
    )

    def step(x: Tensor, desk: Desk) -> Tensor:
        qkv(norm_1(x), desk.rows)  # (N, 3·C)
        x = out(desk.attend(i, scale)).add_(x)  # (N, C)
        return down(act(up(norm_2(x)))).add_(x)

    return step


def _gpt_neox(model: Any, body: Any, room: Room) -> ShortModel:
    attn = body.layers[0].attention
    n_heads, head_dim = attn.n_heads, attn.dense.in_features // attn.n_heads
    heads = Heads(n_heads, n_heads, head_dim, _n_turned(body), by_head=True)
    steps = [_gpt_neox_step(i, layer, room) for i, layer in enumerate(body.layers)]
    norm, head = _layer_norm(body.final_layer_norm), room.joined(model.lm_head)
    return ShortModel(
        heads, model.lm_head.out_features, _turning_start(body), steps, lambda x: head(norm(x))
    )


def _gpt_neox_step(i: int, layer: gpt_neox.GPTNeoXLayer, room: Room) -> Step:
    norm_1 = _layer_norm(layer.input_layernorm)
    norm_2 = _layer_norm(layer.post_attention_layernorm)
    is_parallel, act = layer.parallel, layer.mlp.act
    qkv, out = room.joined(layer.attention.query_key_value), room.joined(layer.attention.dense)
    up, down = room.joined(layer.mlp.dense_h_to_4h), room.joined(layer.mlp.dense_4h_to_h)

    def step(x: Tensor, desk: Desk) -> Tensor:
        qkv(norm_1(x), desk.rows)  # (N, 3·C)
        desk.turn()
        mixed = out(desk.attend(i))  # (N, C)
        seen = x if is_parallel else x + mixed
        return down(act(up(norm_2(seen)))).add_(mixed).add_(x)

    return step


def _llama(model: Any, body: Any, room: Room) -> ShortModel:
    attn = body.layers[0].self_attn
    head_dim = attn.o_proj.in_features // attn.n_heads
    heads = Heads(attn.n_heads, attn.n_kv_heads, head_dim, _n_turned(body))
    steps = [_llama_step(i, layer, room) for i, layer in enumerate(body.layers)]
    norm, scale = _rms_norm(body.norm)
    head = room.joined(model.lm_head, scale=scale)
    return ShortModel(
        heads, model.lm_head.out_features, _turning_start(body), steps, lambda x: head(norm(x))
    )


def _llama_step(i: int, layer: llama.LlamaLayer, room: Room) -> Step:
    attn, mlp = layer.self_attn, layer.mlp
    norm_1, scale_1 = _rms_norm(layer.input_layernorm)
    norm_2, scale_2 = _rms_norm(layer.post_attention_layernorm)
    norm_q, norm_k = (norm and _whole_rms_norm(norm) for norm in (attn.q_norm, attn.k_norm))
    qkv = room.joined(attn.q_proj, attn.k_proj, attn.v_proj, scale=scale_1)
    gate_up = room.joined(mlp.gate_proj, mlp.up_proj, scale=scale_2)
    out, down, act = room.joined(attn.o_proj), room.joined(mlp.down_proj), mlp.act

    def step(x: Tensor, desk: Desk) -> Tensor:
        qkv(norm_1(x), desk.rows)  # (N, (H + 2·H_kv)·D)
        if norm_q is not None and norm_k is not None:
            desk.query_heads.copy_(norm_q(desk.query_heads))
            desk.key_heads.copy_(norm_k(desk.key_heads))
        desk.turn()
        x = out(desk.attend(i)).add_(x)  # (N, C)
        gate, up = gate_up(norm_2(x)).chunk(2, dim=-1)  # (N, F) each
        return down(act(gate).mul_(up)).add_(x)

    return step


def _n_turned(body: Any) -> int:
    """How many dimensions of each head are turned."""
    return 2 * len(body.rotary_emb.inv_freq)


MAKERS: dict[type, Callable[[Any, Any, Room], ShortModel]] = {
    gpt2.GPT2Layer: _gpt2,
    gpt_neox.GPTNeoXLayer: _gpt_neox,
    llama.LlamaLayer: _llama,
}
