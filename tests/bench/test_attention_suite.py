import pytest

from minilm import attention, bench, cache
from minilm.bench import attention_suite


@pytest.fixture(autouse=True)
def threads_are_put_back(monkeypatch):
    import torch

    for name in ("RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_every_row_of_the_attention_suite_runs_on_short_texts():
    rows = bench.run(["attention"], quick=True)["rows"]
    names = [row["name"] for row in rows]
    for kind in ("MHA", "GQA"):
        assert sum(name.startswith(kind) and "forward and backward" in name for name in names) == 3
        assert sum(name.startswith(kind) and "one token after" in name for name in names) == 2
    assert all(row["ours"] > 0 and row["theirs"] > 0 for row in rows)
    memory = next(row for row in rows if row["name"].startswith("memory"))
    assert memory["ratio"] == 1.0
    assert memory["met"]


def test_what_is_wanted_of_each_row():
    wanted = {
        row.name: (row.at_least, row.at_most) for row in attention_suite.comparisons(None, True)
    }
    for name, (at_least, at_most) in wanted.items():
        if "forward and backward" in name:
            assert at_least == 1.0
        elif "preallocated cache beside DynamicCache" in name:
            assert at_least == 1.5
        elif name.startswith("memory"):
            assert at_most == 1.0


def test_a_wrong_result_is_found_before_it_is_timed(monkeypatch):
    right = attention.attention
    monkeypatch.setattr(
        attention, "attention", lambda *args, **options: right(*args, **{**options, "scale": 0.1})
    )
    with pytest.raises(AssertionError, match="compare different things"):
        list(attention_suite.comparisons(None, True))


def test_a_cache_that_is_not_its_formula_is_found(monkeypatch):
    monkeypatch.setattr(cache, "cache_bytes", lambda *sizes: 1)
    with pytest.raises(AssertionError, match="its formula says 1"):
        list(attention_suite.comparisons(None, True))
