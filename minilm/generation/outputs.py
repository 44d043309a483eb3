"""What `generate` returns where more than the tokens is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from minilm.outputs import ModelOutput


@dataclass(eq=False)
class GenerateDecoderOnlyOutput(ModelOutput):
    """What greedy search, sampling and guessing ahead return.

    sequences: int (B, L), the prompts and what was written behind them
    scores: of each new token, (B, V), as the filters left them
    logits: of each new token, (B, V), as the model gave them
    attentions: of each new token, of each layer, (B, H, T, S)
    hidden_states: of each new token, of the embeddings and of each layer, (B, T, C)
    past_key_values: the cache, to go on from
    """

    sequences: Tensor | None = None
    scores: tuple[Tensor, ...] | None = None
    logits: tuple[Tensor, ...] | None = None
    attentions: tuple[tuple[Tensor, ...], ...] | None = None
    hidden_states: tuple[tuple[Tensor, ...], ...] | None = None
    past_key_values: Any = None


@dataclass(eq=False)
class GenerateBeamDecoderOnlyOutput(ModelOutput):
    """What beam search returns.

    sequences_scores: (B · num_return_sequences,), log p divided by length ** length_penalty
    beam_indices: int (B · num_return_sequences, new tokens), the row of the batch that each token
        was written behind; −1 where there is none
    The rest: as in `GenerateDecoderOnlyOutput`, a row for each beam.
    """

    sequences: Tensor | None = None
    sequences_scores: Tensor | None = None
    scores: tuple[Tensor, ...] | None = None
    logits: tuple[Tensor, ...] | None = None
    beam_indices: Tensor | None = None
    attentions: tuple[tuple[Tensor, ...], ...] | None = None
    hidden_states: tuple[tuple[Tensor, ...], ...] | None = None
    past_key_values: Any = None


class Record:
    """Keep, token by token, what was asked for besides the tokens.

    settings: of the call

    scores, logits, attentions, hidden_states: tuples with an entry for each new token, or None
    where they were not asked for
    """

    def __init__(self, settings: Any) -> None:
        def begun(asked: bool) -> tuple[Any, ...] | None:
            return () if asked and settings.return_dict_in_generate else None

        self.scores = begun(settings.output_scores)
        self.logits = begun(settings.output_logits)
        self.attentions = begun(settings.output_attentions)
        self.hidden_states = begun(settings.output_hidden_states)

    def add(self, output: Any, logits: Tensor, scores: Tensor) -> None:
        """Keep what belongs to one new token.

        output: of the model    logits, scores: (B, V), before and after the filters
        """
        if self.scores is not None:
            self.scores += (scores,)
        if self.logits is not None:
            self.logits += (logits,)
        if self.attentions is not None:
            self.attentions += (output.attentions,)
        if self.hidden_states is not None:
            self.hidden_states += (output.hidden_states,)

    def first(self, n_tokens: int) -> dict[str, tuple[Any, ...] | None]:
        """Give what belongs to the first new tokens, by name.

        n_tokens: how many; all but a last one that was interrupted
        """
        names = ("scores", "logits", "attentions", "hidden_states")
        kept = {name: getattr(self, name) for name in names}
        return {name: each and each[:n_tokens] for name, each in kept.items()}


def cache_of(forward: Any) -> Any:
    """Give the cache to go on from; None where an interruption came in the midst of the layers.

    forward: what called the model
    """
    cache = forward.cache
    if cache is None or all(layer.get_seq_length() == forward.seen for layer in cache.layers):
        return cache
    return None
