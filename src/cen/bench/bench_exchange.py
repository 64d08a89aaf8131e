"""What the exchange costs in time: paired ratios of networks that alternate in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from cen.bench.layer_norm_blocks import (
    KINDS,
    Blocks,
    block_step,
    layer_norm_blocks,
    norm_step,
)
from cen.bench.model_steps import MODES, Case, Form, Mode, make_step
from cen.bench.timing import (
    Progress,
    check_device,
    check_rounds,
    paired_ratio,
    prefixed,
    stopwatch,
    take_turns,
)
from cen.config import Config


@dataclass(frozen=True)
class Ratio:
    """Time of one network over another, measured side by side.

    Attributes:
        name: "A / B"; of blocks with layer norms "tokens: A / B" or "maps: A / B", and
            "tokens: A / B, by norms" where what the norms of both take alone is told apart:
            1 + (norms of A − norms of B) / plain block, which varies less than blocks do.
        mode: "evaluation" (forward pass) or "training" (forward, backward and optimiser step).
        compiled: Whether both ran under ``torch.compile``.
        median: Median of the paired ratios.
        low: Lower end of an interval that holds the median with at least 95 % (order statistics).
        high: Upper end.
        rounds: Number of pairs.
        seconds: Median time of A, in seconds; by norms, of the norms of A.
    """

    name: str
    mode: Mode
    compiled: bool
    median: float
    low: float
    high: float
    rounds: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def bench_exchange(
    *,
    encoder: str = "resnet50",
    width: int | None = None,
    decoder_channels: int | None = None,
    batch: int = 2,
    size: tuple[int, int] = (240, 320),
    rounds: int = 15,
    device: str = "cpu",
    compiled: bool = False,
    progress: Progress = None,
) -> list[Ratio]:
    """Times RefineNet with two modalities with exchange, without it, and with plain batch norm.

    The three networks have the same convolutions; the third runs ``nn.BatchNorm2d`` on the same
    packed tensor. They take turns in one process, so that a busy machine slows them alike. So do
    blocks with layer norms on tokens and on maps, see `layer_norm_blocks`.

    Args:
        encoder: Name of the ResNet.
        width: Channels of its stem and of the first stage of the blocks; None is the released 64,
            and 96 for ConvNeXt's.
        decoder_channels: Channels of the decoder; None is the released 256.
        batch: Images per modality.
        size: (H, W) of the images.
        rounds: Pairs to measure per mode.
        device: "cpu" or a CUDA device.
        compiled: Run the networks under ``torch.compile``.
        progress: Called with a line of text now and then.

    Returns:
        For every mode, exchange / no exchange and exchange / plain batch norm; then the same of
        blocks with layer norms, and where nothing is compiled the same by norms.

    Raises:
        ConfigError: Fewer than 6 rounds, which give no interval, or the device is not there.
    """
    check_rounds(rounds)
    torch.manual_seed(0)
    target = check_device(device)
    compared = cases(encoder, width, decoder_channels, batch, size, device)
    form: Form = "packed, compiled" if compiled else "packed"
    ratios = []
    for mode in MODES:
        steps = {name: make_step(case, mode, form) for name, case in compared.items()}
        times = take_turns(steps, rounds, stopwatch(target), prefixed(progress, [mode]))
        ratios += _ratios(times, "", mode, compiled)
    for kind in KINDS:
        for mode in MODES:
            variants = layer_norm_blocks(kind, 2 * batch, size, width)
            ratios += _block_ratios(variants, kind, mode, rounds, target, compiled, progress)
    return ratios


def _block_ratios(
    variants: Mapping[str, Blocks],
    kind: str,
    mode: Mode,
    rounds: int,
    target: torch.device,
    compiled: bool,
    progress: Progress,
) -> list[Ratio]:
    """Blocks with exchange over each of the others, and what their norms alone make of it."""
    training = mode == "training"
    steps = {
        name: block_step(blocks, training, target, compiled) for name, blocks in variants.items()
    }
    times = take_turns(steps, rounds, stopwatch(target), prefixed(progress, [kind, mode]))
    ratios = _ratios(times, f"{kind}: ", mode, compiled)
    if compiled:  # norms alone would be compiled otherwise than in their blocks
        return ratios
    parts = {name: norm_step(blocks, training, target) for name, blocks in variants.items()}
    parts["block"] = steps["plain layer norm"]
    times = take_turns(parts, rounds, stopwatch(target), prefixed(progress, [kind, mode, "norms"]))
    return [*ratios, *_by_norms(times, f"{kind}: ", mode)]


def _by_norms(times: Mapping[str, Sequence[float]], prefix: str, mode: Mode) -> list[Ratio]:
    """Blocks whose norms exchange over each of the others, by what their norms take alone."""
    ours, block = np.asarray(times["exchange"]), np.asarray(times["block"])
    ratios = []
    for other in ("no exchange", "plain layer norm"):
        ratio = paired_ratio((block + ours - np.asarray(times[other])).tolist(), block.tolist())
        name, seconds = f"{prefix}exchange / {other}, by norms", float(np.median(ours))
        ratios.append(Ratio(name, mode, False, *ratio, len(ours), seconds))
    return ratios


def _ratios(
    times: Mapping[str, Sequence[float]], prefix: str, mode: Mode, compiled: bool
) -> list[Ratio]:
    """The first over each of the others."""
    first, *others = times
    ratios = []
    for other in others:
        ratio = paired_ratio(times[first], times[other])
        seconds = float(np.median(times[first]))
        name, rounds = f"{prefix}{first} / {other}", len(times[first])
        ratios.append(Ratio(name, mode, compiled, *ratio, rounds, seconds))
    return ratios


def cases(
    encoder: str,
    width: int | None,
    decoder_channels: int | None,
    batch: int = 2,
    size: tuple[int, int] = (240, 320),
    device: str = "cpu",
) -> dict[str, Case]:
    """The three networks to compare; a tenth of the own channels of the first is exchanged."""

    def case(rate: float | None, **norms: Any) -> Case:
        channels = {"width": width, "decoder_channels": decoder_channels}
        model = {"encoder": encoder, "inputs": {"rgb": 3, "depth": 3}, **channels, **norms}
        train = {"optimizer": "sgd", "weight_decay": 1e-5, "sparsity": 6e-4}
        config = Config.from_dict({"model": model, "data": {"classes": 40}, "train": train})
        return Case(config, 2, batch, size, rate, device)

    return {
        "exchange": case(0.1),
        "no exchange": case(None, exchange=False),
        "plain batch norm": case(None, norm="shared", exchange=False, penalty="none"),
    }
