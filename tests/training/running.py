"""Runs of the toy network into a folder, killed where a test wants them to be."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from tests.training.toy import Blocks, toy_network

from cen.config import Config
from cen.training import train_network


class At(Callback):
    """Does something when a step begins, and notes what every step was given."""

    def __init__(self, step: int | None = None, action: Any = None) -> None:
        self.step, self.action = step, action
        self.seen: list[tuple[int, tuple[str, ...]]] = []

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
        if trainer.global_step == self.step:
            self.action(module)
        self.seen.append((trainer.global_step, tuple(batch["name"])))


class Killed(Exception):  # noqa: N818
    """Stands in for SIGKILL."""


def kill(module: Any) -> None:
    raise Killed


def train(config: Config, folder: Path, at: At | None = None, **options: Any) -> At:
    """A run of the toy network into a folder."""
    at = at or At()
    net = toy_network(config)
    given: dict[str, Any] = {"progress": False, "callbacks": (at,), "metadata": {"note": 1}}
    given |= options
    train_network(config, folder, net, Blocks(10), Blocks(6, seed=1), **given)
    return at


def killed(config: Config, folder: Path, step: int, resume: bool = False) -> At:
    at = At(step, kill)
    with pytest.raises(Killed):
        train(config, folder, at, resume=resume)
    return at


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def spoil_loss(module: Any) -> None:
    module.how = replace(module.how, sparsity=float("nan"))


def spoil_weights(module: Any) -> None:
    with torch.no_grad():
        module.net.alpha["segmentation"].fill_(float("inf"))
