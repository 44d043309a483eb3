"""Guessing ahead: somebody cheap guesses a few tokens, and the model looks at all of them at once.

To look at several tokens takes a large model hardly longer than to write one, and every guess that
it would have written itself is a call saved. The text is the same as without guesses.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from minilm.errors import InvalidInput
from minilm.generation import candidates, loop
from minilm.generation.forward import Forward, check_numbers
from minilm.generation.outputs import GenerateDecoderOnlyOutput, Record, cache_of


def keep_agreed(guesses: Tensor, chosen: Tensor) -> Tensor:
    """Keep guesses as far as the model itself chooses the same tokens.

    guesses: int (G,)    chosen: int (G + 1,), what the model chooses in place of each guess, and
    after all of them

    Returns the n guesses before the first wrong one and what the model chooses next, int (n + 1,).
    """
    n_agreed = int((guesses == chosen[:-1]).cumprod(0).sum())  # 1 1 0 1 → 1 1 0 0 → 2
    return chosen[: n_agreed + 1]


def accept_guesses(
    guesses: Tensor, drawn_from: Tensor, probs: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Keep guesses by chance, so that tokens are as likely as without them (Leviathan et al. 2023).

    guesses: int (G,)    drawn_from: (G, V), probabilities that each guess was drawn from
    probs: (G + 1, V), the model's own, in place of each guess and after all of them

    Returns the n guesses before the first refused one and one token more, int (n + 1,).
    Draws a number for each guess, all at once, then that token: transformers' with the same seed
    (_speculative_sampling).
    """
    each = torch.arange(len(guesses), device=guesses.device)
    ratio = probs[each, guesses] / drawn_from[each, guesses]  # (G,)
    accepted = torch.rand(ratio.shape, generator=generator, device=ratio.device) <= ratio
    n = int(accepted.cumprod(0).sum())
    left = probs[n]  # (V,)
    if n < len(guesses):  # what the model wanted and the guess, being too rarely this, did not give
        left = (probs[n] - drawn_from[n]).clamp(min=0)
        left = left / left.sum() if left.any() else probs[n]
    one_more = torch.multinomial(left, 1, generator=generator)  # (1,)
    return torch.cat([guesses[:n], one_more])


@torch.no_grad()
def assisted_generate(
    forward: Forward,
    input_ids: Tensor,
    settings: Any,
    processors: Any,
    criteria: Any,
    streamer: Any = None,
    generator: torch.Generator | None = None,
    assistant_model: Any = None,
    tokenizer: Any = None,
    assistant_tokenizer: Any = None,
) -> Any:
    """Write with guesses: from the text itself, or by a smaller model.

    forward: what calls the model    input_ids: int (1, L)    settings: of the call, complete
    processors: (ids, scores) → scores    criteria: (ids, scores of each step or None) → bool (B,)
    streamer: is given each new token    generator: to draw with    assistant_model: the smaller one
    tokenizer, assistant_tokenizer: where the two have different ones

    Returns ids int (1, L + new), or `GenerateDecoderOnlyOutput`. Greedy search gives the tokens that
    it gives without guesses; sampling gives each text as often. Every token is tried by the criteria
    (transformers tries the last of each round, and writes past a stop string).
    Raises InvalidInput for more than one text, and without a cache.
    """
    _check(input_ids, settings)
    if settings.prompt_lookup_num_tokens is not None:
        size = settings.max_matching_ngram_size or 2
        guesser: Any = candidates.PromptLookup(settings.prompt_lookup_num_tokens, size)
    elif tokenizer is not None and assistant_tokenizer is not None:
        guesser = candidates.Translator(assistant_model, settings, tokenizer, assistant_tokenizer)
    else:
        _check_vocabulary(forward.model, assistant_model)
        its_processors = processors if len(processors) else None
        how = (forward.attention_mask, its_processors, settings.do_sample, generator)
        guesser = candidates.Assistant(assistant_model, input_ids, settings, *how)
    text = _Text(forward, input_ids, settings, processors, criteria, streamer, generator)
    try:
        while not text.is_finished:
            text.write_some(guesser)
    except KeyboardInterrupt:
        if settings.on_interrupt != "return":
            raise
    if not settings.return_dict_in_generate:
        return text.ids
    kept = text.record.first(text.ids.shape[1] - input_ids.shape[1])
    return GenerateDecoderOnlyOutput(text.ids, **kept, past_key_values=cache_of(forward))


def _check(input_ids: Tensor, settings: Any) -> None:
    if len(input_ids) > 1:
        raise InvalidInput(
            f"{len(input_ids)} texts were given to write with guesses; they cannot be written side by "
            "side, since of each another number of guesses is right. Give one at a time."
        )
    if not settings.use_cache:
        raise InvalidInput(
            "use_cache=False was given with prompt_lookup_num_tokens or an assistant_model: guesses "
            "save time only where the model need not see the whole text again. Leave it out."
        )


def _check_vocabulary(model: Any, assistant_model: Any) -> None:
    own, other = model.config.vocab_size, assistant_model.config.vocab_size
    if own != other:
        raise InvalidInput(
            f"The model has {own} tokens and the assistant_model {other}: their tokens are not the "
            "same. Give both tokenizers, tokenizer=… and assistant_tokenizer=…, or an assistant "
            "that was trained with the tokenizer of the model."
        )


class _Text:
    """A text on its way; the arguments are those of `assisted_generate`.

    ids: int (1, L), so far    record: what is kept of its tokens
    """

    def __init__(
        self,
        forward: Forward,
        input_ids: Tensor,
        settings: Any,
        processors: Any,
        criteria: Any,
        streamer: Any,
        generator: torch.Generator | None,
    ) -> None:
        self.forward, self.settings, self.generator = forward, settings, generator
        self.processors, self.criteria, self.streamer = processors, criteria, streamer
        self.ids, self.n_prompt = input_ids, input_ids.shape[1]
        self.record = Record(settings)
        self.is_finished = False

    def write_some(self, guesser: Any) -> None:
        """Let somebody guess, and write what the model makes of it: one token at least."""
        length = self.ids.shape[1]
        room = self.settings.max_length - length - 1  # the model itself writes one more
        guesses, guess_scores = guesser.guess(self.ids, min(room, guesser.most))  # (G,), (G, V)
        n_guesses = len(guesses)
        whole = torch.cat([self.ids, guesses[None]], dim=1)  # (1, L + G)
        logits = self.forward(whole, n_guesses + 1).logits[0, -n_guesses - 1 :].float()  # (G+1, V)
        scores = self._scores(whole, logits)  # (G + 1, V)
        kept = self._kept(guesses, guess_scores, scores)  # (n + 1,)
        for i, token in enumerate(kept.split(1)):
            output = _OfToken(self.forward.output, n_guesses - i, length + i == self.n_prompt)
            self.record.add(output, logits[i : i + 1], scores[i : i + 1])
            self._write(token)
            if self.is_finished:
                break
        self.forward.take_back(n_guesses - i)
        guesser.learn(n_guesses, i)

    def _scores(self, whole: Tensor, logits: Tensor) -> Tensor:
        """What the processors make of the logits in place of each guess and after all, (G + 1, V)."""
        length = self.ids.shape[1]
        if not (self.settings.remove_invalid_values or math.isfinite(logits.sum().item())):
            for i, one in enumerate(logits.split(1), start=length - self.n_prompt + 1):
                check_numbers(one, i)
        if not len(self.processors):
            return logits
        each = enumerate(logits.split(1), start=length)
        return torch.cat([self.processors(whole[:, :end], one) for end, one in each])

    def _kept(self, guesses: Tensor, guess_scores: Tensor | None, scores: Tensor) -> Tensor:
        """The guesses that are kept and the next token, int (n + 1,)."""
        do_sample = self.settings.do_sample
        try:
            if do_sample and guess_scores is not None:
                drawn_from, probs = guess_scores.softmax(-1), scores.softmax(-1)
                return accept_guesses(guesses, drawn_from, probs, self.generator)
            return keep_agreed(guesses, loop.choose_next(scores, do_sample, self.generator))
        except RuntimeError:
            loop.explain_no_choice(scores[:1], self.ids.shape[1] - self.n_prompt + 1)
            raise

    def _write(self, token: Tensor) -> None:
        """Write down one token, int (1,), and see whether it is the last."""
        self.ids = torch.cat([self.ids, token[None]], dim=1)  # (1, L + 1)
        if self.streamer is not None:
            self.streamer.put(token.cpu())
        self.is_finished = bool(self.criteria(self.ids, self.record.scores).all())


class _OfToken:
    """What a model returned, for one of several tokens that it was shown at once.

    output: of the model    n_later: tokens after this one    with_prompt: keep those before it too
    """

    def __init__(self, output: Any, n_later: int, with_prompt: bool) -> None:
        def cut(states: Tensor, is_attention: bool) -> Tensor:
            end = states.shape[-2] - n_later
            states = states[..., 0 if with_prompt else end - 1 : end, :]
            return states[..., : states.shape[-1] - n_later] if is_attention else states

        attentions, hidden_states = output.attentions, output.hidden_states
        self.attentions = attentions and tuple(cut(each, True) for each in attentions)
        self.hidden_states = hidden_states and tuple(cut(each, False) for each in hidden_states)
