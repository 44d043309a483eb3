"""The picture of all ways to cut a word."""

from __future__ import annotations

import io

import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from minilm.errors import InvalidInput
from minilm.plots import luminance
from minilm.plots.lattice import lattice

SCORES = {"un": -3.0, "able": -4.0, "una": -4.5, "ble": -3.4, "zoo": -1.0}


def labels(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def arcs(figure) -> dict[tuple[int, int], object]:
    """The line of every arc, by where it starts and ends."""
    found = {}
    for line in figure.axes[0].lines:
        x = line.get_xdata()
        if len(x) > 1:
            found[round(x[0]), round(x[-1])] = line
    return found


def test_there_is_an_arc_for_every_piece_that_fits_and_no_other():
    assert set(arcs(lattice("unable", SCORES))) == {(0, 2), (2, 6), (0, 3), (3, 6)}


def test_a_piece_that_fits_twice_has_two_arcs():
    assert set(arcs(lattice("noon", {"n": -1.0, "o": -2.0, "no": -1.5}))) == {
        (0, 1),
        (1, 2),
        (2, 3),
        (3, 4),
        (0, 2),
    }


def test_every_arc_bears_its_piece_and_its_score():
    found = labels(lattice("unable", SCORES))
    assert {"un  -3.0", "able  -4.0", "una  -4.5", "ble  -3.4"} <= set(found)
    assert not any(label.startswith("zoo") for label in found)


def test_the_best_path_is_thick_and_dark_the_rest_thin_and_pale():
    found = arcs(lattice("unable", SCORES, ["un", "able"]))
    best = [found.pop(span) for span in [(0, 2), (2, 6)]]
    for line in best:
        for other in found.values():
            assert line.get_linewidth() >= 2 * other.get_linewidth()
            assert luminance(to_rgb(line.get_color())) < luminance(to_rgb(other.get_color())) / 2


def test_the_title_names_the_path_and_its_total():
    assert "un + able   (total -7.0)" in labels(lattice("unable", SCORES, ["un", "able"]))
    assert "mine" in labels(lattice("unable", SCORES, ["un", "able"], title="mine"))


def test_an_unknown_letter_gets_a_dashed_arc_where_its_score_is_given():
    assert set(arcs(lattice("ax", {"a": -1.0}))) == {(0, 1)}
    found = arcs(lattice("ax", {"a": -1.0}, ["a", "x"], unk_score=-11.0))
    assert found[1, 2].get_linestyle() == "--"
    assert found[0, 1].get_linestyle() == "-"


def test_a_path_that_spells_another_word_is_refused():
    with pytest.raises(InvalidInput, match="spells 'unabl'"):
        lattice("unable", SCORES, ["una", "bl"])


def test_odd_words_can_be_drawn_without_a_warning(recwarn):
    for word in ["", "$a$", "é🙂"]:
        lattice(word, {"$": -1.0, "é": -2.0}, unk_score=-9.0).savefig(io.BytesIO(), format="png")
    assert not list(recwarn)
