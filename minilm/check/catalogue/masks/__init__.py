"""Lesson 04: who may look at whom. What is right, and what readers write instead."""

from minilm.check.catalogue.masks.causal import CAUSAL_MASK
from minilm.check.catalogue.masks.documents import DOCUMENT_IDS_FROM_POSITIONS, DOCUMENT_MASK
from minilm.check.catalogue.masks.padding import PADDING_MASK
from minilm.check.catalogue.masks.prefix import PREFIX_MASK
from minilm.check.catalogue.masks.scores import MASK_TO_SCORES
from minilm.check.catalogue.masks.windows import SLIDING_WINDOW_MASK

# In the order in which the lesson asks for them.
EXERCISES = [
    CAUSAL_MASK,
    PADDING_MASK,
    SLIDING_WINDOW_MASK,
    PREFIX_MASK,
    DOCUMENT_IDS_FROM_POSITIONS,
    DOCUMENT_MASK,
    MASK_TO_SCORES,
]
