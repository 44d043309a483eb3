"""Ctrl-C during training: finish the step, leave a checkpoint, then stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Stopped(Exception):
    """An evaluation was left because of a Ctrl-C; what follows a step saves, and stops the run."""


class Interruption:
    """Note a Ctrl-C while a `with` block runs; the second one interrupts at once.

    speaks: whether to say so, as one of several processes does    asked: whether there was one
    """

    def __init__(self, speaks: bool = True) -> None:
        self.speaks = speaks
        self.asked = False
        self.before: Any = None

    def __enter__(self) -> Interruption:
        # Python lets only the main thread listen to signals.
        if threading.current_thread() is threading.main_thread():
            self.before = signal.getsignal(signal.SIGINT)
            if self.before is not None:
                signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self.speaks:
            print(
                "\nFinishing this step, then saving. Interrupt again to stop at once.", flush=True
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)
            self.before = None
