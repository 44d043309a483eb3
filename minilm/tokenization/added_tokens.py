"""Added tokens: strings that are found in the text before the model sees it, and kept whole."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import regex

from minilm.errors import InvalidInput, WrongType
from minilm.tokenization.unicode_tables import WHITE_SPACE, character_class


@dataclass(frozen=True)
class AddedToken:
    """A string that is cut out of the text and becomes one token, as tokenizers' `AddedToken`.

    content: the string
    single_word: found only where no letter, digit or underscore touches it
    lstrip, rstrip: take along the white space on the left, on the right
    normalized: looked for in the normalized text (and itself normalized) instead of the raw text
    special: dropped by `decode(..., skip_special_tokens=True)`
    id: its number; None until it is added to a vocabulary
    """

    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True
    special: bool = False
    id: int | None = None

    def __str__(self) -> str:
        return self.content

    @classmethod
    def from_json(cls, data: Any) -> AddedToken:
        """Read one entry of tokenizer.json's "added_tokens"."""
        names = ("content", "single_word", "lstrip", "rstrip", "normalized", "special", "id")
        types: dict[str, type] = {"content": str, "id": int}
        if not isinstance(data, dict) or not isinstance(data.get("content"), str):
            raise InvalidInput(
                f"An entry of 'added_tokens' is {data!r}; it must be an object with at least "
                "'id' and 'content'."
            )
        for name in names:
            wanted = types.get(name, bool)
            value = data.get(name)
            if type(value) is not wanted and (name in data or name in ("content", "id")):
                raise InvalidInput(
                    f"The added token {data['content']!r} has {name} = {value!r}; a "
                    f"{wanted.__name__} was expected."
                )
        if data["id"] < 0:
            raise InvalidInput(
                f"The added token {data['content']!r} has the id {data['id']}; ids start at 0."
            )
        special = data.get("special", False)
        known = {name: data[name] for name in names if name in data}
        return cls(**{"normalized": not special, **known})

    def to_json(self) -> dict[str, Any]:
        """The entry for tokenizer.json's "added_tokens"."""
        fields = asdict(self)
        return {"id": fields.pop("id"), **fields}


def split_on_tokens(text: str, tokens: Iterable[str]) -> list[tuple[str, bool]]:
    """Cut a text at every place where one of the tokens stands.

    text: any text
    tokens: the strings to look for, none empty

    Returns (piece, is it a token) from left to right. The leftmost token is taken first, and
    of several that start at the same place the longest. No piece is empty; joined, the pieces
    are the text. Equals the Aho-Corasick search of tokenizers' AddedVocabulary.
    """
    pieces, end = [], 0
    for match in any_of(tuple(tokens)).finditer(text):
        if match.start() > end:
            pieces.append((text[end : match.start()], False))
        pieces.append((match[0], True))
        end = match.end()
    if end < len(text):
        pieces.append((text[end:], False))
    return pieces


@lru_cache(maxsize=32)
def any_of(tokens: tuple[str, ...]) -> re.Pattern[str]:
    """A regular expression that finds the leftmost, longest of several strings.

    tokens: the strings; empty ones are left out

    Alternatives are tried in order, so the longest come first. They are grouped by their
    first characters: with a thousand tokens that all begin with "<", a lone "<" costs one
    comparison more, not a thousand.
    """
    return re.compile(_grouped(sorted({token for token in tokens if token})) or r"(?!)")


def _grouped(tokens: list[str], depth: int = 0) -> str:
    """An alternation of sorted, different, non-empty strings, longest first where they compete."""
    # Python's compiler recurses into groups, so deep nests of prefixes are written out flat.
    if len(tokens) < 4 or depth > 20:
        return "|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True))
    groups: dict[str, list[str]] = {}
    for token in tokens:
        groups.setdefault(token[0], []).append(token)
    return "|".join(_group(members, depth) for members in groups.values())


def _group(members: list[str], depth: int) -> str:
    """One group of tokens that share their first character."""
    first, last = members[0], members[-1]
    length = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )
    rests = [member[length:] for member in members]
    prefix = re.escape(first[:length])
    if rests == [""]:
        return prefix
    inner = _grouped([rest for rest in rests if rest], depth + 1)
    # A token may end here while longer ones go on: the longer ones are tried first.
    return f"{prefix}(?:{inner}){'?' if '' in rests else ''}"


# What Rust's regex crate counts as white space and as parts of words.
_spaces = re.compile(f"[{character_class(WHITE_SPACE)}]*")
_space = re.compile(f"[{character_class(WHITE_SPACE)}]")
_word = regex.compile(r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]", regex.VERSION1)

Match = tuple[int, int, AddedToken | None]


class AddedVocabulary:
    """The added tokens of a pipeline, and how they are cut out of a text.

    token_to_id: the model's own vocabulary, token → id or None
    model_size: how many tokens the model has
    normalize: the pipeline's normalizer

    Follows tokenizers' AddedVocabulary: tokens with `normalized=False` are looked for in the raw
    text, the others, themselves normalized, in what the normalizer made of the rest.
    """

    def __init__(
        self,
        token_to_id: Callable[[str], int | None],
        model_size: Callable[[], int],
        normalize: Callable[[str], str],
    ) -> None:
        self._model_token_to_id = token_to_id
        self._model_size = model_size
        self._normalize = normalize
        self._listed: list[AddedToken] = []  # in the order in which they are matched
        self.special_contents: set[str] = set()
        self.by_content: dict[str, int] = {}
        self.by_id: dict[int, AddedToken] = {}
        self.refresh()

    def __len__(self) -> int:
        return len(self.by_content)

    def add(self, tokens: Iterable[AddedToken]) -> int:
        """Add tokens, and number those that the vocabulary does not have yet.

        tokens: `id` is ignored: a token of the model keeps its number there, others are
            numbered on behind the last

        Returns how many were new or changed.
        """
        tokens = list(tokens)
        for token in tokens:
            if not isinstance(token, AddedToken):
                raise WrongType(
                    f"{token!r} is no AddedToken. Write AddedToken(content, ...) instead."
                )
            checked_text(token.content)
        special = [token for token in tokens if token.special and token.content]
        listed_special = [t for t in self._listed if t.content in self.special_contents]
        listed_plain = [t for t in self._listed if t.content not in self.special_contents]
        for token in special:
            if token.content not in self.special_contents:
                self.special_contents.add(token.content)
                listed_special.append(token)
        new = 0
        # The highest number so far is kept at hand: looking for it each time takes quadratic time.
        size, highest = self._model_size(), max(self.by_content.values(), default=-1)
        known = {self._key(token) for token in self.by_id.values()}
        for token in tokens:
            if not token.content or self._key(token) in known:
                continue
            new += 1
            number = self.token_to_id(token.content)
            if number is None:
                number = max(size, highest + 1)
            highest = max(highest, number)
            if number in self.by_id:
                known.discard(self._key(self.by_id[number]))
            self.by_content[token.content] = number
            self.by_id[number] = replace(token, id=number)
            known.add(self._key(token))
            if token.content not in self.special_contents:
                listed_plain.append(token)
        self._listed = listed_special + listed_plain
        self.refresh()
        return new

    def without_special(self) -> AddedVocabulary:
        """A copy that finds no special tokens: in its texts they are text like any other."""
        other = copy.copy(self)
        other._listed = [t for t in self._listed if t.content not in self.special_contents]
        other.refresh()
        return other

    @staticmethod
    def _key(token: AddedToken) -> AddedToken:
        return replace(token, id=None)

    def token_to_id(self, token: str) -> int | None:
        """The number of a token, added or the model's own, or None."""
        number = self.by_content.get(token)
        return self._model_token_to_id(token) if number is None else number

    def is_special(self, token: str) -> bool:
        """Whether `decode` leaves this token out when asked to skip special tokens."""
        return token in self.special_contents

    def to_json(self) -> list[dict[str, Any]]:
        """The list "added_tokens" of tokenizer.json, by number."""
        return [self.by_id[number].to_json() for number in sorted(self.by_id)]

    def refresh(self) -> None:
        """Make the tables for the search anew."""
        self._tables: dict[bool, dict[str, AddedToken]] = {False: {}, True: {}}
        # A number is read as the token was found: in its normalized form. So does tokenizers,
        # which then also fails to see that the token is special, if the form is another.
        self.id_to_token = {number: self._form(token) for number, token in self.by_id.items()}
        # Special tokens are entered first. What was said last of a token counts, and of two
        # that look alike the one entered last is found.
        for token in sorted(
            self._listed, key=lambda token: token.content not in self.special_contents
        ):
            number = self.token_to_id(token.content)
            if number is not None:
                latest = self.by_id[number]
                self._tables[latest.normalized][self._form(latest)] = latest
        self._tables[True].pop("", None)
        self._contents = {key: tuple(table) for key, table in self._tables.items()}
        self._plain = {
            key: not any(t.lstrip or t.rstrip or t.single_word for t in table.values())
            for key, table in self._tables.items()
        }

    def _form(self, token: AddedToken) -> str:
        return self._normalize(token.content) if token.normalized else token.content

    def cut(self, text: str, normalized: bool) -> list[tuple[str, int | None]]:
        """Cut a text into tokens and what lies between them: (piece, id or None).

        text: raw for normalized=False, normalized for normalized=True
        """
        if not self._contents[normalized]:
            return [(text, None)]
        if not self._plain[normalized]:
            found = self.find(text, normalized)
            return [(text[a:b], None if token is None else token.id) for a, b, token in found]
        table = self._tables[normalized]
        return [
            (piece, table[piece].id if is_token else None)
            for piece, is_token in this_module.split_on_tokens(text, self._contents[normalized])
        ]

    def find(self, text: str, normalized: bool) -> list[Match]:
        """Where the tokens stand in a text and what lies between them: (start, end, token).

        text: raw for normalized=False, normalized for normalized=True

        A token that takes white space along can reach into the next one, which is then found
        all the same, as in tokenizers.
        """
        if not self._contents[normalized]:
            return [(0, len(text), None)]
        result: list[Match] = []
        position = done = 0
        spaces_end = 0
        for piece, is_token in this_module.split_on_tokens(text, self._contents[normalized]):
            start, position = position, position + len(piece)
            if not is_token:
                continue
            end, token = position, self._tables[normalized][piece]
            if token.single_word and (
                (start > 0 and _word.match(text[start - 1]))
                or (end < len(text) and _word.match(text[end]))
            ):
                continue
            if token.lstrip:
                while start > done and _space.match(text[start - 1]):
                    start -= 1
                start = max(start, done)
            if token.rstrip:
                if not end <= spaces_end:  # in a long run of spaces, look for its end once
                    match = _spaces.match(text, end)
                    spaces_end = match.end() if match else end
                end = spaces_end
            if done < start:
                result.append((done, start, None))
            if start < end:
                result.append((start, end, token))
            done = end
        if done != len(text):
            result.append((done, len(text), None))
        return result


def checked_text(text: str) -> str:
    """The text, after a look whether it is one that UTF-8 can write."""
    if not isinstance(text, str):
        raise WrongType(f"A text was expected, not {type(text).__name__}: {text!r:.60}")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidInput(
                f"The text has a lone surrogate, {text[error.start]!r}, at character "
                f"{error.start}; that is half a character, and UTF-8 cannot write it. Decode the "
                'text again, or use text.encode("utf-8", "replace").decode("utf-8").'
            ) from None
    return text


# Found through the module, so that another `split_on_tokens` put there takes effect.
this_module = sys.modules[__name__]
