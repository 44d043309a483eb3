"""What lesson 04 says in words holds for what its cells compute, on this Python."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
import torch

from minilm import masks

LESSON = Path(__file__).resolve().parents[2] / "lessons" / "04_masks.ipynb"
ANSWERS = [
    *(masks.causal_mask, masks.padding_mask, masks.sliding_window_mask, masks.prefix_mask),
    *(masks.document_ids_from_positions, masks.document_mask, masks.mask_to_scores),
]
LEAKING = {"sees the next token", "inverted", "no mask"}


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
    import contextlib
    import io

    threads, options = torch.get_num_threads(), vars(torch._tensor_str.PRINT_OPTS).copy()
    space: dict = {answer.__name__: answer for answer in ANSWERS}
    for cell in cells:
        if cell.cell_type == "code" and "nbgrader" not in cell.metadata:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(cell.source, LESSON.name, "exec"), space)
            printed[cell.source.split("\n")[0]] = out.getvalue()
            space[f"after {cell.id}"] = dict(space)
    torch.set_num_threads(threads)
    torch._tensor_str.PRINT_OPTS = type(torch._tensor_str.PRINT_OPTS)(**options)
    return space


@pytest.fixture(scope="module")
def solutions(cells) -> list[str]:
    return re.findall(r"```python\n(.*?)```", cells[-1].source, re.DOTALL)


def said(printed: dict[str, str], beginning: str) -> str:
    [found] = [text for line, text in printed.items() if line.startswith(beginning)]
    return found


def last_loss(names, name) -> float:
    return sum(names["trained"][name][1][-20:]) / 20


def unseen_loss(names, name, mask=None) -> float:
    mask = names["candidates"][name] if mask is None else mask
    model = names["trained"][name][0]
    with torch.no_grad():
        return float(names["loss_on"](names["unseen"], names["starts"], model, mask))


def test_one_of_the_five_masks_is_right(names):
    right = masks.causal_mask(32, 32)
    equal = [name for name, mask in names["candidates"].items() if torch.equal(mask, right)]
    assert equal == ["right"]
    assert len(names["candidates"]) == 5


def test_the_right_mask_ends_with_the_highest_loss(names):
    for loss in (last_loss, unseen_loss):
        losses = {name: loss(names, name) for name in names["candidates"]}
        assert max(losses, key=losses.get) == "right"
        assert all(losses[name] < 0.3 for name in LEAKING)
        assert 0 < losses["right"] - losses["not itself"] < 0.2


def test_every_loss_falls(names):
    for name, (_, losses) in names["trained"].items():
        assert last_loss(names, name) < sum(losses[:20]) / 20 - 1


def test_three_of_the_five_move_outputs_before_the_replaced_token(names):
    early = {name for name, moved in names["influence"].items() if moved.triu(1).any()}
    assert early == LEAKING
    assert all(moved.diagonal().all() for moved in names["influence"].values())


def test_a_leak_of_one_token_reaches_two_through_two_layers(names):
    moved = names["influence"]["sees the next token"]
    assert torch.equal(moved.triu(1), torch.ones_like(moved).triu(1).tril(2))


@pytest.mark.parametrize("seed", range(3))
def test_with_random_weights_the_picture_is_the_same(names, seed):
    torch.manual_seed(seed)
    model = names["Tiny"]()
    for name, mask in names["candidates"].items():
        assert torch.equal(names["moved"](model, mask), names["influence"][name]), name


def test_one_token_at_a_time_the_right_mask_loses_nothing_and_the_leaking_ones_everything(names):
    for name, mask in names["candidates"].items():
        model = names["trained"][name][0]
        honest = float(names["one_at_a_time"](model, mask, names["starts"]))
        if name in LEAKING:
            assert honest > 4  # a blind guess: 5.55
        else:
            assert honest == pytest.approx(unseen_loss(names, name), abs=1e-4)


def test_two_layers_with_a_window_of_three_reach_back_to_token_one():
    near = (masks.sliding_window_mask(6, 6, 3) & masks.causal_mask(6, 6)).int()
    assert near[5].nonzero().flatten().tolist() == [3, 4, 5]
    assert (near @ near)[5].nonzero().flatten().tolist() == [1, 2, 3, 4, 5]


def test_padding_in_the_prefix_comes_back_if_the_prefix_is_joined_last():
    padding = masks.padding_mask(torch.tensor([[0, 1, 1, 1]]))
    first = masks.prefix_mask(4, 4, 2) & padding
    last = (masks.causal_mask(4, 4) & padding) | (torch.arange(4) < 2)
    assert not first[..., 0].any()
    assert last[..., 0].any()


def test_the_documents_of_the_question_are_three():
    ids = masks.document_ids_from_positions(torch.tensor([[0, 1, 2, 0, 0, 1]]))
    assert ids.tolist() == [[0, 0, 0, 1, 2, 2]]


def test_the_padded_picture_has_two_rows_that_see_nothing(names):
    both = names["both"]
    assert (~both.any(-1)).sum().item() == 2
    assert both.shape == (2, 1, 6, 6)


def test_each_shortcut_shows_in_a_sum_or_in_a_weight(names):
    hidden, ways = ~masks.causal_mask(6, 6), dict(names["ways"])
    right = ways.pop("right")
    assert right[hidden].max() == 0
    assert torch.allclose(right.sum(-1), torch.ones(6))
    assert len(ways) == 3
    for way in ways.values():
        assert way.shape == right.shape
        assert way[hidden].max() > 0.05 or way.sum(-1).min() < 0.9


def test_a_blind_row_has_four_fates(names, printed):
    lines = said(printed, "row = torch.tensor").splitlines()
    assert [line.split("tensor")[1] for line in lines] == [
        *["([0., 0., 1.])"] * 2,
        "([0.33, 0.33, 0.33])",
        "([nan, nan, nan])",
        "([0., 0., 0.])",
    ]
    assert ["key gets 1" in line for line in lines[:4]] == [True, False, False, False]


def test_four_dimensional_booleans_are_wrong_under_eager_alone(names, printed):
    plain, whole = said(printed, "_ = torch.manual_seed(0)").splitlines()
    assert float(plain.split()[-1]) < 1e-4
    assert float(whole.split()[-1]) > 0.1
    assert masks.decoder_mask(6, 6, names["both"]) is names["both"] or torch.equal(
        masks.decoder_mask(6, 6, names["both"]), names["both"]
    )


def test_nothing_in_the_table_differs(names, printed):
    head, *rows = said(printed, "left = torch.arange").split("\n")[:10]
    assert head.split()[-2:] == ["squares", "differ"]
    assert len(rows) == len(names["setups"]) == 9
    for row in rows:
        squares, differ = row.split()[-2:]
        assert int(squares) >= 243
        assert differ == "0"


def test_a_wrong_mask_would_show_in_the_table(names, monkeypatch):
    monkeypatch.setattr(masks, "causal_mask", lambda T, S, device=None: torch.ones(T, S).bool())
    assert names["compare"](4, 9)[1] > 0
    assert names["compare"](9, 9, **names["pad"])[1] > 0


def test_the_first_solution_has_a_loss_like_the_right_one_and_is_caught(names, solutions, capsys):
    exec(solutions[0], names)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("[[16, 17]]")
    loss = sum(names["losses"][-20:]) / 20
    assert abs(loss - last_loss(names, "right")) < 0.1


def test_the_second_solution_finds_not_itself_a_little_worse(names, solutions, capsys):
    exec(solutions[1], names)
    rows = capsys.readouterr().out.splitlines()
    loss = {row[:19].strip(): float(row[19:]) for row in rows}
    assert loss["right"] == min(loss.values())
    under_another = unseen_loss(names, "right", names["candidates"]["not itself"])
    assert 0 < under_another - unseen_loss(names, "right") < 0.3
