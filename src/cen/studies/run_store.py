"""The folder of studies: one folder per run, named by its hash, shared by all studies in it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from cen.config import MOVABLE
from cen.documents import read_yaml
from cen.errors import CenError, ConfigError
from cen.files import contained, is_locked, network_of, write_json
from cen.runfiles import outdated, read_if_there
from cen.studies.grid import Run
from cen.studies.identity import differences
from cen.studies.spec import exact
from cen.weightfiles import read_header

State = Literal["new", "started", "trained", "done"]


@dataclass(frozen=True)
class Store:
    """Where runs, their logs and their locks lie, and how runs are evaluated if not as usual."""

    root: Path
    evaluation: Mapping[str, Any]

    def folder(self, run: Run) -> Path:
        """The run folder."""
        return self._place(f"runs/{run.hash}")

    def log(self, run: Run) -> Path:
        """The file of what the commands of the run print; raises as :meth:`folder`."""
        return self._place(f"logs/{run.hash}.log")

    def _place(self, name: str) -> Path:
        return contained(self.root, self.root / name, ConfigError)

    def state(self, run: Run) -> State:
        """How far a run has got, from what is on the disk."""
        folder = self.folder(run)
        if not (folder / "config.yaml").is_file():
            return "new"
        _check_same(run, folder)
        if read_if_there(folder / "run.json", {}).get("status") != "finished":
            return "started"
        return (
            "done"
            if self._as_asked(run, read_if_there(folder / "evaluation.json", {}))
            else "trained"
        )

    def _as_asked(self, run: Run, evaluation: Mapping[str, Any]) -> bool:
        """Whether an evaluation is that of the study: somebody may have made another since."""
        usual = {"split": "test", "scales": [1.0], "flip": False, "tile": None}
        settings = {**usual, **self.evaluation}
        # Earlier versions noted none of these.
        noted = {
            "data": run.data_digest,
            "generator_mode": run.config.train.generator_mode,
            "protocol": "clean",
        }
        settings |= {key: value for key, value in noted.items() if key in evaluation}
        if any(evaluation.get(key) != value for key, value in settings.items()):
            return False
        # Weights may be gone; where they are there, somebody may have scored earlier ones.
        return not outdated(evaluation, _metadata(self.folder(run)))

    def command(self, run: Run) -> list[str] | None:
        """The words after ``cen`` that bring the run further; None where it is done."""
        folder, state = self.folder(run), self.state(run)
        here = [f"--{key}={run.overrides[key]}" for key in MOVABLE if key in run.overrides]
        if state == "new":
            options = [f"--{key}={value}" for key, value in run.overrides.items()]
            return ["train", run.base, "--out", str(folder), *options]
        if state == "started":
            return ["train", "--resume", str(folder), *here]
        if state == "trained":
            words = ["evaluate", str(folder), *here]
            if "scales" in self.evaluation:
                words += ["--scales", *map(exact, self.evaluation["scales"])]
            return [*words, "--flip"] if self.evaluation.get("flip") else words
        return None

    def step(self, run: Run) -> int:
        """The last step of the run that was logged; 0 where there is none."""
        file = self.folder(run) / "metrics.csv"
        try:
            with file.open("rb") as handle:
                head = handle.readline()
                handle.seek(max(len(head), file.stat().st_size - 8192))
                rows = handle.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return 0
        columns = next(csv.reader([head.decode("utf-8", "replace")]), [])
        index = columns.index("step") if "step" in columns else 0
        cells = [line.split(",") for line in rows]
        steps = [row[index] for row in cells if len(row) == len(columns) and row[index].isdigit()]
        return int(steps[-1]) if steps else 0

    @contextmanager
    def claim(self, run: Run) -> Iterator[bool]:
        """Keeps other studies out of a run meanwhile; gives False where one is at work on it.

        The lock goes with the process, however that ends. A training that outlived its study
        still holds the lock of the run folder, and counts as work.
        """
        lock = self._lock(run.hash)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield not is_locked(self.folder(run) / ".lock")
        finally:
            lock.release()

    def writing(self, name: str) -> FileLock:
        """A lock that waits for whoever writes the tables of this name: each adds to them."""
        return self._lock(name)

    def _lock(self, name: str) -> FileLock:
        path = self._place(f"locks/{name}.lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path)

    def note(self, run: Run, verb: str, seconds: float, threads: int) -> None:
        """Adds the time of one command to RUN/study.json: pauses between commands do not count."""
        folder = self.folder(run)
        if not (folder / "config.yaml").is_file():
            return
        facts = read_if_there(folder / "study.json", {})
        spent = {"train": 0.0, "evaluate": 0.0} | dict(facts.get("seconds", {}))
        spent[verb] = round(spent[verb] + seconds, 2)
        facts = {**facts, "hash": run.hash, "seconds": spent, "threads": threads}
        write_json(folder / "study.json", facts)

    def needs_work(self, run: Run) -> bool:
        """Whether a run is not done, or its folder holds another one."""
        try:
            return self.state(run) != "done"
        except CenError:
            return True


def _metadata(folder: Path) -> Mapping[str, Any]:
    """What was saved with the network that a run is scored by; nothing where it is gone."""
    file = network_of(folder)
    header = None if file is None else read_header(file)
    return {} if header is None else header["metadata"]


def _check_same(run: Run, folder: Path) -> None:
    """Refuses a folder whose run is another one in spite of its hash."""
    kept = read_yaml(folder / "config.yaml").value
    if not isinstance(kept, dict):
        raise ConfigError(f"{folder / 'config.yaml'}: holds no keys; delete the folder")
    for key, (ours, theirs) in differences(run.config, kept).items():
        way = (
            "another order makes another network under the same name; take the order of that run"
            if ours == theirs
            else "a default of the program has changed since. Delete the folder to make the run "
            "anew"
        )
        raise ConfigError(
            f"{folder}: was made with {key} = {theirs}, the study asks for {ours}: {way}"
        )
