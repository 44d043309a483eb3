"""Running somebody's code quietly, for a limited time and in limited memory."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

# How much the process may grow while a function runs. An endless loop that appends would otherwise
# take the whole machine down before its time is up.
MOST_MEMORY = 1_500_000_000
# Waiting (for input, a lock, a slow disk) is allowed this many times the limit of processor time,
# so that a busy machine accuses nobody.
PATIENCE = 6
# Text that a function prints is kept up to here.
MOST_PRINTED = 20_000
_TICK = 0.1


class OutOfTime(BaseException):
    """The time limit is over. Not an `Exception`, so that `except Exception` cannot swallow it."""


class OutOfMemory(BaseException):
    """The process has grown by more than `MOST_MEMORY`."""


class _Kept(io.TextIOBase):
    """A text stream that remembers the beginning of what is written and drops the rest.

    Once released it writes to the stream it stood for: a library that is imported meanwhile may
    hold it for good, as transformers' logging does.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.parts: list[str] = []
        self.length = 0
        self.released = False

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if self.released:
            stream = getattr(sys, self.name)
            return len(text) if stream is self else stream.write(text)
        if self.length < MOST_PRINTED:
            self.parts.append(text[: MOST_PRINTED - self.length])
            self.length += len(text)
        return len(text)

    def flush(self) -> None:
        stream = getattr(sys, self.name)
        if self.released and stream is not self:
            stream.flush()

    def text(self) -> str:
        return "".join(self.parts)


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what libraries write to the process's standard error, past Python's `sys.stderr`."""
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _same_luck() -> Iterator[None]:
    """Fixed random numbers inside, the caller's own sequence undisturbed afterwards."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    states = (
        random.getstate(),
        numpy.random.get_state() if numpy else None,
        torch.get_rng_state() if torch else None,
    )
    random.seed(0)
    if numpy:
        numpy.random.seed(0)
    if torch:
        torch.default_generator.manual_seed(0)  # torch.manual_seed wakes every device, slowly
    try:
        yield
    finally:
        random.setstate(states[0])
        if numpy:
            numpy.random.set_state(states[1])
        if torch:
            torch.set_rng_state(states[2])


@contextlib.contextmanager
def quiet() -> Iterator[_Kept]:
    """Keep what is printed, drop everything meant for stderr: warnings, logs, progress bars.

    Yields the stream of what was printed. A grader takes any word on stderr for a failure.
    """
    printed, complaints = _Kept("stdout"), _Kept("stderr")
    disabled = logging.root.manager.disable
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(complaints),
        _silent_stderr(),
        warnings.catch_warnings(),
        _same_luck(),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield printed
        finally:
            logging.disable(disabled)
            printed.released = complaints.released = True


def _memory() -> int:
    """The bytes of memory this process holds."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes where there is no /proc


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` or `OutOfMemory` inside the block when it takes too much.

    seconds: of processor time; six times as many on the clock
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    by_signal = in_main_thread and hasattr(signal, "setitimer")
    with _by_signal(seconds) if by_signal else _by_thread(seconds):
        yield


@contextlib.contextmanager
def _by_signal(seconds: float) -> Iterator[None]:
    active = True
    processor, clock, memory = time.thread_time(), time.monotonic(), _memory()

    def look(number: int, frame: Any) -> None:
        # Raised again at every tick: a bare `except:` may swallow the first.
        if not active:
            return
        if _memory() - memory > MOST_MEMORY:
            raise OutOfMemory
        waited = time.monotonic() - clock
        if time.thread_time() - processor > seconds or waited > PATIENCE * seconds:
            raise OutOfTime

    previous = signal.signal(signal.SIGALRM, look)
    others = signal.setitimer(signal.ITIMER_REAL, _TICK, _TICK)
    try:
        yield
    finally:
        active = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        if previous is not None:  # None: a handler that was not set from Python
            signal.signal(signal.SIGALRM, previous)
        if others[0]:
            left = max(others[0] - (time.monotonic() - clock), _TICK)
            signal.setitimer(signal.ITIMER_REAL, left, others[1])


@contextlib.contextmanager
def _by_thread(seconds: float) -> Iterator[None]:
    """For threads and systems without interval timers: another thread throws the exception in."""
    me, clock, memory = threading.get_ident(), time.monotonic(), _memory()
    over = threading.Event()
    guard = threading.Lock()

    def throw(kind: type[BaseException] | None) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(me), ctypes.py_object(kind) if kind else None
        )

    def watch() -> None:
        while not over.wait(_TICK):
            kind: type[BaseException] | None = None
            if _memory() - memory > MOST_MEMORY:
                kind = OutOfMemory
            elif time.monotonic() - clock > PATIENCE / 2 * seconds:
                kind = OutOfTime
            with guard:
                if kind and not over.is_set():
                    throw(kind)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        with guard:
            over.set()
            throw(None)  # one that is on its way must not land after the block
        watcher.join()
