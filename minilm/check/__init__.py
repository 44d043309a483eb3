"""The check bench: compares what a reader wrote with the reference, and says what is wrong.

Only the standard library is imported here; a lesson's exercises load when one is checked.
"""

from minilm.check import desk
from minilm.check.checking import CheckFailed, check
from minilm.check.comparing import Difference, alike
from minilm.check.exercise import Exercise, Mistake, Raises, of
from minilm.check.on_the_way import progress

__all__ = [
    "CheckFailed",
    "Difference",
    "Exercise",
    "Mistake",
    "Raises",
    "alike",
    "check",
    "desk",
    "of",
    "progress",
]
