"""The reader's desk, and JupyterLab opened on it.

Lessons are copied to desk/, which git ignores, so that `git pull` never meets a reader's work.
Nothing that lies on the desk is ever written over: not an old lesson, not an untouched one.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from minilm.errors import FileProblem, InvalidInput, MissingPackage
from minilm.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
FIRST_PORT = 8888
# Which lessons were laid, by the hash of what was laid: that is how a newer one is known.
RECORD = ".laid.json"


def default_desk() -> Path:
    """Return the reader's folder: `MINILM_DESK` if it is set, else desk/ in the repository."""
    return Path(os.environ.get("MINILM_DESK") or ROOT / "desk")


def lay_desk(lessons: Path, desk: Path) -> list[str]:
    """Copy to the desk each lesson that is not there yet, and say what was done.

    lessons: the folder of the lessons, NN_name.ipynb
    desk: the reader's folder; made if it is missing

    A lesson that changed since it was laid is laid beside the old one under a new name, once.
    No file on the desk is changed, whether or not the reader touched it.

    Returns one sentence for each copy made. Raises `FileProblem` when there are no lessons, or
    the desk cannot be written.
    """
    found = sorted(lessons.glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise FileProblem(
            f"There are no lessons in '{lessons}'. They come with the repository: clone it and run "
            "this from there, or build them with `make build`."
        )
    try:
        desk.mkdir(parents=True, exist_ok=True)
        laid = _read_record(desk / RECORD)
        before = json.dumps(laid)
        said = [sentence for path in found for sentence in _lay(path, desk, laid)]
        if json.dumps(laid) != before:
            write_atomically(desk / RECORD, json.dumps(laid, indent=1) + "\n")
    except FileProblem:
        raise
    except OSError as error:
        raise FileProblem(
            f"The desk '{desk}' cannot be written ({error.strerror}). Free the name, or give "
            "another folder with MINILM_DESK=FOLDER."
        ) from None
    return said


def _lay(lesson: Path, desk: Path, laid: dict[str, list[str]]) -> Iterator[str]:
    """Lay one lesson if the desk lacks it; laid maps a lesson's name to the hashes laid so far."""
    content = lesson.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    before = laid.setdefault(lesson.name, [])
    target = desk / lesson.name
    if not os.path.lexists(target):
        _put(content, target)
        yield f"{target.name} laid on the desk."
    elif digest not in before and not _holds(target, content):
        number = 2
        while os.path.lexists(target := desk / f"{lesson.stem}-{number}.ipynb"):
            number += 1
        _put(content, target)
        yield f"{lesson.name} has a newer form: laid beside yours as {target.name}."
    if digest not in before:
        before.append(digest)


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _put(content: bytes, target: Path) -> None:
    """Make a new file, whole or not at all; one that appeared meanwhile stays."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        try:
            os.link(temporary, target)  # unlike a rename, never replaces
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            with open(target, "xb") as file:
                file.write(content)
    finally:
        temporary.unlink(missing_ok=True)


def _read_record(path: Path) -> dict[str, list[str]]:
    """Read what was laid. A record that cannot be read costs a second copy, never a reader's work."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): [str(one) for one in hashes] for name, hashes in record.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def desk_main(arguments: list[str]) -> int:
    """Lay the lessons and say what was done; the command `python -m minilm desk`."""
    parser = argparse.ArgumentParser(
        prog="python -m minilm desk", description="Lay the lessons on the desk, and no more."
    )
    _desk_options(parser)
    given = parser.parse_args(arguments)
    said = lay_desk(given.lessons, given.desk)
    print("\n".join(said) if said else "Every lesson lies on the desk already.")
    print(f"The desk: {given.desk}")
    return 0


def _desk_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lessons", type=Path, default=ROOT / "lessons", help="where lessons are")
    parser.add_argument("--desk", type=Path, default=default_desk(), help="the reader's folder")


def main(arguments: list[str]) -> int:
    """Lay the desk, start JupyterLab on it, print its address; the command `python -m minilm lab`.

    Runs until Ctrl-C, and returns the exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m minilm lab",
        description="Lay the lessons on the desk and open JupyterLab at one. Ctrl-C ends it.",
    )
    parser.add_argument("--port", type=int, help=f"the port; the first free one from {FIRST_PORT}")
    parser.add_argument("--ip", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--lesson", default="", help="open this lesson: 01, or 01_byte_pairs")
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    _desk_options(parser)
    given = parser.parse_args(arguments)
    if find_spec("jupyterlab") is None:
        raise MissingPackage(
            "JupyterLab is not installed here. Run `make lab`, or "
            'pip install -c constraints.txt -e ".[book]"'
        )
    for sentence in lay_desk(given.lessons, given.desk):
        print(sentence)
    lesson = find_lesson(given.lesson, given.lessons)
    port = find_port(given.port, given.ip)
    return _serve(given.desk.resolve(), lesson, given.ip, port, not given.no_browser)


def find_lesson(wanted: str, lessons: Path) -> str:
    """Return the file name of a lesson given by number, name or file name; the first for ''."""
    names = sorted(path.stem for path in lessons.glob("[0-9][0-9]_*.ipynb"))
    stem = Path(wanted).name.removesuffix(".ipynb")
    for name in names:
        if stem in ("", name, name.split("_")[0], name.split("_", 1)[1]):
            return f"{name}.ipynb"
    raise InvalidInput(f"There is no lesson '{wanted}'. There are: {', '.join(names)}.")


def find_port(wanted: int | None, ip: str) -> int:
    """Return the port that was asked for, or the first free one from 8888 upwards."""
    if wanted is not None and not 0 < wanted < 65536:
        raise InvalidInput(f"{wanted} is not a port: give a number from 1 to 65535.")
    candidates = range(FIRST_PORT, FIRST_PORT + 100) if wanted is None else [wanted]
    for port in candidates:
        with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as probe:
            # As servers do: a port whose last connection just closed is free.
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((ip, port))
                return port
    raise InvalidInput(
        f"Port {candidates[0]} on {ip} cannot be had: something else uses it, or it is not yours "
        "to use. Give another: make lab PORT=9000"
    )


def sees_a_screen(environment: dict[str, str], platform: str = sys.platform) -> bool:
    """Return whether a browser opened here would show on the reader's screen."""
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return False
    if platform.startswith(("darwin", "win")):
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def command_line(desk: Path, ip: str, port: int) -> list[str]:
    """Return the command that starts JupyterLab on the desk."""
    command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
    # A reader grades nothing: the teacher's panels of nbgrader stay away.
    command += [f"--config={ROOT / 'labconfig' / 'jupyter_server_config.json'}"]
    command += [f"--ServerApp.ip={ip}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.root_dir={desk}", "--Application.log_level=WARN"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # in a container everybody is root
        command.append("--ServerApp.allow_root=True")
    return command


def _serve(desk: Path, lesson: str, ip: str, port: int, may_open: bool) -> int:
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(24)
    places = [str(ROOT), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    environment = {
        **os.environ,
        "JUPYTER_TOKEN": token,  # not on the command line, where every user of the machine reads it
        "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, places)),  # labconfig/: no news pop-up
        "JUPYTER_PREFER_ENV_PATH": "1",
        "MINILM_DESK": str(desk),
    }
    everywhere = ip in ("0.0.0.0", "::", "*", "")
    host = f"[{ip}]" if ":" in ip else ip
    here = "127.0.0.1" if everywhere else host  # a machine may not know its own name
    host = socket.gethostname() if everywhere else host
    address = f"http://{host}:{port}/lab/tree/{lesson}?token={token}"
    # In a session of its own, so that Ctrl-C reaches it once, through _end.
    server = subprocess.Popen(
        command_line(desk, ip, port), env=environment, cwd=desk, start_new_session=True
    )
    for name in ("SIGTERM", "SIGHUP"):  # a closed terminal must not leave the server behind
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)
    try:
        if not _answers(server, f"http://{here}:{port}/api", seconds=120):
            print("JupyterLab did not start; its messages are above. `make doctor` may help.")
            return server.poll() or 1
        screen = sees_a_screen(dict(os.environ))
        print(_how_to_open(address, port, screen), flush=True)
        if screen and may_open:
            webbrowser.open(address)
        return server.wait()
    except KeyboardInterrupt:
        print("\nEnding. Your desk keeps everything.", flush=True)
        return 0
    finally:
        _end(server)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _answers(server: subprocess.Popen[bytes], url: str, seconds: float) -> bool:
    """Wait until the server answers, or has ended."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is this machine
    last = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < last:
        with contextlib.suppress(OSError):
            opener.open(url, timeout=5).close()
            return True
        time.sleep(0.2)
    return False


def _how_to_open(address: str, port: int, screen: bool) -> str:
    lines = ["", "JupyterLab runs. Open this address in a browser:", "", f"    {address}", ""]
    if not screen:
        lines += [
            "If you sit at another computer, run this there first, then open the address there:",
            "",
            f"    ssh -N -L {port}:127.0.0.1:{port} {_login()}",
            "",
        ]
    return "\n".join([*lines, "Ctrl-C ends it."])


def _login() -> str:
    """What the reader's ssh called this machine, as far as one can tell from here."""
    connection = os.environ.get("SSH_CONNECTION", "").split()
    host = connection[2] if len(connection) == 4 else socket.gethostname()
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user number without a name, as in some containers
        user = "USER"
    return f"{user}@{host}"


def _end(server: subprocess.Popen[bytes]) -> None:
    """Let the server shut its kernels down; insist only when it will not."""
    try:
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            if server.poll() is None:
                server.terminate()
            server.wait(timeout=15)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
