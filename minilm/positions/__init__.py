"""How a model learns where a token stands: counted, learned, sinusoidal, turned, or as a distance.

The names below are looked up in their own modules each time, so that a function which a reader
has replaced there is the one that is found here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minilm.positions.alibi import alibi_bias as alibi_bias
    from minilm.positions.alibi import alibi_slopes as alibi_slopes
    from minilm.positions.counting import position_ids_from_mask as position_ids_from_mask
    from minilm.positions.learned import LearnedPositions as LearnedPositions
    from minilm.positions.relative_bias import RelativePositionBias as RelativePositionBias
    from minilm.positions.relative_bias import relative_position_bucket as relative_position_bucket
    from minilm.positions.rotary import RotaryEmbedding as RotaryEmbedding
    from minilm.positions.rotary import apply_rotary_pos_emb as apply_rotary_pos_emb
    from minilm.positions.rotary import interleaved_to_half as interleaved_to_half
    from minilm.positions.rotary import rotary_cos_sin as rotary_cos_sin
    from minilm.positions.rotary import rotary_frequencies as rotary_frequencies
    from minilm.positions.rotary import rotate_half as rotate_half
    from minilm.positions.rotary_scaling import SCALINGS as SCALINGS
    from minilm.positions.rotary_scaling import scaled_frequencies as scaled_frequencies
    from minilm.positions.sinusoidal import SinusoidalPositions as SinusoidalPositions
    from minilm.positions.sinusoidal import sinusoid_table as sinusoid_table

# Public name -> the module it lives in.
_HOMES = {
    "position_ids_from_mask": "counting",
    "LearnedPositions": "learned",
    "SinusoidalPositions": "sinusoidal",
    "sinusoid_table": "sinusoidal",
    "RotaryEmbedding": "rotary",
    "apply_rotary_pos_emb": "rotary",
    "interleaved_to_half": "rotary",
    "rotary_cos_sin": "rotary",
    "rotary_frequencies": "rotary",
    "rotate_half": "rotary",
    "SCALINGS": "rotary_scaling",
    "scaled_frequencies": "rotary_scaling",
    "RelativePositionBias": "relative_bias",
    "relative_position_bucket": "relative_bias",
    "alibi_bias": "alibi",
    "alibi_slopes": "alibi",
}

__all__ = [*_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
