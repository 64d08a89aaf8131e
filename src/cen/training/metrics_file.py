"""RUN/metrics.csv: the figures of a run in a file that survives resuming."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from cen.files import write_text


class MetricsFile(Logger):
    """RUN/metrics.csv. Lightning's own CSV logger deletes the file of a run that is resumed.

    A row holds what was logged together, which is done by one process alone; a step that was also
    validated has a second row.

    Args:
        path: the CSV file.
        resume_step: rows of later steps are dropped from an existing file.
    """

    def __init__(self, path: Path, resume_step: int = 0) -> None:
        super().__init__()
        self.path = path
        self._columns: list[str] = []
        self._unsaved: list[dict[str, Any]] = []
        self._resume_step = resume_step

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """A run folder has one version."""
        return ""

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Does nothing: the resolved configuration is in RUN/config.yaml."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds a row."""
        self._unsaved.append({"step": step or 0, **metrics})

    def save(self) -> None:
        """Appends the new rows; rewrites the file in one step where a column is new."""
        if not self._unsaved:
            return
        if not self._columns:
            # The rows of the run that is resumed; a file from before is replaced.
            kept = [row for row in self._read() if int(row["step"]) <= self._resume_step]
            self._columns = list(kept[0]) if kept else ["step"]
            self._rewrite(kept)
        new = [c for row in self._unsaved for c in row if c not in self._columns]
        if new:
            old = self._read()
            self._columns += dict.fromkeys(new)
            self._rewrite(old)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            file.write(self._text(self._unsaved))
        self._unsaved = []

    def finalize(self, status: str) -> None:
        """Saves what is left."""
        self.save()

    def _rewrite(self, rows: Iterable[Mapping[str, Any]]) -> None:
        header = dict(zip(self._columns, self._columns, strict=True))
        write_text(self.path, self._text([header, *rows]))

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            # A line cut short by a kill ends in None values or lacks its step.
            return [row for row in csv.DictReader(file) if (row["step"] or "").isdigit()]

    def _text(self, rows: Iterable[Mapping[str, Any]]) -> str:
        buffer = io.StringIO()
        csv.DictWriter(buffer, self._columns, restval="", lineterminator="\n").writerows(rows)
        return buffer.getvalue()
