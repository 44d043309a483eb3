"""Reading and writing small files so that a killed process never leaves half of one."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from minilm.errors import FileProblem


def _write_temporary(path: Path, content: str | bytes) -> Path:
    """Write content to a new file beside path, on disk before this returns."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; an ordinary file follows the user's umask.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
    except BaseException:
        os.unlink(name)
        raise
    return Path(name)


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file so that at any moment it holds either the old or the new content, whole.

    path: the file to write; its folder must exist
    content: text (written as UTF-8) or bytes
    """
    replace_files(Path(path).parent, {Path(path).name: content})


def replace_files(folder: str | os.PathLike[str], contents: Mapping[str, str | bytes]) -> None:
    """Write several files of one folder: all are complete under temporary names before the first is renamed.

    folder: where to write; made if it is missing
    contents: file name → text or bytes

    A process killed while writing leaves every old file whole. Renames follow each other with
    nothing in between, so that the set is mixed for microseconds at most.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileProblem(f"'{folder}' is a file, and a folder was expected. Give another path.")
    folder.mkdir(parents=True, exist_ok=True)
    temporary: dict[Path, Path] = {}
    try:
        for name, content in contents.items():
            temporary[folder / name] = _write_temporary(folder / name, content)
        for target, source in temporary.items():
            os.replace(source, target)
    finally:
        for source in temporary.values():
            source.unlink(missing_ok=True)


# What a folder of files is put into place from, and the file in it that says all of it is there.
STAGING = ".saving-"
COMPLETE = "complete.json"


@contextmanager
def replacing_as_one(
    folder: str | os.PathLike[str], superseded: Sequence[str] = ()
) -> Iterator[Path]:
    """Write several large files so that a folder has, after a kill at any moment, all old or all new.

    folder: where the files belong; made if it is missing
    superseded: patterns such as "model-*.safetensors"; what fits one and is not new, goes

    Gives a folder to write into. When the block ends well, a note says that everything is there, and
    the files move into place; a process killed while they move is made up for by `finish_saving`,
    which everybody who reads the folder calls first. After an error nothing is left behind.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileProblem(f"'{folder}' is a file, and a folder was expected. Give another path.")
    folder.mkdir(parents=True, exist_ok=True)
    finish_saving(folder)
    with ExitStack() as held:
        with _alone_in(folder):
            staging = Path(tempfile.mkdtemp(dir=folder, prefix=STAGING))
            # Held to the end of this process at the latest: it tells a save from what is left of one.
            held.enter_context(_alone_in(staging))
        try:
            yield staging
            names = sorted(path.name for path in staging.iterdir())
            for name in names:
                _settle(staging / name)
            note = {"files": names, "superseded": list(superseded)}
            write_atomically(staging / COMPLETE, json.dumps(note))
            _settle_folder(staging)
        except BaseException:
            _discard(staging)
            raise
        _move_into_place(staging)


def finish_saving(folder: str | os.PathLike[str]) -> None:
    """Complete what a killed `replacing_as_one` left in a folder, or clear it away.

    folder: to be read

    Raises FileProblem if new files wait to be moved into place and cannot be.
    """
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        with os.scandir(folder) as entries:
            left = [Path(entry.path) for entry in entries if _is_staging(entry)]
        for staging in left:
            if (staging / COMPLETE).is_file():
                try:
                    _move_into_place(staging)
                except OSError as error:
                    raise FileProblem(
                        f"Saving into '{folder}' was interrupted, and the files in "
                        f"'{staging.name}' cannot be moved into place ({error.strerror}). Make "
                        "the folder writable, or load a copy of it."
                    ) from None
            else:
                with _alone_in(Path(folder)), _alone_in(staging, wait=False) as nobody_writes:
                    # Complete by now: whoever wrote it moves it.
                    if nobody_writes and not (staging / COMPLETE).exists():
                        _discard(staging)


def _is_staging(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(STAGING) and entry.is_dir(follow_symlinks=False)


@contextmanager
def _alone_in(folder: Path, wait: bool = True) -> Iterator[bool]:
    """Hold a folder's lock, which ends with the process that holds it, however that ends.

    Gives whether it was got: without `wait`, not if somebody else has it; and never where the
    system or the disk has no such locks.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            got = True
        except OSError:
            got = False
        yield got
    finally:
        os.close(handle)


def _settle(path: Path) -> None:
    """Put a file on disk, readable as ordinary files are."""
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(path, 0o666 & ~umask)
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _settle_folder(folder: Path) -> None:
    """Put on disk which names a folder has; not every system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _discard(staging: Path) -> None:
    # The note first: without it, whatever a kill leaves of the rest counts for nothing.
    with suppress(OSError):
        (staging / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(staging, ignore_errors=True)


def _move_into_place(staging: Path) -> None:
    """Move what is complete to where it belongs; done twice, or by two at once, it does no harm."""
    folder = staging.parent
    with _alone_in(folder):
        note = _read_note(staging / COMPLETE)
        if note is None:  # somebody else was faster, or it is none of ours
            return
        names, patterns = note
        for name in names:
            with suppress(FileNotFoundError):  # moved before the kill
                os.replace(staging / name, folder / name)
        for name in set(os.listdir(folder)) - set(names):
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                (folder / name).unlink(missing_ok=True)
        _settle_folder(folder)
        _discard(staging)


def _read_note(path: Path) -> tuple[list[str], list[str]] | None:
    """The names and patterns of a note, if it is one; a folder may come from anywhere."""
    try:
        note = json.loads(path.read_bytes())
        names, patterns = note["files"], note["superseded"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    for name in (
        (*names, *patterns) if isinstance(names, list) and isinstance(patterns, list) else (0,)
    ):
        if not isinstance(name, str) or os.path.basename(name) != name or name in ("", ".", ".."):
            return None
    return names, patterns


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file, or raise `FileProblem` that says what is wrong with it and where.

    path: the file to read
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileProblem(f"There is no file '{path}'. Check the path.") from None
    except OSError as error:
        raise FileProblem(f"'{path}' cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError as error:
        raise FileProblem(
            f"'{path}' is not UTF-8 text (byte {error.start}), so it is not a JSON file. "
            "Fetch or save it again."
        ) from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        hint = "It ends too early" if error.pos >= len(text.rstrip()) else "It is malformed"
        raise FileProblem(
            f"'{path}' is not valid JSON: {error.msg} at line {error.lineno}, column "
            f"{error.colno}. {hint}: fetch or save it again."
        ) from None
    except ValueError as error:  # a whole number of thousands of digits
        raise FileProblem(f"'{path}' is not valid JSON: {error}. Fetch or save it again.") from None
    except RecursionError:
        raise FileProblem(
            f"'{path}' is JSON nested too deeply to read. Fetch or save it again."
        ) from None
