"""The real thing: JupyterLab as `make lab` starts it, in a real browser, on a desk of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START = 120  # seconds until the server must answer
RUN = 150  # seconds a lesson may take in the browser, on a busy machine
PATIENCE = 30  # seconds for anything else

expect.set_options(timeout=PATIENCE * 1000)


@dataclass
class Lab:
    """A running JupyterLab."""

    address: str
    token: str
    desk: Path

    def url(self, path: str) -> str:
        return f"{self.address}/{path}?token={self.token}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Start what the reader starts, on an empty desk, and end it by its process id."""
    folder = tmp_path_factory.mktemp("reader")
    desk, port, token = folder / "desk", free_port(), "read-the-book"
    environment = {
        **{name: value for name, value in os.environ.items() if name != "MINILM_STATIC"},
        "MINILM_DESK": str(desk),
        "JUPYTER_TOKEN": token,
        # The reader's own JupyterLab settings and windows are neither used nor changed.
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
    }
    command = [sys.executable, "-m", "minilm", "lab", "--no-browser", "--port", str(port)]
    said = folder / "said.txt"
    with said.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own: ending it ends nothing else
        )
    try:
        running = Lab(f"http://127.0.0.1:{port}", token, desk)
        wait_for_answer(server, running.url("api/status"), said)
        yield running
    finally:
        end(server)


def wait_for_answer(server: subprocess.Popen, url: str, said: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    last = time.monotonic() + START
    while time.monotonic() < last and server.poll() is None:
        try:
            opener.open(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"`python -m minilm lab` did not answer; it said:\n{said.read_text()}")


def end(server: subprocess.Popen) -> None:
    # JupyterLab shuts its kernels down on SIGTERM; the kill is for a server that hangs.
    for sign, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
        try:
            os.killpg(server.pid, sign)
            server.wait(timeout=seconds)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if chromium is None:
        pytest.fail(
            f"No chromium was found (looked for {', '.join(CHROMIUM_NAMES)}). "
            "Install it, for example `apt-get install chromium`, or run `make test-browser`."
        )
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


class Notebook:
    """A lesson open in the browser, and its file on the desk."""

    def __init__(self, page: Page, lab: Lab, name: str):
        self.page, self.lab = page, lab
        self.file = lab.desk / name
        self.ran: list[dict] = []  # the code cells as saved after the first run of all
        page.goto(lab.url(f"lab/tree/{name}"))
        self.panel = page.locator(".jp-NotebookPanel:visible")
        self.indicator = self.panel.locator(".jp-Notebook-ExecutionIndicator")
        expect(self.cells.first).to_be_visible(timeout=START * 1000)
        self.wait_for_kernel()

    @property
    def cells(self) -> Locator:
        return self.panel.locator(".jp-WindowedPanel-viewport > .jp-Cell")

    def read(self) -> list[dict]:
        return json.loads(self.file.read_text(encoding="utf-8"))["cells"]

    def index(self, cell_id: str) -> int:
        ids = [cell["id"] for cell in self.read()]
        assert cell_id in ids, f"{self.file.name} has no cell '{cell_id}', but {ids}"
        return ids.index(cell_id)

    def cell(self, cell_id: str) -> Locator:
        """The cell on the page, scrolled to."""
        found = self.cells.nth(self.index(cell_id))
        found.scroll_into_view_if_needed()
        return found

    def cell_with(self, source: str) -> Locator:
        """The one cell whose source holds these words."""
        [cell_id] = [c["id"] for c in self.read() if source in "".join(c["source"])]
        return self.cell(cell_id)

    def pictures(self) -> list[Locator]:
        """All pictures of the lesson. JupyterLab draws a cell when it comes near: go to each first."""
        for cell in self.ran:
            if "<img" in json.dumps(cell["outputs"]):
                inside = self.cell(cell["id"]).locator(".jp-OutputArea-output img")
                expect(inside.first).to_be_visible(timeout=PATIENCE * 1000)
        return self.panel.locator(".jp-OutputArea-output img").all()

    def write(self, cell_id: str, source: str) -> None:
        """Type a source into a cell, in place of what stands there."""
        self.cell(cell_id).locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source.strip("\n"))

    def run(self, cell_id: str) -> Locator:
        """Run one cell as a reader does, wait for its end, and return its outputs."""
        cell = self.cell(cell_id)
        cell.locator(".jp-InputArea-editor").click()
        before = cell.locator(".jp-InputArea-prompt").inner_text()
        self.page.keyboard.press("Control+Enter")
        prompt = cell.locator(".jp-InputArea-prompt")
        expect(prompt).not_to_have_text(before, timeout=RUN * 1000)
        expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=RUN * 1000)
        return cell.locator(".jp-Cell-outputArea")

    def wait_for_kernel(self) -> None:
        """Wait until the page talks to its kernel: JupyterLab forgets what is run before that."""
        last = time.monotonic() + START
        while True:
            sessions = self.page.request.get(self.lab.url("api/sessions")).json()
            kernels = [s["kernel"] for s in sessions if s["path"] == self.file.name]
            ready = [k for k in kernels if k["connections"] and k["execution_state"] == "idle"]
            if ready and "| Idle" in self.page.locator("#jp-bottom-panel").inner_text():
                break
            assert time.monotonic() < last, f"{self.file.name} got no kernel: {kernels}"
            self.page.wait_for_timeout(200)
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        expect(self.indicator).to_have_attribute("data-status", "idle", timeout=RUN * 1000)

    def run_all(self) -> None:
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def save(self) -> None:
        """Save, and return when the file on the desk has been written."""
        before = self.file.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        last = time.monotonic() + PATIENCE
        while self.file.stat().st_mtime_ns == before or not self.is_whole():
            assert time.monotonic() < last, f"{self.file.name} was not saved"
            self.page.wait_for_timeout(100)

    def is_whole(self) -> bool:
        """Tell whether the file can be read: not so while the server is writing it."""
        try:
            return bool(self.read())
        except ValueError:
            return False

    def run_all_and_read(self) -> list[dict]:
        """Run every cell; return the saved cells once the last of them has run."""
        self.run_all()
        last = time.monotonic() + RUN
        while True:
            self.wait_until_idle()
            self.save()
            code = [c for c in self.read() if c["cell_type"] == "code"]
            failed = any(o["output_type"] == "error" for c in code for o in c["outputs"])
            if failed or all(cell["execution_count"] for cell in code):
                return code
            assert time.monotonic() < last, f"{self.file.name} did not run to its end"
            self.page.wait_for_timeout(200)


@pytest.fixture(scope="session")
def open_notebook(lab: Lab, browser: Browser) -> Iterator[Callable[[str], Notebook]]:
    """Open notebooks of the desk, each in a window of its own."""
    windows = []

    def open_one(name: str) -> Notebook:
        window = browser.new_context(viewport={"width": 1280, "height": 800})
        window.set_default_timeout(PATIENCE * 1000)
        windows.append(window)
        return Notebook(window.new_page(), lab, name)

    yield open_one
    for window in windows:
        window.close()


@pytest.fixture(scope="session")
def open_and_run(open_notebook: Callable[[str], Notebook]) -> Callable[[str], Notebook]:
    """Open a lesson and run all its cells, once for all tests."""
    lessons: dict[str, Notebook] = {}

    def open_and_run_once(name: str) -> Notebook:
        if name not in lessons:
            lessons[name] = open_notebook(f"{name}.ipynb")
            lessons[name].ran = lessons[name].run_all_and_read()
        return lessons[name]

    return open_and_run_once
