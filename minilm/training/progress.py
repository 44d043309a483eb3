"""What a run shows while it runs: a bar in a terminal."""

from __future__ import annotations

import math
import os
import sys
import time
from typing import Any

from minilm.training.callbacks import TrainerCallback

# How often a bar that goes into a file, and not to a screen, is written anew.
SECONDS_IN_A_FILE = 60.0


class Speed:
    """Measure tokens per second since a run began or went on."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.tokens = 0

    def start(self, tokens: int) -> None:
        """Begin to measure.

        tokens: seen before
        """
        self.began, self.tokens = time.perf_counter(), tokens

    def per_second(self, tokens: int) -> float:
        """Tokens per second so far.

        tokens: seen by now
        """
        return (tokens - self.tokens) / max(time.perf_counter() - self.began, 1e-9)


class ProgressBar(TrainerCallback):
    """Show a bar with the loss, tokens per second and the time that is left."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.speed = Speed()
        self.loss = ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Begin the bar where the run begins, or goes on."""
        if not state.is_world_process_zero:
            return
        from tqdm import tqdm

        seen = sys.stderr.isatty()
        self.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            unit="step",
            dynamic_ncols=seen,
            mininterval=0.2 if seen else SECONDS_IN_A_FILE,
        )
        self.speed.start(state.num_input_tokens_seen)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Move the bar."""
        if self.bar is not None:
            speed = self.speed.per_second(state.num_input_tokens_seen)
            self.bar.set_postfix_str(f"{self.loss}{speed:,.0f} tokens/s", refresh=False)
            self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> Any:
        """Write a line above the bar."""
        if self.bar is not None and logs:
            if "loss" in logs:
                self.loss = f"loss {logs['loss']:.4f}, "
            self.bar.write(log_line(state.global_step, logs), file=sys.stdout)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def log_line(step: int, logs: dict[str, Any]) -> str:
    """Write what was measured as a line to be read.

    step: at which    logs: name → figure
    """
    shown = {
        name: value
        for name, value in logs.items()
        if name not in ("total_flos", "epoch") and isinstance(value, int | float)
    }
    parts = [f"{name.replace('_', ' ')} {_figure(value)}" for name, value in shown.items()]
    return " · ".join([f"step {step}", *parts])


def _figure(value: float) -> str:
    if isinstance(value, float) and math.isfinite(value) and value != 0:
        return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"
    return str(value)


def progress_shown() -> list[TrainerCallback]:
    """Choose what shows how far training is: a curve on a page of a notebook, a bar elsewhere."""
    if not in_notebook():
        return [ProgressBar()]
    from minilm.training.curve import LiveCurve

    return [LiveCurve()]


def in_notebook() -> bool:
    """Whether output goes to a page of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def is_static() -> bool:
    """Whether pages are being made that are to be the same each time."""
    return os.environ.get("MINILM_STATIC") == "1"
