"""What several plots share: how a story begins, what may happen on the way, how it closes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minilm.world.choices import Domain, Teller
from minilm.world.english import IN_MIND
from minilm.world.forms import Form
from minilm.world.lexicon import Lexicon, Thing, Word


def unused(values: Mapping[str, Any]) -> Callable[[Any], bool]:
    """Make the test for what nobody in the story is or has yet."""
    taken = set(map(id, values.values()))
    return lambda option: id(option) not in taken


def stage(lexicon: Lexicon) -> dict[str, Domain]:
    """Return who and what may come into a story, for each slot."""

    def coloured_or_not(values: Mapping[str, Any]) -> Callable[[Thing], bool]:
        """Make the test for what the adjective fits: a colour does not fit a key."""
        colour = values["adj"] in lexicon.colours
        return lambda thing: thing.coloured or not colour

    def later(values: Mapping[str, Any]) -> Callable[[Word], bool]:
        hours = lexicon.hours[lexicon.hours.index(values["hour"]) + 1 :]
        return lambda hour: hour in hours

    def spot_of(place: str) -> Domain:
        pool = [spot for spots in lexicon.spots.values() for spot in spots]
        return Domain(pool, lambda values: lexicon.spots[values[place].kind].__contains__)

    breakable = [thing for thing in lexicon.things if thing.harm]
    streets = [place for place in lexicon.places if place.kind == "street"]
    return {
        **dict.fromkeys(("hero", "friend", "third"), Domain(lexicon.children, unused)),
        **dict.fromkeys(("elder", "rival"), Domain(lexicon.grown_ups, unused)),
        **dict.fromkeys(("here", "now", "goal", "way", "astray"), Domain(lexicon.places, unused)),
        "shop": Domain(streets),
        "spot": spot_of("here"),
        "nook": spot_of("goal"),
        "animal": Domain(lexicon.animals),
        "adj": Domain((*lexicon.looks, *lexicon.colours)),
        "thing": Domain(lexicon.things, coloured_or_not),
        "breakable": Domain(breakable, coloured_or_not),
        "other": Domain(lexicon.things, unused),
        "town": Domain(lexicon.towns),
        "time": Domain(lexicon.times),
        "hour": Domain(lexicon.hours[:-1]),
        "later": Domain(lexicon.hours, later),
        **dict.fromkeys(("relative", "giver", "listener"), Domain(lexicon.relatives)),
        "voice": Domain(lexicon.voices),
    }


OWNING = (
    Form(
        "{hero} lived in {town} and had {a adj} {thing}.",
        "{hero} wohnte in {town} und hatte {ein adj thing akk}.",
    ),
    Form(
        "In {town} there lived a {child hero} called {hero}, who had {a adj} {thing}.",
        "In {town} lebte {child hero} namens {hero}, {that_child hero} {ein adj thing akk} hatte.",
    ),
    Form(
        "{hero} from {town} once got {a adj} {thing} from {his hero} {giver}.",
        "{hero} aus {town} bekam einmal von {sein hero giver dat} {ein adj thing akk}.",
    ),
    Form(
        "Everybody in {town} knew {hero} and {his hero} {adj} {thing}.",
        "In {town} kannte jeder {hero} und {sein hero adj thing akk}.",
    ),
    Form(
        "The {adj} {thing} belonged to {hero}, who lived in {town}.",
        "{der adj thing nom} gehörte {hero}, {that hero} in {town} wohnte.",
    ),
)

LOVING = (
    Form("{who hero} loved it more than anything.", "{who hero} liebte {gift thing} über alles."),
    Form("{who hero} talked of nothing else.", "{who hero} sprach von nichts anderem."),
    Form(
        "Nothing in the world was dearer to {whom hero}.",
        "Nichts auf der Welt war {who hero dat} lieber.",
    ),
    Form(
        "{who hero} was very proud of it.", "{who hero} war sehr stolz auf {sein hero thing akk}."
    ),
    Form(
        "{who hero} would never have given it away.",
        "{who hero} hätte {gift thing} niemals hergegeben.",
    ),
    Form("{who hero} showed it to everybody.", "{who hero} zeigte {gift thing} allen."),
    Form(
        "{who hero} guarded it like a treasure.",
        "{who hero} hütete {gift thing} wie einen Schatz.",
    ),
    Form(
        "Even at night it lay beside {whose hero} bed.",
        "Selbst nachts lag {der thing nom} neben {hero gen} Bett.",
    ),
)

GOING = (
    Form(
        "{time} {hero} and {friend} went {to here} together.",
        "{time} gingen {hero} und {friend} zusammen {to here}.",
    ),
    Form(
        "{time} {hero} and {friend} met {at here}.",
        "{time} trafen sich {hero} und {friend} {at here}.",
    ),
    Form(
        "{time} {friend} and {hero} were playing {at here}.",
        "{time} spielten {friend} und {hero} {at here}.",
    ),
    Form(
        "{time} {hero} went {to here} to show {friend} {the thing}.",
        "{time} ging {hero} {to here}, um {friend} dort {der thing akk} zu zeigen.",
    ),
)

MOODS = (
    Form(
        "{who hero} was happy, for the sun was shining.",
        "{who hero} war fröhlich, denn die Sonne schien.",
    ),
    Form(
        "{who hero} was in high spirits, for there had been cake for breakfast.",
        "{who hero} war bester Laune, denn zum Frühstück hatte es Kuchen gegeben.",
    ),
    Form(
        "{who hero} was merry, for a bird had sung at the window.",
        "{who hero} war vergnügt, denn am Fenster hatte ein Vogel gesungen.",
    ),
    Form(
        "{who hero} was a little sad, for {his hero} tooth hurt.",
        "{who hero} war ein wenig traurig, denn {ihm hero} tat ein Zahn weh.",
    ),
    Form(
        "{who hero} was cross, for there had been soup again.",
        "{who hero} war mürrisch, denn es hatte schon wieder Suppe gegeben.",
    ),
    Form(
        "{who hero} was tired, for {he hero} had slept badly.",
        "{who hero} war müde, denn {er hero} hatte schlecht geschlafen.",
    ),
)

CRYING = (
    Form(
        '"Oh no, my {thing}!" {who hero} said {voice}.',
        "„O nein, {mein thing nom}!“, sagte {who hero} {voice}.",
    ),
    Form('"My poor {thing}!" {who hero} cried.', "„{Mein arm thing nom}!“, rief {who hero}."),
    Form("{who hero} sat down and cried.", "{who hero} setzte sich hin und weinte."),
    Form(
        '"What shall I do now?" {who hero} asked.', "„Was mache ich jetzt nur?“, fragte {who hero}."
    ),
)


def own_a_thing(story: Teller) -> None:
    """Tell who has what."""
    story.say("owning", OWNING)
    story.say("loving", LOVING)


def perhaps(story: Teller, name: str, forms: Sequence[Form], yes: int = 1, no: int = 1) -> None:
    """Say a sentence or leave it."""
    if story.choose(f"{name}?", yes=yes, no=no) == "yes":
        story.say(name, forms)


MOVED = (
    Form(
        "Later {the animal} came by and dragged it {to now}.",
        "Später kam {der animal nom} vorbei und schleppte {der thing akk} {to now}.",
    ),
    Form(
        "Then {the animal} found it and carried it {to now}.",
        "Dann fand {der animal nom} {der thing akk} und trug {ihn thing} {to now}.",
    ),
    Form(
        "But {elder} found it and took it {to now}.",
        "Aber {elder nom} fand {der thing akk} und brachte {ihn thing} {to now}.",
    ),
    Form(
        "Soon after, {elder} came along and carried it {to now}.",
        "Kurz darauf kam {elder nom} vorbei und trug {der thing akk} {to now}.",
    ),
    Form(
        "{animal} came running, as curious as ever, and dragged it {to now}.",
        "{animal} kam neugierig wie immer angelaufen und schleppte {der thing akk} {to now}.",
    ),
)

UNMOVED = (
    Form("For a long time nobody came by.", "Lange Zeit kam niemand vorbei."),
    Form("A bird sang, and then all was quiet.", "Ein Vogel sang, und dann war alles still."),
    Form("The wind blew, and the hours went by.", "Der Wind wehte, und die Stunden vergingen."),
)


def perhaps_moved(story: Teller, place: str) -> str:
    """Tell whether somebody takes the thing from its place; return the name of where it is then."""
    if story.choose("moved", yes=1, no=1) == "yes":
        story.say("moving", MOVED)
        return "now"
    perhaps(story, "quiet", UNMOVED)
    return place


# What the hero hears or sees, and may follow or not.
HINTS = (
    Form(
        '"There is something {at now}," said the postman.',
        "„{At now} liegt etwas“, sagte der Briefträger.",
    ),
    Form(
        '"Somebody was hurrying {to now}," said an old man.',
        "„Jemand ist ganz eilig {to now} gelaufen“, sagte ein alter Mann.",
    ),
    Form("Fresh tracks led {to now}.", "Frische Spuren führten {to now}."),
    Form(
        "Something was lying {at now}, the neighbours said.",
        "{At now} lag etwas, sagten die Nachbarn.",
    ),
)

SEARCHING = (
    Form(
        "There was only time to search {at search}, and soon it was dark.",
        "Die Zeit reichte nur noch, um {at search} zu suchen, und bald war es dunkel.",
    ),
    Form(
        '"I will look {at search}," {who hero} said and ran off.',
        "„Ich sehe {at search} nach“, sagte {who hero} und lief los.",
    ),
    Form(
        "{who hero} ran {to search} and searched there until evening.",
        "{who hero} lief {to search} und suchte dort bis zum Abend nach {der thing dat}.",
    ),
    Form(
        "{who hero} thought for a while and then went {to search}.",
        "{who hero} überlegte eine Weile und ging dann {to search}.",
    ),
)


def search(story: Teller, right: str, *wrong: str) -> None:
    """Tell where the hero looks for the thing: where it is, or at one of the wrong places.

    If somebody has taken it from its place, a hint says where to.
    """
    if right == "now":
        story.say("hint", HINTS)
        story.bind(IN_MIND, None)  # "he" could be the postman
    place = right if decide(story) else story.choose("wrong", **dict.fromkeys(wrong, 1))
    story.bind("search", story.values[place])
    story.say("searching", SEARCHING)


def decide(story: Teller) -> bool:
    """Choose whether the story ends well."""
    return story.choose("outcome", well=1, badly=1) == "well"


SUSPENSE = (
    Form("{who feeler} held {his feeler} breath.", "{who feeler} hielt den Atem an."),
    Form("{whose feeler} heart was beating fast.", "{whose feeler singular} Herz klopfte schnell."),
    Form("For a moment everything was quiet.", "Einen Augenblick lang war alles still."),
    Form("{whose feeler} eyes grew big.", "{whose feeler plural} Augen wurden groß."),
)

GLAD = (
    Form("How happy {who feeler} was!", "Wie glücklich {who feeler} war!"),
    Form("{who feeler} danced for joy.", "{who feeler} tanzte vor Freude."),
    Form(
        "{who feeler} beamed all over {his feeler} face.",
        "{who feeler} strahlte über das ganze Gesicht.",
    ),
)

SAD = (
    Form("How sad {who feeler} was!", "Wie traurig {who feeler} war!"),
    Form("{who feeler} hung {his feeler} head.", "{who feeler} ließ den Kopf hängen."),
    Form(
        "A tear ran down {whose feeler} cheek.", "Eine Träne lief {who feeler dat} über die Wange."
    ),
)

CLOSING = (
    Form("Then the moon rose over {town}.", "Dann ging über {town} der Mond auf."),
    Form(
        "{who hero} thought about that day for a long time.",
        "{who hero} dachte noch lange an diesen Tag.",
    ),
    Form('"What a day!" {who hero} said.', "„Was für ein Tag!“, sagte {who hero}."),
    Form(
        '"I will never forget this day," {who hero} said.',
        "„Diesen Tag vergesse ich nie“, sagte {who hero}.",
    ),
    Form("Then it began to rain softly.", "Dann begann es leise zu regnen."),
    Form(
        "High above {town} the first star came out.",
        "Hoch über {town} ging der erste Stern auf.",
    ),
    Form(
        "That night {who hero} lay awake for a long time.",
        "In dieser Nacht lag {who hero} lange wach.",
    ),
    Form(
        "The next day {who hero} told {his hero} {listener} everything.",
        "Am nächsten Tag erzählte {who hero} {sein hero listener dat} alles.",
    ),
    Form(
        "That night {who hero} dreamed of {the thing}.",
        "In dieser Nacht träumte {who hero} von {der thing dat}.",
    ),
    Form("And so the day came to an end in {town}.", "Und so ging der Tag in {town} zu Ende."),
    Form(
        "The stars were shining when {who hero} went to bed.",
        "Die Sterne schienen schon, als {who hero} ins Bett ging.",
    ),
)

GUESSING = (
    Form("You can guess how the day ended.", "Wie der Tag ausging, kannst du dir denken."),
    Form(
        "I need not tell you what happened next.",
        "Was dann geschah, brauche ich dir nicht zu erzählen.",
    ),
)


def close(
    story: Teller,
    well: Sequence[Form],
    badly: Sequence[Form],
    feeler: str = "hero",
    settled: bool = False,
) -> None:
    """Tell the outcome, or leave it to be understood, and say goodbye.

    Where it is `settled` already, nobody holds their breath.
    """
    story.bind("feeler", story.values[feeler])
    ends_well = any(c.name == "outcome" and c.value == "well" for c in story.choices)
    told = story.choose("outcome told", yes=2, no=3) == "yes"
    if told:
        story.say("telling", well if ends_well else badly)
        perhaps(story, "feeling", GLAD if ends_well else SAD)
    elif not settled:
        perhaps(story, "suspense", SUSPENSE)
    story.say("closing", CLOSING if told else (*CLOSING, *GUESSING))
