"""The notebooks of the book, and a way to run one as a reader does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).resolve().parents[2]

# Any connection that leaves this machine fails, and says so where the cell can see it.
NO_NETWORK = """\
import socket

_connect = socket.socket.connect


def connect(self, address):
    local = not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1", "localhost")
    if not local:
        raise OSError(f"a lesson needs no network, and this wants {address}")
    return _connect(self, address)


def getaddrinfo(host, *rest, _real=socket.getaddrinfo, **more):
    if host not in (None, "", "127.0.0.1", "::1", "localhost"):
        raise OSError(f"a lesson needs no network, and this looks for {host}")
    return _real(host, *rest, **more)


socket.socket.connect = connect
socket.getaddrinfo = getaddrinfo
"""

# In KiB. Not ru_maxrss where /proc tells: a new process starts with its parent's.
PEAK = """\
import pathlib, resource, sys
if pathlib.Path("/proc/self/status").exists():
    print(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak // 1024 if sys.platform == "darwin" else peak)
"""


@dataclass
class Run:
    """A notebook after it ran, with what it took."""

    notebook: nbformat.NotebookNode
    seconds: dict[str, float] = field(default_factory=dict)  # cell id → seconds
    peak_megabytes: float = 0.0

    def outputs(self, kind: str) -> list[tuple[str, str]]:
        """(cell id, text) of every output of a kind: stdout, stderr or error."""
        found = []
        for cell in self.notebook.cells:
            for output in cell.get("outputs", []):
                if kind in (output.get("name"), output.output_type):
                    found.append((cell["id"], output.get("text") or output.get("evalue", "")))
        return found


@pytest.fixture
def run_notebook(tmp_path, monkeypatch):
    """Run a notebook top to bottom, without network, with a desk of its own; errors stay in it."""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(NO_NETWORK)
    (tmp_path / "desk").mkdir()
    path = os.pathsep.join([str(tmp_path / "blocked"), str(ROOT)])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("MINILM_DESK", str(tmp_path / "desk"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    # As a reader runs it: sliders are live.
    monkeypatch.delenv("MINILM_STATIC", raising=False)

    def run(source: Path | nbformat.NotebookNode) -> Run:
        notebook = nbformat.read(source, as_version=4) if isinstance(source, Path) else source
        result, started = Run(notebook), {}
        notebook.cells.append(new_code_cell(PEAK, id="peak"))
        client = NotebookClient(
            notebook,
            timeout=600,  # a slow machine fails nobody; the figures are written down instead
            kernel_name="python3",
            allow_errors=True,
            coalesce_streams=True,
            resources={"metadata": {"path": str(tmp_path / "desk")}},
            extra_arguments=["--IPKernelApp.log_level=40"],
            on_cell_start=lambda cell, cell_index: started.update({cell["id"]: time.monotonic()}),
            on_cell_executed=lambda cell, cell_index, execute_reply: result.seconds.update(
                {cell["id"]: round(time.monotonic() - started[cell["id"]], 2)}
            ),
        )
        client.execute()
        peak = notebook.cells.pop().outputs[0].text
        result.peak_megabytes = round(int(peak) / 1024, 1)
        result.seconds.pop("peak")
        return result

    return run


@pytest.fixture(scope="session")
def write_figures():
    """Write down what a lesson took, under build/."""

    def write(name: str, run: Run) -> None:
        slowest = max(run.seconds, key=run.seconds.__getitem__)
        figures = {
            "lesson": name,
            "seconds": round(sum(run.seconds.values()), 1),
            "peak_megabytes": run.peak_megabytes,
            "slowest_cell": {"id": slowest, "seconds": run.seconds[slowest]},
        }
        folder = ROOT / "build" / "lessons"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")

    return write


@pytest.fixture(scope="session")
def nbval():
    """Run pytest with nbval on one notebook, as `pytest --nbval …` in a shell does."""

    def run(notebook: Path, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command += ["-q", "--nbval-current-env", "--nbval-cell-timeout=600", *options]
        return subprocess.run(
            [*command, str(notebook)], cwd=ROOT, capture_output=True, text=True, timeout=1200
        )

    return run
