"""A story of the world with all that is known about it, and the functions that give one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from minilm.errors import InvalidInput, OutOfRange, WrongType
from minilm.world.choices import Reader, Said, Sampler, Teller, readings
from minilm.world.labels import Entity, Question, entities, questions
from minilm.world.plots import PLOTS
from minilm.world.telling import WORLD


@dataclass(frozen=True)
class Sentence:
    """A sentence, its German translation, and where it stands in the story's text."""

    english: str
    german: str
    start: int
    end: int


@dataclass(frozen=True)
class Story:
    """A story of the world and its gold labels, all made by the same choices.

    text: the story
    ends_well: whether the hero's wish of the beginning comes true
    log_prob: the natural logarithm of the text's probability
    choices: (name, value) of each choice, in the order in which they were made
    """

    text: str
    ends_well: bool
    log_prob: float
    choices: tuple[tuple[str, str | int], ...]
    _said: tuple[Said, ...] = field(repr=False, compare=False)

    @cached_property
    def plot(self) -> str:
        """The name of the plot."""
        return str(self.choices[0][1])

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """The sentences, each with its translation and its place in the text."""
        found = []
        start = 0
        for said in self._said:
            end = start + len(said.text)
            found.append(Sentence(said.text, said.form.german(said.values), start, end))
            start = end + 1
        return tuple(found)

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """Questions that the text answers, each with the place of its answer."""
        return questions(self._said, PLOTS[self.plot].QUESTIONS)

    @cached_property
    def entities(self) -> tuple[Entity, ...]:
        """The names of people, places and things, with their places."""
        return entities(self._said)

    @cached_property
    def german(self) -> str:
        """The German translation."""
        return " ".join(sentence.german for sentence in self.sentences)


def _plain(value: Any) -> str | int:
    return value if isinstance(value, str | int) else value.shown


def _story(told: Teller, log_prob: float) -> Story:
    choices = tuple((choice.name, _plain(choice.value)) for choice in told.choices)
    return Story(
        text=told.text,
        ends_well=("outcome", "well") in choices,
        log_prob=log_prob,
        choices=choices,
        _said=tuple(told.sentences),
    )


def whole_number(name: str, number: Any) -> None:
    """Raise WrongType or OutOfRange unless the number of that name is 0, 1, 2 …"""
    if isinstance(number, bool) or not isinstance(number, int):
        raise WrongType(f"The {name} is {number!r}. Give a whole number, 0 or more.")
    if number < 0:
        raise OutOfRange(f"The {name} is {number}. Give a whole number, 0 or more.")


def sample(seed: int) -> Story:
    """Tell the story that belongs to a number: the same one on every machine.

    Raises WrongType if the seed is no whole number, OutOfRange if it is negative.
    """
    whole_number("seed", seed)
    teller = Sampler(seed)
    WORLD(teller)
    return _story(teller, teller.log_prob)


def _read(text: str) -> tuple[list[Reader], int]:
    if not isinstance(text, str):
        raise WrongType(f"The story is {type(text).__name__}. Give its text as one string.")
    return readings(WORLD, text)


def log_prob(text: str) -> float:
    """Return the natural logarithm of a text's probability; -inf if it is no story of the world.

    The probability is that of the whole story, its end included: the sum, over all ways to tell
    it, of the product of their choices. There is only ever one way; a test shows it by going
    through all stories of smaller worlds.
    """
    found, _ = _read(text)
    return _together(found)


def _together(found: list[Reader]) -> float:
    if not found:
        return -math.inf
    if len(found) == 1:
        return found[0].log_prob
    most = max(reader.log_prob for reader in found)
    return most + math.log(math.fsum(math.exp(reader.log_prob - most) for reader in found))


def read(text: str) -> Story:
    """Find the story that a text tells, with all its labels.

    Raises InvalidInput if it is no story of the world, and says how far it could be one.
    """
    found, furthest = _read(text)
    if not found:
        raise InvalidInput(
            f"This is no story of the world. It could be one up to {text[:furthest][-40:]!r}, "
            f"but not with what follows: {text[furthest:][:40]!r}."
        )
    return _story(found[0], _together(found))
