"""The merge tree: the same merges as the encoder's, and every token of the way on the picture."""

from __future__ import annotations

import random
import warnings

import pytest
from matplotlib.colors import to_rgb

from minilm import plots
from minilm.errors import InvalidInput
from minilm.plots.merge_tree import grow, merge_tree
from minilm.tokenization import bpe, bpe_training
from minilm.tokenization.byte_alphabet import byte_alphabet

RANKS = {("a", "n"): 0, ("b", "an"): 1, ("an", "a"): 2, ("ban", "ana"): 3}


def learned(seed: int) -> tuple[str, dict[tuple[str, str], int]]:
    draw = random.Random(seed)
    words = {"".join(draw.choices("abn", k=draw.randint(1, 9))): 1 for _ in range(8)}
    _, merges = bpe_training.train_bpe(words, vocab_size=draw.randint(3, 20))
    word = "".join(draw.choices("abnx", k=draw.randint(1, 15)))
    return word, {pair: rank for rank, pair in enumerate(merges)}


@pytest.mark.parametrize("seed", range(40))
def test_the_tree_ends_in_the_encoders_tokens(seed):
    word, ranks = learned(seed)
    assert [root.token for root in grow(word, ranks)] == bpe.apply_merges(list(word), ranks)


def nodes_below(node):
    yield node
    for part in node.parts:
        yield from nodes_below(part)


@pytest.mark.parametrize("seed", range(10))
def test_every_token_is_made_of_its_two_parts_and_stands_between_and_above_them(seed):
    word, ranks = learned(seed)
    steps = []
    for node in (node for root in grow(word, ranks) for node in nodes_below(root)):
        if not node.parts:
            assert (node.step, node.rank) == (0, None)
            continue
        left, right = node.parts
        assert node.token == left.token + right.token
        assert node.rank == ranks[left.token, right.token]
        assert left.x < node.x < right.x
        assert node.step > max(left.step, right.step)
        steps.append(node.step)
    assert sorted(steps) == list(range(1, len(steps) + 1)), "one merge at each step"


def texts_of(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in axes.texts]


def test_the_picture_shows_symbols_tokens_and_ranks():
    texts = texts_of(merge_tree("banana", RANKS))
    assert sorted(text for text in texts if not text.startswith("rank")) == sorted(
        [*"banana", "an", "an", "ban", "ana", "banana"]
    )
    assert sorted(text for text in texts if text.startswith("rank")) == [
        *("rank 0", "rank 0", "rank 1", "rank 2", "rank 3")
    ]


def test_tokens_that_are_left_stand_out_in_grey_too():
    (axes,) = merge_tree("bananas", RANKS).axes
    boxes = {t.get_text(): t for t in axes.texts if not t.get_text().startswith("rank")}
    for token, text in boxes.items():
        dark = plots.luminance(to_rgb(text.get_bbox_patch().get_facecolor()[:3])) < 0.2
        assert dark == (token in ("banana", "s"))
        ground = text.get_bbox_patch().get_facecolor()[:3]
        assert plots.text_color(ground) == text.get_color(), "the letters can be read on their box"


def test_dollar_signs_are_characters_and_no_formula():
    figure = merge_tree("$x$", {("$", "x"): 0, ("$x", "$"): 1})
    (axes,) = figure.axes
    assert "$x$" in texts_of(figure)
    assert not any(text.get_parse_math() for text in axes.texts if "$" in text.get_text())


def test_a_word_without_merges_is_a_row_of_symbols():
    assert texts_of(merge_tree("xy", {})) == ["x", "y"]


def test_a_word_without_symbols_is_refused():
    with pytest.raises(InvalidInput, match="nothing to draw"):
        merge_tree("", RANKS)


def test_every_stand_in_of_the_byte_alphabet_can_be_drawn(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots._png(merge_tree(list(byte_alphabet().values())[::2], {}))
        plots._png(merge_tree(list(byte_alphabet().values())[1::2], {}))
    assert capsys.readouterr().err == ""
