"""What the others do when one of several processes is lost: stop, and say so once."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from minilm.errors import InvalidInput, MinilmError, ProcessLost

Raised = TypeVar("Raised", bound=Exception)

# What gloo and nccl say when nobody is at the other end any more.
_SIGNS = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "broken pipe")


@contextlib.contextmanager
def listening(rank: int, size: int, advice: Callable[[], str]) -> Iterator[None]:
    """Turn the loss of another process into one clear error, said at once.

    rank, size: of this process, among how many    advice: what to do then

    A process notices in one of two ways: what it waits for breaks off, or torchrun tells it to end,
    because torchrun has noticed.

    Raises ProcessLost; InvalidInput if what breaks off is a model of which parts are not used.
    """
    ending = False

    def lost(why: str) -> ProcessLost:
        nonlocal ending
        ending = True
        error = ProcessLost(f"Process {rank} of {size} stops: {why}. {advice()}")
        # Said here and now, for torchrun may end this process before its error is shown.
        print(f"\n{error}", file=sys.stderr, flush=True)
        return told_elsewhere(error)

    def told_to_end(number: int, frame: Any) -> None:
        if not ending:
            raise lost("it was told to end, as torchrun does when another process has ended")

    listens = threading.current_thread() is threading.main_thread()
    before: Any = signal.getsignal(signal.SIGTERM) if listens else None
    if before is not None:
        signal.signal(signal.SIGTERM, told_to_end)
    try:
        yield
    except ProcessLost:
        raise
    except RuntimeError as error:
        if "finished reduction in the prior iteration" in str(error):
            raise InvalidInput(
                "A step left some weights without a gradient, and the processes wait for one. Give "
                "ddp_find_unused_parameters=True, or set requires_grad=False for these weights."
            ) from None
        if not any(sign in str(error).lower() for sign in _SIGNS):
            raise
        raise lost("another process has ended, or does not answer") from None
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def told_elsewhere(error: Raised) -> Raised:
    """Mark an error that is said already, here or by another process, and return it.

    error: to be raised
    """
    error.said = True  # type: ignore[attr-defined]
    return error


def speak_once() -> None:
    """Let an error that several processes have end all of them, and be shown in full by one.

    Ctrl-C, which reaches all, is shown by nobody but the main process, and without a traceback.
    """
    import torch.distributed as dist

    shown = sys.excepthook
    rank, size = dist.get_rank(), dist.get_world_size()

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if getattr(error, "said", False):
            return
        if isinstance(error, KeyboardInterrupt):
            if rank == 0:
                print(f"\n{str(error) or 'Interrupted.'}", file=sys.stderr, flush=True)
        elif isinstance(error, MinilmError) and rank:
            said = f"\nProcess {rank} of {size}: {kind.__name__}: {error}"
            print(said, file=sys.stderr, flush=True)
        else:
            shown(kind, error, trace)

    sys.excepthook = show
