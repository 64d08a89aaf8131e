"""Memory and time of a training step against the number of streams, M inputs and T outputs.

Each row is measured in a process of its own, on one thread: seconds of processor time of the
fastest of a few steps, and how much the greatest resident memory grew in them. The last columns
divide by the number of decoder streams M * T: no more than linear growth means that they do not
rise.

    python experiments/streams_cost.py
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

CASES = [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 4), (3, 4), (4, 4), (5, 4)]
INPUTS = {"rgb": 3, "depth": 1, "normal": 3, "shade": 1, "edges": 1}


def main() -> None:
    """Measures all cases and prints the table; or one case, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", type=int, nargs=2, help="inputs and outputs of one case")
    parser.add_argument("--size", type=int, nargs=2, default=[64, 96])
    parser.add_argument("--batch", type=int, default=8)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(*args.one, tuple(args.size), args.batch)))
        return
    print(
        "| inputs | outputs | decoder streams | s per step | MB | ms per stream | MB per stream |"
    )
    print("|---" * 7 + "|")
    for inputs, outputs in CASES:
        words = [sys.executable, __file__, "--one", str(inputs), str(outputs)]
        words += ["--size", *map(str, args.size), "--batch", str(args.batch)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
        seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
        streams = inputs * outputs
        print(
            f"| {inputs} | {outputs} | {streams} | {seconds:.2f} | {megabytes:.0f} |"
            f" {1000 * seconds / streams:.0f} | {megabytes / streams:.0f} |",
            flush=True,
        )


def measure(
    inputs: int, outputs: int, size: tuple[int, int], batch: int, steps: int = 4
) -> tuple[float, float]:
    """Processor seconds of a step, and MB by which the memory grew."""
    import torch

    import cen
    from cen.losses import fusion_loss
    from cen.models import Task

    torch.set_num_threads(1)
    torch.manual_seed(0)
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
    optimizer = torch.optim.Adam(net.parameters())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(steps):
        start = time.process_time()
        loss = fusion_loss(net(images), truth, tasks).total + 1e-3 * cen.sparsity(net)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.process_time() - start)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return min(times), (after - before) / 1024


if __name__ == "__main__":
    main()
