"""Reading a run folder, as far as it has got: a running, killed or unevaluated run is read too."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cen.errors import CenError, DataError
from cen.files import NETWORKS
from cen.report.panels import Panel, load_panel
from cen.runfiles import MOST_CLASSES, read_run_file
from cen.weightfiles import read_header

Series = dict[int, float]
"""Step -> value, in the order of the steps."""

_MOST_STEPS = 2**53
_MOST_COLUMNS = 5_000
_MOST_VALUE = 1e30  # beyond it nothing can be drawn
_MOST_PANELS = 100
_PANEL_BYTES = 2**28
_MOST_BYTES = 2**28
_LAST_TIME = 253_402_300_799  # the end of the year 9999

TRACES = ("run.json", "metrics.csv", "exchange.json", "evaluation.json", "panels")
"""What a run leaves beside its configuration."""


@dataclass(frozen=True)
class RunFolder:
    """What the files of a run say; what is missing is empty.

    Attributes:
        path: the folder.
        config: the resolved configuration (config.yaml).
        info: versions, seed, command, machine, times (run.json).
        metrics: series by column of metrics.csv, without empty, non-finite and absurd values.
        exchange: the inspections made while training, oldest first (exchange.json).
        evaluation: scores on the evaluated split (evaluation.json).
        panels: samples to show (panels/*.npz).
        metadata: what was saved with the network (best.safetensors, else last.safetensors).
        problems: files that are there and cannot be read, one sentence each.
    """

    path: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Series] = field(default_factory=dict)
    exchange: list[Mapping[str, Any]] = field(default_factory=list)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    panels: list[Panel] = field(default_factory=list)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def last_step(self) -> int | None:
        """The last step with a line in metrics.csv."""
        return max((max(series) for series in self.metrics.values()), default=None)

    @property
    def started(self) -> float | None:
        """When the run was started, in seconds since 1970."""
        return _time(self.info.get("started"))

    @property
    def hours(self) -> float | None:
        """Wall-clock hours from start to finish; None while it is unknown."""
        if isinstance(self.info.get("seconds"), int | float):
            return float(self.info["seconds"]) / 3600
        started, finished = self.started, _time(self.info.get("finished"))
        return None if started is None or finished is None else (finished - started) / 3600

    def classes(self, output: str) -> list[str]:
        """Class names of a segmentation output, [] where no file tells them."""
        if names := self._saved("classes", output):
            return [str(name) for name in names]
        configured = dict(self.config.get("data") or {}).get("classes")
        if isinstance(configured, int) and 0 < configured <= MOST_CLASSES:
            return [f"class {i}" for i in range(configured)]
        return [str(name) for name in configured] if isinstance(configured, list) else []

    def colours(self, output: str) -> list[list[int]] | None:
        """The palette that the data set brings along, if any: RGB per class."""
        rows = self._saved("palette", output)
        return [[int(value) for value in row] for row in rows] if rows else None

    def _saved(self, key: str, output: str) -> list[Any]:
        """What the evaluation, or else the network, lists for an output or, once, for all."""
        for source in (self.evaluation, self.metadata):
            entries = source.get(key)
            entries = entries.get(output) if isinstance(entries, Mapping) else entries
            if isinstance(entries, list) and entries:
                return entries
        return []


def read_run(run: str | Path, *, panels: bool = True) -> RunFolder:
    """Reads what a run folder holds; a file that is there and cannot be read becomes a problem.

    Pages about many runs show no ``panels`` and need not read them.

    Raises:
        DataError: the folder does not exist or holds none of a run's files.
    """
    path = Path(run)
    if not path.is_dir():
        raise DataError(f"{path}: no such run folder")
    files = ("config.yaml", *TRACES)
    if not any((path / name).exists() for name in files):
        raise DataError(f"{path}: not a run folder, it holds none of {', '.join(files)}")
    problems: list[str] = []

    def read(name: str, reader: Callable[[Path], Any], empty: Any) -> Any:
        file = path / name
        if not file.exists():
            return empty
        try:
            return reader(file)
        except (OSError, ValueError, csv.Error, CenError) as error:
            cause = str(error).removeprefix(str(file)).lstrip(",:. ")
            problems.append(f"{name} cannot be read ({cause}).")
            return empty

    stored = sorted(path.glob("panels/*.npz")) if panels else []
    shown, room = [], _PANEL_BYTES
    for index, file in enumerate(stored):
        if index == _MOST_PANELS or room < 0:
            problems.append(f"Of {len(stored)} panels the first {index} are shown.")
            break
        shown.append(read(f"panels/{file.name}", load_panel, None))
        room -= 0 if shown[-1] is None else shown[-1].nbytes
    weights = next((name for name in NETWORKS if (path / name).exists()), NETWORKS[-1])
    return RunFolder(
        path=path,
        config=read("config.yaml", read_run_file, {}),
        info=read("run.json", read_run_file, {}),
        metrics=read("metrics.csv", _metrics, {}),
        exchange=read("exchange.json", read_run_file, []),
        evaluation=read("evaluation.json", read_run_file, {}),
        panels=[panel for panel in shown if panel is not None],
        metadata=read(weights, _header, {}),
        problems=problems,
    )


def _metrics(file: Path) -> dict[str, Series]:
    """Columns of the CSV file as series; of two rows of one step the later one counts."""
    if not file.is_file() or file.stat().st_size > _MOST_BYTES:
        raise DataError(f"it is no file, or has more than {_MOST_BYTES} bytes")
    series: dict[str, Series] = {}
    with file.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        if len(reader.fieldnames or ()) > _MOST_COLUMNS:
            raise DataError(f"it has more than {_MOST_COLUMNS} columns")
        for row in reader:
            step = _number(row.get("step"))
            if step is None or not 0 <= step < _MOST_STEPS:  # the last line of a killed run
                continue
            for column, text in row.items():
                value = _number(text)
                if value is not None and column not in ("step", "epoch", None):
                    series.setdefault(column, {})[int(step)] = value
    return {column: dict(sorted(points.items())) for column, points in series.items()}


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if abs(value) <= _MOST_VALUE else None


def _header(file: Path) -> dict[str, Any]:
    """What was saved beside the weights; the tensors, and with them torch, are not needed."""
    header = read_header(file)
    return {} if header is None else dict(header["metadata"])


def _time(value: Any) -> float | None:
    """Seconds since 1970 of an ISO time or of a number."""
    try:
        number = isinstance(value, int | float)
        seconds = float(value) if number else datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds <= _LAST_TIME else None
