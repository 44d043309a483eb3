"""All that the story world is made of, each word with its German one.

Who lives there, what they own, where they go. A name of a person, place or thing stands here and
nowhere else; the sentences that use them are in the modules of the plots.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody with a name: a child, a grown-up or an animal.

    `shown` is the name as a story says it ("Uncle Otto"), `german` the German one, `gender` "f"
    or "m". An animal also has the word for what it is ("dog", "Hund").
    """

    shown: str
    german: str
    gender: str
    kind: str = ""
    german_kind: str = ""


@dataclass(frozen=True, eq=False)
class Thing:
    """Something to carry, lend, lose and find.

    `gender` is that of the German noun: "m", "f" or "n". `coloured` says whether it may be red or
    green, `harm` how it comes to grief: it "broke", it "tore", or never ("").
    """

    shown: str
    german: str
    gender: str
    coloured: bool = False
    harm: str = "broke"


@dataclass(frozen=True, eq=False)
class Place:
    """Somewhere to go, with the little words that go with it.

    `shown` is the bare name, `at` and `to` are the phrases ("in the garden", "to the garden");
    `kind` says which spots it has: "house", "street" or "meadow".
    """

    shown: str
    at: str
    to: str
    german_at: str
    german_to: str
    kind: str


@dataclass(frozen=True, eq=False)
class Word:
    """A word or phrase that needs nothing but its translation."""

    shown: str
    german: str


class Town(Word):
    """A town or village; its German name is its own."""


@dataclass(frozen=True, eq=False)
class Relative:
    """Somebody of the family, without a name."""

    shown: str
    german: str
    gender: str


def _girls(*names: str) -> tuple[Person, ...]:
    return tuple(Person(name, name, "f") for name in names)


def _boys(*names: str) -> tuple[Person, ...]:
    return tuple(Person(name, name, "m") for name in names)


CHILDREN = (
    *_girls("Mia", "Anna", "Lily", "Rose", "Emma", "Clara", "Nora", "Ella", "Lena", "Greta"),
    *_girls("Zoe", "Martha", "Julia", "Eva", "Hannah", "Sophie"),
    *_boys("Tom", "Ben", "Paul", "Leo", "Finn", "Jack", "Oscar", "Tim", "Noah", "Hugo", "Emil"),
    *_boys("Adam", "Peter", "Simon", "David", "Robin"),
)

GROWN_UPS = (
    Person("Uncle Otto", "Onkel Otto", "m"),
    Person("Uncle Fred", "Onkel Fred", "m"),
    Person("Aunt Olga", "Tante Olga", "f"),
    Person("Aunt Ida", "Tante Ida", "f"),
    Person("Grandma Ruth", "Oma Ruth", "f"),
    Person("Grandpa Henry", "Opa Henry", "m"),
    Person("Mr. Finch", "Herr Finch", "m"),
    Person("Mr. Bell", "Herr Bell", "m"),
    Person("Mrs. Stone", "Frau Stone", "f"),
    Person("Mrs. Hill", "Frau Hill", "f"),
)

ANIMALS = (
    Person("Captain", "Captain", "m", "dog", "Hund"),
    Person("Bruno", "Bruno", "m", "dog", "Hund"),
    Person("Pepper", "Pepper", "f", "cat", "Katze"),
    Person("Olive", "Olive", "f", "cat", "Katze"),
    Person("Button", "Button", "m", "donkey", "Esel"),
    Person("Daisy", "Daisy", "f", "goat", "Ziege"),
    Person("Pearl", "Pearl", "f", "goose", "Gans"),
    Person("Rusty", "Rusty", "m", "fox", "Fuchs"),
)

THINGS = (
    Thing("ball", "Ball", "m", True, ""),
    Thing("kite", "Drachen", "m", True, "tore"),
    Thing("hat", "Hut", "m", True, "tore"),
    Thing("scarf", "Schal", "m", True, "tore"),
    Thing("umbrella", "Regenschirm", "m", True, "broke"),
    Thing("basket", "Korb", "m", True, "broke"),
    Thing("jug", "Krug", "m", True, "broke"),
    Thing("pencil", "Bleistift", "m", True, "broke"),
    Thing("key", "Schlüssel", "m"),
    Thing("ring", "Ring", "m"),
    Thing("mirror", "Spiegel", "m"),
    Thing("doll", "Puppe", "f"),
    Thing("drum", "Trommel", "f", True, "broke"),
    Thing("lantern", "Laterne", "f", True, "broke"),
    Thing("cup", "Tasse", "f", True, "broke"),
    Thing("bag", "Tasche", "f", True, "tore"),
    Thing("blanket", "Decke", "f", True, "tore"),
    Thing("cap", "Mütze", "f", True, "tore"),
    Thing("flute", "Flöte", "f"),
    Thing("violin", "Geige", "f"),
    Thing("clock", "Uhr", "f"),
    Thing("map", "Landkarte", "f", False, "tore"),
    Thing("bell", "Glocke", "f"),
    Thing("boat", "Boot", "n", True, "broke"),
    Thing("book", "Buch", "n", True, "tore"),
    Thing("box", "Kästchen", "n", True, "broke"),
    Thing("pillow", "Kissen", "n", True, "tore"),
    Thing("picture", "Bild", "n", False, "tore"),
    Thing("telescope", "Fernrohr", "n"),
)

COLOURS = (
    Word("red", "rot"),
    Word("blue", "blau"),
    Word("green", "grün"),
    Word("yellow", "gelb"),
    Word("white", "weiß"),
    Word("brown", "braun"),
    Word("black", "schwarz"),
)
LOOKS = (
    Word("old", "alt"),
    Word("new", "neu"),
    Word("little", "klein"),
    Word("big", "groß"),
    Word("pretty", "hübsch"),
)

PLACES = (
    Place("garden", "in the garden", "to the garden", "im Garten", "in den Garten", "meadow"),
    Place("forest", "in the forest", "to the forest", "im Wald", "in den Wald", "meadow"),
    Place("park", "in the park", "to the park", "im Park", "in den Park", "meadow"),
    Place("lake", "by the lake", "to the lake", "am See", "zum See", "meadow"),
    Place("river", "by the river", "to the river", "am Fluss", "zum Fluss", "meadow"),
    Place("kitchen", "in the kitchen", "to the kitchen", "in der Küche", "in die Küche", "house"),
    Place("barn", "in the barn", "to the barn", "in der Scheune", "in die Scheune", "house"),
    Place("mill", "at the mill", "to the mill", "in der Mühle", "in die Mühle", "house"),
    Place(
        "bakery", "in the bakery", "to the bakery", "in der Bäckerei", "in die Bäckerei", "house"
    ),
    Place("school", "at the school", "to the school", "in der Schule", "in die Schule", "house"),
    Place("castle", "in the castle", "to the castle", "im Schloss", "ins Schloss", "house"),
    Place(
        "Blue Café",
        "at the Blue Café",
        "to the Blue Café",
        "im Blauen Café",
        "ins Blaue Café",
        "house",
    ),
    Place("market", "at the market", "to the market", "auf dem Markt", "zum Markt", "street"),
    Place("harbour", "at the harbour", "to the harbour", "am Hafen", "zum Hafen", "street"),
    Place("station", "at the station", "to the station", "am Bahnhof", "zum Bahnhof", "street"),
    Place(
        "Mill Street",
        "in Mill Street",
        "to Mill Street",
        "in der Mühlenstraße",
        "in die Mühlenstraße",
        "street",
    ),
    Place(
        "Rose Street",
        "in Rose Street",
        "to Rose Street",
        "in der Rosenstraße",
        "in die Rosenstraße",
        "street",
    ),
)

SPOTS = {
    "house": (
        Word("under a table", "unter einem Tisch"),
        Word("behind the door", "hinter der Tür"),
        Word("under a chair", "unter einem Stuhl"),
        Word("by the window", "am Fenster"),
    ),
    "street": (
        Word("under a bench", "unter einer Bank"),
        Word("behind a wall", "hinter einer Mauer"),
        Word("behind a cart", "hinter einem Karren"),
        Word("by the steps", "an der Treppe"),
    ),
    "meadow": (
        Word("under a tree", "unter einem Baum"),
        Word("behind a bush", "hinter einem Busch"),
        Word("in the grass", "im Gras"),
        Word("under a bench", "unter einer Bank"),
    ),
}

TOWNS = tuple(
    Town(name, name)
    for name in (
        "Oakfield",
        "Millbrook",
        "Larkhill",
        "Seaford",
        "Rosedale",
        "Greenwick",
        "Foxton",
        "Elmwood",
        "Stonebridge",
        "Ashford",
    )
)

RELATIVES = (
    Relative("mother", "Mutter", "f"),
    Relative("father", "Vater", "m"),
    Relative("grandmother", "Großmutter", "f"),
    Relative("grandfather", "Großvater", "m"),
    Relative("aunt", "Tante", "f"),
    Relative("uncle", "Onkel", "m"),
)

TIMES = (
    Word("one morning", "eines Morgens"),
    Word("one Monday", "an einem Montag"),
    Word("one Wednesday", "an einem Mittwoch"),
    Word("one Friday", "an einem Freitag"),
    Word("one summer day", "an einem Sommertag"),
    Word("one windy day", "an einem windigen Tag"),
    Word("one bright morning", "an einem hellen Morgen"),
    Word("one cold morning", "an einem kalten Morgen"),
    Word("one fine day", "eines schönen Tages"),
    Word("one autumn day", "an einem Herbsttag"),
)

# In the order of the day.
HOURS = (
    Word("two", "zwei"),
    Word("three", "drei"),
    Word("four", "vier"),
    Word("five", "fünf"),
    Word("six", "sechs"),
)

VOICES = (
    Word("sadly", "traurig"),
    Word("softly", "leise"),
    Word("in a small voice", "mit dünner Stimme"),
    Word("and turned pale", "und wurde blass"),
    Word("and looked at the ground", "und sah zu Boden"),
)


@dataclass(frozen=True)
class Lexicon:
    """The words of a world; a smaller one makes a smaller world of the same stories."""

    children: tuple[Person, ...] = CHILDREN
    grown_ups: tuple[Person, ...] = GROWN_UPS
    animals: tuple[Person, ...] = ANIMALS
    things: tuple[Thing, ...] = THINGS
    colours: tuple[Word, ...] = COLOURS
    looks: tuple[Word, ...] = LOOKS
    places: tuple[Place, ...] = PLACES
    spots: Mapping[str, tuple[Word, ...]] = field(default_factory=lambda: SPOTS)
    towns: tuple[Town, ...] = TOWNS
    relatives: tuple[Relative, ...] = RELATIVES
    times: tuple[Word, ...] = TIMES
    hours: tuple[Word, ...] = HOURS
    voices: tuple[Word, ...] = VOICES
