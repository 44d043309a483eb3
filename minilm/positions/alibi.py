"""ALiBi: no vectors at all, a penalty that grows with the distance, steeper in some heads."""

from __future__ import annotations

import torch

from minilm.errors import InvalidInput


def alibi_slopes(n_heads: int) -> torch.Tensor:
    """Give each head its penalty per token of distance (Press et al. 2022).

    n_heads: H

    Returns float32 (H,). For a power of two these are 2^(-8/H), 2^(-16/H), ... 2^-8. For another H:
    the slopes of the power of two below, and then the 1st, 3rd, 5th ... of the one above.
    Raises InvalidInput if there are no heads.
    Equals `_get_alibi_slopes` of transformers' BLOOM.
    """
    if n_heads < 1:
        raise InvalidInput(f"n_heads={n_heads} was given; there must be at least one head.")
    below = 2 ** (n_heads.bit_length() - 1)  # the largest power of two that is not above H
    exponents = [8 * (head + 1) / below for head in range(below)]
    exponents += [8 * (2 * head + 1) / (2 * below) for head in range(n_heads - below)]
    return torch.tensor([2.0**-exponent for exponent in exponents], dtype=torch.float32)  # (H,)


def alibi_bias(
    n_heads: int,
    query_length: int,
    key_length: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    """Make the biases that ALiBi adds to the scores: minus slope times distance.

    n_heads: H    query_length: T, the last of the key_length: S tokens
    dtype, device: of the biases

    Returns (H, T, S). A key after the query counts by its distance too: hide it with a mask.
    Raises InvalidInput if there are more queries than keys, fewer than none, or no heads.
    Attention weights equal those of transformers' BLOOM, whose biases differ from these by the
    same number in a whole row, which softmax does not see.
    """
    if not 0 <= query_length <= key_length:
        raise InvalidInput(
            f"query_length={query_length} and key_length={key_length} were given; the queries are "
            "the last of the keys, so there are at least as many keys."
        )
    keys = torch.arange(key_length, device=device)  # (S,)
    queries = keys[key_length - query_length :, None]  # (T, 1)
    slopes = alibi_slopes(n_heads).to(queries.device)[:, None, None]  # (H, 1, 1)
    return (-slopes * (queries - keys).abs()).to(dtype)  # (H, T, S)
