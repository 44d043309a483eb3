"""Something is left behind, and somebody may find it first."""

from __future__ import annotations

from minilm.world import scenes
from minilm.world.asking import MOVER, OWNER, SEEKER, TELLER, Asking
from minilm.world.choices import Teller
from minilm.world.forms import Form

LEAVING = (
    Form(
        "{hero} put {the thing} down {spot} and forgot it.",
        "{hero} legte {der thing akk} {spot} ab und vergaß {ihn thing} dort.",
    ),
    Form(
        "There {hero} left {the thing} lying {spot}.",
        "Dort ließ {hero} {der thing akk} {spot} liegen.",
    ),
    Form(
        "At noon the two ran off and left {the thing} {spot}.",
        "Am Mittag liefen die beiden davon und ließen {der thing akk} {spot} liegen.",
    ),
)

NOTICING = (
    Form(
        "In the afternoon {hero} saw that {the thing} was gone.",
        "Am Nachmittag merkte {hero}, dass {der thing nom} weg war.",
    ),
    Form(
        "Only when {friend} asked about it did {hero} miss {the thing}.",
        "Erst als {friend} danach fragte, vermisste {hero} {der thing akk}.",
    ),
    Form(
        "On the way home with {friend}, {hero} missed {the thing}.",
        "Auf dem Heimweg mit {friend} vermisste {hero} {der thing akk}.",
    ),
    Form(
        '"Where is your {thing}?" {friend} asked later.',
        "„Wo ist denn {dein thing nom}?“, fragte {friend} später.",
    ),
)

ADVISING = (
    Form(
        '"Did you not have it {at astray}?" {who friend} asked.',
        "„Hattest du {ihn thing} nicht noch {at astray}?“, fragte {who friend}.",
    ),
    Form(
        '"Perhaps it is {at astray}," {who friend} said.',
        "„Vielleicht ist {er thing} {at astray}“, sagte {who friend}.",
    ),
    Form(
        '"Lost things turn up {at astray}," {who friend} said.',
        "„Verlorenes taucht {at astray} wieder auf“, sagte {who friend}.",
    ),
)

WELL = (
    Form("And there it was!", "Und da war {der thing nom}!"),
    Form("There {who hero} found {the thing}.", "Dort fand {who hero} {der thing akk}."),
    Form('"Here it is!" {who hero} cried.', "„Hier ist {er thing}!“, rief {who hero}."),
    Form('"I have it!" {who hero} cried.', "„Ich habe {ihn thing}!“, rief {who hero}."),
)

BADLY = (
    Form("But it was not there.", "Aber dort war {der thing nom} nicht."),
    Form("But {who hero} found nothing.", "Aber {who hero} fand nichts."),
    Form('"It is not here!" {who hero} cried.', "„Hier ist {er thing} nicht!“, rief {who hero}."),
    Form(
        "But there was no {thing} to be seen.",
        "Aber es war {kein thing nom} zu sehen.",
    ),
)

QUESTIONS = (
    *OWNER,
    *MOVER,
    *SEEKER,
    *TELLER,
    Asking(
        "going",
        "here",
        "Where did {hero} leave {the thing}?",
        "Where did {hero} forget {the thing}?",
        "In which place did {the thing} stay behind?",
    ),
    Asking(
        "leaving",
        "spot",
        "In which spot did {hero} leave {the thing}?",
        "Where exactly was {the thing} left?",
    ),
    Asking(
        "going",
        "friend",
        "Who was with {hero} {at here}?",
        "With whom was {hero} {at here}?",
    ),
    Asking(
        "advising",
        "astray",
        "Where did {friend} think that {the thing} was?",
        "Which place did {friend} speak of?",
    ),
)


def tell(story: Teller) -> None:
    """Tell how somebody leaves something behind, and where they look for it."""
    scenes.own_a_thing(story)
    story.say("going", scenes.GOING)
    story.say("leaving", LEAVING)
    where = scenes.perhaps_moved(story, "here")
    story.say("noticing", NOTICING)
    if where == "here":
        scenes.perhaps(story, "crying", scenes.CRYING)
    story.say("advising", ADVISING)
    if where == "here":
        scenes.search(story, "here", "astray")
    else:
        scenes.search(story, "now", "here", "astray")
    scenes.close(story, WELL, BADLY)
