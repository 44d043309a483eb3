"""What the files of a checkpoint must hold, and the one error where they hold something else."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import torch
from torch import Tensor

from minilm.errors import FileProblem

# How a kind of value is called in a message.
_NAMES = {
    bool: "true or false",
    int: "a whole number from 0",
    float: "a finite number",
    str: "a text",
    list: "a list",
    dict: "an object",
    NoneType: "null",
}
_MOST = 2**63
# What AdamW keeps of each weight, besides the number of its steps.
_OF_ADAM = ("exp_avg", "exp_avg_sq")
_LIKE_WEIGHTS = (*_OF_ADAM, "max_exp_avg_sq", "momentum_buffer")
_TORCHS = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)


def damaged(path: Path | str, what: str) -> FileProblem:
    """Make the error for a file that does not hold what it must.

    path: of the file    what: is wrong with it, said of the file
    """
    return FileProblem(
        f"'{path}' {what}. The checkpoint is damaged: remove its folder, and go on from the one "
        "before it."
    )


def read_object(path: Path) -> Any:
    """Read a JSON file of a checkpoint.

    path: of the file    Raises FileProblem if it is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise FileProblem(f"'{path}' cannot be read ({error.strerror or error}).") from None
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"is no JSON ({error})") from None


def check_fields(found: Any, kinds: Mapping[str, Any], path: Path | str, finite: bool) -> None:
    """Refuse an object with a field of another kind than it has when it is written.

    found: what a file holds    kinds: field → its type; a field may be missing
    path: of the file    finite: whether a number may be neither NaN nor infinite

    Raises FileProblem that names the field.
    """
    if not isinstance(found, dict):
        raise damaged(path, f"holds {_short(found)}, where an object belongs")
    for name, kind in kinds.items():
        value = found.get(name)
        endless = finite and isinstance(value, float) and not math.isfinite(value)
        if name in found and (endless or not fits(value, kind)):
            wanted = " or ".join(_NAMES.get(get_origin(one) or one, "") for one in _options(kind))
            raise damaged(path, f"says {name} = {_short(value)}, where {wanted} belongs")


def fits(value: Any, kind: Any) -> bool:
    """Whether a value out of a JSON file is of a type.

    value: any    kind: bool, int (from 0), float, str, a list or dict of these, or a union
    """
    return any(_is(value, each) for each in _options(kind))


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if isinstance(kind, UnionType) else (kind,)


def _is(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is int:
        return isinstance(value, int) and 0 <= value < _MOST
    if kind is float:
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < _MOST)
    if get_origin(kind) is list:
        return isinstance(value, list) and all(fits(each, get_args(kind)[0]) for each in value)
    return isinstance(value, get_origin(kind) or kind)


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, int) else repr(value)
    return text if len(text) <= 40 else text[:37] + "…"


def check_optimizer_state(state: Any, optimizer: torch.optim.Optimizer, path: Path) -> None:
    """Refuse what is no state of an optimizer, or one whose parts do not fit its weights.

    state: what a file holds    optimizer: that is to take it, with as many weights    path: of the file

    Raises FileProblem.
    """
    places = range(sum(len(group["params"]) for group in optimizer.param_groups))
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for saved, now in zip(state["param_groups"], optimizer.state_dict()["param_groups"]):
        _check_alike(saved, now, path)
    for place, parts in state["state"].items():
        if place not in places or not isinstance(parts, dict):
            raise damaged(path, f"speaks of a weight {_short(place)}; there are {len(places)}")
        if not isinstance(optimizer, _TORCHS):
            continue
        needed = () if isinstance(optimizer, torch.optim.SGD) else (*_OF_ADAM, "step")
        for name in (*needed, *(each for each in _LIKE_WEIGHTS if parts.get(each) is not None)):
            part = parts.get(name)
            shape = part.shape if isinstance(part, Tensor) else None
            if name == "step":
                right = _is_number(part)
            else:
                right = shape == weights[place].shape
            if not right:
                is_now = "is missing" if part is None else f"is of shape {_shape(part)}"
                raise damaged(
                    path,
                    f"does not fit weight {place}, of shape {_shape(weights[place])}: its {name} "
                    f"{is_now}",
                )


def check_groups(state: Any, path: Path) -> None:
    """Refuse what has not the form of an optimizer's state.

    state: what a file holds    path: of the file

    Raises FileProblem.
    """
    groups: Any = state.get("param_groups") if isinstance(state, dict) else None
    whole = isinstance(groups, list) and groups and isinstance(state.get("state"), dict)
    if not whole or not all(
        isinstance(group, dict) and isinstance(group.get("params"), list) for group in groups
    ):
        raise damaged(path, f"holds no state of an optimizer, but {_short(state)}")


def check_schedule_state(state: Any, scheduler: Any, path: Path) -> None:
    """Refuse what is no state of a learning-rate schedule.

    state: what a file holds    scheduler: that is to take it    path: of the file

    Raises FileProblem.
    """
    if not isinstance(state, dict):
        raise damaged(path, f"holds no state of a schedule, but {_short(state)}")
    now = scheduler.state_dict()
    if "last_epoch" in now and "last_epoch" not in state:
        raise damaged(path, "does not say last_epoch, at which step the schedule was")
    _check_alike(state, now, path)


def check_attributes(said: Any, now: Any, owner: str, path: Path) -> None:
    """Refuse what is no state of a callback.

    said: what a file holds    now: the attributes that the callback has    owner: its class
    path: of the file

    Raises FileProblem.
    """
    if not isinstance(said, dict):
        raise damaged(path, f"says of {owner} {_short(said)}, where its attributes belong")
    if isinstance(now, dict):
        numbers = {name: value for name, value in now.items() if _is_number(value)}
        _check_alike(said, numbers, path)


def _check_alike(saved: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    for name, value in now.items():
        if name in saved and not _alike(saved[name], value):
            raise damaged(
                path,
                f"says {name} = {_short(saved[name])}, where there should be one like {_short(value)}",
            )


def _alike(saved: Any, now: Any) -> bool:
    """Whether a value can stand where another one stands; what can be anything is not looked at."""
    if _is_number(now):
        return _is_number(saved)
    if isinstance(now, list | tuple):
        several = isinstance(saved, list | tuple)
        return several and len(saved) == len(now) and all(map(_alike, saved, now))
    return True


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
