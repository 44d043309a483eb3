"""The exercises cache_bytes, write_in_place and keep_window, and their known mistakes."""

from __future__ import annotations

import random
from math import prod

from minilm.check.catalogue.attention.by_transformers import LESSON
from minilm.check.comparing import alike
from minilm.check.drawing import normal
from minilm.check.exercise import Exercise, Mistake, Raises
from minilm.check.later import torch

# --- cache_bytes ------------------------------------------------------------------------------


def reference_bytes(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=4) -> int:
    """Fill transformers' DynamicCache with tensors that have a size and no memory, and add up."""
    from transformers import DynamicCache

    dtypes = {1: torch.int8, 2: torch.bfloat16, 4: torch.float32, 8: torch.float64}
    shape = (batch_size, n_kv_heads, length, head_dim)
    keys = torch.empty(shape, dtype=dtypes[bytes_per_number], device="meta")
    cache = DynamicCache()
    for layer in range(n_layers):
        cache.update(keys, keys.clone(), layer)
    held = [part for layer in cache.layers for part in (layer.keys, layer.values)]
    return sum(part.numel() * part.element_size() for part in held)


def bytes_by_loop(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=4):
    total = 0
    for _ in range(n_layers):
        for _ in ("keys", "values"):
            total += batch_size * n_kv_heads * length * head_dim * bytes_per_number
    return total


def bytes_per_token_first(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=4):
    per_token = n_layers * 2 * n_kv_heads * head_dim * bytes_per_number
    return per_token * length * batch_size


def bytes_of_a_shape(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=4):
    shape = torch.Size([2, n_layers, batch_size, n_kv_heads, length, head_dim])
    return shape.numel() * bytes_per_number


def counting(**other):
    """Make a cache_bytes in which some of the factors are something else."""

    def cache_bytes(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=4):
        factors = {
            "both": 2,
            "n_layers": n_layers,
            "batch_size": batch_size,
            "n_kv_heads": n_kv_heads,
            "length": length,
            "head_dim": head_dim,
            "bytes_per_number": bytes_per_number,
        }
        for name, change in other.items():
            factors[name] = change(factors[name])
        return prod(factors.values())

    return cache_bytes


def mebibytes(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=4):
    return 2 * n_layers * batch_size * n_kv_heads * length * head_dim * bytes_per_number / 1024**2


def one(factor):
    return 1


def draw_sizes(draw: random.Random) -> list[dict]:
    names = ["n_layers", "batch_size", "n_kv_heads", "length", "head_dim", "bytes_per_number"]
    sizes: list[tuple] = [
        (1, 1, 1, 1, 1),
        (1, 1, 1, 2, 3),
        (2, 1, 1, 1, 1),
        (1, 3, 1, 1, 2),
        (2, 3, 4, 5, 6),
        (3, 2, 5, 7, 4, 2),
        (2, 2, 3, 5, 8, 1),
        (12, 1, 12, 1024, 64),
        (32, 8, 8, 4096, 128, 2),
        (16, 1, 8, 131072, 64, 2),
    ]
    for _ in range(4):
        sizes.append((*draw.sample([2, 3, 5, 7, 11, 13], 5), draw.choice([1, 2, 4, 8])))
    return [dict(zip(names, size, strict=False)) for size in sizes]


CACHE_BYTES = Exercise(
    answer="minilm.cache:cache_bytes",
    lesson=LESSON,
    cases=draw_sizes,
    reference=reference_bytes,
    reference_name="what the tensors of transformers' DynamicCache hold",
    mistakes=[
        Mistake(
            "forgets the values",
            counting(both=one),
            "You count one tensor for each layer. There are two: keys and values.",
        ),
        Mistake(
            "counts queries too",
            counting(both=lambda n: 3),
            "You count three tensors for each layer. Queries are not kept: a token asks once, "
            "when it is new. Keys and values are two.",
        ),
        Mistake(
            "counts numbers instead of bytes",
            counting(bytes_per_number=one),
            "This is how many numbers there are. Each takes bytes_per_number bytes.",
        ),
        Mistake(
            "counts bits",
            counting(bytes_per_number=lambda n: 8 * n),
            "You count 8 for each byte. A float32 has 32 bits, which are the 4 bytes given.",
        ),
        Mistake(
            "takes every number for a float32",
            counting(bytes_per_number=lambda n: 4),
            "You take 4 bytes whatever bytes_per_number says. In bfloat16 the cache is half as "
            "large.",
        ),
        Mistake(
            "has another default",
            lambda n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number=2: (
                counting()(n_layers, batch_size, n_kv_heads, length, head_dim, bytes_per_number)
            ),
            "Where bytes_per_number is not given you take 2. Keep the first line as the lesson has "
            "it: bytes_per_number=4.",
        ),
        Mistake(
            "forgets the batch",
            counting(batch_size=one),
            "You count one text. Each of the batch_size texts has keys and values of its own.",
        ),
        Mistake(
            "forgets the layers",
            counting(n_layers=one),
            "You count one layer. Every layer makes its own keys and values and keeps them.",
        ),
        Mistake(
            "forgets the heads",
            counting(n_kv_heads=one),
            "You count one head. Each of the n_kv_heads has its own keys and values.",
        ),
        Mistake(
            "counts half the heads",
            counting(n_kv_heads=lambda n: n / 2),
            "You divide the heads by two. n_kv_heads says already how many key heads are kept, and "
            "there are as many value heads.",
        ),
        Mistake(
            "forgets the head size",
            counting(head_dim=one),
            "You count one number for each head and token. There are head_dim.",
        ),
        Mistake(
            "leaves out the newest token",
            counting(length=lambda n: n - 1),
            "You count length - 1 tokens. The newest one's key and value are kept as well: the "
            "next token will look at them.",
        ),
        Mistake(
            "forgets the tokens",
            counting(length=one),
            "You count one token. The cache grows with every token; that is its price.",
        ),
        Mistake(
            "squares the length",
            counting(length=lambda n: n * n),
            "The square of the length is the size of the score matrix, which is not kept. A cache "
            "holds one key and one value for each token.",
        ),
        Mistake(
            "gives mebibytes",
            mebibytes,
            "You divide by 1024². Asked for are bytes, a whole number.",
        ),
    ],
    accepts=[bytes_by_loop, bytes_per_token_first, bytes_of_a_shape],
)


# --- write_in_place ---------------------------------------------------------------------------


def use_writing(function, buffer, new, length):
    """Let it write, and look at three things: what came back, what is in the buffer, whose it is."""
    filled = function(buffer=buffer, new=new, length=length)
    if not isinstance(filled, torch.Tensor):
        return filled
    shared = filled.untyped_storage().data_ptr() == buffer.untyped_storage().data_ptr()
    return {
        "returned": filled.clone(),
        "buffer afterwards": buffer,
        "returned is part of the buffer": shared or not filled.numel(),
    }


def reference_writing(buffer, new, length):
    """Let transformers' StaticLayer write, which returns the whole buffer; cut off its empty end."""
    from transformers.cache_utils import StaticLayer

    if length + new.shape[2] > buffer.shape[2]:
        return Raises(IndexError, ValueError)
    layer = StaticLayer(max_cache_len=buffer.shape[2])
    layer.lazy_initialization(new, new)
    layer.keys.copy_(buffer)
    layer.cumulative_length.fill_(length)
    whole, _ = layer.update(new, new)
    return {
        "returned": whole[:, :, : length + new.shape[2]],
        "buffer afterwards": whole,
        "returned is part of the buffer": True,
    }


def compare_writing(got, expected):
    if isinstance(expected, dict) and not isinstance(got, dict):
        expected = expected["returned"]
    return alike()(got, expected)


def refuse_too_many(buffer, new, length):
    if length + new.shape[2] > buffer.shape[2]:
        raise IndexError(f"{buffer.shape[2]} places, {length} held, {new.shape[2]} more asked for")


def write_by_copy(buffer, new, length):
    end = length + new.size(2)
    if buffer.size(2) < end:
        raise ValueError("the buffer is full")
    buffer[:, :, length:end].copy_(new)
    return buffer[:, :, :end]


def write_by_index_copy(buffer, new, length):
    refuse_too_many(buffer, new, length)
    places = torch.arange(length, length + new.shape[2])
    buffer.index_copy_(2, places, new)
    return buffer.narrow(2, 0, length + new.shape[2])


def write_by_loop(buffer, new, length):
    refuse_too_many(buffer, new, length)
    for token in range(new.shape[2]):
        buffer[:, :, length + token] = new[:, :, token]
    return buffer[..., : length + new.shape[2], :]


def writing(at=None, give=None, check=refuse_too_many):
    """Make a write_in_place that writes elsewhere, or returns something else."""

    def write_in_place(buffer, new, length):
        check(buffer, new, length)
        start = length if at is None else at(buffer, new, length)
        buffer[:, :, start : start + new.shape[2]] = new
        end = length + new.shape[2]
        return buffer[:, :, :end] if give is None else give(buffer, new, end)

    return write_in_place


def nothing_to_check(buffer, new, length):
    pass


def refuse_one_too_early(buffer, new, length):
    if length + new.shape[2] >= buffer.shape[2]:
        raise IndexError("full")


def refuse_one_too_late(buffer, new, length):
    if length + new.shape[2] > buffer.shape[2] + 1:
        raise IndexError("full")


def refuse_when_full(buffer, new, length):
    if length >= buffer.shape[2]:
        raise IndexError("full")


def write_by_cat(buffer, new, length):
    refuse_too_many(buffer, new, length)
    return torch.cat([buffer[:, :, :length], new], dim=2)


def write_what_fits(buffer, new, length):
    room = buffer.shape[2] - length
    new = new[:, :, :room]
    buffer[:, :, length : length + new.shape[2]] = new
    return buffer[:, :, : length + new.shape[2]]


def fill_the_rest(buffer, new, length):
    refuse_too_many(buffer, new, length)
    buffer[:, :, length:] = new
    return buffer[:, :, : length + new.shape[2]]


def write_round(buffer, new, length):
    """Begin again at the front when the end is reached, like a ring."""
    for token in range(new.shape[2]):
        buffer[:, :, (length + token) % buffer.shape[2]] = new[:, :, token]
    return buffer[:, :, : length + new.shape[2]]


def write_one_further(buffer, new, length):
    refuse_too_many(buffer, new, length)
    start = min(length + 1, buffer.shape[2] - new.shape[2])
    buffer[:, :, start : start + new.shape[2]] = new
    return buffer[:, :, : length + new.shape[2]]


def write_in_grown_buffer(buffer, new, length):
    """Grow when it is full, where an error is asked for."""
    if length + new.shape[2] > buffer.shape[2]:
        return torch.cat([buffer[:, :, :length], new], dim=2)
    buffer[:, :, length : length + new.shape[2]] = new
    return buffer[:, :, : length + new.shape[2]]


def draw_writes(draw: random.Random) -> list[dict]:
    shapes = [
        # B  H  capacity  T  length  D
        (1, 1, 1, 1, 0, 2),
        (1, 1, 2, 1, 0, 2),
        (1, 1, 3, 1, 1, 2),
        (1, 1, 3, 1, 2, 2),
        (1, 1, 2, 1, 2, 1),
        (1, 1, 4, 2, 1, 2),
        (1, 1, 4, 2, 3, 2),
        (1, 1, 3, 3, 0, 2),
        (1, 1, 3, 2, 3, 2),
        (1, 2, 4, 1, 2, 3),
        (2, 2, 5, 2, 2, 3),
        (2, 3, 8, 4, 3, 5),
        (2, 3, 8, 4, 4, 5),
        (2, 3, 8, 4, 5, 5),
        (3, 2, 16, 1, 15, 4),
        (3, 2, 16, 1, 16, 4),
    ]
    for _ in range(4):
        B, H, D, T = draw.sample(range(2, 7), 4)
        length = draw.randint(1, 6)
        shapes.append((B, H, length + T + draw.choice([0, 2]), T, length, D))
    # What lies behind the held tokens is left over from before: it must not come through.
    return [
        {
            "buffer": normal(draw, B, H, capacity, D),
            "new": normal(draw, B, H, T, D),
            "length": length,
        }
        for B, H, capacity, T, length, D in shapes
    ]


WRITE_IN_PLACE = Exercise(
    answer="minilm.cache:write_in_place",
    lesson=LESSON,
    cases=draw_writes,
    reference=reference_writing,
    reference_name="the filled part of transformers' StaticLayer",
    use=use_writing,
    compare=compare_writing,
    may_change_inputs=True,
    mistakes=[
        Mistake(
            "returns the whole buffer",
            writing(give=lambda buffer, new, end: buffer),
            "You return the empty end as well, and attention would look at it: keys that belong "
            "to no token. Return the first length + T.",
        ),
        Mistake(
            "returns the new tokens alone",
            writing(give=lambda buffer, new, end: buffer[:, :, end - new.shape[2] : end]),
            "Only the new tokens come back. What is wanted is all that may be attended to: the "
            "tokens from before, and the new ones.",
        ),
        Mistake(
            "returns what was there before",
            writing(give=lambda buffer, new, end: buffer[:, :, : end - new.shape[2]]),
            "You return the first `length` tokens, without those just written. A new token looks "
            "at itself too: the filled part is length + T long now.",
        ),
        Mistake(
            "returns a copy",
            writing(give=lambda buffer, new, end: buffer[:, :, :end].clone()),
            "The numbers are right, and they have been copied: with a thousand tokens held, every "
            "new one would cost a thousand copies. A slice of the buffer is free.",
        ),
        Mistake(
            "begins at the front again",
            writing(at=lambda buffer, new, length: 0),
            "You write at the beginning, over the oldest tokens. `length` tokens are there "
            "already: the new ones go behind them.",
        ),
        Mistake(
            "writes at the end",
            writing(at=lambda buffer, new, length: buffer.shape[2] - new.shape[2]),
            "You write into the last places of the buffer, with a gap before them. The new tokens "
            "go right behind the `length` that are held.",
        ),
        Mistake(
            "fills all that is free",
            fill_the_rest,
            "`buffer[:, :, length:] = new` goes on to the end: one token is written into every free "
            "place, and several do not fit. Write to length + T.",
        ),
        Mistake(
            "writes one place too far",
            write_one_further,
            "You start at length + 1. Places are counted from 0: `length` tokens fill the places "
            "0 to length - 1, and the first free one is `length`.",
        ),
        Mistake(
            "writes one place too early",
            writing(at=lambda buffer, new, length: max(0, length - 1)),
            "You start at length - 1, over the newest token that is held. Places are counted from "
            "0, so the first free one is `length`.",
        ),
        Mistake(
            "makes a new tensor instead of writing",
            write_by_cat,
            "What you return is right, and the buffer stays as it was: `torch.cat` makes a new "
            "tensor, and so does a copy of the buffer. The next token will not find this one. "
            "Write into a slice of the buffer itself: `buffer[...] = new`.",
        ),
        Mistake(
            "does not look whether there is room",
            writing(check=nothing_to_check),
            "A slice beyond the end is cut short without a word. With one token into a full buffer "
            "nothing is written and no error comes; with more, torch complains about shapes. Look "
            "first, and raise OutOfRange.",
        ),
        Mistake(
            "drops what does not fit",
            write_what_fits,
            "Tokens that find no room are left out in silence, and the text goes on without them. "
            "Asking for more than the buffer holds is an error: raise OutOfRange.",
        ),
        Mistake(
            "goes round in a ring",
            write_round,
            "When the end is reached you write over the oldest tokens. That is another kind of "
            "cache; this one must say that it is full: raise OutOfRange.",
        ),
        Mistake(
            "grows the buffer",
            write_in_grown_buffer,
            "When there is no room you make a larger tensor, and whoever holds the buffer does not "
            "see it. Asking for more than it holds is an error: raise OutOfRange.",
        ),
        Mistake(
            "leaves the last place empty",
            writing(check=refuse_one_too_early),
            "You refuse tokens that would just fit: length + T may be equal to the capacity. "
            "Compare with >, not >=.",
        ),
        Mistake(
            "lets one too many in",
            writing(check=refuse_one_too_late),
            "You refuse only when two or more do not fit. length + T may be equal to the capacity "
            "and no more: compare with >, and add nothing.",
        ),
        Mistake(
            "asks only whether it is full already",
            writing(check=refuse_when_full),
            "You compare `length` with the capacity. Several new tokens may not fit though there "
            "is room for one: compare length + T.",
        ),
    ],
    accepts=[write_by_copy, write_by_index_copy, write_by_loop],
)


# --- keep_window ------------------------------------------------------------------------------


def reference_window(past, new, window):
    """Ask transformers' DynamicSlidingWindowLayer, which keeps everything where the window is 1."""
    from transformers.cache_utils import DynamicSlidingWindowLayer

    layer = DynamicSlidingWindowLayer(sliding_window=window)
    layer.lazy_initialization(new, new)
    if past is not None:
        layer.keys, layer.values = past, past.clone()
    to_attend, _ = layer.update(new, new)
    return to_attend, layer.keys[:, :, : window - 1] if window == 1 else layer.keys


def keep_by_length(past, new, window):
    if past is None:
        everything = new
    else:
        everything = torch.cat((past, new), dim=-2)
    length = everything.size(-2)
    first = max(0, length - window + 1)
    return everything, everything[..., first:, :]


def keep_by_narrow(past, new, window):
    to_attend = new if past is None else torch.cat([past, new], 2)
    n_kept = min(window - 1, to_attend.shape[2])
    return to_attend, to_attend.narrow(2, to_attend.shape[2] - n_kept, n_kept).clone()


def keep_by_index(past, new, window):
    to_attend = torch.cat([part for part in (past, new) if part is not None], dim=2)
    kept = list(range(to_attend.shape[2]))[::-1][: window - 1][::-1]
    return [to_attend, to_attend[:, :, torch.tensor(kept, dtype=torch.long)]]


def join(past, new):
    return new if past is None else torch.cat([past, new], dim=2)


def last(x, count):
    return x[:, :, max(0, x.shape[2] - count) :]


def keeping(keep, attend=lambda joined, past, new, window: joined):
    """Make a keep_window that keeps something else, or attends to something else."""

    def keep_window(past, new, window):
        joined = join(past, new)
        return attend(joined, past, new, window), keep(joined, past, new, window)

    return keep_window


def right_keep(joined, past, new, window):
    return last(joined, window - 1)


def keep_the_past(joined, past, new, window):
    return new[:, :, :0] if past is None else last(past, window - 1)


def draw_windows(draw: random.Random) -> list[dict]:
    shapes = [
        # B  H  P  T  D  window
        (1, 1, None, 1, 2, 2),
        (1, 1, None, 2, 1, 2),
        (1, 1, None, 1, 2, 1),
        (1, 1, 0, 2, 2, 1),
        (1, 1, 1, 1, 2, 2),
        (1, 1, 1, 1, 2, 3),
        (1, 1, 2, 1, 2, 3),
        (1, 1, None, 4, 2, 3),
        (1, 1, 2, 2, 2, 3),
        (1, 1, 1, 2, 2, 6),
        (1, 1, 1, 2, 2, 9),
        (1, 2, 3, 1, 2, 4),
        (2, 2, None, 3, 4, 5),
        (2, 3, 4, 3, 2, 5),
        (2, 3, 2, 6, 4, 5),
        (3, 2, 0, 5, 4, 1),
    ]
    for _ in range(4):
        B, H, D, T = draw.sample(range(2, 7), 4)
        window = draw.randint(2, 6)
        shapes.append((B, H, draw.randint(0, window - 1), T, D, window))
    return [
        {
            "past": None if P is None else normal(draw, B, H, P, D),
            "new": normal(draw, B, H, T, D),
            "window": window,
        }
        for B, H, P, T, D, window in shapes
    ]


KEEP_WINDOW = Exercise(
    answer="minilm.cache:keep_window",
    lesson=LESSON,
    cases=draw_windows,
    reference=reference_window,
    reference_name="transformers' DynamicSlidingWindowLayer",
    mistakes=[
        Mistake(
            "keeps one too many",
            keeping(lambda joined, past, new, window: last(joined, window)),
            "You keep `window` keys. The next token sees `window` of them with its own among "
            "them, so window - 1 have to wait for it.",
        ),
        Mistake(
            "keeps one too few",
            keeping(lambda joined, past, new, window: last(joined, max(0, window - 2))),
            "You keep window - 2 keys. The next token sees window - 1 before itself.",
        ),
        Mistake(
            "keeps two too many",
            keeping(lambda joined, past, new, window: last(joined, window + 1)),
            "You keep window + 1 keys. `length - window - 1` is length minus (window + 1): the first "
            "one to keep is length - (window - 1).",
        ),
        Mistake(
            "drops nothing until there are too many",
            keeping(
                lambda joined, past, new, window: (
                    last(joined, window - 1) if joined.shape[2] > window else joined
                )
            ),
            "Up to `window` keys you keep all of them. One of these must go as well: the next token "
            "brings a key of its own. Keep at most window - 1, always.",
        ),
        Mistake(
            "begins before the first key",
            keeping(lambda joined, past, new, window: joined[:, :, joined.shape[2] - window + 1 :]),
            "With few keys your slice begins at a negative place, and Python counts such a place "
            "from the end. Begin at max(0, …).",
        ),
        Mistake(
            "keeps everything",
            keeping(lambda joined, past, new, window: joined),
            "Nothing is dropped, so the cache grows with the text. A window is there to stop that: "
            "of past and new together keep the last window - 1.",
        ),
        Mistake(
            "keeps everything where the window is 1",
            keeping(
                lambda joined, past, new, window: joined[:, :, -(window - 1) :],
            ),
            "With window 1 you slice `[-0:]`, and minus zero is zero: everything from the "
            "beginning. Count from the front instead. (transformers 5.23 slices like that.)",
        ),
        Mistake(
            "drops one key whatever the length",
            keeping(lambda joined, past, new, window: joined[:, :, 1:]),
            "You drop the first key at every call. While the window is not full nothing need go; "
            "after several new tokens at once, several must. Count: keep the last window - 1.",
        ),
        Mistake(
            "keeps the oldest",
            keeping(lambda joined, past, new, window: joined[:, :, : window - 1]),
            "You keep the first window - 1 keys. The next token looks at its nearest neighbours: "
            "the last ones.",
        ),
        Mistake(
            "keeps only what is new",
            keeping(lambda joined, past, new, window: last(new, window - 1)),
            "What you keep comes from `new` alone. With one new token at a time the window would "
            "never reach further back: keep the last of past and new together.",
        ),
        Mistake(
            "keeps only the past",
            keeping(keep_the_past),
            "What you keep comes from `past`, so the new tokens are forgotten as soon as they have "
            "been attended to.",
        ),
        Mistake(
            "attends to the window alone",
            keeping(right_keep, lambda joined, past, new, window: last(joined, window)),
            "You cut what is attended to down to `window` keys. Of several new tokens the first "
            "one looks further back than the last: give all of past and new, the mask does "
            "the rest.",
        ),
        Mistake(
            "attends to what is kept",
            keeping(right_keep, right_keep),
            "You drop the oldest before attending. They are in the window of the tokens that are "
            "new now; drop them afterwards.",
        ),
        Mistake(
            "forgets the past",
            keeping(right_keep, lambda joined, past, new, window: new),
            "Only the new keys are attended to. The past ones were kept for this very moment.",
        ),
        Mistake(
            "puts the new before the past",
            lambda past, new, window: (
                (new, last(new, window - 1))
                if past is None
                else (
                    torch.cat([new, past], dim=2),
                    last(torch.cat([new, past], dim=2), window - 1),
                )
            ),
            "`cat([new, past])` turns the order of the text round, and the wrong keys are dropped: "
            "past first, then new.",
        ),
        Mistake(
            "joins another axis",
            lambda past, new, window: (
                keeping(right_keep)(None, torch.cat([past, new], -1), window)
                if past is not None and past.shape == new.shape
                else keeping(right_keep)(past, new, window)
            ),
            "`cat(..., dim=-1)` makes the keys longer instead of adding keys. The tokens are "
            "axis 2.",
        ),
        Mistake(
            "joins the heads",
            lambda past, new, window: keeping(right_keep)(
                None, new if past is None else torch.cat([past, new], 1), window
            ),
            "`cat(..., dim=1)` gives more heads instead of more keys, where it runs at all. The "
            "tokens are axis 2.",
        ),
        Mistake(
            "returns them in the other order",
            lambda past, new, window: keeping(right_keep)(past, new, window)[::-1],
            "What is kept comes first and what is attended to second. First comes what is "
            "attended to.",
        ),
        Mistake(
            "does not work without a past",
            lambda past, new, window: (
                torch.cat([past, new], dim=2),
                last(torch.cat([past, new], dim=2), window - 1),
            ),
            "At the first call there is no past: it is None, and `cat` wants tensors.",
        ),
    ],
    accepts=[keep_by_length, keep_by_narrow, keep_by_index],
)
