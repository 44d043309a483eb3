"""WordLevel: a token for each known word, and one for all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minilm.errors import UnknownToken
from minilm.tokenization.vocabulary import checked_vocab, field


class WordLevel:
    """Looks each word up, whole.

    vocab: word → id
    unk_token: stands for every other word

    Raises UnknownToken when a word needs the unknown token and the vocabulary lacks it.
    Equals tokenizers' `WordLevel` model.
    """

    def __init__(self, vocab: Mapping[str, int], *, unk_token: str = "<unk>") -> None:
        self.vocab = checked_vocab(vocab)
        self.unk_token = unk_token
        self._tokens = {number: token for token, number in self.vocab.items()}
        self._other_fields: dict[str, Any] = {}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WordLevel:
        """Read the "model" section of a tokenizer.json.

        data: the section
        """
        vocab = field(data, "vocab", Mapping, ...)
        model = cls(vocab, unk_token=field(data, "unk_token", str, "<unk>"))
        written = model.to_json()
        model._other_fields = {name: data[name] for name in data if name not in written}
        return model

    def to_json(self) -> dict[str, Any]:
        """Return the "model" section of a tokenizer.json, with every field that was read."""
        return {
            "type": "WordLevel",
            **self._other_fields,
            "vocab": dict(self.vocab),
            "unk_token": self.unk_token,
        }

    def token_to_id(self, token: str) -> int | None:
        """Return the id of a word, or None."""
        return self.vocab.get(token)

    def id_to_token(self, number: int) -> str | None:
        """Return the word of an id, or None."""
        return self._tokens.get(number)

    def encode(self, word: str) -> list[int]:
        """Return the ids of one word: always one, and none for the empty word."""
        return [number for number, _, _ in self.encode_with_offsets(word)]

    def encode_with_offsets(self, word: str) -> list[tuple[int, int, int]]:
        """Return (id, start, end) for a word, positions in characters."""
        if not word:
            return []
        number = self.vocab.get(word)
        if number is None:
            number = self.vocab.get(self.unk_token)
        if number is None:
            raise UnknownToken(
                f"{word[:40]!r} is not in the vocabulary, and neither is the unknown token "
                f"{self.unk_token!r}. Add it, or name another unk_token."
            )
        return [(number, 0, len(word))]
