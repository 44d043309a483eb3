"""Regular expressions of tokenizer.json, written for Oniguruma, run by the `regex` package.

The two agree on nearly everything that tokenizers use, the Unicode classes included. What
differs is rewritten here, each with its reason.
"""

from __future__ import annotations

from functools import lru_cache

import regex

from minilm.errors import InvalidInput
from minilm.tokenization.unicode_tables import as_oniguruma_sees

_WORD = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u00b2\u00b3\u00b9\u00bc-\u00be]"
_OUTSIDE = {
    # Oniguruma's ^ and $ work at every line; ^ does not match behind a final line feed.
    "^": r"(?:(?<![\s\S])|(?<=\n)(?!\Z))",
    "$": r"(?=\n|\Z)",
    r"\z": r"\Z",
    r"\Z": r"(?=\n?\Z)",
    # \h is a hexadecimal digit in Oniguruma and a horizontal space in `regex`.
    r"\h": "[0-9A-Fa-f]",
    r"\H": "[^0-9A-Fa-f]",
    r"\e": r"\x1b",
    r"\O": r"[\s\S]",
    r"\N": r"[^\n]",
    # Oniguruma does not count the zero-width (non-)joiner as a part of words, and outside of sets
    # it does count the superscripts and fractions of Latin-1.
    r"\w": _WORD,
    r"\W": f"[^{_WORD[1:]}",
    r"\b": f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))",
    r"\B": f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))",
}
_INSIDE = {
    r"\h": "0-9A-Fa-f",
    r"\e": r"\x1b",
    r"\w": r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}",
    r"\W": r"[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]",
}
_POSIX = {
    "[:punct:]": r"\p{P}\p{S}",
    "[:digit:]": r"\p{Nd}",
    "[:alnum:]": r"\p{Alphabetic}\p{Nd}",
    "[:word:]": r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}",
}


def translate(pattern: str) -> str:
    """Rewrite a pattern of Oniguruma as one that the `regex` package (version 1) reads alike.

    pattern: as it stands in tokenizer.json
    """
    result: list[str] = []
    sets = position = 0  # how many sets are open, and how far we are
    groups: list[int] = []  # where in the result each open group began
    atom = 0  # where in the result the last thing began that a quantifier could follow
    while position < len(pattern):
        token = _next_token(pattern, position, sets)
        position += len(token)
        if token in ("[", "[^"):
            if not sets:
                atom = len(result)
            sets += 1
            if pattern[position : position + 1] == "]":  # a ] that comes first is meant literally
                token, position = token + r"\]", position + 1
        elif sets:
            if token == "]":
                sets -= 1
            token = _POSIX.get(token) or _INSIDE.get(token, token)
            if token in ("--", "||", "~~"):  # `regex` has more operators on sets
                token = rf"\{token[0]}\{token[1]}"
        elif token[0] == "(":
            groups.append(len(result))
            if token[-1] in ":)":  # Oniguruma's m lets the dot match a line feed
                token = token.replace("m", "s")
            if token[-1] == ")":  # flags from here on, no group
                groups.pop()
        elif token == ")":
            atom = groups.pop() if groups else atom
        elif token[0] == "{" and len(token) > 1:
            if pattern[position : position + 1] == "+":
                # Oniguruma reads x{1,3}+ as (?:x{1,3})+, `regex` as a possessive quantifier.
                result.insert(atom, "(?:")
                token += ")"
        elif token not in "*+?|":
            atom = len(result)
            token = _OUTSIDE.get(token, token)
        if token.startswith(r"\k<"):
            token = f"(?P={token[3:-1]})"
        if token.startswith(r"\x{"):
            token = rf"\U{int(token[3:-1], 16):08X}"
        result.append(token)
    return "".join(result)


_TOKEN_OUTSIDE = regex.compile(
    r"\\x\{[0-9A-Fa-f]+\}|\\[pP]\{\^?\w+\}|\\k<\w+>|\\.|\[\^?|\(\?[a-z-]+[:)]|\{\d*,?\d*\}|.",
    regex.DOTALL,
)
_TOKEN_INSIDE = regex.compile(
    r"\\x\{[0-9A-Fa-f]+\}|\\[pP]\{\^?\w+\}|\\.|\[:\^?\w+:\]|\[\^?|--|\|\||~~|.", regex.DOTALL
)


def _next_token(pattern: str, position: int, depth: int) -> str:
    match = (_TOKEN_INSIDE if depth else _TOKEN_OUTSIDE).match(pattern, position)
    assert match is not None
    return match[0]


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Compile a pattern of tokenizer.json.

    pattern: a regular expression in Oniguruma's writing

    Raises InvalidInput, quoting the pattern, where it cannot be compiled.
    """
    try:
        return regex.compile(translate(pattern), regex.VERSION1)
    except (regex.error, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(
            f"The regular expression {pattern!r} of tokenizer.json cannot be compiled: {error}. "
            "Compare the file with its original."
        ) from None


def find_spans(pattern: regex.Pattern[str], text: str) -> list[tuple[int, int]]:
    """The (start, end) of every match, as Oniguruma's iterator finds them.

    An empty match directly behind another match does not count, and after an empty match the
    search goes on one character further. In an empty text nothing is looked for.
    """
    if not text:
        return []
    text = as_oniguruma_sees(text)
    spans = [match.span() for match in pattern.finditer(text)]
    if all(start < end for start, end in spans):
        return spans
    spans, position, last_end = [], 0, -1
    while position <= len(text):
        match = pattern.search(text, position)
        if match is None:
            break
        start, end = match.span()
        if start == end == last_end:
            position += 1
        else:
            spans.append((start, end))
            position = last_end = end
    return spans
