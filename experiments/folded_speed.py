"""Times folded networks against unfolded ones and a single stream, in turn in one process.

    python experiments/folded_speed.py [demo] [refinenet] [streams] [resnet50] [kept]

Processor time on one thread; the ratio of each is the median over the rounds. docs/results/speed.md
holds what came of it.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

import cen
from cen.bench.scales import set_rate
from cen.bench.timing import paired_ratio, stopwatch, take_turns

DEMO: dict[str, Any] = {
    "name": "fpn",
    "encoder": "resnet18",
    "width": 16,
    "decoder_channels": 32,
    "decoder_norm": "batch",
    "decoder_exchange": True,
}
RESNET50 = {
    "name": "refinenet",
    "encoder": "resnet50",
    "decoder_norm": "batch",
    "decoder_exchange": True,
}


def network(streams: int, rate: float, **options: Any) -> Any:
    """A network with random weights that exchanges a share of its own channels."""
    torch.manual_seed(0)
    inputs = {f"m{i}": 3 for i in range(streams)}
    net = cen.build(inputs=inputs, outputs={"segmentation": 15}, **options).eval()
    set_rate(net, rate)
    return net


def measure(
    streams: int,
    rate: float,
    size: tuple[int, int],
    rounds: int,
    kept: Sequence[str] | None = None,
    **options: Any,
) -> None:
    """Prints a line of the table; ``kept`` are the streams whose predictions are kept."""
    net = network(streams, rate, **options)
    inputs = {name: torch.randn(1, 3, *size) for name in net.inputs}
    folded = cen.fold(net, saved=float("-inf"), streams=kept)
    single = network(1, 0.0, **options)
    plan = folded.plan(inputs)

    def step(module: nn.Module, given: dict[str, torch.Tensor]) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode():
                return module(given)

        return run

    first = {"m0": inputs["m0"]}
    steps = {
        "unfolded": step(net, inputs),
        "folded": step(folded, inputs),
        "single": step(single, first),
    }
    times = take_turns(steps, rounds, stopwatch(torch.device("cpu")), warm_up=1)
    faster = paired_ratio(times["unfolded"], times["folded"]).median
    dearer = paired_ratio(times["folded"], times["single"]).median
    before = sum(layer.before for layer in plan.layers) / 1e6
    after = sum(layer.after for layer in plan.layers) / 1e6
    print(
        f"{streams} streams, rate {rate}, kept {kept or 'all'}, {options}: "
        f"{before:.0f} → {after:.0f} million multiply-adds, "
        f"{faster:.2f} times as fast as unfolded, {dearer:.2f} of one stream",
        flush=True,
    )


def main(chosen: list[str]) -> None:
    """What is named, or everything."""
    torch.set_num_threads(1)
    for word, options in (("demo", DEMO), ("refinenet", DEMO | {"name": "refinenet"})):
        if not chosen or word in chosen:
            for rate in (1.0, 0.9, 0.0):
                measure(2, rate, (96, 128), 10, **options)
    if not chosen or "streams" in chosen:
        for streams in (3, 5):
            for parts in ("paper", "keeper"):
                measure(streams, 1.0, (96, 128), 8, exchange={"parts": parts}, **DEMO)
    if not chosen or "resnet50" in chosen:
        for rate in (1.0, 0.0):
            measure(2, rate, (240, 320), 6, **RESNET50)
    if not chosen or "kept" in chosen:  # the released decoder, which exchanges nothing
        released = {"name": "refinenet", "encoder": "resnet50"}
        measure(2, 0.3, (96, 128), 10, ["m0"], **DEMO | {"decoder_exchange": False})
        measure(2, 0.5, (240, 320), 6, ["m0"], **released)


if __name__ == "__main__":
    main(sys.argv[1:])
