"""Training that is killed at any moment goes on as if nothing had happened.

MINILM_KILLS says how often a process is killed; three times unless given, to be quick.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("training_and_dying.py")
KILLS = int(os.environ.get("MINILM_KILLS", "3"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process")
def test_a_killed_run_gives_the_same_weights_and_its_newest_checkpoint_always_loads(
    tmp_path: Path,
) -> None:
    result = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), str(KILLS), "0"],
        capture_output=True,
        text=True,
        timeout=600 + 60 * KILLS,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    killed = re.search(r"killed (\d+), finished (\d+)", result.stdout)
    assert killed is not None, result.stdout
    assert int(killed[1]) == KILLS and int(killed[2]) >= 1
