"""Something is to be brought to somebody, who waits somewhere."""

from __future__ import annotations

from minilm.world import scenes
from minilm.world.asking import TELLER, Asking
from minilm.world.choices import Domain, Teller
from minilm.world.forms import Form

PACKING = (
    Form(
        "{time}, in {town}, {hero's} {relative} took {a adj} {thing} from the shelf.",
        "{time} nahm {hero gen} {relative} in {town} {ein adj thing akk} aus dem Regal.",
    ),
    Form(
        "{time} {hero's} {relative} wrapped up {a adj} {thing} at home in {town}.",
        "{time} packte {hero gen} {relative} zu Hause in {town} {ein adj thing akk} ein.",
    ),
    Form(
        "{hero} lived in {town}, and {time} {his hero} {relative} gave {him hero} {a adj} {thing}.",
        "{hero} wohnte in {town}, und {time} gab {ihm hero} {sein hero relative nom} "
        "{ein adj thing akk}.",
    ),
)

SENDING = (
    Form(
        '"Take it to {elder}," {he relative} said. "{He elder} is waiting {at goal}."',
        "„Bring {ihn thing} zu {elder dat}“, sagte {er relative}. „{Er elder} wartet {at goal}.“",
    ),
    Form(
        '"{elder} needs it," {he relative} said, "and is waiting {at goal}."',
        "„{elder nom} braucht {ihn thing}“, sagte {er relative}, „und wartet {at goal}.“",
    ),
    Form(
        '"Please run {to goal}," {he relative} said, "and give it to {elder}."',
        "„Lauf bitte {to goal}“, sagte {er relative}, „und gib {ihn thing} {elder dat}.“",
    ),
)

MEETING = (
    Form(
        "{hero} set off, but {at way} {he hero} met {friend} and {rival}.",
        "{hero} ging los, traf aber {at way} {friend} und {rival akk}.",
    ),
    Form(
        "{at way} {friend} and {rival} were standing, and {hero} stopped to talk to them.",
        "{at way} standen {friend} und {rival nom}, und {hero} blieb stehen, um mit ihnen zu reden.",
    ),
    Form(
        "On the way {hero} met {rival}, and then {friend} came along {at way}.",
        "{hero} traf unterwegs {rival akk}, und {at way} kam dann {friend} dazu.",
    ),
)

TEMPTING = (
    Form('"Come with me {to astray}," said {friend}.', "„Komm mit {to astray}“, sagte {friend}."),
    Form(
        '"It is much nicer {at astray}," said {friend}.',
        "„{At astray} ist es viel schöner“, sagte {friend}.",
    ),
    Form(
        '"Everybody is {at astray} today," said {friend}.',
        "„Heute sind alle {at astray}“, sagte {friend}.",
    ),
)

GIVING_TO = (
    Form(
        '"Here is {the thing}," said {hero} to {taker}.',
        "„Hier ist {der thing nom}“, sagte {hero} zu {taker dat}.",
    ),
    Form(
        "Soon {the thing} was in {taker's} hands.",
        "Bald war {der thing nom} in {taker gen} Händen.",
    ),
    Form(
        "In the end {hero} gave {the thing} to {taker}.",
        "Am Ende gab {hero} {der thing akk} {taker dat}.",
    ),
)

BRINGING_TO = (
    Form(
        "{hero} hurried {to stop} and was there before evening.",
        "{hero} eilte {to stop} und war noch vor dem Abend dort.",
    ),
    Form(
        "In the end {hero} stood {at stop} with {the thing}.",
        "Am Ende stand {hero} mit {der thing dat} {at stop}.",
    ),
    Form(
        "{hero} took {the thing} {to stop} and looked around.",
        "{hero} brachte {der thing akk} {to stop} und sah sich um.",
    ),
)

WELL = (
    Form(
        '"Well done, {hero}!" said {his hero} {relative} in the evening.',
        "„Gut gemacht, {hero}!“, sagte {sein hero relative nom} am Abend.",
    ),
    Form(
        '"So {elder} has it now," said {his hero} {relative} in the evening.',
        "„Dann hat {elder nom} {ihn thing} jetzt“, sagte {sein hero relative nom} am Abend.",
    ),
)

BADLY = (
    Form(
        '"Oh, {hero}, what have you done?" said {his hero} {relative} in the evening.',
        "„Ach, {hero}, was hast du gemacht?“, sagte {sein hero relative nom} am Abend.",
    ),
    Form(
        '"But {elder} is still waiting," said {his hero} {relative} in the evening.',
        "„Aber {elder nom} wartet immer noch“, sagte {sein hero relative nom} am Abend.",
    ),
)

QUESTIONS = (
    *TELLER,
    Asking(
        "packing",
        "thing",
        "What was {hero} to take to {elder}?",
        "Which thing did {elder} need?",
    ),
    Asking(
        "packing",
        "town",
        "Where did {hero} live?",
        "In which town did the story begin?",
    ),
    Asking(
        "packing",
        "relative",
        "Who sent {hero} on the way?",
        "Who gave {hero} {the thing}?",
    ),
    Asking(
        "packing",
        "adj",
        "What was {the thing} like?",
        "What did {the thing} look like?",
    ),
    Asking(
        "sending",
        "elder",
        "Who was waiting for {the thing}?",
        "For whom was {the thing}?",
    ),
    Asking(
        "sending",
        "goal",
        "Where was {elder} waiting?",
        "To which place was {hero} sent?",
    ),
    Asking(
        "meeting",
        "friend",
        "Which child did {hero} meet?",
        "Who tried to lead {hero} astray?",
    ),
    Asking(
        "meeting",
        "rival",
        "Which grown-up did {hero} meet on the way?",
        "Whom did {hero} meet besides {friend}?",
    ),
    Asking(
        "tempting",
        "astray",
        "Which place did {friend} speak of?",
        "Where would {friend} rather have gone?",
    ),
    Asking(
        "giving",
        "taker",
        "Who got {the thing} in the end?",
        "To whom did {hero} give {the thing}?",
    ),
    Asking(
        "bringing",
        "stop",
        "Where did {hero} go in the end?",
        "To which place did {hero} take {the thing}?",
    ),
)


def tell(story: Teller) -> None:
    """Tell who is to bring something where, and what comes of it."""
    story.say("packing", PACKING)
    # Whoever sent the child need not be told.
    story.let("listener", Domain(story.domains["relative"].pool, scenes.unused))
    story.say("sending", SENDING)
    scenes.perhaps(story, "mood", scenes.MOODS, yes=1, no=2)
    story.say("meeting", MEETING)
    story.say("tempting", TEMPTING)
    well = scenes.decide(story)
    if story.choose("end", person=1, place=1) == "person":
        story.bind("taker", story.values["elder" if well else "rival"])
        story.say("giving", GIVING_TO)
    else:
        story.bind("stop", story.values["goal" if well else "astray"])
        story.say("bringing", BRINGING_TO)
    scenes.close(story, WELL, BADLY)
