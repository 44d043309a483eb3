"""Running a notebook so that its outputs are the same bytes every time, on every machine."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output

from builder.page import METADATA, Page, PageError

# CoCalc and nbgrader's default end a cell at 60 s and 30 s; a page that needs longer is too slow.
SECONDS_PER_CELL = 60
# What stands in place of an output that depends on the machine.
VARIES = "(This depends on your machine: run the cell to see it.)\n"
_WIDGET = "application/vnd.jupyter.widget"
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
# One name a line: on one line of a few hundred thousand characters nbclient's search for carriage
# returns, which is quadratic, takes a minute.
_MODULES = """
import json as _json, sys as _sys
print(_json.dumps(sorted(str(getattr(_module, "__file__", None) or "")
                         for _module in list(_sys.modules.values())), indent=0))
"""


def execute(page: Page, root: Path) -> tuple[NotebookNode, list[Path]]:
    """Run a page's notebook from top to bottom, offline, and return it with its outputs.

    page: the page; its notebook is changed in place
    root: the folder that holds the package; modules are imported from there

    Returns the notebook, and the files below root whose modules its cells loaded. Raises
    `PageError` when a cell fails, writes to stderr, or prints what differs from machine to machine.
    """
    notebook = page.notebook
    last = new_code_cell(_MODULES, id="modules")
    page.lines[last["id"]] = 1
    running = [last]  # the cell that runs now
    notebook.cells.append(last)
    with _kernel_environment(root) as folder:
        client = NotebookClient(
            notebook,
            timeout=SECONDS_PER_CELL,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            extra_arguments=["--IPKernelApp.log_level=40"],  # no advice about transports
            on_cell_start=lambda cell, cell_index: running.append(cell),
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise _failure(page, running[-1], error) from None
        finally:
            notebook.cells.pop()
    title = notebook.metadata["title"]
    notebook.metadata = NotebookNode({**METADATA, "title": title})
    loaded = {Path(name) for name in json.loads(last.outputs[0]["text"]) if name}
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
            cell.metadata.pop("execution", None)
            _tidy(page, cell, root)
    # Not what is installed in root/.venv: only the sources that belong to the project.
    ours = [path for path in loaded if path.is_relative_to(root) and path.suffix == ".py"]
    return notebook, sorted(
        path for path in ours if "site-packages" not in path.parts and path.exists()
    )


@contextlib.contextmanager
def _kernel_environment(root: Path) -> Iterator[str]:
    """An empty working folder, no desk, no network, no settings of the person who builds."""
    with tempfile.TemporaryDirectory(prefix="minilm-book-") as folder:
        (Path(folder) / "desk").mkdir()
        (Path(folder) / "work").mkdir()
        changes = {
            "MINILM_STATIC": "1",
            "MINILM_DESK": str(Path(folder) / "desk"),
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "IPYTHONDIR": str(Path(folder) / "ipython"),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.getenv("PYTHONPATH")])),
        }
        unset = ("NBGRADER_EXECUTION", "MPLBACKEND", "PYTHONWARNINGS", "PYTHONSTARTUP")
        before = {name: os.environ.get(name) for name in (*changes, *unset)}
        os.environ.update(changes)
        for name in unset:
            os.environ.pop(name, None)
        try:
            yield str(Path(folder) / "work")
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _failure(page: Page, cell: NotebookNode, error: Exception) -> PageError:
    """Say what happened in the cell that ran last."""
    if isinstance(error, CellTimeoutError):
        return page.error(cell, f"cell '{cell['id']}' runs longer than {SECONDS_PER_CELL} s")
    if isinstance(error, DeadKernelError):
        return page.error(cell, f"cell '{cell['id']}' ends the kernel")
    traces = ["\n".join(one.traceback) for one in cell.outputs if one.output_type == "error"]
    trace = _without_colour("\n".join(traces) or str(error)).strip()
    return page.error(cell, f"cell '{cell['id']}' fails\n{trace}")


def _without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _tidy(page: Page, cell: NotebookNode, root: Path) -> None:
    """Leave in a cell only outputs that are the same on every machine, or refuse them."""
    if "varies" in cell.metadata.get("tags", []):
        _refuse_stderr(page, cell)
        cell.outputs = [new_output("stream", name="stdout", text=VARIES)]
        return
    kept: list[NotebookNode] = []
    for output in cell.outputs:
        output = _merge(kept, output)
        if output is None:
            continue
        if output.output_type == "execute_result":
            output.execution_count = cell.execution_count
        if output.output_type == "error":  # the trace holds paths and colours
            output.traceback = [f"{output.ename}: {_without_colour(output.evalue)}"]
        if "data" in output:
            if any(kind.startswith(_WIDGET) for kind in output.data):
                continue  # dead without its kernel; the figure beside it says what it showed
            if "image/png" in output.data:
                output.data["image/png"] = _without_notes(output.data["image/png"])
        kept.append(output)
    cell.outputs = kept
    _refuse_stderr(page, cell)
    text = json.dumps(kept, ensure_ascii=False)
    if address := _ADDRESS.search(text):
        raise page.error(cell, f"cell '{cell['id']}' prints a memory address ('{address[0]}')")
    for place in (str(root), str(Path.home()), tempfile.gettempdir() + os.sep):
        if len(place) > 2 and place in text:
            raise page.error(cell, f"cell '{cell['id']}' prints a path of this machine ({place})")


def _merge(kept: list[NotebookNode], output: NotebookNode) -> NotebookNode | None:
    """Join a stream to the one before it: how it was cut depended on the clock."""
    if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
        kept[-1].text += output.text
        return None
    return output


def _refuse_stderr(page: Page, cell: NotebookNode) -> None:
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            said = _without_colour(output.text).strip()[:2000]
            raise page.error(cell, f"cell '{cell['id']}' writes to stderr\n{said}")


def _without_notes(encoded: str) -> str:
    """A PNG without its text and time chunks, which name versions and moments."""
    data = base64.b64decode(encoded)
    out, position = [data[:8]], 8
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        kind = data[position + 4 : position + 8]
        if kind not in (b"tEXt", b"iTXt", b"zTXt", b"tIME"):
            out.append(data[position : position + 12 + length])
        position += 12 + length
    return base64.b64encode(b"".join(out)).decode("ascii") + "\n"
