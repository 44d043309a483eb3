"""The package's names: all there, found anew each time, and light to import."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from minilm import positions

WRITTEN_BY_READERS = {
    "position_ids_from_mask",
    "sinusoid_table",
    "rotary_frequencies",
    "rotary_cos_sin",
    "rotate_half",
    "apply_rotary_pos_emb",
    "relative_position_bucket",
    "alibi_slopes",
}


@pytest.mark.parametrize("name", sorted(positions.__all__))
def test_every_name_is_found_and_found_anew(name, monkeypatch):
    home = import_module(f"minilm.positions.{positions._HOMES[name]}")
    assert getattr(positions, name) is getattr(home, name)
    monkeypatch.setattr(home, name, "a reader's")
    assert getattr(positions, name) == "a reader's"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"minilm\.positions.*no attribute 'rope'"):
        _ = positions.rope
    assert dir(positions) == sorted(positions.__all__)


def test_importing_the_package_loads_no_torch():
    script = "import sys, minilm.positions; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", sorted(WRITTEN_BY_READERS))
def test_what_readers_write_fits_on_the_screen(name):
    source = inspect.getsource(getattr(positions, name))
    body = source[source.rindex('"""') + 4 :]
    assert len(source.splitlines()) <= 25
    assert len(body.splitlines()) <= 15
