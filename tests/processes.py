"""Processes of a test: forked from it, so that none has to import PyTorch once more."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import torch

from cen import cli


def side_by_side(work: Callable[..., None], *arguments: object, count: int = 2) -> None:
    """Runs ``work(rank, *arguments)`` in forked processes at the same time; each ends well."""
    fork = multiprocessing.get_context("fork")
    running = [fork.Process(target=_work, args=(work, rank, *arguments)) for rank in range(count)]
    for process in running:
        process.start()
    for process in running:
        process.join(200)
        if process.is_alive():
            process.kill()
    assert [process.exitcode for process in running] == [0] * count


def _work(work: Callable[..., None], rank: int, *arguments: object) -> None:
    torch.set_num_threads(1)  # the threads of the process that was forked are not there
    work(rank, *arguments)


class ForkedCommand:
    """``python -m cen WORDS`` as a forked process; what :class:`subprocess.Popen` has of it.

    It has its own environment, output and group of processes, and signals end it as they would end
    the command started by its name.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdout: IO[Any],
        stderr: IO[Any],
        env: Mapping[str, str] | None = None,
        start_new_session: bool = False,
        stdin: int | None = None,
    ) -> None:
        assert list(command[:3]) == [sys.executable, "-m", "cen"]
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                if start_new_session:
                    os.setsid()
                os.dup2(stdout.fileno(), 1)
                os.dup2(stderr.fileno(), 2)
                os.environ.update(env or {})
                code = _main(command[3:])
            finally:
                os._exit(code)

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = 200.0) -> int:
        """The exit code, once it has ended."""
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                self.send_signal(signal.SIGKILL)
                raise TimeoutError(f"still there after {timeout} s")
            time.sleep(0.02)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _main(words: Sequence[str]) -> int:
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    torch.set_num_threads(1)  # the threads of the process that was forked are not there
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return cli.main(list(words))
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
