"""Two want to meet, at a place and an hour."""

from __future__ import annotations

from minilm.world import scenes
from minilm.world.asking import OWNER, TELLER, Asking
from minilm.world.choices import Teller
from minilm.world.forms import Form

INVITING = (
    Form(
        '{time} {friend} said, "Bring it {to goal} at {hour} o\'clock."',
        "{time} sagte {friend}: „Bring {ihn thing} um {hour} Uhr {to goal}.“",
    ),
    Form(
        "{time} {friend} wrote to {him hero}, \"Meet me {at goal} at {hour} o'clock, and bring "
        '{the thing}."',
        "{time} schrieb {friend} {ihm hero}: „Triff dich um {hour} Uhr mit mir {at goal} und bring "
        "{der thing akk} mit.“",
    ),
    Form(
        '{time} {friend} asked to see it. "At {hour} o\'clock I will be {at goal}."',
        "{time} wollte {friend} {der thing akk} sehen. „Um {hour} Uhr bin ich {at goal}.“",
    ),
)

HELPING = (
    Form("First {hero} helped {elder} {at way}.", "{hero} half zuerst {elder dat} {at way}."),
    Form(
        "On the way {hero} stopped {at way} to help {elder}.",
        "Unterwegs machte {hero} {at way} halt, um {elder dat} zu helfen.",
    ),
    Form(
        "But first {elder} needed help {at way}, and {hero} lent a hand.",
        "Aber vorher brauchte {elder nom} {at way} Hilfe, und {hero} packte mit an.",
    ),
)

CHANGING = (
    Form(
        '"Most people meet {at astray}," said {elder}.',
        "„Die meisten treffen sich {at astray}“, sagte {elder nom}.",
    ),
    Form(
        '"Are you going {to astray}?" asked {elder}.',
        "„Gehst du {to astray}?“, fragte {elder nom}.",
    ),
    Form(
        '"It is lovely {at astray} today," said {elder}.',
        "„{At astray} ist es heute herrlich“, sagte {elder nom}.",
    ),
)

COMING = (
    Form(
        "At {arrival} o'clock {hero} was standing {at stop} with {the thing}.",
        "Um {arrival} Uhr stand {hero} mit {der thing dat} {at stop}.",
    ),
    Form(
        "It was {arrival} o'clock when {hero} came {to stop}.",
        "Es war {arrival} Uhr, als {hero} {to stop} kam.",
    ),
    Form(
        "{hero} ran {to stop}, and just then it struck {arrival}.",
        "{hero} lief {to stop}, und da schlug es gerade {arrival}.",
    ),
)

WELL = (
    Form('"There you are!" called {friend}.', "„Da bist du ja!“, rief {friend}."),
    Form('"Just in time!" said {friend}.', "„Gerade rechtzeitig!“, sagte {friend}."),
    Form("{friend} was there already and waved.", "{friend} war schon da und winkte."),
)

BADLY = (
    Form("Nobody was waiting there.", "Dort wartete niemand."),
    Form("{friend} was nowhere to be seen.", "{friend} war nirgends zu sehen."),
    Form(
        '"{friend}!" called {hero}, but nobody answered.',
        "„{friend}!“, rief {hero}, aber niemand antwortete.",
    ),
)

QUESTIONS = (
    *OWNER,
    *TELLER,
    Asking(
        "inviting",
        "friend",
        "Who wanted to meet {hero}?",
        "Whom was {hero} to meet?",
    ),
    Asking(
        "inviting",
        "goal",
        "Where did {friend} want to meet {hero}?",
        "To which place was {hero} to come?",
    ),
    Asking(
        "inviting",
        "hour",
        "When was {hero} to come?",
        "At what time did {friend} want to meet {hero}?",
    ),
    Asking(
        "helping",
        "elder",
        "Whom did {hero} help?",
        "Who needed help?",
    ),
    Asking(
        "helping",
        "way",
        "Where did {hero} help {elder}?",
        "In which place did {elder} need help?",
    ),
    Asking(
        "changing",
        "astray",
        "Which place did {elder} speak of?",
        "Of which place did {elder} speak?",
    ),
    Asking(
        "coming",
        "stop",
        "Where did {hero} go in the end?",
        "To which place did {hero} really come?",
    ),
    Asking(
        "coming",
        "arrival",
        "When did {hero} come?",
        "At what time did {hero} come {to stop}?",
    ),
)


def tell(story: Teller) -> None:
    """Tell where and when two want to meet, and who comes where and when."""
    scenes.own_a_thing(story)
    story.say("inviting", INVITING)
    scenes.perhaps(story, "mood", scenes.MOODS, yes=1, no=2)
    story.say("helping", HELPING)
    story.say("changing", CHANGING)
    well = scenes.decide(story)
    wrong = "" if well else story.choose("wrong", place=1, hour=1)
    story.bind("stop", story.values["astray" if wrong == "place" else "goal"])
    if wrong == "hour":
        story.let("arrival", story.domains["later"])
    else:
        story.bind("arrival", story.values["hour"])
    story.say("coming", COMING)
    scenes.close(story, WELL, BADLY)
