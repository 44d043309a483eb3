"""Something is hidden in a game, and somebody may take it from there."""

from __future__ import annotations

from minilm.world import scenes
from minilm.world.asking import MOVER, OWNER, SEEKER, TELLER, Asking
from minilm.world.choices import Teller
from minilm.world.forms import Form
from minilm.world.plots import lost

HIDING = (
    Form(
        '"Count to a hundred," said {friend}, and hid {the thing} {at goal}, {nook}.',
        "„Zähl bis hundert“, sagte {friend} und versteckte {der thing akk} {at goal} {nook}.",
    ),
    Form(
        "For fun, {friend} secretly hid {the thing} {at goal}, {nook}.",
        "Zum Spaß versteckte {friend} {der thing akk} heimlich {at goal} {nook}.",
    ),
    Form(
        "{friend} ran away with {the thing} and hid it {at goal}, {nook}.",
        "{friend} lief mit {der thing dat} davon und versteckte {ihn thing} {at goal} {nook}.",
    ),
)

CALLING = (
    Form('"Now find it!" called {friend}.', "„Jetzt such {ihn thing}!“, rief {friend}."),
    Form('"Guess where it is!" said {friend}.', "„Rate mal, wo {er thing} ist!“, sagte {friend}."),
    Form(
        '"Where is my {thing}?" asked {hero}, and {friend} only smiled.',
        "„Wo ist {mein thing nom}?“, fragte {hero}, und {friend} lächelte nur.",
    ),
)

THINKING = (
    Form(
        '"Is it {at astray}?" asked {hero}, but {friend} did not answer.',
        "„Ist {er thing} {at astray}?“, fragte {hero}, aber {friend} gab keine Antwort.",
    ),
    Form(
        '"You would never look {at astray}," {who friend} said.',
        "„{At astray} würdest du nie nachsehen“, sagte {who friend}.",
    ),
    Form(
        '"Perhaps it is {at astray}, perhaps not," said {hero}.',
        "„Vielleicht ist {er thing} {at astray}, vielleicht auch nicht“, sagte {hero}.",
    ),
)

QUESTIONS = (
    *OWNER,
    *MOVER,
    *SEEKER,
    *TELLER,
    Asking(
        "hiding",
        "friend",
        "Who hid {the thing}?",
        "Who played a trick on {hero}?",
    ),
    Asking(
        "hiding",
        "goal",
        "Where did {friend} hide {the thing}?",
        "In which place was {the thing} hidden?",
    ),
    Asking(
        "hiding",
        "nook",
        "In which spot did {friend} hide {the thing}?",
        "Where exactly was {the thing} hidden?",
    ),
    Asking(
        "thinking",
        "astray",
        "Which place did the two speak of before the search?",
        "Before the search, which place did {hero} and {friend} talk about?",
    ),
    Asking(
        "going",
        "here",
        "Where were {hero} and {friend} at first?",
        "In which place did the game begin?",
    ),
)


def tell(story: Teller) -> None:
    """Tell how a friend hides something, and where it is looked for."""
    scenes.own_a_thing(story)
    story.say("going", scenes.GOING)
    story.say("hiding", HIDING)
    where = scenes.perhaps_moved(story, "goal")
    if where == "goal":
        story.say("calling", CALLING)
    story.say("thinking", THINKING)
    if where == "goal":
        scenes.search(story, "goal", "astray")
    else:
        scenes.search(story, "now", "goal", "astray")
    scenes.close(story, lost.WELL, lost.BADLY)
