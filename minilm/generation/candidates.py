"""Where guesses at the next tokens come from: the text itself, or a smaller model.

A guess costs little and may be wrong: the large model looks at all of its tokens in one call and
keeps those that it would have written itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minilm.errors import InvalidInput
from minilm.generation import loop
from minilm.generation.forward import Forward, new_cache


def look_up(input_ids: Tensor, n_tokens: int, max_ngram_size: int = 2) -> Tensor:
    """Guess that what once followed the last few tokens follows them again (Saxena 2023).

    input_ids: int (L,), the text so far    n_tokens: how many to guess
    max_ngram_size: how many of the last tokens to look for; fewer, down to 1, if they are not found

    Returns what followed the first place where they stand, int (G,): n_tokens or, near the end of
    the text, fewer, and none where nothing is found.
    """
    for size in range(min(max_ngram_size, len(input_ids) - 1), 0, -1):
        earlier = input_ids[:-1].unfold(0, size, 1)  # (L - size, size), each n-gram but the last
        found = (earlier == input_ids[-size:]).all(dim=1).nonzero()  # (places, 1)
        if len(found):
            start = int(found[0]) + size
            return input_ids[start : start + n_tokens]
    return input_ids[:0]


class PromptLookup:
    """Guess from the text itself.

    n_tokens: how many to guess    max_ngram_size: how many of the last tokens to look for

    most: tokens in any guess
    """

    def __init__(self, n_tokens: int, max_ngram_size: int = 2) -> None:
        for name, number in (
            ("prompt_lookup_num_tokens", n_tokens),
            ("max_matching_ngram_size", max_ngram_size),
        ):
            if number < 1:
                raise InvalidInput(f"{name}={number} was given; it is 1 or more.")
        self.most, self.max_ngram_size = n_tokens, max_ngram_size

    def guess(self, input_ids: Tensor, longest: int) -> tuple[Tensor, None]:
        """Guess the next tokens.

        input_ids: int (1, L), the text so far    longest: how many tokens there is room for

        Returns int (G,), and None: there are no probabilities behind it.
        """
        return look_up(input_ids[0], longest, self.max_ngram_size), None

    def learn(self, n_guessed: int, n_kept: int) -> None:
        """Take note of how good a guess was; changes nothing here.

        n_guessed: its tokens    n_kept: how many of them were kept
        """


# A schedule that guesses more after every good guess stops here: what may be taken back from a
# sliding window has to be kept.
MOST = 64


class Assistant:
    """Guess with a smaller model, which keeps its own cache.

    model: the smaller one    input_ids: int (1, L), the prompt    settings: of the call
    attention_mask: (1, S), its last L columns are the prompt's; None = all real
    processors: (ids, scores) → scores    do_sample, generator: how tokens are chosen

    It guesses num_assistant_tokens tokens, or stops before at the end of the text and after a token
    that it holds for less likely than assistant_confidence_threshold. What the caller does not say,
    the assistant's own generation_config says (in transformers, it alone).
    """

    def __init__(
        self,
        model: Any,
        input_ids: Tensor,
        settings: Any,
        attention_mask: Tensor | None = None,
        processors: Callable[[Tensor, Tensor], Tensor] | None = None,
        do_sample: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        own = getattr(model, "generation_config", None)
        self.n_tokens = _first(settings, own, "num_assistant_tokens", 20)
        self.schedule = _first(settings, own, "num_assistant_tokens_schedule", "constant")
        self.threshold = _first(settings, own, "assistant_confidence_threshold", 0.4)
        self.most = max(self.n_tokens, MOST)
        self.ends = settings.eos_token_id or []
        self.processors, self.do_sample, self.generator = processors, do_sample, generator
        if attention_mask is not None:
            attention_mask = attention_mask[:, -input_ids.shape[1] :].to(model.device)  # (1, L)
        cache = new_cache(model, None, settings.max_length, self.most)
        self.forward = Forward(model, input_ids, attention_mask, past_key_values=cache)

    @torch.no_grad()
    def guess(self, input_ids: Tensor, longest: int) -> tuple[Tensor, Tensor | None]:
        """Guess the next tokens.

        input_ids: int (1, L), the text so far    longest: how many tokens there is room for

        Returns int (G,), and the scores that they were chosen by, (G, V), or None for no tokens.
        """
        length, ids = input_ids.shape[1], input_ids.to(self.forward.model.device)
        all_scores: list[Tensor] = []
        while len(all_scores) < min(self.n_tokens, longest):
            scores = self.forward.next_logits(ids)  # (1, V)
            if self.processors is not None:
                scores = self.processors(ids, scores)
            token = loop.choose_next(scores, self.do_sample, self.generator)  # (1,)
            ids = torch.cat([ids, token[:, None]], dim=1)  # (1, L + guessed)
            all_scores.append(scores)
            if int(token) in self.ends or float(scores.softmax(-1)[0, token]) < self.threshold:
                break
        guesses = ids[0, length:].to(input_ids.device)
        return guesses, torch.cat(all_scores).to(input_ids.device) if all_scores else None

    def learn(self, n_guessed: int, n_kept: int) -> None:
        """Forget what was refused, and guess more next time, or less, if the schedule says so.

        n_guessed: tokens of the guess    n_kept: how many of them were kept
        """
        # The last token of a guess has not been shown to the assistant.
        self.forward.take_back(max(n_guessed - 1 - n_kept, 0))
        if self.schedule in ("heuristic", "heuristic_transient"):
            self.n_tokens = self.n_tokens + 2 if n_kept == n_guessed else max(1, self.n_tokens - 1)


class Translator:
    """Guess with a smaller model that has other tokens: what it is told and tells is text.

    model: the smaller one    settings: of the call
    tokenizer, assistant_tokenizer: of the large model and of the smaller one
    """

    def __init__(self, model: Any, settings: Any, tokenizer: Any, assistant_tokenizer: Any) -> None:
        self.model, self.settings = model, settings
        self.tokenizer, self.assistant_tokenizer = tokenizer, assistant_tokenizer
        self.most = MOST
        self.assistant: Assistant | None = None
        self.shown: list[int] = []  # what the assistant has been shown

    def guess(self, input_ids: Tensor, longest: int) -> tuple[Tensor, None]:
        """Guess the next tokens.

        input_ids: int (1, L), the text so far    longest: how many tokens there is room for

        Returns int (G,), and None: there are no probabilities of these tokens behind it.
        """
        text = self.tokenizer.decode(input_ids[0], skip_special_tokens=True)
        told = list(self.assistant_tokenizer(text)["input_ids"])
        end = self.assistant_tokenizer.eos_token_id
        if told and told[-1] == end:  # a tokenizer may close every text
            told.pop()
        if not told or not longest:
            return input_ids[0, :0], None
        ids = torch.tensor([told], device=input_ids.device)  # (1, its own L)
        guesses, _ = self._assistant(ids, told).guess(ids, longest)
        self.shown = told + guesses[:-1].tolist()
        whole = self.assistant_tokenizer.decode(told + guesses.tolist(), skip_special_tokens=True)
        start = self.assistant_tokenizer.decode(told, skip_special_tokens=True)
        new = self.tokenizer(whole[len(start) :], add_special_tokens=False)["input_ids"]
        return input_ids.new_tensor(new[:longest]), None

    def learn(self, n_guessed: int, n_kept: int) -> None:
        """Take note of how good a guess was; changes nothing here.

        n_guessed: its tokens    n_kept: how many of them were kept
        """

    def _assistant(self, ids: Tensor, told: list[int]) -> Assistant:
        """The assistant, having forgotten what is not told any more."""
        same = 0
        for one, other in zip(self.shown, told[:-1], strict=False):
            if one != other:
                break
            same += 1
        to_forget = len(self.shown) - same
        if self.assistant is None or to_forget > self.most:
            self.assistant = Assistant(self.model, ids, self._its_settings())
        else:
            self.assistant.forward.take_back(to_forget)
        return self.assistant

    def _its_settings(self) -> Any:
        settings = copy.copy(self.settings)
        end = self.assistant_tokenizer.eos_token_id
        settings.eos_token_id = None if end is None else [end]
        return settings


def _first(settings: Any, own: Any, name: str, default: Any) -> Any:
    """What the caller says, or else the assistant's own config, or else the default."""
    for config in (settings, own):
        value = getattr(config, name, None)
        if value is not None:
            return value
    return default
