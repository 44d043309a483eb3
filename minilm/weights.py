"""Weights in files: finding them by name, reading them where they lie, matching names to a model.

safetensors files are mapped into memory, not read: a tensor's bytes come from the disk when they
are first used. Files are not trusted: a name may not lead out of the folder, and a pickle is opened
only as plain tensors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minilm.errors import FileProblem, InvalidInput
from minilm.files import read_json
from minilm.hub import Source

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
INDEX = ".index.json"

# What older files call some parameters (from TensorFlow's names).
OLD_NAMES = {"gamma": "weight", "beta": "bias"}


def in_todays_name(name: str) -> str:
    """Give a parameter of an old file the name that it has today.

    name: such as "bert.LayerNorm.gamma", today "bert.LayerNorm.weight"; others stay as they are
    """
    head, dot, last = name.rpartition(".")
    return f"{head}{dot}{OLD_NAMES.get(last, last)}"


def match_keys(
    expected: Iterable[str], found: Iterable[str], prefix: str
) -> tuple[dict[str, str], list[str], list[str]]:
    """Match the names in a file to those of a model, with a body's prefix added or taken away.

    expected: names of the model's weights    found: names in the file
    prefix: the attribute that holds the body in a model with a head, such as "transformer"

    Returns name in the model → name in the file; names that are missing; names left over.
    """
    expected, found = dict.fromkeys(expected), list(found)
    names = {key: key for key in found if key in expected}  # what fits as it is comes first
    for key in found:
        forms = [
            form
            for name in (key, in_todays_name(key))
            for form in (name, f"{prefix}.{name}", name.removeprefix(f"{prefix}."))
        ]
        fitting = next((form for form in forms if form in expected and form not in names), None)
        if key not in names and fitting is not None:
            names[fitting] = key
    used = set(names.values())
    missing = [name for name in expected if name not in names]
    return names, missing, [key for key in found if key not in used]


def parse_size(size: int | str) -> int:
    """Say how many bytes a size is.

    size: bytes, or "5GB", "200MB", "1.5GiB" …

    Raises InvalidInput for anything else.
    """
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    units = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    units |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
    match = (
        re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", size)
        if isinstance(size, str)
        else None
    )
    if match is None or match[2].upper() not in units or not float(match[1]):
        raise InvalidInput(
            f"A size of {size!r} was given. Give bytes, or such as '200MB' or '5GB'."
        )
    return int(float(match[1]) * units[match[2].upper()])


def plan_shards(sizes: Mapping[str, int], max_shard_size: int) -> list[list[str]]:
    """Divide weights over files, in order, each as full as allowed.

    sizes: name → bytes    max_shard_size: bytes a file may hold; one weight that is larger gets a
        file of its own, and the file that was open goes on filling behind it

    Returns the names in each file, as transformers divides them.
    """
    shards: list[list[str]] = []
    filling: list[str] = []
    filled = 0
    for name, size in sizes.items():
        if size > max_shard_size:
            shards.append([name])
            continue
        if filled + size > max_shard_size:
            shards.append(filling)
            filling, filled = [], 0
        filling.append(name)
        filled += size
    return [*shards, filling] if filling or not shards else shards


def shard_names(number: int) -> list[str]:
    """Name the files of a checkpoint that is divided.

    number: of files
    """
    if number == 1:
        return [SAFETENSORS]
    return [f"model-{i:05d}-of-{number:05d}.safetensors" for i in range(1, number + 1)]


@dataclass
class Checkpoint:
    """The tensors of a model's files, by name, read when asked for.

    source: where the files are    readers: name of a tensor → what reads it
    """

    source: Source
    readers: dict[str, Callable[[], Tensor]] = field(default_factory=dict)

    def __iter__(self) -> Any:
        return iter(self.readers)

    def __len__(self) -> int:
        return len(self.readers)

    def __contains__(self, name: object) -> bool:
        return name in self.readers

    def read(self, name: str) -> Tensor:
        """Read one tensor.

        name: as in the file

        Raises FileProblem if its bytes cannot be read.
        """
        return self.readers[name]()


Readers = dict[str, Callable[[], Tensor]]


def open_checkpoint(source: Source, use_safetensors: bool | None = None) -> Checkpoint:
    """Open the weights of a model: safetensors before pickles, one file before several.

    source: where its files are    use_safetensors: True or False = only these, or only pickles

    Raises FileProblem if there are none, or if they are damaged: what is wrong, and with which file.
    """
    kinds = [(SAFETENSORS, _open_safetensors)] if use_safetensors is not False else []
    kinds += [(PICKLE, _open_pickle)] if not use_safetensors else []
    for single, opener in kinds:
        path = source.file(single)
        if path is not None:
            return Checkpoint(source, opener(path))
        index = source.file(single + INDEX)
        if index is not None:
            return Checkpoint(source, _open_shards(source, index, opener))
    names = " nor ".join(single for single, _ in kinds)
    raise FileProblem(
        f"There are no weights in {source}: no {names}, nor an index of several files. "
        f"{source.what_is_there()}"
    )


def _open_shards(source: Source, index: Path, opener: Callable[[Path], Readers]) -> Readers:
    data = read_json(index)
    places = data.get("weight_map") if isinstance(data, dict) else None
    if not isinstance(places, dict) or not places:
        raise FileProblem(
            f"'{index}' has no weight_map from names to files. Fetch or save it again."
        )
    for name, file in places.items():
        if not isinstance(file, str):
            raise FileProblem(
                f"The weight_map in '{index}' says that {name:.99} is in {file!r:.60}, and the name of "
                "a file was expected. Fetch or save it again."
            )
    shards: dict[str, Readers] = {}
    for file in sorted(set(places.values())):
        path = source.file(file)
        if path is None:
            raise FileProblem(
                f"{file:.99} is missing in {source}, and '{index.name}' names it. Fetch or save the "
                f"model again. {source.what_is_there()}"
            )
        shards[file] = opener(path)
    absent = [name for name, file in places.items() if name not in shards[file]]
    if absent:
        raise FileProblem(
            f"'{index.name}' says that {absent[0]:.99} is in {places[absent[0]]}, and it is not"
            f"{f' (nor are {len(absent) - 1} others where it says)' if len(absent) > 1 else ''}. "
            "The files do not belong together: fetch or save them again."
        )
    # In the files' own order; the index decides where two have the same name.
    return {
        name: shards[places.get(name, file)][name]
        for file, readers in shards.items()
        for name in readers
    }


def _open_safetensors(path: Path) -> Readers:
    from safetensors import SafetensorError, safe_open

    try:
        with open(path, "rb"):  # says why it cannot be opened, if it cannot
            file = safe_open(str(path), framework="pt")
        names = list(file.keys())
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _damaged(path, "safetensors file", error) from None
    return {name: partial(_read_safetensor, file, name, path) for name in names}


def _read_safetensor(file: Any, name: str, path: Path) -> Tensor:
    from safetensors import SafetensorError

    try:
        tensor = file.get_tensor(name)
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise FileProblem(
            f"{name} in '{path}' cannot be read ({_in_a_line(error)}). Fetch or save it again."
        ) from None
    # A header of odd length leaves numbers where no number may begin; such a tensor is copied.
    return tensor.clone() if tensor.data_ptr() % tensor.element_size() else tensor


def _open_pickle(path: Path) -> Readers:
    """Read a pickle as plain tensors; whatever else it would do is refused."""
    try:
        try:
            found = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # files of torch before 1.6 cannot be mapped
            found = torch.load(str(path), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can fail in any way
        forbidden = re.search(r"Unsupported (?:global|class): (?:GLOBAL )?([\w.]+)", str(error))
        if forbidden is None:
            raise _damaged(path, "file of weights", error) from None
        raise FileProblem(
            f"'{path}' holds more than tensors: it would run {forbidden[1]}. Opening it could run a "
            "stranger's code, so it stays closed. Ask for a safetensors file."
        ) from None
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict):
        raise FileProblem(
            f"'{path}' holds {type(found).__name__}, and a mapping from names to tensors was "
            "expected."
        )
    return {
        name: partial(_as_it_is, value)
        for name, value in found.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


def _damaged(path: Path, kind: str, error: Exception) -> FileProblem:
    try:
        size = f"{path.stat().st_size:,} bytes"
    except OSError as reason:
        size = str(reason.strerror)
    return FileProblem(
        f"'{path}' is not a whole {kind} ({_in_a_line(error)}; {size}). Fetch or save it again."
    )


def _in_a_line(error: Exception) -> str:
    # torch gives advice first, such as to run whatever is in the pickle.
    text = str(error).rpartition("WeightsUnpickler error: ")[2].strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


def tensor_bytes(tensor: Tensor) -> int:
    """Count the bytes of a tensor's numbers.

    tensor: any
    """
    return tensor.numel() * tensor.element_size()


def as_table(rows: Sequence[tuple[str, str, str]]) -> str:
    """Lay out a report: name, what happened, and why.

    rows: three texts each
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  "
        + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
