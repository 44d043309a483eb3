"""The small parts between attentions: norms, activations, feed-forward networks.

Some stand here twice: written out, as a reader writes them, and as torch's fused function, which
the classes use for speed. Once a reader's own function is in use, the classes use that.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilm.errors import InvalidInput


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Give each vector mean 0 and variance 1, then scale and shift it (Ba et al. 2016).

    x: (..., C)    weight, bias: (C,)    eps: added to the variance, inside the root

    Returns a tensor like x. The variance is that of the C numbers themselves: divide by C.
    """
    centered = x - x.mean(dim=-1, keepdim=True)  # (..., C)
    variance = centered.pow(2).mean(dim=-1, keepdim=True)  # (..., 1)
    return centered * torch.rsqrt(variance + eps) * weight + bias


def rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
    """Give each vector a root mean square of 1, then scale it (Zhang and Sennrich 2019).

    x: (..., C)    weight: (C,)    eps: added to the mean square, inside the root

    Returns a tensor like x; the root is taken in float32, as in transformers' `LlamaRMSNorm`.
    """
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    mean_square = precise.pow(2).mean(dim=-1, keepdim=True)  # (..., 1)
    return weight * (precise * torch.rsqrt(mean_square + eps)).to(x.dtype)


def gelu_new(x: Tensor) -> Tensor:
    """Let large numbers through and small ones hardly: GELU, by way of tanh (GPT-2's).

    x: any shape    Returns x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))) (Hendrycks, Gimpel 2016).
    """
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x.pow(3))
    return 0.5 * x * (1 + torch.tanh(inner))


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """Let one projection open and close the other: silu(gate) · up (Shazeer 2020).

    gate, up: (..., F)

    Returns a tensor like both. silu(x) = x · sigmoid(x).
    """
    return gate * torch.sigmoid(gate) * up


def conv1d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Project vectors with a weight that lies as (in, out), GPT-2's way; `nn.Linear` has (out, in).

    x: (..., C_in)    weight: (C_in, C_out)    bias: (C_out,)

    Returns (..., C_out).
    """
    return x @ weight + bias


def pre_norm_block(
    x: Tensor,
    attend: Callable[[Tensor], tuple[Tensor, Any]],
    think: Callable[[Tensor], Tensor],
    norm_1: Callable[[Tensor], Tensor],
    norm_2: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Any]:
    """Let attention, then a network, read the stream normed and add what they have to say to it.

    x: (B, T, C), the residual stream    attend: returns (B, T, C) and weights
    think: the feed-forward network    norm_1, norm_2: before each of the two

    Returns the stream (B, T, C), never normed itself, and the weights.
    """
    mixed, weights = attend(norm_1(x))
    x = x + mixed
    return x + think(norm_2(x)), weights


# What minilm itself defines above: as long as a name still stands for it, torch's fused form of the
# same function may run in its place.
_OWN = {f.__name__: f for f in (layer_norm, rms_norm, gelu_new, swiglu, conv1d)}


class LayerNorm(nn.LayerNorm):
    """Normalise the last dimension by mean and variance; see `layer_norm`."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise.

        x: (..., C)
        """
        if layer_norm is _OWN["layer_norm"]:
            return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return layer_norm(x, self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    """Normalise the last dimension by its root mean square; see `rms_norm`."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise.

        x: (..., C)
        """
        # torch's fused form is no quicker on a CPU, and differs in the last bit.
        return rms_norm(x, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Say what it was made of, where a model is printed."""
        return f"{len(self.weight)}, eps={self.eps}"


class Conv1D(nn.Module):
    """Project with an (in, out) weight, as in GPT-2's files; see `conv1d`."""

    def __init__(self, width_out: int, width_in: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_in, width_out).normal_(std=0.02))
        self.bias = nn.Parameter(torch.zeros(width_out))

    def forward(self, x: Tensor) -> Tensor:
        """Project.

        x: (..., C_in)    Returns (..., C_out).
        """
        if conv1d is _OWN["conv1d"]:
            flat = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight)
            return flat.view(*x.shape[:-1], self.weight.shape[1])
        return conv1d(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Say what it was made of, where a model is printed."""
        return "{}, {}".format(*self.weight.shape)


def _gelu_new(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh") if gelu_new is _OWN["gelu_new"] else gelu_new(x)


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _relu_squared(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _unbent(x: Tensor) -> Tensor:
    return x


# By the names that config.json uses; five of them are GPT-2's GELU.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_accurate": _gelu_new,
    "gelu_fast": _gelu_new,
    "gelu_new": _gelu_new,
    "gelu_python": F.gelu,
    "gelu_python_tanh": _gelu_new,
    "gelu_pytorch_tanh": _gelu_new,
    "hardswish": F.hardswish,
    "leaky_relu": F.leaky_relu,
    "linear": _unbent,
    "mish": F.mish,
    "quick_gelu": _quick_gelu,
    "relu": F.relu,
    "relu2": _relu_squared,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """Find an activation by its name in config.json.

    name: "gelu_new", "silu" …

    Raises InvalidInput for a name that is not known.
    """
    if name not in ACTIVATIONS:
        near = difflib.get_close_matches(str(name), ACTIVATIONS, n=1, cutoff=0.6)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InvalidInput(
            f"The activation {name!r} was given; known are {', '.join(ACTIVATIONS)}.{hint}"
        )
    return ACTIVATIONS[name]


class MLP(nn.Module):
    """Widen each vector, bend it, and narrow it again.

    up, down: the projections    act: the name of what is between them
    """

    def __init__(self, up: nn.Module, act: str, down: nn.Module) -> None:
        super().__init__()
        self.up = up
        self.act = activation(act)
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token's vector.

        x: (B, T, C)    Returns (B, T, C).
        """
        return self.down(self.act(self.up(x)))


class GatedMLP(nn.Module):
    """Widen each vector twice, let one half gate the other, and narrow it again (Llama)."""

    def __init__(self, width: int, inner: int, act: str = "silu", bias: bool = False) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=bias)
        self.up_proj = nn.Linear(width, inner, bias=bias)
        self.down_proj = nn.Linear(inner, width, bias=bias)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token's vector.

        x: (B, T, C)    Returns (B, T, C).
        """
        gate, up = self.gate_proj(x), self.up_proj(x)  # (B, T, F) each
        if self.act is F.silu and swiglu is not _OWN["swiglu"]:
            return self.down_proj(swiglu(gate, up))
        return self.down_proj(self.act(gate) * up)
