"""Lesson 05: attention, heads, caches. What is right, and what readers write instead."""

from minilm.check.catalogue.attention.caches import CACHE_BYTES, KEEP_WINDOW, WRITE_IN_PLACE
from minilm.check.catalogue.attention.decoding import CACHED_ATTENTION
from minilm.check.catalogue.attention.heads import MERGE_HEADS, REPEAT_KV, SPLIT_HEADS
from minilm.check.catalogue.attention.mixing import EAGER_ATTENTION
from minilm.check.catalogue.attention.scores import ATTENTION_SCORES, MASKED_SOFTMAX

# In the order in which the lesson asks for them.
EXERCISES = [
    ATTENTION_SCORES,
    MASKED_SOFTMAX,
    EAGER_ATTENTION,
    SPLIT_HEADS,
    MERGE_HEADS,
    REPEAT_KV,
    CACHE_BYTES,
    WRITE_IN_PLACE,
    KEEP_WINDOW,
    CACHED_ATTENTION,
]
