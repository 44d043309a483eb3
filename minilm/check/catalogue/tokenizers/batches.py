"""Mistakes in cutting long rows into windows and padding short ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from minilm.check.exercise import Case, Exercise, Mistake, Raises
from minilm.errors import InvalidInput

LESSON = "02_tokenizers"


def windows_cases(draw: random.Random) -> list[Case]:
    """Rows that fit, that do not, whose last window is short or ends exactly; strides 0 and more."""
    curated = [(3, 4, 1), (4, 4, 1), (5, 4, 1), (7, 4, 1), (10, 4, 1), (6, 3, 0), (7, 3, 0)]
    curated += [(10, 4, 2), (9, 4, 3), (5, 1, 0), (9, 5, 2), (0, 4, 1)]
    # A row that fits needs no second window, so only longer ones must be refused.
    curated += [(5, 2, 2), (9, 3, 4)]
    cases = [_window(n, size, stride) for n, size, stride in curated]
    for _ in range(20):
        size = draw.randint(2, 9)
        cases.append(_window(draw.randint(1, 30), size, draw.randint(0, size - 1)))
    return cases


def _window(length: int, max_length: int, stride: int) -> Case:
    return {"length": length, "max_length": max_length, "stride": stride}


def windows_reference(length: int, max_length: int, stride: int) -> Any:
    """Ask tokenizers' truncation, and read off which tokens each window holds."""
    if stride >= max_length:
        return Raises(InvalidInput, ValueError)
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    words = {f"w{index}": index for index in range(length)}
    tokenizer = Tokenizer(WordLevel({**words, "unknown": length}, unk_token="unknown"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.enable_truncation(max_length, stride=stride)
    encoding = tokenizer.encode(" ".join(words))
    rows = [encoding.ids, *(more.ids for more in encoding.overflowing)]
    return [(row[0], row[-1] + 1) if row else (0, 0) for row in rows]


def _refusing(cut: Callable[..., Any]) -> Callable[..., Any]:
    """A way to cut windows that refuses a stride which would leave it where it is."""

    @wraps(cut)
    def windows(length, max_length, stride=0):
        if stride >= max_length:
            raise ValueError("windows would not move forward")
        return cut(length, max_length, stride)

    return windows


def _slide(length: int, max_length: int, step: int, clip: bool = True) -> list[tuple[int, int]]:
    """Cut windows at every step until one reaches the end."""
    result, start = [], 0
    while True:
        end = start + max_length
        result.append((start, min(end, length) if clip else end))
        if end >= length or step < 1:
            return result
        start += step


@_refusing
def _stride_as_step(length, max_length, stride):
    return _slide(length, max_length, stride)


@_refusing
def _no_overlap(length, max_length, stride):
    return _slide(length, max_length, max_length)


@_refusing
def _one_shared_token_too_many(length, max_length, stride):
    return _slide(length, max_length, max_length - stride - 1)


@_refusing
def _one_shared_token_too_few(length, max_length, stride):
    return _slide(length, max_length, max_length - stride + 1)


@_refusing
def _goes_on_at_the_end(length, max_length, stride):
    starts = range(0, length, max_length - stride)
    return [(start, min(start + max_length, length)) for start in starts]


@_refusing
def _not_clipped(length, max_length, stride):
    return _slide(length, max_length, max_length - stride, clip=False)


@_refusing
def _drops_the_last_window(length, max_length, stride):
    windows = _slide(length, max_length, max_length - stride)
    return [(start, end) for start, end in windows if end - start == max_length]


@_refusing
def _full_last_window(length, max_length, stride):
    windows = _slide(length, max_length, max_length - stride)
    return [*windows[:-1], (max(0, windows[-1][1] - max_length), windows[-1][1])]


@_refusing
def _starts_and_lengths(length, max_length, stride):
    windows = _slide(length, max_length, max_length - stride)
    return [(start, end - start) for start, end in windows]


@_refusing
def _inclusive_ends(length, max_length, stride):
    windows = _slide(length, max_length, max_length - stride)
    return [(start, end - 1) for start, end in windows]


@_refusing
def _none_for_an_empty_row(length, max_length, stride):
    return _slide(length, max_length, max_length - stride) if length else []


@_refusing
def _overflow_only(length, max_length, stride):
    return _slide(length, max_length, max_length - stride)[1:]


@_refusing
def _first_window_only(length, max_length, stride):
    return [(0, min(length, max_length))]


@_refusing
def _windows_by_counting(length, max_length, stride=0):
    step = max_length - stride
    count = 1 + max(0, -(-(length - max_length) // step))
    return [(i * step, min(i * step + max_length, length)) for i in range(count)]


@_refusing
def _windows_by_range(length, max_length, stride=0):
    last_start = max(length - stride, 1)
    return [[s, min(s + max_length, length)] for s in range(0, last_start, max_length - stride)]


@_refusing
def _windows_by_recursion(length, max_length, stride=0):
    if length <= max_length:
        return [(0, length)]
    step = max_length - stride
    rest = _windows_by_recursion(length - step, max_length, stride)
    return [(0, max_length)] + [(start + step, end + step) for start, end in rest]


windows = Exercise(
    answer="minilm.tokenization.truncation:windows",
    lesson=LESSON,
    cases=windows_cases,
    reference=windows_reference,
    reference_name="tokenizers' stride",
    mistakes=[
        Mistake(
            "stride as the step",
            _stride_as_step,
            "Your code moves the window on by stride. In transformers stride is the overlap, how "
            "many tokens neighbours share; the step is max_length - stride.",
        ),
        Mistake(
            "no overlap",
            _no_overlap,
            "Your code moves on by a whole window, so neighbours share nothing. An answer that lies "
            "across a seam is in no window; the overlap is there to catch it.",
        ),
        Mistake(
            "one shared token too many",
            _one_shared_token_too_many,
            "Your code moves on by max_length - stride - 1, so windows share one token more than "
            "asked.",
        ),
        Mistake(
            "one shared token too few",
            _one_shared_token_too_few,
            "Your code moves on by max_length - stride + 1, so windows share one token less than "
            "asked.",
        ),
        Mistake(
            "goes on after the end is reached",
            _goes_on_at_the_end,
            "Your code opens windows as long as a start is left, also when the window before has "
            "reached the end. The extra ones hold nothing new, and their tokens count twice.",
        ),
        Mistake(
            "reaches past the end",
            _not_clipped,
            "Your code lets the last window end behind the row. Slices forgive that and lengths "
            "don't: clip the end to `length`.",
        ),
        Mistake(
            "drops the short window",
            _drops_the_last_window,
            "Your code keeps full windows only, so the last tokens of the row are in none. A row "
            "shorter than a window disappears.",
        ),
        Mistake(
            "pushes the last window back",
            _full_last_window,
            "Your code moves the last window back until it is full. Then it shares more than stride "
            "tokens with the one before; tokenizers leaves it short.",
        ),
        Mistake(
            "starts and lengths",
            _starts_and_lengths,
            "Your code returns (start, length). Return (start, end), so that row[start:end] is the "
            "window.",
        ),
        Mistake(
            "ends on the last token",
            _inclusive_ends,
            "Your code returns the position of the last token as the end. Ends in Python lie one "
            "behind it: row[start:end] would lose a token in every window.",
        ),
        Mistake(
            "no window for an empty row",
            _none_for_an_empty_row,
            "Your code returns no window for a row without tokens. It is one window, (0, 0): a "
            "batch must not lose a row because its text is empty.",
        ),
        Mistake(
            "cuts what cannot be cut",
            lambda length, max_length, stride: (
                _slide(length, max_length, max_length - stride) if stride < max_length else []
            ),
            "Your code returns windows, or none, for a stride as large as a window. The next window "
            "would start where this one does: raise InvalidInput.",
        ),
        Mistake(
            "leaves out the first window",
            _overflow_only,
            "Your code returns what overflows and forgets the window that everything overflows "
            "from. The first window is (0, max_length), or the whole row.",
        ),
        Mistake(
            "one window",
            _first_window_only,
            "Your code cuts the row and forgets the rest. That is truncation; windows are there to "
            "keep the rest as further rows.",
        ),
    ],
    accepts=[_windows_by_counting, _windows_by_range, _windows_by_recursion],
    time_limit=2.0,  # a window that does not move is soon found out
)


def pad_rows_cases(draw: random.Random) -> list[Case]:
    """Rows of one length and of several, both sides, a set length, pad ids that are real tokens."""
    cases = [
        _rows([[5]], 0),
        _rows([[5], [6, 7]], 0),
        _rows([[5], [6, 7]], 9),
        _rows([[5], [6, 7]], 0, "left"),
        _rows([[5]], 9, "right", 3),
        _rows([[5]], 9, "left", 3),
        _rows([[0, 5], [6, 0, 7]], 0),
        _rows([[9, 9], [9]], 9, "left"),
        _rows([[5, 6, 7], [8]], 0, "right", 2),
        _rows([[5, 6, 7], [8]], 0, "left", 2),
        _rows([[], [5]], 0),
        _rows([[5], [6, 7]], 0, "right", 0),
    ]
    for _ in range(16):
        rows = [[draw.randint(0, 9) for _ in range(draw.randint(1, 6))] for _ in range(3)]
        length = draw.choice([None, None, 4, 7])
        cases.append(_rows(rows, draw.randint(0, 9), draw.choice(["right", "left"]), length))
    return cases


def _rows(
    rows: list[list[int]], pad_id: int, padding_side: str = "right", length: int | None = None
) -> Case:
    return {"rows": rows, "pad_id": pad_id, "padding_side": padding_side, "length": length}


def pad_rows_reference(
    rows: list[list[int]], pad_id: int, padding_side: str, length: int | None
) -> tuple[list[list[int]], list[list[int]]]:
    """Ask transformers' tokenizer.pad."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"[PAD]": pad_id}, unk_token="[PAD]")),
        pad_token="[PAD]",
        padding_side=padding_side,
    )
    tokenizer.deprecation_warnings["Asking-to-pad-a-fast-tokenizer"] = True  # it is known
    padding = "longest" if length is None else "max_length"
    padded = tokenizer.pad({"input_ids": rows}, padding=padding, max_length=length)
    return padded["input_ids"], padded["attention_mask"]


def _pad(
    rows: Sequence[Sequence[int]],
    pad_id: int,
    side: str,
    length: int,
    mask_of: Callable[[list[int], int], list[int]] | None = None,
) -> tuple[list[list[int]], list[list[int]]]:
    """Pad to a length; mask_of makes the mask of a padded row from it and its number of tokens."""
    ids, masks = [], []
    for row in rows:
        fill = [pad_id] * (length - len(row))
        padded = [*row, *fill] if side == "right" else [*fill, *row]
        ones, zeros = [1] * len(row), [0] * len(fill)
        ids.append(padded)
        if mask_of is not None:
            masks.append(mask_of(padded, len(row)))
        else:
            masks.append(ones + zeros if side == "right" else zeros + ones)
    return ids, masks


def _room(rows: Sequence[Sequence[int]], length: int | None) -> int:
    return max(map(len, rows)) if length is None else length


def _mask_from_ids(rows, pad_id, padding_side="right", length=None):
    return _pad(
        rows,
        pad_id,
        padding_side,
        _room(rows, length),
        lambda padded, count: [int(token_id != pad_id) for token_id in padded],
    )


def _mask_on_the_right(rows, pad_id, padding_side="right", length=None):
    return _pad(
        rows,
        pad_id,
        padding_side,
        _room(rows, length),
        lambda padded, count: [1] * count + [0] * (len(padded) - count),
    )


def _mask_inverted(rows, pad_id, padding_side="right", length=None):
    ids, masks = _pad(rows, pad_id, padding_side, _room(rows, length))
    return ids, [[1 - real for real in mask] for mask in masks]


def _mask_of_ones(rows, pad_id, padding_side="right", length=None):
    return _pad(
        rows, pad_id, padding_side, _room(rows, length), lambda padded, count: [1] * len(padded)
    )


def _mask_not_padded(rows, pad_id, padding_side="right", length=None):
    return _pad(rows, pad_id, padding_side, _room(rows, length), lambda padded, count: [1] * count)


def _always_right(rows, pad_id, padding_side="right", length=None):
    return _pad(rows, pad_id, "right", _room(rows, length))


def _sides_swapped(rows, pad_id, padding_side="right", length=None):
    return _pad(rows, pad_id, {"right": "left", "left": "right"}[padding_side], _room(rows, length))


def _always_zero(rows, pad_id, padding_side="right", length=None):
    return _pad(rows, 0, padding_side, _room(rows, length))


def _ignores_length(rows, pad_id, padding_side="right", length=None):
    return _pad(rows, pad_id, padding_side, max(map(len, rows)))


def _at_least_the_longest(rows, pad_id, padding_side="right", length=None):
    return _pad(rows, pad_id, padding_side, max([*map(len, rows), length or 0]))


def _cuts_long_rows(rows, pad_id, padding_side="right", length=None):
    room = _room(rows, length)
    return _pad([row[:room] for row in rows], pad_id, padding_side, room)


def _one_pad_too_many(rows, pad_id, padding_side="right", length=None):
    return _pad(rows, pad_id, padding_side, _room(rows, length) + 1)


def _to_the_first_row(rows, pad_id, padding_side="right", length=None):
    return _pad(rows, pad_id, padding_side, len(rows[0]) if length is None else length)


def _one_pad_at_most(rows, pad_id, padding_side="right", length=None):
    room = _room(rows, length)
    ids, masks = [], []
    for row in rows:
        fill, zero = ([pad_id], [0]) if len(row) < room else ([], [])
        ids.append([*row, *fill] if padding_side == "right" else [*fill, *row])
        ones = [1] * len(row)
        masks.append(ones + zero if padding_side == "right" else zero + ones)
    return ids, masks


def _pads_what_it_was_lent(rows, pad_id, padding_side="right", length=None):
    room = _room(rows, length)
    masks = []
    for row in rows:
        gap = room - len(row)
        masks.append(
            [1] * len(row) + [0] * gap if padding_side == "right" else [0] * gap + [1] * len(row)
        )
        row[:] = row + [pad_id] * gap if padding_side == "right" else [pad_id] * gap + row
    return rows, masks


def _padded_ids_only(rows, pad_id, padding_side="right", length=None):
    return _pad(rows, pad_id, padding_side, _room(rows, length))[0]


def _pad_by_comprehension(rows, pad_id, padding_side="right", length=None):
    if length is None:
        length = max((len(row) for row in rows), default=0)
    left = padding_side == "left"
    gaps = [max(0, length - len(row)) for row in rows]
    ids = [
        [pad_id] * (gap * left) + list(row) + [pad_id] * (gap * (not left))
        for row, gap in zip(rows, gaps, strict=True)
    ]
    mask = [
        [False] * (gap * left) + [True] * len(row) + [False] * (gap * (not left))
        for row, gap in zip(rows, gaps, strict=True)
    ]
    return ids, mask


def _pad_one_by_one(rows, pad_id, padding_side="right", length=None):
    target = length if length is not None else max(map(len, rows))
    padded, masks = [list(row) for row in rows], [[1] * len(row) for row in rows]
    for row, mask in zip(padded, masks, strict=True):
        while len(row) < target:
            place = len(row) if padding_side == "right" else 0
            row.insert(place, pad_id)
            mask.insert(place, 0)
    return padded, masks


def _pad_by_turning(rows, pad_id, padding_side="right", length=None):
    if padding_side == "left":
        ids, mask = _pad_by_turning([row[::-1] for row in rows], pad_id, "right", length)
        return [row[::-1] for row in ids], [row[::-1] for row in mask]
    if length is None:
        length = sorted(map(len, rows))[-1]
    ids = [row + [pad_id] * (length - len(row)) for row in rows]
    return ids, [[int(i < len(row)) for i in range(max(length, len(row)))] for row in rows]


pad_rows = Exercise(
    answer="minilm.tokenization.padding:pad_rows",
    lesson=LESSON,
    cases=pad_rows_cases,
    reference=pad_rows_reference,
    reference_name="transformers' tokenizer.pad",
    mistakes=[
        Mistake(
            "reads the mask off the ids",
            _mask_from_ids,
            "Your code masks every id that equals pad_id. A real token may have that id (people "
            "set pad to eos), and the model would not see it: count tokens before you pad.",
        ),
        Mistake(
            "mask always for the right side",
            _mask_on_the_right,
            "Your code pads on the left and writes the ones of the mask first. The model then "
            "reads padding and is blind to as many tokens at the end.",
        ),
        Mistake(
            "mask inverted",
            _mask_inverted,
            "Your code writes 1 for padding. In transformers' attention_mask 1 means 'a token, "
            "look at it': this way the model sees the padding alone.",
        ),
        Mistake(
            "mask of ones",
            _mask_of_ones,
            "Your code marks padding as tokens too. Nothing fails, and every short row is read "
            "with a tail of padding that changes what the model thinks of it.",
        ),
        Mistake(
            "mask without zeros",
            _mask_not_padded,
            "Your code gives each mask as many ones as the row has tokens, and no zeros. The masks "
            "are as ragged as the rows were: no tensor can be made of them.",
        ),
        Mistake(
            "pads on the right, always",
            _always_right,
            "Your code ignores padding_side. A model that goes on with the text continues from the "
            "last position, and on the right that is padding.",
        ),
        Mistake(
            "sides swapped",
            _sides_swapped,
            "Your code pads on the other side. padding_side says where the padding goes, not where "
            "the tokens go.",
        ),
        Mistake(
            "pads with 0",
            _always_zero,
            "Your code fills with 0. Id 0 is a token like any other in many vocabularies (GPT-2's is "
            "the exclamation mark); fill with pad_id.",
        ),
        Mistake(
            "ignores length",
            _ignores_length,
            "Your code pads to the longest row though a length was given. Whoever asks for a fixed "
            "length wants every batch in the same shape.",
        ),
        Mistake(
            "never below the longest row",
            _at_least_the_longest,
            "Your code raises a given length to the longest row's. The length holds for the rows "
            "that are shorter; a longer row stays as it is.",
        ),
        Mistake(
            "cuts long rows",
            _cuts_long_rows,
            "Your code cuts rows that are longer than length. Cutting is truncation, which knows "
            "about [SEP]; padding only adds.",
        ),
        Mistake(
            "one too many",
            _one_pad_too_many,
            "Your code pads to one more than the longest row. Every batch pays for a column that "
            "holds nothing.",
        ),
        Mistake(
            "as long as the first row",
            _to_the_first_row,
            "Your code pads to the length of the first row. Longer ones that follow stick out: take "
            "the longest.",
        ),
        Mistake(
            "as long as the shortest row",
            lambda rows, pad_id, padding_side="right", length=None: _pad(
                rows, pad_id, padding_side, min(map(len, rows)) if length is None else length
            ),
            "Your code pads to the length of the shortest row, so none gets any padding. Take the "
            "longest.",
        ),
        Mistake(
            "takes length 0 for none",
            lambda rows, pad_id, padding_side="right", length=None: _pad(
                rows, pad_id, padding_side, length or _room(rows, None)
            ),
            "`length or …` is false for 0 as well as for None. Ask `if length is None`.",
        ),
        Mistake(
            "one pad per row",
            _one_pad_at_most,
            "Your code adds one pad to a short row. Add as many as are missing.",
        ),
        Mistake(
            "pads the caller's rows",
            _pads_what_it_was_lent,
            "Your code fills the very lists it was given. Whoever calls it finds padding in rows "
            "that had none, and pads them again next time: make new lists.",
        ),
        Mistake(
            "ids alone",
            _padded_ids_only,
            "Your code returns the padded ids and no mask. Without it nobody can tell padding from "
            "tokens: return both.",
        ),
    ],
    accepts=[_pad_by_comprehension, _pad_one_by_one, _pad_by_turning],
)
