"""Unigram: of all ways to cut a text into pieces, the most probable one (Kudo 2018)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from minilm.errors import InvalidInput, UnknownToken, WrongType
from minilm.tokenization import byte_fallback, unigram
from minilm.tokenization.vocabulary import field

# How much worse an unknown character is than the worst piece.
_UNK_PENALTY = 10.0
# From this many characters on, a table of all beginnings of pieces pays for itself.
_LONG = 1000


def best_path(text: str, scores: Mapping[str, float], unk_score: float, longest: int) -> list[int]:
    """Find the best last piece for every beginning of a text (Viterbi 1967).

    text: n characters    scores: piece → log-probability
    unk_score: the score of a single character that is no piece
    longest: the length of the longest piece; longer stretches are not tried

    Returns n positions: entry i is the start of the last piece on the best path through the
    first i + 1 characters. Of equal paths the longer last piece wins, as in tokenizers.

    >>> best_path("cab", {"a": -2, "b": -2, "c": -2, "ab": -3}, unk_score=-20, longest=2)
    [0, 1, 1]
    """
    best = [0.0]  # best[i]: the score of the best path through the first i characters
    starts = []
    for end in range(1, len(text) + 1):
        chosen, highest = end - 1, float("-inf")
        for start in range(max(0, end - longest), end - 1):
            score = scores.get(text[start:end])
            if score is not None and best[start] + score > highest:
                chosen, highest = start, best[start] + score
        alone = best[end - 1] + scores.get(text[end - 1], unk_score)
        best.append(max(highest, alone))
        starts.append(end - 1 if alone > highest else chosen)
    return starts


def walk_back(text: str, starts: Sequence[int]) -> list[str]:
    """Follow the starts from the end of a text to its beginning.

    text: n characters
    starts: n positions, as `best_path` returns them

    Returns the pieces in reading order; joined, they are the text.

    >>> walk_back("cab", [0, 1, 1])
    ['c', 'ab']
    """
    pieces = []
    end = len(text)
    while end > 0:
        start = starts[end - 1]
        pieces.append(text[start:end])
        end = start
    return pieces[::-1]


class Unigram:
    """Cuts each word into the most probable pieces (Kudo 2018).

    pieces: (piece, log-probability); the position is the id
    unk_id: the id of the unknown piece; None = there is none
    byte_fallback: spell unknown stretches as byte pieces, "<0xC3>", where all are there

    Unknown characters score 10 below the worst piece, and neighbouring ones become one token.
    Its text is what was read, not the name of the unknown piece.
    Raises UnknownToken for an unknown character when there is no unknown piece.
    Equals tokenizers' `Unigram` model on ids and offsets.
    """

    def __init__(
        self,
        pieces: Sequence[tuple[str, float]],
        unk_id: int | None = None,
        byte_fallback: bool = False,
    ) -> None:
        self.pieces = _checked_pieces(pieces)
        self.unk_id = unk_id
        self.byte_fallback = byte_fallback
        # A piece given twice counts with its last id and score, as in tokenizers.
        self.vocab = {piece: number for number, (piece, _) in enumerate(self.pieces)}
        self._use([score for _, score in self.pieces])
        self.longest = max((len(piece) for piece, _ in self.pieces), default=1)
        if unk_id is not None and not 0 <= unk_id < len(self.pieces):
            raise InvalidInput(
                f"unk_id is {unk_id}, and there are {len(self.pieces)} pieces. "
                "Give the position of the unknown piece, or null."
            )
        self._beginnings: dict[str, float | None] | None = None
        self._other_fields: dict[str, Any] = {}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Unigram:
        """Read the "model" section of a tokenizer.json.

        data: the section; vocab as a list of [piece, score]
        """
        model = cls(
            field(data, "vocab", list, ...),
            field(data, "unk_id", (int, type(None)), None),
            bool(field(data, "byte_fallback", (bool, type(None)), None)),
        )
        # The reference reads numbers a little off, and where two paths nearly tie that decides.
        # What is written again is what stood in the file.
        model.scores = {piece: _as_the_reference_reads(score) for piece, score in model.pieces}
        model.unk_score = min(model.scores.values(), default=0.0) - _UNK_PENALTY
        model._use([_as_serde_reads(score) for _, score in model.pieces])
        written = model.to_json()
        model._other_fields = {name: data[name] for name in data if name not in written}
        return model

    def _use(self, scores: list[float]) -> None:
        """Encode with these scores, one for each piece."""
        self.scores = dict(zip((piece for piece, _ in self.pieces), scores, strict=True))
        self.unk_score = min(scores, default=0.0) - _UNK_PENALTY

    def to_json(self) -> dict[str, Any]:
        """Return the "model" section of a tokenizer.json, with every field that was read."""
        return {
            "type": "Unigram",
            "unk_id": self.unk_id,
            **self._other_fields,
            "vocab": [[piece, score] for piece, score in self.pieces],
            "byte_fallback": self.byte_fallback,
        }

    def token_to_id(self, token: str) -> int | None:
        """Return the id of a piece, or None."""
        return self.vocab.get(token)

    def id_to_token(self, number: int) -> str | None:
        """Return the piece of an id, or None."""
        return self.pieces[number][0] if 0 <= number < len(self.pieces) else None

    def encode(self, word: str) -> list[int]:
        """Return the ids of one word."""
        try:
            numbers = [self.vocab[piece] for piece in self._best_pieces(word)]
        except KeyError:
            pass
        else:
            if self.unk_id not in numbers:
                return numbers
        return [number for number, _, _ in self.encode_with_offsets(word)]

    def encode_with_offsets(self, word: str) -> list[tuple[int, int, int]]:
        """Return (id, start, end) for each token of a word, positions in characters."""
        result: list[tuple[int, int, int]] = []
        start = 0
        for piece in self._fused(self._best_pieces(word)):
            end = start + len(piece)
            result += [(number, start, end) for number in self._ids(piece)]
            start = end
        return result

    def _best_pieces(self, word: str) -> list[str]:
        if len(word) < _LONG:
            starts = unigram.best_path(word, self.scores, self.unk_score, self.longest)
        else:
            starts = self._best_path_of_long(word)
        return unigram.walk_back(word, starts)

    def _fused(self, pieces: Sequence[str]) -> list[str]:
        """Join neighbouring unknown pieces (the unknown piece itself, where it is read, too)."""
        fused: list[str] = []
        run: list[str] = []
        for piece in pieces:
            if self.vocab.get(piece, self.unk_id) == self.unk_id:
                run.append(piece)
                continue
            if run:
                fused.append("".join(run))
                run = []
            fused.append(piece)
        return [*fused, "".join(run)] if run else fused

    def _ids(self, piece: str) -> list[int]:
        number = self.vocab.get(piece)
        if number is not None:
            return [number]
        if self.byte_fallback:
            names = byte_fallback.byte_pieces(piece)
            if all(name in self.vocab for name in names):
                return [self.vocab[name] for name in names]
        if self.unk_id is None:
            raise UnknownToken(
                f"{piece[:40]!r} is no piece, and the model has no unknown piece. "
                "Give it one with unk_id."
            )
        return [self.unk_id]

    def _best_path_of_long(self, text: str) -> list[int]:
        """Do what `best_path` does, leaving each start as soon as no piece goes on like that.

        Slower to set up, and then independent of how long the longest piece is.
        """
        if self._beginnings is None:
            self._beginnings = dict.fromkeys(
                piece[:size] for piece in self.scores for size in range(1, len(piece))
            )
            self._beginnings |= self.scores
        beginnings = self._beginnings
        size = len(text)
        best = [0.0] + [-math.inf] * size
        starts = [-1] * size
        for start in range(size):
            so_far = best[start]
            for end in range(start + 1, size + 1):
                piece = text[start:end]
                if piece in beginnings:
                    score = beginnings[piece]
                elif end == start + 1:
                    score = None
                else:
                    break
                if score is None:
                    if end > start + 1:
                        continue
                    score = self.unk_score  # a single character that is no piece
                if so_far + score > best[end] or starts[end - 1] < 0:
                    best[end] = so_far + score
                    starts[end - 1] = start
        return starts


def _as_serde_reads(score: float) -> float:
    """Return a number as tokenizers' JSON reader (serde_json) reads it: at times one bit off.

    It rounds the digits first and the power of ten after. The bit decides between paths that are
    equally good, such as "aa a" and "a aa", and so between ids.
    """
    digits, _, exponent = repr(score).partition("e")
    whole, _, decimals = digits.partition(".")
    power = int(exponent or 0) - len(decimals)
    value = float(int(whole + decimals))
    return value / float(f"1e{-power}") if power < 0 else value * float(f"1e{power}")


def _checked_pieces(pieces: Sequence[Sequence[Any]]) -> list[tuple[str, float]]:
    """Return the pieces as (piece, score), or raise an error that names the bad entry."""
    result = []
    for number, entry in enumerate(pieces):
        is_pair = isinstance(entry, (list, tuple)) and len(entry) == 2
        if not is_pair or not isinstance(entry[0], str):
            raise WrongType(f"Piece {number} is {entry!r}, and [piece, score] was expected.")
        score = entry[1]
        if not isinstance(score, (int, float)) or isinstance(score, bool) or math.isnan(score):
            raise WrongType(
                f"The score of piece {number}, {entry[0]!r}, is {score!r}, not a number."
            )
        result.append((entry[0], float(score)))
    return result


def _as_the_reference_reads(score: float) -> float:
    """The number that serde_json makes of a score as it is written in JSON.

    It takes all digits as one whole number and divides by a power of ten. With 17 digits both
    the number and the quotient are rounded, and the last bit may differ.
    """
    digits, _, exponent = repr(abs(float(score))).partition("e")
    whole, _, fraction = digits.partition(".")
    fraction = "" if fraction == "0" else fraction
    power = int(exponent or 0) - len(fraction)
    number = float(int(whole + fraction))
    while power < -308:
        number, power = number / 1e308, power + 308
    number = number * 10.0**power if power >= 0 else number / 10.0**-power
    return -number if score < 0 else number
