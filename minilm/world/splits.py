"""The stories in three parts that never share one, and what the best of all models would reach."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from minilm.errors import InvalidInput, OutOfRange
from minilm.world.story import Story, sample, whole_number

# One story in 50 is for validation and one for the test. Which one, only its own text decides, by
# way of its sha256. So a story is as probable within its split as in the world divided by the
# split's share; but nobody who cannot compute a sha256 in the head gains anything by that, and the
# entropy of the world is the floor on each of the splits.
SHARES = {"train": 48 / 50, "validation": 1 / 50, "test": 1 / 50}

# Each stream of stories has seeds of its own.
_STREAM = 2**40


def split_of(text: str) -> str:
    """Return the split that a story belongs to: "train", "validation" or "test"."""
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest(), "big") % 50
    return ("validation", "test")[number] if number < 2 else "train"


def stories(split: str, count: int | None = None, seed: int = 0) -> Iterator[Story]:
    """Tell stories of one split, `count` of them or without end.

    The same seed gives the same stories; another seed gives others. No story of one split is ever
    in another: `split_of` its text decides.

    Raises InvalidInput for an unknown split, WrongType or OutOfRange for a count or seed that is
    no whole number from 0 on.
    """
    if not isinstance(split, str) or split not in SHARES:
        raise InvalidInput(f"The split is {split!r}. Give one of {', '.join(SHARES)}.")
    whole_number("seed", seed)
    if count is not None:
        whole_number("count", count)
    numbers = itertools.count(seed * _STREAM)
    told = (story for story in map(sample, numbers) if split_of(story.text) == split)
    return itertools.islice(told, count)


def entropy(count: int = 2000, seed: int = 10**6) -> tuple[float, float]:
    """Estimate the entropy of the world from `count` stories.

    Returns the nats per story, its end included, and the standard error of that figure. It is the
    loss per story that no model can go below in the long run.
    """
    whole_number("seed", seed)
    whole_number("count", count)
    if count < 2:
        raise OutOfRange(f"The count is {count}. A standard error needs 2 stories or more.")
    surprises = [-sample(seed * _STREAM + number).log_prob for number in range(count)]
    mean = math.fsum(surprises) / count
    spread = math.fsum((surprise - mean) ** 2 for surprise in surprises) / (count - 1)
    return mean, math.sqrt(spread / count)


def floor(told: Iterable[Story], tokenizer: Any) -> float:
    """Return the loss of a model that knows the world perfectly, in nats per token.

    told: stories, as of `stories("test", 1000)`
    tokenizer: one with `encode(text, add_special_tokens=False)`, as minilm's and transformers'
        have, or any function from a text to its tokens

    Returns the sum of −log_prob over the stories, divided by the number of their tokens with one
    more for the end of each. On stories that it has not seen, no model is better but by luck.

    The figure is the same on held-out stories: −log_prob, with nothing added or taken away for
    the split's share. A story's split hangs on its sha256, which no model can know; so a perfect
    one gives the stories of all splits their share in the world.

    Raises InvalidInput if there are no stories.
    """
    surprises, tokens = [], 0
    for story in told:
        surprises.append(-story.log_prob)
        tokens += len(_tokens(tokenizer, story.text)) + 1
    if not surprises:
        raise InvalidInput("There are no stories. Give at least one.")
    return math.fsum(surprises) / tokens


def _tokens(tokenizer: Any, text: str) -> Sequence[Any]:
    encode = getattr(tokenizer, "encode", None)
    found = tokenizer(text) if encode is None else encode(text, add_special_tokens=False)
    return getattr(found, "ids", found)
