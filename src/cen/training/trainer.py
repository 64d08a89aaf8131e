"""The trainer of Lightning as it is used here, and its hints that do not apply to that."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import Strategy

from cen.training.processes import cluster, keep_signals

_HINTS = (
    r".*does not have many workers.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*Found .* module\(s\) in eval mode.*",
    # Nothing changes in place what a whole network returns; of its blocks it is told.
    r"FSDP2-wrapped module \(FSDP\w*Network\) returned a view tensor.*",
)


def make_trainer(
    accelerator: str, devices: int, nodes: int, strategy: str | Strategy, **options: Any
) -> Trainer:
    """A trainer of processes that find and end each other by :mod:`cen.training.processes`."""
    with quiet():
        trainer = Trainer(
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=strategy,
            plugins=cluster(),
            # The loaders deal out the samples, so that a resumed run reads the same ones.
            use_distributed_sampler=False,
            enable_model_summary=False,
            **options,
        )
    keep_signals(trainer)
    return trainer


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Lightning's start-up notes and some hints; restores everything on leaving."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _HINTS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
