"""A story is a program that makes choices and says sentences.

The program is written once and run in three ways: a `Sampler` draws the choices, a `Reader` finds
the choices that say a given text, and `enumerate_all` goes through every choice there is. Since a
choice has a probability, a text has one too: the sum over the ways to say it of the product of
their choices.

A sentence has several forms, and a form has slots ("{hero} went {to goal}."). A slot whose name
has no value yet is itself a choice: its value is drawn as it is said, so that every such choice is
seen in the text at once.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minilm.world.english import IN_MIND, JUST_NAMED
from minilm.world.forms import EnglishSlot, Form
from minilm.world.lexicon import Person, Relative

Program = Callable[["Teller"], Any]


@dataclass(frozen=True, eq=False)
class Domain:
    """What a slot may hold: those of a pool that fit what is known.

    `fits` is given what is known, and returns the test that an option must pass.
    """

    pool: Sequence[Any]
    fits: Callable[[Mapping[str, Any]], Callable[[Any], bool]] | None = None

    def options(self, values: Mapping[str, Any]) -> Sequence[Any]:
        """Return the options, all equally probable, in the order of the pool."""
        return self.pool if self.fits is None else list(filter(self.fits(values), self.pool))


@dataclass(frozen=True)
class Choice:
    """One choice of a story: what it was about, what was taken, and its probability as weights."""

    name: str
    value: Any
    weight: int
    total: int

    @property
    def log_prob(self) -> float:
        """The natural logarithm of the choice's probability."""
        return math.log(self.weight / self.total)


@dataclass(frozen=True)
class Said:
    """A sentence as it was said: its name, its form, and what was known when it had been said."""

    name: str
    form: Form
    text: str
    values: Mapping[str, Any]
    choices: tuple[Choice, ...]


class Teller:
    """What the program of a story talks to; the ways to run it are its subclasses."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.domains: dict[str, Domain] = {}
        self.sentences: list[Said] = []
        self.choices: list[Choice] = []
        self.some: Callable[[Sequence[Form]], Sequence[Form]] | None = None

    def let(self, name: str, domain: Domain) -> None:
        """Say what a slot may hold, once it is said."""
        self.domains[name] = domain

    def bind(self, name: str, value: Any) -> None:
        """Give a slot its value; no choice is made."""
        self.values[name] = value

    def choose(self, name: str, **options: int) -> str:
        """Choose one of the options, each given with its weight."""
        raise NotImplementedError

    def say(self, name: str, forms: Sequence[Form]) -> None:
        """Choose one of the forms and the values of its new slots, and say the sentence."""
        self._say(name, forms if self.some is None else self.some(forms))

    def _say(self, name: str, forms: Sequence[Form]) -> None:
        raise NotImplementedError

    def _chosen(self, name: str, options: Mapping[str, int], value: str) -> str:
        self.choices.append(Choice(name, value, options[value], sum(options.values())))
        return value

    def _said(self, said: Said) -> None:
        self.values.update(said.values)
        self.choices.extend(said.choices)
        self.sentences.append(said)
        self._keep_in_mind([self.values[name] for name in said.form.names])

    def _keep_in_mind(self, said: Sequence[Any]) -> None:
        """Note whom the sentence was about, if a pronoun can then mean nobody else."""
        people = [value for value in said if isinstance(value, Person | Relative)]
        self.values[JUST_NAMED] = bool(people)
        if people:
            genders = [person.gender for person in people]
            clear = genders.count(genders[0]) == 1
            self.values[IN_MIND] = people[0] if clear else None

    @property
    def text(self) -> str:
        """What has been said so far."""
        return " ".join(said.text for said in self.sentences)

    @property
    def log_prob(self) -> float:
        """The natural logarithm of the probability of all choices so far."""
        return math.fsum(choice.log_prob for choice in self.choices)


class Decider(Teller):
    """A teller whose every choice is a number: the place of the option that is taken."""

    def decide(self, weights: Sequence[int]) -> int:
        """Return the place of the option to take."""
        raise NotImplementedError

    def choose(self, name: str, **options: int) -> str:
        """Choose one of the options, each given with its weight."""
        return self._chosen(name, options, list(options)[self.decide(list(options.values()))])

    def _say(self, name: str, forms: Sequence[Form]) -> None:
        number = self.decide([1] * len(forms))
        form = forms[number]
        choices = [Choice(name, number, 1, len(forms))]
        values = dict(self.values)
        for slot in form.names:
            if slot not in values:
                options = self.domains[slot].options(values)
                values[slot] = options[self.decide([1] * len(options))]
                choices.append(Choice(slot, values[slot], 1, len(options)))
        self._said(Said(name, form, form.english(values), values, tuple(choices)))


class Sampler(Decider):
    """Draw each choice with its probability.

    Only `random.Random(seed).random()` is used, whose numbers are the same in every Python.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed).random

    def decide(self, weights: Sequence[int]) -> int:
        """Return the place of a drawn option."""
        left = self._random() * sum(weights)
        for place, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return place
        return len(weights) - 1


class _Follower(Decider):
    """Take the choices that are given, then the first options, and note how many there were."""

    def __init__(self, places: Sequence[int]) -> None:
        super().__init__()
        self.given = places
        self.places: list[int] = []
        self.counts: list[int] = []

    def decide(self, weights: Sequence[int]) -> int:
        """Return the given place, or the first."""
        step = len(self.places)
        self.places.append(self.given[step] if step < len(self.given) else 0)
        self.counts.append(len(weights))
        return self.places[-1]


def enumerate_all(program: Program) -> Iterator[Teller]:
    """Run the program once for every way to make its choices, in their order."""
    places: list[int] = []
    while True:
        teller = _Follower(places)
        program(teller)
        yield teller
        places = teller.places
        while places and places[-1] + 1 == teller.counts[len(places) - 1]:
            places.pop()
        if not places:
            return
        places[-1] += 1


class _Stuck(Exception):
    """The text does not go on as the program could."""


class Reader(Teller):
    """Follow a text: of each choice only the options stay that say what is written.

    Where several stay, one is followed, and for each of the others what was taken so far is put
    on the list of those to try later. `seen` remembers for all runs which of a pool are written
    where.
    """

    def __init__(
        self,
        written: str,
        taken: list[Any],
        others: list[list[Any]],
        seen: dict[tuple[Any, ...], list[Any]],
    ) -> None:
        super().__init__()
        self.written = written
        self.position = 0
        self._taken = taken
        self._others = others
        self._seen = seen
        self._step = 0

    def _take(self, find: Callable[[], list[Any]]) -> Any:
        if self._step == len(self._taken):
            found = find()
            if not found:
                raise _Stuck
            for other in found[1:]:
                self._others.append([*self._taken, other])
            self._taken.append(found[0])
        self._step += 1
        return self._taken[self._step - 1]

    def choose(self, name: str, **options: int) -> str:
        """Follow one of the options; the others wait."""
        return self._chosen(name, options, self._take(lambda: list(options)))

    def _say(self, name: str, forms: Sequence[Form]) -> None:
        said = self._take(lambda: list(self._readings(name, forms)))
        self.position += len(said.text) + bool(self.sentences)
        self._said(said)

    def _readings(self, name: str, forms: Sequence[Form]) -> Iterator[Said]:
        start = self.position
        if self.sentences:
            if not self.written.startswith(" ", start):
                return
            start += 1
        for number, form in enumerate(forms):
            head = form.english_parts[0]
            if isinstance(head, str) and not self.written.startswith(head, start):
                continue
            first = Choice(name, number, 1, len(forms))
            for end, values, choices in self._match(form, 0, start, self.values, (first,)):
                yield Said(name, form, self.written[start:end], dict(values), choices)

    def _match(
        self,
        form: Form,
        part: int,
        position: int,
        values: Mapping[str, Any],
        choices: tuple[Choice, ...],
    ) -> Iterator[tuple[int, Mapping[str, Any], tuple[Choice, ...]]]:
        """Read the form's parts from `part` on; a new slot may hold whatever is written here."""
        parts = form.english_parts
        while part < len(parts):
            piece = parts[part]
            if not isinstance(piece, str):
                if piece.name not in values:
                    written = self._written_here(piece, position)
                    options = self.domains[piece.name].options(values) if written else ()
                    for option in written:
                        if option in options:
                            known = {**values, piece.name: option}
                            choice = Choice(piece.name, option, 1, len(options))
                            yield from self._match(form, part, position, known, (*choices, choice))
                    return
                piece = piece.say(values)
            if not self.written.startswith(piece, position):
                return
            position += len(piece)
            part += 1
        yield position, values, choices

    def _written_here(self, slot: EnglishSlot, position: int) -> list[Any]:
        """Return those that the slot could hold at all and whose words stand here."""
        pool = self.domains[slot.name].pool
        key = (id(pool), slot.way, slot.capital, position)
        if key not in self._seen:
            self._seen[key] = [
                option for option in pool if self.written.startswith(slot.say_new(option), position)
            ]
        return self._seen[key]


def readings(program: Program, text: str) -> tuple[list[Reader], int]:
    """Find every way in which the program says the text.

    Returns the finished readers, and how far the best of all could follow the text.
    """
    found: list[Reader] = []
    furthest = 0
    others: list[list[Any]] = [[]]
    seen: dict[tuple[Any, ...], list[Any]] = {}
    while others:
        reader = Reader(text, others.pop(), others, seen)
        try:
            program(reader)
        except _Stuck:
            pass
        else:
            if reader.position == len(text):
                found.append(reader)
        furthest = max(furthest, reader.position)
    return found, furthest
