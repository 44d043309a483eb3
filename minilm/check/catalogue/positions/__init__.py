"""Lesson 03: positions counted, in waves, turned, in buckets, as slopes; and readers' mistakes."""

from minilm.check.catalogue.positions.angles import ROTARY_COS_SIN, ROTARY_FREQUENCIES
from minilm.check.catalogue.positions.buckets import RELATIVE_POSITION_BUCKET
from minilm.check.catalogue.positions.counting import POSITION_IDS_FROM_MASK
from minilm.check.catalogue.positions.slopes import ALIBI_SLOPES
from minilm.check.catalogue.positions.turning import APPLY_ROTARY_POS_EMB, ROTATE_HALF
from minilm.check.catalogue.positions.waves import SINUSOID_TABLE

# In the order in which the lesson asks for them.
EXERCISES = [
    POSITION_IDS_FROM_MASK,
    SINUSOID_TABLE,
    ROTARY_FREQUENCIES,
    ROTARY_COS_SIN,
    ROTATE_HALF,
    APPLY_ROTARY_POS_EMB,
    RELATIVE_POSITION_BUCKET,
    ALIBI_SLOPES,
]
