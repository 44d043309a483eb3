"""What lesson 08 says in words holds for what its cells compute, on this Python."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
import torch

from minilm.check.catalogue import generation

LESSON = Path(__file__).resolve().parents[2] / "lessons" / "08_generation.ipynb"
ANSWERS = [getattr(import_module(e.module), e.path) for e in generation.EXERCISES]


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
    threads, shown = torch.get_num_threads(), warnings.showwarning
    space: dict = {answer.__name__: answer for answer in ANSWERS}
    with torch.random.fork_rng(), torch.no_grad():
        for cell in cells:
            if cell.cell_type == "code" and "nbgrader" not in cell.metadata:
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(compile(cell.source, LESSON.name, "exec"), space)
                printed[cell.source.split("\n")[0]] = out.getvalue()
    torch.set_num_threads(threads)
    torch.set_grad_enabled(True)
    warnings.showwarning = shown
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


def test_left_padding_changes_no_score_and_right_padding_does(said):
    away = dict(re.findall(r"^(left|right)\s+(\S+) away:", said("prompts ="), re.MULTILINE))
    assert float(away["left"]) < 1e-4
    assert float(away["right"]) > 1e-2


def test_fifty_words_are_all_that_sampling_sees_unless_told(said):
    out = said("def distribution")
    few, many = map(int, re.search(r"beginnings: (\d+) as it is, (\d+) with", out).groups())
    assert few <= 50 < many
    assert "the same True" in out


def test_a_penalty_makes_more_tokens_different(said):
    found = [int(n) for n in re.findall(r": (\d+) of \d+ tokens", said("for penalty"))]
    assert found[0] < found[-1]


def test_guesses_change_no_token_and_never_cost_a_call(said):
    found = re.findall(r"by (.*): (\d+) calls for 60 tokens; as without: (\w+)", said("smalls ="))
    assert [by for by, _, _ in found] == ["the text", "two layers"]
    assert {same for _, _, same in found} == {"True"}
    assert all(int(calls) < 60 for _, calls, _ in found)


def test_accepted_guesses_come_as_often_as_the_model_wants(said):
    rows = {
        line.split()[0]: [float(n) for n in re.findall(r"\d\.\d\d", line)]
        for line in said("p, q =").splitlines()
    }
    for one, other in zip(rows["written"], rows["wanted"], strict=True):
        assert one == pytest.approx(other, abs=0.03)
    assert rows["guessed"][0] > 2 * rows["wanted"][0]


def test_every_rung_of_the_ladder_is_measured(names):
    # That each writes the same tokens, the cell itself asserts.
    assert list(names["speeds"]) == list(names["rungs"])
    assert next(iter(names["speeds"])) == "naive"
    assert len(names["speeds"]) == 9


def test_every_drawn_setting_writes_transformers_tokens(said):
    rows = re.findall(r"^(.+?)\s+(\d+) of (\d+) drawn", said("always ="), re.MULTILINE)
    assert len(rows) == 7
    assert all(equal == drawn for _, equal, drawn in rows)
    assert rows[-1] == ("all", "60", "60")


def test_stopping_early_ends_a_search_and_needs_beams(said):
    pattern = r"^beams (\d), early (\w+): (\d+) steps, (.*)$"
    plain, early, search, cut = re.findall(pattern, said("how = {"), re.MULTILINE)
    assert plain[2:] == early[2:]
    assert int(cut[2]) <= int(search[2])


def test_a_maximal_length_counts_the_prompt(said):
    assert "max_length counts the prompt" in said("how = {")


def test_the_stream_stops_at_its_string_and_tells_whose_functions_wrote(said):
    out = said("streamer =")
    stop = re.match(r"until ['\"](.*)['\"]:\n", out)[1]
    text = out[out.index("\n") + 1 : out.index("\n01_byte_pairs")]
    assert stop in text
    assert text.index(stop) + len(stop) > len(text) - 12
    assert re.search(r"^08_generation .* of 10 yours$", out, re.MULTILINE)


def test_the_first_solution_leaves_nothing_where_the_model_is_sure(names, solutions, capsys):
    with torch.no_grad():
        exec(solutions[0], names)
    pattern = r"left at (\d+) of (\d+) places"
    found = [tuple(map(int, pair)) for pair in re.findall(pattern, capsys.readouterr().out)]
    empty = [count for count, _ in found]
    assert len(found) == 3
    assert empty == sorted(empty, reverse=True)
    assert empty[0] > 0
    assert empty[-1] < found[-1][1]


def test_the_second_solution_finds_no_text_less_probable_with_beams(names, solutions, capsys):
    with torch.no_grad():
        exec(solutions[1], names)
    rows = [
        [float(number) for number in re.findall(r"-\d+\.\d+", line)]
        for line in capsys.readouterr().out.splitlines()
    ]
    assert [len(row) for row in rows] == [4] * 5
    no_worse = [max(row[1:]) >= row[0] - 0.01 for row in rows]
    assert sum(no_worse) >= 4  # a search may miss the best, as the page says
