"""Lesson 07: from a name to a model with its weights. What is right, and what readers write instead."""

from minilm.check.catalogue.auto_classes.classes import CLASS_AT, REGISTER
from minilm.check.catalogue.auto_classes.keys import IN_TODAYS_NAME, MATCH_KEYS
from minilm.check.catalogue.auto_classes.model_types import MODEL_TYPE_OF
from minilm.check.catalogue.auto_classes.shards import PLAN_SHARDS
from minilm.check.catalogue.auto_classes.spellings import GATHER_ROPE
from minilm.check.catalogue.auto_classes.ties import TIE

# In the order in which the lesson asks for them.
EXERCISES = [
    MODEL_TYPE_OF,
    CLASS_AT,
    REGISTER,
    GATHER_ROPE,
    IN_TODAYS_NAME,
    MATCH_KEYS,
    TIE,
    PLAN_SHARDS,
]
