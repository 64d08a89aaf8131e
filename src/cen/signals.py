"""Signals that end a program: Ctrl-C, SIGTERM of a job scheduler, SIGHUP of a closed terminal."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a program to end; each is heard alike."""
_GRACE = 60
"""Seconds that a helper process stays after SIGTERM, should nobody tell it to end before."""


class Ending:
    """Which signals have been heard while :func:`ending_raises` was listening."""

    def __init__(self) -> None:
        self.heard: signal.Signals | None = None

    def __str__(self) -> str:
        """The words of a message."""
        return f"ended by {self.heard.name}" if self.heard not in (None, signal.SIGINT) else ""


@contextmanager
def ending_raises() -> Iterator[Ending]:
    """Lets every signal that ends a program raise KeyboardInterrupt, as Ctrl-C does.

    Signals that whoever started the program had ignored (``nohup``) stay ignored, and elsewhere
    than in the main thread nothing changes. Helper processes that are forked meanwhile leave it to
    this one to decide.

    Yields:
        What was heard: an exception may get lost (in a destructor, say), this does not.
    """
    ending = Ending()

    def hear(number: int, frame: FrameType | None) -> None:
        ending.heard = signal.Signals(number)
        raise KeyboardInterrupt(str(ending))

    with listening(hear):
        yield ending


@contextmanager
def listening(hear: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Calls ``hear`` for every signal that ends a program, in the main thread; else does nothing.

    A signal that is ignored stays so, except Ctrl-C. A process that is forked meanwhile is a
    helper, see :func:`helper_hears`.
    """
    owner = os.getpid()

    def heard(number: int, frame: FrameType | None) -> None:
        (hear if os.getpid() == owner else helper_hears)(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in ENDING}
    ignored = {n for n, how in former.items() if how == signal.SIG_IGN and n != signal.SIGINT}
    try:
        for number in former.keys() - ignored:
            signal.signal(number, heard)
        yield
    finally:
        for number in former.keys() - ignored:
            signal.signal(number, former[number])


def helper_hears(number: int, frame: FrameType | None = None) -> None:
    """What a process that works for another one does with a signal sent to the whole group.

    The other one decides when to end and tells its helpers. Should it not, they end by themselves.
    """
    if number == signal.SIGTERM:
        signal.alarm(_GRACE)


def leave_signals_to_parent() -> None:
    """Makes this process such a helper; see :func:`helper_hears`."""
    for number in ENDING:
        signal.signal(number, helper_hears)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def end_helpers() -> None:
    """Ends the helpers that are still there when a program ends (for ``atexit``).

    A loop that was left by a signal keeps its processes; Python then asks them by SIGTERM to end,
    which they leave to their parent, and would wait for them until their grace is over.
    """
    if threading.current_thread() is threading.main_thread():
        # Torch tells of a reading process that was killed; here that is what is meant.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


@contextmanager
def held_back() -> Iterator[None]:
    """Holds signals back meanwhile; processes that are started inherit that.

    They let them in by :func:`leave_signals_to_parent`, and so never print the traceback of a
    Ctrl-C that came while they were importing.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
