"""What an exercise is: a function to write, cases to try it on, a reference, and known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from minilm.errors import InvalidInput

Case = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Mistake:
    """One wrong answer that people really write, and what to tell whoever wrote it.

    name: what the code does, in a few words ("sees the next token")
    variant: a function with the answer's parameters that makes this mistake
    reason: what happens in it and why that matters, in one or two sentences
    """

    name: str
    variant: Callable[..., Any]
    reason: str


@dataclass(frozen=True, eq=False)
class Raises:
    """Stands for an expected error: a reference returns it where the right answer is to raise.

    kinds: the errors that count as right; an answer may raise any of them or of their children
    """

    kinds: tuple[type[BaseException], ...]

    def __init__(self, *kinds: type[BaseException]) -> None:
        object.__setattr__(self, "kinds", kinds or (ValueError,))

    def __repr__(self) -> str:
        return "an error: " + " or ".join(kind.__name__ for kind in self.kinds)


@dataclass(frozen=True, eq=False)
class Exercise:
    """A function that the reader writes, with everything needed to judge it.

    answer: where minilm's own version lives, "minilm.tokenization.bpe:count_pairs" or
        "module:Class.method"
    lesson: the lesson it belongs to, "01_byte_pairs"
    cases: given a source of random numbers, the inputs to try, each a dict of arguments; they are
        tried and shown smallest first
    reference: given the arguments of a case by name, the right answer (or `Raises`); imports what
        it needs inside, and may raise ImportError: then minilm's own answer stands in for it
    reference_name: what the success line says the answer equals, "tokenizers' BpeTrainer"
    mistakes: wrong variants with a name and a reason each; of two that fit equally well the
        earlier is named
    compare: (got, expected) → `Difference`, or a sentence or number for what differs (None, "" and
        0 mean nothing does); `alike(...)` makes one; plain comparison of values unless given
    accepts: right answers written another way, as functions or source text; tests check them
    use: (function, **case) → the value that is compared, for answers that are not judged by one
        call (a sort key, say); one call with the case's arguments unless given
    time_limit: seconds of processor time that all cases together may take
    may_change_inputs: whether an answer is allowed to change the arguments it is given
    """

    answer: str
    lesson: str
    cases: Callable[[random.Random], list[Case]]
    reference: Callable[..., Any]
    reference_name: str
    mistakes: Sequence[Mistake]
    compare: Callable[[Any, Any], Any] | None = None
    accepts: Sequence[Callable[..., Any] | str] = field(default=())
    use: Callable[..., Any] | None = None
    time_limit: float = 10.0
    may_change_inputs: bool = False

    def __post_init__(self) -> None:
        module, colon, path = self.answer.partition(":")
        if not (module and colon and path):
            raise InvalidInput(
                f"An exercise's answer is written 'module:function' or 'module:Class.method', "
                f"not '{self.answer}'."
            )

    @property
    def module(self) -> str:
        """The module that minilm's own version lives in."""
        return self.answer.partition(":")[0]

    @property
    def path(self) -> str:
        """The name inside that module, `count_pairs` or `Class.method`."""
        return self.answer.partition(":")[2]

    @property
    def name(self) -> str:
        """The name of the function the reader writes."""
        return self.path.rpartition(".")[2]

    def draw_cases(self, seed: int = 0) -> list[Case]:
        """The cases for a seed, smallest first.

        seed: 0 is what `check` uses; others serve tests
        """
        cases = self.cases(random.Random(f"{self.answer} {seed}"))
        if not cases:
            raise InvalidInput(
                f"The exercise {self.name} has no cases. Its `cases` must return some."
            )
        return sorted(cases, key=lambda case: size(list(case.values())))

    def call(self, function: Callable[..., Any], case: Case) -> Any:
        """Ask a function for its answer to a case.

        function: takes the answer's parameters    case: the arguments by name
        """
        return function(**case) if self.use is None else self.use(function, **case)


def size(value: Any) -> int:
    """How much there is to read in a value: characters, and items at every depth.

    value: anything
    """
    if isinstance(value, str | bytes):
        return 1 + len(value)
    if isinstance(value, dict):
        return 1 + sum(size(key) + size(item) for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return 1 + sum(map(size, value))
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        count = 1
        for length in shape:
            count *= int(length)
        return 1 + count
    return 1


def of(place: str) -> Callable[..., Any]:
    """A reference that calls a function of another library, imported when first asked.

    place: "transformers.masking_utils:create_causal_mask"
    """

    def reference(**case: Any) -> Any:
        module, _, path = place.partition(":")
        function: Any = import_module(module)
        for part in path.split("."):
            function = getattr(function, part)
        return function(**case)

    return reference
