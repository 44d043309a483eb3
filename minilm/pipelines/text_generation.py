"""The task "text-generation": prompts or chats go in, and come out written on."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from minilm.auto import AutoModelForCausalLM
from minilm.errors import InvalidInput, WrongType
from minilm.generation import config as generation
from minilm.generation import generate as generating
from minilm.generation.forward import n_learned_positions
from minilm.generation.settings import FOR_SAMPLING
from minilm.pipelines import chats, text_options
from minilm.pipelines.base import Pipeline
from minilm.pipelines.text_options import ReturnType
from minilm.tokenization.auto_tokenizer import AutoTokenizer


@dataclass
class Prompt:
    """A prompt as the model takes it.

    given: the text, or the messages of a chat    ids: its tokens    mask: 1 = real
    """

    given: Any
    ids: list[int]
    mask: list[int]


@dataclass
class Settings:
    """What a call is to do.

    own: options of the pipeline    generate: arguments of `generate`
    capped: whether the number of new tokens is the usual one, and gives way to what there is room for
    """

    own: dict[str, Any] = field(default_factory=dict)
    generate: dict[str, Any] = field(default_factory=dict)
    capped: bool = False


class TextGenerationPipeline(Pipeline):
    """Write on from prompts, or answer chats.

    model: predicts the next token    tokenizer: the model's, padded on the left here whatever it
    says itself    options: those below, for every call, and those of `Pipeline`

    Options, here or in a call:
    return_full_text: True = the prompt too, False = what is new    return_tensors: ids, not text
    prefix: text before each prompt that is not returned    stop_sequence: text, or several, to stop
    behind    handle_long_generation: "hole" = without the beginning of a prompt that is too long
    continue_final_message: write on the last message of a chat; None = if it is the assistant's
    tools, documents: for the chat template    tokenizer_encode_kwargs: for the tokenizer, or the
    template    add_special_tokens, padding, truncation: of prompts    skip_special_tokens,
    clean_up_tokenization_spaces: of what is returned    All that `generate` takes: max_new_tokens,
    do_sample, num_return_sequences, generation_config, streamer, generator, assistant_model …

    Answers a prompt with a list of records {"generated_text": …}, or {"generated_token_ids": …}:
    one for each of num_return_sequences. A chat is a list of messages, and its text one too.

    Unless the caller or the model's generation_config.json says otherwise, it draws tokens at
    random (do_sample=True, temperature=0.7), and at most 256; fewer where the model has learned
    fewer positions. Draws one prompt after the other unless batch_size is given: the same seed, the
    same texts as transformers'. In a batch, ids are as they would be alone, without padding.
    Reference: transformers' `TextGenerationPipeline`.
    """

    def __init__(self, model: Any, tokenizer: Any = None, **options: Any) -> None:
        if not generation.can_generate(model):
            raise WrongType(
                f"text-generation needs a model that predicts tokens, and {type(model).__name__} "
                "does not. Load it with AutoModelForCausalLM."
            )
        assistant = options.get("assistant_model")
        if isinstance(assistant, str):
            options["assistant_model"] = AutoModelForCausalLM.from_pretrained(assistant)
            own = options.get("assistant_tokenizer")
            if own is None and options["assistant_model"].config.vocab_size != (
                model.config.vocab_size
            ):
                options["assistant_tokenizer"] = own = assistant
            if isinstance(own, str):
                options["assistant_tokenizer"] = AutoTokenizer.from_pretrained(own)
        super().__init__(model, tokenizer, **options)

    def __call__(self, inputs: Any = None, *, text_inputs: Any = None, **options: Any) -> Any:
        """Write on from one prompt, or from many.

        inputs: a text, or a chat, a list of messages; a list of either; or a generator or dataset
            of them; also as text_inputs    options: those of the class, and of `Pipeline`, for this
            call

        Returns as the class says; for several, a list, or for a generator or dataset an iterator.
        """
        return super().__call__(text_inputs if inputs is None else inputs, **options)

    # Options.

    def check_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Check options, and settle what is to be returned.

        options: by name
        """
        return text_options.checked(options)

    def settle(self, options: dict[str, Any]) -> Settings:
        """Settle what a call is to do.

        options: of the call, checked

        Settings that are given to the call come before those of the pipeline, these before the
        model's own, and those before the usual ones; a generation_config of the call takes the
        place of all settings of the pipeline.
        """
        of_all, config = self.options, options.get("generation_config")
        if config is not None:
            names = (*text_options.SETTINGS, "generation_config")
            of_all = {name: value for name, value in of_all.items() if name not in names}
        merged = {**of_all, **options}
        own = {name: value for name, value in merged.items() if name in text_options.OWN}
        asked = {name: value for name, value in merged.items() if name not in text_options.OWN}
        stop = own.pop("stop_sequence", None)
        if stop is not None:
            asked["stop_strings"] = [stop] if isinstance(stop, str) else list(stop)
        config = asked.pop("generation_config", None)
        if config is not None and not isinstance(config, generation.GenerationConfig):
            raise WrongType(
                f"generation_config is a {type(config).__name__}; expected a GenerationConfig, such "
                "as GenerationConfig(max_new_tokens=50)."
            )
        known = generation.config_of(self.model).to_diff_dict()
        known |= {} if config is None else config.to_diff_dict()
        known |= asked
        added = self._usual(known)
        capped = "max_new_tokens" in added
        if config is not None:
            config = copy.deepcopy(config)
            config.update(**added)
            asked["generation_config"] = config
        else:
            asked |= added
        if own.get("prefix") is None:
            own["prefix"] = getattr(self.model.config, "prefix", None) or ""
        asked |= self._lengths_with_prefix(own, {**known, **added})
        asked.setdefault("tokenizer", self.tokenizer)
        return Settings(own, asked, capped)

    def _usual(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that are added to those that somebody gave."""
        usual: dict[str, Any] = dict(text_options.USUAL)
        if self._is_token(self.tokenizer.pad_token_id):
            usual["pad_token_id"] = self.tokenizer.pad_token_id
        added = {name: value for name, value in usual.items() if name not in known}
        if "max_length" in known:
            added.pop("max_new_tokens", None)
        if not {**known, **added}.get("do_sample"):
            added = {name: value for name, value in added.items() if name not in FOR_SAMPLING}
        return added

    def _lengths_with_prefix(self, own: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
        """Lengths of the whole text, which count the prefix that the caller does not see."""
        if not own["prefix"]:
            return {}
        special = own.get("add_special_tokens") or False
        n_prefix = len(self.tokenizer(own["prefix"], add_special_tokens=special)["input_ids"])
        lengths = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))
        return {
            length: known[length] + n_prefix
            for length, new in lengths
            if known.get(length) is not None and known.get(new) is None
        }

    def may_batch(self, settings: Settings) -> bool:
        """Say whether texts are the same alone and in a batch.

        settings: as settled
        """
        known = self._known(settings)
        names = {name for name, value in known.items() if value is not None and value is not False}
        return (
            not known.get("do_sample")
            and self.dtype == torch.float32
            and names <= text_options.SAME_IN_BATCHES | {"generation_config", "_from_model_config"}
            and self._pad_token_id(settings) is not None
        )

    def _known(self, settings: Settings) -> dict[str, Any]:
        """Every setting that somebody gave, caller or model."""
        config = settings.generate.get("generation_config")
        known = generation.config_of(self.model).to_diff_dict()
        known |= {} if config is None else config.to_diff_dict()
        return known | {n: v for n, v in settings.generate.items() if n != "generation_config"}

    def _ends(self, settings: Settings) -> list[int]:
        ends = self._known(settings).get("eos_token_id")
        ends = ends.tolist() if isinstance(ends, Tensor) else ends
        return [ends] if isinstance(ends, int) else list(ends or ())

    def _pad_token_id(self, settings: Settings) -> int | None:
        """What fills up rows; of a model without padding, what ends texts."""
        pad: Any = self._known(settings).get("pad_token_id")
        if self._is_token(pad):
            return int(pad)
        ends = self._ends(settings)
        return ends[0] if ends else self.tokenizer.eos_token_id

    def _is_token(self, token_id: Any) -> bool:
        """Whether the model knows a token; one that was added to the tokenizer it may not."""
        n_tokens = self.model.get_input_embeddings().num_embeddings
        return token_id is not None and bool(0 <= token_id < n_tokens)

    # Prompts.

    def is_one(self, inputs: Any) -> bool:
        """Say whether this is one prompt: a text, or a list of messages.

        inputs: as given
        """
        if isinstance(inputs, list | tuple):
            return bool(inputs) and isinstance(inputs[0], Mapping)
        if isinstance(inputs, Mapping) and "content" in inputs:
            raise WrongType(
                "One message was given; a chat is a list of messages. Put it in a list: "
                "[{'role': 'user', 'content': …}]."
            )
        return isinstance(inputs, str) or isinstance(getattr(inputs, "messages", None), list)

    def gather(self, inputs: Iterator[Any]) -> Any:
        """Put together the messages of a chat that comes in pieces.

        inputs: what a generator gives
        """
        for first in inputs:
            if isinstance(first, Mapping):
                return [first, *inputs]
            return itertools.chain([first], inputs)
        return iter(())

    def prepare(self, given: Any, settings: Settings) -> Prompt:
        """Make tokens of a prompt.

        given: a text, or messages    settings: as settled
        """
        own = settings.own
        options: dict[str, Any] = {
            name: own[name]
            for name in ("add_special_tokens", "truncation", "padding")
            if own.get(name) is not None
        }
        max_length = self._known(settings).get("max_length")
        if max_length is not None and (options.get("truncation") or "padding" in options):
            options["max_length"] = max_length
        options |= own.get("tokenizer_encode_kwargs") or {}
        makes_room = own.get("handle_long_generation") == "hole"
        quiet = {"padding_side": "left", "verbose": not makes_room}
        if isinstance(given, str):
            options = {**quiet, **options}
            batch = self.tokenizer(own["prefix"] + given, **options)
        else:
            given = chats.messages_of(given)
            go_on = chats.goes_on(given, own.get("continue_final_message"))
            if go_on:
                chats.check_text(given[-1])
            options.pop("add_special_tokens", None)
            more = {**quiet, **(options.pop("tokenizer_kwargs", None) or {})}
            batch = self.tokenizer.apply_chat_template(
                given,
                tools=own.get("tools"),
                documents=own.get("documents"),
                add_generation_prompt=not go_on,
                continue_final_message=go_on,
                tokenizer_kwargs=more,
                **options,
            )
        ids = list(batch["input_ids"])
        mask = list(batch.get("attention_mask") or [1] * len(ids))
        if makes_room:
            kept = self._room_for_prompt(len(ids), settings)
            ids, mask = ids[-kept:], mask[-kept:]
        return Prompt(given, ids, mask)

    def _room_for_prompt(self, n_prompt: int, settings: Settings) -> int:
        """How many of its tokens a prompt keeps, so that the new ones fit."""
        known = self._known(settings)
        n_new = known.get("max_new_tokens")
        if n_new is None:
            n_new = (known.get("max_length") or 0) - n_prompt
            if n_new < 0:
                raise InvalidInput(
                    f"max_length={known.get('max_length')} leaves nothing for new tokens behind "
                    f"{n_prompt} of the prompt. Give max_new_tokens."
                )
        room = self.tokenizer.model_max_length
        learned = n_learned_positions(self.model)
        room = int(room if learned is None else min(room, learned))
        if n_prompt + n_new <= room:
            return n_prompt
        if room - n_new <= 0:
            raise InvalidInput(
                f"{n_new} new tokens leave no room for a prompt: the model takes {room} in all. "
                "Give a smaller max_new_tokens."
            )
        return room - n_new

    def length(self, item: Prompt) -> int:
        """Say how many tokens a prompt has.

        item: as prepared
        """
        return len(item.ids)

    # Writing.

    def run_one(self, item: Prompt, settings: Settings, on_interrupt: str) -> Any:
        """Write on from one prompt that was given alone.

        item: as prepared    settings: as settled    on_interrupt: "return" = what is written
        """
        if on_interrupt == "return":
            settings = replace(settings, generate={**settings.generate, "on_interrupt": "return"})
        return self.run([item], settings)[0]

    def run(self, items: list[Prompt], settings: Settings) -> list[Any]:
        """Write on from prompts, side by side.

        items: as prepared    settings: as settled

        Returns for each prompt its records, one for each text.
        """
        if len(items) > 1 and not all(item.ids for item in items):
            return [self.run([item], settings)[0] for item in items]
        options = dict(settings.generate)
        longest = max(len(item.ids) for item in items)
        if settings.capped:
            self._cap(options, max(sum(item.mask) for item in items))
        pad = self._pad_token_id(settings)
        if len(items) > 1 and pad is not None:
            options.setdefault("pad_token_id", pad)
        ids = mask = None
        if longest:  # an empty prompt begins with bos_token_id, as `generate` knows
            ids, mask = self._side_by_side(items, longest, pad)
        output = generating.generate(self.model, ids, attention_mask=mask, **options)
        sequences, others = _parts(output)
        n_texts = len(sequences) // len(items)
        answers = []
        for i, item in enumerate(items):
            rows = slice(i * n_texts, (i + 1) * n_texts)
            mine = sequences[rows].cpu()  # (N, L + new)
            if len(items) > 1:  # as it would be alone: without what others needed
                end = longest + _n_written(mine[:, longest:], self._ends(settings), pad)
                mine = mine[:, longest - len(item.ids) : end]  # (N, own L + own new)
            kept = {name: each[rows].cpu().tolist() for name, each in others.items()}
            answers.append(self._records(item, mine.tolist(), kept, settings))
        return answers

    def _cap(self, options: dict[str, Any], n_prompt: int) -> None:
        """Ask for no more of the usual number of tokens than the model has positions for."""
        limit = n_learned_positions(self.model)
        if limit is None or not 0 < limit - n_prompt < text_options.USUAL["max_new_tokens"]:
            return
        config = options.get("generation_config")
        if config is None:
            options["max_new_tokens"] = limit - n_prompt
        else:
            options["generation_config"] = config = copy.deepcopy(config)
            config.max_new_tokens = limit - n_prompt

    def _side_by_side(
        self, items: list[Prompt], longest: int, pad: int | None
    ) -> tuple[Tensor, Tensor]:
        """Put prompts into one tensor, padded on the left: ids and mask, int (B, L)."""
        if pad is None:
            if any(len(item.ids) < longest for item in items):
                raise InvalidInput(
                    "Prompts of different length are padded to run side by side, and neither "
                    "tokenizer nor model has a token for that. Set one: pipe.tokenizer.pad_token = "
                    "…, give pad_token_id=…, or batch_size=1."
                )
            pad = 0  # stands nowhere
        ids = [[pad] * (longest - len(item.ids)) + item.ids for item in items]
        mask = [[0] * (longest - len(item.ids)) + item.mask for item in items]
        device = self.device
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)  # (B, L)

    # Answering.

    def _records(
        self,
        item: Prompt,
        rows: list[list[int]],
        others: dict[str, list[Any]],
        settings: Settings,
    ) -> list[dict[str, Any]]:
        own = settings.own
        wanted = own.get("return_type", ReturnType.FULL_TEXT)
        if wanted is ReturnType.TENSORS:
            return [{"generated_token_ids": row} for row in rows]
        skips = own.get("skip_special_tokens")
        records = []
        for i, row in enumerate(rows):
            text: Any = self.tokenizer.decode(
                row[len(item.ids) :],
                skip_special_tokens=True if skips is None else skips,
                clean_up_tokenization_spaces=own.get("clean_up_tokenization_spaces"),
            )
            if wanted is ReturnType.FULL_TEXT:
                text = chats.with_prompt(item.given, text, own.get("continue_final_message"))
            records.append(
                {"generated_text": text, **{name: each[i] for name, each in others.items()}}
            )
        return records


def _parts(output: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """The ids (B, L), and what else there is for each row."""
    if isinstance(output, Tensor):
        return output, {}
    n_rows, others = len(output.sequences), {}
    for name in output:
        value = output[name]
        if isinstance(value, tuple) and value and isinstance(value[0], Tensor):
            if len(value[0]) == n_rows:  # of each step; of several beams there are more
                others[name] = torch.stack(value, dim=1)  # (B, new, V)
        elif isinstance(value, Tensor) and name != "sequences" and len(value) == n_rows:
            others[name] = value
    return output.sequences, others


def _n_written(rows: Tensor, ends: list[int], pad: int | None) -> int:
    """How many tokens the longest of some texts has; what others needed beyond is padding.

    rows: int (N, new)    ends: tokens that end a text    pad: what stands behind the end
    """
    longest = 0
    for row in rows.tolist():
        n = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
        while n == len(row) > 0 and pad is not None and pad not in ends and row[n - 1] == pad:
            row.pop()
            n -= 1
        longest = max(longest, n)
    return longest
