"""The BPE model of a tokenizer.json: vocabulary, merges, and everything the file can say of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, NoReturn

from minilm.errors import InvalidInput, UnknownToken
from minilm.tokenization import bpe, byte_fallback
from minilm.tokenization.vocabulary import checked_vocab, field

# From this many symbols on, the heap form of the merges is the faster one.
_LONG = 24
# How many short stretches of long words a model remembers before it forgets them all; and how
# many whole long words (rows of dashes, indentation), up to a length.
_REMEMBERED = 1 << 16
_REMEMBERED_WORDS = 1 << 9
_REMEMBERED_LENGTH = 1000
_BYTE_PIECES = {f"<0x{byte:02X}>" for byte in range(256)}
# What the section says of the model; other fields are kept as they are.
_FIELDS = {
    "type",
    "dropout",
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
    "merge_ranks",
    "vocab",
    "merges",
}


class BPE:
    """Byte-pair encoding with learned merges (Sennrich et al. 2016).

    vocab: token → id
    merges: pairs of tokens, the one learned first in front; a pair may be written "a b"
    dropout: pass over each possible merge with this probability (Provilkov et al. 2020); None or 0
        for never. A file that says so encodes at random, as in tokenizers; `model.random` is the
        source, which can be seeded
    unk_token: stands for a character that is no token; None = such characters vanish
    continuing_subword_prefix: goes before every character of a word but the first
    end_of_word_suffix: goes after the last character of a word
    fuse_unk: neighbouring unknown characters become one unknown token
    byte_fallback: spell unknown characters as byte pieces, "<0xC3>", where the vocabulary has them
    ignore_merges: a word that is a token is that token, whatever the merges say
    merge_ranks: the rank of each merge; its position unless given. Merges of one rank are done
        from left to right

    Raises InvalidInput for merges that name unknown tokens, and for an id given twice.
    Equals tokenizers' `BPE` model on ids and offsets.
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        merges: Iterable[Sequence[str]],
        *,
        dropout: float | None = None,
        unk_token: str | None = None,
        continuing_subword_prefix: str | None = None,
        end_of_word_suffix: str | None = None,
        fuse_unk: bool = False,
        byte_fallback: bool = False,
        ignore_merges: bool = False,
        merge_ranks: Sequence[int] | None = None,
    ) -> None:
        if dropout is not None and not 0 <= dropout <= 1:
            raise InvalidInput(f"dropout is {dropout}. It is a probability: give 0 to 1, or None.")
        self.vocab = checked_vocab(vocab)
        self.dropout = dropout
        self.unk_token = unk_token
        self.continuing_subword_prefix = continuing_subword_prefix
        self.end_of_word_suffix = end_of_word_suffix
        self.fuse_unk = fuse_unk
        self.byte_fallback = byte_fallback
        self.ignore_merges = ignore_merges
        self.merge_ranks = None if merge_ranks is None else list(merge_ranks)
        self.merges = self._read_merges(merges)
        self.random = random.Random()
        self._tokens = dict(zip(self.vocab.values(), self.vocab, strict=True))
        self._other_fields: dict[str, Any] = {}
        self._rank_merges()
        self._stretches: dict[str, list[int]] = {}
        self._long_words: dict[str, list[int]] = {}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BPE:
        """Read the "model" section of a tokenizer.json.

        data: the section; merges as "a b" or as ["a", "b"]
        """
        text, flag = (str, type(None)), (bool, type(None))
        model = cls(
            field(data, "vocab", Mapping, ...),
            field(data, "merges", list, ...),
            dropout=field(data, "dropout", (float, int, type(None)), None),
            unk_token=field(data, "unk_token", text, None),
            continuing_subword_prefix=field(data, "continuing_subword_prefix", text, None),
            end_of_word_suffix=field(data, "end_of_word_suffix", text, None),
            fuse_unk=bool(field(data, "fuse_unk", flag, None)),
            byte_fallback=bool(field(data, "byte_fallback", flag, None)),
            ignore_merges=bool(field(data, "ignore_merges", flag, None)),
            merge_ranks=field(data, "merge_ranks", (list, type(None)), None),
        )
        model._other_fields = {name: data[name] for name in data if name not in _FIELDS}
        return model

    @classmethod
    def from_piece_scores(
        cls,
        scores: Mapping[str, float],
        vocab: Mapping[str, int] | None = None,
        *,
        unk_token: str | None = "<unk>",
        fuse_unk: bool = True,
        byte_fallback: bool = False,
    ) -> BPE:
        """Make the model that SentencePiece's BPE is: of all neighbours the best piece is merged.

        scores: piece → score, for the pieces that a merge may bring about (not the control
            symbols, the unknown piece or the byte pieces); the highest score is merged first
        vocab: piece → id, for all pieces; the position in `scores` unless given
        unk_token, fuse_unk, byte_fallback: as for the class

        Every way to cut a piece into two pieces is a merge, and all of them have the rank of its
        score, so that of equally good places the leftmost is merged. A list of merges ranks every
        cut apart, and cannot say that: with pieces of one score it merges in the wrong order.
        Equals the sentencepiece library's own BPE.
        """
        rank_of = {score: i for i, score in enumerate(sorted(set(scores.values()), reverse=True))}
        merges = [
            (piece[:cut], piece[cut:])
            for piece in sorted(scores, key=lambda piece: rank_of[scores[piece]])
            # The longer left part first: a reader who ranks every cut apart then does best, since
            # merging from the left makes the left part the longer one.
            for cut in range(len(piece) - 1, 0, -1)
            if piece[:cut] in scores and piece[cut:] in scores
        ]
        return cls(
            {piece: number for number, piece in enumerate(scores)} if vocab is None else vocab,
            merges,
            unk_token=unk_token,
            fuse_unk=fuse_unk,
            byte_fallback=byte_fallback,
            merge_ranks=[rank_of[scores[left + right]] for left, right in merges],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the "model" section of a tokenizer.json, with every field that was read."""
        # tokenizers passes over "merge_ranks", which is why the field can be there at all.
        ranks = {} if self.merge_ranks is None else {"merge_ranks": list(self.merge_ranks)}
        return {
            "type": "BPE",
            "dropout": self.dropout,
            "unk_token": self.unk_token,
            "continuing_subword_prefix": self.continuing_subword_prefix,
            "end_of_word_suffix": self.end_of_word_suffix,
            "fuse_unk": self.fuse_unk,
            "byte_fallback": self.byte_fallback,
            "ignore_merges": self.ignore_merges,
            **self._other_fields,
            **ranks,
            "vocab": dict(self.vocab),
            "merges": [list(merge) for merge in self.merges],
        }

    @property
    def is_random(self) -> bool:
        """Whether a word can be encoded in several ways, so that no result may be kept."""
        return bool(self.dropout)

    def token_to_id(self, token: str) -> int | None:
        """Return the id of a token, or None."""
        return self.vocab.get(token)

    def id_to_token(self, number: int) -> str | None:
        """Return the token of an id, or None."""
        return self._tokens.get(number)

    def clear_cache(self) -> None:
        """Forget the stretches of long texts that have been encoded."""
        self._stretches.clear()
        self._long_words.clear()

    def encode(self, word: str) -> list[int]:
        """Return the ids of one word, or of a whole text where nothing cuts it into words."""
        if self.ignore_merges and not self.dropout and word in self.vocab:
            return [self.vocab[word]]
        if len(word) <= _LONG:
            return self._encode_stretch(word)
        if word in self._long_words:
            return list(self._long_words[word])
        known = self._stretches  # most stretches of a long text are words that come again
        ids: list[int] = []
        for stretch in self._cut(word):
            found = known.get(stretch)
            if found is None:
                found = self._encode_stretch(stretch)
                if len(stretch) <= _LONG and not self.dropout:
                    if len(known) >= _REMEMBERED:
                        known.clear()
                    known[stretch] = found
            ids += found
        if len(word) <= _REMEMBERED_LENGTH and not self.dropout:
            if len(self._long_words) >= _REMEMBERED_WORDS:
                self._long_words.clear()
            self._long_words[word] = list(ids)
        return ids

    def encode_with_offsets(self, word: str) -> list[tuple[int, int, int]]:
        """Return (id, start, end) for each token of a word, positions in characters.

        As in tokenizers the tokens share out the word's bytes among them in order, so that behind
        a character that vanished (there is no unknown token) they lie too far left.
        """
        if self.ignore_merges and not self.dropout and word in self.vocab:
            return [(self.vocab[word], 0, len(word))]
        character_at = [i for i, c in enumerate(word) for _ in c.encode("utf-8")]
        skipped = len(self.continuing_subword_prefix or "")
        last_byte = len(character_at) - 1
        result = []
        start = 0
        for stretch in self._cut(word) if len(word) > _LONG else [word]:
            symbols = iter(self._symbols(stretch))
            for token in self._merge([symbol for symbol, _ in self._symbols(stretch)]):
                built, size = next(symbols)
                while built != token:
                    symbol, more = next(symbols)
                    built, size = built + symbol[skipped:], size + more
                # With a suffix the byte pieces spell it too, and outnumber the word's bytes.
                span = min(start, last_byte), min(start + size - 1, last_byte)
                result.append((self.vocab[token], character_at[span[0]], character_at[span[1]] + 1))
                start += size
        return result

    def _encode_stretch(self, word: str) -> list[int]:
        vocab = self.vocab
        if self._is_plain:
            try:
                return [vocab[token] for token in self._merge(list(word))]
            except KeyError:
                pass  # an unknown character; it is still by itself, since no merge knows it
        return [
            vocab[token] for token in self._merge([symbol for symbol, _ in self._symbols(word)])
        ]

    def _symbols(self, word: str) -> list[tuple[str, int]]:
        """Return the symbols that merging starts from, each with the bytes of the word it takes."""
        prefix, suffix = self.continuing_subword_prefix or "", self.end_of_word_suffix or ""
        last = len(word) - 1
        symbols: list[tuple[str, int]] = []
        unknown = 0  # bytes of unknown characters that wait for their token
        for place, character in enumerate(word):
            symbol = prefix * (place > 0) + character + suffix * (place == last)
            size = len(character.encode("utf-8"))
            if symbol in self.vocab:
                if unknown:
                    symbols.append((self._unknown(word), unknown))
                    unknown = 0
                symbols.append((symbol, size))
            elif self.byte_fallback and self._can_spell(symbol):
                # tokenizers lets byte pieces pass in front of a waiting unknown token.
                symbols += [(piece, 1) for piece in byte_fallback.byte_pieces(symbol)]
            elif self.unk_token is not None:
                if unknown and not self.fuse_unk:
                    symbols.append((self._unknown(word), unknown))
                    unknown = 0
                unknown += size
        if unknown:
            symbols.append((self._unknown(word), unknown))
        return symbols

    def _can_spell(self, text: str) -> bool:
        return all(piece in self.vocab for piece in byte_fallback.byte_pieces(text))

    def _unknown(self, word: str) -> str:
        if self.unk_token is None or self.unk_token not in self.vocab:
            raise UnknownToken(
                f"{word[:40]!r} holds a character that is no token, and the unknown token "
                f"{self.unk_token!r} is not in the vocabulary. Add it, or set unk_token to null."
            )
        return self.unk_token

    def _merge(self, symbols: list[str]) -> list[str]:
        if self.dropout:
            return bpe.apply_merges_by_heap(symbols, self._ranks, self._merged, self._passes_over)
        if self.continuing_subword_prefix:
            return bpe.apply_merges_by_heap(symbols, self._ranks, self._merged)
        if len(symbols) > _LONG:
            return bpe.apply_merges_by_heap(symbols, self._ranks)
        return bpe.apply_merges(symbols, self._ranks)

    def _passes_over(self) -> bool:
        return self.random.random() < (self.dropout or 0)

    def _read_merges(self, merges: Iterable[Sequence[str]]) -> list[tuple[str, str]]:
        """Read merges, written as "a b" (older files) or as ["a", "b"], and check their tokens.

        They get the vocabulary's own strings, not copies: a merge is then two references, and a
        vocabulary of 256,000 tokens has more than twice as many merges.
        """
        own = dict(zip(self.vocab, self.vocab, strict=True))
        pairs = []
        for merge in merges:
            try:
                left, right = merge.split(" ") if isinstance(merge, str) else merge
                pairs.append((own[left], own[right]))
            except (KeyError, TypeError, ValueError):
                if isinstance(merge, str) and merge.startswith("#version"):
                    continue
                self._refuse_merge(len(pairs), merge)
        skipped = len(self.continuing_subword_prefix or "")
        cut = ((left, right[skipped:]) for left, right in pairs)
        if not all(map(own.__contains__, map("".join, cut if skipped else pairs))):
            for number, pair in enumerate(pairs):
                if pair[0] + pair[1][skipped:] not in own:
                    self._refuse_merge(number, pair)
        return pairs

    def _refuse_merge(self, number: int, merge: Any) -> NoReturn:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        is_pair = isinstance(pair, (list, tuple)) and len(pair) == 2
        if not is_pair or not all(isinstance(token, str) for token in pair):
            raise InvalidInput(
                f"Merge {number} is {merge!r}. A merge is two tokens: "
                '"a b" with one space between them, or ["a", "b"].'
            )
        left, right = pair
        needed = (left, right, left + right[len(self.continuing_subword_prefix or "") :])
        missing = next(token for token in needed if token not in self.vocab)
        raise InvalidInput(
            f"Merge {number}, {left!r} + {right!r}, needs the token {missing!r}, "
            "which is not in the vocabulary. Do merges and vocabulary belong together?"
        )

    def _rank_merges(self) -> None:
        """Give each pair its rank, and its result where that is not the two together."""
        ranks = range(len(self.merges)) if self.merge_ranks is None else self.merge_ranks
        if len(ranks) != len(self.merges):
            raise InvalidInput(
                f"There are {len(ranks)} merge_ranks for {len(self.merges)} merges. Give each one."
            )
        self._ranks = dict(zip(self.merges, ranks, strict=True))
        skipped = len(self.continuing_subword_prefix or "")
        self._merged = (
            {(left, right): left + right[skipped:] for left, right in self.merges}
            if skipped
            else None
        )
        self._is_plain = not (skipped or self.end_of_word_suffix)

    @cached_property
    def _joints(self) -> set[str] | None:
        """The pairs of characters that a merge can join, or None for all; see `_cut`."""
        if not self._is_plain or not _BYTE_PIECES.isdisjoint(chain.from_iterable(self.merges)):
            return None
        return {left[-1:] + right[:1] for left, right in self.merges}

    @cached_property
    def _solid(self) -> set[str] | None:
        """The characters that become symbols where they stand, or None for all; see `_cut`."""
        if self.byte_fallback and self.vocab.keys() >= _BYTE_PIECES:
            return None  # byte pieces can spell whatever is no token
        return {token for token in self.vocab if len(token) == 1}

    def _cut(self, text: str) -> list[str]:
        """Cut a long text wherever no token can cross.

        A merge joins two tokens, and with them the last character of the left one and the first
        of the right one. Where no merge joins two neighbouring characters like that, no order of
        merging can cross the place between them, so that each side may be encoded by itself. This
        holds between characters that become symbols where they stand. Others may vanish, fuse or
        change places with byte pieces, and stay with their neighbours.
        """
        joints, solid = self._joints, self._solid
        if joints is None:
            return [text]
        cuts = [i for i in range(1, len(text)) if text[i - 1 : i + 1] not in joints]
        if solid is not None:
            cuts = [i for i in cuts if text[i - 1] in solid and text[i] in solid]
        return [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]
