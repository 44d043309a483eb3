"""Something is lent, and is to be back at an hour."""

from __future__ import annotations

from minilm.world import scenes
from minilm.world.asking import OWNER, TELLER, Asking
from minilm.world.choices import Teller
from minilm.world.forms import Form

BORROWING = (
    Form(
        "{time} {friend} came and asked for {the thing}.",
        "{time} kam {friend} und bat um {der thing akk}.",
    ),
    Form(
        '{time} {friend} asked, "May I borrow your {thing}?"',
        "{time} fragte {friend}: „Darf ich mir {dein thing akk} ausleihen?“",
    ),
    Form(
        "{time} {friend} wanted to borrow {the thing}.",
        "{time} wollte sich {friend} {der thing akk} ausleihen.",
    ),
    Form(
        '{time} {friend} knocked at the door. "Will you lend me your {thing}?"',
        "{time} klopfte {friend} an die Tür. „Leihst du mir {dein thing akk}?“",
    ),
)

AGREEING = (
    Form(
        '"You may have it," said {hero}, "until {hour} o\'clock."',
        "„Du darfst {ihn thing} haben“, sagte {hero}, „bis {hour} Uhr.“",
    ),
    Form(
        '"Yes," said {hero}, "but I want it back at {hour} o\'clock."',
        "„Ja“, sagte {hero}, „aber um {hour} Uhr will ich {ihn thing} wiederhaben.“",
    ),
    Form(
        '{hero} nodded. "Bring it back at {hour} o\'clock."',
        "{hero} nickte. „Bring {ihn thing} um {hour} Uhr zurück.“",
    ),
    Form(
        '"Gladly," answered {hero}, "if you bring it back at {hour} o\'clock."',
        "„Gern“, antwortete {hero}, „wenn du {ihn thing} um {hour} Uhr zurückbringst.“",
    ),
)

TAKING = (
    Form(
        '"I promise," said {friend} and took it {to here}.',
        "„Versprochen“, sagte {friend} und nahm {der thing akk} mit {to here}.",
    ),
    Form("{friend} took it {to here}.", "{friend} nahm {der thing akk} mit {to here}."),
    Form("{friend} ran off with it {to here}.", "{friend} lief damit {to here}."),
    Form(
        "{friend} gave {his friend} word and went {to here} with {the thing}.",
        "{friend} gab {possessive friend} Wort und ging mit {der thing dat} {to here}.",
    ),
)

PASSING = (
    Form(
        "There {third} wanted it too, and {friend} handed it over.",
        "Dort wollte {third} {der thing akk} auch haben, und {friend} gab {ihn thing} weiter.",
    ),
    Form(
        "{third}, who was there too, begged for it until {friend} gave in.",
        "{third}, {that third} auch dort war, bettelte so lange darum, bis {friend} nachgab.",
    ),
    Form(
        "There {friend} met {third} and lent {him third} {the thing}.",
        "{friend} traf dort {third} und lieh {ihm third} {der thing akk}.",
    ),
)

KEEPING = (
    Form(
        "There {friend} met {third}, and they talked about everything under the sun.",
        "{friend} traf dort {third}, und die beiden redeten über Gott und die Welt.",
    ),
    Form(
        "There {third} was waiting, and the two had a fine time together.",
        "Dort wartete {third}, und die beiden hatten viel Spaß miteinander.",
    ),
    Form(
        '"How pretty!" said {third}, who was there too.',
        "„Wie schön!“, sagte {third}, {that third} auch dort war.",
    ),
)

HOLDING = (
    Form(
        "At {hour} o'clock {last} came to {holder} with {the thing}.",
        "Um {hour} Uhr kam {last} mit {der thing dat} zu {holder}.",
    ),
    Form(
        "It struck {hour}, and {last} was standing at {holder's} door with {the thing}.",
        "Es schlug {hour}, und {last} stand mit {der thing dat} vor {holder gen} Tür.",
    ),
    Form(
        "When it struck {hour}, {last} was just putting {the thing} into {holder's} hands.",
        "Als es {hour} schlug, legte {last} gerade {der thing akk} in {holder gen} Hände.",
    ),
    Form(
        "The time flew by, and at {hour} o'clock {holder} got {the thing} from {last}.",
        "Die Zeit verging wie im Flug, und um {hour} Uhr bekam {holder} von {last} "
        "{der thing akk}.",
    ),
)

WELL = (
    Form(
        '{hero} looked up. "You keep your word, {friend}."',
        "{hero} blickte auf. „Du hältst dein Wort, {friend}.“",
    ),
    Form(
        '{hero} said, "I knew that I could count on you, {friend}."',
        "{hero} sagte: „Ich wusste, ich kann mich auf dich verlassen, {friend}.“",
    ),
    Form('"Thank you, {friend}!" cried {hero} at once.', "„Danke, {friend}!“, rief {hero} sofort."),
)

BADLY = (
    Form(
        '{hero} looked up. "You did not keep your word, {friend}."',
        "{hero} blickte auf. „Du hast dein Wort nicht gehalten, {friend}.“",
    ),
    Form(
        '{hero} said, "I thought that I could count on you, {friend}."',
        "{hero} sagte: „Ich dachte, ich könnte mich auf dich verlassen, {friend}.“",
    ),
    Form(
        '"Never again, {friend}!" cried {hero} at once.',
        "„Nie wieder, {friend}!“, rief {hero} sofort.",
    ),
)

QUESTIONS = (
    *OWNER,
    *TELLER,
    Asking(
        "borrowing",
        "friend",
        "Who borrowed {the thing} from {hero}?",
        "To whom did {hero} lend {the thing}?",
    ),
    Asking(
        "agreeing",
        "hour",
        "When was {the thing} to be back?",
        "At what time did {hero} want {the thing} back?",
    ),
    Asking(
        "taking",
        "here",
        "Where did {friend} take {the thing}?",
        "To which place did {friend} go with {the thing}?",
    ),
    Asking(
        "passing",
        "third",
        "Whom did {friend} meet {at here}?",
        "Who was {at here} when {friend} came?",
    ),
    Asking(
        "holding",
        "holder",
        "To whom did {last} bring {the thing} at {hour} o'clock?",
        "Who got {the thing} in the end?",
    ),
)


def tell(story: Teller) -> None:
    """Tell who borrows something, and who has it in the end."""
    scenes.own_a_thing(story)
    story.say("borrowing", BORROWING)
    story.say("agreeing", AGREEING)
    story.say("taking", TAKING)
    passed = story.choose("passed on", yes=1, no=1) == "yes"
    story.say("passing", PASSING if passed else KEEPING)
    last, other = ("third", "friend") if passed else ("friend", "third")
    story.bind("last", story.values[last])
    story.bind("holder", story.values["hero" if scenes.decide(story) else other])
    story.say("holding", HOLDING)
    scenes.close(story, WELL, BADLY, settled=True)
