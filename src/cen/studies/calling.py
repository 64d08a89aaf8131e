"""One call of a study: what of it is run, where, and which runs its tables tell of."""

from __future__ import annotations

import os
import shlex
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from cen.errors import ConfigError
from cen.runfiles import read_if_there
from cen.studies.datasets import choose_data, make_missing, make_words, roots_of
from cen.studies.grid import Choice, Load, Run, evaluation_options, everything, expand, in_grid
from cen.studies.launchers import Option, Where, launch_on
from cen.studies.progress import StudyProgress
from cen.studies.resources import Slot, chosen_threads, make_slots, usable_cores, visible_gpus
from cen.studies.results import collect, note_figures
from cen.studies.run_store import Store
from cen.studies.scheduler import Outcome, Scheduler
from cen.studies.spec import Study
from cen.studies.study_files import output_folder


class Call:
    """One call of a study, which ``data`` (names, or ``LAYOUT:ROOT``) may put on other data.

    Attributes:
        study: The study on the data of the call.
        shown: What its tables show: the whole study, whatever part of it the call is about.
        store: Where the runs lie.
        folder: Where the tables go.
    """

    def __init__(
        self, name: str, study: Study, choice: Choice, data: Sequence[str], out: Path, load: Load
    ) -> None:
        overrides = dict(choice.overrides)
        self.study = choose_data(study, data, overrides.pop("data.root", None))
        self.shown = study if set(self.study.data) <= set(study.data) else self.study
        self.choice, self.load = replace(choice, overrides=overrides), load
        default = load(study.config, overrides).data.root
        self.roots = roots_of(self.study, out, default)
        self.all_roots = roots_of(self.shown, out, default)
        self.store = Store(out, evaluation_options(study))
        self.folder = output_folder(out, name, study, self.study, self.choice)

    def runs(self, data_may_miss: bool = False) -> list[Run]:
        """The runs of this call."""
        may_miss = self.roots if data_may_miss else ()
        return expand(self.study, self.choice, self.roots, self.load, may_miss)

    def unrecognised(self) -> list[str]:
        """Why finished runs may not be found: data that they were made on are not there."""
        if not any(self.store.root.glob("runs/*/evaluation.json")):
            return []
        return [
            f"data set {name}: {self.roots[name]} is not there, and without it no run that was "
            f"made on it is recognised; cen {shlex.join(make_words(variant, self.roots[name]))} "
            "renders it"
            for name, variant in self.study.data.items()
            if variant.make and not Path(self.roots[name]).exists()
        ]

    def prepare(self, where: Where = "here") -> Iterator[str]:
        """Renders the data sets that are to be rendered and are not there; yields each command.

        What no run could do is refused before.
        """
        rendered = {name for name, variant in self.study.data.items() if variant.make}
        machines: set[tuple[str, int]] = set()
        for run in expand(self.study, self.choice, self.roots, self.load, rendered):
            train = run.config.train
            if self.store.needs_work(run):
                train.check_devices()
                if train.nodes > 1:
                    raise ConfigError(
                        f"train.nodes: {train.nodes}, but each run of a study has one machine; "
                        "leave it out, or train that one by cen train"
                    )
                machines.add((train.accelerator, train.devices))
        # The import takes seconds, which the usual study need not wait for.
        for accelerator, devices in sorted(machines):
            if where == "here" and (accelerator == "gpu" or devices > 1):
                from cen.training.machine import check_machine

                check_machine(accelerator, devices)
        yield from make_missing(self.study, self.roots, usable_cores(), os.environ)

    def train(
        self,
        runs: Sequence[Run],
        jobs: int | None,
        where: Where = "here",
        options: Mapping[str, Option] | None = None,
    ) -> list[Outcome]:
        """Brings runs to their end, ``jobs`` at a time; progress goes to stderr.

        Elsewhere than here all go at a time by default: the queue is the cluster's.
        """
        unique = list({run.hash: run for run in runs}.values())
        left = [run for run in unique if self.store.needs_work(run)]
        launch = launch_on(where, self.store.root / "jobs", options or {})
        slots = _slots(left, jobs) if where == "here" else _places(left, jobs, options or {})
        with StudyProgress(self.store, unique, len(slots), Console(stderr=True)) as progress:
            return Scheduler(self.store, unique, slots, progress.end, progress.look, launch).run()

    def count_costs(self, runs: Sequence[Run]) -> None:
        """Counts parameters and multiply-adds of the runs that are done, once for each."""
        for record in collect(self.store, runs):
            try:
                note_figures(record.folder, self.roots[record.run.data])
            except Exception as error:  # hours of runs are not lost for a figure beside them
                warnings.warn(f"{record.run.title}: costs unknown, {error}", stacklevel=1)

    def tabled(self, runs: Sequence[Run]) -> list[Run]:
        """What tables tell of: runs of the study file, of this call, and made by earlier calls."""
        earlier = read_if_there(self.folder / "study.json", {}).get("asked", {})
        asked = {run.hash for run in runs}
        return [
            run
            for run in everything(self.shown, self.choice, self.all_roots, self.load, earlier)
            if run.hash in asked or in_grid(self.shown, run) or not self.store.needs_work(run)
        ]


def _slots(left: Sequence[Run], jobs: int | None) -> list[Slot]:
    """Cores and GPUs of this machine."""
    on_cpu = all(run.config.train.accelerator == "cpu" for run in left)
    gpus = [] if on_cpu else visible_gpus(os.environ)
    return make_slots(jobs, len(left), usable_cores(), gpus, chosen_threads(os.environ))


def _places(left: Sequence[Run], jobs: int | None, options: Mapping[str, Option]) -> list[Slot]:
    """Room in the queue of a cluster."""
    cores = options.get("cpus_per_task", options.get("num_cpus", 1))
    count = max(1, min(jobs or len(left), len(left)))
    return [Slot(cores if isinstance(cores, int) else 1)] * count
