"""How the processes of a run end together, and tell why once.

torchrun and srun end all processes as soon as one of them has failed, but torchrun without
``--rdzv_backend`` those of its own machine alone. The processes therefore also look into the store
by which they have met.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from torch import distributed

from cen.errors import TrainingError
from cen.launch import launched, of_several

_TELLING = 2.0
"""Seconds in which the process that has failed tells why, before another one tells of its end."""
_MEETING = 3.0
"""Seconds in which a store answers, where there is one."""
_LOOK = 0.5
"""Seconds from one look at the other processes to the next."""
GRACE = 10.0
"""Seconds in which a process notices by itself that another one has ended: most calls to it fail
at once, but some (the first meeting of all) wait for half an hour."""


class OtherEndedError(TrainingError):
    """Another process ended, which may have told why."""


@contextmanager
def watching(gone: Callable[[], bool], leave: Callable[[], None]) -> Iterator[None]:
    """Leaves this process where another one has gone and this one does not notice by itself.

    Args:
        gone: Whether another process has.
        leave: Called in a thread of its own, because the process is stuck in a call; ends it.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK):
            if gone() and not over.wait(GRACE):
                leave()

    threading.Thread(target=watch, daemon=True, name="watch over processes").start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def ended_together(
    said: str, of_others: Callable[[BaseException], bool], last_act: Callable[[bool], object] | None
) -> Iterator[None]:
    """Ends this process where another one has told why it failed.

    Args:
        said: What is said where nobody has told.
        of_others: Whether an exception is one of talking to another process.
        last_act: Called with False before the process is ended because it is stuck in a call.

    Raises:
        OtherEndedError: Talking to another process failed.
    """
    store = None

    def failed() -> bool:
        nonlocal store
        store = store or _store()
        return _has_told(store)

    def leave() -> None:
        try:
            if last_act is not None:
                last_act(False)
        finally:
            os._exit(2)

    try:
        with watching(failed, leave):
            yield
    except Exception as error:
        if not of_others(error):
            raise
        raise OtherEndedError(said) from error


def tells(error: Exception) -> bool:
    """Whether this process is to tell of an error: all may have met the same one.

    Before there is a store, or when it is gone, the first process of each machine tells: what is
    wrong may be so on one alone. Of processes that Lightning started each does then, as the first
    one checked what all of them would find.
    """
    if not of_several():
        return True
    launch = launched()
    by_itself = launch is None or launch.local == 0
    if isinstance(error, OtherEndedError):
        with suppress(KeyboardInterrupt):  # torchrun and srun end all others meanwhile
            time.sleep(_TELLING)
    store = _store()
    try:
        return by_itself if store is None else int(store.add(_key(), 1)) == 1
    except RuntimeError:
        return by_itself


def told() -> bool:
    """Whether a process has told of an error, as far as this one can learn it."""
    return _has_told(_store())


def _has_told(store: distributed.TCPStore | None) -> bool:  # type: ignore[name-defined]
    try:
        return store is not None and bool(store.check([_key()]))
    except RuntimeError:  # it has gone with the process that kept it
        return False


def _key() -> str:
    """Another one where torchrun starts all processes again."""
    return f"cen failed {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def _store() -> distributed.TCPStore | None:  # type: ignore[name-defined]
    """That by which the processes meet; None while or where there is none."""
    place, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT", "")
    wait = timedelta(seconds=_MEETING)
    try:
        return distributed.TCPStore(place or "", int(port), timeout=wait)  # type: ignore[attr-defined]
    except (ValueError, RuntimeError):
        return None
