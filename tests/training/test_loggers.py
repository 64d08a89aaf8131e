"""Loggers by name."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.training.running import train
from tests.training.toy import toy_config

from cen.errors import ConfigError
from cen.training.loggers import check_loggers


def test_only_the_loggers_that_are_named_write(tmp_path: Path) -> None:
    train(toy_config(steps=2, loggers=[]), tmp_path / "none")
    assert not (tmp_path / "none" / "metrics.csv").exists()
    assert not (tmp_path / "none" / "tensorboard").exists()
    train(toy_config(steps=2, loggers=["csv"]), tmp_path / "csv")
    assert (tmp_path / "csv" / "metrics.csv").is_file()
    assert not (tmp_path / "csv" / "tensorboard").exists()
    with pytest.raises(ConfigError, match="names one of them twice"):
        toy_config(loggers=["csv", "csv"])
    with pytest.raises(ConfigError, match=r"train.loggers.*tensorbord"):
        toy_config(loggers=["tensorbord"])


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_that_is_not_installed_says_how_to_get_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == name else find(n))
    with pytest.raises(
        ConfigError, match=rf"train.loggers: {name} needs .*pip install {name}.*cen\[loggers\]"
    ):
        check_loggers(["csv", name])  # type: ignore[list-item]


def test_mlflow_goes_on_with_the_run_that_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    config = toy_config(steps=2, log_every=1, loggers=["csv", "mlflow"])
    train(config, tmp_path / "run")
    known = json.loads((tmp_path / "run" / "loggers.json").read_text())
    train(replace(config, train=replace(config.train, steps=4)), tmp_path / "run", resume=True)
    assert json.loads((tmp_path / "run" / "loggers.json").read_text()) == known
    (file,) = (tmp_path / "mlruns").glob(f"*/{known['mlflow']}/metrics/train.loss")
    assert [line.split()[2] for line in file.read_text().splitlines()] == ["1", "2", "3", "4"]


@pytest.mark.slow
def test_wandb_logs_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    train(toy_config(steps=2, loggers=["wandb"]), tmp_path / "run")
    known = json.loads((tmp_path / "run" / "loggers.json").read_text())["wandb"]
    assert list((tmp_path / "run" / "wandb").glob(f"offline-run-*-{known}/run-{known}.wandb"))


def test_a_service_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://x")
    with pytest.raises(ConfigError, match=r"train.loggers: mlflow cannot be used"):
        train(toy_config(steps=2, loggers=["mlflow"]), tmp_path / "run")
