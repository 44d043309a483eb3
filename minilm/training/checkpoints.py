"""Checkpoints of a run: written whole or not at all, found again, and cleared away with care."""

from __future__ import annotations

import errno
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_type_hints

import torch

from minilm.errors import FileProblem, InvalidInput, WrongType
from minilm.files import replace_files
from minilm.training import damage
from minilm.training.state import Noted, TrainerState
from minilm.training.whole_folder import finish_replacing, remove_folder, replacing_folder

# The names are transformers'; its Trainer goes on from these files, and this one from its.
STATE = "trainer_state.json"
OPTIMIZER = "optimizer.pt"
SCHEDULER = "scheduler.pt"
RANDOM = "rng_state.pth"
# What only minilm's Trainer notes: what an exact continuation needs besides.
RUN = "run.json"
RUN_RANDOM = "run_rng.pth"

_NAME = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk.

    path: its folder    step: at which it was written    run: when its run began
    """

    path: Path
    step: int
    run: float


def find_checkpoints(output_dir: str | os.PathLike[str]) -> list[Checkpoint]:
    """List the checkpoints of a folder, the newest last.

    output_dir: of one or more runs; those of an earlier run come first, whatever their steps

    What is not complete is left out.
    """
    output_dir = Path(output_dir)
    if not output_dir.is_dir():
        return []
    finish_replacing(output_dir)
    found = []
    for path in output_dir.iterdir():
        named = _NAME.fullmatch(path.name)
        if named and is_complete(path):
            found.append(Checkpoint(path, int(named[1]), _began(path)))
    return sorted(found, key=lambda each: (each.run, each.step))


def is_complete(path: Path) -> bool:
    """Whether a folder holds what a checkpoint consists of."""
    try:
        state = json.loads((path / STATE).read_bytes())
        whole = isinstance(state, dict) and damage.fits(state.get("global_step"), int)
        return whole and any(each.stat().st_size for each in path.glob("*.safetensors"))
    except (OSError, ValueError, RecursionError):
        return False


def _began(path: Path) -> float:
    try:
        began = float(json.loads((path / RUN).read_bytes())["began"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        began = math.nan  # of transformers' Trainer, or damaged, which is said when it is read
    return began if math.isfinite(began) else path.stat().st_mtime


def newest_checkpoint(output_dir: str | os.PathLike[str]) -> str | None:
    """Find what a run can go on from.

    output_dir: of the run

    Returns the folder of the newest complete checkpoint, or None.
    """
    found = find_checkpoints(output_dir)
    return str(found[-1].path) if found else None


def checkpoint_to_resume(given: Any, output_dir: str) -> str | None:
    """Understand resume_from_checkpoint.

    given: None or False, True for the newest, or a path    output_dir: of the run

    Raises FileProblem if there is no such checkpoint, WrongType for anything else.
    """
    if given is None or given is False:
        return None
    if given is True:
        newest = newest_checkpoint(output_dir)
        if newest is None:
            raise FileProblem(
                f"resume_from_checkpoint=True was given, and there is no complete checkpoint in "
                f"'{output_dir}'. Begin with train(), or give the folder of a checkpoint."
            )
        return newest
    if not isinstance(given, str | os.PathLike):
        raise WrongType(
            f"resume_from_checkpoint={given!r} was given; expected True, or a checkpoint's folder."
        )
    path = Path(os.fspath(given))
    finish_replacing(path.parent)
    if not path.is_dir():
        raise FileProblem(f"There is no checkpoint '{path}'. Check the path.")
    if not is_complete(path):
        if (path / STATE).exists():
            read_state(path)  # which says what is wrong with it
        raise FileProblem(
            f"'{path}' is no complete checkpoint: it needs {STATE} and weights (*.safetensors). "
            "Give another one; True finds the newest that is complete."
        )
    return str(path)


def write_checkpoint(
    folder: Path, files: Mapping[str, Any], save_parts: Any, last_good: str | None
) -> None:
    """Write a checkpoint, whole or not at all.

    folder: checkpoint-N    files: name → text, or what torch.save takes
    save_parts: (folder) writes model and tokenizer    last_good: to name in a message

    Raises FileProblem if the disk is full or cannot be written; nothing else is touched then.
    """
    try:
        with replacing_folder(folder) as staging:
            save_parts(staging)
            for name, content in files.items():
                if isinstance(content, str):
                    (staging / name).write_text(content, encoding="utf-8")
                else:
                    _save_tensors(staging / name, content)
    except (OSError, RuntimeError) as error:
        cause = _disk_problem(error)
        if cause is None:
            raise
        if last_good is not None:
            advice = (
                f"'{last_good}' is whole: make room, and go on from it with "
                "train(resume_from_checkpoint=True). save_total_limit keeps fewer checkpoints."
            )
        else:
            advice = "Nothing was written. Make room, or give another output_dir."
        raise FileProblem(
            f"The checkpoint '{folder}' was not written: {cause}. {advice}"
        ) from error


def _save_tensors(path: Path, content: Any) -> None:
    # Written by Python's file and not by torch's own writer, whose error for a full disk says
    # nothing of disks.
    with open(path, "wb") as file:
        torch.save(content, file)


def _disk_problem(error: BaseException | None) -> str | None:
    """What the disk said, if it was the disk."""
    while error is not None:
        if isinstance(error, FileProblem):
            return str(error.__cause__ or error)
        if isinstance(error, OSError):
            return error.strerror or os.strerror(error.errno or errno.EIO)
        error = error.__cause__ or error.__context__
    return None


def load_tensors(path: Path) -> Any:
    """Read what torch.save wrote, without running anything that the file may hold.

    path: an optimizer.pt, scheduler.pt or rng_state.pth

    Raises FileProblem if it is damaged, or holds more than numbers.
    """
    try:
        with torch.serialization.safe_globals(_numpy_parts()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileProblem(
            f"There is no '{path}', which a run goes on from. Was it saved with save_only_model? "
            "Load its model with from_pretrained and begin a new run."
        ) from None
    except Exception as error:
        raise damage.damaged(path, f"cannot be read ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    """What an error says; an empty file's says nothing."""
    said = str(error).partition("\n")[0].partition(". ")[0]
    return said if " " in said else "it does not hold what torch.save writes"


def _numpy_parts() -> list[Any]:
    """What numpy's generator consists of in a rng_state.pth of transformers."""
    import numpy as np

    core: Any = getattr(np, "_core", None) or getattr(np, "core")  # noqa: B009 - before numpy 2
    return [np.ndarray, np.dtype, type(np.dtype(np.uint32)), core.multiarray._reconstruct]


def read_state(folder: str | os.PathLike[str]) -> TrainerState:
    """Read how far a checkpoint's run was.

    folder: of the checkpoint

    Raises FileProblem if its trainer_state.json is damaged.
    """
    path = Path(folder) / STATE
    return TrainerState.from_json(damage.read_object(path), str(path))


def read_run(folder: str | os.PathLike[str]) -> Noted:
    """Read what minilm's Trainer noted besides; empty for a checkpoint of transformers'.

    folder: of the checkpoint

    Raises FileProblem if its run.json is damaged.
    """
    path = Path(folder) / RUN
    if not path.exists():
        return {}
    found = damage.read_object(path)
    damage.check_fields(found, get_type_hints(Noted), path, finite=True)
    return cast(Noted, found)


def clear_old(output_dir: str, limit: int | None, keep: str | None) -> None:
    """Remove the oldest checkpoints until no more than a limit are left.

    output_dir: of the run    limit: None or 0 = all stay
    keep: the best one's folder, which stays in any case, as the newest does
    """
    if not limit:
        return
    found = find_checkpoints(output_dir)
    kept = {found[-1].path.resolve()} if found else set()
    if keep is not None:
        kept.add(Path(keep).resolve())
    removable = [each.path for each in found if each.path.resolve() not in kept]
    for path in removable[: max(0, len(found) - max(limit, len(kept)))]:
        remove_folder(path)


def check_same_data(run: Mapping[str, Any], now: Mapping[str, Any], folder: str) -> None:
    """Refuse to go on with another division of the data than a run began with.

    run: what the checkpoint says    now: what holds now    folder: of the checkpoint

    Raises InvalidInput: which examples are still to come could not be told.
    """
    said = {
        "examples": "the dataset has {now} examples, and had {then}",
        "examples_per_step": "a step takes {now} examples, and took {then}",
        "data_seed": "the data is shuffled by seed {now}, and was by {then}",
    }
    for name, text in said.items():
        then = run.get(name)
        if then is not None and then != now[name]:
            raise InvalidInput(
                f"The run cannot go on from '{folder}': "
                + text.format(now=now[name], then=then)
                + ". Give what it was then, or ignore_data_skip=True to begin an epoch anew."
            )


def as_json(value: Any) -> str:
    """Write as text what a checkpoint notes.

    value: numbers, words, lists and dicts
    """
    return json.dumps(value, indent=2, sort_keys=True, default=str) + "\n"


def write_text(folder: Path, name: str, text: str) -> None:
    """Write a small file.

    folder: is made if need be    name: of the file    text: its content
    """
    replace_files(folder, {name: text})
