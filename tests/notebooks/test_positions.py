"""What lesson 03 says in words holds for what its cells compute, on this Python."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
import torch

from minilm.check import catalogue, installing
from minilm.errors import OutOfRange

LESSON = Path(__file__).resolve().parents[2] / "lessons" / "03_positions.ipynb"
ANSWERS = {
    name: installing.own(exercise)
    for name, exercise in catalogue.all_exercises().items()
    if exercise.lesson == "03_positions"
}
NO_DISTANCE = 1e-5  # rounding, where nothing may differ


@pytest.fixture(scope="module")
def cells() -> list[nbformat.NotebookNode]:
    return nbformat.read(LESSON, as_version=4).cells


@pytest.fixture(scope="module")
def names(cells) -> dict:
    """What the lesson's own cells leave behind, with minilm's answers to its exercises."""
    space: dict = {**ANSWERS}
    before = torch.get_rng_state()
    try:
        for cell in cells:
            if cell.cell_type == "code" and "nbgrader" not in cell.metadata:
                source = cell.source.split("\nneighbours.__name__")[0]  # behind it stands a check
                source = source.partition('neighbours.__name__ = "apply')[0]
                exec(compile(source, LESSON.name, "exec"), space)
    finally:
        torch.set_grad_enabled(True)
        torch.set_rng_state(before)
    return space


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def solutions(cells) -> list[str]:
    return re.findall(r"```python\n(.*?)```", cells[-1].source, re.DOTALL)


def outputs_of(names, position_vectors):
    """The output of each word of both sentences."""
    found = []
    for words in names["sentences"]:
        x = torch.stack([names["vector_of"][word] for word in words]) + position_vectors
        found.append(list(zip(words, names["attend"](x, x, x), strict=True)))
    return found


def test_both_sentences_have_the_same_six_words(names):
    first, second = names["sentences"]
    assert sorted(first) == sorted(second)
    assert first != second
    assert len(first) == 6
    assert first.count("the") == 2


def test_without_positions_every_word_keeps_its_vector(names):
    first, second = (dict(rows) for rows in outputs_of(names, 0.0))
    for word in first:
        assert torch.allclose(first[word], second[word], atol=1e-6)


def test_with_learned_positions_a_word_knows_where_it_stands(names):
    first, second = (dict(rows) for rows in outputs_of(names, names["learned"].weight))
    assert (first["bites"] - second["bites"]).abs().max() > 0.1


def test_a_seventh_position_has_no_row(names):
    with pytest.raises(OutOfRange, match="Position 6"):
        names["learned"](torch.tensor([[4, 5, 6]]))


def test_barts_weights_fit_a_plain_table_and_mean_something_else(names):
    from minilm.positions import LearnedPositions

    theirs, places = names["theirs"], names["places"]
    right, wrong = LearnedPositions(16, 8, offset=2), LearnedPositions(18, 8)
    for table in (right, wrong):
        table.load_state_dict(theirs.state_dict())
    assert torch.equal(right(places), theirs(places))
    assert torch.equal(wrong(places)[:, 2:], theirs(places)[:, :-2])


def test_a_step_between_rows_is_the_same_rotation_everywhere(names):
    table = ANSWERS["sinusoid_table"](50, 8).double()
    sines, cosines = table[:, :4], table[:, 4:]
    hands = torch.complex(cosines, sines)
    steps = hands[1:] / hands[:-1]
    assert torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-5)


def test_the_layouts_hold_the_same_numbers_at_other_places(names):
    half, interleaved = names["tables"].values()
    assert torch.equal(half.sort().values, interleaved.sort().values)
    assert not torch.equal(half, interleaved)


@pytest.mark.parametrize("shift", [1, 3, 8])
def test_the_product_below_the_circles_stays_when_both_move_on(names, shift):
    for distance in range(13):
        products = {
            panel.get_xlabel()
            for panel in names["turn_both"](distance, shift).axes
            if panel.get_visible()
        }
        assert len(products) == 1
    two, five = (names["turn_both"](d, shift).axes[0].get_xlabel() for d in (2, 5))
    assert two != five


def test_moving_the_text_changes_nothing_unless_values_are_turned(names):
    moved = (names["here"] - names["there"]).abs().max()
    assert moved < 1e-4
    assert (names["wrong_here"] - names["wrong_there"]).abs().max() > 1


def test_a_llama_tells_five_tokens_from_six_and_not_five_from_a_thousand_and_five(names):
    llama, ids = names["llama"], names["ids"]
    places = torch.arange(32)[None]
    right = llama(ids, position_ids=places).logits
    assert (llama(ids, position_ids=places + 1000).logits - right).abs().max() < 1e-3
    assert (llama(ids, position_ids=2 * places).logits - right).abs().max() > 0.1


def test_a_llama_with_the_readers_rotation_is_the_same_llama(names):
    assert (names["ours"] - names["right"].logits).abs().max() <= NO_DISTANCE


def test_neighbours_break_the_logits_and_neither_the_shapes_nor_the_loss(names):
    wrong, right = names["wrong"], names["right"]
    assert wrong.logits.shape == right.logits.shape
    assert abs(wrong.loss - right.loss) < 0.02 * right.loss
    assert names["far"][:, 0].max() <= NO_DISTANCE
    assert names["far"].max() > 0.3
    assert names["same"] < 0.9


def test_neighbours_are_metas_rotation(names):
    """The pairs (0, 1), (2, 3) …, each turned by its own angle, and the length kept."""
    cos, sin = ANSWERS["rotary_cos_sin"](torch.tensor([[3]]), torch.tensor([1.0, 0.1]))
    x = torch.tensor([[[[1.0, 0.0, 2.0, 0.0]]]])
    turned, _ = names["neighbours"](x, x, cos, sin)
    angles = torch.tensor([3.0, 0.3])
    expected = torch.stack([angles.cos(), angles.sin()], dim=-1) * torch.tensor([[1.0], [2.0]])
    assert torch.allclose(turned.view(2, 2), expected, atol=1e-6)


def test_neighbours_are_known_to_the_check(names):
    from minilm.check import judging

    found = judging.judge(catalogue.all_exercises()["apply_rotary_pos_emb"], names["neighbours"])
    assert not found.right
    assert found.mistake is not None
    assert found.mistake.name == "pairs neighbours"


def test_the_scalings_do_what_the_answer_says(names):
    slower = names["slower"]
    assert slower["linear"] == pytest.approx([8.0] * 64)
    assert slower["dynamic"][0] == pytest.approx(1.0)
    assert slower["dynamic"][-1] == pytest.approx(8.0, rel=1e-3)
    assert slower["dynamic"] == sorted(slower["dynamic"])
    for ramp in ("yarn", "llama3"):
        assert slower[ramp][:16] == pytest.approx([1.0] * 16)
        assert slower[ramp][40:] == pytest.approx([8.0] * 24)
        assert any(1.5 < value < 7 for value in slower[ramp])


def test_left_padding_harms_gpt2_and_not_llama(names):
    from torch.nn import functional

    ids = names["ids"]
    padded, mask = (functional.pad(x, (3, 0)) for x in (ids, torch.ones_like(ids)))
    told = ANSWERS["position_ids_from_mask"](mask)
    for model, least, most in ((names["gpt2"], 0.5, 100), (names["llama"], 0, NO_DISTANCE)):
        alone = model(ids).logits
        columns = model(padded, attention_mask=mask).logits[:, 3:]
        helped = model(padded, attention_mask=mask, position_ids=told).logits[:, 3:]
        assert least <= (columns - alone).abs().max() <= most
        assert (helped - alone).abs().max() <= NO_DISTANCE


def test_gpt2_ends_where_the_opening_says(names):
    assert names["gpt2"].config.n_positions == 1024


def test_eight_distances_have_a_bucket_of_their_own():
    buckets = ANSWERS["relative_position_bucket"](-torch.arange(200)).tolist()
    assert [bucket for bucket in set(buckets) if buckets.count(bucket) == 1] == [*range(8)]
    assert max(buckets) == 15
    assert set(buckets[128:]) == {15}


def test_all_but_the_learned_table_know_the_distance_alone(names):
    for name, lines in names["drawn"].items():
        near, far = (torch.tensor(values) for values in lines.values())
        same = torch.allclose(near, far, atol=1e-3 * max(1.0, float(near.abs().max())))
        assert same is ("learned" not in name), name


def test_waves_and_rotation_draw_the_same_curve(names):
    waves = torch.tensor(names["drawn"]["sinusoidal"]["query at 60"])
    turned = torch.tensor(names["drawn"]["rotary, vectors of ones"]["query at 60"])
    assert torch.allclose(2 * waves, turned, atol=1e-3)


def test_nothing_in_the_table_differs_by_more_than_rounding(names):
    assert len(names["table"]) == 6
    for what, (mine, reference) in names["table"].items():
        assert mine.shape == reference.shape, what
        assert (mine - reference).abs().max() <= NO_DISTANCE, what
        assert reference.abs().max() > 1e-3, what


def test_the_first_solution_heals_the_checkpoint(names, solutions, capsys):
    exec(solutions[0], names)
    healed = names["run_llama"](ANSWERS["apply_rotary_pos_emb"]).logits
    assert (healed - names["meta"]).abs().max() <= NO_DISTANCE
    assert capsys.readouterr().out.strip()


def test_the_second_solution_tells_the_two_articles_apart(names, solutions, capsys):
    exec(solutions[1], names)
    first, second = capsys.readouterr().out.splitlines()
    articles = re.findall(r"\('the', (-?[\d.]+)\)", first)
    assert len(set(articles)) == 2
    assert second.count("(") == 6


def test_the_last_word_behind_a_causal_mask_still_sees_a_bag(names):
    x = torch.stack([names["vector_of"][word] for word in names["sentences"][0]])
    order = [3, 0, 4, 2, 1, 5]

    def last(x):
        scores = (x @ x.T / 3**0.5).masked_fill(torch.ones(6, 6).triu(1).bool(), -torch.inf)
        return (scores.softmax(-1) @ x)[-1]

    assert torch.allclose(last(x), last(x[order]), atol=1e-6)
