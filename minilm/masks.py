"""Who may look at whom: masks as booleans, True = may attend, that combine with `&`.

Every block can be broadcast to (B, H, T, S): B batch, H heads, T query length, S key length.
With a cache there are more keys than queries (S > T). The queries are always the last T of the S
keys, here and everywhere in minilm.
"""

from __future__ import annotations

import math
import operator
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from minilm.errors import InvalidInput, WrongType


def causal_mask(
    query_length: int, key_length: int, device: torch.device | str | None = None
) -> Tensor:
    """Let each query see itself and every key before it.

    query_length: T, the queries are the last T of the keys
    key_length: S, cached and new tokens together

    Returns bool (T, S). Raises InvalidInput if there are more queries than keys.
    Equals transformers' `causal_mask_function`.
    """
    if not 0 <= query_length <= key_length:
        raise InvalidInput(
            f"{query_length} queries and {key_length} keys were given; the queries are the last of "
            "the keys, so there are at least as many keys: cached and new tokens together."
        )
    query = torch.arange(key_length - query_length, key_length, device=device)[:, None]  # (T, 1)
    key = torch.arange(key_length, device=device)  # (S,)
    return key <= query  # (T, S)


def padding_mask(attention_mask: Tensor) -> Tensor:
    """Let every query see the real tokens and no padding.

    attention_mask: int, bool or float (B, S), 1 = real, 0 = padding

    Returns bool (B, 1, 1, S). Equals transformers' `padding_mask_function`.
    """
    return attention_mask.bool()[:, None, None, :]  # (B, 1, 1, S)


def sliding_window_mask(
    query_length: int, key_length: int, window: int, device: torch.device | str | None = None
) -> Tensor:
    """Let each query see the keys less than `window` steps back; of what comes later it says nothing.

    query_length, key_length: T and S, the queries are the last T of the keys
    window: how many keys a query sees once causal order holds too, itself included

    Returns bool (T, S), to be combined with `causal_mask` (Beltagy et al. 2020).
    Raises InvalidInput for a window below 1. Equals transformers' `sliding_window_overlay`.
    """
    if window < 1:
        raise InvalidInput(f"window={window} was given; a query sees at least itself: window=1.")
    query = torch.arange(key_length - query_length, key_length, device=device)[:, None]  # (T, 1)
    key = torch.arange(key_length, device=device)  # (S,)
    return query - key < window  # (T, S)


def prefix_mask(
    query_length: int,
    key_length: int,
    prefix_length: int | Tensor,
    device: torch.device | str | None = None,
) -> Tensor:
    """Let each query see the whole prefix, and behind it what came before (Raffel et al. 2020, 3.2).

    query_length, key_length: T and S, the queries are the last T of the keys
    prefix_length: how many of the first keys everybody sees: one number, or int (B,), one per row

    Returns bool (T, S) for a number, (B, 1, T, S) for a tensor.
    Equals transformers' causal mask with `or_mask_function=lambda b, h, q, k: k < prefix_length`.
    """
    if isinstance(prefix_length, Tensor):
        prefix_length = prefix_length.reshape(-1, 1, 1, 1)  # (B, 1, 1, 1)
    in_prefix = torch.arange(key_length, device=device) < prefix_length  # (S,) or (B, 1, 1, S)
    return causal_mask(query_length, key_length, device) | in_prefix  # (T, S) or (B, 1, T, S)


def document_ids_from_positions(position_ids: Tensor) -> Tensor:
    """Number the documents packed into each row: a new one wherever positions do not go up by one.

    position_ids: int (B, T)

    Returns int64 (B, T), counted from 0 in each row.
    Equals transformers' `find_packed_sequence_indices`.

    >>> document_ids_from_positions(torch.tensor([[0, 1, 2, 0, 1]]))
    tensor([[0, 0, 0, 1, 1]])
    """
    starts = position_ids[:, 1:] != position_ids[:, :-1] + 1  # (B, T - 1)
    after_the_first = starts.cumsum(dim=-1)  # (B, T - 1)
    return nn.functional.pad(after_the_first, (1, 0))  # (B, T), the first token is in document 0


def document_mask(document_ids: Tensor, query_length: int | None = None) -> Tensor:
    """Let each query see the tokens of its own document, before it and after it.

    document_ids: int (B, S), the document each key belongs to
    query_length: T, the queries are the last T of the keys; S unless given

    Returns bool (B, 1, T, S). Raises InvalidInput if there are more queries than keys.
    Equals transformers' `packed_sequence_mask_function`.
    """
    key_length = document_ids.shape[-1]
    first_query = 0 if query_length is None else key_length - query_length
    if not 0 <= first_query <= key_length:
        raise InvalidInput(f"{query_length} queries and {key_length} document ids were given.")
    of_query = document_ids[:, None, first_query:, None]  # (B, 1, T, 1)
    of_key = document_ids[:, None, None, :]  # (B, 1, 1, S)
    return of_query == of_key  # (B, 1, T, S)


def mask_to_scores(may_attend: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Turn a mask into what is added to the attention scores: 0 where True, minus infinity where False.

    may_attend: bool, any shape    dtype: of the scores it is added to

    Returns floats of the same shape. transformers' eager masks hold the lowest finite number of the
    dtype instead: two of those add up to minus infinity, and large scores can beat one.
    """
    scores = torch.zeros_like(may_attend, dtype=dtype)
    return scores.masked_fill(~may_attend, -math.inf)


def decoder_mask(
    query_length: int,
    key_length: int,
    attention_mask: Tensor | None = None,
    *,
    position_ids: Tensor | None = None,
    sliding_window: int | None = None,
    prefix_length: int | Tensor | None = None,
    document_ids: Tensor | None = None,
    device: torch.device | str | None = None,
) -> Tensor | None:
    """Combine everything a decoder hides, or say that plain causal order is all there is to it.

    query_length, key_length: T and S, the queries are the last T of the keys; a sliding cache has
        only the keys that it still holds
    attention_mask: int, bool or float (B, S), 1 = real, cached tokens included; beside a
        sliding_window it may be longer, then its last S columns count. A bool mask
        (B or 1, H or 1, T, S) says it all and is returned as it is, as in transformers
    position_ids: int (B or 1, T); where they do not go up by one another document begins, unless
        there is an attention_mask or a cache (S > T), as in transformers
    sliding_window: how many keys a query sees, itself included; None = all
    prefix_length: how many of the first tokens everybody sees, padding counted and through any
        window: a number, or int (B,). In packed rows every document has such a prefix. Counted
        from the first column of attention_mask: give it where a sliding cache has lost some keys
    document_ids: int (B, S), the document of each token; nobody sees another one. May be as long
        as attention_mask may
    device: of the mask; that of the tensors unless given

    Returns bool (B or 1, 1, T, S), the whole truth: causal order is in it. None = every query sees
        every key up to itself, so that attention can do with is_causal=True.
    Raises InvalidInput or WrongType for what does not fit together, and says what would.
    Equals transformers' `create_causal_mask` and `create_sliding_window_causal_mask`.
    """
    if not 0 <= query_length <= key_length:
        raise InvalidInput(
            f"query_length={query_length} and key_length={key_length} were given; the queries are "
            "the last of the keys. Count cached and new tokens together as keys."
        )
    window = None if sliding_window is None else _checked_window(sliding_window)
    if attention_mask is document_ids is position_ids is prefix_length is window is None:
        return None  # the commonest call, answered first
    without_others = attention_mask is None and document_ids is None
    if position_ids is not None and without_others and query_length == key_length > 1:
        _check_positions(position_ids, query_length)
        document_ids = document_ids_from_positions(position_ids)  # (B, S)
    if device is None:
        given = (attention_mask, document_ids, prefix_length)
        device = next((each.device for each in given if isinstance(each, Tensor)), None)
    sizes = _Sizes(query_length, key_length, window, device)
    if isinstance(attention_mask, Tensor) and attention_mask.ndim == 4:
        _refuse_beside_a_whole_mask(prefix_length=prefix_length, document_ids=document_ids)
        return _whole_mask(attention_mask, sizes)
    text_length = _check_fit(sizes, attention_mask, document_ids, prefix_length)

    parts = []
    if attention_mask is not None:
        real = _of_the_keys(attention_mask, sizes)  # (B, S)
        if not real.all():
            parts.append(padding_mask(real))  # (B, 1, 1, S)
    if document_ids is not None:
        ids = _of_the_keys(document_ids, sizes)  # (B, S)
        if not (ids == ids[:, -1:]).all():
            parts.append(document_mask(ids, query_length))  # (B, 1, T, S)
    order = _near_keys(sizes)
    if prefix_length is not None:
        order = _or_prefix(order, prefix_length, document_ids, text_length, sizes)
    if order is None and parts and query_length > 1:
        order = causal_mask(query_length, key_length, device)  # (T, S)
    if order is not None:
        parts.append(order)
    if not parts:
        return None
    mask = reduce(operator.and_, parts)
    return mask if mask.ndim == 4 else mask[None, None]  # (B or 1, 1, T, S)


def encoder_mask(attention_mask: Tensor | None) -> Tensor | None:
    """Hide the padding of a text that is looked at whole: by an encoder, or by a decoder beside it.

    attention_mask: int, bool or float (B, S), 1 = real, 0 = padding; None = no padding. A bool mask
        (B or 1, H or 1, T or 1, S) says it all and is returned as it is

    Returns bool (B, 1, 1, S). None = nothing is hidden.
    Raises InvalidInput or WrongType for other shapes and kinds.
    Equals transformers' `create_bidirectional_mask`.
    """
    if attention_mask is None:
        return None
    if isinstance(attention_mask, Tensor) and attention_mask.ndim == 4:
        _check_bool(attention_mask)
        return attention_mask
    _check_real_or_not(attention_mask)
    return None if attention_mask.all() else padding_mask(attention_mask)  # (B, 1, 1, S)


class _Sizes(NamedTuple):
    """What every part of a mask must agree on."""

    query_length: int
    key_length: int
    window: int | None
    device: torch.device | str | None


def _of_the_keys(tensor: Tensor, sizes: _Sizes) -> Tensor:
    """Cut off what belongs to tokens that a sliding cache no longer holds."""
    if tensor.shape[1] > sizes.key_length:
        tensor = tensor[:, tensor.shape[1] - sizes.key_length :]  # (B, S)
    return tensor.to(sizes.device)


def _near_keys(sizes: _Sizes) -> Tensor | None:
    """Give causal order with a window, (T, S), or None where the window reaches everything."""
    query_length, key_length, window, device = sizes
    if window is None or window >= key_length:  # no two keys are further than S - 1 apart
        return None
    near = sliding_window_mask(query_length, key_length, window, device)  # (T, S)
    if query_length == 1:  # nothing comes after the last key
        return near
    return causal_mask(query_length, key_length, device) & near  # (T, S)


def _or_prefix(
    order: Tensor | None,
    prefix_length: int | Tensor,
    document_ids: Tensor | None,
    text_length: int,
    sizes: _Sizes,
) -> Tensor | None:
    """Show the prefix too: of the text or, where it is packed, of every document in it."""
    query_length, key_length, _, device = sizes
    if isinstance(prefix_length, Tensor):
        prefix_length = prefix_length.to(device)
    first_sees = 1 if document_ids is not None else text_length - query_length + 1
    if order is None:
        if query_length == 1 or (isinstance(prefix_length, int) and prefix_length <= first_sees):
            return None  # it is seen anyway
        if document_ids is None and text_length == key_length:
            return prefix_mask(query_length, key_length, prefix_length, device)
        order = causal_mask(query_length, key_length, device)  # (T, S)
    place = torch.arange(text_length, device=device)  # (S or more,)
    if document_ids is not None:
        place = _places_in_documents(document_ids.to(device))[:, None, None]  # (B, 1, 1, S or more)
    if isinstance(prefix_length, Tensor):
        prefix_length = prefix_length.reshape(-1, 1, 1, 1)  # (B, 1, 1, 1)
    in_prefix = place < prefix_length  # (S or more,) or (B, 1, 1, S or more)
    return order | in_prefix[..., in_prefix.shape[-1] - key_length :]


def _places_in_documents(document_ids: Tensor) -> Tensor:
    """Count the tokens of each document from 0. (B, S) → (B, S)"""
    place = torch.arange(document_ids.shape[1], device=document_ids.device).expand_as(document_ids)
    goes_on = nn.functional.pad(document_ids[:, 1:] == document_ids[:, :-1], (1, 0))  # (B, S)
    return place - place.masked_fill(goes_on, 0).cummax(dim=-1).values


def _whole_mask(mask: Tensor, sizes: _Sizes) -> Tensor:
    """Pass on a mask that says it all, after a look at its kind and shape."""
    _check_bool(mask)
    query_length, key_length = mask.shape[2:]
    if query_length != sizes.query_length:
        raise InvalidInput(
            f"attention_mask has the shape {tuple(mask.shape)} and there are {sizes.query_length} "
            "queries. A mask with 4 dimensions says it all, causal order too: give (B, 1, T, S), or "
            "(B, S) with 1 for real tokens."
        )
    if key_length < sizes.key_length or (key_length > sizes.key_length and sizes.window is None):
        raise InvalidInput(
            f"attention_mask has the shape {tuple(mask.shape)} and there are {sizes.key_length} "
            "keys, cached and new. Give it one column per key."
        )
    return mask[..., key_length - sizes.key_length :].to(sizes.device)  # (B or 1, H or 1, T, S)


def _check_bool(mask: Tensor) -> None:
    if mask.dtype != torch.bool:
        raise InvalidInput(
            f"attention_mask has 4 dimensions and is {mask.dtype}; give booleans, True = may attend: "
            "mask == 0 from scores that are added (0 and minus infinity), mask.bool() from 1 and 0."
        )


def _refuse_beside_a_whole_mask(**others: Any) -> None:
    given = " and ".join(name for name, other in others.items() if other is not None)
    if given:
        raise InvalidInput(
            f"{given} came with an attention_mask of 4 dimensions, which says it all. Combine the "
            "masks yourself, as in attention_mask & document_mask(document_ids), and give the result."
        )


def _check_fit(
    sizes: _Sizes,
    attention_mask: Tensor | None,
    document_ids: Tensor | None,
    prefix_length: int | Tensor | None,
) -> int:
    """Refuse what does not fit together. Returns the length of the text."""
    text_length = sizes.key_length
    rows = {}
    if attention_mask is not None:
        _check_real_or_not(attention_mask)
        _check_columns("attention_mask", attention_mask, sizes)
        text_length = max(text_length, attention_mask.shape[1])
        rows["attention_mask"] = attention_mask.shape[0]
    if document_ids is not None:
        _check_rank("document_ids", document_ids)
        _check_columns("document_ids", document_ids, sizes)
        text_length = max(text_length, document_ids.shape[1])
        rows["document_ids"] = document_ids.shape[0]
    if prefix_length is not None:
        rows["prefix_length"] = _check_prefix(prefix_length, text_length, sizes)
    if len(rows) > 1 and len(set(rows.values()) - {1}) > 1:
        counts = ", ".join(f"{count} in {name}" for name, count in rows.items())
        raise InvalidInput(f"The batches differ: {counts} rows. Give one row per text in each.")
    return text_length


def _check_rank(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise WrongType(
            f"{name} is a {type(tensor).__name__}; give a tensor: torch.tensor({name})."
        )
    if tensor.ndim != 2:
        raise InvalidInput(
            f"{name} has the shape {tuple(tensor.shape)}; give (B, S): a row per text, a column per "
            f"token. For one text: {name}[None]."
        )


def _check_real_or_not(attention_mask: Tensor) -> None:
    _check_rank("attention_mask", attention_mask)
    if attention_mask.is_floating_point() and (attention_mask < 0).any():
        raise InvalidInput(
            "attention_mask has negative numbers, as scores that are added have; here 1 is a real "
            "token and 0 is padding. From such scores: attention_mask == 0."
        )


def _check_positions(position_ids: Tensor, query_length: int) -> None:
    _check_rank("position_ids", position_ids)
    if position_ids.is_floating_point() or position_ids.dtype == torch.bool:
        raise WrongType(
            f"position_ids are {position_ids.dtype}; positions are whole numbers: give int64."
        )
    if position_ids.shape[1] != query_length:
        raise InvalidInput(
            f"position_ids has {position_ids.shape[1]} columns and there are {query_length} "
            "queries. Give it one column per query."
        )


def _check_columns(name: str, tensor: Tensor, sizes: _Sizes) -> None:
    """A column per key; where a window drops keys, the whole text is welcome too."""
    columns = tensor.shape[1]
    if columns == sizes.key_length or (columns > sizes.key_length and sizes.window is not None):
        return
    given = f"{name} has {columns} columns and there are {sizes.key_length} keys"
    cached = sizes.key_length - sizes.query_length
    if columns == sizes.query_length and cached:
        raise InvalidInput(
            f"{given}: it covers only the new tokens, and {cached} cached ones are looked at too. "
            f"Put theirs in front: torch.cat([{name} of the cached tokens, {name}], dim=1)."
        )
    raise InvalidInput(
        f"{given}: {cached} cached and {sizes.query_length} new tokens. Give it one column per key."
    )


def _check_prefix(prefix_length: int | Tensor, text_length: int, sizes: _Sizes) -> int:
    """Refuse what is no length of a prefix. Returns how many rows it is for."""
    if not isinstance(prefix_length, Tensor):
        if isinstance(prefix_length, bool) or not hasattr(prefix_length, "__index__"):
            raise WrongType(
                f"prefix_length={prefix_length!r} is a {type(prefix_length).__name__}; give a whole "
                "number of tokens, or a tensor (B,) of them."
            )
        fits = 0 <= prefix_length <= text_length
    elif (
        prefix_length.ndim > 1
        or prefix_length.is_floating_point()
        or prefix_length.dtype == torch.bool
    ):
        raise WrongType(
            f"prefix_length is {prefix_length.dtype} of shape {tuple(prefix_length.shape)}; give "
            "int (B,), one length per row."
        )
    elif sizes.query_length == 1 and sizes.window is None:
        fits = True  # it hides and shows nothing: not worth a look at its numbers
    else:
        fits = bool(((prefix_length >= 0) & (prefix_length <= text_length)).all())
    if not fits:
        given = prefix_length.tolist() if isinstance(prefix_length, Tensor) else prefix_length
        raise InvalidInput(
            f"prefix_length={given} was given for {text_length} keys. A prefix holds from 0 to "
            f"{text_length} of them."
        )
    return prefix_length.numel() if isinstance(prefix_length, Tensor) else 1


def _checked_window(window: int) -> int:
    if isinstance(window, bool) or not hasattr(window, "__index__"):
        raise WrongType(
            f"sliding_window={window!r} is a {type(window).__name__}; give a whole number of keys, "
            "or None for no window."
        )
    if window < 1:
        raise InvalidInput(
            f"sliding_window={window} was given; a query sees at least itself: 1. "
            "None is no window."
        )
    return operator.index(window)
