"""A folder that is written whole or not at all, whenever the process is killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minilm.files import alone_in, settle, settle_folder

# What a folder is written in, and what an old one is called while a new one takes its place.
WRITING = ".writing-"
REPLACED = ".replaced-"
REMOVED = ".removed-"


@contextmanager
def replacing_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a folder so that, after a kill at any moment, it is there whole, or as it was before.

    folder: what to write; the folder around it is made if it is missing

    Gives a folder to write into. When the block ends well and all that is in it is on disk, it takes
    its place by a rename. After an error nothing is left behind. If there was such a folder before, a
    kill may leave it under another name: whoever looks for such folders calls `finish_replacing`.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=WRITING))
    # Held to the end of this process at the latest: it tells a folder that is being written from
    # what is left of one.
    with alone_in(staging):
        try:
            new = staging / folder.name
            new.mkdir()
            yield new
            _settle_all(new)
            before = folder.with_name(REPLACED + folder.name)
            if folder.exists():
                shutil.rmtree(before, ignore_errors=True)
                os.rename(folder, before)
            os.rename(new, folder)
            settle_folder(folder.parent)
            shutil.rmtree(before, ignore_errors=True)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            if not folder.exists():
                finish_replacing(folder.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder: out of sight at once, so that a kill leaves no half of it under its name.

    folder: may be gone already
    """
    gone = folder.with_name(REMOVED + folder.name)
    shutil.rmtree(gone, ignore_errors=True)
    with suppress(OSError):
        os.rename(folder, gone)
    shutil.rmtree(gone, ignore_errors=True)


def finish_replacing(parent: str | os.PathLike[str]) -> None:
    """Complete what a kill interrupted, or clear it away.

    parent: the folder around those that were written
    """
    parent = Path(parent)
    if not parent.is_dir():
        return
    for before in parent.glob(REPLACED + "*"):
        meant = parent / before.name.removeprefix(REPLACED)
        with suppress(OSError):
            if meant.exists():
                shutil.rmtree(before, ignore_errors=True)
            else:
                os.rename(before, meant)
    for gone in parent.glob(REMOVED + "*"):
        shutil.rmtree(gone, ignore_errors=True)
    for staging in parent.glob(WRITING + "*"):
        with alone_in(staging, wait=False) as nobody_writes:
            if nobody_writes:
                shutil.rmtree(staging, ignore_errors=True)


def _settle_all(folder: Path) -> None:
    """Put a folder and all that is in it on disk, readable as ordinary files are."""
    umask = os.umask(0)
    os.umask(umask)
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            settle(Path(place) / name)
        os.chmod(place, 0o777 & ~umask)
        settle_folder(Path(place))
