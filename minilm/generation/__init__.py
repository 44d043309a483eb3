"""Generation: from a prompt to a text, token by token (lesson 08).

Each name is looked up in its own module every time, so that a reader's function takes effect.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PROCESSORS = (
    "ExponentialDecayLengthPenalty",
    "ForcedBOSTokenLogitsProcessor",
    "ForcedEOSTokenLogitsProcessor",
    "InfNanRemoveLogitsProcessor",
    "LogitNormalization",
    "LogitsProcessor",
    "LogitsProcessorList",
    "MinLengthLogitsProcessor",
    "MinNewTokensLengthLogitsProcessor",
    "NoBadWordsLogitsProcessor",
    "PrefixConstrainedLogitsProcessor",
    "SequenceBiasLogitsProcessor",
    "SuppressTokensAtBeginLogitsProcessor",
    "SuppressTokensLogitsProcessor",
)
_ABOUT_REPETITION = (
    "EncoderNoRepeatNGramLogitsProcessor",
    "EncoderRepetitionPenaltyLogitsProcessor",
    "NoRepeatNGramLogitsProcessor",
    "RepetitionPenaltyLogitsProcessor",
)
_WARPERS = (
    "EpsilonLogitsWarper",
    "EtaLogitsWarper",
    "MinPLogitsWarper",
    "TemperatureLogitsWarper",
    "TopHLogitsWarper",
    "TopKLogitsWarper",
    "TopPLogitsWarper",
    "TypicalLogitsWarper",
)
_CRITERIA = (
    "EosTokenCriteria",
    "MaxLengthCriteria",
    "MaxTimeCriteria",
    "StopStringCriteria",
    "StoppingCriteria",
    "StoppingCriteriaList",
)
# Public name -> the module it lives in.
_HOMES = {
    **dict.fromkeys(_PROCESSORS, "minilm.generation.processors"),
    **dict.fromkeys(_ABOUT_REPETITION, "minilm.generation.repetition"),
    **dict.fromkeys(_WARPERS, "minilm.generation.warpers"),
    **dict.fromkeys(_CRITERIA, "minilm.generation.criteria"),
    "BaseStreamer": "minilm.generation.streamers",
    "GenerateBeamDecoderOnlyOutput": "minilm.generation.outputs",
    "GenerateDecoderOnlyOutput": "minilm.generation.outputs",
    "GenerationConfig": "minilm.generation.config",
    "GenerationWarning": "minilm.generation.config",
    "TextIteratorStreamer": "minilm.generation.streamers",
    "TextStreamer": "minilm.generation.streamers",
}

__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'minilm.generation' has no attribute '{name}'")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
