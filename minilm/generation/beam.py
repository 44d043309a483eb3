"""Beam search: write several texts side by side, and keep the few that are most probable as a whole.

At each step every beam is extended by every token; the best of all these continuations are the next
beams, and those that end are set aside as finished texts.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from minilm.generation import loop, own_code, short_loop
from minilm.generation.outputs import GenerateBeamDecoderOnlyOutput, Record, cache_of

_HERE = sys.modules[__name__]
# The score of what must not be chosen: far below all others and, unlike -inf, still in an order.
OUT = -1.0e9


def best_continuations(
    log_probs: Tensor, scores: Tensor, n_best: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Extend every beam by every token, and keep the best of all.

    log_probs: (B, N, V), of the token after each of N beams    scores: (B, N), of the beams so far
    n_best: how many to keep for each text, K

    Returns, best first, their scores, the beams that they extend and the tokens, (B, K) each.
    """
    vocab_size = log_probs.shape[-1]
    totals = scores[:, :, None] + log_probs  # (B, N, V)
    best, places = totals.flatten(1).topk(n_best)  # (B, K), places in N·V
    return best, places // vocab_size, places % vocab_size


def beam_step(
    scores: Tensor, ends: Tensor, n_beams: int, length: int, length_penalty: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Say which continuations go on as beams, and which are finished texts.

    scores: (B, K), of the continuations, best first    ends: bool (B, K), True where a text ends
    n_beams: N, at most K    length: tokens written so far, the prompt's not counted

    Returns the places of the beams that go on, int (B, N), where a text is finished, bool (B, K),
    and final scores (B, K): divided by length ** length_penalty, and 1e9 less if not finished.
    """
    go_on = (scores - 1e9 * ends).topk(n_beams).indices  # (B, N)
    among_best = torch.arange(scores.shape[1], device=scores.device) < n_beams  # (K,)
    finished = ends & among_best  # a text that ends must be among the N best
    final = scores / length**length_penalty - 1e9 * ~finished
    return go_on, finished, final


def may_improve(running: Tensor, worst: Tensor, length: int, length_penalty: float) -> Tensor:
    """Say for which prompts a beam may still become better than a finished text.

    running: (B,), the score of the best beam    worst: (B,), of the worst of the N finished texts
    length: tokens written so far, or as many as there may be

    Returns bool (B,). It takes a beam for as good as it would be if it ended at that length without
    losing more; with the length so far and a length_penalty above 0 that is a guess, and too low.
    """
    return running / length**length_penalty > worst


@dataclass
class Texts:
    """N texts for each prompt, and how they came about.

    scores: (B, N)
    written: int (B, N, 2, M), room for M tokens: their ids, and the row of the batch that each was
        written to, -1 where there is no token
    """

    scores: Tensor
    written: Tensor

    def choose(self, places: Tensor) -> Texts:
        """Keep some of the texts.

        places: int (B, K), in N    Returns K texts for each prompt.
        """
        steps = torch.arange(len(places), device=places.device)[:, None]  # (B, 1)
        return Texts(self.scores[steps, places], self.written[steps, places])


@torch.no_grad()
def beam_search(
    forward: Any,
    input_ids: Tensor,
    settings: Any,
    processors: Any,
    criteria: Any,
    streamer: Any = None,
    generator: torch.Generator | None = None,
) -> Any:
    """Write texts with beam search, or with beam sampling where settings.do_sample says so.

    forward: runs the model    input_ids: int (B·N, T), each prompt N times, side by side
    settings: complete    processors, criteria: as of `generate`    streamer: not used
    generator: draws for beam sampling

    Returns int (B·num_return_sequences, T + M), the best first for each prompt, padded on the
    right; or a GenerateBeamDecoderOnlyOutput. Equals transformers' beam search, but for the padding,
    which is an end-of-text token there where the padding token is 0.
    """
    search = _Search(forward, input_ids, settings, processors, criteria, generator)
    try:
        while search.step():
            pass
    except KeyboardInterrupt:
        if settings.on_interrupt != "return":
            raise
        search.finish_now()
    return search.result()


class _Search:
    """A beam search on its way; the arguments are those of `beam_search`."""

    def __init__(
        self,
        forward: Any,
        input_ids: Tensor,
        settings: Any,
        processors: Any,
        criteria: Any,
        generator: torch.Generator | None,
    ) -> None:
        self.forward, self.settings, self.generator = forward, settings, generator
        self.processors, self.criteria = processors, criteria
        self.n_beams = settings.num_beams
        self.prompt = input_ids  # (B·N, T)
        self.batch = len(input_ids) // self.n_beams
        self.max_new = settings.max_length - input_ids.shape[1]
        self.length = 0
        self.record = Record(settings)
        # Each end-of-text token may take the place of a beam: enough must be left to go on.
        self.n_best = max(2, 1 + len(settings.eos_token_id or [])) * self.n_beams
        device = input_ids.device
        self.rows = torch.arange(self.batch, device=device)[:, None] * self.n_beams  # (B, 1)
        written = torch.full(
            (self.batch, self.n_beams, 2, self.max_new), -1, dtype=torch.int64, device=device
        )
        if settings.pad_token_id is not None:
            written[:, :, 0] = settings.pad_token_id
        scores = torch.zeros(self.batch, self.n_beams, device=device)
        scores[:, 1:] = OUT  # all beams are the prompt: only one of them may be extended
        self.running = Texts(scores, written)
        self.held = Texts(torch.full_like(scores, OUT), written)
        self.is_finished = torch.zeros_like(scores, dtype=torch.bool)  # of those held
        self.is_open = torch.ones(self.batch, dtype=torch.bool, device=device)
        # Where nothing ends there is little to do, if nobody has another idea of a step.
        is_own = own_code.is_own(_HERE, "beam_step") and own_code.is_own(_HERE, "may_improve")
        self.ends = short_loop.Ends.of(criteria) if is_own else None
        self.has_held = False

    def step(self) -> bool:
        """Write one token to every beam; returns whether to go on."""
        settings, n = self.settings, self.length
        input_ids = self._input_ids()  # (B·N, T + n)
        logits = self.forward.next_logits(input_ids)  # (B·N, V)
        log_probs = self.processors(input_ids, logits.log_softmax(-1))
        self.record.add(self.forward.output, logits, log_probs)
        scores, beams, tokens = self._continuations(log_probs.view(self.batch, self.n_beams, -1))
        origins = self.rows + beams  # (B, K), rows of the batch
        if self._nothing_ends(tokens):
            return self._go_on(scores, origins, tokens)
        written = self.running.written.flatten(0, 1)[origins]  # (B, K, 2, M)
        written[:, :, 0, n], written[:, :, 1, n] = tokens, origins
        ends = self._ends(written, origins)  # (B, K)
        self.length = n = n + 1
        go_on, finished, final = beam_step(scores, ends, self.n_beams, n, settings.length_penalty)
        if go_on.shape[1] < self.n_beams:  # all texts end here, so that it may name nobody
            go_on = torch.arange(self.n_beams, device=scores.device).expand(self.batch, -1)
        full = self.is_finished.all(1) & (settings.early_stopping is True)  # before this step
        final = final - 1e9 * (full | ~self.is_open)[:, None]
        continuations = Texts(scores - 1e9 * ends, written)
        self.running = continuations.choose(go_on)
        self._hold(Texts(final, written), finished)
        self.has_held = True
        self.forward.reorder(self.running.written[:, :, 1, n - 1].flatten())  # (B·N,)
        is_done = settings.early_stopping is True and bool(self.is_finished.all())
        return self._may_improve() and not is_done and not bool(ends.all())

    def _nothing_ends(self, tokens: Tensor) -> bool:
        """Whether none of the continuations, by tokens (B, K), is known to be the end of its text."""
        ends, length = self.ends, self.prompt.shape[1] + self.length + 1
        return ends is not None and length < ends.max_length and ends.rows(tokens) is None

    def _go_on(self, scores: Tensor, origins: Tensor, tokens: Tensor) -> bool:
        """Do what a step does where no continuation, (B, K) each, ends: the best are the beams."""
        n = self.length
        scores, go_on = scores.topk(self.n_beams)  # (B, N)
        origins, tokens = origins.gather(1, go_on), tokens.gather(1, go_on)  # (B, N)
        rows = origins.flatten()  # (B·N,)
        written = self.running.written.flatten(0, 1).index_select(0, rows)  # (B·N, 2, M)
        written[:, 0, n], written[:, 1, n] = tokens.flatten(), rows
        self.running = Texts(scores, written.view_as(self.running.written))
        self.length = n + 1
        self.forward.reorder(rows)
        return not self.has_held or self._may_improve()

    def _may_improve(self) -> bool:
        """Whether any beam may still become better than a finished text of its prompt."""
        settings = self.settings
        longest = settings.early_stopping == "never" and settings.length_penalty > 0
        self.is_open &= may_improve(
            self.running.scores[:, 0],
            self.held.scores[:, -1],
            self.max_new if longest else self.length,
            settings.length_penalty,
        )
        return bool(self.is_open.any())

    def _input_ids(self) -> Tensor:
        """All ids of all beams so far, int (B·N, T + n)."""
        new = self.running.written[:, :, 0, : self.length].flatten(0, 1)  # (B·N, n)
        return torch.cat([self.prompt, new], dim=1)  # (B·N, T + n)

    def _continuations(self, log_probs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best continuations, or some that are drawn; log_probs: (B, N, V)."""
        _, n_beams, vocab_size = log_probs.shape
        n_best = min(self.n_best, n_beams * vocab_size)
        if not self.settings.do_sample:
            return best_continuations(log_probs, self.running.scores, n_best)
        totals = (self.running.scores[:, :, None] + log_probs).flatten(1)  # (B, N·V)
        try:
            places = totals.softmax(-1).multinomial(n_best, generator=self.generator)  # (B, K)
        except RuntimeError:
            loop.explain_no_choice(totals, self.length + 1)
            raise
        return totals.gather(1, places), places // vocab_size, places % vocab_size

    def _ends(self, written: Tensor, origins: Tensor) -> Tensor:
        """Which continuations are the end of their text, bool (B, K)."""
        ids = written[:, :, 0, : self.length + 1]  # (B, K, n + 1)
        whole = torch.cat([self.prompt[origins], ids], dim=2).flatten(0, 1)  # (B·K, T + n + 1)
        return self.criteria(whole, self.record.scores).view(origins.shape)  # (B, K)

    def _hold(self, new: Texts, finished: Tensor) -> None:
        """Take in finished texts, as far as they are better than those held."""
        merged = Texts(
            torch.cat([self.held.scores, new.scores], dim=1),  # (B, N + K)
            torch.cat([self.held.written, new.written], dim=1),  # (B, N + K, 2, M)
        )
        best = merged.scores.topk(self.n_beams).indices  # (B, N)
        self.held = merged.choose(best)
        self.is_finished = torch.cat([self.is_finished, finished], dim=1).gather(1, best)

    def finish_now(self) -> None:
        """Take the beams for finished as they are, as when somebody has interrupted."""
        final = self.running.scores / max(self.length, 1) ** self.settings.length_penalty
        final = final - 1e9 * ~self.is_open[:, None]
        self._hold(Texts(final, self.running.written), torch.ones_like(self.is_finished))

    def result(self) -> Any:
        """What `beam_search` returns."""
        settings, n_return = self.settings, self.settings.num_return_sequences
        ids, origins = self.held.written[:, :n_return].flatten(0, 1).unbind(1)  # (B·n, M) each
        longest = int((origins >= 0).sum(1).max())
        prompt = self.prompt.view(self.batch, self.n_beams, -1)[:, :n_return].flatten(0, 1)
        sequences = torch.cat([prompt, ids[:, :longest]], dim=1)  # (B·n, T + longest)
        if not settings.return_dict_in_generate:
            return sequences
        scores = self.held.scores[:, :n_return].flatten() if settings.output_scores else None
        return GenerateBeamDecoderOnlyOutput(
            sequences=sequences,
            sequences_scores=scores,
            beam_indices=origins[:, :longest].to(torch.int32),
            **self.record.first(self.length),
            past_key_values=cache_of(self.forward),
        )
