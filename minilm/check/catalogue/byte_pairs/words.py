"""The exercise split_words and its known mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable

from minilm.check.exercise import Exercise, Mistake

LESSON = "01_byte_pairs"


def reference_split(text):
    from tokenizers.pre_tokenizers import ByteLevel

    cuts = ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    return [text[start:end] for _, (start, end) in cuts]


CONTRACTIONS = r"'(?:[sdmt]|ll|ve|re)"
WORDS, NUMBERS, SIGNS = r" ?\p{L}+", r" ?\p{N}+", r" ?[^\s\p{L}\p{N}]+"
SPACES_BEFORE_THE_LAST, SPACES = r"\s+(?!\S)", r"\s+"
GPT2 = (CONTRACTIONS, WORDS, NUMBERS, SIGNS, SPACES_BEFORE_THE_LAST, SPACES)


def pieces(*alternatives: str, flags: str = "") -> Callable[[str], list[str]]:
    """Make a split_words that finds the first of the alternatives that fits, again and again."""

    def split_words(text):
        import regex

        return [found.group() for found in regex.finditer(flags + "|".join(alternatives), text)]

    return split_words


def groups_only(text):
    import regex

    return regex.findall("|".join(["'(s|d|m|t|ll|ve|re)", *GPT2[1:]]), text)


def split_by_hand(text):
    """Walk over the text and look at one character at a time."""

    def kind(character):
        if character.isspace():
            return "space"
        return "letter" if character.isalpha() else "number" if character.isnumeric() else "sign"

    words, start = [], 0
    while start < len(text):
        end = start
        short = next((c for c in SHORT if text.startswith(c, start)), None)
        if short:
            end = start + len(short)
        elif kind(text[start]) == "space" and not (
            text[start] == " " and start + 1 < len(text) and kind(text[start + 1]) != "space"
        ):
            while end < len(text) and kind(text[end]) == "space":
                end += 1
            if end < len(text) and end - start > 1:
                end -= 1
        else:
            first = start + (text[start] == " ")
            end = first
            while end < len(text) and kind(text[end]) == kind(text[first]):
                end += 1
        words.append(text[start:end])
        start = end
    return words


SHORT = ("'s", "'d", "'m", "'t", "'ll", "'ve", "'re")


def split_by_matching(text):
    import regex

    pattern = regex.compile(
        r"""'s|'t|'re|'ve|'m|'ll|'d|\ ?\p{Letter}+|\ ?\p{Number}+|\ ?[^\s\p{L}\p{N}]+"""
        r"""|\s+\Z|\s+(?=\s)|\s+""",
        regex.VERBOSE,
    )
    words, position = [], 0
    while position < len(text):
        found = pattern.match(text, position)
        words.append(found[0])
        position = found.end()
    return words


def split_by_possessives(string):
    import regex

    return [
        m[0]
        for m in regex.finditer(
            r"'(?:s|d|m|t|ll|ve|re)|[ ]?[\p{L}]++|[ ]?[\p{N}]++|[ ]?[^\s\p{L}\p{N}]++"
            r"|\s++$|\s+(?!\S)|\s",
            string,
        )
    ]


_FRAGMENTS = (
    "a|Bc|é|日本|don't|we'll|'s|'S|'|’s|ि|e\u0301|ß|_|-| |  |   |\n|\n\n|\t|\r\n|\u00a0|\u2003|1|42|²|½|"
    "٣|…|!?|🙂|👩\u200d👧|\x00|\u200b|<>|אב|العر"
)
_SMALL_TEXTS = (
    "|a| | a|a |  |éa|a1|1½|a b|a  b|a\nb|\n a|ab1|a 1|a,b|a !|!!|it's|IT'S|it’s|'sa|'tis|we'll|I've|I'm|a're|a'd|a 's|a_b|a _b|é|日本|"
    "ab²|x½|٣٤|नि|e\u0301a|\t\ta|a \n b|a\u00a0b|🙂🙂|a\x00b|don't  stop\n\n"
)
FRAGMENTS, SMALL_TEXTS = _FRAGMENTS.split("|"), _SMALL_TEXTS.split("|")


def draw_texts(draw: random.Random) -> list[dict]:
    drawn = ["".join(draw.choices(FRAGMENTS, k=2 + at % 9)) for at in range(40)]
    return [{"text": text} for text in [*SMALL_TEXTS, *drawn]]


SPLIT_WORDS = Exercise(
    answer="minilm.tokenization.words:split_words",
    lesson=LESSON,
    cases=draw_texts,
    reference=reference_split,
    reference_name="tokenizers' ByteLevel pre-tokenizer",
    mistakes=[
        Mistake(
            "throws the white space away",
            lambda text: text.split(),
            "Your words carry no white space, so the text cannot be put together again, and signs "
            "stay glued to words. Every character belongs to exactly one word.",
        ),
        Mistake(
            "trims the text",
            lambda text: pieces(*GPT2)(text.strip()),
            "White space at the ends is gone. A model must be able to write an indented line.",
        ),
        Mistake(
            "gives the space to the word before",
            pieces(
                CONTRACTIONS, r"\p{L}+ ?", r"\p{N}+ ?", r"[^\s\p{L}\p{N}]+ ?", r"\s+(?!\S)", r"\s+"
            ),
            "A space ends up behind its word. GPT-2 puts it in front, so that a word within a "
            "sentence is always the same token, whatever stands after it.",
        ),
        Mistake(
            "cuts the space off",
            pieces(CONTRACTIONS, r"\p{L}+", r"\p{N}+", r"[^\s\p{L}\p{N}]+", r"\s+(?!\S)", r"\s+"),
            "Each space is a word of its own, which doubles the number of tokens. One space "
            "belongs to the word that follows it.",
        ),
        Mistake(
            "gives a space to letters only",
            pieces(CONTRACTIONS, WORDS, r"\p{N}+", r"[^\s\p{L}\p{N}]+", r"\s+(?!\S)", r"\s+"),
            "A space before a number or a sign stands alone. Each of the three kinds takes the "
            "one space before it.",
        ),
        Mistake(
            "takes all the spaces along",
            pieces(CONTRACTIONS, r" *\p{L}+", r" *\p{N}+", r" *[^\s\p{L}\p{N}]+", r"\s+"),
            "A word takes every space before it, so each depth of indentation makes new words. It "
            "takes one at most; the others stay together.",
        ),
        Mistake(
            "takes any white space along",
            pieces(
                CONTRACTIONS,
                r"\s?\p{L}+",
                r"\s?\p{N}+",
                r"\s?[^\s\p{L}\p{N}]+",
                SPACES_BEFORE_THE_LAST,
                SPACES,
            ),
            "A word takes a newline or a tab along. Only a plain space (U+0020) goes with the word.",
        ),
        Mistake(
            "leaves no space for the next word",
            pieces(CONTRACTIONS, WORDS, NUMBERS, SIGNS, SPACES),
            "A run of white space swallows the last space too, so the word after it begins bare: "
            "' b' after one space, 'b' after two. The lookahead (?!\\S) leaves one behind.",
        ),
        Mistake(
            "knows no contractions",
            pieces(WORDS, NUMBERS, SIGNS, SPACES_BEFORE_THE_LAST, SPACES),
            "The apostrophe of it's is a word of its own and the s another. GPT-2 keeps 's, 't, "
            "'re, 've, 'm, 'll and 'd whole. They come first in the pattern: after the signs they "
            "would never be reached.",
        ),
        Mistake(
            "joins contractions in capitals",
            pieces(*GPT2, flags="(?i)"),
            "IT'S is cut like it's. GPT-2's pattern minds the case: 'S is a sign and a letter. "
            "(It is often called a slip of the authors. Ids depend on it all the same.)",
        ),
        Mistake(
            "takes a curly apostrophe",
            pieces("['’](?:[sdmt]|ll|ve|re)", *GPT2[1:]),
            "’s counts as a contraction. GPT-2 knows the straight apostrophe only.",
        ),
        Mistake(
            "knows some contractions only",
            pieces("'[sdmt]", *GPT2[1:]),
            "Some contractions fall apart. GPT-2 keeps seven whole: 's 'd 'm 't 'll 've 're.",
        ),
        *(
            Mistake(
                f"lacks the contraction {short}",
                pieces("|".join(other for other in SHORT if other != short), *GPT2[1:]),
                f"{short} falls apart. GPT-2 keeps seven contractions whole: "
                "'s 'd 'm 't 'll 've 're.",
            )
            for short in SHORT
        ),
        Mistake(
            "gives a space to contractions",
            pieces(" ?" + CONTRACTIONS, *GPT2[1:]),
            "A contraction takes the space before it along. In GPT-2's pattern it takes none: "
            "in a 's the space goes with the apostrophe, and the s stands alone.",
        ),
        Mistake(
            "is the first try of the page",
            pieces(WORDS, NUMBERS, SIGNS, SPACES),
            "This pattern cuts we'll into three, and a run of white space leaves no space for the "
            "word after it. Put the contractions before the other alternatives, and \\s+(?!\\S) "
            "before \\s+.",
        ),
        Mistake(
            "returns what a group caught",
            groups_only,
            "With a pair of brackets in the pattern, findall returns what these caught instead of "
            "the whole match: nothing, mostly. Write (?:s|d|m) in place of (s|d|m).",
        ),
        Mistake(
            "takes \\w for letters",
            pieces(CONTRACTIONS, r" ?\w+", r" ?[^\s\w]+", SPACES_BEFORE_THE_LAST, SPACES),
            r"\w means letters, digits, marks and the underscore, so ab1 and a_b stay whole. "
            r"Letters alone are \p{L}.",
        ),
        Mistake(
            "knows English letters only",
            pieces(
                CONTRACTIONS,
                " ?[A-Za-z]+",
                " ?[0-9]+",
                r" ?[^\sA-Za-z0-9]+",
                SPACES_BEFORE_THE_LAST,
                SPACES,
            ),
            "é, 日 and ٣ count as signs. Letters of all scripts are \\p{L}, numbers \\p{N}.",
        ),
        Mistake(
            "takes digits for numbers",
            pieces(
                CONTRACTIONS, WORDS, r" ?\d+", r" ?[^\s\p{L}\d]+", SPACES_BEFORE_THE_LAST, SPACES
            ),
            r"\d means decimal digits. ² and ½ are numbers too: \p{N}.",
        ),
        Mistake(
            "takes marks for letters",
            pieces(
                CONTRACTIONS,
                r" ?[\p{L}\p{M}]+",
                NUMBERS,
                r" ?[^\s\p{L}\p{M}\p{N}]+",
                SPACES_BEFORE_THE_LAST,
                SPACES,
            ),
            "Accents and vowel signs stay with their letters. That would be kinder to Hindi, but "
            "GPT-2 cuts there, because \\p{L} holds no marks.",
        ),
        Mistake(
            "cuts every sign off",
            pieces(CONTRACTIONS, WORDS, NUMBERS, r" ?[^\s\p{L}\p{N}]", r"\s+(?!\S)", SPACES),
            "Signs that stand together come out one by one, so ... can never be one token.",
        ),
        Mistake(
            "cuts every digit off",
            pieces(CONTRACTIONS, WORDS, r" ?\p{N}", SIGNS, SPACES_BEFORE_THE_LAST, SPACES),
            "Digits come out one by one. Later models do so on purpose; GPT-2 keeps numbers whole.",
        ),
    ],
    accepts=[pieces(*GPT2), split_by_hand, split_by_matching],
)
