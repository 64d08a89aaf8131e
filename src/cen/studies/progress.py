"""Progress over a whole study, with the time left."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cen.durations import span
from cen.errors import CenError
from cen.runfiles import read_if_there
from cen.studies.grid import Run
from cen.studies.run_store import Store
from cen.studies.scheduler import Outcome

_LOOK = 1.0


class StudyProgress:
    """One bar over all steps of all runs, and a line for each run that ends; a context."""

    def __init__(self, store: Store, runs: Sequence[Run], slots: int, console: Console) -> None:
        self.store, self.slots, self.console = store, slots, console
        self.runs = {run.hash: run for run in runs}
        self.ended: dict[str, Outcome] = {}
        self._speeds: dict[str, list[float]] = {}  # seconds per step of finished runs, by row
        self._steps: dict[str, int] = {}
        self._looked, self._start = 0.0, time.monotonic()
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

    def __enter__(self) -> StudyProgress:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def look(self, active: list[Run]) -> None:
        """Reads how far the runs at work are, about once a second."""
        now = time.monotonic()
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
        steps = self._steps[run.hash]
        if outcome.status == "failed":
            text = f"FAILED, {outcome.message}"
        elif outcome.status == "stopped":
            text = f"stopped at step {steps:,}"
        elif steps > self._began[run.hash]:
            text = f"done; about {span(self.left())} left"
        else:
            text = "was done before"
        place = f"[{len(self.ended)}/{len(self.runs)}] {run.title}"
        self.console.print(f"{place}: {text}", markup=False, highlight=False, soft_wrap=True)

    def left(self) -> float | None:
        """Seconds until the end, estimated; None while nothing tells how long a step takes."""
        waiting = [run for key, run in self.runs.items() if key not in self.ended]
        steps_done = sum(self._steps.values()) - sum(self._began.values())
        live = (time.monotonic() - self._start) * self.slots / steps_done if steps_done else None
        total = 0.0
        for run in waiting:
            each = self.seconds_per_step(run.row.name)
            each = live if each is None else each
            if each is None:
                return None
            total += each * (run.config.train.max_steps - self._steps[run.hash])
        return total / max(1, min(self.slots, len(waiting)))

    def seconds_per_step(self, row: str) -> float | None:
        """Mean over the finished runs of a row, else over those of all rows, else None."""
        speeds = self._speeds.get(row) or [
            s for row_speeds in self._speeds.values() for s in row_speeds
        ]
        return statistics.fmean(speeds) if speeds else None

    def _take_in(self, run: Run) -> None:
        """Reads how far a run is and, once it is finished, what it took."""
        most = run.config.train.max_steps
        self._steps[run.hash] = min(self.store.step(run), most)
        try:
            if self.store.state(run) != "done":
                return
            seconds = read_if_there(self.store.folder(run) / "study.json", {}).get("seconds", {})
        except CenError:
            return
        self._steps[run.hash] = most
        if seconds.get("train"):
            self._speeds.setdefault(run.row.name, []).append(sum(seconds.values()) / max(1, most))
