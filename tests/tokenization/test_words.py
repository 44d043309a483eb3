import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from minilm.tokenization import words
from minilm.tokenization.words import split_words, split_words_exactly

BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False)
PIECES = st.sampled_from(
    [
        "'s",
        "'LL",
        " ",
        "  ",
        "\n",
        "\t",
        "\xa0",
        "\u3000",
        "\x1c",
        "\x85",
        "a",
        "É",
        "٣",
        "½",
        "-",
        "́",
        "👩\u200d👧",
        "文",
        "\u2028",
        "_",
        "\x00",
        "१",
    ]
)


def cuts_of_the_reference(text):
    return [text[start:end] for _, (start, end) in BYTE_LEVEL.pre_tokenize_str(text)]


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
@example("we'll see 'em  \n\n x")
def test_words_are_those_of_the_reference_and_join_to_the_text(text):
    assert split_words_exactly(text) == cuts_of_the_reference(text)
    assert "".join(split_words(text)) == text


@given(st.lists(PIECES).map("".join))
def test_the_reader_form_differs_only_for_letters_newer_than_the_reference(text):
    assert split_words(text) == cuts_of_the_reference(text)


@pytest.mark.parametrize("limit", [0, 12, 100_000])
def test_a_pattern_that_learns_characters_cuts_as_the_reference_does(limit, monkeypatch):
    monkeypatch.setattr(words, "_cutter", words._Cutter(limit))

    @given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
    @example("a]b^c\\d-e[é\u0558 \u3000x\u2028")
    def check(text):
        assert split_words_exactly(text) == cuts_of_the_reference(text)

    check()


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_cut_the_same_with_the_faster_pattern(text):
    assert split_words_exactly(text) == split_words(text) == cuts_of_the_reference(text)


def test_the_words_are_asked_of_the_function_that_readers_write(monkeypatch):
    monkeypatch.setattr(words, "split_words", list)
    assert split_words_exactly("ab c") == ["a", "b", " ", "c"]
    assert split_words_exactly("é\u0558") == ["é", "\u0558"]


def test_every_kind_of_character_is_cut_as_by_the_reference_also_those_too_new_for_it():
    # Letters of Unicode 17 and 18 among them, which the reference's tables do not know.
    codes = [*range(0x80, 0xD800, 11), *range(0xE000, 0x110000, 61), 0x558, 0x323B0, 0x3D000]
    for character in map(chr, codes):
        text = f"a{character}1 {character}"
        assert split_words_exactly(text) == cuts_of_the_reference(text), hex(ord(character))


def test_the_last_space_goes_with_the_word_and_the_others_stay_together():
    assert split_words("a   b  ") == ["a", "  ", " b", "  "]
