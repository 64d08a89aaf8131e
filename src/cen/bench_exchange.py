"""What the exchange costs in time: paired ratios of networks that alternate in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from cen.errors import ConfigError
from cen.exchange import ExchangeRule, exchange_layers, sparsity
from cen.losses import fusion_loss
from cen.models import ChannelExchangeNetwork, build

Mode = Literal["evaluation", "training"]
MODES: tuple[Mode, ...] = ("evaluation", "training")


@dataclass(frozen=True)
class Ratio:
    """Time of one network over another, measured side by side.

    Attributes:
        name: "A / B".
        mode: "evaluation" (forward pass) or "training" (forward, backward and optimiser step).
        compiled: Whether both ran under ``torch.compile``.
        median: Median of the paired ratios.
        low: Lower end of an interval that holds the median with at least 95 % (order statistics).
        high: Upper end.
        rounds: Number of pairs.
        seconds: Median time of A, in seconds.
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


def paired_ratios(times: Mapping[str, Sequence[float]], pairs: Sequence[tuple[str, str]]) -> Any:
    """Median ratio and its 95 % interval for each pair of names, from times taken in rounds.

    The interval is distribution-free: the narrowest pair of order statistics, the same number from
    either end, that holds the true median with a probability of at least 95 %.

    Returns:
        One (median, low, high) per pair.
    """
    results = []
    for one, other in pairs:
        ratios = np.sort(np.asarray(times[one]) / np.asarray(times[other]))
        cut = _cut(len(ratios))
        results.append((float(np.median(ratios)), float(ratios[cut]), float(ratios[-1 - cut])))
    return results


def _cut(count: int) -> int:
    """How many of ``count`` sorted values to leave out at either end of the interval."""
    outside, cut = 2 * 0.5**count, 0
    while outside + 2 * comb(count, cut + 1) * 0.5**count <= 0.05:
        cut += 1
        outside += 2 * comb(count, cut) * 0.5**count
    return cut


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
    modes: Sequence[Mode] = MODES,
    progress: Callable[[str], None] | None = None,
) -> list[Ratio]:
    """Times RefineNet with two modalities with exchange, without it, and with plain batch norm.

    The three networks have the same convolutions; the third runs ``nn.BatchNorm2d`` on the same
    packed tensor. They take turns in one process, so that a busy machine slows them alike.

    Args:
        encoder: Name of the ResNet.
        width: Channels of its stem; None is the released 64.
        decoder_channels: Channels of the decoder; None is the released 256.
        batch: Images per modality.
        size: (H, W) of the images.
        rounds: Pairs to measure per mode.
        device: "cpu" or a CUDA device.
        compiled: Run the networks under ``torch.compile``.
        modes: What to time.
        progress: Called with a line of text now and then.

    Returns:
        For every mode, exchange / no exchange and exchange / plain batch norm.

    Raises:
        ConfigError: Fewer than 6 rounds, which give no interval, or the device is not there.
    """
    if rounds < 6:
        raise ConfigError(f"rounds must be at least 6 to give an interval, got {rounds}")
    torch.manual_seed(0)
    target = torch.device(device)
    if target.type == "cuda" and (target.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device {device}: PyTorch {torch.__version__} finds {torch.cuda.device_count()} CUDA "
            "devices here; give cpu"
        )
    inputs = {name: torch.randn(batch, 3, *size, device=target) for name in ("rgb", "depth")}
    labels = torch.randint(0, 40, (batch, *size), device=target)
    ratios = []
    for mode in modes:
        steps = {
            name: _step(net.to(target), inputs, labels, mode, compiled)
            for name, net in networks(encoder, width, decoder_channels).items()
        }
        times = _take_turns(steps, rounds, target, mode, progress)
        pairs = [("exchange", "no exchange"), ("exchange", "plain batch norm")]
        for pair, (median, low, high) in zip(pairs, paired_ratios(times, pairs), strict=True):
            seconds = float(np.median(times[pair[0]]))
            label = " / ".join(pair)
            ratios.append(Ratio(label, mode, compiled, median, low, high, rounds, seconds))
    return ratios


def _take_turns(
    steps: Mapping[str, Callable[[], Any]],
    rounds: int,
    device: torch.device,
    mode: Mode,
    progress: Callable[[str], None] | None,
) -> dict[str, list[float]]:
    """Seconds of every step in every round, after two calls of each to warm up."""
    if progress is not None:
        progress(f"{mode}: warming up")
    for _ in range(2):
        for step in steps.values():
            _timed(step, device)
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for turn in range(rounds):
        # Rotating the order keeps any effect of the predecessor from favouring one network.
        first = turn % len(order)
        for name in order[first:] + order[:first]:
            times[name].append(_timed(steps[name], device))
        if progress is not None:
            progress(f"{mode}: round {turn + 1} of {rounds}")
    return times


def networks(
    encoder: str, width: int | None = None, decoder_channels: int | None = None
) -> dict[str, ChannelExchangeNetwork]:
    """The three networks to compare; a tenth of the own channels of the first is exchanged."""
    arguments: dict[str, Any] = {
        "encoder": encoder,
        "width": width,
        "decoder_channels": decoder_channels,
        "inputs": {"rgb": 3, "depth": 3},
        "outputs": {"segmentation": 40},
    }
    made = {
        "exchange": build("refinenet", **arguments),
        "no exchange": build("refinenet", exchange=ExchangeRule(enabled=False), **arguments),
        "plain batch norm": build("refinenet", norm="shared", **arguments),
    }
    with torch.no_grad():
        for layer in exchange_layers(made["exchange"]).values():
            layer.weight[:, ::10] = 1e-3
    return made


def _step(
    net: ChannelExchangeNetwork,
    inputs: Mapping[str, Tensor],
    labels: Tensor,
    mode: Mode,
    compiled: bool,
) -> Callable[[], Any]:
    net.train(mode == "training")
    forward: nn.Module = torch.compile(net, fullgraph=True) if compiled else net  # type: ignore[assignment]
    if mode == "evaluation":

        def evaluate() -> Any:
            with torch.inference_mode():
                return forward(inputs)

        return evaluate
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-5)

    def train() -> None:
        optimiser.zero_grad()
        loss = fusion_loss(forward(inputs), {"segmentation": labels}, net.outputs).total
        torch.autograd.backward(loss + 6e-4 * sparsity(net))
        optimiser.step()

    return train


def _timed(step: Callable[[], Any], device: torch.device) -> float:
    """Seconds that one call takes, until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
