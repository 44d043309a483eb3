from __future__ import annotations

from minilm.tokenization.aligned_text import AlignedText


def places(text: AlignedText) -> list[tuple[str, int, int]]:
    return list(zip(text.text, text.starts, text.ends, strict=True))


def test_an_unchanged_text_stands_for_itself():
    assert places(AlignedText("ab")) == [("a", 0, 1), ("b", 1, 2)]


def test_a_slice_keeps_its_places_in_the_original():
    piece = AlignedText("hello world").slice(6, 9)
    assert (piece.text, piece.origin) == ("wor", 6)
    assert piece.offsets(1, 3) == (7, 9)


def test_a_change_of_0_replaces_a_negative_one_removes_a_positive_one_puts_in():
    changed = AlignedText("abcd").transform([("A", 0), ("+", 1), ("B", -1), ("D", 0)])
    assert places(changed) == [("A", 0, 1), ("+", 0, 1), ("B", 1, 2), ("D", 3, 4)]


def test_what_is_put_before_everything_stands_for_nothing():
    piece = AlignedText("xxab").slice(2, 4).transform([("+", 1), ("a", 0)])
    assert places(piece) == [("+", 2, 2), ("a", 2, 3)]


def test_gathering_characters_keeps_their_places():
    assert places(AlignedText("abc").gather("cca", [2, 2, 0])) == [
        ("c", 2, 3),
        ("c", 2, 3),
        ("a", 0, 1),
    ]


def test_an_empty_stretch_stands_where_it_stands():
    assert AlignedText("xxab").slice(2, 4).offsets(1, 1) == (3, 3)


def test_more_changes_than_characters_stay_at_the_last_one():
    assert places(AlignedText("a").transform([("a", 0), ("b", 0)])) == [("a", 0, 1), ("b", 0, 1)]
