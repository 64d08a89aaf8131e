"""What a process does that torchrun starts; run as ``-m tests.training.launched OUT STRATEGY``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.training.toy import RESNET, Blocks, toy_config, toy_network

from cen.exchange import freeze_statistics
from cen.training import train_network

RUNS: Mapping[str, Mapping[str, Any]] = {
    "steered": {"exchange_rate": 0.3, "modality_dropout": 0.3, "clip_norm": 0.5},
    "robust": {"exchange_rate": 0.3, "robust": True},
    "pieces": {"optimizer": "sgd", "accumulate": 2, "sparsity": 1e-2, "weighting": "uncertainty"},
}
STEPS = 6


def work(out: Path, **how: Any) -> None:
    """Trains each run, and the last one again, stopped in the middle and gone on with."""
    for name in RUNS:
        run(out / name, name, STEPS, **how)
    run(out / "resumed", "pieces", STEPS // 2, **how)
    run(out / "resumed", "pieces", STEPS, resume=True, **how)


def run(folder: Path, name: str, steps: int, resume: bool = False, **how: Any) -> None:
    """One run, without dropout and with statistics that stay: a batch norm sees one process."""
    given = {"validate_every": 3, "schedule": "constant", **RUNS[name], **how}
    config = toy_config(RESNET, steps=steps, **given)
    config.model.dropout = 0.0
    net = toy_network(config)
    freeze_statistics(net)
    train, validation = Blocks(10, ignored=True), Blocks(5, seed=1, ignored=True)
    train_network(config, folder, net, train, validation, resume=resume, progress=False)


if __name__ == "__main__":
    work(Path(sys.argv[1]), nodes=1, devices=2, strategy=sys.argv[2])
