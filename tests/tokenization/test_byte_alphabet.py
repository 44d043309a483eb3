from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, normalizers, pre_tokenizers

from minilm.tokenization.byte_alphabet import (
    BYTE_OF,
    STAND_INS,
    byte_alphabet,
    text_to_symbols,
    tokens_to_text,
)


def test_the_alphabet_is_the_one_of_tokenizers_and_gives_each_byte_its_own():
    assert sorted(byte_alphabet().values()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_alphabet()) == list(range(256))
    assert all(BYTE_OF[character] == byte for byte, character in byte_alphabet().items())


def test_printable_bytes_stand_for_themselves_and_the_others_follow_in_order():
    assert STAND_INS[ord("A")] == "A"
    assert [STAND_INS[byte] for byte in (0, 10, 32, 127, 160, 173)] == list("ĀĊĠġłŃ")


@given(st.text())
def test_symbols_are_those_of_the_reference_and_lead_back_to_the_text(text):
    symbols = text_to_symbols(text)
    assert symbols == normalizers.ByteLevel().normalize_str(text)
    assert len(symbols) == len(text.encode("utf-8"))
    assert tokens_to_text(list(symbols)) == text


TOKENS = st.lists(
    st.one_of(
        st.text(sorted(STAND_INS.values()), max_size=4),
        st.text(max_size=3),
        st.sampled_from(["Ã", "©", "ð", "Ł", "ĺ", "Ģ", "<|endoftext|>", "Ġ", " "]),
    ),
    max_size=8,
)


@given(TOKENS)
def test_tokens_are_read_as_the_reference_reads_them(tokens):
    assert tokens_to_text(tokens) == decoders.ByteLevel().decode(tokens)


def test_a_character_cut_in_two_by_tokens_is_whole_again_and_half_of_one_is_not():
    assert tokens_to_text(["Ã", "©"]) == "é"
    assert tokens_to_text(["Ã", "x"]) == "\ufffdx"


def test_a_token_from_outside_the_alphabet_counts_as_its_own_bytes():
    assert tokens_to_text(["Ġa", " b", "€"]) == " a b€"
