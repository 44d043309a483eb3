"""What lesson 06 says in words holds for what its cells compute, on this Python."""

from __future__ import annotations

import contextlib
import io
import math
import re
from pathlib import Path

import nbformat
import pytest
import torch

from minilm import layers, losses

LESSON = Path(__file__).resolve().parents[2] / "lessons" / "06_causal_lm.ipynb"
ANSWERS = [
    *(layers.layer_norm, layers.gelu_new, layers.conv1d, layers.pre_norm_block),
    *(losses.next_token_labels, losses.causal_lm_loss, layers.rms_norm, layers.swiglu),
]
HIDDEN = {"no biases in conv1d", "no bias in the norms", "no weight in the norms"}


@pytest.fixture(scope="module")
def cells() -> list[nbformat.NotebookNode]:
    return nbformat.read(LESSON, as_version=4).cells


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    """What each cell printed, by its first line."""
    return {}


@pytest.fixture(scope="module")
def names(cells, printed) -> dict:
    """What the lesson's own cells leave behind, with minilm's answers to its exercises."""
    threads = torch.get_num_threads()
    space: dict = {answer.__name__: answer for answer in ANSWERS}
    for cell in cells:
        if cell.cell_type == "code" and "nbgrader" not in cell.metadata:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(cell.source, LESSON.name, "exec"), space)
            printed[cell.source.split("\n")[0]] = out.getvalue()
    torch.set_num_threads(threads)
    return space


@pytest.fixture(scope="module")
def solutions(cells) -> list[str]:
    return re.findall(r"```python\n(.*?)```", cells[-1].source, re.DOTALL)


def said(printed: dict[str, str], beginning: str) -> str:
    [found] = [text for line, text in printed.items() if line.startswith(beginning)]
    return found


@pytest.fixture(scope="module")
def table(names, printed) -> dict[str, list[float]]:
    """Of each mutant: off by how much on the new model, and on the woken one step by step."""
    rows = said(printed, "new = {name: distances").splitlines()[2:]
    return {row[:23].strip(): [float(cell) for cell in row[23:].split()[:5]] for row in rows}


def last_loss(names, name) -> float:
    return sum(names["trained"][name][1][-20:]) / 20


def test_three_mutants_hide_in_a_new_model_and_a_fourth_nearly(table):
    noise = 1e-6
    hidden = {name for name, row in table.items() if row[0] < noise}
    assert hidden == {"right", *HIDDEN}
    assert noise < table["exact GELU"][0] < 1e-4


def test_waking_brings_all_of_them_to_light(table):
    assert table["right"][-1] < 1e-5
    assert 1e-4 < table["exact GELU"][-1] < 1e-3
    for name in set(table) - {"right", "exact GELU"}:
        assert table[name][-1] > 0.1, name


def test_one_sees_where_a_bug_begins(table):
    for name in ("no final norm", "head not tied"):
        assert table[name][3] < 1e-5 < table[name][4]
    assert all(row[1] == 0 for row in table.values()), "the embeddings are always right"
    assert table["c_proj transposed"][2] > 0.1


def test_many_mutants_mostly_say_the_right_word(names):
    said_right = [
        float(names["distances"](names["theirs"], mutant)[1])
        for name, mutant in names["mutants"].items()
        if name != "right"
    ]
    assert sum(share > 0.8 for share in said_right) >= 4


def test_of_the_four_matrices_one_is_square(names):
    layer = names["theirs"].transformer.h[0]
    linear = {"c_attn": layer.attn.c_attn, "c_proj": layer.attn.c_proj}
    linear |= {"c_fc": layer.mlp.c_fc, "mlp.c_proj": layer.mlp.c_proj}
    square = {name for name, part in linear.items() if len(set(part.weight.shape)) == 1}
    assert square == {"c_proj"}


def test_the_floor_is_the_entropy_of_a_row(names):
    # The order, the friend's thing, somebody else, and their thing: nothing else is left open.
    friends = set(names["friend"].values())
    assert friends == set(names["names"])
    assert all(name != friend for name, friend in names["friend"].items())
    assert names["floor"] == pytest.approx(math.log(2 * 4 * 6 * 4) / 19)
    assert len(names["story"]("Anna", "ship")) == 20


def test_not_shifting_is_better_than_possible_and_the_others_are_not(names):
    assert last_loss(names, "not shifted") < 0.05
    assert names["floor"] < last_loss(names, "right") < names["floor"] + 0.05
    assert 0 < last_loss(names, "shifted twice") - last_loss(names, "right") < 0.2


def test_the_right_model_tells_facts_and_the_others_repeat_or_leave_out(names):
    write, trained, friend = names["write"], names["trained"], names["friend"]
    assert write(trained["right"][0]).startswith(
        f"Fay 's friend is {friend['Fay']} . Fay 's friend"
    )
    assert set(write(trained["not shifted"][0]).split()) == {"Fay"}
    skipping = write(trained["shifted twice"][0]).split()
    assert skipping[:3] == ["Fay", "friend", friend["Fay"]]
    assert not {"'s", "is"} & set(skipping)


def test_before_the_first_block_each_word_says_itself_or_its_like(names):
    w = names["trained"]["right"][0]
    names_, things = set(names["names"]), set(names["things"])
    text = ["Ben", "'s", "friend", "'s", "dog", "is", "blue", "."]
    stream = names["gpt2"](names["to_ids"]([text]), w)[1]
    first = names["to_logits"](stream[0], w)[0].argmax(-1)
    for word, at in zip(text, first, strict=True):
        spoken = names["words"][at]
        assert spoken == word or {spoken, word} <= names_ or {spoken, word} <= things


def test_at_the_end_the_lens_knows_every_friends_thing(names):
    w, known = names["trained"]["right"][0], 0
    for who, friend in names["friend"].items():
        for thing in names["things"]:
            ids = names["to_ids"]([f"{who} 's friend 's {thing} is".split()])
            logits, stream = names["gpt2"](ids, w)
            known += names["words"][logits[0, -1].argmax()] == names["color"][friend, thing]
            early = names["to_logits"](stream[0], w)[0, -1]
            assert names["words"][early.argmax()] == "is"
    assert known >= 22  # of 24


def test_the_lens_reads_the_stream_between_attention_and_network(names):
    figure = names["lens"]("Fay", "dog")
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert rows[:3] == ["words", "+ attention 1", "+ network 1"]
    assert len(rows) == 7


def test_a_gated_network_of_eight_thirds_has_about_as_many_weights(names):
    sizes = [names["build"](norm=layers.RMSNorm, rotary=True, gated=g) for g in (False, True)]
    before, after = (model.num_parameters() for model in sizes)
    assert abs(after / before - 1) < 0.01


def test_shared_key_heads_halve_the_cache_and_rotary_positions_help(printed):
    rows = said(printed, "manual = torch").splitlines()[1:]
    found = {
        row[:18].strip(): [float(c.replace(",", "")) for c in row[18:].split()] for row in rows
    }
    assert list(found) == [
        *("GPT-2", "RMSNorm", "rotary positions", "gated network", "no biases"),
        *("two key heads", "head of its own"),
    ]
    assert found["two key heads"][1] * 2 == found["no biases"][1]
    assert found["two key heads"][0] < found["no biases"][0] < found["head of its own"][0]
    for seed in (2, 3):
        assert found["rotary positions"][seed] < found["RMSNorm"][seed] - 0.04
        assert abs(found["GPT-2"][seed] - found["RMSNorm"][seed]) < 0.03


def test_what_transformers_does_with_the_pages_arguments(printed):
    out = said(printed, "llama = wake").splitlines()
    assert out[0] == "outputs: loss logits past_key_values hidden_states attentions"
    assert "DynamicCache" in out[2]
    assert out[3].endswith("True")
    assert out[4].endswith("True")
    refused = [line for line in out if line.startswith("minilm: ")]
    assert "cache_position" in refused[0]
    assert "did you mean attention_mask" in refused[1]


def test_everything_in_the_table_is_as_near_as_it_can_be(printed):
    rows = said(printed, "from transformers.loss").split("01_byte_pairs")[0].splitlines()
    found = {row[:28].strip(): float(row[28:].split()[0]) for row in rows}
    assert len(found) == 7
    assert all(difference < 1e-5 for difference in found.values())
    assert found["loss"] == found["loss, some ignored"] == 0
    assert found["GPT-2: gradients"] < 1e-6


def test_the_first_solution_finds_eps_on_the_new_model_rather(names, solutions, capsys):
    exec(solutions[0], names)
    new, woken = map(float, capsys.readouterr().out.split())
    assert new > 2 * woken > 1e-4


def test_the_second_solution_learns_the_facts(names, solutions, capsys):
    exec(solutions[1], names)
    loss, rest = capsys.readouterr().out.split(", best ")
    assert float(loss) < names["floor"] + 0.1
    assert f"Fay 's friend is {names['friend']['Fay']} ." in rest
