"""A thousand changes to a file's header, and a thousand to an index: an error or a model, no more."""

from __future__ import annotations

import json
import os
import random
import struct
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from minilm import AutoConfig, AutoModelForCausalLM
from minilm.errors import MinilmError

MUTATIONS = 1000
pytestmark = [
    pytest.mark.filterwarnings("ignore::minilm.loading.LoadingWarning"),
]

DTYPES = ("F64", "F16", "BF16", "I64", "I32", "U8", "BOOL", "F8_E4M3", "F8_E8M0", "F4", "F6_E2M3")
DTYPES += ("U64", "C64", "XX", "", None, 3, ["F32"])
SHAPES = ([], [0], [-1], [2**31, 2**31], [2**62, 4], [2**64], "x", None, [1.5], [1] * 300, {"a": 1})
OFFSETS = ([0, 2**63], [10, 5], [-4, 4], [0], [0, 0], "a", None, [2**40, 2**40 + 4], [1, 2, 3])
LENGTHS = (0, 1, 2**31, 2**63, 2**64 - 1, 100_000_001, 10**9)
PATHS = (
    "../x.safetensors",
    "/etc/passwd",
    "{outside}/secret.safetensors",
    "a/b",
    "..",
    "",
    "\0",
    "C:x",
    "config.json",
    "model.safetensors.index.json",
    "x.safetensors",
    "\ud800",
    "a" * 5000,
    "link.safetensors",
    ".",
    "~/x",
    "deep/../../secret.safetensors",
)
JUNK = (None, [], {}, 3, 1.5, True, "", "x", ["model.safetensors"], {"a": "b"}, "9" * 5000)


@pytest.fixture
def folder(tmp_path):
    """A small model, and beside its folder a secret that nothing may open."""
    config = AutoConfig.for_model(
        "llama",
        vocab_size=11,
        hidden_size=8,
        intermediate_size=6,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    model = AutoModelForCausalLM.from_config(config)
    for name, size in (("whole", "1GB"), ("shards", 400)):
        model.save_pretrained(tmp_path / name, max_shard_size=size)
    secret = tmp_path / "outside" / "secret.safetensors"
    secret.parent.mkdir()
    secret.write_bytes((tmp_path / "whole" / "model.safetensors").read_bytes())
    return tmp_path


@pytest.fixture
def opened(monkeypatch):
    """Every path that Python opens, and every one that safetensors and torch are asked to."""
    import safetensors

    paths: set[str] = set()
    watching = [True]

    def hook(event, arguments):
        if watching[0] and event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            paths.add(os.path.abspath(os.fsdecode(arguments[0])))

    sys.addaudithook(hook)  # there is no way to remove one
    safe_open, load = safetensors.safe_open, torch.load

    def watched_safe_open(path, *arguments, **options):
        paths.add(os.path.abspath(path))
        return safe_open(path, *arguments, **options)

    def watched_load(path, *arguments, **options):
        paths.add(os.path.abspath(path))
        return load(path, *arguments, **options)

    monkeypatch.setattr(safetensors, "safe_open", watched_safe_open)
    monkeypatch.setattr(torch, "load", watched_load)
    yield paths
    watching[0] = False


def changed_value(rng, value):
    """A header or index with something in it changed, the JSON still being JSON."""
    value = json.loads(json.dumps(value))
    key = rng.choice([key for key in value if key != "__metadata__"])
    kind = rng.randrange(7)
    if kind == 0:
        value[key]["dtype"] = rng.choice(DTYPES)
    elif kind == 1:
        value[key]["shape"] = rng.choice([*SHAPES, value[key]["shape"][::-1]])
    elif kind == 2:
        value[key]["data_offsets"] = rng.choice(OFFSETS)
    elif kind == 3:
        value[rng.choice(["", "\0", "lm_head.weight", "a" * 9999, rng.choice(list(value))])] = (
            value.pop(key)
        )
    elif kind == 4:
        value["__metadata__"] = rng.choice([*JUNK, {"format": "tf"}, {"format": 3}])
    elif kind == 5:
        value[key] = rng.choice(JUNK)
    else:
        del value[key][rng.choice(list(value[key]))]
    return value


def changed_bytes(rng, text):
    """A text with bytes changed, put in, taken out, doubled, or cut off."""
    text = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) or 1)
        kind = rng.randrange(5)
        if kind == 0:
            text[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            text[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 9)))
        elif kind == 2:
            del text[at : at + rng.randint(1, 9)]
        elif kind == 3:
            text[at:at] = text[at : at + rng.randint(1, 99)]
        elif rng.random() < 0.2:
            del text[at:]
        else:
            text[at : at + 1] = rng.choice([b'"', b"{", b"}", b"[", b"]", b",", b":", b"0", b"-"])
    return bytes(text)


def changed_file(rng, header, numbers):
    text = json.dumps(header).encode()
    length = None
    kind = rng.randrange(4)
    if kind == 0:
        text = changed_bytes(rng, text)
    elif kind == 1:
        text = json.dumps(changed_value(rng, header)).encode()
    elif kind == 2:
        length = rng.choice([*LENGTHS, len(text) + rng.randint(-9, 9), len(text) + len(numbers)])
    else:
        numbers = numbers[: rng.randrange(len(numbers))] if rng.random() < 0.5 else numbers + b"xx"
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


def changed_index(rng, index, outside):
    index = json.loads(json.dumps(index))
    places = index["weight_map"]
    name = rng.choice(list(places))
    kind = rng.randrange(6)
    if kind == 0:
        return changed_bytes(rng, json.dumps(index).encode())
    if kind == 1:
        places[name] = rng.choice(PATHS).format(outside=outside)
    elif kind == 2:
        for key in places:
            places[key] = rng.choice([places[key], rng.choice(PATHS).format(outside=outside)])
    elif kind == 3:
        places[name] = rng.choice(JUNK)
    elif kind == 4:
        places[rng.choice(["", "x", "lm_head.weight", rng.choice(PATHS)])] = places.pop(name)
    else:
        index[rng.choice(["weight_map", "metadata"])] = rng.choice(JUNK)
    return json.dumps(index).encode()


def outcome(folder):
    """How loading ends: "loaded", or the kind of error; anything but minilm's own is a failure."""
    try:
        model = AutoModelForCausalLM.from_pretrained(folder)
    except MinilmError as error:
        assert len(str(error)) < 2000
        return type(error).__name__
    with torch.no_grad():
        model(torch.tensor([[1, 2, 3]]))  # it is whole
    return "loaded"


def strangers(opened, *folders):
    """What was opened that is no business of loading, which is the model's folder and what is in it."""
    own = {str(folder) for folder in folders}  # opened itself to be locked
    inside = tuple(f"{folder}{os.sep}" for folder in folders)
    code = (".py", ".pyc", ".so", ".pyi")
    return {
        path
        for path in opened
        if path not in own
        and not path.startswith(inside)
        and not path.endswith(code)
        and "site-packages" not in path
    }


def test_a_thousand_headers(folder, opened, safetensors_header):
    rng = random.Random(2024)
    path = folder / "whole" / "model.safetensors"
    header, numbers = safetensors_header(path)
    outcome(folder / "whole")
    opened.clear()
    found = Counter()
    for _ in range(MUTATIONS):
        path.write_bytes(changed_file(rng, header, numbers))
        found[outcome(folder / "whole")] += 1
    assert not strangers(opened, folder / "whole")
    assert set(found) == {"FileProblem", "InvalidInput", "loaded"}
    assert found["loaded"] < MUTATIONS / 4


def test_a_thousand_indexes(folder, opened):
    rng = random.Random(4202)
    shards = folder / "shards"
    path = shards / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    (shards / "link.safetensors").symlink_to(shards / index["weight_map"]["model.norm.weight"])
    outcome(shards)
    opened.clear()
    found = Counter()
    for _ in range(MUTATIONS):
        path.write_bytes(changed_index(rng, index, folder / "outside"))
        found[outcome(shards)] += 1
    assert not strangers(opened, shards)
    assert set(found) == {"FileProblem", "loaded"}
    assert found["loaded"] < MUTATIONS / 2


def test_the_watch_sees_what_is_opened(folder, opened):
    """The traps of the two tests above work."""
    import safetensors

    secret = folder / "outside" / "secret.safetensors"
    safetensors.safe_open(str(secret), framework="pt")
    assert strangers(opened, folder / "whole") == {str(secret)}
    opened.clear()
    Path(secret).read_bytes()
    assert strangers(opened, folder / "whole") == {str(secret)}
