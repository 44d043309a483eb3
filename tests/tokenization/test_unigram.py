import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from minilm.errors import InvalidInput, UnknownToken, WrongType
from minilm.tokenization import unigram
from minilm.tokenization.unigram import Unigram, best_path, walk_back

LETTERS = "abé😀"
ALL_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SCORES = st.one_of(
    st.floats(-12, 0, allow_nan=False).map(lambda score: round(score, 3)),
    st.sampled_from([-1.0, -2.0, -3.0, 0.0, 2.5]),
    st.integers(-40, -1).map(lambda tenths: tenths * 0.1),
)


@st.composite
def sections(draw):
    pieces = draw(st.lists(st.text(LETTERS, min_size=1, max_size=6), max_size=14, unique=True))
    pieces = ["<unk>", *pieces]
    byte_fallback = draw(st.booleans())
    if byte_fallback:
        pieces += draw(st.sampled_from([ALL_BYTES, ALL_BYTES[::2]]))
    pieces = draw(st.permutations(pieces)) if len(pieces) < 20 else pieces
    return {
        "type": "Unigram",
        "unk_id": draw(st.sampled_from([pieces.index("<unk>"), 0, len(pieces) - 1])),
        "vocab": [[piece, draw(SCORES) if len(piece) < 6 else -9.0] for piece in pieces],
        "byte_fallback": byte_fallback,
    }


def reference_encoding(section, word):
    encoding = Tokenizer.from_str(json.dumps({"version": "1.0", "model": section})).encode(word)
    return [(i, *span) for i, span in zip(encoding.ids, encoding.offsets, strict=True)]


WORDS = st.lists(st.sampled_from([*LETTERS, "x", "☃", "<unk>", "aa"]), max_size=40).map("".join)


@pytest.mark.parametrize("long", [1000, 3])
def test_ids_and_offsets_are_those_of_tokenizers(long, monkeypatch):
    monkeypatch.setattr(unigram, "_LONG", long)

    @settings(max_examples=300)
    @given(sections(), st.lists(WORDS, max_size=4))
    def check(section, words):
        model = Unigram.from_json(section)
        for word in words:
            expected = reference_encoding(section, word)
            assert model.encode_with_offsets(word) == expected
            assert model.encode(word) == [number for number, _, _ in expected]

    check()


def all_cuts(text):
    if not text:
        yield []
    for end in range(1, len(text) + 1):
        for rest in all_cuts(text[end:]):
            yield [text[:end], *rest]


@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=4), st.integers(-9, -1)),
    st.text("abx", max_size=8),
)
def test_the_best_path_is_the_best_of_all_ways_to_cut(scores, text):
    def total(pieces):
        return sum(scores.get(piece, -20 if len(piece) == 1 else -1000) for piece in pieces)

    found = walk_back(text, best_path(text, scores, unk_score=-20, longest=4))
    assert "".join(found) == text
    assert total(found) == max(map(total, all_cuts(text)))


def test_of_equal_paths_the_longer_last_piece_wins():
    scores = {"a": -1.0, "aa": -1.0, "ab": -1.0, "b": -1.0}
    assert walk_back("aaa", best_path("aaa", scores, -11.0, 2)) == ["a", "aa"]
    assert walk_back("aab", best_path("aab", {**scores, "aab": -9.0}, -19.0, 2)) == ["a", "ab"]


def test_unknown_neighbours_are_fused_also_with_the_unknown_piece_itself():
    model = Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0)
    assert model.encode_with_offsets("xya<unk>z") == [(0, 0, 2), (1, 2, 3), (0, 3, 9)]


def test_a_file_is_read_as_tokenizers_reads_its_numbers_and_written_as_it_was():
    draw = random.Random(4)
    pieces = [[f"p{number}", -10 * draw.random()] for number in range(2000)]
    section = {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": False}
    text = json.dumps({"version": "1.0", "model": section})
    theirs = json.loads(Tokenizer.from_str(text).to_str())["model"]["vocab"]
    model = Unigram.from_json(section)
    assert [model.scores[piece] for piece, _ in pieces] == [score for _, score in theirs]
    assert theirs != pieces  # a bit off here and there, which decides between equal paths
    assert model.to_json() == section


def test_scores_given_in_memory_are_used_as_they_are():
    pieces = [("<unk>", -0.1), ("a", -1 / 3), ("aa", -2 / 3), ("aaa", -1.0)]
    reference = Tokenizer(models.Unigram(pieces, 0, False))
    model = Unigram(pieces, 0)
    for size in range(1, 30):
        assert model.encode("a" * size) == reference.encode("a" * size).ids


def test_a_section_keeps_every_field_through_reading_and_writing():
    section = {
        "type": "Unigram",
        "unk_id": None,
        "from_elsewhere": {"x": 1},
        "vocab": [["a", -1.25], ["b", -3.0]],
        "byte_fallback": True,
    }
    model = Unigram.from_json(section)
    assert model.to_json() == section
    assert (model.token_to_id("b"), model.id_to_token(1)) == (1, "b")
    assert (model.token_to_id("c"), model.id_to_token(2), model.id_to_token(-1)) == (None,) * 3
    assert model.vocab == {"a": 0, "b": 1}


def test_a_long_word_takes_seconds_however_long_the_pieces_are():
    pieces = [("<unk>", 0.0), ("a", -1.0), ("ab", -1.5), ("b" * 200, -3.0)]
    model = Unigram(pieces, 0)
    text = "ab" * 150_000 + "b" * 200 + "x"
    assert model.encode(text) == [2] * 150_000 + [3] + [0]


def test_the_path_is_asked_of_the_functions_that_readers_write(monkeypatch):
    model = Unigram([("<unk>", 0.0), ("a", -1.0), ("aa", -1.0)], 0)
    monkeypatch.setattr(unigram, "best_path", lambda text, *rest: list(range(len(text))))
    assert model.encode("aa") == [1, 1]
    monkeypatch.setattr(unigram, "walk_back", lambda text, starts: ("aa", "a"))
    assert model.encode("aa") == [2, 1]


def test_an_unknown_character_without_an_unknown_piece_is_an_error_that_shows_it():
    model = Unigram([("a", -1.0)])
    assert model.encode("aa") == [0, 0]
    with pytest.raises(UnknownToken, match="'x'"):
        model.encode("ax")


@pytest.mark.parametrize(
    ("section", "error", "words"),
    [
        ({}, InvalidInput, "no 'vocab'"),
        ({"vocab": {"a": 0}}, WrongType, "'vocab'"),
        ({"vocab": [["a"]]}, WrongType, "Piece 0 is ['a']"),
        ({"vocab": [["a", 0], ["b", "1"]]}, WrongType, "score of piece 1, 'b'"),
        ({"vocab": [[1, 0]]}, WrongType, "Piece 0"),
        ({"vocab": [["a", float("nan")]]}, WrongType, "nan"),
        ({"vocab": [["a", 0]], "unk_id": 1}, InvalidInput, "unk_id is 1, and there are 1 pieces"),
        ({"vocab": [["a", 0]], "unk_id": "a"}, WrongType, "'unk_id'"),
    ],
)
def test_bad_sections_are_refused_by_name(section, error, words):
    with pytest.raises(error, match=re.escape(words)):
        Unigram.from_json(section)


@pytest.mark.parametrize(("bonus", "expected"), [(9.5, ["xa"]), (10.5, ["x", "a"])])
def test_an_unknown_character_scores_ten_below_the_worst_piece(bonus, expected):
    section = {
        "type": "Unigram",
        "unk_id": 0,
        "vocab": [["<unk>", 0.0], ["a", bonus], ["xa", -3.0]],
    }
    spans = [(start, end) for _, start, end in Unigram.from_json(section).encode_with_offsets("xa")]
    assert ["xa"[start:end] for start, end in spans] == expected
    assert Unigram.from_json(section).encode_with_offsets("xa") == reference_encoding(section, "xa")
