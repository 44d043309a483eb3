"""Rotary positions: queries and keys are turned, so that their product knows the distance alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from minilm.errors import InvalidInput, WrongType


def rotary_frequencies(head_dim: int, base: float = 10000.0) -> torch.Tensor:
    """Say how far each pair of dimensions turns per position (Su et al. 2021, RoFormer).

    head_dim: D, even    base: the larger, the slower the last pairs turn

    Returns float32 (D/2,), in radians: base^(-2i/D) for pair i.
    Raises InvalidInput if head_dim is odd or not positive.
    Equals the `inv_freq` of transformers' `LlamaRotaryEmbedding`.
    """
    if head_dim < 2 or head_dim % 2:
        raise InvalidInput(f"head_dim={head_dim} was given; pairs need an even number of them.")
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim  # (D/2,)
    return 1.0 / base**exponents


def rotary_cos_sin(
    position_ids: torch.Tensor, inv_freq: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the cosine and sine of the angle of every dimension at every position.

    position_ids: integers (B, T)    inv_freq: float32 (D/2,), radians per position

    Returns cos and sin, each float32 (B, T, D). Half-split: angle i serves dimensions i and i + D/2.
    Equals the forward of transformers' `LlamaRotaryEmbedding`.
    """
    angles = position_ids[..., None].float() * inv_freq.float()  # (B, T, D/2)
    angles = torch.cat([angles, angles], dim=-1)  # (B, T, D)
    return angles.cos(), angles.sin()


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    """Turn each pair (x_i, x_{i + D/2}) by a quarter: the second half, negated, then the first.

    x: (..., D)

    Returns a tensor like x. Equals transformers' `rotate_half`.
    """
    first, second = x.chunk(2, dim=-1)  # (..., D/2) each
    return torch.cat([-second, first], dim=-1)  # (..., D)


def apply_rotary_pos_emb(
    q: torch.Tensor,
    k: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    unsqueeze_dim: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn queries and keys by the angles of their positions; values are not turned.

    q: (B, H, T, D)    k: (B, H_kv, T, D)
    cos, sin: (B or 1, T, R), R at most D: the first R dimensions turn, the rest pass through
    unsqueeze_dim: where cos and sin get the heads' dimension; 2 for q and k of (B, T, H, D)

    Returns the turned q and k. Equals transformers' function, GPT-NeoX's for R < D.
    """
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)  # (B or 1, 1, T, R)
    n_turned = cos.shape[-1]

    def turn(x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] > n_turned:
            return torch.cat([turn(x[..., :n_turned]), x[..., n_turned:]], dim=-1)
        return x * cos + rotate_half(x) * sin

    return turn(q), turn(k)


def interleaved_to_half(weight: torch.Tensor, n_heads: int) -> torch.Tensor:
    """Reorder a query or key projection from neighbouring pairs to half-split ones.

    Meta's own files turn dimensions (0, 1), (2, 3) ...; here, as in transformers, (i, i + D/2).

    weight: (H * D, C), or a bias (H * D,)    n_heads: H; H_kv for a key projection

    Returns a tensor of the same shape: within each head first the even rows, then the odd ones.
    Raises InvalidInput if the rows are not an even number for each head.
    Equals the reordering in transformers' conversion of Llama's weights.
    """
    if n_heads < 1 or len(weight) % (2 * n_heads):
        raise InvalidInput(
            f"{len(weight)} rows cannot be divided into n_heads={n_heads} heads of pairs."
        )
    pairs = weight.unflatten(0, (n_heads, -1, 2))  # (H, D/2, 2, ...)
    return pairs.transpose(1, 2).flatten(0, 2)  # (H * D, ...)


# Positions whose cosines and sines are kept once they were asked for: 16 MB in float32 for heads of
# 128 dimensions. Past them each call computes its own, which costs as much as in transformers.
MOST_ROWS = 16_384


class RotaryEmbedding(nn.Module):
    """Give the cosines and sines that queries and keys are turned by.

    head_dim: D    max_position_embeddings: tokens the model is made for
    rope_parameters: as in config.json (see `scaled_frequencies`); None = no scaling, base 10000

    Nothing here is trained or in the state dict, and the frequencies stay float32 when the model
    goes to bfloat16, whose three digits would turn position 1,000 by quite another angle.
    The frequencies of "dynamic" and "longrope" depend on the largest position of the call alone.
    (For "dynamic", transformers remembers the longest text so far: a text gets other numbers there
    when a longer one came before it.)

    Raises InvalidInput as `scaled_frequencies` does.
    Equals transformers' `LlamaRotaryEmbedding`, and with partial_rotary_factor GPT-NeoX's.
    """

    def __init__(
        self,
        head_dim: int,
        max_position_embeddings: int = 2048,
        rope_parameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        # Imported here, since the scalings build on the functions above.
        from minilm.positions import rotary_scaling

        self.rope_type, self.rope_parameters = rotary_scaling.rope_type_of(rope_parameters)
        self.head_dim = head_dim
        self.max_position_embeddings = max_position_embeddings
        # Plain attributes: buffers would follow the model's dtype.
        self.inv_freq, self.attention_scaling = self._frequencies()  # (R/2,)
        self._holds_for = rotary_scaling.unchanged_length(
            self.rope_type, self.rope_parameters, max_position_embeddings
        )
        self._long_inv_freq: torch.Tensor | None = None
        self._rows: dict[torch.dtype, torch.Tensor] = {}  # (n, 2R), cosines beside sines

    def forward(
        self, x: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the cosines and sines of positions.

        x: a tensor of the dtype and on the device they are wanted in    position_ids: (B, T)

        Returns cos and sin, each (B, T, R) in x's dtype, times the attention scaling. R = D, or
        less by partial_rotary_factor. Raises WrongType for positions that are no tensor.
        """
        if not isinstance(position_ids, torch.Tensor):
            raise WrongType(
                f"position_ids is a {type(position_ids).__name__}; give a tensor of whole numbers, "
                "such as position_ids_from_mask makes."
            )
        if x.is_cpu and position_ids.numel() and not torch.compiler.is_compiling():
            highest = int(position_ids.max())
            if highest < min(MOST_ROWS, self._holds_for):
                rows = self._rows_through(highest, x.dtype)
                try:
                    cos, sin = torch.embedding(rows, position_ids).chunk(2, dim=-1)  # (B, T, R)
                    return cos, sin
                except (IndexError, RuntimeError):
                    pass  # negative positions and fractions have no row: compute theirs
        cos, sin = rotary_cos_sin(position_ids, self._frequencies_for(position_ids).to(x.device))
        scaling = self.attention_scaling
        return (cos * scaling).to(x.dtype), (sin * scaling).to(x.dtype)  # (B, T, R)

    def _rows_through(self, highest: int, dtype: torch.dtype) -> torch.Tensor:
        """Return the kept rows of a dtype, made or made longer when `highest` is not among them."""
        rows = self._rows.get(dtype)
        if rows is None or len(rows) <= highest:
            n_rows = max(256, 1 << highest.bit_length())
            positions = torch.arange(n_rows, device="cpu")[None]  # (1, n)
            cos, sin = rotary_cos_sin(positions, self.inv_freq.cpu())  # (1, n, R)
            rows = torch.cat([cos, sin], dim=-1)[0] * self.attention_scaling  # (n, 2R)
            self._rows[dtype] = rows = rows.to(dtype)
        return rows

    def _frequencies_for(self, position_ids: torch.Tensor) -> torch.Tensor:
        """Return the frequencies that a text with these positions is turned by."""
        if math.isinf(self._holds_for) or position_ids.is_meta or not position_ids.numel():
            return self.inv_freq
        # A float32 tensor, for the rounding of transformers' forward, whatever the default dtype.
        length = (position_ids.max() + 1).cpu().float()
        if length <= self._holds_for:
            return self.inv_freq
        if self.rope_type == "longrope":  # the same for every length past the trained one
            if self._long_inv_freq is None:
                self._long_inv_freq, _ = self._frequencies(length)
            return self._long_inv_freq
        return self._frequencies(length)[0]

    def _frequencies(self, length: torch.Tensor | None = None) -> tuple[torch.Tensor, float]:
        """Compute frequencies and attention scaling, on the CPU: the same numbers everywhere."""
        from minilm.positions.rotary_scaling import scaled_frequencies

        with torch.device("cpu"):
            return scaled_frequencies(
                self.head_dim, self.rope_parameters, self.max_position_embeddings, length
            )

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        """Follow the module to another device, and to no other dtype."""
        super()._apply(fn, recurse)
        device = fn(self.inv_freq).device
        if device.type != "meta":  # from there no number would come back
            self.inv_freq = self.inv_freq.to(device)
            if self._long_inv_freq is not None:
                self._long_inv_freq = self._long_inv_freq.to(device)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave the rows out of copies and files: they are made again when they are needed."""
        return {**self.__dict__, "_rows": {}}

    def extra_repr(self) -> str:
        """Say what it was made of, where a model is printed."""
        return f"{self.head_dim}, {self.max_position_embeddings}, rope_type={self.rope_type!r}"
