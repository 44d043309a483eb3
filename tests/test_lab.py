"""The desk is never written over, and JupyterLab opens on it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from minilm import lab
from minilm.errors import FileProblem, InvalidInput


@pytest.fixture
def lessons(tmp_path) -> Path:
    folder = tmp_path / "lessons"
    folder.mkdir()
    (folder / "00_first.ipynb").write_text("first, form 1")
    (folder / "01_second.ipynb").write_text("second, form 1")
    return folder


@pytest.fixture
def desk(tmp_path) -> Path:
    return tmp_path / "desk"


def lying_on(desk: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(desk.glob("*.ipynb"))}


def test_lessons_are_laid_on_a_new_desk(lessons, desk):
    said = lab.lay_desk(lessons, desk)
    assert lying_on(desk) == {
        "00_first.ipynb": "first, form 1",
        "01_second.ipynb": "second, form 1",
    }
    assert len(said) == 2
    assert not [path for path in desk.iterdir() if path.suffix == ".tmp"]


def test_laying_again_does_and_says_nothing(lessons, desk):
    lab.lay_desk(lessons, desk)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in desk.iterdir()}
    assert lab.lay_desk(lessons, desk) == []
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in desk.iterdir()} == before


@pytest.mark.parametrize("touched", [True, False])
def test_a_newer_lesson_is_laid_beside_the_old_one_once(touched, lessons, desk):
    lab.lay_desk(lessons, desk)
    mine = "my answers" if touched else "first, form 1"
    (desk / "00_first.ipynb").write_text(mine)
    (lessons / "00_first.ipynb").write_text("first, form 2")
    (said,) = lab.lay_desk(lessons, desk)
    assert "00_first-2.ipynb" in said
    assert lab.lay_desk(lessons, desk) == []
    assert lying_on(desk) == {
        "00_first.ipynb": mine,
        "00_first-2.ipynb": "first, form 2",
        "01_second.ipynb": "second, form 1",
    }


def test_each_newer_form_gets_a_name_that_is_free(lessons, desk):
    lab.lay_desk(lessons, desk)
    (desk / "00_first-2.ipynb").write_text("a copy of mine")
    for number in (2, 3):
        (lessons / "00_first.ipynb").write_text(f"first, form {number}")
        lab.lay_desk(lessons, desk)
    assert lying_on(desk) == {
        "00_first.ipynb": "first, form 1",
        "00_first-2.ipynb": "a copy of mine",
        "00_first-3.ipynb": "first, form 2",
        "00_first-4.ipynb": "first, form 3",
        "01_second.ipynb": "second, form 1",
    }


def test_a_lesson_that_went_back_is_not_laid_again(lessons, desk):
    for number in (1, 2, 1):
        (lessons / "00_first.ipynb").write_text(f"first, form {number}")
        lab.lay_desk(lessons, desk)
    assert sorted(lying_on(desk)) == ["00_first-2.ipynb", "00_first.ipynb", "01_second.ipynb"]


def test_a_lesson_the_reader_deleted_is_laid_again(lessons, desk):
    lab.lay_desk(lessons, desk)
    (desk / "00_first.ipynb").unlink()
    assert len(lab.lay_desk(lessons, desk)) == 1
    assert lying_on(desk)["00_first.ipynb"] == "first, form 1"


@pytest.mark.parametrize("record", [None, "", "{", "[]", '{"00_first.ipynb": 1}', "\xff"])
def test_a_lost_record_costs_no_work(record, lessons, desk):
    lab.lay_desk(lessons, desk)
    (desk / "00_first.ipynb").write_text("my answers")
    if record is None:
        (desk / lab.RECORD).unlink()
    else:
        (desk / lab.RECORD).write_text(record, encoding="latin-1")
    lab.lay_desk(lessons, desk)
    assert lying_on(desk)["00_first.ipynb"] == "my answers"
    assert lying_on(desk)["01_second.ipynb"] == "second, form 1"


@pytest.mark.parametrize("thing", ["folder", "link to nothing", "link to work"])
def test_whatever_has_a_lessons_name_stays(thing, lessons, desk, tmp_path):
    desk.mkdir()
    (tmp_path / "work.ipynb").write_text("elsewhere")
    if thing == "folder":
        (desk / "00_first.ipynb").mkdir()
    else:
        target = "work.ipynb" if thing == "link to work" else "nothing"
        (desk / "00_first.ipynb").symlink_to(tmp_path / target)
    lab.lay_desk(lessons, desk)
    assert (desk / "00_first.ipynb").is_dir() == (thing == "folder")
    assert (desk / "00_first.ipynb").is_symlink() == (thing != "folder")
    assert (tmp_path / "work.ipynb").read_text() == "elsewhere"
    assert not (tmp_path / "nothing").exists()
    assert (desk / "00_first-2.ipynb").read_text() == "first, form 1"


def test_a_file_that_appears_while_laying_stays(lessons, desk, monkeypatch):
    """Two `make lab` at once: the second must not replace what the first made."""
    desk.mkdir()
    (desk / "00_first.ipynb").write_text("the other's")
    monkeypatch.setattr(lab.os.path, "lexists", lambda path: False)
    with pytest.raises(FileProblem):
        lab.lay_desk(lessons, desk)
    assert (desk / "00_first.ipynb").read_text() == "the other's"


def test_a_file_system_without_hard_links_will_do(lessons, desk, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr(lab.os, "link", refuse)
    lab.lay_desk(lessons, desk)
    assert lying_on(desk)["00_first.ipynb"] == "first, form 1"


def test_a_desk_that_is_a_file_is_one_clear_error(lessons, desk):
    desk.write_text("")
    with pytest.raises(FileProblem, match="MINILM_DESK"):
        lab.lay_desk(lessons, desk)


def test_no_lessons_is_one_clear_error(tmp_path, desk):
    with pytest.raises(FileProblem, match="clone"):
        lab.lay_desk(tmp_path, desk)
    assert not desk.exists()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", "00_first.ipynb"),
        ("01", "01_second.ipynb"),
        ("01_second", "01_second.ipynb"),
        ("second", "01_second.ipynb"),
        ("desk/01_second.ipynb", "01_second.ipynb"),
    ],
)
def test_a_lesson_is_found_by_number_or_name(wanted, found, lessons):
    assert lab.find_lesson(wanted, lessons) == found


def test_an_unknown_lesson_is_refused_with_the_known_ones(lessons):
    with pytest.raises(InvalidInput, match="00_first, 01_second"):
        lab.find_lesson("07", lessons)


def test_a_taken_port_is_passed_over_unless_it_was_asked_for(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"Port {port}.*PORT="):
            lab.find_port(port, "127.0.0.1")
        monkeypatch.setattr(lab, "FIRST_PORT", port)
        assert port < lab.find_port(None, "127.0.0.1") < port + 100


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_number_that_is_no_port_is_refused(port):
    with pytest.raises(InvalidInput, match="65535"):
        lab.find_port(port, "127.0.0.1")


@pytest.mark.parametrize(
    ("environment", "platform", "screen"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({"DISPLAY": "localhost:10", "SSH_CONNECTION": "1.2.3.4 1 5.6.7.8 22"}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_TTY": "/dev/pts/1"}, "darwin", False),
    ],
)
def test_a_browser_opens_only_where_the_reader_sits(environment, platform, screen):
    assert lab.sees_a_screen(environment, platform) is screen


def test_the_desk_command_says_where_the_desk_is(lessons, desk, capsys):
    for words in ("00_first.ipynb laid", "already"):
        assert lab.desk_main(["--lessons", str(lessons), "--desk", str(desk)]) == 0
        said = capsys.readouterr().out
        assert words in said
        assert str(desk) in said


class Lab:
    """`python -m minilm lab` as a reader starts it over a remote shell."""

    def __init__(self, lessons: Path, desk: Path, home: Path, *more: str):
        environment = {**os.environ, "HOME": str(home), "SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"}
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "JUPYTER_TOKEN"):
            environment.pop(name, None)
        command = [sys.executable, "-m", "minilm", "lab", "--lessons", lessons, "--desk", desk]
        self.process = subprocess.Popen(
            [*map(str, command), *more], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C" in line:
                break
        found = re.search(r"(http://127\.0\.0\.1:\d+)/lab/tree/(\S+)\?token=(\w+)", self.said)
        assert found, self.said + self.process.stderr.read()
        self.address, self.lesson, self.token = found.groups()

    def get(self, path: str, token: str | None = None) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(self.address + path)
        request.add_header("Authorization", f"token {self.token if token is None else token}")
        return opener.open(request, timeout=60).read().decode("utf-8")


@pytest.fixture
def opened(lessons, desk, tmp_path):
    started = Lab(lessons, desk, tmp_path, "--lesson", "01")
    yield started
    if started.process.poll() is None:
        started.process.terminate()
        started.process.wait(30)


def test_the_printed_address_opens_the_lesson_and_ctrl_c_ends_it(opened, desk):
    assert opened.lesson == "01_second.ipynb"
    port = opened.address.rsplit(":")[-1]
    assert f"ssh -N -L {port}:127.0.0.1:{port}" in opened.said
    assert "10.0.0.2" in opened.said
    assert "jupyter-config-data" in opened.get("/lab/tree/01_second.ipynb")
    files = {item["name"] for item in json.loads(opened.get("/api/contents"))["content"]}
    assert files == {"00_first.ipynb", "01_second.ipynb"}
    with pytest.raises(urllib.error.HTTPError, match="403"):
        opened.get("/api/contents", token="guess")
    # The token is not where every user of the machine could read it.
    server = psutil.Process(opened.process.pid).children()
    assert [one for one in server if "jupyterlab" in one.cmdline()]
    assert not [one for one in server if opened.token in " ".join(one.cmdline())]

    settings = "/lab/api/settings/@jupyterlab/apputils-extension:notification"
    asked = json.loads(opened.get(settings))["schema"]["properties"]
    assert asked["fetchNews"]["default"] == "false"
    assert asked["checkForUpdates"]["default"] is False

    opened.process.send_signal(signal.SIGINT)
    assert opened.process.wait(60) == 0
    with pytest.raises(OSError):
        opened.get("/api")
