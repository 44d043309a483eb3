"""What every test run shares, also `pytest --nbval solutions` and `pytest --nbval-lax lessons`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent


def pytest_configure(config: pytest.Config) -> None:
    """Tests see no desk of whoever runs them, and no network."""
    if getattr(config.option, "nbval_sanitize_with", "no nbval") is None:
        config.option.nbval_sanitize_with = str(ROOT / "tests" / "notebooks" / "nbval.txt")
    # No desk, also for the kernels that nbval starts: on a shared one, the answers of a solution
    # would greet the next.
    os.environ["MINILM_DESK"] = os.devnull
    os.environ["MINILM_STATIC"] = "1"
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # says it on stderr after a fork otherwise
    os.environ.pop("NBGRADER_EXECUTION", None)
    _settle_hypothesis()


def _settle_hypothesis() -> None:
    """The same examples on every run and no deadline: a slow machine fails nobody.

    HYPOTHESIS_PROFILE=explore looks for new examples instead.
    """
    try:
        from hypothesis import HealthCheck, settings
    except ImportError:
        return
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=slow)
    settings.register_profile("explore", deadline=None, suppress_health_check=slow)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
