"""What is done to the scores of the next token before one is chosen, each as one plain function.

Scores are logits or log-probabilities, (B, V). A token that is cut away gets minus infinity, so
that its probability is 0. None of these changes the tensor that it was given.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def with_temperature(scores: Tensor, temperature: float) -> Tensor:
    """Sharpen a distribution, or flatten it.

    scores: (B, V)    temperature: below 1 sharpens, above 1 flattens

    Returns scores (B, V). Equals transformers' TemperatureLogitsWarper.
    """
    return scores / temperature


def keep_top_k(scores: Tensor, top_k: int) -> Tensor:
    """Cut away all but the k most likely tokens; those as likely as the last of them stay too.

    scores: (B, V)    top_k: how many to keep; all, where there are fewer

    Returns scores (B, V). Equals transformers' TopKLogitsWarper.
    """
    top_k = min(top_k, scores.shape[-1])
    least = scores.topk(top_k).values[:, -1:]  # (B, 1)
    return scores.masked_fill(scores < least, -math.inf)


def keep_top_p(scores: Tensor, top_p: float) -> Tensor:
    """Keep the fewest tokens whose probabilities add up to p, the most likely ones first.

    scores: (B, V)    top_p: from 0 to 1; the token that crosses it stays, and at least one does

    Returns scores (B, V). Equals transformers' TopPLogitsWarper (Holtzman et al. 2020).
    """
    ascending, order = scores.sort(dim=-1)  # the least likely first
    up_to_here = ascending.softmax(dim=-1).cumsum(dim=-1)  # (B, V)
    cut = up_to_here <= 1 - top_p  # without these, p or more is left
    cut[:, -1] = False
    cut = cut.scatter(-1, order, cut)  # back in the order of the vocabulary
    return scores.masked_fill(cut, -math.inf)


def keep_min_p(scores: Tensor, min_p: float) -> Tensor:
    """Cut away what is less than a share as likely as the most likely token.

    scores: (B, V)    min_p: the share, from 0 to 1

    Returns scores (B, V). Equals transformers' MinPLogitsWarper (Nguyen et al. 2024).
    """
    probabilities = scores.softmax(dim=-1)  # (B, V)
    least = min_p * probabilities.amax(dim=-1, keepdim=True)  # (B, 1)
    return scores.masked_fill(probabilities < least, -math.inf)


def penalize_repetition(input_ids: Tensor, scores: Tensor, penalty: float) -> Tensor:
    """Make tokens less likely that the text has already, each once, however often it is there.

    input_ids: int (B, L), the text so far; the id V stands for padding, and is passed over
    scores: (B, V)    penalty: above 1 makes them less likely, below 1 more likely

    Returns scores (B, V). Equals transformers' RepetitionPenaltyLogitsProcessor (Keskar et al.
    2019): a score above 0 is divided, one below 0 multiplied, so that both go down.
    """
    batch, vocab_size = scores.shape
    in_text = torch.zeros(batch, vocab_size + 1, dtype=torch.bool, device=scores.device)
    in_text.scatter_(1, input_ids, True)  # (B, V + 1), the last column for padding
    penalized = torch.where(scores < 0, scores * penalty, scores / penalty)
    return torch.where(in_text[:, :vocab_size], penalized, scores)


def forbid_repeated_ngrams(input_ids: Tensor, scores: Tensor, ngram_size: int) -> Tensor:
    """Cut away tokens that would end a sequence of n tokens that the text has already.

    input_ids: int (B, L), the text so far; the id V stands for padding, and repeats nothing
    scores: (B, V)    ngram_size: n

    Returns scores (B, V). Equals transformers' NoRepeatNGramLogitsProcessor (Paulus et al. 2017).
    """
    length, vocab_size = input_ids.shape[1], scores.shape[-1]
    if length < ngram_size:
        return scores
    ngrams = input_ids.unfold(1, ngram_size, 1)  # (B, L - n + 1, n)
    begun = input_ids[:, length - ngram_size + 1 :]  # (B, n - 1), the next n-gram without its end
    ends_again = (ngrams[..., :-1] == begun[:, None]).all(dim=-1)  # (B, L - n + 1)
    ends = ngrams[..., -1].masked_fill(~ends_again, vocab_size)
    cut = torch.zeros(len(scores), vocab_size + 1, dtype=torch.bool, device=scores.device)
    cut.scatter_(1, ends, True)  # (B, V + 1), the last column for what does not count
    return scores.masked_fill(cut[:, :vocab_size], -math.inf)
