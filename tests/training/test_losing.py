"""What a process says when another one is lost."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest
import torch.distributed

from minilm.errors import InvalidInput, MinilmError, ProcessLost
from minilm.training import losing

GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer"


def listening() -> Any:
    return losing.listening(1, 2, lambda: "'checkpoint-4' is whole.")


def test_a_broken_connection_is_one_clear_error_said_at_once(capsys: Any) -> None:
    with pytest.raises(ProcessLost, match=r"stops: .*'checkpoint-4' is whole"), listening():
        raise RuntimeError(GLOO)
    assert capsys.readouterr().err.count("Process 1 of 2 stops") == 1
    assert issubclass(ProcessLost, MinilmError)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError(GLOO)])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, listening():
        raise error
    assert raised.value is error


def test_weights_that_are_not_used_are_explained() -> None:
    said = "Expected to have finished reduction in the prior iteration before starting a new one."
    with pytest.raises(InvalidInput, match="ddp_find_unused_parameters=True"), listening():
        raise RuntimeError(said)


def test_a_process_that_torchrun_ends_says_so_and_listens_no_longer(capsys: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ProcessLost, match="told to end"), listening():
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass
    assert signal.getsignal(signal.SIGTERM) is before
    assert "'checkpoint-4' is whole" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rank", "error", "heard"),
    [
        (0, InvalidInput("wrong"), "in full"),
        (1, InvalidInput("wrong"), "Process 1 of 2: InvalidInput: wrong"),
        (1, ZeroDivisionError("wrong"), "in full"),
        (0, losing.told_elsewhere(InvalidInput("wrong")), ""),
        (0, KeyboardInterrupt("saved"), "saved"),
        (0, KeyboardInterrupt(), "Interrupted."),
        (1, KeyboardInterrupt("saved"), ""),
    ],
)
def test_an_error_of_all_is_shown_in_full_by_one(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, rank: int, error: BaseException, heard: str
) -> None:
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(sys, "excepthook", lambda *what: print("in full", file=sys.stderr))
    losing.speak_once()
    sys.excepthook(type(error), error, None)
    assert capsys.readouterr().err.strip() == heard
