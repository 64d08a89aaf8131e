"""Where the figures of a run go, by the names of ``train.loggers``."""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from cen.documents import read_json
from cen.errors import ConfigError
from cen.files import write_json
from cen.launch import is_first
from cen.options.training_options import LoggerName
from cen.training.metrics_file import MetricsFile

_SERVICES = ("wandb", "mlflow")
"""Loggers with a package of their name, which is not installed everywhere."""
_PROJECT = "cen"
_KNOWN = "loggers.json"
"""The file of a run folder with what a service calls the run, so that a resumed run goes on."""


def check_loggers(names: Sequence[LoggerName]) -> None:
    """Refuses loggers whose package is not installed, before anything is read or written."""
    for name in names:
        if name in _SERVICES and importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"train.loggers: {name} needs the package {name}; install it with: "
                f"pip install {name}, or both services with: pip install 'cen[loggers]'"
            )


def run_loggers(
    run_dir: Path,
    names: Sequence[LoggerName],
    resume_step: int,
    config: Mapping[str, Any],
) -> list[Logger]:
    """The loggers of a run; services show its configuration.

    What was logged after ``resume_step`` is dropped by csv and tensorboard, because these steps are
    taken again.

    Raises:
        ConfigError: a service cannot be had.
    """
    loggers: list[Logger] = []
    for name in names:
        if name == "csv":
            loggers.append(MetricsFile(run_dir / "metrics.csv", resume_step))
        elif name == "tensorboard":
            purge = resume_step + 1 if resume_step else None
            loggers.append(
                TensorBoardLogger(run_dir, name="tensorboard", version="", purge_step=purge)
            )
        else:
            loggers.append(_service(name, run_dir, config))
    return loggers


def _service(name: LoggerName, run_dir: Path, config: Mapping[str, Any]) -> Logger:
    """Weights & Biases or MLflow, as their own environment variables say."""
    known = run_dir / _KNOWN
    identities: dict[str, str] = read_json(known) if known.exists() else {}
    make = _wandb if name == "wandb" else _mlflow
    try:
        logger, identity = make(run_dir, identities.get(name))
        if name not in identities and is_first():
            write_json(known, {**identities, name: identity})
            logger.log_hyperparams(dict(config))
    except Exception as error:  # of many types: no key, no network, another server
        raise ConfigError(f"train.loggers: {name} cannot be used: {error}") from error
    return logger


def _wandb(run_dir: Path, stored_identity: str | None) -> tuple[Logger, str]:
    identity = stored_identity or uuid.uuid4().hex[:12]
    project = os.environ.get("WANDB_PROJECT", _PROJECT)
    logger = WandbLogger(run_dir.name, run_dir, id=identity, project=project)
    if is_first():
        _ = logger.experiment  # asks for its key now rather than after the first steps
    return logger, identity


class _MLflow(MLFlowLogger):
    """Figures by names such as ``train.loss``.

    MLflow's store of files takes ``lr/encoder`` for a file in a folder ``lr``, which is a figure.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds a value to each figure."""
        super().log_metrics({name.replace("/", "."): v for name, v in metrics.items()}, step)


def _mlflow(run_dir: Path, stored_identity: str | None) -> tuple[Logger, str]:
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)
    place = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{run_dir.resolve()}/mlflow.db")
    logger = _MLflow(experiment, run_dir.name, place, run_id=stored_identity)
    return logger, (logger.run_id or "") if is_first() else ""
