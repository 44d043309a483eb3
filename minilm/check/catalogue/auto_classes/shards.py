"""The exercise plan_shards and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice
from typing import Any

from minilm.check.catalogue.auto_classes.common import LESSON
from minilm.check.exercise import Case, Exercise, Mistake
from minilm.errors import InvalidInput


def reference_plan(sizes, max_shard_size):
    from huggingface_hub.serialization._base import split_state_dict_into_shards_factory

    plan = split_state_dict_into_shards_factory(
        sizes,
        get_storage_size=lambda size: size,
        filename_pattern="model{suffix}",
        max_shard_size=max_shard_size,
    )
    return [plan.filename_to_tensors[name] for name in sorted(plan.filename_to_tensors)]


def planning(
    is_large: Callable[[int, int], bool] = lambda size, most: size > most,
    is_full: Callable[[int, int, int], bool] = lambda filled, size, most: filled + size > most,
    after: Callable[[int], int] = lambda size: size,
) -> Callable[..., Any]:
    """Make a plan_shards that asks other questions.

    is_large: (size, most) → whether a weight gets a file of its own
    is_full: (filled, size, most) → whether a new file begins
    after: size → what the new file holds once the weight is in it
    """

    def plan_shards(sizes, max_shard_size):
        shards: list[list[str]] = []
        filling: list[str] = []
        filled = 0
        for name, size in sizes.items():
            if is_large(size, max_shard_size):
                shards.append([name])
                continue
            if is_full(filled, size, max_shard_size):
                shards.append(filling)
                filling, filled = [name], after(size)
            else:
                filling.append(name)
                filled += size
        return [*shards, filling] if filling else shards

    return plan_shards


plan = planning()


def closes_after_the_limit(sizes, max_shard_size):
    shards, filling, filled = [], [], 0
    for name, size in sizes.items():
        filling.append(name)
        filled += size
        if filled > max_shard_size:
            shards.append(filling)
            filling, filled = [], 0
    return [*shards, filling] if filling else shards


def without_the_last(sizes, max_shard_size):
    shards, filling, filled = [], [], 0
    for name, size in sizes.items():
        if size > max_shard_size:
            shards.append([name])
            continue
        if filled + size > max_shard_size:
            shards.append(filling)
            filling, filled = [], 0
        filling.append(name)
        filled += size
    return shards


def closes_for_a_large_one(sizes, max_shard_size):
    shards: list[list[str]] = []
    filled = 0
    for name, size in sizes.items():
        if not shards or filled + size > max_shard_size:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


def an_empty_file_first(sizes, max_shard_size):
    shards: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if filled + size > max_shard_size:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


def beside_the_large_one(sizes, max_shard_size):
    shards: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if size > max_shard_size:
            shards.append([name])
            continue
        if filled + size > max_shard_size:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return [names for names in shards if names]


def numbered_when_they_begin(sizes, max_shard_size):
    shards: list[list[str]] = []
    filling: list[str] = []
    for name, size in sizes.items():
        if size > max_shard_size:
            shards.append([name])
            continue
        if not filling or sum(sizes[each] for each in filling) + size > max_shard_size:
            filling = []
            shards.append(filling)
        filling.append(name)
    return shards


def cleared_after_it_was_kept(sizes, max_shard_size):
    shards, filling, filled = [], [], 0
    for name, size in sizes.items():
        if size > max_shard_size:
            shards.append([name])
            continue
        if filled + size > max_shard_size:
            shards.append(filling)
            filling.clear()
            filled = 0
        filling.append(name)
        filled += size
    return [*shards, filling] if filling else shards


def without_what_did_not_fit(sizes, max_shard_size):
    shards, filling, filled = [], [], 0
    for name, size in sizes.items():
        if size > max_shard_size:
            shards.append([name])
        elif filled + size > max_shard_size:
            shards.append(filling)
            filling, filled = [], 0
        else:
            filling.append(name)
            filled += size
    return [*shards, filling] if filling else shards


def empty_after_a_large_one(sizes, max_shard_size):
    shards, filling, filled = [], [], 0
    for name, size in sizes.items():
        if size > max_shard_size:
            shards.append([name])
            filled = 0
            continue
        if filled + size > max_shard_size:
            shards.append(filling)
            filling, filled = [], 0
        filling.append(name)
        filled += size
    return [*shards, filling] if filling else shards


def first_fit(sizes, max_shard_size):
    shards: list[list[str]] = []
    room: list[int] = []
    for name, size in sizes.items():
        at = next((i for i, free in enumerate(room) if size <= free), None)
        if at is None:
            shards.append([name])
            room.append(max_shard_size - size)
        else:
            shards[at].append(name)
            room[at] -= size
    return shards


def large_ones_last(sizes, max_shard_size):
    small = {name: size for name, size in sizes.items() if size <= max_shard_size}
    large = [[name] for name in sizes if name not in small]
    return [*(plan(small, max_shard_size)), *large]


def without_large_ones(sizes, max_shard_size):
    small = {name: size for name, size in sizes.items() if size <= max_shard_size}
    return plan(small, max_shard_size)


def refuses_large_ones(sizes, max_shard_size):
    if max(sizes.values()) > max_shard_size:
        raise InvalidInput("larger than a file")
    return plan(sizes, max_shard_size)


def largest_first(sizes, max_shard_size):
    names = sorted(sizes, key=lambda name: -sizes[name])
    return plan({name: sizes[name] for name in names}, max_shard_size)


def in_even_files(sizes, max_shard_size):
    files = -(-sum(sizes.values()) // max_shard_size)
    each = -(-len(sizes) // files)
    return [list(islice(sizes, at, at + each)) for at in range(0, len(sizes), each)]


def with_sizes(sizes, max_shard_size):
    return [{name: sizes[name] for name in names} for names in plan(sizes, max_shard_size)]


def by_recursion(sizes, max_shard_size):
    open_file, closed, room = (), (), max_shard_size
    for name in sizes:
        size = sizes[name]
        if size > max_shard_size:
            closed += ((name,),)
        elif size <= room:
            open_file, room = (*open_file, name), room - size
        else:
            closed += (open_file,)
            open_file, room = (name,), max_shard_size - size
    return closed + ((open_file,) if open_file else ())


def by_dicts(sizes, max_shard_size):
    files, current = [], {}
    for name, size in sizes.items():
        if size > max_shard_size:
            files.append({name: size})
        elif sum(current.values()) + size <= max_shard_size:
            current[name] = size
        else:
            files.append(current)
            current = {name: size}
    if current:
        files.append(current)
    return [list(each) for each in files]


def draw_sizes(draw: random.Random) -> list[Case]:
    def case(most, *sizes):
        return {"sizes": dict(zip("abcdefghijkl", sizes, strict=False)), "max_shard_size": most}

    cases = [
        case(5, 3),
        case(5, 5),
        case(5, 6),
        case(5, 2, 3),
        case(5, 3, 3),
        case(5, 2, 2, 2),
        case(5, 1, 1, 5),
        case(5, 1, 6, 2),
        case(5, 6, 1, 2),
        case(5, 2, 6, 6, 2),
        case(5, 6, 7),
        case(5, 4, 4, 1, 4, 1),
        case(10, 6, 6, 2, 6, 2, 2),
        case(6, 1, 2, 3, 4, 3, 2, 1),
        case(4, 3, 1, 3, 1, 3, 1),
    ]
    for _ in range(12):
        most = draw.randint(4, 9)
        cases.append(case(most, *(draw.randint(1, most) for _ in range(draw.randint(4, 9)))))
    for _ in range(5):
        cases.append(case(5, *(draw.randint(1, 8) for _ in range(6))))
    return cases


PLAN_SHARDS = Exercise(
    answer="minilm.weights:plan_shards",
    lesson=LESSON,
    cases=draw_sizes,
    reference=reference_plan,
    reference_name="huggingface_hub's division into shards",
    mistakes=[
        Mistake(
            "one weight too many in a file",
            closes_after_the_limit,
            "The weight is put in first, and then you look whether the file is too large. Look "
            "before: whatever does not fit begins the next file.",
        ),
        Mistake(
            "does not fill a file to the last byte",
            planning(is_full=lambda filled, size, most: filled + size >= most),
            "A file that would hold exactly max_shard_size is closed before. It may hold that "
            "much: > and not >=.",
        ),
        Mistake(
            "gives a weight of the full size a file of its own",
            planning(is_large=lambda size, most: size >= most),
            "A weight of exactly max_shard_size fits like any other and waits for its turn. Only "
            "a larger one is put aside: > and not >=.",
        ),
        Mistake(
            "forgets the last file",
            without_the_last,
            "What is in the open file at the end is never added, so the last weights are not "
            "saved at all.",
        ),
        Mistake(
            "does not count what opens a file",
            planning(after=lambda size: 0),
            "When a new file begins, its size is set to 0, and the weight that begins it is "
            "already in it. So files grow too large.",
        ),
        Mistake(
            "never begins to count anew",
            planning(
                is_full=lambda filled, size, most: filled > 0 and filled + size > most,
                after=lambda size: 10**9,
            ),
            "After the first file the size goes on growing, so every weight from there on gets a "
            "file of its own. Set it back when a file begins.",
        ),
        Mistake(
            "begins with an empty file",
            an_empty_file_first,
            "If the first weight is too large for a file, the empty one before it is kept, and "
            "saved as a file with nothing in it.",
        ),
        Mistake(
            "closes the open file for a large weight",
            closes_for_a_large_one,
            "A weight larger than a file closes the one that was open, though there may be room in "
            "it. transformers puts the large one aside and goes on filling.",
        ),
        Mistake(
            "fills the large one's file",
            beside_the_large_one,
            "You add to the last file of the list, and after a large weight that is the large "
            "one's own. Keep the open file by itself until it is full.",
        ),
        Mistake(
            "numbers the files when they begin",
            numbered_when_they_begin,
            "The weights are divided rightly, and the files come in the order in which they were "
            "begun. They come in the order in which they are closed: a large weight's before the "
            "one that is still open.",
        ),
        Mistake(
            "clears the list that it has kept",
            cleared_after_it_was_kept,
            "`append` keeps the list itself, not a copy, and `clear` empties it where it is kept. "
            "Begin a new list: `= []`.",
        ),
        Mistake(
            "loses what did not fit",
            without_what_did_not_fit,
            "The weight that does not fit closes the file and is in none itself. It is the first "
            "of the next.",
        ),
        Mistake(
            "forgets how full the file was",
            empty_after_a_large_one,
            "A large weight sets the size of the open file to 0, though what is in it stays. So "
            "the file grows too large.",
        ),
        Mistake(
            "goes back to files with room",
            first_fit,
            "Small weights fill gaps in earlier files. Fewer files, but neighbours are scattered: "
            "the order of the model is kept, and a closed file stays closed.",
        ),
        Mistake(
            "puts large weights last",
            large_ones_last,
            "Large weights wait until the end. They get their file when their turn comes, so that "
            "the numbers of the files follow the model.",
        ),
        Mistake(
            "leaves large weights out",
            without_large_ones,
            "A weight that is larger than a file is in no file at all. It cannot be cut, so its "
            "file is larger than allowed.",
        ),
        Mistake(
            "refuses large weights",
            refuses_large_ones,
            "A weight that is larger than a file stops it. It cannot be cut, so it gets a file of "
            "its own, larger than allowed.",
        ),
        Mistake(
            "sorts by size",
            largest_first,
            "The weights are sorted before they are divided. They come in the order of the model, "
            "and stay in it.",
        ),
        Mistake(
            "divides evenly",
            in_even_files,
            "It works out how many files are needed and gives each as many weights. Weights have "
            "different sizes: fill a file until the next one does not fit.",
        ),
        Mistake(
            "a file for each weight",
            lambda sizes, max_shard_size: [[name] for name in sizes],
            "Every weight has a file of its own. A file is filled until the next weight does not "
            "fit.",
        ),
        Mistake(
            "everything in one file",
            lambda sizes, max_shard_size: [list(sizes)],
            "The limit is not looked at. A new file begins where the next weight would not fit.",
        ),
        Mistake(
            "returns sizes as well",
            with_sizes,
            "Lists of names are asked for, and you return what they weigh with them.",
        ),
    ],
    accepts=[plan, by_recursion, by_dicts],
)
