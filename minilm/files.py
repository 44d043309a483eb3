"""Reading and writing small files so that a killed process never leaves half of one."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
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


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file, or raise `FileProblem` that says what is wrong with it and where.

    path: the file to read
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileProblem(f"There is no file '{path}'. Check the path.") from None
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
    except RecursionError:
        raise FileProblem(
            f"'{path}' is JSON nested too deeply to read. Fetch or save it again."
        ) from None
