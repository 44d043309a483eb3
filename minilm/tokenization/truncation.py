"""Making rows short enough: how much of a pair to keep, and overlapping windows of a row."""

from __future__ import annotations

from minilm.errors import InvalidInput


def truncated_lengths(first: int, second: int, max_length: int) -> tuple[int, int]:
    """Share max_length tokens between the two sequences of a pair, cutting the longer one first.

    first, second: lengths of the two sequences, in tokens, special tokens not counted
    max_length: how many tokens the two may have together

    Returns the two new lengths. The shorter sequence stays whole as long as it takes no more than
    half of the room; when both must be cut and the room is odd, the longer one gets the odd token
    (the second one, when both are equally long).
    Equals tokenizers' `longest_first` truncation.
    """
    if first + second <= max_length:
        return first, second
    shorter = min(first, second, max_length // 2)
    longer = max_length - shorter
    return (longer, shorter) if first > second else (shorter, longer)


def windows(length: int, max_length: int, stride: int = 0) -> list[tuple[int, int]]:
    """Cut a row into windows of max_length tokens, each repeating the last ones of the one before.

    length: tokens in the row
    max_length: tokens in a window, at least 1
    stride: how many tokens neighbouring windows share, less than max_length

    Returns the (start, end) of every window, from left to right; the last one ends where the row
    ends, and may be shorter. A row that fits is one window, and so is an empty one.
    Raises `InvalidInput` when the windows would not move forward.
    Equals tokenizers' `stride` (transformers' `return_overflowing_tokens`).
    """
    if not 0 <= stride < max_length:
        raise InvalidInput(
            f"stride is {stride} and a window has room for {max_length} tokens, so windows would "
            "not move forward. Give a stride from 0 to one less than the room."
        )
    result = [(0, min(max_length, length))]
    while result[-1][1] < length:
        start = result[-1][0] + max_length - stride
        result.append((start, min(start + max_length, length)))
    return result
