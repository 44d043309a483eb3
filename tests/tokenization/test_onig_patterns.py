from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import InvalidInput
from minilm.tokenization.onig_patterns import compile_pattern, find_spans, translate
from minilm.tokenization.pre_tokenizers import cut_at

tokenizers = pytest.importorskip("tokenizers")

PATTERNS = [
    r"\w+", r"\W+", r"[\w]+", r"[^\w]", r"[\W]", r"\h+", r"\H", r"[\h_]+", r"^.", r".$", r"\A.", r".\z", r".\Z",
    "$", "^", r"\n$", r"\s+$", r"(?m:a.b)", "a.b", r"(?i:abc)+", r"(?i)k", r"(?i:s)s", r"\p{L}+\p{M}*", r"\p{^L}",
    r"\P{L}+", r"[[:punct:]]+", r"[[:alnum:]]+", r"[[:digit:]]", r"[[:space:]]+", r"[[:^space:]]+", r"[[:alpha:]]+",
    r"[[:word:]]+", r"[[:xdigit:]]+", r"[a-z&&[^aeiou]]+", r"[^a-z&&[^aeiou]]+", r"[\p{L}&&[^\p{Han}]]+",
    r"\p{N}{1,3}+", "a{2}+", "a{1,2}?b", "(a){1,2}+b", "[ab]{1,2}+", "(?:ab|c){1,2}+", "a++b", "a?+a", "a*+",
    r"\s*+[\r\n]", "(?<=a)b", "(?<!a)b", "(?=b)", "a(?!b)", "(?>a+)b", r"\x{61}", r"[\x{61}-\x{63}]+", r"\u0061",
    "[]a]+", "[^]a]+", r"[a\]]+", "[a||b]", "[!-/]", r"\bab", r"\Bb", r"\R", r"\e|\t", r"(?<x>a)b\k<x>", r"(a)\1",
    "a|b|", "()", r"\N+", r"\O+", r"[\s&&[^\n]]+", r"\d+", r"\D+", r"[^\S\n]+", r"\p{Lu}\p{Ll}+|\p{Lu}+(?!\p{Ll})",
    "'(?i:[sdmt]|ll|ve|re)", "[[a-c][x-z]]+", r"\X", r"\p{Hiragana}+|\p{Katakana}+", "a{,2}", "a{2,}", "{a", "a{",
    r"[\p{L}\p{N}_-]+", r"[^\r\n\p{L}\p{N}]?+\p{L}++", r"\$\^", "[$^]", "[a^]+", "(?#comment)a", r"\p{Han}{1,2}+",
    r"\\{2}+",
]  # fmt: skip
TEXTS = st.lists(
    st.sampled_from([*"abcABCkKsSxyz019 \n\r\t.,!$^-_'/\\]{}[#|&", "中", "文", "é", "e\u0301", "ſ", "\u212a", "²",
                     "\x85", "\x1c", "\u2028", "\u200d", "カ", "か", "α", "🙂", "\u0301", "İ", "Ⅳ", "٣", "\xa0",
                     "\x00", "'s", "'LL", "ab", "aa", "123"]),
    max_size=12,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_what_oniguruma_finds(pattern):
    reference = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    compiled = compile_pattern(pattern)

    @settings(max_examples=80, deadline=None)
    @given(TEXTS)
    def check(text):
        expected = [span for _, span in reference.pre_tokenize_str(text)]
        spans = cut_at(len(text), find_spans(compiled, text), "Isolated")
        assert [span for span in spans if span[0] < span[1]] == expected

    check()


def test_an_interval_with_a_plus_is_repeated_and_not_possessive():
    assert translate(r"\p{N}{1,3}+") == r"(?:\p{N}{1,3})+"
    assert translate(r"a(?:b[c{]){2}+d") == r"a(?:(?:b[c{]){2})+d"


@pytest.mark.parametrize(
    "pattern", ["(", "[a", "a)", r"\p{NoSuchThing}", "(?<=a+)(", r"\Qa\E", "a**("]
)
def test_a_pattern_that_cannot_be_compiled_is_quoted(pattern):
    with pytest.raises(InvalidInput) as caught:
        compile_pattern(pattern)
    assert repr(pattern) in str(caught.value)


def test_an_empty_match_behind_a_match_does_not_count():
    assert find_spans(compile_pattern("x*"), "axxb") == [(0, 0), (1, 3), (4, 4)]
    assert find_spans(compile_pattern("x*"), "") == []
