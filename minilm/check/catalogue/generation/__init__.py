"""Lesson 08: from scores to a text. What is right, and what readers write instead."""

from minilm.check.catalogue.generation.beams import BEAM_STEP
from minilm.check.catalogue.generation.filters import (
    KEEP_MIN_P,
    KEEP_TOP_K,
    KEEP_TOP_P,
    WITH_TEMPERATURE,
)
from minilm.check.catalogue.generation.guesses import ACCEPT_GUESSES, LOOK_UP
from minilm.check.catalogue.generation.loops import CHOOSE_NEXT, WRITE_TOKENS
from minilm.check.catalogue.generation.penalties import PENALIZE_REPETITION

# In the order in which the lesson asks for them.
EXERCISES = [
    CHOOSE_NEXT,
    WRITE_TOKENS,
    WITH_TEMPERATURE,
    KEEP_TOP_K,
    KEEP_TOP_P,
    KEEP_MIN_P,
    PENALIZE_REPETITION,
    BEAM_STEP,
    LOOK_UP,
    ACCEPT_GUESSES,
]
