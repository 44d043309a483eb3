"""Questions about a story, each with several forms, and where its answer stands."""

from __future__ import annotations

from dataclasses import dataclass

from minilm.world.forms import Form


@dataclass(frozen=True, init=False)
class Asking:
    """A question that is asked of a story if it has the sentence that answers it.

    The answer is what the slot says in that sentence. The forms are English sentences with slots,
    one of which is taken.
    """

    sentence: str
    slot: str
    forms: tuple[Form, ...]

    def __init__(self, sentence: str, slot: str, *forms: str) -> None:
        object.__setattr__(self, "sentence", sentence)
        object.__setattr__(self, "slot", slot)
        object.__setattr__(self, "forms", tuple(Form(form, "") for form in forms))


OWNER = (
    Asking(
        "owning",
        "town",
        "Where did {hero} live?",
        "In which town did {hero} live?",
        "Where was {hero's} home?",
    ),
    Asking(
        "owning",
        "hero",
        "Who owned {a adj} {thing}?",
        "Whose was {the thing}?",
        "To whom did {the thing} belong?",
    ),
    Asking(
        "owning",
        "thing",
        "What did {hero} have?",
        "Which thing belonged to {hero}?",
        "What was it that {hero} owned?",
    ),
    Asking(
        "owning",
        "adj",
        "What was {the thing} like?",
        "What did {the thing} look like?",
        "Which word describes {the thing}?",
    ),
    Asking(
        "owning",
        "giver",
        "From whom did {hero} get {the thing}?",
        "Who gave {hero} {the thing}?",
        "Who made {hero} a present of {the thing}?",
    ),
)

MOVER = (
    Asking(
        "moving",
        "elder",
        "Who took {the thing} {to now}?",
        "Who found {the thing} first?",
        "By whom was {the thing} carried {to now}?",
    ),
    Asking(
        "moving",
        "animal",
        "Which animal took {the thing} {to now}?",
        "Who found {the thing} first?",
        "By whom was {the thing} carried {to now}?",
    ),
    Asking(
        "moving",
        "now",
        "Where was {the thing} taken in the end?",
        "Where was {the thing} when {hero} looked for it?",
        "To which place was {the thing} carried in the end?",
    ),
)

SEEKER = (
    Asking(
        "searching",
        "search",
        "Where did {hero} look for {the thing}?",
        "In which place did {hero} search?",
        "Where did {hero} go to look for {the thing}?",
    ),
)

TELLER = (
    Asking(
        "closing",
        "listener",
        "Whom did {hero} tell everything?",
        "To whom did {hero} tell the story?",
        "Who heard everything from {hero}?",
    ),
)
