"""What lesson 09 says in words holds for what its cells compute, on this Python."""

from __future__ import annotations

import contextlib
import io
import math
import re
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
import torch

from minilm.check.catalogue import training

LESSON = Path(__file__).resolve().parents[2] / "lessons" / "09_training.ipynb"
ANSWERS = [getattr(import_module(e.module), e.path) for e in training.EXERCISES]


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


@pytest.fixture(scope="module")
def said(names, printed):
    """What the cell with this beginning printed."""

    def found(beginning: str) -> str:
        [text] = [text for line, text in printed.items() if line.startswith(beginning)]
        return text

    return found


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)]


def test_ten_stories_are_told_and_each_is_possible(said, names):
    told = said("Batch = dict").partition("\n[figure")[0].split("\n\n")[:10]
    texts = [story.text for story in names["stories"][:10]]
    assert [text.strip() for text in told] == texts
    assert all(math.isfinite(names["world"].log_prob(text)) for text in texts)


def test_a_wrong_word_is_no_story_and_the_floor_is_a_number(said, names):
    out = said("tokenizer = minilm.AutoTokenizer")
    assert "one wrong word: -inf" in out
    assert 0.2 < names["floor"] < 0.8


def test_ten_texts_of_a_hundred_tokens_make_seven_blocks_or_none(names):
    texts = [[1] * 100] * 10
    assert len(names["group_texts"]({"input_ids": texts}, 128)["input_ids"]) == 7
    alone = [names["group_texts"]({"input_ids": [text]}, 128) for text in texts]
    assert all(len(each["input_ids"][0]) < 128 for each in alone)


def test_the_labels_are_the_text_and_not_shifted(said):
    rows = said("collate = minilm.DataCollator").split()
    assert "-100," in " ".join(rows)
    ids, labels = (said("collate = minilm").split(name)[1] for name in ("input_ids", "labels"))
    first = re.findall(r"\[(.*?)\]", ids)[0]
    assert re.findall(r"\[(.*?)\]", labels)[0] == first


def test_every_weight_moves_about_one_learning_rate(said):
    out = said("_ = torch.manual_seed(0)").splitlines()
    first = numbers(out[1])
    assert all(abs(move) == pytest.approx(0.01, rel=0.03) for move in first)
    last = numbers(out[3])
    assert all(0.005 < abs(move) < 0.015 for move in last)
    assert float(out[-1].split()[-1]) < 1e-5


def test_the_first_step_of_a_rise_moves_nothing(names):
    assert names["linear_with_warmup"](0, 10, 100) == 0
    assert all(values[0] == 0 and values[10] == 1 for values in names["factors"].values())


def test_the_mean_of_all_labels_is_not_the_mean_of_the_means(names):
    assert math.log(names["perplexity"]([3.0, 1.0], [10, 90])) == pytest.approx(1.2)


def test_a_small_model_comes_down_toward_the_floor(names, said):
    assert 7 < math.log(len(names["tokenizer"])) < 7.5
    reached, floor = numbers(said("def small_model"))[-2:]
    assert floor < reached < 4 * floor
    log = [row["loss"] for row in names["trainer"].state.log_history if "loss" in row]
    assert log[0] > 5.5


def test_what_is_known_by_heart_costs_less_than_the_floor_and_the_rest_ever_more(names):
    eight, held_out = (names["lines"][name] for name in ("the eight", "held out"))
    assert eight[-1] < names["floor"] / 2
    assert min(held_out) < held_out[-1] - 0.5
    assert held_out[-1] > 5 * names["floor"]


def test_the_shipped_model_is_near_the_floor(said):
    loss, floor = numbers(said("eight = ["))[-2:]
    assert floor - 0.02 < loss < 1.1 * floor


def test_with_pad_for_eos_nothing_stops_and_no_loss_tells(said):
    own, trap, kept = said("@torch.no_grad()").strip().splitlines()
    assert own.endswith("<|endoftext|>")
    assert kept.endswith("<|endoftext|>")
    assert "<|endoftext|>" not in trap
    losses = [numbers(line)[0] for line in (own, trap, kept)]
    assert max(losses) - min(losses) < 0.4


def test_prose_is_learned_and_stories_are_forgotten(said):
    found = [numbers(line) for line in said("tuned = guide").splitlines()[::2]]
    (prose, stories), (prose_after, stories_after) = found
    assert prose_after < prose / 10
    assert stories_after > stories + 1


def test_the_reference_reports_less_by_one_in_t(said):
    rows = said("from contextlib").strip().splitlines()
    factors = {row[:19].strip(): numbers(row)[-1] for row in rows[:-1]}
    assert factors["minilm"] == factors["by hand"] == 1
    assert factors["transformers, told"] == pytest.approx(1, abs=2e-5)
    assert factors["transformers"] == pytest.approx(127 / 128, abs=2e-5)
    assert numbers(rows[-1])[-1] == pytest.approx(127 / 128, abs=1e-5)


def test_the_two_people_of_the_beginning_are_as_far_apart():
    assert abs(44.7 ** (127 / 128) - 43.4) < 0.05


def test_on_llama_both_trainers_do_the_same_to_the_last_bit(said):
    out = said("def four_steps").split("01_byte_pairs")[0].splitlines()
    assert len(out) == 4
    assert all("differs by 0e+00" in line for line in out)


def test_the_first_solution_shows_a_mean_of_means(names, solutions, capsys):
    exec(solutions[0], names)
    (one, one_mean), (most, most_mean) = (
        [float(n) for n in line.split()[1:]] for line in capsys.readouterr().out.splitlines()
    )
    assert one == pytest.approx(one_mean, rel=1e-4)
    assert one == pytest.approx(most, rel=1e-4)
    assert abs(most_mean - most) > 1e-3 * most


def test_the_second_solution_runs(names, solutions, capsys):
    exec(solutions[1].replace("max_steps=60", "max_steps=10"), names)
    assert len(capsys.readouterr().out.splitlines()) == 6
