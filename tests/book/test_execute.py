"""Only outputs that are the same on every machine are stored; the others are refused or dropped."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import nbformat
import pytest

# What a cell does → (its code, words of the refusal).
REFUSED = {
    "fails": ("x = 1\n1 / 0", "ZeroDivisionError: division by zero"),
    "warns": ("import warnings\nwarnings.warn('old')", "writes to stderr"),
    "writes to stderr": ("import sys\nprint('hm', file=sys.stderr)", "writes to stderr\nhm"),
    "prints an address": ("print(object())", "memory address"),
    "shows an address": ("[object()]", "memory address"),
    "prints where it is": ("import os\nprint(os.getcwd())", "a path of this machine"),
    "prints where the reader lives": (
        "from pathlib import Path\nprint(Path.home() / 'x')", "a path of this machine"),
    "ends the kernel": ("import os\nos._exit(1)", "ends the kernel"),
    "takes too long": ("import time\ntime.sleep(30)", "runs longer than 3 s"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_cell_is_refused_that(what, fresh_book, capsys, monkeypatch):
    import builder.execute

    monkeypatch.setattr(builder.execute, "SECONDS_PER_CELL", 3 if "long" in what else 60)
    code, words = REFUSED[what]
    fresh_book.write("00_sums", f"---\ntitle: T\n---\n\nFirst.\n\n```{{code-cell}}\n{code}\n```\n")
    assert fresh_book.run("00") == 1
    said = capsys.readouterr().out
    assert "00_sums.md, line 7: " in said
    assert words in said
    assert fresh_book.bytes() == {}


CELLS = """\
---
title: Outputs
---

## Streams

```{code-cell}
import sys, time
for part in ("one ", "two ", "three"):
    print(part, end="", flush=True)
    time.sleep(0.3)
```

## Errors

```{code-cell}
:tags: [raises-exception]
raise ValueError("on purpose")
```

## Widgets

```{code-cell}
import ipywidgets
from IPython.display import display
display(ipywidgets.IntSlider())
print("static")
```

## Pictures

```{code-cell}
import base64
from IPython.display import Image
Image(base64.b64decode("PNG_WITH_NOTES"))
```

## Results

```{code-cell}
2 + 2
```

## Varying

```{code-cell}
:tags: [varies]
print(time.time(), object())
```
"""


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def png(*notes: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(notes) + data + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def outputs(builder, tmp_path_factory) -> dict[str, nbformat.NotebookNode]:
    root: Path = tmp_path_factory.mktemp("outputs")
    notes = [chunk(b"tEXt", b"Software\0drawn today"), chunk(b"tIME", b"\7\xea\1\1\0\0\0")]
    encoded = base64.b64encode(png(*notes)).decode()
    (root / "book").mkdir()
    (root / "book" / "00_outputs.md").write_text(CELLS.replace("PNG_WITH_NOTES", encoded))
    places = [f"--{name}={root / name}" for name in ("book", "lessons", "solutions")]
    assert builder.main([f"--root={root}", *places]) == 0
    notebook = nbformat.read(root / "solutions" / "00_outputs.ipynb", as_version=4)
    assert "widgets" not in notebook.metadata
    assert [c.execution_count for c in notebook.cells if c.cell_type == "code"] == list(range(1, 7))
    return {cell["id"]: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def test_a_stream_is_one_piece_however_it_was_cut(outputs):
    assert [one.text for one in outputs["streams-2"]] == ["one two three"]


def test_an_error_on_purpose_keeps_its_words_and_no_path(outputs):
    (error,) = outputs["errors-2"]
    assert error.traceback == ["ValueError: on purpose"]


def test_a_widget_is_dropped_and_what_stands_beside_it_stays(outputs):
    assert [one.get("text") for one in outputs["widgets-2"]] == ["static\n"]


def test_a_picture_keeps_its_pixels_and_no_notes(outputs):
    stored = base64.b64decode(outputs["pictures-2"][0].data["image/png"])
    assert stored == png()


def test_a_result_counts_as_its_cell_does(outputs):
    assert outputs["results-2"][0].execution_count == 5
    assert outputs["results-2"][0].data["text/plain"] == "4"


def test_a_varying_output_is_one_fixed_sentence(outputs):
    assert "depends on your machine" in outputs["varying-2"][0].text
