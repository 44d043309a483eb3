"""The exercise relative_position_bucket, and its known mistakes."""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable
from typing import Any

from minilm.check.exercise import Exercise, Mistake
from minilm.check.later import torch

LESSON = "03_positions"


def reference_bucket(relative_position, bidirectional=True, num_buckets=32, max_distance=128):
    from transformers.models.t5.modeling_t5 import T5Attention

    return T5Attention._relative_position_bucket(
        relative_position, bidirectional, num_buckets, max_distance
    )


def log_ratio(distance, exact, max_distance):
    return torch.log(distance / exact) / math.log(max_distance / exact)


def bucketing(
    side: Callable[[Any], Any] = lambda relative: relative > 0,
    back: Callable[[Any], Any] = lambda relative: (-relative).clamp(min=0),
    halves: bool = True,
    exact_of: Callable[[int], int] = lambda buckets: buckets // 2,
    is_near: Callable[[Any, int], Any] = lambda distance, exact: distance < exact,
    ratio: Callable[..., Any] = log_ratio,
    span: Callable[[int, int], int] = lambda buckets, exact: buckets - exact,
    whole: Callable[[Any], Any] = lambda steps: steps.trunc(),
    top: int | None = -1,
    start: Callable[[int], int] = lambda exact: exact,
    reach: Callable[[int], int] = lambda max_distance: max_distance,
    offset_of: Callable[[int], int] = lambda buckets: buckets,
) -> Callable[..., Any]:
    """Make a relative_position_bucket in which one step may be wrong."""

    def relative_position_bucket(
        relative_position, bidirectional=True, num_buckets=32, max_distance=128
    ):
        offset: Any = 0
        if bidirectional:
            if halves:
                num_buckets //= 2
                offset = side(relative_position).long() * offset_of(num_buckets)
            else:
                offset = side(relative_position).long() * (num_buckets // 2)
            distance = relative_position.abs()
        else:
            distance = back(relative_position)
        exact = exact_of(num_buckets)
        share = ratio(distance.clamp(min=1).float(), exact, reach(max_distance))
        far = start(exact) + whole(share * span(num_buckets, exact)).long()
        if top is not None:
            far = far.clamp(max=num_buckets + top)
        return offset + torch.where(is_near(distance, exact), distance, far)

    return relative_position_bucket


right_bucket = bucketing()


def linear_ratio(distance, exact, max_distance):
    return (distance - exact) / (max_distance - exact)


def bucket_in_floats(relative_position, *rest, **more):
    return right_bucket(relative_position, *rest, **more).float()


def bucket_by_loop(relative_position, bidirectional=True, num_buckets=32, max_distance=128):
    def one(relative):
        buckets, offset = num_buckets, 0
        if bidirectional:
            buckets //= 2
            offset = buckets if relative > 0 else 0
            distance = abs(relative)
        else:
            distance = max(0, -relative)
        exact = buckets // 2
        if distance < exact:
            return offset + distance
        steps = math.log(distance / exact) / math.log(max_distance / exact) * (buckets - exact)
        return offset + min(buckets - 1, exact + int(steps))

    flat = [one(relative) for relative in relative_position.flatten().tolist()]
    return torch.tensor(flat).reshape(relative_position.shape)


def bucket_by_borders(relative_position, bidirectional=True, num_buckets=32, max_distance=128):
    """Find where each bucket begins, once, and look distances up among these borders."""
    per_side = num_buckets // 2 if bidirectional else num_buckets
    exact = per_side // 2
    growth = (max_distance / exact) ** (1 / (per_side - exact))
    # A hair less, so that a border that is a whole number belongs to its bucket.
    far = [exact * growth**step - 1e-6 for step in range(1, per_side - exact)]
    borders = [*range(1, exact + 1), *far]
    rows = []
    for relative in relative_position.reshape(-1).tolist():
        distance = abs(relative) if bidirectional else max(-relative, 0)
        bucket = bisect.bisect_right(borders, distance)
        rows.append(bucket + (per_side if bidirectional and relative > 0 else 0))
    return torch.tensor(rows, dtype=torch.int64).view(relative_position.shape)


def bucket_by_base_two(relative_position, bidirectional=True, num_buckets=32, max_distance=128):
    n = -relative_position
    result = torch.zeros_like(n)
    if bidirectional:
        num_buckets = num_buckets // 2
        result = result + torch.where(n < 0, num_buckets, 0)
        n = torch.abs(n)
    else:
        n = torch.maximum(n, torch.zeros_like(n))
    near = num_buckets // 2
    large = torch.log2(n.double() / near) / math.log2(max_distance / near) * (num_buckets - near)
    large = near + torch.floor(large.clamp(0, num_buckets - near - 1)).to(torch.int64)
    return result + torch.where(n < near, n, large)


def grid(queries: int, keys: int) -> Any:
    return torch.arange(keys)[None, :] - torch.arange(queries)[:, None]


def draw_distances(draw: random.Random) -> list[dict]:
    one = torch.tensor
    positions = [
        one([0, 1, -1]),
        one([-2, 2]),
        one([-7, -8, -9, 7, 8, 9]),
        one([-15, -16, -17, 15, 16, 17]),
        one([-20, -30, 40, 50, -60, 90]),
        one([-127, -128, -129, 127, 128, 129, 1000, -1000]),
    ]
    cases: list[dict[str, Any]] = [{"relative_position": p} for p in positions]
    cases += [{"relative_position": p, "bidirectional": False} for p in positions]
    for buckets, reach in [(8, 20), (16, 64), (4, 16)]:
        for both in (True, False):
            drawn = one(sorted({draw.randint(-2 * reach, 2 * reach) for _ in range(8)}))
            cases.append(
                {
                    "relative_position": drawn,
                    "bidirectional": both,
                    "num_buckets": buckets,
                    "max_distance": reach,
                }
            )
    cases.append({"relative_position": grid(3, 5)})
    cases.append({"relative_position": grid(6, 4), "bidirectional": False})
    cases.append({"relative_position": grid(150, 160)})
    cases.append({"relative_position": grid(160, 150), "bidirectional": False})
    far = torch.arange(-300, 301, 7)
    cases.append({"relative_position": far, "max_distance": 256})
    cases.append({"relative_position": far, "num_buckets": 64, "bidirectional": False})
    return cases


RELATIVE_POSITION_BUCKET = Exercise(
    answer="minilm.positions.relative_bias:relative_position_bucket",
    lesson=LESSON,
    cases=draw_distances,
    reference=reference_bucket,
    reference_name="T5's _relative_position_bucket",
    mistakes=[
        Mistake(
            "takes query minus key",
            lambda relative_position, *rest, **more: right_bucket(
                -relative_position, *rest, **more
            ),
            "Your signs are all reversed: relative_position is key minus query, so what comes "
            "before the query is negative. A decoder would see only distance 0.",
        ),
        Mistake(
            "swaps before and after",
            bucketing(side=lambda relative: relative < 0),
            "The upper half of the buckets belongs to keys after the query, relative_position > 0. "
            "You give it to those before.",
        ),
        Mistake(
            "counts itself as after",
            bucketing(side=lambda relative: relative >= 0),
            "Distance 0 goes to the upper half. It belongs to bucket 0: only > 0 is after.",
        ),
        Mistake(
            "forgets which side",
            bucketing(side=lambda relative: torch.zeros_like(relative)),
            "Five before and five after share a bucket. With bidirectional=True half of the "
            "buckets are for keys after the query.",
        ),
        Mistake(
            "does not halve for two sides",
            bucketing(halves=False),
            "With bidirectional=True each side has half of the buckets. You give each side all of "
            "them, so numbers beyond the table appear, and sides overlap.",
        ),
        Mistake(
            "looks ahead with one side",
            bucketing(back=lambda relative: relative.abs()),
            "With bidirectional=False keys after the query count as distance 0; nobody may look "
            "at them anyway. You give them the buckets of the past.",
        ),
        Mistake(
            "keeps negative distances",
            bucketing(back=lambda relative: relative),
            "With bidirectional=False the past has negative numbers: turn the sign, and set what "
            "is after the query to 0. Otherwise a negative bucket reaches the table.",
        ),
        Mistake(
            "takes the future for the past",
            bucketing(back=lambda relative: relative.clamp(min=0)),
            "With bidirectional=False you keep what is after the query and set the past to 0. The "
            "past is negative here: turn the sign first, then clamp.",
        ),
        Mistake(
            "ignores bidirectional",
            lambda relative_position, bidirectional=True, num_buckets=32, max_distance=128: (
                right_bucket(relative_position, True, num_buckets, max_distance)
            ),
            "You always halve the buckets between two sides. With bidirectional=False all of them "
            "are for the past, and what is after the query counts as distance 0.",
        ),
        Mistake(
            "ignores num_buckets",
            lambda relative_position, bidirectional=True, num_buckets=32, max_distance=128: (
                right_bucket(relative_position, bidirectional, 32, max_distance)
            ),
            "32 (or its half) stands in your code. How many buckets there are is said by "
            "num_buckets.",
        ),
        Mistake(
            "cuts off before it multiplies",
            bucketing(ratio=lambda d, e, r: log_ratio(d, e, r).trunc()),
            "The share of the logarithm is below 1, and you cut it off to 0 before it is multiplied "
            "by the number of buckets: .long() comes last.",
        ),
        Mistake(
            "clamps one too low",
            bucketing(top=-2),
            "The last bucket is num_buckets - 1, counted from 0. Yours is one less, and one bucket "
            "stays empty.",
        ),
        Mistake(
            "has a bucket for every distance",
            bucketing(exact_of=lambda buckets: buckets, span=lambda buckets, exact: 0),
            "You clamp the distance to the last bucket. Half of the buckets are exact; the other "
            "half must stretch to max_distance, in steps of the logarithm.",
        ),
        Mistake(
            "grows evenly",
            bucketing(ratio=linear_ratio),
            "Your far buckets are all of the same width. They grow: the logarithm of the distance "
            "is cut into even steps.",
        ),
        Mistake(
            "has no last bucket",
            bucketing(top=None),
            "Beyond max_distance your numbers go on growing, past the end of the table. All of "
            "them share the last bucket: clamp to num_buckets - 1.",
        ),
        Mistake(
            "clamps one too high",
            bucketing(top=0),
            "The last bucket is num_buckets - 1. Yours is one more: it is beyond the table, or it "
            "is bucket 0 of the other side.",
        ),
        Mistake(
            "rounds to the nearest",
            bucketing(whole=lambda steps: steps.round()),
            "Rounding moves half of each far bucket into the next. Cut off, as .long() does.",
        ),
        Mistake(
            "rounds up",
            bucketing(whole=lambda steps: steps.ceil()),
            "Rounding up moves nearly all far distances one bucket on. Cut off, as .long() does.",
        ),
        Mistake(
            "has one exact bucket less",
            bucketing(is_near=lambda distance, exact: distance < exact - 1),
            "The distance before the border goes through the logarithm, and is taken for the border. "
            "All distances below num_buckets // 2 have a bucket each.",
        ),
        Mistake(
            "has one exact bucket more",
            bucketing(is_near=lambda distance, exact: distance <= exact + 1),
            "Distances up to the border and one more keep their own number. From num_buckets // 2 "
            "on the logarithm decides.",
        ),
        Mistake(
            "measures the logarithm from 1",
            bucketing(ratio=lambda d, exact, reach: torch.log(d) / math.log(reach)),
            "The far buckets begin at the last exact distance, not at 1: both logarithms are of "
            "distance and max_distance divided by it.",
        ),
        Mistake(
            "divides only one logarithm",
            bucketing(ratio=lambda d, exact, reach: torch.log(d / exact) / math.log(reach)),
            "log(distance / exact) runs up to log(max_distance / exact). You divide by "
            "log(max_distance), so the last buckets are never reached.",
        ),
        Mistake(
            "mixes two kinds of logarithm",
            bucketing(ratio=lambda d, e, r: torch.log(d / e) / math.log2(r / e)),
            "One logarithm is natural, the other to base 2. Any base will do, if it is the same.",
        ),
        Mistake(
            "stretches over all buckets",
            bucketing(span=lambda buckets, exact: buckets),
            "The far distances share num_buckets - exact buckets. You spread them over all, so "
            "they reach the last one long before max_distance.",
        ),
        Mistake(
            "begins the far buckets at 0",
            bucketing(start=lambda exact: 0),
            "Far distances get the numbers of near ones. Their buckets come after the exact ones: "
            "add num_buckets // 2.",
        ),
        Mistake(
            "ignores max_distance",
            bucketing(reach=lambda max_distance: 128),
            "128 stands in your code. The last bucket begins where max_distance says.",
        ),
        Mistake(
            "returns floats",
            bucket_in_floats,
            "The buckets are floats, and an embedding takes integers: .long().",
        ),
    ],
    accepts=[bucket_by_loop, bucket_by_borders, bucket_by_base_two],
)
