"""Code that never ends, asks for everything or talks too much does not take the lesson along."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Any

import pytest

from minilm.check import limits
from minilm.check.limits import OutOfMemory, OutOfTime, limited, quiet


def spin() -> None:
    while True:
        pass


def spin_and_swallow() -> None:
    while True:
        try:
            while True:
                pass
        except Exception:
            pass


def spin_and_swallow_all(times: list[int]) -> None:
    while len(times) < 3:
        try:
            while True:
                pass
        except:  # noqa: E722
            times.append(1)
    while True:
        pass


@pytest.mark.parametrize("endless", [spin, spin_and_swallow, lambda: spin_and_swallow_all([])])
def test_an_endless_loop_is_ended(endless: Any) -> None:
    with pytest.raises(OutOfTime), limited(0.15):
        endless()


def test_waiting_for_ever_is_ended_too() -> None:
    with pytest.raises(OutOfTime), limited(0.05):
        threading.Event().wait()


def test_a_short_wait_costs_no_processor_time() -> None:
    with limited(0.1):
        time.sleep(0.3)


def test_an_endless_loop_is_ended_in_another_thread() -> None:
    ended: list[str] = []

    def work() -> None:
        try:
            with limited(0.1):
                spin()
        except OutOfTime:
            ended.append("out of time")
        ended.append("went on")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(30)
    assert ended == ["out of time", "went on"]


def test_what_grows_without_bound_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_MEMORY", 50_000_000)
    hoard: list[bytes] = []
    with pytest.raises(OutOfMemory), limited(20):
        while True:
            hoard.append(b"x" * 1_000_000)
    hoard.clear()


def test_the_callers_alarm_is_given_back() -> None:
    rang: list[int] = []
    previous = signal.signal(signal.SIGALRM, lambda number, frame: rang.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with limited(5):
            pass
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
        end = time.monotonic() + 10
        while not rang and time.monotonic() < end:
            pass
        assert rang == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_nothing_rings_after_the_block() -> None:
    with limited(0.05):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_quiet_keeps_the_beginning_of_what_is_printed(capfd: Any) -> None:
    with quiet() as printed:
        print("first")
        print("x" * 10**6)
        print("last")
    assert printed.text().startswith("first\nxxx")
    assert len(printed.text()) <= limits.MOST_PRINTED
    assert capfd.readouterr() == ("", "")


def test_quiet_gives_everything_back_after_an_error(capfd: Any) -> None:
    before = (sys.stdout, sys.stderr)
    with pytest.raises(ZeroDivisionError), quiet():
        _ = 1 / 0
    assert (sys.stdout, sys.stderr) == before
    print("out")
    print("err", file=sys.stderr)
    assert capfd.readouterr() == ("out\n", "err\n")


def test_quiet_silences_loggers_that_write_elsewhere() -> None:
    import io
    import logging

    heard = io.StringIO()
    logger, handler = logging.getLogger("minilm_toys"), logging.StreamHandler(heard)
    logger.addHandler(handler)
    try:
        with quiet():
            logger.error("not heard")
        logger.error("heard")
    finally:
        logger.removeHandler(handler)
    assert heard.getvalue() == "heard\n"


def test_a_warning_is_no_error_where_the_reader_made_warnings_errors() -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet():
            warnings.warn("careful", stacklevel=1)
        with pytest.raises(UserWarning):
            warnings.warn("careful", stacklevel=1)


def test_a_stream_that_a_library_holds_works_again_afterwards(capfd: Any) -> None:
    import logging

    with quiet() as printed:
        handler = logging.StreamHandler()  # binds sys.stderr, as a library's import does
        out = sys.stdout
        handler.emit(logging.makeLogRecord({"msg": "not heard"}))
    handler.emit(logging.makeLogRecord({"msg": "heard"}))
    out.write("said\n")
    out.flush()
    with quiet():
        handler.emit(logging.makeLogRecord({"msg": "not heard either"}))
    assert capfd.readouterr() == ("said\n", "heard\n")
    assert printed.text() == ""


def test_quiet_works_where_stderr_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(descriptor: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(limits.os, "dup", closed)
    with quiet():
        pass
