"""What reshapes the distribution that a token is drawn from: one small class for each.

They are used with do_sample=True alone, after all other processors. Beam search needs more than one
token to go on with: `min_tokens_to_keep` says how many are left in any case.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from minilm.errors import InvalidInput
from minilm.generation import filters
from minilm.generation.checks import CHECKS
from minilm.generation.processors import LogitsProcessor


class TemperatureLogitsWarper(LogitsProcessor):
    """Sharpen the distribution, or flatten it.

    temperature: above 0; below 1 sharpens
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = CHECKS["temperature"]("temperature", temperature)
        if not self.temperature:
            raise InvalidInput(
                "temperature=0 was given with sampling, and scores cannot be divided by it. For the "
                "most likely token each time, give do_sample=False."
            )

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        return filters.with_temperature(scores, self.temperature)


class _Filter(LogitsProcessor):
    """Be the base of what cuts tokens away.

    filter_value: their score from now on    min_tokens_to_keep: how many are never cut away
    """

    def __init__(self, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        self.filter_value = filter_value
        self.min_tokens_to_keep = CHECKS["num_beams"]("min_tokens_to_keep", min_tokens_to_keep)

    def kept(self, scores: Tensor, keep: Tensor) -> Tensor:
        """Return scores with those cut away that are not to be kept.

        scores: (B, V)    keep: bool (B, V)
        """
        return scores.masked_fill(~keep, self.filter_value)

    def most_likely(self, scores: Tensor) -> Tensor:
        """Say which tokens are never cut away, those as likely as the last of them too.

        scores: (B, V)    Returns bool (B, V).
        """
        n = min(self.min_tokens_to_keep, scores.shape[-1])
        return scores >= scores.topk(n).values[:, -1:]  # (B, V)


class TopKLogitsWarper(_Filter):
    """Keep the k most likely tokens.

    top_k: k; min_tokens_to_keep where that is more
    """

    def __init__(
        self, top_k: int, filter_value: float = -math.inf, min_tokens_to_keep: int = 1
    ) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.top_k = max(CHECKS["num_beams"]("top_k", top_k), min_tokens_to_keep)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        return _cut(scores, filters.keep_top_k(scores, self.top_k), self.filter_value)


class TopPLogitsWarper(_Filter):
    """Keep the fewest tokens whose probabilities add up to p.

    top_p: p
    """

    def __init__(
        self, top_p: float, filter_value: float = -math.inf, min_tokens_to_keep: int = 1
    ) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.top_p = CHECKS["top_p"]("top_p", top_p)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        cut = filters.keep_top_p(scores, self.top_p)
        if self.min_tokens_to_keep > 1:
            best = scores.sort(dim=-1).indices[:, -self.min_tokens_to_keep :]  # (B, n)
            cut = cut.scatter(1, best, scores.gather(1, best))
        return _cut(scores, cut, self.filter_value)


class MinPLogitsWarper(_Filter):
    """Cut away what is less than a share as likely as the most likely token.

    min_p: the share
    """

    def __init__(
        self, min_p: float, filter_value: float = -math.inf, min_tokens_to_keep: int = 1
    ) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.min_p = CHECKS["min_p"]("min_p", min_p)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        cut = filters.keep_min_p(scores, self.min_p)
        if self.min_tokens_to_keep > 1:
            n = min(self.min_tokens_to_keep, scores.shape[-1])
            best = scores.softmax(dim=-1).topk(n).indices  # (B, n)
            cut = cut.scatter(1, best, scores.gather(1, best))
        return _cut(scores, cut, self.filter_value)


def _cut(scores: Tensor, cut: Tensor, filter_value: float) -> Tensor:
    """Give what a filter has cut away another score than minus infinity, where that is wanted."""
    if filter_value == -math.inf:
        return cut
    return scores.masked_fill(cut.isneginf(), filter_value)


class TopHLogitsWarper(_Filter):
    """Keep the most likely tokens, as far as they bring a share of the entropy.

    top_h: the share    Reference: transformers' class, which looks at the 100 most likely alone.
    """

    def __init__(self, top_h: float, filter_value: float = -math.inf) -> None:
        super().__init__(filter_value)
        self.top_h = CHECKS["top_h"]("top_h", top_h)
        self.top_n = 100

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        best, places = scores.topk(min(self.top_n, scores.shape[-1]))  # (B, n)
        probabilities, entropy = _surprise(best)
        most = entropy[:, None] * self.top_h  # (B, 1)
        keep = (-probabilities * probabilities.log()).cumsum(dim=-1) <= most  # (B, n)
        keep[:, 0] = True
        return self.kept(
            scores, torch.zeros_like(scores, dtype=torch.bool).scatter(1, places, keep)
        )


class TypicalLogitsWarper(_Filter):
    """Keep the tokens that surprise about as much as a token does on average (Meister et al. 2022).

    mass: what their probabilities add up to
    """

    def __init__(
        self, mass: float = 0.9, filter_value: float = -math.inf, min_tokens_to_keep: int = 1
    ) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.mass = CHECKS["typical_p"]("typical_p", mass)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        log_p = scores.log_softmax(dim=-1)  # (B, V)
        entropy = -(log_p * log_p.exp()).nansum(dim=-1, keepdim=True)  # (B, 1)
        oddness, order = (-log_p - entropy).abs().sort(dim=-1)  # the most typical first
        up_to_here = scores.gather(-1, order).softmax(dim=-1).cumsum(dim=-1)  # (B, V)
        last = (up_to_here < self.mass).sum(dim=-1, keepdim=True)  # (B, 1)
        last = last.clamp(max=scores.shape[-1] - 1)
        cut = oddness > oddness.gather(-1, last)
        cut[:, : self.min_tokens_to_keep] = False
        return self.kept(scores, ~cut.scatter(-1, order, cut))


class EpsilonLogitsWarper(_Filter):
    """Cut away what is less likely than a threshold (Hewitt et al. 2022).

    epsilon: a probability
    """

    def __init__(
        self, epsilon: float, filter_value: float = -math.inf, min_tokens_to_keep: int = 1
    ) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.epsilon = _probability("epsilon_cutoff", epsilon)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        likely = scores.softmax(dim=-1) >= self.epsilon
        return self.kept(scores, likely | self.most_likely(scores))


class EtaLogitsWarper(_Filter):
    """Cut away what is less likely than a threshold that falls with the entropy (Hewitt et al. 2022).

    epsilon: the threshold's largest value
    """

    def __init__(
        self,
        epsilon: float,
        filter_value: float = -math.inf,
        min_tokens_to_keep: int = 1,
        device: object = None,
    ) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.epsilon = _probability("eta_cutoff", epsilon)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (B, V).

        input_ids: int (B, L)    scores: (B, V)
        """
        epsilon = torch.tensor(self.epsilon, device=scores.device)
        _, entropy = _surprise(scores)  # (B,)
        eta = torch.min(epsilon, epsilon.sqrt() * torch.exp(-entropy))[:, None]  # (B, 1)
        likely = scores.softmax(dim=-1) >= eta
        return self.kept(scores, likely | self.most_likely(scores))


def _surprise(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities (B, V) and the entropy (B,) of scores (B, V), as torch's Categorical has it."""
    log_p = scores - scores.logsumexp(dim=-1, keepdim=True)  # (B, V)
    probabilities = log_p.softmax(dim=-1)
    finite = log_p.clamp(min=torch.finfo(log_p.dtype).min)
    return probabilities, -(finite * probabilities).sum(dim=-1)


def _probability(name: str, value: float) -> float:
    value = CHECKS[name](name, value)
    if not 0 < value < 1:
        raise InvalidInput(f"{name}={value} was given; it is between 0 and 1.")
    return value
