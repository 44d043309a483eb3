"""The tokenizer that users hold: text in, batches of ids out, and back."""

from __future__ import annotations

import copy
import inspect
import json
import operator
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minilm.errors import InvalidInput, OutOfRange, WrongType
from minilm.tokenization import batching, call_options
from minilm.tokenization.added_tokens import AddedToken
from minilm.tokenization.batch_encoding import BatchEncoding
from minilm.tokenization.call_options import Options, Rows, kind_of
from minilm.tokenization.chats import ChatMethods
from minilm.tokenization.special_tokens import ROLES, SpecialTokens, as_added_token

if TYPE_CHECKING:
    from minilm.tokenization.pipeline import Pipeline

# What transformers writes for "no limit known".
UNLIMITED = int(1e30)


def without_special_tokens(ids: Iterable[int], special_ids: Collection[int]) -> list[int]:
    """Drop the ids of special tokens, such as [CLS] or padding, from a row.

    ids: token ids    special_ids: the ids to drop

    Returns the others, in order. What `decode(…, skip_special_tokens=True)` does first.
    """
    return [token_id for token_id in ids if token_id not in special_ids]


class PreTrainedTokenizer(ChatMethods, SpecialTokens):
    """A tokenizer with everything a model needs around it: special tokens, batches, padding, chats.

    pipeline: what turns one text into ids and back (normalizer, pre-tokenizer, model, …)
    name_or_path: where it came from
    model_max_length: how many tokens the model takes; None = unknown
    padding_side, truncation_side: "right" or "left"
    model_input_names: the columns a call returns unless told otherwise
    clean_up_tokenization_spaces: take away spaces before punctuation when decoding
    split_special_tokens: treat special tokens in a text as ordinary text
    chat_template: jinja2 source, or name → source
    extra_special_tokens: special tokens without a role, or role of the model's own → token
    settings: bos_token, eos_token and so on; what else there is stays in `init_kwargs`

    Called on texts it returns a `BatchEncoding`. Equals transformers' PreTrainedTokenizerFast
    (called TokenizersBackend since its version 5), and takes the same arguments.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        name_or_path: str = "",
        model_max_length: int | None = None,
        padding_side: str = "right",
        truncation_side: str = "right",
        model_input_names: Sequence[str] = ("input_ids", "attention_mask"),
        clean_up_tokenization_spaces: bool = False,
        split_special_tokens: bool = False,
        chat_template: str | dict[str, str] | None = None,
        extra_special_tokens: Sequence[Any] | Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.pipeline = pipeline
        self.name_or_path = name_or_path
        if isinstance(model_max_length, (str, bool)):
            raise WrongType(
                f"model_max_length is a number of tokens, and not {model_max_length!r}."
            )
        self.model_max_length = UNLIMITED if model_max_length is None else model_max_length
        self.padding_side = call_options.read_side("padding_side", padding_side)
        self.truncation_side = call_options.read_side("truncation_side", truncation_side)
        self.model_input_names = list(model_input_names)
        self.clean_up_tokenization_spaces = bool(clean_up_tokenization_spaces)
        self.split_special_tokens = bool(split_special_tokens)
        self.chat_template = chat_template
        self._warned_about_length = False

        self._roles: dict[str, AddedToken | None] = dict.fromkeys(ROLES)
        self._extra: list[AddedToken] = []
        roles = {name: settings.pop(name) for name in list(settings) if name.endswith("_token")}
        if isinstance(extra_special_tokens, Mapping):
            roles.update(extra_special_tokens)
        else:
            self.extra_special_tokens = extra_special_tokens
        for role, token in roles.items():
            if token is not None and not isinstance(token, bool):
                self._roles[role] = as_added_token(token, special=True, what=role)
        self.init_kwargs = settings
        self._add_missing_special_tokens()

    def __getstate__(self) -> dict[str, Any]:
        # For another process a pipeline is what its file says; what it remembers stays behind.
        return {**self.__dict__, "pipeline": self.pipeline.to_json()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from minilm.tokenization.pipeline import Pipeline

        self.__dict__.update(state)
        self.pipeline = Pipeline.from_json(state["pipeline"])

    def _add_missing_special_tokens(self) -> None:
        """Add special tokens that the vocabulary lacks or would split; keep others as written."""
        there = self.pipeline.added_tokens.by_content
        wanted = [*filter(None, self._roles.values()), *self._extra]
        missing = {token.content: token for token in wanted if token.content not in there}
        if missing:
            self.pipeline.add_tokens(list(missing.values()))

    # -- from text to ids ----------------------------------------------------------------------

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        split_special_tokens: bool | None = None,
        max_target_length: int | None = None,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        **unknown: Any,
    ) -> BatchEncoding:
        """Turn one text or a batch of texts into what a model takes.

        text, text_pair: a string or a list of them; lists of words with is_split_into_words
        text_target, text_pair_target: texts the model should produce; alone they are encoded like
            texts, beside `text` they become the column "labels"
        add_special_tokens: put [CLS], </s> and so on where the model expects them
        padding: True or "longest", "max_length", False or "do_not_pad"
        truncation: True or "longest_first", "only_first", "only_second", False or None
        max_length: in tokens, special ones counted; alone it truncates
        stride: tokens that neighbouring windows share, with return_overflowing_tokens
        pad_to_multiple_of: make rows a multiple of this many tokens long
        padding_side: "right" or "left", instead of the tokenizer's own
        return_tensors: "pt" or "np"; None = lists
        return_…: which columns to return beside input_ids
        return_overflowing_tokens: return what was cut off as rows of their own
        verbose: warn about rows too long for the model, and about options without effect
        split_special_tokens: treat special tokens in the text as ordinary text
        max_target_length: max_length for the targets
        tokenizer_kwargs: more of these arguments, as a dict

        Returns a `BatchEncoding`: B rows for a batch; for a single text one row, without a batch
        axis unless it comes as tensors or windows.
        Raises `InvalidInput` or `WrongType` for texts or options that make no sense.
        Equals transformers' `tokenizer(…)`, except that it refuses what transformers passes over in
        silence: unknown arguments, padding to an unknown length, a max_length too small for the
        special tokens.
        """
        given = {name: value for name, value in locals().items() if name in _CALL_OPTIONS}
        call_options.refuse_unknown(unknown, _CALL_ARGUMENTS, "The tokenizer's call")
        if tokenizer_kwargs is not None:
            if not isinstance(tokenizer_kwargs, Mapping):
                raise WrongType(
                    f"tokenizer_kwargs is a dict of options, and not {tokenizer_kwargs!r}."
                )
            call_options.refuse_unknown(tokenizer_kwargs, _CALL_OPTIONS, "The tokenizer's call")
            given.update(tokenizer_kwargs)
        if text is None and text_target is None:
            raise InvalidInput("There is nothing to tokenize: give text, or text_target.")
        targets = None
        if text_target is not None:
            target_options = dict(given)
            if max_target_length is not None:
                target_options["max_length"] = max_target_length
            targets = self._encode(text_target, text_pair_target, target_options, target=True)
        if text is None:
            assert targets is not None
            return targets
        batch = self._encode(text, text_pair, given)
        if targets is not None:
            batch["labels"] = targets["input_ids"]
        return batch

    def _encode(
        self, text: Any, text_pair: Any, given: dict[str, Any], target: bool = False
    ) -> BatchEncoding:
        """Encode the texts of one side: what the model reads, or (target) what it should write."""
        for name in _FLAGS:
            # None leaves it to the tokenizer.
            if given[name] is not None or name not in _TOKENIZERS_CHOICE:
                given[name] = call_options.read_flag(name, given[name])
        options = self._read_options(**given)
        rows = call_options.read_rows(
            text, text_pair, options.is_split_into_words, "text_target" if target else "text"
        )
        return self._encode_rows(rows, options, target)

    def _read_options(
        self,
        padding: Any,
        truncation: Any,
        max_length: Any,
        stride: Any,
        pad_to_multiple_of: Any,
        padding_side: Any,
        return_token_type_ids: bool | None,
        return_attention_mask: bool | None,
        return_special_tokens_mask: bool,
        return_offsets_mapping: bool,
        return_length: bool,
        split_special_tokens: bool | None,
        verbose: bool,
        return_tensors: Any,
        **others: Any,
    ) -> Options:
        """Check the options of a call and settle their defaults."""
        # A length alone asks for truncation: that is how callers of old wrote it.
        if max_length is not None and truncation is None and padding is False:
            truncation = True
        padding = call_options.read_padding(padding)
        truncation = call_options.read_truncation(truncation)
        if max_length is not None:
            max_length = call_options.read_count("max_length", max_length)
        if pad_to_multiple_of is not None:
            pad_to_multiple_of = call_options.read_count(
                "pad_to_multiple_of", pad_to_multiple_of, 1
            )
        truncation, max_length = call_options.settle_lengths(
            padding, truncation, max_length, self.model_max_length, pad_to_multiple_of, verbose
        )
        if padding != "do_not_pad":
            self._check_pad_token()
        if return_tensors is not None:
            BatchEncoding().convert_to_tensors(return_tensors)
        defaults = self.model_input_names
        wanted = {
            "token_type_ids": return_token_type_ids,
            "attention_mask": return_attention_mask,
            "special_tokens_mask": return_special_tokens_mask,
            "offset_mapping": return_offsets_mapping,
            "length": return_length,
        }
        columns = ["input_ids"]
        columns += [
            name for name, want in wanted.items() if (name in defaults if want is None else want)
        ]
        return Options(
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            stride=call_options.read_count("stride", stride),
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=self._side(padding_side),
            truncation_side=call_options.read_side("truncation_side", self.truncation_side),
            split_special_tokens=(
                self.split_special_tokens if split_special_tokens is None else split_special_tokens
            ),
            verbose=verbose,
            return_tensors=return_tensors,
            columns=columns,
            **others,
        )

    def _side(self, padding_side: Any) -> str:
        side = self.padding_side if padding_side is None else padding_side
        return call_options.read_side("padding_side", side)

    def _check_pad_token(self) -> None:
        if self.pad_token is None or self.pad_token_id is None:
            raise InvalidInput(
                "Padding needs a padding token, and this tokenizer has none. Use the end token, "
                "tokenizer.pad_token = tokenizer.eos_token, or add one: "
                "tokenizer.add_special_tokens({'pad_token': '[PAD]'})."
            )

    def _encode_rows(self, rows: Rows, options: Options, target: bool = False) -> BatchEncoding:
        """Encode checked rows."""
        pad = {
            "pad_id": self.pad_token_id or 0,
            "pad_type_id": self.pad_token_type_id,
            "pad_token": self.pad_token or "",
        }
        pipeline = self._pipeline_for(options, target)
        encodings: Any
        if options.return_overflowing_tokens or batching.ALIGNED_COLUMNS & set(options.columns):
            windows = batching.aligned_rows(pipeline, rows, options, pad)
            columns = batching.aligned_columns(windows, options)
            encodings = [encoding for row in windows for encoding in row]
        else:
            columns = batching.fast_columns(pipeline, rows, options, pad)

            def encodings() -> list[Any]:
                windows = batching.aligned_rows(pipeline, rows, options, pad)
                return [encoding for row in windows for encoding in row]

        return self._finish(columns, encodings, rows, options)

    def _finish(
        self, columns: dict[str, Any], encodings: Any, rows: Rows, options: Options
    ) -> BatchEncoding:
        """Make the batch: warn about long rows, take the batch axis off a single text."""
        if options.verbose and options.max_length is None:
            self._warn_about_length(max(map(len, columns["input_ids"])))
        single = not rows.batched and not options.return_overflowing_tokens
        if single and options.return_tensors is None:
            columns = {
                name: column[0] if isinstance(column[0], list) else column
                for name, column in columns.items()
            }
        n_sequences = 1 if rows.pairs[0] is None else 2
        return BatchEncoding(columns, encodings, options.return_tensors, n_sequences=n_sequences)

    def _pipeline_for(self, options: Options, target: bool) -> Pipeline:
        pipeline = self._target_pipeline() if target else self.pipeline
        if not options.split_special_tokens:
            return pipeline
        splitting = copy.copy(pipeline)
        splitting.added_tokens = pipeline.added_tokens.without_special()
        return splitting

    def _target_pipeline(self) -> Pipeline:
        """What encodes text_target; a translation model's tokenizer has another one for it."""
        return self.pipeline

    def _warn_about_length(self, length: int) -> None:
        if length > self.model_max_length and not self._warned_about_length:
            self._warned_about_length = True
            call_options.warn(
                f"A row has {length} tokens, and the model takes {self.model_max_length}. Pass "
                "truncation=True."
            )

    def encode(
        self,
        text: Any,
        text_pair: Any = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Turn a text into token ids alone.

        text, text_pair, …: as for a call of the tokenizer

        Returns a list of ids (T), or a tensor (1, T) with return_tensors.
        """
        batch = self(
            text,
            text_pair,
            add_special_tokens=add_special_tokens,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            stride=stride,
            padding_side=padding_side,
            return_tensors=return_tensors,
            **kwargs,
        )
        return batch["input_ids"]

    def tokenize(
        self, text: Any, pair: Any = None, add_special_tokens: bool = False, **kwargs: Any
    ) -> list[str]:
        """Turn a text into tokens, as strings.

        text, pair: a string, or its words with is_split_into_words=True
        add_special_tokens: show those, too
        kwargs: as for a call of the tokenizer
        """
        if isinstance(text, (list, tuple)) and not kwargs.get("is_split_into_words"):
            raise WrongType(
                "tokenize takes one text, and got a list. Call it for each, or pass "
                "is_split_into_words=True when the list is the words of one text."
            )
        return self(text, pair, add_special_tokens=add_special_tokens, **kwargs).tokens()

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a call adds to a text, or to a pair of texts."""
        return self.pipeline.num_special_tokens_to_add(pair)

    @property
    def max_len_single_sentence(self) -> int:
        """How many tokens of text the model takes beside the special tokens."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=False)

    @property
    def max_len_sentences_pair(self) -> int:
        """How many tokens of a pair of texts the model takes beside the special tokens."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    @property
    def add_bos_token(self) -> bool:
        """Whether a call puts bos_token before a text; can be set."""
        return self._starts_and_ends()[0]

    @add_bos_token.setter
    def add_bos_token(self, value: bool) -> None:
        self._set_start_and_end(bool(value), self._starts_and_ends()[1])

    @property
    def add_eos_token(self) -> bool:
        """Whether a call puts eos_token behind a text; can be set."""
        return self._starts_and_ends()[1]

    @add_eos_token.setter
    def add_eos_token(self, value: bool) -> None:
        self._set_start_and_end(self._starts_and_ends()[0], bool(value))

    def _starts_and_ends(self) -> tuple[bool, bool]:
        # A stand-in for the text shows what the post-processor puts around it.
        row, _ = self.pipeline.build_inputs([-1], None, True)
        return row[0] == self.bos_token_id, row[-1] == self.eos_token_id

    def _set_start_and_end(self, start: bool, end: bool) -> None:
        """Let the post-processor add bos_token and eos_token, and nothing else."""
        for wanted, role in ((start, "bos_token"), (end, "eos_token")):
            if wanted and getattr(self, role) is None:
                raise InvalidInput(
                    f"add_{role} needs a {role}, and this tokenizer has none. Set it first."
                )
        from minilm.tokenization.older_files import bos_eos_template
        from minilm.tokenization.post_processors import post_processor_from_json

        template = bos_eos_template(self, start, end)
        self.pipeline.post_processor = post_processor_from_json(template)

    # -- from ids to text ----------------------------------------------------------------------

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Turn token ids back into text.

        token_ids: one id, one row (T) or a batch (B, T): lists, arrays, tensors, or a BatchEncoding
        skip_special_tokens: leave special tokens out
        clean_up_tokenization_spaces: take away spaces before punctuation; None = as the tokenizer
            says. Has no effect on BPE, which keeps the text's own spaces.

        Returns a string, or a list of strings for a batch.
        Raises `OutOfRange` for an id that no token has, `WrongType` for what is no whole number.
        (transformers drops unknown ids in silence.)
        """
        call_options.refuse_unknown(
            set(kwargs) - {"use_source_tokenizer", "spaces_between_special_tokens"},
            ("token_ids", "skip_special_tokens", "clean_up_tokenization_spaces"),
            "decode",
        )
        ids = _as_lists(token_ids)
        if isinstance(ids, int):
            ids = [ids]
        clean = self._cleans_up(clean_up_tokenization_spaces)
        if list in set(map(type, ids)):
            return [
                self._decode_row(row, skip_special_tokens, clean, f"row {i}, ", **kwargs)
                for i, row in enumerate(ids)
            ]
        return self._decode_row(ids, skip_special_tokens, clean, **kwargs)

    def batch_decode(
        self,
        sequences: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Turn a batch of token ids back into texts: `decode` that always returns a list."""
        texts = self.decode(sequences, skip_special_tokens, clean_up_tokenization_spaces, **kwargs)
        return [texts] if isinstance(texts, str) else texts

    def _decode_row(
        self, ids: Any, skip_special_tokens: bool, clean: bool, where: str = "", **kwargs: Any
    ) -> str:
        ids = self._checked_ids(ids, where)
        if skip_special_tokens:
            ids = without_special_tokens(ids, self._skipped_ids())
        text = self._ids_to_text(ids, **kwargs)
        return self.clean_up_tokenization(text) if clean else text

    def _ids_to_text(self, ids: list[int], **kwargs: Any) -> str:
        text = self.pipeline.decode(ids)
        suffix = getattr(self.pipeline.model, "end_of_word_suffix", None)
        if suffix and type(self.pipeline.decoder).__name__ == "ByteLevel":
            # CLIP's tokens say where a word ends, and its decoder leaves that in the text.
            text = text.replace(suffix, " ").strip()
        return text

    def _skipped_ids(self) -> set[int]:
        """The ids that skip_special_tokens skips: of added tokens marked as special."""
        added = self.pipeline.added_tokens
        return {
            added.by_content[token] for token in added.special_contents if token in added.by_content
        }

    def _checked_ids(self, ids: Any, where: str = "") -> list[int]:
        """Check that each id is a whole number that some token has."""
        if not isinstance(ids, list):
            raise WrongType(
                f"A batch of token ids is a list of rows, and {where.rstrip(', ')} is "
                f"{kind_of(ids)}. Give rows alone, or ids alone."
            )
        to_token = self._token_of
        plain = set(map(type, ids)) <= {int} and min(ids, default=0) >= 0
        if plain and None not in map(to_token, set(ids)):
            return ids
        # Something is wrong: look for the first place.
        for position, number in enumerate(ids):
            if type(number) is not int:
                raise WrongType(
                    f"A token id is a whole number, and {where}position {position} holds "
                    f"{number!r} ({type(number).__name__})."
                )
            if number < 0 or to_token(number) is None:
                hint = ""
                if number == -100:
                    hint = " -100 marks labels to ignore: put pad_token_id in its place."
                raise OutOfRange(
                    f"No token has the id {number} ({where}position {position}); the vocabulary "
                    f"has {len(self)} tokens.{hint}"
                )
        return ids

    def _token_of(self, number: int) -> str | None:
        return self.pipeline.id_to_token(number)

    def _cleans_up(self, asked: bool | None) -> bool:
        """Whether decoding takes away spaces before punctuation."""
        # The rules are for WordPiece. BPE decodes to the text as it was; they would damage it.
        is_bpe = type(self.pipeline.model).__name__ == "BPE"
        if is_bpe and asked:
            call_options.warn(
                "clean_up_tokenization_spaces has no effect on BPE, which keeps the text's own "
                "spaces. Leave it out."
            )
        return not is_bpe and (self.clean_up_tokenization_spaces if asked is None else asked)

    @staticmethod
    def clean_up_tokenization(text: str) -> str:
        """Take away the spaces that splitting at punctuation leaves: "do n't !" → "don't!"."""
        from minilm.tokenization.decoders import CLEANUP

        for before, after in CLEANUP:
            if before != " do not":  # a rule of the WordPiece decoder alone
                text = text.replace(before, after)
        return text

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """From token to id.

        tokens: one token or a list

        Returns an id or a list of ids. A token that is not in the vocabulary gets the unknown
        token's id; None, if there is no unknown token.
        """
        if isinstance(tokens, str):
            number = self._id_of(tokens)
            if number is None and tokens != self.unk_token:
                number = self.unk_token_id
            return number
        return [self.convert_tokens_to_ids(token) for token in token_list(tokens)]

    def _id_of(self, token: str) -> int | None:
        return self.pipeline.token_to_id(token)

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """From id to token, as the vocabulary writes it.

        ids: one id or a row of them
        skip_special_tokens: leave special tokens out

        Returns a token or a list of tokens. Raises `OutOfRange` for an id that no token has.
        """
        row = _as_lists(ids)
        if isinstance(row, int):
            return self._token_of(self._checked_ids([row])[0])
        row = self._checked_ids(row)
        if skip_special_tokens:
            row = without_special_tokens(row, set(self.all_special_ids))
        return [self._token_of(number) for number in row]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """From tokens, as the vocabulary writes them, to text."""
        return self.pipeline.decode_tokens(token_list(tokens))

    # -- padding afterwards --------------------------------------------------------------------

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad what was tokenized before, one row or a batch.

        encoded_inputs: a BatchEncoding or dict, or a list of them (as a data loader collects them)
        padding, max_length, pad_to_multiple_of, padding_side, return_tensors: as for a call
        return_attention_mask: whether to add a mask where there is none; None = as the tokenizer's
            model_input_names say

        Returns the padded columns. Arrays and tensors come back as what they were.
        """
        from minilm.tokenization.padding import pad_columns

        kind = call_options.read_padding(padding)
        if max_length is not None:
            max_length = call_options.read_count("max_length", max_length)
        if pad_to_multiple_of is not None:
            pad_to_multiple_of = call_options.read_count(
                "pad_to_multiple_of", pad_to_multiple_of, 1
            )
        _, max_length = call_options.settle_lengths(
            kind, "do_not_truncate", max_length, self.model_max_length, pad_to_multiple_of, verbose
        )
        if kind != "do_not_pad":
            self._check_pad_token()
        options = Options(
            padding=kind,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=self._side(padding_side),
        )
        if return_attention_mask is None:
            return_attention_mask = "attention_mask" in self.model_input_names
        fill = {
            "input_ids": self.pad_token_id,
            "attention_mask": 0,
            "token_type_ids": self.pad_token_type_id,
            "special_tokens_mask": 1,
        }
        columns, tensors = pad_columns(encoded_inputs, options, fill, return_attention_mask)
        return BatchEncoding(columns, tensor_type=return_tensors or tensors)

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for each special token of a row, 0 for the others.

        token_ids_0, token_ids_1: ids of a text, and of its pair
        already_has_special_tokens: whether token_ids_0 is a finished row; otherwise the mask is
            that of the row these texts become
        """
        if already_has_special_tokens:
            if token_ids_1 is not None:
                raise InvalidInput(
                    "A row that has its special tokens already is given as token_ids_0 alone."
                )
            special = set(self.all_special_ids)
            return [int(number in special) for number in self._checked_ids(_as_lists(token_ids_0))]
        # Stand-ins that no special token has, to see which entries come from the texts.
        first = [-1] * len(self._checked_ids(_as_lists(token_ids_0)))
        second = None if token_ids_1 is None else [-1] * len(_as_lists(token_ids_1))
        row, _ = self.pipeline.build_inputs(first, second, True)
        return [int(number != -1) for number in row]

    # -- the vocabulary ------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.pipeline.vocab_size

    def __bool__(self) -> bool:
        return True  # also with an empty vocabulary: `if tokenizer:` asks whether there is one

    @property
    def vocab_size(self) -> int:
        """How many tokens the model's vocabulary has, added tokens not counted."""
        return len(self.pipeline.model.vocab)

    def get_vocab(self) -> dict[str, int]:
        """Token → id, added tokens included."""
        return self.pipeline.get_vocab(with_added_tokens=True)

    @property
    def vocab(self) -> dict[str, int]:
        """Token → id, added tokens included."""
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id → added token, by id."""
        return dict(sorted(self.pipeline.added_tokens.by_id.items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """Added token → id, by id."""
        return {token.content: number for number, token in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        """Added token → id, by id."""
        return self.added_tokens_encoder

    @property
    def is_fast(self) -> bool:
        """Whether offsets and words are known, as with transformers' fast tokenizers."""
        return True

    @property
    def backend_tokenizer(self) -> Pipeline:
        """The pipeline below, where transformers has its tokenizers.Tokenizer."""
        return self.pipeline

    # -- files and training --------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, **kwargs: Any
    ) -> PreTrainedTokenizer:
        """Load a tokenizer from a folder, as `AutoTokenizer.from_pretrained`."""
        from minilm.tokenization.auto_tokenizer import AutoTokenizer

        return AutoTokenizer.from_pretrained(pretrained_model_name_or_path, **kwargs)

    # The class that tokenizer_config.json names; None = one that reads tokenizer.json as written.
    saved_class: str | None = None

    def vocabulary_files(self) -> dict[str, str | bytes]:
        """File name → content of the files that hold the vocabulary and how text is split."""
        return {"tokenizer.json": json.dumps(self.pipeline.to_json(), indent=2, ensure_ascii=False)}

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> tuple[str, ...]:
        """Write the tokenizer to a folder, for `from_pretrained` of minilm and of transformers.

        save_directory: the folder; made if it is missing
        legacy_format: True is refused: vocab.txt and merges.txt are read, and not written
        filename_prefix: put before each file's name, with a dash
        push_to_hub: True is refused: nothing is uploaded

        Returns the paths of the files. All are complete under temporary names before the first is
        renamed, so a process killed in between leaves the old files whole.
        """
        from minilm.tokenization import saving

        call_options.refuse_unknown(
            kwargs,
            ("save_directory", "legacy_format", "filename_prefix", "push_to_hub"),
            "save_pretrained",
        )
        if legacy_format:
            raise InvalidInput(
                "legacy_format=True is not supported: a tokenizer is saved as tokenizer.json."
            )
        if push_to_hub:
            raise InvalidInput("push_to_hub is not supported: save to a folder and upload that.")
        return saving.save(self, save_directory, filename_prefix)

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[str] | Iterable[Iterable[str]],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: Sequence[str | AddedToken] | None = None,
        special_tokens_map: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> PreTrainedTokenizer:
        """Train a tokenizer of the same kind on new texts: same steps and roles, new vocabulary.

        text_iterator: texts, or batches of texts; read once, as a stream
        vocab_size: how many tokens the new vocabulary may have, special tokens counted
        length: how many texts there are, for the progress bar
        new_special_tokens: special tokens to add
        special_tokens_map: old special token → new name
        kwargs: for the trainer, such as min_frequency or show_progress

        Returns the new tokenizer; this one stays as it is.
        Equals transformers' `train_new_from_iterator`, merge for merge with byte-level BPE.
        """
        from minilm.tokenization import retraining

        return retraining.retrain(
            self, text_iterator, vocab_size, length, new_special_tokens, special_tokens_map, kwargs
        )

    def __repr__(self) -> str:
        added = "".join(
            f"\n\t{number}: {token!r}," for number, token in self.added_tokens_decoder.items()
        )
        limit = self.model_max_length
        return (
            f"{type(self).__name__}(name_or_path='{self.name_or_path}', "
            f"vocab_size={self.vocab_size}, model_max_length={limit}, "
            f"padding_side='{self.padding_side}', truncation_side='{self.truncation_side}', "
            f"special_tokens={self.special_tokens_map}, "
            f"added_tokens_decoder={{{added}{chr(10) if added else ''}}})"
        )


def token_list(tokens: Any) -> list[str]:
    """Check that something is a list of tokens.

    tokens: a list, tuple, set or iterator of strings
    """
    row = list(tokens) if isinstance(tokens, (list, tuple, set, Iterator)) else None
    if row is None or not all(isinstance(token, str) for token in row):
        raise WrongType(f"Tokens are a list of strings, and not {tokens!r}.")
    return row


def _as_lists(ids: Any) -> Any:
    """Read ids given in any form: an int, a list, or a list of lists."""
    if isinstance(ids, Mapping):
        if "input_ids" not in ids:
            raise InvalidInput(
                f"To decode it needs the column 'input_ids', and there are {list(ids)}."
            )
        ids = ids["input_ids"]
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    if isinstance(ids, (str, bytes)) or ids is None:
        raise WrongType(
            f"Token ids are whole numbers, and {ids!r} is {kind_of(ids)}. For tokens there is "
            "convert_tokens_to_ids."
        )
    if isinstance(ids, (list, tuple, range, Iterator)):
        # A row of plain ints is the usual case, and needs no look at each of them.
        row = list(ids)
        if set(map(type, row)) <= {int}:
            return row
        return [
            _as_lists(entry)
            if hasattr(entry, "tolist") or isinstance(entry, (list, tuple))
            else entry
            for entry in row
        ]
    if isinstance(ids, bool) or not hasattr(ids, "__index__"):
        raise WrongType(f"Token ids are whole numbers, and {ids!r} is {kind_of(ids)}.")
    return operator.index(ids)


_CALL_ARGUMENTS = tuple(
    name
    for name in inspect.signature(PreTrainedTokenizer.__call__).parameters
    if name not in ("self", "unknown")
)
# Those that say how, and not what.
_CALL_OPTIONS = tuple(
    name
    for name in _CALL_ARGUMENTS
    if not name.startswith("text") and name not in ("max_target_length", "tokenizer_kwargs")
)
_TOKENIZERS_CHOICE = ("return_token_type_ids", "return_attention_mask", "split_special_tokens")
_FLAGS = (
    *_TOKENIZERS_CHOICE,
    "add_special_tokens",
    "is_split_into_words",
    "return_overflowing_tokens",
    "return_special_tokens_mask",
    "return_offsets_mapping",
    "return_length",
    "verbose",
)
