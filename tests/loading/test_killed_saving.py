"""A process that is killed while it saves leaves the old checkpoint or the new one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("saving_and_dying.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_old_or_new_whenever_it_is_killed(tmp_path, transformers):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), "5", "transformers"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert len(report.pop("any moment")) == 25
    for what, found in report.items():
        # Up to some step the old one, from then on the new one.
        switch = found.index("new")
        assert found == ["old"] * switch + ["new"] * (len(found) - switch), what
        assert switch > 5, what
        assert len(found) - switch > 5, what
