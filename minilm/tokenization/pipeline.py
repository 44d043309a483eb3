"""A whole tokenizer.json at work: cut, normalize, cut again, encode, put together; and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from minilm.errors import InvalidInput, MinilmError, OutOfRange
from minilm.tokenization import post_processors
from minilm.tokenization.added_tokens import AddedToken, AddedVocabulary, checked_text
from minilm.tokenization.aligned_text import AlignedText
from minilm.tokenization.decoders import Decoder, decoder_from_json
from minilm.tokenization.encoding import Encoding, join_encodings
from minilm.tokenization.normalizers import Normalizer, normalizer_from_json
from minilm.tokenization.post_processors import PostProcessor, post_processor_from_json
from minilm.tokenization.pre_tokenizers import (
    Metaspace,
    PreTokenizer,
    flat_steps,
    pre_tokenizer_from_json,
)

__all__ = ["AddedToken", "Encoding", "Pipeline"]

# How many words are remembered before all are forgotten, and how long a remembered word may be.
REMEMBERED_WORDS = 1 << 16
REMEMBERED_LENGTH = 64


# A token and its place: (id, token, start, end).
TokenAt = tuple[int, str, int, int]


class WordMemory(dict[str, Any]):
    """What has been worked out for each word, so that a word that comes again costs a look-up.

    work_out: word → what to remember

    It holds REMEMBERED_WORDS words and then starts anew; longer words are not kept.
    """

    def __init__(self, work_out: Callable[[str], Any]) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, word: str) -> Any:
        result = self._work_out(word)
        if len(word) <= REMEMBERED_LENGTH:
            if len(self) >= REMEMBERED_WORDS:
                self.clear()
            self[word] = result
        return result


class NoMemory(WordMemory):
    """Works out each word anew, for models that encode at random."""

    def __missing__(self, word: str) -> Any:
        return self._work_out(word)


class Pipeline:
    """The steps of a tokenizer.json and what they do to a text, as tokenizers' `Tokenizer`.

    model: the vocabulary and how it spells a word
    normalizer, pre_tokenizer, post_processor, decoder: the other steps; None = nothing is done
    truncation, padding: the sections of these names, kept as they are

    There are two ways through. `encode_ids` knows only strings and is fast: what becomes of a
    word depends on the word alone, and is remembered. `encode` also keeps track of where in the
    text each token came from. Both give the same ids.
    """

    def __init__(
        self,
        model: Any,
        *,
        normalizer: Normalizer | None = None,
        pre_tokenizer: PreTokenizer | None = None,
        post_processor: PostProcessor | None = None,
        decoder: Decoder | None = None,
        added_tokens: Iterable[AddedToken] = (),
        truncation: dict[str, Any] | None = None,
        padding: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.post_processor = post_processor
        self.decoder = decoder
        self.truncation = truncation
        self.padding = padding
        self._normalizer = normalizer
        self._pre_tokenizer = pre_tokenizer
        self.added_tokens = AddedVocabulary(
            model.token_to_id, lambda: len(model.vocab), self._normalized
        )
        self.added_tokens.add(added_tokens)
        self._prepare()

    # Reading and writing

    @classmethod
    def from_json(cls, data: Any) -> Pipeline:
        """Make the pipeline that a tokenizer.json describes.

        data: the parsed file

        Raises InvalidInput, naming the section, where something is missing, wrong or unknown.
        """
        if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
            raise InvalidInput(
                "This is no tokenizer.json: an object with a 'model' section was expected"
                + (f", and it has {', '.join(map(repr, data))}." if isinstance(data, dict) else ".")
            )
        added = data.get("added_tokens") or []
        if not isinstance(added, list):
            raise InvalidInput(
                f"In tokenizer.json, 'added_tokens' is {added!r:.60}; a list was expected. "
                "Compare the file with its original."
            )
        for name in ("truncation", "padding"):
            if not isinstance(data.get(name), (dict, type(None))):
                raise InvalidInput(
                    f"In tokenizer.json, {name!r} is {data[name]!r:.60}; an object or null was "
                    "expected. Compare the file with its original."
                )
        return cls(
            model_from_json(data["model"]),
            normalizer=normalizer_from_json(data.get("normalizer")),
            pre_tokenizer=pre_tokenizer_from_json(data.get("pre_tokenizer")),
            post_processor=post_processor_from_json(data.get("post_processor")),
            decoder=decoder_from_json(data.get("decoder")),
            added_tokens=[AddedToken.from_json(token) for token in added],
            truncation=data.get("truncation"),
            padding=data.get("padding"),
        )

    def to_json(self) -> dict[str, Any]:
        """The tokenizer.json that `from_json` makes this pipeline from."""
        pieces = {
            "normalizer": self.normalizer,
            "pre_tokenizer": self.pre_tokenizer,
            "post_processor": self.post_processor,
            "decoder": self.decoder,
        }
        return {
            "version": "1.0",
            "truncation": self.truncation,
            "padding": self.padding,
            "added_tokens": self.added_tokens.to_json(),
            **{name: piece and piece.to_json() for name, piece in pieces.items()},
            "model": self.model.to_json(),
        }

    # The steps

    @property
    def normalizer(self) -> Normalizer | None:
        """What changes the text before it is cut."""
        return self._normalizer

    @normalizer.setter
    def normalizer(self, normalizer: Normalizer | None) -> None:
        self._normalizer = normalizer
        self.added_tokens.refresh()
        self._prepare()

    @property
    def pre_tokenizer(self) -> PreTokenizer | None:
        """What cuts the text into words."""
        return self._pre_tokenizer

    @pre_tokenizer.setter
    def pre_tokenizer(self, pre_tokenizer: PreTokenizer | None) -> None:
        self._pre_tokenizer = pre_tokenizer
        self._prepare()

    def _normalized(self, text: str) -> str:
        return text if self._normalizer is None else self._normalizer.normalize(text)

    def _prepare(self) -> None:
        """Lay out the fast way: the first step cuts the text, the others its pieces."""
        steps = flat_steps(self._pre_tokenizer)
        self._first, self._others = (steps[0] if steps else None), steps[1:]
        # Whether a piece stands at the very beginning of the original is known without
        # alignments only as long as nothing has changed or cut it before.
        self._needs_alignment = any(step.needs_position() for step in self._others) or (
            self._first is not None
            and self._first.needs_position()
            and self._normalizer is not None
        )
        memory = NoMemory if getattr(self.model, "is_random", False) else WordMemory
        self._word_ids = memory(self._encode_word)
        self._piece_ids = memory(self._encode_piece) if self._others else self._word_ids
        self._piece_tokens = memory(self._encode_piece_with_offsets)
        self._word_tokens = memory(self._encode_word_with_offsets)

    def clear_cache(self) -> None:
        """Forget the words that have been encoded."""
        self._prepare()
        if hasattr(self.model, "clear_cache"):
            self.model.clear_cache()

    # The fast way

    def encode_ids(self, text: str) -> list[int]:
        """The ids of a text, without what the post-processor adds.

        text: any text without lone surrogates
        """
        checked_text(text)
        if self._needs_alignment:
            return self.encode(text).ids
        added = self.added_tokens
        ids: list[int] = []
        position = 0
        for piece, number in added.cut(text, normalized=False):
            at_beginning = position == 0
            position += len(piece)
            if number is not None:
                ids.append(number)
                continue
            for part, part_number in added.cut(self._normalized(piece), normalized=True):
                if part_number is not None:
                    ids.append(part_number)
                elif part:
                    ids += self._encode_part(part, at_beginning)
                at_beginning = at_beginning and not part
        return ids

    def encode_words_ids(self, words: Sequence[str]) -> list[int]:
        """The ids of a text that comes as a list of words, each encoded by itself."""
        return [number for word in words for number in self.encode_ids(word)]

    def _encode_part(self, text: str, at_beginning: bool) -> Iterable[int]:
        first = self._first
        if first is None:
            return self.model.encode(text)
        if isinstance(first, Metaspace):
            words = first.words(text, at_beginning)
        else:
            words = first.words(text)
        return chain.from_iterable(map(self._piece_ids.__getitem__, words))

    def _encode_piece(self, piece: str) -> list[int]:
        """The ids of a piece that the first step cut out."""
        assert self._first is not None
        pieces = [self._first.spelled(piece)]
        for step in self._others[:-1]:
            pieces = [word for piece in pieces for word in step.split(piece)]
        words = [word for piece in pieces for word in self._others[-1].words(piece)]
        return list(chain.from_iterable(map(self._word_ids.__getitem__, words)))

    def _encode_word(self, word: str) -> list[int]:
        last = self._others[-1] if self._others else self._first
        assert last is not None
        return self.model.encode(last.spelled(word))

    # The way with alignments

    def encode(self, text: str | Sequence[str]) -> Encoding:
        """The tokens of a text with their origins, without what the post-processor adds.

        text: any text without lone surrogates, or a list of words, each encoded by itself; then
            offsets count within the word, and word_ids number the words given
        """
        if isinstance(text, str):
            return self._encode_aligned(text, None)
        return join_encodings(
            [self._encode_aligned(word, number) for number, word in enumerate(text)]
        )

    def _encode_aligned(self, text: str, word_id: int | None) -> Encoding:
        result = Encoding()
        number = 0 if word_id is None else word_id
        for part, token in self._aligned_parts(checked_text(text)):
            words: Iterable[list[TokenAt]]
            if token is not None:
                words = [[(token.id or 0, part.text, *part.offsets(0, len(part)))]]
            else:
                words = self._words_with_offsets(part)
            for word in words:
                for token_id, content, start, end in word:
                    result.ids.append(token_id)
                    result.tokens.append(content)
                    result.offsets.append((start, end))
                result.word_ids += [number] * len(word)
                number += word_id is None
        length = len(result.ids)
        result.type_ids = [0] * length
        result.special_tokens_mask = [0] * length
        result.attention_mask = [1] * length
        return result

    def _aligned_parts(self, text: str) -> Iterable[tuple[AlignedText, AddedToken | None]]:
        """The added tokens of a text and the normalized parts between them, none empty."""
        whole = AlignedText(text)
        for start, end, token in self.added_tokens.find(text, normalized=False):
            piece = whole.slice(start, end)
            if token is not None:
                yield piece, token
                continue
            if self._normalizer is not None:
                piece = self._normalizer.normalize_aligned(piece)
            for first, last, inner in self.added_tokens.find(piece.text, normalized=True):
                if first < last:
                    yield piece.slice(first, last), inner

    def _words_with_offsets(self, part: AlignedText) -> Iterable[list[TokenAt]]:
        """The tokens of a part, word by word, with their places in the original."""
        if self._first is None:
            yield self._tokens_at(part)
        elif any(step.needs_position() for step in self._others):
            for word in self._first.split_aligned(part):
                yield from self._split_further(word)
        else:
            part = self._first.prepare(part)
            for start, end in self._first.spans(part.text):
                # What becomes of a word depends on the word alone, but for where it stands.
                starts, ends = part.starts[start:end], part.ends[start:end]
                for word in self._piece_tokens[part.text[start:end]] if start < end else ():
                    yield [
                        (token_id, content, starts[first], ends[last - 1])
                        for token_id, content, first, last in word
                    ]

    def _encode_piece_with_offsets(self, piece: str) -> list[list[TokenAt]]:
        assert self._first is not None
        return list(self._split_further(self._first.spell(AlignedText(piece))))

    def _split_further(self, piece: AlignedText) -> Iterable[list[TokenAt]]:
        """The tokens of a piece that the first step cut out, word by word."""
        pieces = [piece]
        for step in self._others:
            pieces = [word for piece in pieces for word in step.split_aligned(piece)]
        return map(self._tokens_at, pieces)

    def _tokens_at(self, word: AlignedText) -> list[TokenAt]:
        return [
            (token_id, content, *word.offsets(start, end))
            for token_id, content, start, end in self._word_tokens[word.text]
        ]

    def _encode_word_with_offsets(self, word: str) -> list[TokenAt]:
        """The tokens of a word as the model sees it, with their places in that word."""
        unk_id = getattr(self.model, "unk_id", None)
        id_to_token = self.model.id_to_token
        return [
            # Unigram tells an unknown piece by its own letters.
            (number, word[start:end] if number == unk_id else id_to_token(number), start, end)
            for number, start, end in self.model.encode_with_offsets(word)
        ]

    # Special tokens

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens are put around one text, or around a pair."""
        return 0 if self.post_processor is None else self.post_processor.added(pair)

    def build_inputs(
        self, ids: list[int], pair_ids: list[int] | None = None, add_special_tokens: bool = True
    ) -> tuple[list[int], list[int]]:
        """The ids of one or two texts with the special tokens around them, and the token types.

        ids, pair_ids: from `encode_ids`
        add_special_tokens: False leaves the special tokens out
        """
        pair = pair_ids is not None
        sequences = {"A": ids} | ({} if pair_ids is None else {"B": pair_ids})
        template = [("A", 0), ("B", 1)] if pair else [("A", 0)]
        special: dict[str, list[int]] = {}
        for step in post_processors.template_steps(self.post_processor):
            template = step.template(pair) or template
            special = step.special_ids()
            if not add_special_tokens:
                special = {name: [] for name in special}
        filled_ids, type_ids = post_processors.fill_template(template, sequences, special)
        return list(filled_ids), list(type_ids)

    def post_process(
        self, encoding: Encoding, pair: Encoding | None = None, add_special_tokens: bool = True
    ) -> Encoding:
        """One or two encodings with the special tokens around them.

        encoding, pair: from `encode`, maybe truncated; what overflows is combined in tokenizers'
            order. Both are left as they are.

        One difference: without a post-processor, tokenizers counts the second text to the first
        in what overflows of a pair. Here `sequence_ids` tells them apart there too.
        """
        encodings = [encoding.copy()] + ([] if pair is None else [pair.copy()])
        for number, part in enumerate(encodings):
            for one in (part, *part.overflowing):
                one.set_sequence(number)
                one.type_ids = [number] * len(one)
        if self.post_processor is not None:
            encodings = self.post_processor.process(encodings, add_special_tokens)
        return join_encodings(encodings)

    # Back to text

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = False) -> str:
        """The text that some ids stand for.

        ids: the numbers of tokens
        skip_special_tokens: leave out the tokens that were added as special ones

        Raises OutOfRange for a number that no token has.
        """
        ids = list(ids)
        # A text has far fewer different tokens than tokens: look each up once.
        token_of = {number: self.id_to_token(number) for number in set(ids)}
        for number, token in token_of.items():
            if token is None:
                raise OutOfRange(
                    f"No token has the id {number!r}; the vocabulary has "
                    f"{self.vocab_size} tokens. Decode only ids that this tokenizer made."
                )
        special = self.added_tokens.special_contents if skip_special_tokens else ()
        tokens: list[Any] = [token_of[number] for number in ids]
        if special:
            tokens = [token for token in tokens if token not in special]
        return self.decode_tokens(tokens)

    def decode_tokens(self, tokens: list[str]) -> str:
        """The text that some tokens stand for; without a decoder, the tokens between spaces."""
        if self.decoder is None:
            return " ".join(tokens)
        return "".join(self.decoder.decode(tokens))

    # The vocabulary

    def token_to_id(self, token: str) -> int | None:
        """The number of a token, or None."""
        return self.added_tokens.token_to_id(token)

    def id_to_token(self, number: int) -> str | None:
        """The token of a number, or None."""
        added = self.added_tokens.id_to_token.get(number)
        return self.model.id_to_token(number) if added is None else added

    def get_vocab(self, with_added_tokens: bool = True) -> dict[str, int]:
        """All tokens and their numbers."""
        return dict(self.model.vocab) | (self.added_tokens.by_content if with_added_tokens else {})

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, the added ones included."""
        known = self.model.vocab
        return len(known) + sum(token not in known for token in self.added_tokens.by_content)

    def add_tokens(self, tokens: Iterable[AddedToken]) -> int:
        """Add tokens to the vocabulary; returns how many were new or changed."""
        return self.added_tokens.add(tokens)

    def split_for_training(self, text: str) -> list[str]:
        """The words that a trainer counts: the text normalized and cut, added tokens unheeded."""
        text = self._normalized(checked_text(text))
        if self._pre_tokenizer is None or not text:
            return [text] if text else []
        if self._pre_tokenizer.needs_position():
            words = self._pre_tokenizer.split_aligned(AlignedText(text))
            return [word.text for word in words]
        return self._pre_tokenizer.split(text)


def model_from_json(data: dict[str, Any]) -> Any:
    """The model that the section "model" of a tokenizer.json describes.

    data: the section; without a `type`, as old files have it, its other fields tell

    Raises InvalidInput where something is missing, wrong or unknown.
    """
    from minilm.tokenization.bpe_model import BPE
    from minilm.tokenization.unigram import Unigram
    from minilm.tokenization.word_level import WordLevel
    from minilm.tokenization.wordpiece import WordPiece

    models: dict[str, Any] = {
        "BPE": BPE,
        "Unigram": Unigram,
        "WordLevel": WordLevel,
        "WordPiece": WordPiece,
    }
    kind = data.get("type")
    if kind is None:
        if "merges" in data:
            kind = "BPE"
        elif isinstance(data.get("vocab"), list):
            kind = "Unigram"
        elif "max_input_chars_per_word" in data or "continuing_subword_prefix" in data:
            kind = "WordPiece"
        else:
            kind = "WordLevel"
    if not isinstance(kind, str) or kind not in models:
        raise InvalidInput(
            f"In tokenizer.json, the model has the unknown type {kind!r}. "
            f"Known are: {', '.join(models)}."
        )
    try:
        return models[kind].from_json(data)
    except MinilmError as error:
        raise InvalidInput(f"In tokenizer.json, the model of type {kind!r}: {error}") from None
