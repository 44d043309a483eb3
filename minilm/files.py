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

from minilm.errors import FileProblem, WrongType


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


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder to write into, and those above it, where they are missing.

    folder: its path

    Raises WrongType for what is no path, FileProblem if no folder can be there.
    """
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise WrongType(
            f"A folder to write into is given by its path, and not by {folder!r}. Give '.' for the "
            "current one."
        )
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        if folder.exists():
            message = f"'{folder}' is a file, and a folder was expected. Give another path."
        else:
            message = (
                f"There can be no folder '{folder}', for a part of it is a file. Give another path."
            )
        raise FileProblem(message) from error
    except ValueError as error:  # a character that no path can have
        raise FileProblem(f"{os.fspath(folder)!r} is no path ({error}). Give another.") from error
    return folder


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
    folder = make_folder(folder)
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
    folder = make_folder(folder)
    finish_saving(folder)
    with ExitStack() as held:
        with alone_in(folder):
            staging = Path(tempfile.mkdtemp(dir=folder, prefix=STAGING))
            # Held to the end of this process at the latest: it tells a save from what is left of one.
            held.enter_context(alone_in(staging))
        try:
            yield staging
            names = sorted(path.name for path in staging.iterdir())
            for name in names:
                settle(staging / name)
                if _is_folder(folder / name):
                    raise FileProblem(
                        f"'{folder / name}' is a folder, and a file of that name was to be written. "
                        "Move the folder away, or give another path."
                    )
            note = {"files": names, "superseded": list(superseded)}
            write_atomically(staging / COMPLETE, json.dumps(note))
            settle_folder(staging)
        except BaseException:
            _discard(staging)
            raise
        _move_into_place(folder)


def finish_saving(folder: str | os.PathLike[str]) -> None:
    """Complete what a killed `replacing_as_one` left in a folder, or clear it away.

    folder: to be read

    Raises FileProblem if new files wait to be moved into place and cannot be.
    """
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        folder = Path(folder)
        left = _stagings(folder)
        complete = [staging for staging in left if (staging / COMPLETE).is_file()]
        if complete:
            try:
                _move_into_place(folder)
            except OSError as error:
                raise FileProblem(
                    f"Saving into '{folder}' was interrupted, and the files in "
                    f"'{complete[0].name}' cannot be moved into place ({error.strerror}). Make "
                    "the folder writable, or load a copy of it."
                ) from None
        for staging in set(left) - set(complete):
            with alone_in(folder), alone_in(staging, wait=False) as nobody_writes:
                # Complete by now: whoever wrote it moves it.
                if nobody_writes and not (staging / COMPLETE).exists():
                    _discard(staging)


def _stagings(folder: Path) -> list[Path]:
    """What saves have left in a folder, or are writing."""
    with os.scandir(folder) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if entry.name.startswith(STAGING) and entry.is_dir(follow_symlinks=False)
        ]


@contextmanager
def unchanged(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Keep files that `replacing_as_one` wrote from moving into a folder while it is read.

    folder: to be read, all of whose files are to be of one save; None = there is none to keep
    """
    if folder is None:
        yield
        return
    with alone_in(Path(folder), or_with_readers=True):
        yield


@contextmanager
def alone_in(folder: Path, wait: bool = True, or_with_readers: bool = False) -> Iterator[bool]:
    """Hold a folder's lock, which ends with the process that holds it, however that ends.

    folder: to be locked    wait: until nobody else has it
    or_with_readers: together with others that only read

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
            kind = fcntl.LOCK_SH if or_with_readers else fcntl.LOCK_EX
            fcntl.flock(handle, kind | (0 if wait else fcntl.LOCK_NB))
            got = True
        except OSError:
            got = False
        yield got
    finally:
        os.close(handle)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def settle(path: Path) -> None:
    """Put a file on disk, readable as ordinary files are.

    path: written already
    """
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(path, 0o666 & ~umask)
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def settle_folder(folder: Path) -> None:
    """Put on disk which names a folder has; not every system can.

    folder: in which files were made, renamed or removed
    """
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


def _move_into_place(folder: Path) -> None:
    """Move all that is complete to where it belongs; done twice, or by two at once, it does no harm.

    What a kill interrupted between two moves comes first: a save that came before it would take for
    old what was moved already.
    """
    with alone_in(folder):
        notes = {staging: _read_note(staging / COMPLETE) for staging in _stagings(folder)}
        complete = [(staging, *note) for staging, note in notes.items() if note is not None]
        for staging, names, patterns in sorted(complete, key=_is_unmoved):
            _move(staging, names, patterns)


def _is_unmoved(complete: tuple[Path, list[str], list[str]]) -> bool:
    staging, names, _ = complete
    return all(os.path.lexists(staging / name) for name in names)


def _move(staging: Path, names: Sequence[str], patterns: Sequence[str]) -> None:
    folder = staging.parent
    for name in names:
        with suppress(FileNotFoundError):  # moved before the kill
            os.replace(staging / name, folder / name)
    for name in set(os.listdir(folder)) - set(names):
        is_old = any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        if is_old and not _is_folder(folder / name):
            (folder / name).unlink(missing_ok=True)
    settle_folder(folder)
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
