"""How German says a person, a thing or a place: gender, case and the endings that follow.

A slot of a German sentence is a name, perhaps with a case ("{hero}", "{elder dat}"), or begins
with one of the ways below: "{der thing akk}" is "den Ball", "{ein adj thing dat}" "einer roten
Lampe". Written with a capital letter, a way begins with one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minilm.world.english import IN_MIND, JUST_NAMED
from minilm.world.lexicon import Person

Values = Mapping[str, Any]

# Gender → case → the article.
ARTICLES = {
    "m": {"nom": "der", "akk": "den", "dat": "dem"},
    "f": {"nom": "die", "akk": "die", "dat": "der"},
    "n": {"nom": "das", "akk": "das", "dat": "dem"},
}
# What follows "ein", "kein", "mein", "dein", "sein" and "ihr".
ENDINGS = {
    "m": {"nom": "", "akk": "en", "dat": "em"},
    "f": {"nom": "e", "akk": "e", "dat": "er"},
    "n": {"nom": "", "akk": "", "dat": "em"},
}
# What follows an adjective after one of these, and after the article.
AFTER_EIN = {
    "m": {"nom": "er", "akk": "en", "dat": "en"},
    "f": {"nom": "e", "akk": "e", "dat": "en"},
    "n": {"nom": "es", "akk": "es", "dat": "en"},
}
AFTER_DER = {
    "m": {"nom": "e", "akk": "en", "dat": "en"},
    "f": {"nom": "e", "akk": "e", "dat": "en"},
    "n": {"nom": "e", "akk": "e", "dat": "en"},
}
PRONOUNS = {
    "m": {"nom": "er", "akk": "ihn", "dat": "ihm"},
    "f": {"nom": "sie", "akk": "sie", "dat": "ihr"},
    "n": {"nom": "es", "akk": "es", "dat": "ihm"},
}


def name(who: Any, case: str = "nom") -> str:
    """Say the plain name: "Mia", "Mias", "Herrn Finch"."""
    words: str = who.german
    if case != "nom" and words.startswith("Herr "):
        words = words.replace("Herr ", "Herrn ", 1)
    return f"{words}s" if case == "gen" else words


def _of(stem: str, words: Sequence[str], values: Values) -> str:
    """Say a thing or relative after a word like "ein", perhaps with an adjective between."""
    *adjectives, noun, case = words
    what = values[noun]
    said = [stem + ENDINGS[what.gender][case]]
    for adjective in adjectives:
        said.append(_stem(adjective, values) + AFTER_EIN[what.gender][case])
    return " ".join([*said, what.german])


def _stem(adjective: str, values: Values) -> str:
    return values[adjective].german if adjective in values else adjective


def _der(words: Sequence[str], values: Values) -> str:
    """Say "der Ball", "der rote Ball", "der Hund Captain"."""
    *adjectives, noun, case = words
    what = values[noun]
    said = [ARTICLES[what.gender][case]]
    for adjective in adjectives:
        said.append(_stem(adjective, values) + AFTER_DER[what.gender][case])
    if isinstance(what, Person):
        said.append(what.german_kind)
    return " ".join([*said, what.german])


def _pronoun(case: str) -> Callable[[Sequence[str], Values], str]:
    return lambda words, values: PRONOUNS[values[words[0]].gender][case]


def _gift(words: Sequence[str], values: Values) -> str:
    """Say the pronoun of a thing, or "den Ball" where it could be who gave it.

    In "Mia bekam von ihrem Vater einen Ball. Sie liebte ihn" it would be the father.
    """
    thing, giver = values[words[0]], values.get("giver")
    if giver is not None and giver.gender == thing.gender:
        return _der([words[0], "akk"], values)
    return PRONOUNS[thing.gender]["akk"]


def _possessive(who: Person) -> str:
    return "ihr" if who.gender == "f" else "sein"


def _sein(words: Sequence[str], values: Values) -> str:
    """Say "ihren roten Ball", "seiner Mutter"."""
    return _of(_possessive(values[words[0]]), words[1:], values)


def _is_clear(who: Person, values: Values) -> bool:
    """Return whether "er" or "sie" can mean nobody else, nor any thing.

    English says "it" of a thing. In German a lamp is "sie" too; so a pronoun is only clear if the
    last sentence spoke of the person.
    """
    return values.get(IN_MIND) is who and values[JUST_NAMED]


def _who(words: Sequence[str], values: Values) -> str:
    """Say the pronoun where it is clear, otherwise the name."""
    who = values[words[0]]
    case = words[1] if len(words) > 1 else "nom"
    return PRONOUNS[who.gender][case] if _is_clear(who, values) else name(who, case)


def _whose(words: Sequence[str], values: Values) -> str:
    """Say "ihr" or "ihre" where it is clear, otherwise "Mias"."""
    who = values[words[0]]
    if not _is_clear(who, values):
        return name(who, "gen")
    return _possessive(who) + ("e" if words[1] == "plural" else "")


def _child(words: Sequence[str], values: Values) -> str:
    return "ein Mädchen" if values[words[0]].gender == "f" else "ein Junge"


def _that_child(words: Sequence[str], values: Values) -> str:
    """Say the word that begins the relative clause of "ein Mädchen" or "ein Junge"."""
    return "das" if values[words[0]].gender == "f" else "der"


def _that(words: Sequence[str], values: Values) -> str:
    """Say the word that begins the relative clause of a name."""
    return "die" if values[words[0]].gender == "f" else "der"


def _friends(words: Sequence[str], values: Values) -> str:
    """Say "die besten Freunde"; two girls are Freundinnen."""
    girls = all(values[word].gender == "f" for word in words)
    return "die besten " + ("Freundinnen" if girls else "Freunde")


def _harm(words: Sequence[str], values: Values) -> str:
    """Say what happened to the thing; with "er" also the thing's pronoun, after the verb."""
    thing = values[words[0]]
    said = ["ging", "kaputt"] if thing.harm == "broke" else ["zerriss"]
    if "er" in words:
        said.insert(1, PRONOUNS[thing.gender]["nom"])
    return " ".join(said)


WAYS: dict[str, Callable[[Sequence[str], Values], str]] = {
    "at": lambda words, values: values[words[0]].german_at,
    "to": lambda words, values: values[words[0]].german_to,
    "der": _der,
    "er": _pronoun("nom"),
    "ihn": _pronoun("akk"),
    "ihm": _pronoun("dat"),
    "gift": _gift,
    "ein": lambda words, values: _of("ein", words, values),
    "kein": lambda words, values: _of("kein", words, values),
    "mein": lambda words, values: _of("mein", words, values),
    "dein": lambda words, values: _of("dein", words, values),
    "sein": _sein,
    "possessive": lambda words, values: _possessive(values[words[0]]),
    "who": _who,
    "whose": _whose,
    "child": _child,
    "that_child": _that_child,
    "that": _that,
    "friends": _friends,
    "harm": _harm,
}


def say(words: Sequence[str], values: Values) -> str:
    """Say a slot, given as its words: "der thing akk" → "den Ball"."""
    way = WAYS.get(words[0].lower())
    if way is None:
        return name(values[words[0]], *words[1:])
    said = way(words[1:], values)
    return said[0].upper() + said[1:] if words[0][0].isupper() else said
