"""The exercise causal_mask and its known mistakes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from minilm.check.catalogue.masks.common import (
    ELSEWHERE,
    HERE,
    INVERTED,
    LESSON,
    NUMBERS,
    SCORES,
    lengths,
    masking,
    places,
    theirs,
    torch,
    use_with_device,
)
from minilm.check.exercise import Case, Exercise, Mistake


def reference_causal(query_length, key_length, device=None):
    if device is not None:
        masking()  # without transformers this case too is answered by minilm
        return device
    return theirs(masking().causal_mask_function, query_length, key_length)[0, 0]


def lower(shift: int = 0, cached: bool = True) -> Callable:
    """Make a causal_mask by tril whose diagonal is shifted."""

    def causal_mask(query_length, key_length, device=None):
        full = torch.ones(query_length, key_length, dtype=torch.bool, device=device)
        return full.tril(shift + (key_length - query_length) * cached)

    return causal_mask


def right(query_length, key_length, device=None):
    query, key = places(query_length, key_length, device)
    return key <= query


def upper(shift: int) -> Callable:
    """Make a causal_mask by triu."""

    def causal_mask(query_length, key_length, device=None):
        query, key = places(query_length, key_length, device)
        return key >= query + shift

    return causal_mask


def square_of_keys(query_length, key_length, device=None):
    return right(key_length, key_length, device)


def square_of_queries(query_length, key_length, device=None):
    return right(query_length, query_length, device)


def cache_hidden(query_length, key_length, device=None):
    query, key = places(query_length, key_length, device)
    return (key <= query) & (key >= key_length - query_length)


def no_mask_with_cache(query_length, key_length, device=None):
    if query_length == key_length:
        return right(query_length, key_length, device)
    return torch.ones(query_length, key_length, dtype=torch.bool, device=device)


def cache_on_the_wrong_side(query_length, key_length, device=None):
    full = torch.ones(query_length, key_length, dtype=torch.bool, device=device)
    return full.tril(query_length - key_length)


def as_scores(query_length, key_length, device=None):
    hidden = ~right(query_length, key_length, device)
    zeros = torch.zeros(query_length, key_length, device=device)
    return zeros.masked_fill(hidden, -math.inf)


def as_finite_scores(query_length, key_length, device=None):
    hidden = ~right(query_length, key_length, device)
    zeros = torch.zeros(query_length, key_length, device=device)
    return zeros.masked_fill(hidden, -1e9)


def by_loops(query_length, key_length, device=None):
    mask = torch.zeros(query_length, key_length, dtype=torch.bool, device=device)
    for row in range(query_length):
        mask[row, : key_length - query_length + row + 1] = True
    return mask


def by_lists(query_length, key_length, device=None):
    cached = key_length - query_length
    rows = [[k <= cached + q for k in range(key_length)] for q in range(query_length)]
    return torch.tensor(rows, device=device)


def by_cutting_a_square(query_length, key_length, device=None):
    square = torch.ones(key_length, key_length, device=device).tril().bool()
    return square[key_length - query_length :]


def by_triu(query_length, key_length, device=None):
    future = torch.ones(query_length, key_length, device=device)
    return future.triu(key_length - query_length + 1) == 0


def draw_lengths(draw: random.Random) -> list[Case]:
    cases: list[Case] = [{"query_length": t, "key_length": s} for t, s in lengths(draw)]
    return [*cases, {"query_length": 2, "key_length": 3, "device": ELSEWHERE}]


CAUSAL_MASK = Exercise(
    answer="minilm.masks:causal_mask",
    lesson=LESSON,
    cases=draw_lengths,
    reference=reference_causal,
    reference_name="transformers' causal_mask_function",
    use=use_with_device,
    mistakes=[
        Mistake(
            "sees the next token",
            lower(1),
            "The diagonal is one too high: each row also sees the token that it is to predict. The "
            "training loss falls wonderfully, and at generation that token is not there.",
        ),
        Mistake(
            "does not see itself",
            lower(-1),
            "The diagonal is one too low: no row sees its own token, and the first sees nothing at "
            "all. Row i predicts token i + 1, so it may look at token i.",
        ),
        Mistake(
            "forgets the cache",
            lower(cached=False),
            "The diagonal begins at the upper left, as if row 0 were token 0. With a cache the "
            "queries are the last of the keys: row 0 is token key_length - query_length.",
        ),
        Mistake(
            "counts the cache backwards",
            cache_on_the_wrong_side,
            "The diagonal is moved by query_length - key_length, to the lower left instead of the "
            "upper right, so with a cache the first rows see nothing.",
        ),
        Mistake(
            "hides the cache",
            cache_hidden,
            "Each new token sees the new tokens before it, but not the cached ones. They came even "
            "earlier: all of them may be seen.",
        ),
        Mistake(
            "masks nothing once there is a cache",
            no_mask_with_cache,
            "With as many keys as queries it is right. With a cache every new token sees all new "
            "tokens, later ones too. That is harmless only if there is one of them.",
        ),
        Mistake(
            "a row for every key",
            square_of_keys,
            "The mask has a row for every key, also for the cached ones, whose queries are not "
            "asked any more. Keep the last query_length rows.",
        ),
        Mistake(
            "a column for every query only",
            square_of_queries,
            "The mask has no columns for the cached keys, so with a cache it does not fit the "
            "scores. It is query_length high and key_length wide.",
        ),
        Mistake("says what is hidden", upper(1), INVERTED),
        Mistake(
            "sees itself and the future",
            upper(0),
            "Each row sees itself and what comes after: that is triu, or the mask turned on its "
            "side. Rows are queries, columns are keys, and a query sees keys on its left.",
        ),
        Mistake(
            "masks nothing",
            lambda query_length, key_length, device=None: torch.ones(
                query_length, key_length, dtype=torch.bool, device=device
            ),
            "Every query sees every key, as in BERT. A model trained like this copies the next "
            "token instead of predicting it.",
        ),
        Mistake(
            "columns are queries",
            lambda query_length, key_length, device=None: right(query_length, key_length, device).T,
            "The mask is turned: its rows are keys. Scores have a row for each query and a column "
            "for each key.",
        ),
        Mistake(
            "adds dimensions for batch and heads",
            lambda query_length, key_length, device=None: right(query_length, key_length, device)[
                None, None
            ],
            "The shape is (1, 1, T, S). The numbers are right, and (T, S) is enough: it is stretched "
            "over batch and heads by itself.",
        ),
        Mistake(
            "ones and zeros as floats",
            lambda query_length, key_length, device=None: right(
                query_length, key_length, device
            ).float(),
            NUMBERS,
        ),
        Mistake(
            "ones and zeros as integers",
            lambda query_length, key_length, device=None: right(
                query_length, key_length, device
            ).long(),
            NUMBERS,
        ),
        Mistake(
            "ones for what is hidden",
            lambda query_length, key_length, device=None: upper(1)(
                query_length, key_length, device
            ).float(),
            "Ones stand above the diagonal, for what is hidden, and they are numbers. Return "
            "booleans, True for what may be seen.",
        ),
        Mistake("returns scores", as_scores, SCORES),
        Mistake(
            "returns finite scores",
            as_finite_scores,
            "These are scores to be added, 0 and a large negative number. Masks stay boolean until "
            "the very end, so that they combine with &.",
        ),
        Mistake(
            "stays on the processor",
            lambda query_length, key_length, device=None: right(query_length, key_length),
            HERE,
        ),
    ],
    accepts=[lower(), right, by_loops, by_lists, by_cutting_a_square, by_triu],
)
