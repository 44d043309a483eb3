"""Chance that can be repeated: seeds, and the state of every generator that training draws from."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from minilm.errors import InvalidInput


def set_seed(seed: int, deterministic: bool = False) -> None:
    """Seed Python's, numpy's and torch's generators, on every device.

    seed: from 0 to 2³² − 1    deterministic: let torch use only algorithms that repeat themselves

    Raises InvalidInput for a seed that not all of them take.
    Reference: transformers' `set_seed`.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InvalidInput(
            f"seed={seed!r} was given; a seed is a whole number from 0 to {2**32 - 1}."
        )
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # every GPU's as well
    if deterministic:
        torch.use_deterministic_algorithms(True)


def snapshot() -> dict[str, Any]:
    """Note where every generator stands, quickly.

    Returns what `set_rng_state` takes, and `savable` makes fit for a file.
    """
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=True),
        "cpu": torch.random.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.random.get_rng_state()
    return state


def savable(state: dict[str, Any]) -> dict[str, Any]:
    """Turn a snapshot into plain numbers and tensors: a file of them loads without running code.

    state: from `snapshot`
    """
    name, keys, *rest = state["numpy"]
    return {**state, "numpy": (name, keys.tolist(), *rest)}


def set_rng_state(state: dict[str, Any]) -> None:
    """Put every generator where it stood.

    state: from `snapshot` or `savable`; a device that it does not know is left as it is
    """
    random.setstate(_as_tuples(state["python"]))
    np.random.set_state(tuple(state["numpy"]))
    torch.random.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        cuda = state["cuda"]  # transformers notes one for each device under several processes
        if isinstance(cuda, list):
            torch.cuda.random.set_rng_state_all([each.cpu() for each in cuda])
        else:
            torch.cuda.random.set_rng_state(cuda.cpu())


def _as_tuples(state: Any) -> Any:
    return tuple(map(_as_tuples, state)) if isinstance(state, list | tuple) else state
