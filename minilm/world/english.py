"""How English says a person, a thing or a place: the ways that a slot of a form can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minilm.world.lexicon import Person, Place, Relative, Thing, Word

# Under this name the values of a story hold the person that a pronoun would mean now, and under
# the next one whether the last sentence spoke of anybody.
IN_MIND = "in mind"
JUST_NAMED = "just named"


def name(what: Person | Thing | Place | Word | Relative) -> str:
    """Say the plain name: "Mia", "ball", "garden"."""
    return what.shown


def genitive(who: Person) -> str:
    """Say whose something is: "Mia's"."""
    return f"{who.shown}'s"


def he(who: Person | Relative) -> str:
    """Say the pronoun: "she"."""
    return "she" if who.gender == "f" else "he"


def him(who: Person | Relative) -> str:
    """Say the pronoun as an object: "her"."""
    return "her" if who.gender == "f" else "him"


def his(who: Person | Relative) -> str:
    """Say the pronoun of what one has: "her"."""
    return "her" if who.gender == "f" else "his"


def who(who: Person, values: Mapping[str, Any]) -> str:
    """Say "she" where that is clear, otherwise the name."""
    return he(who) if values.get(IN_MIND) is who else name(who)


def whose(who: Person, values: Mapping[str, Any]) -> str:
    """Say "her" where that is clear, otherwise the name's genitive."""
    return his(who) if values.get(IN_MIND) is who else genitive(who)


def whom(who: Person, values: Mapping[str, Any]) -> str:
    """Say "her" as an object where that is clear, otherwise the name."""
    return him(who) if values.get(IN_MIND) is who else name(who)


def child(who: Person) -> str:
    """Say "girl" or "boy"."""
    return "girl" if who.gender == "f" else "boy"


def the(what: Person | Thing) -> str:
    """Say the thing that is known: "the ball"; of an animal also its name: "the dog Captain"."""
    return f"the {what.kind} {what.shown}" if isinstance(what, Person) else f"the {what.shown}"


def a(what: Thing | Word) -> str:
    """Say something new: "a ball", "an umbrella"; of an adjective "an old"."""
    return f"{'an' if what.shown[0] in 'aeiou' else 'a'} {what.shown}"


def at(where: Place) -> str:
    """Say where: "in the garden"."""
    return where.at


def to(where: Place) -> str:
    """Say where to: "to the garden"."""
    return where.to


def harm(what: Thing) -> str:
    """Say what happened to the thing: "broke" or "tore"."""
    return what.harm


WAYS: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (name, genitive, he, him, his, who, whose, whom, child, the, a, at, to, harm)
}

# These need to know who else is in the story.
LOOK_AROUND = ("who", "whose", "whom")
