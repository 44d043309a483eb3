"""The exercise sliding_window_mask and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable

from minilm.check.catalogue.masks.common import (
    ELSEWHERE,
    HERE,
    INVERTED,
    LESSON,
    NUMBERS,
    lengths,
    masking,
    places,
    theirs,
    torch,
    use_with_device,
)
from minilm.check.exercise import Case, Exercise, Mistake


def reference_window(query_length, key_length, window, device=None):
    overlay = masking().sliding_window_overlay(window)
    return device if device is not None else theirs(overlay, query_length, key_length)[0, 0]


def where(rule: Callable) -> Callable:
    """Make a sliding_window_mask from a rule(query, key, window, cached)."""

    def sliding_window_mask(query_length, key_length, window, device=None):
        query, key = places(query_length, key_length, device)
        mask = rule(query, key, window, key_length - query_length)
        return mask.expand(query_length, key_length)

    return sliding_window_mask


right = where(lambda query, key, window, cached: query - key < window)


def by_triu(query_length, key_length, window, device=None):
    full = torch.ones(query_length, key_length, dtype=torch.bool, device=device)
    return full.triu(key_length - query_length - window + 1)


def by_loops(query_length, key_length, window, device=None):
    mask = torch.zeros(query_length, key_length, dtype=torch.bool, device=device)
    for row in range(query_length):
        first = max(0, key_length - query_length + row - window + 1)
        mask[row, first:] = True
    return mask


def by_cutting_a_square(query_length, key_length, window, device=None):
    at = torch.arange(key_length, device=device)
    return (at[None, :] > at[:, None] - window)[-query_length:]


def by_lists(query_length, key_length, window, device=None):
    queries = range(key_length - query_length, key_length)
    rows = [[key + window > query for key in range(key_length)] for query in queries]
    return torch.tensor(rows, device=device)


def from_the_end(query_length, key_length, window, device=None):
    mask = torch.zeros(query_length, key_length, dtype=torch.bool, device=device)
    for row in range(query_length):
        mask[row, key_length - query_length + row - window + 1 :] = True
    return mask


def draw_windows(draw: random.Random) -> list[Case]:
    small = [(1, 1, 1), (1, 3, 1), (1, 3, 2), (2, 2, 1), (3, 3, 2), (3, 3, 5), (2, 5, 2), (3, 7, 3)]
    small += [(6, 6, 3), (6, 6, 6), (6, 6, 1), (5, 9, 4)]
    small += [(t, s, draw.randint(1, s + 1)) for t, s in lengths(draw)[-10:]]
    cases: list[Case] = [
        {"query_length": t, "key_length": s, "window": window} for t, s, window in small
    ]
    return [*cases, {"query_length": 2, "key_length": 3, "window": 2, "device": ELSEWHERE}]


SLIDING_WINDOW_MASK = Exercise(
    answer="minilm.masks:sliding_window_mask",
    lesson=LESSON,
    cases=draw_windows,
    reference=reference_window,
    reference_name="transformers' sliding_window_overlay",
    use=use_with_device,
    mistakes=[
        Mistake(
            "one key too many",
            where(lambda query, key, window, cached: query - key <= window),
            "The query sees window + 1 keys: itself and `window` others. A window of 4 is four "
            "keys, itself included, so the distance must be less than the window.",
        ),
        Mistake(
            "one key too few",
            where(lambda query, key, window, cached: query - key < window - 1),
            "The query sees window - 1 keys. Its own token is one of the window, so the farthest "
            "is window - 1 steps back.",
        ),
        Mistake(
            "looks both ways",
            where(lambda query, key, window, cached: (query - key).abs() < window),
            "The distance is taken without its sign, so keys that come later are hidden too if they "
            "are far. This block speaks of the past alone; `& causal_mask(…)` speaks of the future.",
        ),
        Mistake(
            "looks both ways and one too far",
            where(lambda query, key, window, cached: (query - key).abs() <= window),
            "The distance is taken without its sign, and it may be as large as the window: that is "
            "an encoder's window. Here it is query - key, and less than the window.",
        ),
        Mistake(
            "centres the window",
            where(lambda query, key, window, cached: (query - key).abs() <= window // 2),
            "Half of the window lies before the query and half after. A decoder's window ends with "
            "the query itself: all of it lies before.",
        ),
        Mistake(
            "hides the future as well",
            where(lambda query, key, window, cached: (query - key < window) & (key <= query)),
            "Your mask is causal, too. That does no harm in a decoder, but a block should say one "
            "thing: how far back. Write `sliding_window_mask(…) & causal_mask(…)` where both hold.",
        ),
        Mistake(
            "hides the future as well, and shows one key too many",
            where(lambda query, key, window, cached: (query - key <= window) & (key <= query)),
            "The query sees itself and `window` others, one key too many: the distance must be less "
            "than the window. And the mask is causal, too; leave that to `causal_mask`.",
        ),
        Mistake(
            "counts from the end of the row",
            from_the_end,
            "In the first rows your slice begins before the row does, at a negative place, and "
            "Python counts such a place from the end. Begin at max(0, …).",
        ),
        Mistake(
            "limits the future instead",
            where(lambda query, key, window, cached: key - query < window),
            "You limit how far a query looks forward, and the past is open without end. The "
            "distance back is query - key.",
        ),
        Mistake(
            "forgets the cache",
            where(lambda query, key, window, cached: query - cached - key < window),
            "Row 0 is taken for token 0. With a cache the queries are the last of the keys: row 0 "
            "is token key_length - query_length.",
        ),
        Mistake(
            "hides the window",
            where(lambda query, key, window, cached: query - key >= window),
            INVERTED,
        ),
        Mistake(
            "keeps the first keys",
            where(lambda query, key, window, cached: key < window),
            "Every query sees the first `window` keys. The window moves along with the query.",
        ),
        Mistake(
            "keeps the last keys",
            where(lambda query, key, window, cached: key >= query[-1] + 1 - window),
            "Every query gets the window of the last one. That is right for one new token; with "
            "several, the earlier ones lose keys at their far end.",
        ),
        Mistake(
            "cuts into blocks",
            where(lambda query, key, window, cached: key // window >= query // window),
            "The text is cut into blocks of `window` tokens, and the first token of a block sees "
            "only itself. A sliding window moves on by one with each query.",
        ),
        Mistake(
            "a row for every key",
            lambda query_length, key_length, window, device=None: right(
                key_length, key_length, window, device
            ),
            "The mask has a row for every key, also for the cached ones, whose queries are not "
            "asked any more. Keep the last query_length rows.",
        ),
        Mistake(
            "hides nothing",
            lambda query_length, key_length, window, device=None: torch.ones(
                query_length, key_length, dtype=torch.bool, device=device
            ),
            "Every query sees every key. Those that are `window` steps back or more must go.",
        ),
        Mistake(
            "ones and zeros",
            lambda query_length, key_length, window, device=None: right(
                query_length, key_length, window, device
            ).float(),
            NUMBERS,
        ),
        Mistake(
            "stays on the processor",
            lambda query_length, key_length, window, device=None: right(
                query_length, key_length, window
            ),
            HERE,
        ),
    ],
    accepts=[right, by_triu, by_loops, by_cutting_a_square, by_lists],
)
