"""Rotary frequencies for texts longer than those a model was first trained on.

Each scaling slows the turning down, so that a far position is turned no further than the model has
seen, and each spares the quick pairs, which tell neighbours apart, in its own way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from minilm.errors import InvalidInput, WrongType
from minilm.positions import rotary

DEFAULT_BASE = 10000.0


@dataclass(frozen=True)
class Setting:
    """What a scaling knows: the model's rotary parameters, and for which length it is asked.

    head_dim: D    rope_type: its name    parameters: `rope_parameters` of a config.json
    max_position_embeddings: tokens the model is made for
    length: tokens of the text at hand; None = not longer than trained
    """

    head_dim: int
    rope_type: str
    parameters: Mapping[str, Any]
    max_position_embeddings: int
    length: int | torch.Tensor | None

    @property
    def rotary_dim(self) -> int:
        """How many dimensions of a head turn."""
        return int(self.head_dim * self.number("partial_rotary_factor", 1.0))

    @property
    def base(self) -> float:
        """The base of the frequencies' powers."""
        return self.number("rope_theta", DEFAULT_BASE)

    @property
    def trained_length(self) -> int:
        """How many tokens the model knew before its texts were made longer."""
        # A model that says nothing of it was made for one length alone.
        return self.number("original_max_position_embeddings", self.max_position_embeddings)

    def get(self, key: str) -> Any:
        """Take a parameter that must be there."""
        if key not in self.parameters:
            raise InvalidInput(
                f"rope_parameters of type '{self.rope_type}' lack '{key}'; there are "
                f"{sorted(self.parameters)}. Add it, as the model's config.json has it."
            )
        return self.parameters[key]

    def number(self, key: str, default: float | None = None) -> Any:
        """Take a parameter that is a positive number; without a default it must be there."""
        value = self.get(key) if default is None else self.parameters.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            raise InvalidInput(
                f"rope_parameters['{key}']={value!r} was given; '{self.rope_type}' takes a "
                "positive number."
            )
        return value

    def optional(self, key: str, default: float) -> Any:
        """Take a parameter for which 0 and None mean "as usual", as they do in transformers."""
        return self.number(key) if self.parameters.get(key) else default

    def frequencies(self, base: float | None = None) -> torch.Tensor:
        """Give the frequencies of embeddings that are not scaled, (R/2,), for this or another base."""
        base = self.base if base is None else base
        if self.rotary_dim % 2:  # of 5 dimensions transformers turns 6; these are the same numbers
            return rotary.rotary_frequencies(2 * self.rotary_dim, base)[::2]
        return rotary.rotary_frequencies(self.rotary_dim, base)

    def spans(self) -> torch.Tensor:
        """Give how many positions each pair takes to turn by one radian, (R/2,): 1 / frequency.

        Not by inverting an inverse: the last digit would be off, and position ten thousand makes
        that ten thousand times as much.
        """
        exponents = torch.arange(0, self.rotary_dim, 2, dtype=torch.float32) / self.rotary_dim
        return self.base**exponents


Frequencies = tuple[torch.Tensor, float]


def unscaled(setting: Setting) -> Frequencies:
    """Scale nothing (Su et al. 2021)."""
    return setting.frequencies(), 1.0


def linear(setting: Setting) -> Frequencies:
    """Turn everything `factor` times as slowly (Chen et al. 2023)."""
    return setting.frequencies() / setting.number("factor"), 1.0


def dynamic(setting: Setting) -> Frequencies:
    """Raise the base with the length of the text, which slows the slow pairs most (NTK scaling)."""
    factor, dim = setting.number("factor"), setting.rotary_dim
    if dim <= 2:
        raise InvalidInput(f"'dynamic' takes more than 2 dimensions that turn; there are {dim}.")
    trained = setting.max_position_embeddings
    length = trained if setting.length is None else max(setting.length, trained)
    stretch = factor * length / trained - (factor - 1)
    return setting.frequencies(setting.base * stretch ** (dim / (dim - 2))), 1.0


def yarn(setting: Setting) -> Frequencies:
    """Spare the pairs that made many turns in training, slow down those that made hardly one.

    Between the two lies a ramp, from `beta_fast` turns down to `beta_slow` (Peng et al. 2024).
    """
    dim, trained = setting.rotary_dim, setting.trained_length
    factor = setting.get("factor")
    factor = (
        setting.max_position_embeddings / trained if factor is None else setting.number("factor")
    )

    def dimension_that_makes(turns: float) -> float:
        return dim * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(setting.base))

    low = dimension_that_makes(setting.optional("beta_fast", 32))
    high = dimension_that_makes(setting.optional("beta_slow", 1))
    if setting.parameters.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    if low == high:  # a step in place of a ramp
        high += 0.001
    pairs = torch.arange(dim // 2, dtype=torch.float32)  # (R/2,)
    kept = 1 - ((pairs - low) / (high - low)).clamp(0, 1)  # 1 = spared, 0 = slowed down
    slowed = 1.0 / (factor * setting.spans())
    frequencies = slowed * (1 - kept) + setting.frequencies() * kept
    return frequencies, _attention_factor_of_yarn(setting, factor)


def _attention_factor_of_yarn(setting: Setting, factor: float) -> float:
    """Say what cosines and sines grow by: over more tokens the softmax must be sharper."""
    if setting.parameters.get("attention_factor") is not None:
        return setting.number("attention_factor")

    def growth(mscale: float) -> float:
        return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0

    mscale, mscale_all_dim = setting.optional("mscale", 0), setting.optional("mscale_all_dim", 0)
    if mscale and mscale_all_dim:  # DeepSeek's: the rest of it is in the scale of its scores
        return growth(mscale) / growth(mscale_all_dim)
    return growth(1)


def longrope(setting: Setting) -> Frequencies:
    """Slow down each pair by a factor found by search, for short texts and long (Ding et al. 2024).

    Past the trained length all positions take the long factors, the early ones too.
    """
    trained, n_pairs = setting.trained_length, len(setting.spans())
    factors = {key: setting.get(key) for key in ("short_factor", "long_factor")}
    for key, values in factors.items():
        if not isinstance(values, (list, tuple)) or len(values) != n_pairs:
            size = len(values) if isinstance(values, (list, tuple)) else repr(values)
            raise InvalidInput(
                f"rope_parameters['{key}'] has {size} numbers; there are {n_pairs} pairs of "
                f"dimensions that turn (head_dim={setting.head_dim}). Give one number for each."
            )
    is_long = setting.length is not None and setting.length > trained
    slowing = torch.tensor(factors["long_factor" if is_long else "short_factor"])
    frequencies = 1.0 / (slowing.float() * setting.spans())
    if setting.parameters.get("attention_factor") is not None:
        return frequencies, setting.number("attention_factor")
    factor = setting.number("factor", setting.max_position_embeddings / trained)
    growth = math.sqrt(1 + math.log(factor) / math.log(trained)) if factor > 1 else 1.0
    return frequencies, growth


def llama3(setting: Setting) -> Frequencies:
    """Slow down what turns less than `low_freq_factor` times in the trained length (Llama 3.1).

    What turns more than `high_freq_factor` times is spared; between them it is mixed.
    """
    factor, trained = setting.number("factor"), setting.trained_length
    low, high = setting.number("low_freq_factor"), setting.number("high_freq_factor")
    frequencies = setting.frequencies()  # (R/2,)
    wavelengths = 2 * math.pi / frequencies
    kept = (trained / wavelengths - low) / (high - low)
    mixed = (1 - kept) * frequencies / factor + kept * frequencies
    slow, quick = wavelengths > trained / low, wavelengths < trained / high
    return torch.where(slow, frequencies / factor, torch.where(quick, frequencies, mixed)), 1.0


def proportional(setting: Setting) -> Frequencies:
    """Let only the quickest pairs turn, the others stand still (Gemma 4)."""
    turning = int(setting.number("partial_rotary_factor", 1.0) * setting.head_dim // 2)
    frequencies = rotary.rotary_frequencies(setting.head_dim, setting.base)  # (D/2,)
    still = torch.zeros(len(frequencies) - turning)
    frequencies = torch.cat([frequencies[:turning], still.float()])
    return frequencies / setting.number("factor", 1.0), 1.0


SCALINGS: dict[str, Callable[[Setting], Frequencies]] = {
    "default": unscaled,
    "linear": linear,
    "dynamic": dynamic,
    "yarn": yarn,
    "longrope": longrope,
    "llama3": llama3,
    "proportional": proportional,
}


def scaled_frequencies(
    head_dim: int,
    rope_parameters: Mapping[str, Any] | None,
    max_position_embeddings: int,
    length: int | torch.Tensor | None = None,
) -> Frequencies:
    """Give the rotary frequencies of a model, scaled as its config.json says.

    head_dim: D    max_position_embeddings: tokens the model is made for
    rope_parameters: as in config.json: rope_type (or type), rope_theta, partial_rotary_factor, and
        what the type takes; None = no scaling, base 10000
    length: tokens of the text at hand, for the types that look at it ("dynamic", "longrope"); a
        tensor gives float32's rounding, as in transformers' forward

    Returns float32 frequencies (R/2,), R the dimensions that turn, and the attention scaling, which
    multiplies cosines and sines.
    Raises InvalidInput for an unknown type, a missing or wrong parameter, or an odd head_dim.
    Equals transformers' `ROPE_INIT_FUNCTIONS`.
    """
    rope_type, parameters = rope_type_of(rope_parameters)
    if not isinstance(max_position_embeddings, (int, float)) or not max_position_embeddings > 0:
        raise InvalidInput(
            f"max_position_embeddings={max_position_embeddings!r} was given; it is the number of "
            "tokens the model is made for, 1 or more."
        )
    setting = Setting(head_dim, rope_type, parameters, max_position_embeddings, length)
    dim = setting.rotary_dim
    if not 0 < dim <= head_dim or (dim == head_dim and dim % 2):
        share = f" and partial_rotary_factor={dim / head_dim:.3g}" if 0 != dim != head_dim else ""
        raise InvalidInput(
            f"head_dim={head_dim}{share} was given: {dim} dimensions would turn. They turn in "
            "pairs: give an even head_dim, and a factor above 0 and up to 1."
        )
    return SCALINGS[rope_type](setting)


def rope_type_of(rope_parameters: Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]]:
    """Read which scaling a config.json asks for.

    rope_parameters: the dict of a config.json, or None

    Returns the type, and the parameters. Raises InvalidInput for a type that is not known, or for
    several sets of parameters in one dict, and WrongType if it is no dict.
    """
    parameters = {} if rope_parameters is None else rope_parameters
    if not isinstance(parameters, Mapping):
        raise WrongType(f"rope_parameters={parameters!r} was given; it takes a dict, or None.")
    nested = [key for key, value in parameters.items() if isinstance(value, Mapping)]
    if nested:
        raise InvalidInput(
            f"rope_parameters holds a set for each kind of layer, {nested}. Give one of the sets."
        )
    rope_type = parameters.get("rope_type") or parameters.get("type") or "default"
    if rope_type not in SCALINGS:
        raise InvalidInput(
            f"rope_type={rope_type!r} was given; minilm knows {', '.join(SCALINGS)}."
        )
    return rope_type, parameters


def unchanged_length(
    rope_type: str, rope_parameters: Mapping[str, Any], max_position_embeddings: int
) -> float:
    """Say up to how many tokens a model's frequencies stay what they are.

    rope_type, rope_parameters: as `rope_type_of` returns them
    max_position_embeddings: tokens the model is made for

    Returns a number of tokens: infinitely many, but for the types that look at the length.
    """
    setting = Setting(0, rope_type, rope_parameters, max_position_embeddings, None)
    lengths = {"dynamic": max_position_embeddings, "longrope": setting.trained_length}
    return lengths.get(rope_type, math.inf)
