"""A world of short stories whose probabilities are known.

`sample` tells a story, `log_prob` says how probable a text is, `stories` tells those of a split.
"""

from __future__ import annotations

from minilm.world.labels import Entity, Question
from minilm.world.splits import SHARES, entropy, floor, split_of, stories
from minilm.world.story import Sentence, Story, log_prob, read, sample

__all__ = [
    "SHARES",
    "Entity",
    "Question",
    "Sentence",
    "Story",
    "entropy",
    "floor",
    "log_prob",
    "read",
    "sample",
    "split_of",
    "stories",
]
