"""The benchmark of generation runs, and compares equal texts."""

from __future__ import annotations

import pytest

from minilm.bench import generation_suite
from minilm.bench.comparing import measure


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    found = {}
    for each in generation_suite.comparisons(tmp_path_factory.mktemp("models"), quick=True):
        each.runs = 1
        is_slow = "Llama" in each.name and "memory" in each.name  # processes: once will do
        found[each.name] = (each, None if is_slow else measure(each))
    return found


def test_every_row_runs_on_small_models(rows):
    names = " | ".join(rows)
    for what in (
        "greedy",
        "top_p",
        "8 prompts",
        "4 beams",
        "lookup",
        "bandwidth",
        "peak memory",
        "ladder",
    ):
        assert what in names
    assert all(row.ours > 0 for _, row in rows.values() if row is not None)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_every_step_of_the_ladder_writes_the_same_tokens(family):
    model, _ = generation_suite.both(family, generation_suite.SMALL[family])
    steps = generation_suite.rungs(model, generation_suite.prompt(1), 5)
    texts = [write() for write in steps.values()]
    assert len(texts) == 6 and texts[0].shape == (1, generation_suite.PROMPT + 5)
    assert all(text.equal(texts[0]) for text in texts)


def test_what_is_wanted_of_each_row(rows):
    wanted = {"top_p": 2.5, "8 prompts": 2.0, "4 beams": 2.5, "lookup": 1.3}
    for name, (comparison, _) in rows.items():
        found = [ratio for what, ratio in wanted.items() if what in name]
        if "greedy" in name:
            found = [3.0 if "1.8 million" in name else 1.3]
        if found:
            assert comparison.at_least == found[0], name
        elif "peak memory" in name:
            assert comparison.at_most == 1.0


def test_models_that_write_other_texts_are_not_compared():
    ours, _ = generation_suite.both("gpt2", generation_suite.SMALL["gpt2"])
    other = {**generation_suite.SMALL["gpt2"], "n_layer": 2}
    _, theirs = generation_suite.both("gpt2", other)
    with pytest.raises(AssertionError, match="compare nothing"):
        generation_suite.speed("unlike", (ours, theirs), generation_suite.prompt(1), 6, {}, None)
