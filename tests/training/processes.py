"""What a process of the distributed test does; Lightning starts it again for the second process.

Run as ``python -m tests.training.processes OUT DEVICES``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from tests.training.toy import (
    RESNET,
    TASKS,
    Blocks,
    Scenes,
    several_config,
    several_network,
    toy_config,
    toy_network,
)
from torch.utils.data import Dataset

from cen.config import Config
from cen.exchange import exchange_layers, exchange_rate, freeze_statistics
from cen.models import build
from cen.training import score_network, train_network

# Those that TorchJD has no part in, and one that it has, where it is installed.
WEIGHTINGS = ("fixed", "uncertainty", *(["MGDA"] if find_spec("torchjd") else []))


class Gradients(Callback):
    """Keeps the gradients of the first step."""

    def __init__(self) -> None:
        self.found: dict[str, torch.Tensor] = {}

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        if trainer.global_step == 0:
            named = module.named_parameters()
            self.found = {k: p.grad.clone() for k, p in named if p.grad is not None}


def work(out: Path, devices: int) -> None:
    """Trains two steps and evaluates; process 0 saves what it found."""
    config = toy_config(
        RESNET,
        steps=2,
        devices=devices,
        class_weights=[1.0, 2.0, 0.5],
        sparsity=1e-2,
        validate_every=2,
        encoder_lr=1e-2,
    )
    config.model.dropout = 0.0
    net, gradients = toy_network(config), Gradients()
    # Batch statistics are those of a process.
    freeze_statistics(net)
    with torch.no_grad():
        for layer in exchange_layers(net).values():
            layer.weight[:, ::3] = 1e-3
    assert exchange_rate(net) > 0.2
    # Samples have between none and all of their pixels labelled, so the halves of a batch differ.
    train, validation = Blocks(10, ignored=True), Blocks(5, seed=1, ignored=True)
    run = out / f"run{devices}"
    train_network(config, run, net, train, validation, progress=False, callbacks=(gradients,))
    # A network that was not trained is the same to the last bit, whatever the number of processes.
    fresh = toy_network(config)
    scores = score_network(fresh, Blocks(7), batch_size=2, accelerator="cpu", devices=devices)
    several_found = {name: several(out, devices, name) for name in WEIGHTINGS}
    missing_found = missing(out, devices)
    cycle_found = cycle(out, devices)
    pieces_found = pieces(out, devices)
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        found = {
            "gradients": gradients.found,
            "scores": scores,
            "several": several_found,
            "missing": missing_found,
            "cycle": cycle_found,
            "pieces": pieces_found,
        }
        torch.save(found, out / f"{devices}.pt")


def several(out: Path, devices: int, weighting: str) -> dict[str, Any]:
    """Gradients of one step with several outputs, of which half the samples lack some."""
    config = several_config(
        steps=1, devices=devices, weighting=weighting, every_output=True, validate_every=5
    )
    data = Scenes(10, partial=True)
    return gradients_of(config, out / f"{weighting}{devices}", several_network, data)


def missing(out: Path, devices: int) -> dict[str, Any]:
    """Gradients of one step from which a modality was left out, the same one in all processes."""
    config = toy_config(
        RESNET,
        steps=1,
        devices=devices,
        modality_dropout=0.99,
        sparsity=1e-2,
        validate_every=5,
    )
    data = Blocks(10, ignored=True)
    return gradients_of(config, out / f"missing{devices}", toy_network, data)


def pieces(out: Path, devices: int) -> dict[str, Any]:
    """Gradients of one step of eight samples, which two processes take in two pieces each."""
    config = toy_config(
        RESNET, steps=1, devices=devices, batch_size=8 // devices, accumulate=devices
    )
    data = Blocks(10, ignored=True)
    return gradients_of(config, out / f"pieces{devices}", toy_network, data)


def gradients_of(
    config: Config, run: Path, network: Callable[[Config], Any], data: Dataset[Any]
) -> dict[str, Any]:
    """Gradients of a run, without dropout and with statistics that stay."""
    config.model.dropout = 0.0
    net, gradients = network(config), Gradients()
    freeze_statistics(net)
    train_network(config, run, net, data, None, progress=False, callbacks=(gradients,))
    return gradients.found


def cycle(out: Path, devices: int) -> dict[str, Any]:
    """Gradients of one step of cycle fusion, whose samples differ in how much truth they have."""
    config = toy_config(RESNET, steps=1, devices=devices, validate_every=5)
    torch.manual_seed(0)
    net = build(
        "cycle",
        encoder="unet3",
        width=4,
        inputs={name: task.channels for name, task in TASKS.items()},
        outputs=TASKS,
        dropout=0.0,
        statistics="instance",
    )
    # Above the losses of the directions, which are balanced by themselves.
    config.train.cycle_weight = 100.0
    gradients = Gradients()
    run, data = out / f"cycle{devices}", Scenes(10)
    train_network(config, run, net, data, None, progress=False, callbacks=(gradients,))
    return gradients.found


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
