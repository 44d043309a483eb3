"""The gold labels of a story that are spans of its text: names, and answers to questions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minilm.world.asking import Asking
from minilm.world.choices import Said
from minilm.world.lexicon import Person, Place, Thing, Town

# What a name is the name of.
LABELS = {Person: "PER", Place: "LOC", Town: "LOC", Thing: "THING"}


@dataclass(frozen=True)
class Entity:
    """A name in the text: a person or animal (PER), a place (LOC) or one of the world's things.

    "Uncle Otto" is one name, of "the dog Captain" it is "Captain", of "in the garden" "garden".
    """

    text: str
    label: str
    start: int
    end: int


@dataclass(frozen=True)
class Question:
    """A question whose answer is a piece of the text."""

    question: str
    answer: str
    start: int
    end: int


@dataclass(frozen=True)
class _Mention:
    """The words of one slot, and the name or answer among them."""

    sentence: str
    slot: str
    value: Any
    start: int
    end: int


def _mentions(said: Sequence[Said]) -> Iterator[_Mention]:
    """Give all slots of a story that say what they hold (and do not only point to it)."""
    offset = 0
    for sentence in said:
        for slot, start, end in sentence.form.mentions(sentence.values):
            value = sentence.values[slot.name]
            words = sentence.text[start:end]
            inside = words.lower().find(value.shown.lower())
            if inside >= 0 and value is not None:
                first = offset + start + inside
                last = first + len(value.shown)
                yield _Mention(sentence.name, slot.name, value, first, last)
        offset += len(sentence.text) + 1


def entities(said: Sequence[Said]) -> tuple[Entity, ...]:
    """Return the names in a story, in their order."""
    text = " ".join(sentence.text for sentence in said)
    return tuple(
        Entity(text[m.start : m.end], LABELS[type(m.value)], m.start, m.end)
        for m in _mentions(said)
        if type(m.value) in LABELS
    )


def _number(text: str, about: str) -> int:
    """Return a number that depends on the story and on nothing else."""
    return int.from_bytes(hashlib.sha256(f"{about}\n{text}".encode()).digest()[:8], "big")


def _answer(mention: _Mention, text: str) -> tuple[int, int]:
    """Return where the answer stands: "the garden", "two o'clock", otherwise the name."""
    start, end = mention.start, mention.end
    if isinstance(mention.value, Place) and text[:start].endswith("the "):
        start -= len("the ")
    if text[end:].startswith(" o'clock"):
        end += len(" o'clock")
    return start, end


def questions(said: Sequence[Said], asked: Sequence[Asking]) -> tuple[Question, ...]:
    """Return the questions that a story answers, in an order of its own."""
    text = " ".join(sentence.text for sentence in said)
    values = said[-1].values
    sentences = {sentence.name: sentence for sentence in said}
    mentions = list(_mentions(said))
    found = []
    for asking in asked:
        sentence = sentences.get(asking.sentence)
        if sentence is None or asking.slot not in sentence.form.names:
            continue
        value = sentence.values[asking.slot]
        here = [m for m in mentions if m.sentence == asking.sentence and m.slot == asking.slot]
        anywhere = [m for m in mentions if m.value is value]
        start, end = _answer((here or anywhere)[0], text)
        about = f"{asking.sentence} {asking.slot}"
        form = asking.forms[_number(text, about) % len(asking.forms)]
        question = Question(form.english(values), text[start:end], start, end)
        found.append((_number(text, f"order {about}"), question))
    return tuple(question for _, question in sorted(found, key=lambda pair: pair[0]))
