"""Runs the commands of a study, several at a time, each on its own, here or elsewhere."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Literal

from cen.errors import CenError
from cen.signals import listening
from cen.studies.grid import Run
from cen.studies.launchers import Launch, Work, launch_here
from cen.studies.resources import Slot
from cen.studies.run_store import Store

_POLL = 0.2
_RETRY = 5.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended; where it failed with the end of its log, and the log."""

    run: Run
    status: Literal["done", "failed", "stopped"]
    message: str = ""
    log: Path | None = None


@dataclass
class _Job:
    """A run that is being worked on."""

    run: Run
    slot: Slot
    held: ExitStack
    process: Work | None = None
    verb: str = ""
    started: float = 0.0
    tried: set[str] = field(default_factory=set)


class Scheduler:
    """Brings every run of a list to its end; of several with one hash, one is made.

    What is to be done with a run follows from its folder alone (:meth:`Store.command`), so that
    finished runs cost nothing, and interrupted ones go on. A run that fails does not stop the
    others. A run that another process works on is waited for. ``ended`` is called with each
    outcome as it comes, ``looked`` a few times a second with the runs that are at work. ``launch``
    says where commands run.
    """

    def __init__(
        self,
        store: Store,
        runs: Sequence[Run],
        slots: Sequence[Slot],
        ended: Callable[[Outcome], object] = lambda outcome: None,
        looked: Callable[[list[Run]], object] = lambda active: None,
        launch: Launch = launch_here,
    ) -> None:
        self.store, self.ended, self.looked, self.launch = store, ended, looked, launch
        self.outcomes: list[Outcome] = []
        self._waiting = list({run.hash: run for run in runs}.values())
        self._elsewhere: list[tuple[float, Run]] = []
        self._free = list(slots)
        self._jobs: list[_Job] = []
        self._stops = self._passed_on = 0

    def run(self) -> list[Outcome]:
        """Works until every run is done or has failed; an outcome per hash, as they ended.

        Raises:
            KeyboardInterrupt: The user stopped the study; the runs at work were saved and can be
                resumed by the same command.
        """
        with listening(self._hear):
            try:
                while self._waiting or self._jobs or self._elsewhere:
                    if self._stops:
                        self._stop()
                    else:
                        self._fill()
                    self.looked([job.run for job in self._jobs])
                    time.sleep(_POLL)
                    for job in list(self._jobs):
                        self._look(job)
            finally:
                for job in self._jobs:  # an error of this program: leave nothing behind
                    if job.process is not None:
                        job.process.send_signal(signal.SIGINT)
                        job.process.wait()
                    job.held.close()
        if self._stops:
            stopped = sum(outcome.status == "stopped" for outcome in self.outcomes)
            raise KeyboardInterrupt(
                f"study stopped, {stopped} runs are saved as far as they got; the same command "
                f"goes on with them"
            )
        return self.outcomes

    def _fill(self) -> None:
        """Gives free slots to waiting runs; runs that others work on come back later."""
        now = time.monotonic()
        self._waiting += [run for due, run in self._elsewhere if due <= now]
        self._elsewhere = [entry for entry in self._elsewhere if entry[0] > now]
        while self._free and self._waiting and not self._stops:
            run = self._waiting.pop(0)
            held = ExitStack()
            if held.enter_context(self.store.claim(run)):
                job = _Job(run, self._free.pop(0), held)
                self._jobs.append(job)
                self._go_on(job)
            else:
                held.close()
                self._elsewhere.append((now + _RETRY, run))

    def _go_on(self, job: _Job) -> None:
        """Starts the next command of a job, or ends it."""
        try:
            words = self.store.command(job.run)
        except CenError as error:
            self._end(job, "failed", str(error))
            return
        if words is None:
            self._end(job, "done")
        elif self._stops:
            self._end(job, "stopped")
        elif words[0] in job.tried:
            self._end(job, "failed", f"cen {words[0]} ended well, but its files are not there")
        else:
            self._start(job, words)

    def _start(self, job: _Job, words: list[str]) -> None:
        log = self.store.log(job.run)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            file.write(f"$ cen {shlex.join(words)}\n".encode())
        job.process = self.launch(words, log, job.slot)
        job.verb, job.started = words[0], time.monotonic()
        job.tried.add(job.verb)

    def _look(self, job: _Job) -> None:
        """Goes on with a job whose command has ended."""
        if job.process is None or (code := job.process.poll()) is None:
            return
        job.process = None
        self.store.note(job.run, job.verb, time.monotonic() - job.started, job.slot.threads)
        if code == 0:
            self._go_on(job)
        elif self._stops:
            self._end(job, "stopped")
        else:
            cause = last_words(self.store.log(job.run))
            message = f"cen {job.verb} ended with code {code}"
            self._end(job, "failed", f"{message}: {cause}" if cause else message)

    def _end(
        self, job: _Job, status: Literal["done", "failed", "stopped"], message: str = ""
    ) -> None:
        log = self.store.log(job.run)
        outcome = Outcome(job.run, status, message, log if log.exists() else None)
        self._jobs.remove(job)
        self._free.append(job.slot)
        job.held.close()
        self.outcomes.append(outcome)
        self.ended(outcome)

    def _stop(self) -> None:
        """Drops what has not begun and passes the request on to the processes."""
        self._waiting, self._elsewhere = [], []
        if self._passed_on < self._stops:
            self._passed_on = self._stops
            for job in self._jobs:
                if job.process is not None:
                    # The first lets a training save itself; the second makes it leave at once.
                    job.process.send_signal(signal.SIGINT if self._stops < 3 else signal.SIGKILL)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        """Turns a signal into a request to stop."""
        self._stops += 1


_LONGEST = 300


def last_words(log: Path) -> str:
    """The last line of a log that says something; the message of a CEN error where there is one."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    begin = max((i for i, line in enumerate(lines) if line.startswith("$ cen ")), default=0)
    spoken = [line.strip() for line in lines[begin + 1 :] if line.strip()]
    errors = [line for line in spoken if line.startswith("cen: ") and "warning:" not in line]
    return ((errors or spoken or [""])[-1])[-_LONGEST:]
