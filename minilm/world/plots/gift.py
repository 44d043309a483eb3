"""Somebody wishes for something, and somebody buys a present."""

from __future__ import annotations

from minilm.world import scenes
from minilm.world.asking import TELLER, Asking
from minilm.world.choices import Teller
from minilm.world.forms import Form

LIVING = (
    Form(
        "{hero} and {friend} lived in {town} and were the best of friends.",
        "{hero} und {friend} wohnten in {town} und waren {friends hero friend}.",
    ),
    Form(
        "In {town} lived {friend}, and next door lived {hero}.",
        "In {town} wohnte {friend}, und nebenan wohnte {hero}.",
    ),
    Form(
        "{hero} had known {friend} for years, for both lived in {town}.",
        "{hero} kannte {friend} seit Jahren, denn beide wohnten in {town}.",
    ),
)

WISHING = (
    Form(
        "For {his friend} birthday {friend} wished for {a adj} {thing}.",
        "Zum Geburtstag wünschte sich {friend} {ein adj thing akk}.",
    ),
    Form(
        '"If only I had {a adj} {thing}!" {friend} often said.',
        "„Wenn ich nur {ein adj thing akk} hätte!“, sagte {friend} oft.",
    ),
    Form(
        "What {friend} wanted most of all was {a adj} {thing}.",
        "Am allermeisten wünschte sich {friend} {ein adj thing akk}.",
    ),
    Form(
        "Every night {friend} dreamed of {a adj} {thing}.",
        "Jede Nacht träumte {friend} von {ein adj thing dat}.",
    ),
)

NOT_WISHING = (
    Form("But {he friend} already had {a other}.", "{ein other akk} hatte {er friend} aber schon."),
    Form(
        "But {he friend} had no use for {a other}.",
        "Mit {ein other dat} konnte {er friend} aber nichts anfangen.",
    ),
    Form(
        '"Anything but {a other}!" {he friend} always said.',
        "„Alles, nur {kein other akk}!“, sagte {er friend} immer.",
    ),
)

SHOPPING = (
    Form(
        "{time} {hero} found a little shop {at here}.",
        "{time} entdeckte {hero} {at here} einen kleinen Laden.",
    ),
    Form(
        "{time} {hero} went {to here} to buy a present.",
        "{time} ging {hero} {to here}, um ein Geschenk zu kaufen.",
    ),
    Form(
        "{time} {hero} took all {his hero} money and went shopping {at here}.",
        "{time} nahm {hero} {possessive hero} ganzes Geld und ging {at here} einkaufen.",
    ),
)

OFFERING = (
    Form(
        "{elder} had many things to sell there.",
        "Dort hatte {elder nom} viele Dinge zu verkaufen.",
    ),
    Form(
        '"What can I do for you?" asked {elder} behind the counter.',
        "„Was kann ich für dich tun?“, fragte {elder nom} hinter dem Ladentisch.",
    ),
    Form(
        "{elder} showed {him hero} what there was.",
        "{elder nom} zeigte {ihm hero}, was es gab.",
    ),
    Form(
        '"Everything here is cheap," said {elder}.', "„Hier ist alles billig“, sagte {elder nom}."
    ),
)

BUYING = (
    Form(
        "{who hero} chose {a present} and had it wrapped up.",
        "{who hero} suchte {ein present akk} aus und ließ {ihn present} einpacken.",
    ),
    Form(
        "{who hero} had just enough money for {a present}.",
        "{whose hero singular} Geld reichte gerade für {ein present akk}.",
    ),
    Form(
        '"I will take {a present}, please," said {hero}.',
        "„Ich nehme {ein present akk}, bitte“, sagte {hero}.",
    ),
    Form(
        "{who hero} looked at everything twice and bought {a present}.",
        "{who hero} sah sich alles zweimal an und kaufte {ein present akk}.",
    ),
)

GIVING = (
    Form(
        "In the evening {friend} opened the parcel.",
        "Am Abend öffnete {friend} das Päckchen.",
    ),
    Form(
        '"A present for me?" cried {friend}.',
        "„Ein Geschenk für mich?“, rief {friend}.",
    ),
    Form(
        "On {his friend} birthday {friend} tore off the paper at once.",
        "An {possessive friend}em Geburtstag riss {friend} sofort das Papier ab.",
    ),
)

WELL = (
    Form('"The very thing!" {who friend} cried.', "„Genau das Richtige!“, rief {who friend}."),
    Form(
        '"How did you know?" {who friend} cried.',
        "„Woher hast du das gewusst?“, rief {who friend}.",
    ),
    Form(
        '"That is just what I wanted!" {who friend} said.',
        "„Genau das habe ich mir gewünscht!“, sagte {who friend}.",
    ),
)

BADLY = (
    Form('"What a pity!" {who friend} cried.', "„Wie schade!“, rief {who friend}."),
    Form(
        '"Oh," {who friend} said, and nothing more.', "„Oh“, sagte {who friend} und sonst nichts."
    ),
    Form(
        '"That is not what I wanted," {who friend} said.',
        "„Das habe ich mir nicht gewünscht“, sagte {who friend}.",
    ),
)

QUESTIONS = (
    *TELLER,
    Asking(
        "living",
        "town",
        "Where did {hero} and {friend} live?",
        "In which town did {friend} live?",
    ),
    Asking(
        "wishing",
        "thing",
        "What did {friend} wish for?",
        "Which thing did {friend} want?",
    ),
    Asking(
        "not wishing",
        "other",
        "What did {friend} not need?",
        "Which thing did {friend} not want?",
    ),
    Asking(
        "shopping",
        "here",
        "Where did {hero} buy the present?",
        "In which place was the shop?",
    ),
    Asking(
        "offering",
        "elder",
        "Who sold things {at here}?",
        "Whose shop was it?",
    ),
    Asking(
        "buying",
        "present",
        "What did {hero} buy?",
        "What was in the parcel?",
    ),
    Asking(
        "giving",
        "friend",
        "Who got a present?",
        "Who was given a parcel?",
    ),
)


def tell(story: Teller) -> None:
    """Tell what a friend wishes for, and what is bought."""
    story.say("living", LIVING)
    story.say("wishing", WISHING)
    story.say("not wishing", NOT_WISHING)
    story.let("here", story.domains["shop"])
    story.say("shopping", SHOPPING)
    scenes.perhaps(story, "mood", scenes.MOODS, yes=1, no=2)
    scenes.perhaps(story, "offering", OFFERING)
    story.bind("present", story.values["thing" if scenes.decide(story) else "other"])
    story.say("buying", BUYING)
    story.say("giving", GIVING)
    scenes.close(story, WELL, BADLY, feeler="friend")
