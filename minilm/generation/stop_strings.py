"""Finding a string in a text that grows by tokens, wherever the borders of the tokens are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from minilm.errors import WrongType
from minilm.tokenization.byte_alphabet import BYTE_OF

# Something to stand before a token, so that its own space, if it has one, is not taken for the
# start of a text.
_BEFORE = "abcdef"
BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TextEnds:
    """Know the bytes of each token, and find strings in those that a text ends with.

    tokenizer: of the model    strings: to find
    """

    def __init__(self, tokenizer: Any, strings: Sequence[str]) -> None:
        for method in ("convert_ids_to_tokens", "convert_tokens_to_string"):
            if not hasattr(tokenizer, method):
                raise WrongType(
                    f"The tokenizer for stop_strings is a {type(tokenizer).__name__}; give the "
                    "model's own, as AutoTokenizer.from_pretrained gives it."
                )
        self._tokenizer = tokenizer
        self._wanted = [string.encode() for string in strings]
        self._longest = max(map(len, self._wanted))
        self._kinds = decoder_kinds(tokenizer)
        self._start: list[str] | None = None
        self._known: dict[int, bytes] = {}

    def tails(self, input_ids: Tensor) -> list[list[int]]:
        """Return the last tokens of each row, as many as a string may need.

        input_ids: int (B, L)
        """
        return input_ids[:, -self._longest :].tolist()

    def in_last_token(self, ids: Sequence[int]) -> bool:
        """Say whether one of the strings is in a text, with its end in the text's last token.

        ids: the last tokens of the text
        """
        pieces = [self.bytes_of(each) for each in ids]
        text, n_last = b"".join(pieces), len(pieces[-1])
        return any(
            n_last and wanted in text[max(len(text) - n_last - len(wanted) + 1, 0) :]
            for wanted in self._wanted
        )

    def bytes_of(self, token_id: int) -> bytes:
        """Return what a token adds to a text.

        token_id: its id; one that no token has adds nothing
        """
        if token_id not in self._known:
            self._known[token_id] = self._find_bytes(token_id)
        return self._known[token_id]

    def _find_bytes(self, token_id: int) -> bytes:
        try:
            token = self._tokenizer.convert_ids_to_tokens(token_id)
        except (IndexError, OverflowError):
            token = None
        if token is None:
            return b""
        if "ByteLevel" in self._kinds and all(character in BYTE_OF for character in token):
            return bytes(BYTE_OF[character] for character in token)
        if "ByteFallback" in self._kinds and (byte := BYTE_PIECE.fullmatch(token)):
            return bytes([int(byte[1], 16)])
        if self._start is None:
            ids = self._tokenizer(_BEFORE, add_special_tokens=False)["input_ids"]
            self._start = [self._tokenizer.convert_ids_to_tokens(each) for each in ids]
        as_text = self._tokenizer.convert_tokens_to_string
        return as_text([*self._start, token]).removeprefix(as_text(self._start)).encode()


def decoder_kinds(tokenizer: Any) -> set[str]:
    """Say what kinds of decoders turn a tokenizer's tokens into text, such as "ByteLevel".

    tokenizer: any
    """
    found: set[str] = set()
    left = [getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)]
    while left:
        decoder = left.pop()
        found.add(type(decoder).__name__)
        left += getattr(decoder, "decoders", ())
    return found
