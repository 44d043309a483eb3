"""WordPiece: the longest known piece first (Schuster and Nakajima 2012; Devlin et al. 2018)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from minilm.errors import UnknownToken
from minilm.tokenization import wordpiece
from minilm.tokenization.vocabulary import checked_vocab, field


def split_wordpiece(
    word: str, vocab: Container, unk_token: str = "[UNK]", prefix: str = "##", max_chars: int = 100
) -> list[str]:
    """Cut a word into the longest known pieces from the left.

    word: one word, normalized    vocab: the pieces; one inside a word is written with the prefix
    unk_token: for a word that cannot be cut    prefix: what marks a piece that goes on
    max_chars: a longer word is unknown as a whole

    Returns the pieces, or the unknown token alone: one gap makes the whole word unknown.
    Equals tokenizers' `WordPiece` model.
    """
    if len(word) > max_chars:
        return [unk_token]
    pieces, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = prefix * (start > 0) + word[start:end]
            if piece in vocab:
                break
        else:
            return [unk_token]
        pieces.append(piece)
        start = end
    return pieces


class WordPiece:
    """Cuts each word into the longest known pieces (Devlin et al. 2018).

    vocab: token → id
    unk_token: stands for a word that cannot be cut
    continuing_subword_prefix: marks a piece that goes on inside a word
    max_input_chars_per_word: a longer word is unknown as a whole

    Raises UnknownToken when a word needs the unknown token and the vocabulary lacks it.
    Equals tokenizers' `WordPiece` model on ids and offsets.
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        *,
        unk_token: str = "[UNK]",
        continuing_subword_prefix: str = "##",
        max_input_chars_per_word: int = 100,
    ) -> None:
        self.vocab = checked_vocab(vocab)
        self.unk_token = unk_token
        self.continuing_subword_prefix = continuing_subword_prefix
        self.max_input_chars_per_word = max_input_chars_per_word
        self._tokens = {number: token for token, number in self.vocab.items()}
        self._longest = max(map(len, self.vocab), default=0)
        self._other_fields: dict[str, Any] = {}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WordPiece:
        """Read the "model" section of a tokenizer.json.

        data: the section
        """
        model = cls(
            field(data, "vocab", Mapping, ...),
            unk_token=field(data, "unk_token", str, "[UNK]"),
            continuing_subword_prefix=field(data, "continuing_subword_prefix", str, "##"),
            max_input_chars_per_word=field(data, "max_input_chars_per_word", int, 100),
        )
        written = model.to_json()
        model._other_fields = {name: data[name] for name in data if name not in written}
        return model

    def to_json(self) -> dict[str, Any]:
        """Return the "model" section of a tokenizer.json, with every field that was read."""
        return {
            "type": "WordPiece",
            "unk_token": self.unk_token,
            "continuing_subword_prefix": self.continuing_subword_prefix,
            "max_input_chars_per_word": self.max_input_chars_per_word,
            **self._other_fields,
            "vocab": dict(self.vocab),
        }

    def token_to_id(self, token: str) -> int | None:
        """Return the id of a token, or None."""
        return self.vocab.get(token)

    def id_to_token(self, number: int) -> str | None:
        """Return the token of an id, or None."""
        return self._tokens.get(number)

    def encode(self, word: str) -> list[int]:
        """Return the ids of one word."""
        vocab = self.vocab
        if word in vocab and len(word) <= self.max_input_chars_per_word:
            return [vocab[word]] if word else []
        try:
            return [vocab[piece] for piece in self._split(word)]
        except KeyError:
            raise self._no_unknown(word) from None

    def encode_with_offsets(self, word: str) -> list[tuple[int, int, int]]:
        """Return (id, start, end) for each token of a word, positions in characters."""
        ids = self.encode(word)
        if len(ids) == 1:  # the unknown token too stands for the whole word
            return [(ids[0], 0, len(word))]
        result = []
        start = 0
        for number in ids:
            size = len(self._tokens[number])
            end = start + size - (len(self.continuing_subword_prefix) if start else 0)
            result.append((number, start, end))
            start = end
        return result

    def _split(self, word: str) -> list[str]:
        unknown, prefix = self.unk_token, self.continuing_subword_prefix
        allowed = self.max_input_chars_per_word
        if len(word) <= max(self._longest, 100) or len(word) > allowed:
            return wordpiece.split_wordpiece(word, self.vocab, unknown, prefix, allowed)
        return _split_long(word, self.vocab, unknown, prefix, self._longest)

    def _no_unknown(self, word: str) -> UnknownToken:
        return UnknownToken(
            f"{word[:40]!r} cannot be cut into pieces, and the unknown token {self.unk_token!r} "
            "is not in the vocabulary. Add it, or name another unk_token."
        )


def _split_long(
    word: str, vocab: Mapping[str, int], unk_token: str, prefix: str, longest: int
) -> list[str]:
    """Do what `split_wordpiece` does without trying pieces longer than any there is.

    Trying every end of a word of n characters costs n squared. Files can allow such words.
    """
    pieces: list[str] = []
    start = 0
    while start < len(word):
        mark = prefix if start else ""
        for end in range(min(len(word), start + longest - len(mark)), start, -1):
            if mark + word[start:end] in vocab:
                break
        else:
            return [unk_token]
        pieces.append(mark + word[start:end])
        start = end
    return pieces
