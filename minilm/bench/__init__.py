"""`python -m minilm bench`: minilm beside transformers, in one process.

A suite is a module with a function `comparisons(folder, quick)` that yields what to measure.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from minilm.bench.comparing import Comparison, Row, measure, seconds
from minilm.bench.report import as_json, as_table
from minilm.errors import InvalidInput
from minilm.files import write_atomically

__all__ = [
    "SUITES",
    "Comparison",
    "Row",
    "as_json",
    "as_table",
    "main",
    "measure",
    "run",
    "seconds",
]

# Name → the module that yields its comparisons.
SUITES = {
    "tokenizers": "minilm.bench.tokenizer_suite",
    "attention": "minilm.bench.attention_suite",
    "models": "minilm.bench.model_suite",
    "generation": "minilm.bench.generation_suite",
    "training": "minilm.bench.training_suite",
}


def run(
    suites: Iterable[str] | None = None,
    threads: int = 1,
    quick: bool = False,
    show: bool = False,
) -> dict[str, Any]:
    """Measure suites and return their rows with what they were measured on.

    suites: names of suites; all unless given
    threads: how many threads each side may use
    quick: on small texts and once only, to see that everything runs
    show: print each row when it is there

    Returns JSON data: versions, machine, threads and rows (name, ours, theirs, unit, ratio,
    wanted, met).
    Raises InvalidInput for a suite that is not there.
    """
    names = list(SUITES) if suites is None else list(suites)
    for name in names:
        if name not in SUITES:
            raise InvalidInput(f"There is no suite '{name}'. There are: {', '.join(SUITES)}.")
    if threads < 1:
        raise InvalidInput(f"threads is {threads}. Give 1 or more.")
    _limit_threads(threads)
    rows: list[Row] = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            for comparison in import_module(SUITES[name]).comparisons(Path(folder), quick):
                if quick:
                    comparison.runs = 1
                rows.append(measure(comparison))
                if show:
                    print(as_table(rows[-1:]).split("\n")[1], file=sys.stderr, flush=True)
    return as_json(rows, threads, quick)


def _limit_threads(threads: int) -> None:
    """Give both sides the same number of threads.

    tokenizers reads its variables at the first call that could run in parallel, so that this
    counts only before the process has used it.
    """
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from a shell.

    arguments: the options; those of the shell unless given

    Returns the exit status: 0 when everything wanted was met, 1 when not. A quick run is 0.
    """
    parser = argparse.ArgumentParser(
        prog="python -m minilm bench", description="Measure minilm beside transformers."
    )
    parser.add_argument(
        "--suite", action="append", metavar="NAME", help=f"one of: {', '.join(SUITES)}; default all"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads for each side (1)")
    parser.add_argument("--quick", action="store_true", help="small texts, one run: does it work?")
    parser.add_argument("--json", metavar="FILE", help="also write the figures as JSON")
    options = parser.parse_args(arguments)
    found = run(options.suite, options.threads, options.quick, show=True)
    rows = [Row(**row) for row in found["rows"]]
    print(as_table(rows))
    told = ", ".join(f"{name} {number}" for name, number in found["versions"].items() if number)
    print(
        f"\n{told}; Python {found['python']}, {found['cpu_count']} CPUs, {found['threads']} thread(s)"
    )
    if options.json:
        write_atomically(options.json, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return 0 if options.quick or all(row.met is not False for row in rows) else 1
