"""The loss of a language model: how surprised it was by what came next."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minilm.errors import InvalidInput, OutOfRange, WrongType

IGNORE = -100
_WHAT_THEY_ARE = {
    "labels": ": the input_ids themselves, for the loss shifts them",
    "shift_labels": ": at each place the token that comes after it",
}


def check_labels(logits: Tensor, labels: Tensor, name: str = "labels") -> None:
    """Refuse labels that do not belong to the logits, before a loss is computed.

    logits: (B, T, V)    labels: int, one for each token
    name: "labels", or "shift_labels" for those that were shifted already

    Raises InvalidInput if labels are not (B, T), WrongType if they are no integers.
    """
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise WrongType(f"{name} are {kind}; give a tensor of int64{_WHAT_THEY_ARE[name]}.")
    if logits.shape[:-1] != labels.shape:
        raise InvalidInput(
            f"{name} of shape {tuple(labels.shape)} were given for logits of shape "
            f"{tuple(logits.shape)}. Give one label for each token whose logits are computed, "
            f"(B, T){_WHAT_THEY_ARE[name]}."
        )


def check_count(num_items_in_batch: Any) -> None:
    """Refuse what no sum of losses can be divided by.

    num_items_in_batch: a number above 0, or a tensor of one; None = divide by what is judged

    Raises WrongType, or InvalidInput for 0 and less. What a tensor holds is not looked at, for that
    would make the computer wait for a GPU.
    """
    if num_items_in_batch is None or isinstance(num_items_in_batch, Tensor):
        return
    if isinstance(num_items_in_batch, bool) or not isinstance(num_items_in_batch, int | float):
        raise WrongType(
            f"num_items_in_batch={num_items_in_batch!r} was given; it is a number of labels, or a "
            "tensor of one."
        )
    if not num_items_in_batch > 0:
        raise InvalidInput(
            f"num_items_in_batch={num_items_in_batch} was given; the loss is divided by it. Give "
            "the number of labels that are judged, 1 or more, or None for a mean."
        )


def explain_labels(labels: Tensor, vocab_size: int, name: str = "labels") -> None:
    """Say which label has no logit, after a loss has failed.

    labels: int (B, T)    vocab_size: V    name: as in `check_labels`

    Raises OutOfRange if there is such a label.
    """
    outside = ((labels != IGNORE) & ((labels < 0) | (labels >= vocab_size))).nonzero()
    if len(outside):
        place = tuple(outside[0].tolist())
        raise OutOfRange(
            f"{name}{list(place)} is {int(labels[place])}; the vocabulary has {vocab_size} tokens, "
            f"ids 0 to {vocab_size - 1}. Give {IGNORE} where nothing is to be judged."
        ) from None


def next_token_labels(labels: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """Move labels one place to the left, so that place t holds what comes after t.

    labels: int (B, T), the text itself

    Returns int (B, T); nothing comes after the last place, which gets ignore_index.
    """
    return F.pad(labels[:, 1:], (0, 1), value=ignore_index)  # (B, T)


def causal_lm_loss(
    logits: Tensor,
    labels: Tensor,
    ignore_index: int = IGNORE,
    num_items_in_batch: int | Tensor | None = None,
) -> Tensor:
    """Average −log p(next token) over all places that have a next token to be judged by.

    logits: (B, T, V)    labels: int (B, T), the text itself, not shifted; ignore_index = not judged
    num_items_in_batch: divide the sum by this instead (a step of several batches)

    Returns one number, in float32 at least. Equals transformers' `ForCausalLMLoss`.
    """
    # The labels are moved, not the logits: these would have to be copied.
    target = next_token_labels(labels, ignore_index).flatten()  # (B·T,)
    source = logits.flatten(0, 1)  # (B·T, V)
    source = source.to(torch.promote_types(source.dtype, torch.float32))
    reduction = "mean" if num_items_in_batch is None else "sum"
    loss = F.cross_entropy(source, target, ignore_index=ignore_index, reduction=reduction)
    return loss if num_items_in_batch is None else loss / num_items_in_batch


def shifted_loss(
    logits: Tensor, shift_labels: Tensor, num_items_in_batch: int | Tensor | None = None
) -> Tensor:
    """Average −log p(next token) where somebody has shifted the labels already.

    logits: (B, T, V)    shift_labels: int (B, T), at each place the token that comes after it
    num_items_in_batch: as in `causal_lm_loss`

    Returns one number. A text that is cut in pieces needs it: what comes after the last token of a
    piece is known, and stands in the next one.
    """
    before = F.pad(shift_labels, (1, 0), value=IGNORE)  # (B, T + 1), the text and what precedes it
    nothing = logits.new_zeros(1, 1, 1).expand(len(logits), 1, logits.shape[-1])  # (B, 1, V)
    longer = torch.cat([logits, nothing], dim=1)  # (B, T + 1, V)
    return causal_lm_loss(longer, before, num_items_in_batch=num_items_in_batch)
