"""Would a training step be faster without what an exchange throws away or makes equal?

A residual block of two streams, convolution, norm, exchange, ReLU, convolution, norm, sum, trained
in two forms that give the same outputs and gradients, in turn, in processor time on one thread:

- *packed*, as networks run here: both streams on the batch axis, every channel computed;
- *compact*: outputs of the first convolution that an exchange replaces are left out, and what the
  second one reads of channels that are common to the streams is computed once.

    OMP_NUM_THREADS=1 python experiments/compact_training.py --json compact.json
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from cen.bench.timing import stopwatch, take_turns

RATES = (0.3, 0.8, 0.9, 1.0)
# Channels, height, width, samples: blocks of a small RefineNet, then of networks of usual widths.
BLOCKS = ((16, 24, 32, 8), (32, 12, 16, 8), (64, 6, 8, 8), (64, 60, 80, 1), (256, 30, 40, 1))
ROUNDS = 9
WORK = 3e8
"""Multiply-adds of one form in a round, about."""


class Block:
    """A residual block of two streams with a share of their own channels replaced."""

    def __init__(self, channels: int, rate: float) -> None:
        self.kernels = [
            (torch.randn(channels, channels, 3, 3) * (2 / (9 * channels)) ** 0.5).requires_grad_()
            for _ in range(2)
        ]
        self.scales = [torch.rand(2, channels).add(0.1).requires_grad_() for _ in range(2)]
        self.shifts = [torch.randn(2, channels).requires_grad_() for _ in range(2)]
        half = channels // 2
        replaced = torch.zeros(2, channels, dtype=torch.bool)
        for stream in range(2):
            replaced[stream, stream * half : stream * half + round(rate * half)] = True
        self.replaced = replaced
        self.kept = [(~replaced[stream]).nonzero().flatten() for stream in range(2)]
        self.common = replaced.any(0).nonzero().flatten()
        self.private = (~replaced.any(0)).nonzero().flatten()
        # Where the kept channels of both streams, one after the other, hold what is read next.
        place = torch.zeros(2, channels, dtype=torch.long)
        for stream in range(2):
            place[stream, self.kept[stream]] = torch.arange(len(self.kept[stream]))
        place[1] += len(self.kept[0])
        keeper = replaced[0].long()
        self.common_at = place[keeper[self.common], self.common]
        self.private_at = place[:, self.private]

    @property
    def parameters(self) -> list[Tensor]:
        """What is trained."""
        return [*self.kernels, *self.scales, *self.shifts]

    def packed(self, x: Tensor) -> Tensor:
        """Every channel of both streams."""
        y = self._normed(0, F.conv2d(x, self.kernels[0], padding=1).chunk(2))
        both = torch.stack(y)
        both = torch.where(self.replaced[:, None, :, None, None], both.flip(0), both)
        z = F.conv2d(both.flatten(0, 1).relu(), self.kernels[1], padding=1)
        return (torch.cat(self._normed(1, z.chunk(2))) + x).relu()

    def compact(self, x: Tensor) -> Tensor:
        """What is read, and what is common once."""
        kept = [
            F.conv2d(rows, self.kernels[0][own], padding=1)
            for rows, own in zip(x.chunk(2), self.kept, strict=True)
        ]
        y = torch.cat(self._normed(0, kept, self.kept), 1).relu()
        common = F.conv2d(y[:, self.common_at], self.kernels[1][:, self.common], padding=1)
        if len(self.private):
            rows = torch.cat([y[:, at] for at in self.private_at])
            private = F.conv2d(rows, self.kernels[1][:, self.private], padding=1)
            z = [own + common for own in private.chunk(2)]
        else:
            z = [common, common]
        return (torch.cat(self._normed(1, z)) + x).relu()

    def _normed(
        self, norm: int, pieces: Sequence[Tensor], kept: Sequence[Tensor] | None = None
    ) -> list[Tensor]:
        """Each stream by the statistics of its batch and by scales and shifts of its own."""
        results = []
        for stream, piece in enumerate(pieces):
            own = slice(None) if kept is None else kept[stream]
            scale, shift = self.scales[norm][stream][own], self.shifts[norm][stream][own]
            results.append(F.batch_norm(piece, None, None, scale, shift, training=True))
        return results


def step(form: Callable[[Tensor], Tensor], x: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """Forward and backward; the output and all gradients."""
    output = form(x)
    return [output, *torch.autograd.grad(output.square().mean(), [x, *parameters])]


def measure(rate: float, channels: int, height: int, width: int, samples: int) -> dict[str, object]:
    """How often faster the compact form is, and how far its results are from the packed ones."""
    block = Block(channels, rate)
    x = torch.randn(2 * samples, channels, height, width, requires_grad=True)
    forms = {"packed": block.packed, "compact": block.compact}
    results = [step(form, x, block.parameters) for form in forms.values()]
    error = max(
        float((a - b).abs().max().detach() / a.abs().max().detach())
        for a, b in zip(*results, strict=True)
    )
    passes = max(1, int(WORK / (4 * 9 * channels**2 * height * width * samples)))

    def round_of(form: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(passes):
                step(form, x, block.parameters)

        return run

    turns = {name: round_of(form) for name, form in forms.items()}
    # Both forms have been run above.
    times = take_turns(turns, ROUNDS, stopwatch(torch.device("cpu")), warm_up=0)
    ratios = [a / b for a, b in zip(times["packed"], times["compact"], strict=True)]
    return {
        "rate": rate,
        "channels": channels,
        "size": [height, width],
        "samples": samples,
        "difference": error,
        "times_as_fast": statistics.median(ratios),
        "range": [min(ratios), max(ratios)],
        "multiply_adds": 4 / (4 - 2 * rate),
    }


def main() -> None:
    """Measures all blocks and prints a row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="a file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    for rate in RATES:
        for block in BLOCKS:
            row = measure(rate, *block)
            rows.append(row)
            print(json.dumps(row), flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
