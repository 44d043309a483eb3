"""Lesson 06: blocks and the loss. What is right, and what readers write instead."""

from minilm.check.catalogue.causal_lm.activations import GELU_NEW, SWIGLU
from minilm.check.catalogue.causal_lm.blocks import PRE_NORM_BLOCK
from minilm.check.catalogue.causal_lm.labels import NEXT_TOKEN_LABELS
from minilm.check.catalogue.causal_lm.layer_norms import LAYER_NORM
from minilm.check.catalogue.causal_lm.losses import CAUSAL_LM_LOSS
from minilm.check.catalogue.causal_lm.projections import CONV1D
from minilm.check.catalogue.causal_lm.rms_norms import RMS_NORM

# In the order in which the lesson asks for them.
EXERCISES = [
    LAYER_NORM,
    GELU_NEW,
    CONV1D,
    PRE_NORM_BLOCK,
    NEXT_TOKEN_LABELS,
    CAUSAL_LM_LOSS,
    RMS_NORM,
    SWIGLU,
]
