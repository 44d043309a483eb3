"""Something breaks, and not everybody can mend it."""

from __future__ import annotations

from minilm.world import scenes
from minilm.world.asking import OWNER, TELLER, Asking
from minilm.world.choices import Teller
from minilm.world.forms import Form

BREAKING = (
    Form(
        "{time} {hero} stumbled over {friend's} foot {at here}, and {the thing} {harm thing}.",
        "{time} stolperte {hero} {at here} über {friend gen} Fuß, und {der thing nom} "
        "{harm thing}.",
    ),
    Form(
        "{time} {friend} borrowed it {at here}, and suddenly it {harm thing}.",
        "{time} lieh sich {friend} {at here} {der thing akk} aus, und plötzlich {harm thing er}.",
    ),
    Form(
        "{time} {friend} bumped into {hero} {at here}, and {the thing} {harm thing}.",
        "{time} stieß {friend} {at here} mit {hero} zusammen, und {der thing nom} {harm thing}.",
    ),
)

ADVISING = (
    Form(
        '"{elder} can mend it, but {rival} cannot," said {friend}.',
        "„{elder nom} kann {ihn thing} wieder heil machen, {rival nom} aber nicht“, sagte {friend}.",
    ),
    Form(
        '"Do not go to {rival}," said {friend}. "Only {elder} can mend such things."',
        "„Geh nicht zu {rival dat}“, sagte {friend}. „So etwas kann nur {elder nom} wieder heil machen.“",
    ),
    Form(
        '"{rival} makes everything worse," said {friend}, "but {elder} can mend anything."',
        "„{rival nom} macht alles nur schlimmer“, sagte {friend}, "
        "„aber {elder nom} kann alles wieder heil machen.“",
    ),
    Form(
        '"{elder} is good with such things," said {friend}, "and {rival} is not."',
        "„{elder nom} kennt sich mit so etwas aus“, sagte {friend}, „{rival nom} dagegen nicht.“",
    ),
)

BRINGING = (
    Form(
        "{mender} lived just round the corner, and so {hero} went there at once.",
        "{mender nom} wohnte gleich um die Ecke, und so ging {hero} sofort dorthin.",
    ),
    Form(
        "{hero} liked {mender} best of all and took {the thing} there.",
        "{hero} mochte {mender akk} am liebsten und brachte {der thing akk} dorthin.",
    ),
    Form(
        "{mender} happened to come by, and {hero} handed {him mender} {the thing}.",
        "{mender nom} kam gerade vorbei, und {hero} gab {ihm mender} {der thing akk}.",
    ),
    Form(
        "Only {mender} was at home that day, and {hero} knocked at the door.",
        "An diesem Tag war nur {mender nom} zu Hause, und {hero} klopfte an die Tür.",
    ),
    Form(
        "{mender} asked for no money, and so {the thing} lay on {his mender} table that evening.",
        "{mender nom} wollte kein Geld dafür, und so lag {der thing nom} am Abend bei "
        "{ihm mender} auf dem Tisch.",
    ),
)

WORKING = (
    Form(
        "{mender} put on {his mender} glasses and set to work.",
        "{mender nom} setzte die Brille auf und machte sich an die Arbeit.",
    ),
    Form('"Let me see," said {mender}.', "„Lass mal sehen“, sagte {mender nom}."),
    Form(
        '"This will take a while," said {mender}.',
        "„Das wird eine Weile dauern“, sagte {mender nom}.",
    ),
    Form(
        "{mender} nodded and fetched some tools.",
        "{mender nom} nickte und holte Werkzeug.",
    ),
)

WELL = (
    Form("Soon {the thing} was as good as new.", "Bald war {der thing nom} so gut wie neu."),
    Form(
        '"There you are, {hero}, it is mended," {who mender} said.',
        "„Bitte sehr, {hero}, {er thing} ist wieder heil“, sagte {who mender}.",
    ),
    Form("An hour later it was mended.", "Eine Stunde später war {der thing nom} wieder heil."),
)

BADLY = (
    Form(
        "Soon {the thing} looked worse than before.",
        "Bald sah {der thing nom} schlimmer aus als vorher.",
    ),
    Form(
        '"I am sorry, {hero}, it cannot be mended," {who mender} said.',
        "„Tut mir leid, {hero}, {er thing} ist nicht zu retten“, sagte {who mender}.",
    ),
    Form(
        "An hour later it was still not mended.",
        "Eine Stunde später war {der thing nom} noch immer nicht heil.",
    ),
)

QUESTIONS = (
    *OWNER,
    *TELLER,
    Asking(
        "breaking",
        "here",
        "Where did {the thing} come to grief?",
        "In which place was {the thing} damaged?",
    ),
    Asking(
        "advising",
        "elder",
        "Who could mend {the thing}?",
        "Who was good at mending things?",
    ),
    Asking(
        "advising",
        "rival",
        "Who could not mend {the thing}?",
        "Who was no good at mending things?",
    ),
    Asking(
        "bringing",
        "mender",
        "Who was given {the thing} to mend?",
        "Whom did {hero} ask to mend {the thing}?",
    ),
    Asking(
        "advising",
        "friend",
        "Who gave {hero} advice?",
        "Whose advice did {hero} hear?",
    ),
)


def tell(story: Teller) -> None:
    """Tell what breaks, who could mend it, and who is asked to."""
    story.let("thing", story.domains["breakable"])
    scenes.own_a_thing(story)
    story.say("breaking", BREAKING)
    scenes.perhaps(story, "crying", scenes.CRYING)
    story.say("advising", ADVISING)
    story.bind("mender", story.values["elder" if scenes.decide(story) else "rival"])
    story.say("bringing", BRINGING)
    scenes.perhaps(story, "working", WORKING, yes=2, no=1)
    scenes.close(story, WELL, BADLY)
