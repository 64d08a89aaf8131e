"""What a process of the adversarial distributed test does; Lightning starts it again.

Run as ``python -m tests.training.adversaries OUT DEVICES``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from tests.training.generation.pictures import Pictures, network, translation
from tests.training.generation.test_translation import Watch

from cen.training import train_network


def work(out: Path, devices: int) -> None:
    """Trains two steps; process 0 saves the first gradients of both networks."""
    config = translation(
        {"statistics": "instance"}, steps=2, batch_size=4, devices=devices, validate_every=2
    )
    watch = Watch()
    run = out / f"run{devices}"
    data = Pictures(8), Pictures(3, seed=1)
    train_network(config, run, network(config), *data, progress=False, callbacks=(watch,))
    if devices > 1:
        # Steps beyond the first half are those of a run that is gone on with.
        for folder, parts in (("whole", (4,)), ("parts", (2, 4))):
            for number, steps in enumerate(parts):
                config.train.steps = steps
                again = {"progress": False, "resume": number > 0}
                train_network(config, out / folder, network(config), *data, **again)
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        torch.save(watch.gradients, out / f"{devices}.pt")


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
