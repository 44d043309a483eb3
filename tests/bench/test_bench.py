import json
import os
import subprocess
import sys

import pytest

from minilm import bench
from minilm.bench import Comparison
from minilm.errors import InvalidInput


@pytest.fixture
def small_suite(monkeypatch):
    """A suite of one comparison, found under the name 'small'."""
    module = type(sys)("small_suite")
    module.comparisons = lambda folder, quick: iter(
        [
            Comparison("two to one", "s", lambda: 2.0, lambda: 1.0, at_most=1),
            Comparison("alone", "s", lambda: float(folder.is_dir())),
        ]
    )
    monkeypatch.setitem(sys.modules, "small_suite", module)
    monkeypatch.setitem(bench.SUITES, "small", "small_suite")
    for name in ("RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")


@pytest.mark.usefixtures("small_suite")
def test_a_suite_is_run_by_its_name_with_the_threads_it_is_given():
    found = bench.run(["small"], threads=3)
    assert [row["name"] for row in found["rows"]] == ["two to one", "alone"]
    assert [row["ours"] for row in found["rows"]] == [2.0, 1.0]
    assert found["threads"] == 3
    assert os.environ["RAYON_NUM_THREADS"] == "3"
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"


@pytest.mark.usefixtures("small_suite")
def test_the_command_prints_a_table_writes_json_and_tells_whether_all_was_met(tmp_path, capsys):
    target = tmp_path / "figures.json"
    assert bench.main(["--suite", "small", "--json", str(target)]) == 1
    printed = capsys.readouterr().out
    assert "two to one" in printed
    assert "≤ 1" in printed
    assert "1 thread(s)" in printed
    assert json.loads(target.read_text())["rows"][0]["met"] is False
    assert bench.main(["--suite", "small", "--quick"]) == 0


def test_a_suite_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(InvalidInput, match=r"'toasters'.*tokenizers"):
        bench.run(["toasters"])


def test_no_threads_at_all_are_refused():
    with pytest.raises(InvalidInput, match="threads is 0"):
        bench.run(["tokenizers"], threads=0)


def test_every_row_of_the_tokenizer_suite_runs_on_a_small_text():
    # In a process of its own: the threads of tokenizers are settled at its first use.
    command = [sys.executable, "-m", "minilm", "bench", "--suite", "tokenizers", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    kinds = ("byte-level BPE", "WordPiece", "Unigram")
    works = ("encode, cold", "encode, warm", "decode", "one word of")
    for start in [f"{kind}: {work}" for kind in kinds for work in works]:
        assert any(line.startswith(start) for line in lines), start
    assert any(line.startswith("byte-level BPE: train") for line in lines)
    assert sum(line.startswith("peak memory") for line in lines) == 2


def test_the_bench_imports_nothing_it_compares_with_until_it_runs():
    code = "import sys, minilm.bench; print(*{'transformers', 'tokenizers', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
