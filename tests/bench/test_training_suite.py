"""The benchmark of training runs, and both sides of it do the same."""

from __future__ import annotations

import contextlib
import io

import pytest

from minilm import bench
from minilm.bench import training_suite


@pytest.fixture(autouse=True)
def threads_are_put_back(monkeypatch):
    import torch

    for name in ("RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_every_row_of_the_training_suite_runs_on_small_models():
    rows = bench.run(["training"], quick=True)["rows"]
    wanted = {row["name"].split(",")[0]: row["wanted"] for row in rows}
    for family in training_suite.FAMILIES:
        for size in training_suite.SIZES:
            assert wanted[f"train {family} of {size}"] == "≥ 1"
        assert wanted["peak memory"] == "≤ 1"
    assert wanted["the last one in two processes of one thread"] is None
    assert all(row["ours"] > 0 and row["theirs"] > 0 for row in rows)


@pytest.mark.parametrize("family", training_suite.FAMILIES)
def test_both_sides_train_alike(family, tmp_path):
    import transformers

    import minilm

    sizes = (500, 32, 2, 2, 2, 16)
    folder = training_suite.save_model(tmp_path / "model", family, sizes)
    losses = []
    for library in (minilm, transformers):
        trainer = training_suite.make_trainer(library, folder, sizes, 4)
        with contextlib.redirect_stdout(io.StringIO()):
            losses.append(trainer.train().training_loss)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
