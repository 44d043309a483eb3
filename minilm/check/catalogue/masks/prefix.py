"""The exercise prefix_mask and its known mistakes."""

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


def reference_prefix(query_length, key_length, prefix_length, device=None):
    masks = masking()
    if device is not None:
        return device
    per_row = isinstance(prefix_length, torch.Tensor)
    batch_size = len(prefix_length) if per_row else 1

    def in_prefix(b, h, q, k):
        return k < (prefix_length[b] if per_row else prefix_length)

    rule = masks.or_masks(masks.causal_mask_function, in_prefix)
    mask = theirs(rule, query_length, key_length, batch_size)
    return mask if per_row else mask[0, 0]


def where(rule: Callable) -> Callable:
    """Make a prefix_mask from a rule(query, key, prefix, cached), for a number and for a tensor."""

    def prefix_mask(query_length, key_length, prefix_length, device=None):
        query, key = places(query_length, key_length, device)
        if isinstance(prefix_length, torch.Tensor):
            prefix_length = prefix_length[:, None, None, None]
        mask = rule(query, key, prefix_length, key_length - query_length)
        return mask.expand(*mask.shape[:-2], query_length, key_length)

    return prefix_mask


right = where(lambda query, key, prefix, cached: (key <= query) | (key < prefix))


def one_row_for_all(query_length, key_length, prefix_length, device=None):
    if isinstance(prefix_length, torch.Tensor):
        prefix_length = prefix_length[:, None, None, None]
    return torch.arange(key_length, device=device) < prefix_length


def with_slices(query_length, key_length, prefix_length, device=None):
    """What one writes who thinks of one prefix for all: a tensor of several cannot cut a slice."""
    mask = right(query_length, key_length, 0, device).clone()
    mask[:, :prefix_length] = True
    return mask


def spread_over_keys(query_length, key_length, prefix_length, device=None):
    query, key = places(query_length, key_length, device)
    return (key <= query) | (key < prefix_length)


def longest_prefix_for_all(query_length, key_length, prefix_length, device=None):
    if not isinstance(prefix_length, torch.Tensor):
        return right(query_length, key_length, prefix_length, device)
    longest = prefix_length.max().expand(len(prefix_length))
    return right(query_length, key_length, longest, device)


def first_prefix_for_all(query_length, key_length, prefix_length, device=None):
    if isinstance(prefix_length, torch.Tensor):
        prefix_length = prefix_length[:1].expand(len(prefix_length))
    return right(query_length, key_length, prefix_length, device)


def without_heads(query_length, key_length, prefix_length, device=None):
    mask = right(query_length, key_length, prefix_length, device)
    return mask[:, 0] if mask.ndim == 4 else mask


def always_four_dimensions(query_length, key_length, prefix_length, device=None):
    mask = right(query_length, key_length, prefix_length, device)
    return mask if mask.ndim == 4 else mask[None, None]


def by_masking_queries_too(query_length, key_length, prefix_length, device=None):
    query, key = places(query_length, key_length, device)
    if isinstance(prefix_length, torch.Tensor):
        prefix_length = prefix_length.view(-1, 1, 1, 1)
    return (key <= query) | ((query < prefix_length) & (key < prefix_length))


def by_loops(query_length, key_length, prefix_length, device=None):
    def one(prefix):
        rows = []
        for query in range(key_length - query_length, key_length):
            rows.append([key <= query or key < prefix for key in range(key_length)])
        return torch.tensor(rows, device=device)

    if isinstance(prefix_length, int):
        return one(prefix_length)
    return torch.stack([one(int(prefix)) for prefix in prefix_length]).unsqueeze(1)


def by_where(query_length, key_length, prefix_length, device=None):
    ones = torch.ones(query_length, key_length, dtype=torch.bool, device=device)
    earlier = ones.tril(key_length - query_length)
    if torch.is_tensor(prefix_length):
        prefix_length = prefix_length.unsqueeze(-1).unsqueeze(-1).unsqueeze(-1)
    return torch.where(torch.arange(key_length, device=device) < prefix_length, True, earlier)


def draw_prefixes(draw: random.Random) -> list[Case]:
    small: list[tuple] = [(1, 1, 0), (1, 2, 1), (2, 2, 1), (2, 2, 2), (3, 3, 2), (3, 3, 0)]
    small += [(3, 3, 1), (4, 4, 2), (4, 4, 1), (2, 4, 3), (5, 5, 3), (3, 7, 5), (3, 7, 2)]
    small += [(6, 6, 2), (6, 6, 3), (6, 6, 6)]
    # Mostly numbers: whoever forgets tensors is still told what else is wrong.
    small += [(t, s, draw.randint(1, max(1, s - 1))) for t, s in lengths(draw)[-10:]]
    cases: list[Case] = [
        {"query_length": t, "key_length": s, "prefix_length": prefix} for t, s, prefix in small
    ]
    rows: list[tuple] = [(2, 2, [2]), (3, 3, [0, 2]), (3, 5, [1, 4]), (1, 4, [1, 4, 2])]
    for t, s in lengths(draw)[-3:]:
        rows.append((t, s, [draw.randint(0, s) for _ in range(draw.randint(1, 3))]))
    cases += [
        {"query_length": t, "key_length": s, "prefix_length": torch.tensor(prefixes)}
        for t, s, prefixes in rows
    ]
    return [*cases, {"query_length": 2, "key_length": 3, "prefix_length": 1, "device": ELSEWHERE}]


PREFIX_MASK = Exercise(
    answer="minilm.masks:prefix_mask",
    lesson=LESSON,
    cases=draw_prefixes,
    reference=reference_prefix,
    reference_name="transformers' causal mask with an or_mask_function",
    use=use_with_device,
    mistakes=[
        Mistake(
            "sees the prefix only",
            where(lambda query, key, prefix, cached: key < prefix),
            "Behind the prefix a token sees neither what came before it nor itself. It sees the "
            "prefix *and* whatever is earlier: two masks, joined by |.",
        ),
        Mistake(
            "leaves the order out",
            one_row_for_all,
            "You return one row that shows the prefix, for every query the same. Each query also "
            "sees whatever came before it, so there is a row for each: join it with the causal mask "
            "by |.",
        ),
        Mistake(
            "wants both at once",
            where(lambda query, key, prefix, cached: (key <= query) & (key < prefix)),
            "You join the two with &, so a key must be earlier and in the prefix. One of the two is "
            "enough: |. (Most masks are joined by &, since each takes something away. This gives.)",
        ),
        Mistake(
            "wants exactly one of the two",
            where(lambda query, key, prefix, cached: (key <= query) ^ (key < prefix)),
            "^ is true where one of the two holds and the other does not, so what is earlier and in "
            "the prefix is hidden. One is enough, and both are fine: |.",
        ),
        Mistake(
            "frees what is behind the prefix",
            where(lambda query, key, prefix, cached: (key <= query) | (key > prefix)),
            "The comparison is the wrong way round: you free the keys behind the prefix, which are "
            "to be predicted. Free those with key < prefix_length.",
        ),
        Mistake(
            "is causal and nothing else",
            where(lambda query, key, prefix, cached: (key <= query) & (key >= prefix * 0)),
            "The prefix makes no difference: its first token should see its last one.",
        ),
        Mistake(
            "one token too many",
            where(lambda query, key, prefix, cached: (key <= query) | (key <= prefix)),
            "A prefix of 3 is the tokens 0, 1 and 2. You also show token 3, the first that the model "
            "is to predict.",
        ),
        Mistake(
            "one token too few",
            where(lambda query, key, prefix, cached: (key <= query) | (key < prefix - 1)),
            "A prefix of 3 is the tokens 0, 1 and 2, and you leave out the last of them.",
        ),
        Mistake(
            "lets the prefix see everything",
            where(lambda query, key, prefix, cached: (key <= query) | (query < prefix)),
            "It is the queries of the prefix that you free, and they see the text behind it, too. "
            "From there it leaks into every later token. Free the *keys* of the prefix.",
        ),
        Mistake(
            "lets everybody see everything",
            where(lambda query, key, prefix, cached: (key <= query) | (key >= 0 * prefix)),
            "Every query sees every key, as in BERT. Behind the prefix the order is causal.",
        ),
        Mistake(
            "frees what comes after the prefix",
            where(lambda query, key, prefix, cached: (key <= query) | (query >= prefix)),
            "Inside the prefix you are causal and behind it you show everything, the wrong way "
            "round: what is to be predicted is what comes after.",
        ),
        Mistake(
            "forgets the cache",
            where(lambda query, key, prefix, cached: (key <= query - cached) | (key < prefix)),
            "Row 0 is taken for token 0. With a cache the queries are the last of the keys: row 0 "
            "is token key_length - query_length.",
        ),
        Mistake(
            "counts the prefix from the first new token",
            where(lambda query, key, prefix, cached: (key <= query) | (key < prefix + cached)),
            "You add the cached tokens to the prefix. It is counted from the first key, cached or "
            "not; otherwise new tokens see their own future.",
        ),
        Mistake(
            "says what is hidden",
            where(lambda query, key, prefix, cached: (key > query) & (key >= prefix)),
            INVERTED,
        ),
        Mistake(
            "knows one prefix for all rows",
            with_slices,
            "With a number it is right. A tensor has one prefix for each row of the batch, and "
            "cannot cut a slice: compare torch.arange(key_length) with it, as (B, 1, 1, 1).",
        ),
        Mistake(
            "lays the rows' prefixes along the keys",
            spread_over_keys,
            "With a number it is right. A tensor (B,) compared with torch.arange(key_length) lines "
            "up with the keys: it stops, or gives each key another prefix. Make it (B, 1, 1, 1).",
        ),
        Mistake(
            "gives all rows the first row's prefix",
            first_prefix_for_all,
            "With a number it is right. Of a tensor you take the first number for all rows, and each "
            "row has a prefix of its own.",
        ),
        Mistake(
            "takes the first row's prefix for a number",
            lambda query_length, key_length, prefix_length, device=None: right(
                query_length,
                key_length,
                int(prefix_length[0]) if isinstance(prefix_length, torch.Tensor) else prefix_length,
                device,
            ),
            "With a number it is right. Of a tensor you take the first number alone. Each row has a "
            "prefix of its own, so the mask is (B, 1, T, S).",
        ),
        Mistake(
            "gives all rows the longest prefix",
            longest_prefix_for_all,
            "With a tensor each row has a prefix of its own. With the longest for all, rows with a "
            "shorter one see tokens that they are to predict.",
        ),
        Mistake(
            "lacks the dimension of heads",
            without_heads,
            "With a tensor the shape is (B, T, S). Against scores (B, H, T, S) the batch then stands "
            "where heads belong. Return (B, 1, T, S).",
        ),
        Mistake(
            "adds dimensions to a number's mask",
            always_four_dimensions,
            "For one number the mask is (T, S), like the causal one; (B, 1, T, S) is for a tensor.",
        ),
        Mistake(
            "ones and zeros",
            lambda query_length, key_length, prefix_length, device=None: right(
                query_length, key_length, prefix_length, device
            ).float(),
            NUMBERS,
        ),
        Mistake(
            "stays on the processor",
            lambda query_length, key_length, prefix_length, device=None: right(
                query_length, key_length, prefix_length
            ),
            HERE,
        ),
    ],
    accepts=[right, by_masking_queries_too, by_loops, by_where],
)
