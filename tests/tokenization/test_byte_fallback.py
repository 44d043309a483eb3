from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders

from minilm.tokenization.byte_fallback import byte_pieces, join_byte_pieces

TOKENS = st.lists(
    st.one_of(
        st.integers(0, 255).map(lambda byte: f"<0x{byte:02X}>"),
        st.text(max_size=2).flatmap(lambda text: st.just(text)),
        st.sampled_from(
            ["<0xC3>", "<0xA9>", "<0xc3>", "<0xG1>", "<0x1>", "<0x041>", "▁a", "<0x41"]
        ),
    ),
    max_size=10,
)


@given(TOKENS)
def test_runs_of_byte_pieces_are_read_as_the_reference_reads_them(tokens):
    # The reference gives back the joined text, so that a mark after each token shows the cuts.
    marked = [part for token in tokens for part in (token, "|")]
    reference = decoders.ByteFallback()
    assert "".join(join_byte_pieces(tokens)) == reference.decode(tokens)
    assert "".join(join_byte_pieces(marked)) == reference.decode(marked)


@given(st.text())
def test_spelling_and_joining_give_the_text_back(text):
    assert "".join(join_byte_pieces(byte_pieces(text))) == text


def test_each_run_is_one_token_and_a_broken_one_counts_its_bytes():
    assert join_byte_pieces(["a", "<0xE2>", "<0x82>", "<0xAC>", "b"]) == ["a", "€", "b"]
    assert join_byte_pieces(["<0xE2>", "<0x82>", "b", "<0x41>"]) == ["\ufffd\ufffd", "b", "A"]
    assert join_byte_pieces([]) == []
    assert join_byte_pieces(["", "<0x0A>"]) == ["", "\n"]
