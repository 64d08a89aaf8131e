"""RUN/metrics.csv, also where a run is resumed."""

from __future__ import annotations

import csv
from pathlib import Path

from cen.training.metrics_file import MetricsFile


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def log(logger: MetricsFile, step: int, **figures: float) -> None:
    logger.log_metrics(figures, step)
    logger.save()


def test_new_columns_may_come_later(tmp_path: Path) -> None:
    logger = MetricsFile(tmp_path / "metrics.csv")
    log(logger, 1, loss=2.0)
    log(logger, 2, loss=1.0)
    log(logger, 2, miou=0.5)
    assert rows(logger.path) == [
        {"step": "1", "loss": "2.0", "miou": ""},
        {"step": "2", "loss": "1.0", "miou": ""},
        {"step": "2", "loss": "", "miou": "0.5"},
    ]


def test_resuming_drops_later_rows_and_a_line_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    logger = MetricsFile(path)
    for step in (2, 4, 6):
        log(logger, step, loss=float(step))
    path.write_text(path.read_text() + "8,0.")
    resumed = MetricsFile(path, resume_step=4)
    log(resumed, 6, loss=5.0, rate=0.1)
    assert [(row["step"], row["loss"]) for row in rows(path)] == [
        ("2", "2.0"),
        ("4", "4.0"),
        ("6", "5.0"),
    ]


def test_a_run_from_the_start_replaces_an_old_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    log(MetricsFile(path), 2, loss=1.0)
    log(MetricsFile(path), 1, other=3.0)
    assert rows(path) == [{"step": "1", "other": "3.0"}]
