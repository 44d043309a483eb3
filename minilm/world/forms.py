"""A form is a sentence with slots, in English and in German."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from minilm.world import english, german

# Either plain words or what stands in braces.
_PARTS = re.compile(r"\{([^{}]*)\}|([^{}]+)")


@dataclass(frozen=True)
class EnglishSlot:
    """A slot of an English form: whose value is said, and how ("his" of "hero")."""

    name: str
    way: Callable[..., str]
    capital: bool
    looks_around: bool

    def say(self, values: Mapping[str, Any]) -> str:
        """Return the words for the value of the slot's name."""
        value = values[self.name]
        if not self.looks_around:
            return self.say_new(value)
        words = self.way(value, values)
        return words[0].upper() + words[1:] if self.capital else words

    def say_new(self, value: Any) -> str:
        """Return the words for a value that the story has not named yet."""
        words = self.way(value)
        return words[0].upper() + words[1:] if self.capital else words


@dataclass(frozen=True)
class Form:
    """A sentence with slots, and the German sentence that says the same.

    A slot of the English sentence is a name ("{hero}"), a name's genitive ("{hero's}") or a way to
    say it and a name ("{him hero}"); the ways are the functions of `english.py`. One of the German
    sentence may have more words; see `german.py`. A slot that begins the sentence, or is written
    with a capital letter, gets a capital letter.
    """

    english_pattern: str
    german_pattern: str

    @cached_property
    def english_parts(self) -> tuple[str | EnglishSlot, ...]:
        """The English sentence as plain words and slots."""
        parts: list[str | EnglishSlot] = []
        for slot, words in _PARTS.findall(self.english_pattern):
            if words:
                parts.append(words)
                continue
            way, _, name = slot.rpartition(" ")
            if name.endswith("'s"):
                way, name = "genitive", name[:-2]
            capital = not parts or way[:1].isupper()
            way = way.lower() or "name"
            parts.append(EnglishSlot(name, english.WAYS[way], capital, way in english.LOOK_AROUND))
        return tuple(parts)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the English slots, in the order in which they are first said."""
        slots = [part.name for part in self.english_parts if isinstance(part, EnglishSlot)]
        return tuple(dict.fromkeys(slots))

    def english(self, values: Mapping[str, Any]) -> str:
        """Say the sentence in English."""
        return "".join(
            part if isinstance(part, str) else part.say(values) for part in self.english_parts
        )

    def mentions(self, values: Mapping[str, Any]) -> Iterator[tuple[EnglishSlot, int, int]]:
        """Give each slot of the English sentence with the place of its words."""
        start = 0
        for part in self.english_parts:
            end = start + len(part if isinstance(part, str) else part.say(values))
            if not isinstance(part, str):
                yield part, start, end
            start = end

    def german(self, values: Mapping[str, Any]) -> str:
        """Say the sentence in German."""
        words = _PARTS.sub(
            lambda found: found[2] or german.say(found[1].split(), values), self.german_pattern
        )
        return words[0].upper() + words[1:]
