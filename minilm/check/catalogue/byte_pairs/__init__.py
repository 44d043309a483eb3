"""Lesson 01: bytes, words, pairs, merges. What is right, and what readers write instead."""

from minilm.check.catalogue.byte_pairs.characters import BYTE_ALPHABET, UTF8_BYTES
from minilm.check.catalogue.byte_pairs.decoding import TOKENS_TO_TEXT
from minilm.check.catalogue.byte_pairs.encoding import APPLY_MERGES
from minilm.check.catalogue.byte_pairs.pairs import COUNT_PAIRS, MERGE_PAIR
from minilm.check.catalogue.byte_pairs.training import MERGE_ORDER, TRAIN_BPE
from minilm.check.catalogue.byte_pairs.words import SPLIT_WORDS

# In the order in which the lesson asks for them.
EXERCISES = [
    UTF8_BYTES,
    BYTE_ALPHABET,
    SPLIT_WORDS,
    COUNT_PAIRS,
    MERGE_PAIR,
    MERGE_ORDER,
    TRAIN_BPE,
    APPLY_MERGES,
    TOKENS_TO_TEXT,
]
