"""Memory and time of a training step against the number of streams.

Of M inputs and T outputs, or with ``--cycle`` of K modalities of which each is predicted from the
others, K(K - 1) streams. Each row is measured in a process of its own, on one thread: seconds of
processor time of the fastest of a few steps, and how much the greatest resident memory grew in
them. The last columns divide by the number of streams, M * T in the decoder: no more than linear
growth means that they do not rise.

    python experiments/streams_cost.py
    python experiments/streams_cost.py --cycle
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

CASES = [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 4), (3, 4), (4, 4), (5, 4)]
CYCLES = [(3, 3), (4, 4), (5, 5)]
INPUTS = {"rgb": 3, "depth": 1, "normal": 3, "shade": 1, "edges": 1}
Case = tuple["nn.Module", Callable[[], "Tensor"]]


def main() -> None:
    """Measures all cases and prints the table; or one case, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", type=int, nargs=2, help="inputs and outputs of one case")
    parser.add_argument("--cycle", action="store_true", help="cycle fusion")
    parser.add_argument("--size", type=int, nargs=2, default=[64, 96])
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    if args.one:
        make = cycle_case if args.cycle else fusion_case
        print(json.dumps(measure(*make(*args.one, tuple(args.size), args.batch))))
        return
    print("| inputs | outputs | streams | s per step | MB | ms per stream | MB per stream |")
    print("|---" * 7 + "|")
    for inputs, outputs in CYCLES if args.cycle else CASES:
        words = [sys.executable, __file__, "--one", str(inputs), str(outputs)]
        words += ["--size", *map(str, args.size), "--batch", str(args.batch)]
        words += ["--cycle"] * args.cycle
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
        seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
        streams = inputs * (inputs - 1) if args.cycle else inputs * outputs
        print(
            f"| {inputs} | {outputs} | {streams} | {seconds:.2f} | {megabytes:.0f} |"
            f" {1000 * seconds / streams:.0f} | {megabytes / streams:.0f} |",
            flush=True,
        )


def measure(net: nn.Module, loss: Callable[[], Tensor], steps: int = 4) -> tuple[float, float]:
    """Processor seconds of a step, and MB by which the memory grew."""
    import torch

    from cen.bench.timing import stopwatch

    torch.set_num_threads(1)
    optimizer = torch.optim.Adam(net.parameters())

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    seconds = stopwatch(torch.device("cpu"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = [seconds(step) for _ in range(steps)]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return min(times), (after - before) / 1024


def fusion_case(inputs: int, outputs: int, size: tuple[int, int], batch: int) -> Case:
    """A network of several inputs and outputs, and its loss on random images."""
    import torch

    import cen
    from cen.losses import fusion_loss
    from cen.models import Task

    tasks = {
        "s": Task("segmentation", 15),
        "d": Task("depth", 1),
        "n": Task("normal", 3),
        "e": Task("edge", 1),
    }
    tasks = dict(list(tasks.items())[:outputs])
    net = cen.build(
        "refinenet",
        encoder="resnet18",
        inputs=dict(list(INPUTS.items())[:inputs]),
        outputs=tasks,
        width=16,
        decoder_channels=32,
        decoder_norm="batch",
        decoder_exchange=inputs * outputs > 1,
    )
    images = {name: torch.randn(batch, channels, *size) for name, channels in net.inputs.items()}
    truth = {
        "s": torch.randint(0, 15, (batch, *size)),
        "d": 1 + torch.rand(batch, 1, *size),
        "n": torch.randn(batch, 3, *size),
        "e": (torch.rand(batch, 1, *size) > 0.9).float(),
    }
    return net, lambda: fusion_loss(net(images), truth, tasks).total + 1e-3 * cen.sparsity(net)


def cycle_case(modalities: int, _: int, size: tuple[int, int], batch: int) -> Case:
    """A cycle network in all directions, without the cycle term, and its loss."""
    import torch

    import cen
    from cen.losses import fusion_loss
    from cen.models import Task

    inputs = dict(list(INPUTS.items())[:modalities])
    tasks = {name: Task("image", channels) for name, channels in inputs.items()}
    net = cen.build(
        "cycle", encoder="unet5", width=16, inputs=inputs, outputs=tasks, statistics="instance"
    )
    images = {name: torch.rand(batch, channels, *size) for name, channels in inputs.items()}
    return net, lambda: fusion_loss(net(images), images, tasks).total + 1e-3 * cen.sparsity(net)


if __name__ == "__main__":
    main()
