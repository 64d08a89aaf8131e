"""Progress over a whole study, with the time left."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cen.errors import CenError
from cen.studies.grid import Run
from cen.studies.run_store import Store, read_json
from cen.studies.scheduler import Outcome

_LOOK = 1.0


class Board:
    """One bar over all steps of all runs, and a line for each run that ends.

    Args:
        store: Where the runs lie.
        runs: All runs, one per hash.
        slots: How many go at a time.
        console: Where it is shown; a bar only where that is a terminal.
    """

    def __init__(self, store: Store, runs: Sequence[Run], slots: int, console: Console) -> None:
        self.store, self.slots, self.console = store, slots, console
        self.runs = {run.hash: run for run in runs}
        self.ended: dict[str, Outcome] = {}
        self.active: list[Run] = []
        self.estimate = Estimate()
        self._steps = dict.fromkeys(self.runs, 0)
        self._began = dict.fromkeys(self.runs, 0)
        self._looked = 0.0
        self._start = time.monotonic()
        for run in runs:
            self._take_in(run)
        self._began = dict(self._steps)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            refresh_per_second=2,
            disable=not console.is_terminal,
        )
        total = sum(run.config.train.max_steps for run in runs)
        self._task = self.progress.add_task("study", total=total, left="")

    def __enter__(self) -> Board:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def look(self, active: list[Run]) -> None:
        """Reads how far the runs are, about once a second."""
        now = time.monotonic()
        self.active = active
        if now - self._looked < _LOOK:
            return
        self._looked = now
        for run in active:
            self._steps[run.hash] = self.store.step(run)
        done = sum(outcome.status == "done" for outcome in self.ended.values())
        self.progress.update(
            self._task,
            completed=sum(self._steps.values()),
            description=f"{done} of {len(self.runs)} runs",
            left=f"{span(self.left())} left",
        )

    def end(self, outcome: Outcome) -> None:
        """Takes note of an outcome, and says it."""
        run = outcome.run
        self.ended[run.hash] = outcome
        self._take_in(run)
        place = f"[{len(self.ended)}/{len(self.runs)}] {run.title}: "
        worked = self._steps[run.hash] > self._began[run.hash]
        if outcome.status == "failed":
            text = f"{place}FAILED, {outcome.message}"
        elif outcome.status == "stopped":
            text = f"{place}stopped at step {self._steps[run.hash]:,}"
        else:
            text = f"{place}{'done' if worked else 'was done before'}"
            text += f"; about {span(self.left())} left" if worked else ""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def left(self) -> float | None:
        """Seconds until the end, estimated; None while nothing is known."""
        known = self.estimate.seconds_per_step
        steps = {
            key: run.config.train.max_steps - self._steps[key]
            for key, run in self.runs.items()
            if key not in self.ended
        }
        if not steps:
            return 0.0
        elapsed = time.monotonic() - self._start
        taken = sum(self._steps[key] - self._began[key] for key in self.runs)
        live = elapsed * self.slots / taken if taken else None
        total = 0.0
        for key, count in steps.items():
            each = known(self.runs[key].row.name)
            each = live if each is None else each
            if each is None:
                return None
            total += count * each
        return total / max(1, min(self.slots, len(steps)))

    def _take_in(self, run: Run) -> None:
        """Reads how far a run is and, once it is finished, what it took."""
        self._steps[run.hash] = min(self.store.step(run), run.config.train.max_steps)
        try:
            finished = self.store.state(run) == "done"
        except CenError:
            return
        if finished:
            self._steps[run.hash] = run.config.train.max_steps
            seconds = read_json(self.store.folder(run) / "study.json").get("seconds", {})
            if seconds.get("train"):
                self.estimate.add(run.row.name, run.config.train.max_steps, sum(seconds.values()))


class Estimate:
    """Seconds per step of rows, learnt from runs that are finished."""

    def __init__(self) -> None:
        self._seen: dict[str, list[float]] = {}

    def add(self, row: str, steps: int, seconds: float) -> None:
        """Learns from a finished run."""
        self._seen.setdefault(row, []).append(seconds / max(1, steps))

    def seconds_per_step(self, row: str) -> float | None:
        """Of a row, else of all rows, else None."""
        values = self._seen.get(row) or [v for known in self._seen.values() for v in known]
        return statistics.fmean(values) if values else None


def span(seconds: float | None) -> str:
    """A length of time as people say it."""
    if seconds is None:
        return "unknown"
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
