"""Lesson 09: from blocks of text to a step, and to a number for the whole. What readers write."""

from minilm.check.catalogue.training.accumulation import ACCUMULATE
from minilm.check.catalogue.training.blocks import GROUP_TEXTS
from minilm.check.catalogue.training.counts import COUNT_TARGETS
from minilm.check.catalogue.training.labels import CAUSAL_LABELS
from minilm.check.catalogue.training.perplexities import PERPLEXITY
from minilm.check.catalogue.training.schedules import LINEAR_WITH_WARMUP
from minilm.check.catalogue.training.updates import ADAMW_UPDATE, OPTIMIZER_STEP

# In the order in which the lesson asks for them.
EXERCISES = [
    GROUP_TEXTS,
    CAUSAL_LABELS,
    ADAMW_UPDATE,
    LINEAR_WITH_WARMUP,
    OPTIMIZER_STEP,
    COUNT_TARGETS,
    ACCUMULATE,
    PERPLEXITY,
]
