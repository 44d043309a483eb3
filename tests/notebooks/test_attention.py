"""What lesson 05 says in words holds for what its cells compute."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from minilm import attention, cache
from minilm.attention import MultiHeadAttention

LESSON = Path(__file__).resolve().parents[2] / "lessons" / "05_attention.ipynb"
ANSWERS = [
    *(attention.attention_scores, attention.masked_softmax, attention.eager_attention),
    *(attention.split_heads, attention.merge_heads, attention.repeat_kv),
    *(cache.cache_bytes, cache.write_in_place, cache.keep_window, attention.cached_attention),
]


@pytest.fixture(scope="module")
def cells() -> list[nbformat.NotebookNode]:
    return nbformat.read(LESSON, as_version=4).cells


@pytest.fixture(scope="module")
def run(cells) -> dict:
    """What the lesson's own cells leave behind after each, with minilm's answers; not the timings.

    A name → its value at the end; under "printed", a cell's source → what it printed.
    """
    import contextlib
    import io

    space: dict = {answer.__name__: answer for answer in ANSWERS}
    printed: dict[str, str] = {}
    threads = torch.get_num_threads()
    for cell in cells:
        is_own = cell.cell_type == "code" and "nbgrader" not in cell.metadata
        if is_own and "varies" not in cell.metadata.get("tags", []):
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(cell.source, cell["id"], "exec"), space)
            printed[cell.source] = said.getvalue()
    space["printed"] = printed
    yield space
    torch.set_num_threads(threads)
    torch.set_printoptions(profile="default")


@pytest.fixture(scope="module")
def solutions(cells) -> list[str]:
    return re.findall(r"```python\n(.*?)```", cells[-1].source, re.DOTALL)


def said(run: dict, word: str) -> str:
    """What the cell printed whose source has that word."""
    (text,) = [text for source, text in run["printed"].items() if word in source]
    return text


def test_the_scores_by_hand_are_those_of_the_answer(run, cells):
    text = "\n".join(cell.source for cell in cells)
    (answer,) = re.findall(r"Anna 1, Ben 0, cat 6, dog 4, ship 1, lamp 2", text)
    by_hand = {name: float(n) for name, n in re.findall(r"(\w+) (\d)", answer)}
    assert said(run, "names = ").startswith(f"{by_hand}\n")


def test_the_table_of_keys_is_the_one_the_cell_uses(run, cells):
    (table,) = [cell.source for cell in cells if "| talks |" in cell.source]
    rows = re.findall(r"^\| [a-z ]+ \|((?: \d \|)+)$", table, re.MULTILINE)
    keys = torch.tensor([[float(n) for n in re.findall(r"\d", row)] for row in rows]).T
    wish = torch.tensor([0.0, 2, 1])
    names = re.findall(r"\w+", table.split("| | ")[1].split("\n")[0])
    scores = dict(zip(names, (keys @ wish).tolist(), strict=True))
    assert said(run, "names = ").startswith(f"{scores}\n")


def test_without_a_scale_the_choice_hardens_with_the_width(run):
    bits = run["panels"]["entropy of the weights, in bits"]
    slope = run["panels"]["gradient that reaches the scores"]
    assert all(wider < narrower for narrower, wider in pairwise(bits["no scale"]))
    assert bits["no scale"][-1] < 0.5
    assert slope["no scale"][-1] < slope["1/√D"][-1] / 2
    for level in (bits["1/√D"], slope["1/√D"]):
        assert max(level) < 1.2 * min(level)
    assert bits["1/D"][-1] > 0.999 * math.log2(64)
    assert max(map(max, bits.values())) < 6.0001


def test_a_view_has_the_shape_and_not_the_numbers(run):
    right, wrong = run["right"], run["wrong"]
    assert right.shape == wrong.shape
    assert right[0, 0, :, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert wrong[0, 0].max() < 30, "the first head gets the first tokens, whole"
    assert right[0, 0].max() > 50


def test_nothing_of_the_other_sides_padding_is_mixed(run):
    printed = said(run, "cross = ")
    assert "(2, 4, 3, 5) on the padding: 0.0\n" in printed
    assert float(printed.split()[-1]) > 0.05


def test_the_model_learns_to_look_back(run):
    losses = [float(x) for x in re.findall(r"loss (\d\.\d+)", said(run, "def train"))]
    assert losses[0] > 3.5
    assert losses[-1] < 0.1


def test_the_first_layer_finds_the_word_before_and_the_second_what_came_next(run):
    with torch.no_grad():
        maps = torch.cat(run["model"](run["sentence"])[1])  # (L, H, T, T)
    before = maps.diagonal(-1, 2, 3).mean(-1)
    behind = maps[:, :, 10:].diagonal(1, 2, 3).mean(-1)
    assert before[0].max() > 0.6
    assert before[0].mean() > 3 * before[1].mean()
    assert behind[0].max() < 0.2
    assert behind[1].median() > 0.8
    assert behind[1, 2] > 0.7, "the head that the page shows"


def test_the_counted_multiplications_are_those_that_torch_counts(run):
    layer = MultiHeadAttention(run["C"], 4).requires_grad_(False)
    for at, length in enumerate(run["lengths"][:9]):
        x, held = torch.randn(1, length, run["C"]), cache.DynamicLayer()
        if length > 1:
            held.update(*torch.randn(2, 1, 4, length - 1, run["C"] // 4))
        for figures, new, kept in ((run["again"], x, None), (run["kept"], x[:, -1:], held)):
            with FlopCounterMode(display=False) as counter:
                layer(new, is_causal=True, layer=kept, output_attentions=True)
            assert counter.get_total_flops() == 2 * figures[at]


def test_llama_3_needs_a_gibibyte_and_would_need_four(run):
    assert re.findall(r"(\d+) key heads: (\d+) GiB", said(run, "writer = ")) == [
        ("8", "1"),
        ("32", "4"),
    ]


def test_the_cache_of_transformers_is_no_tuple_and_knows_only_its_own_text(run):
    line = r"^DynamicCache, a tuple: False, (\d+) tokens in ([\d,]+) bytes; computed: ([\d,]+)$"
    found = re.findall(line, said(run, "writer = "), re.MULTILINE)
    assert [length for length, _, _ in found] == ["20", "7"]
    assert all(held == computed for _, held, computed in found)


def test_every_kind_of_cache_says_what_the_whole_says(run):
    whole = "night Anna counts old red ships near this harbour every"
    for name, make in run["kinds"].items():
        apart, text = run["by_steps"](make, window=12 if name == "sliding" else 99)
        assert apart.shape == (20,)
        assert apart.max() < 1e-4, name
        assert text == whole


def test_positions_that_restart_are_seen_at_the_second_step_and_in_no_shape(run):
    apart, text = run["by_steps"](run["kinds"]["growing"], positions=[0] * 20)
    assert apart[0] < 1e-4
    assert apart[1] > 0.5
    assert text.split() != run["by_steps"](run["kinds"]["growing"])[1].split()
    assert len(text.split()) == 10


def test_the_layer_is_llamas(run):
    real = run["real"].bool()
    for name, (mine, other) in run["pairs"].items():
        assert mine.shape == other.shape
        assert mine[real].abs().max() > 0.1, "awake"
        assert (mine - other)[real].abs().max() < 1e-5, name
    table = dict(
        re.findall(r"^(\w[\w ,]*?):? +(\d)e[-+]\d\d$", said(run, "pairs = "), re.MULTILINE)
    )
    assert len(table) == 6


def test_the_first_solution_learns_more_slowly_and_is_given_away_by_the_cache(
    run, solutions, capsys
):
    before = attention.masked_softmax
    exec(solutions[0], run)
    printed = capsys.readouterr().out
    assert attention.masked_softmax is before
    losses = [float(x) for x in re.findall(r"loss (\d\.\d+)", printed)]
    assert losses[-1] < 0.7 * losses[0], "it falls"
    assert losses[-1] > 0.5, "only slower"
    assert float(re.findall(r"(\d+\.\d+) apart", printed)[0]) > 0.5


def test_the_second_solution_gives_four_times_the_text(run, solutions, capsys):
    exec(solutions[1], run)
    tokens = [
        int(n.replace(",", "")) for n in re.findall(r"([\d,]+) tokens", capsys.readouterr().out)
    ]
    shared, alone, four = tokens
    assert shared == 4 * alone == 4 * four
