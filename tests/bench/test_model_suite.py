"""The benchmark of whole models runs, and compares equal things."""

from __future__ import annotations

import pytest

from minilm import bench
from minilm.bench import model_suite


@pytest.fixture(autouse=True)
def threads_are_put_back(monkeypatch):
    import torch

    for name in ("RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_every_row_of_the_model_suite_runs_on_small_models():
    rows = bench.run(["models"], quick=True)["rows"]
    names = " | ".join(row["name"] for row in rows)
    for what in ("first use", "load a GPT-2", "memory held", "reads 512", "training step"):
        assert what in names
    assert sum("training step" in row["name"] for row in rows) == 3
    assert all(row["ours"] > 0 for row in rows)


def test_what_is_wanted_of_each_row(tmp_path):
    wanted = {
        row.name: (row.at_least, row.at_most) for row in model_suite.comparisons(tmp_path, True)
    }
    for name, (at_least, at_most) in wanted.items():
        if "first use" in name:
            assert at_most == 0.5
        elif "memory held" in name:
            assert at_most == 1.1
        elif name.startswith("load"):
            assert at_most == 0.8
        elif "training step" in name or "reads 512" in name:
            assert at_least == 1.0


def test_different_models_are_not_compared(monkeypatch):
    right = model_suite.both_gpt2
    other = (500, 32, 2, 2)

    def mismatched(sizes):
        ours, _ = right(other)
        return ours, right(other)[1]

    monkeypatch.setattr(model_suite, "both_gpt2", mismatched)
    with pytest.raises(AssertionError, match="compare nothing"):
        list(model_suite._forward(quick=True))


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="no such thing"):
        model_suite._in_a_fresh_process("raise SystemExit('no such thing')")
