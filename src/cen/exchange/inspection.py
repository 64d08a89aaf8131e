"""What a network exchanges at present, layer by layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from cen.exchange.norm import exchange_layers


@dataclass(frozen=True)
class LayerExchange:
    """The exchange of one stream at one layer.

    Attributes:
        name: Qualified name of the norm layer.
        stream: Name of the stream.
        channels: C.
        own: Size of the stream's own part; the part is ``own_start .. own_start + own``.
        own_start: First own channel.
        replaced: Own channels that are replaced.
        rate: ``replaced / own``, the exchange rate, in [0, 1]; 0 for an empty part.
        quantiles: Minimum, quartiles and maximum of |γ| over all C channels.
        mask: Per channel, whether it is replaced (with scope "any" also outside the own part).
        attracted: Share of the own channels whose task gradient |∂L/∂γ| is below λ, so that the
            penalty wins (the measured counterpart of the paper's Theorem 1); None without
            gradients.
    """

    name: str
    stream: str
    channels: int
    own: int
    own_start: int
    replaced: int
    rate: float
    quantiles: tuple[float, ...]
    mask: tuple[bool, ...] = field(repr=False)
    attracted: float | None = None


@dataclass(frozen=True)
class Inspection:
    """All exchanging layers of a network, and its ensemble weights.

    Attributes:
        layers: One entry per layer and stream.
        alpha: Per output, the softmaxed ensemble weight of each of its streams.
    """

    layers: list[LayerExchange]
    alpha: dict[str, dict[str, float]]

    @property
    def rate(self) -> float:
        """The exchange rate of the whole network: replaced own channels over own channels."""
        own = sum(layer.own for layer in self.layers)
        return sum(layer.replaced for layer in self.layers) / own if own else 0.0

    def to_dict(self, masks: bool = True) -> dict[str, Any]:
        """Plain values for JSON; ``masks=False`` leaves out the per-channel masks."""
        layers = [asdict(layer) for layer in self.layers]
        if not masks:
            for layer in layers:
                del layer["mask"]
        return {"rate": self.rate, "alpha": self.alpha, "layers": layers}


@torch.no_grad()
def inspect(net: nn.Module, task_gradient_below: float | None = None) -> Inspection:
    """Reads off γ, what is replaced where, and α. Synchronises with the device.

    Args:
        net: Any network with stream norms. α is read from submodules that have a method
            ``alpha_weights() -> dict[output, dict[stream, float]]``.
        task_gradient_below: λ; with it, and with gradients of the task loss alone in ``.grad``,
            each entry also tells the share of own channels that the penalty attracts to 0.

    Returns:
        One entry per exchanging layer and stream that has a partner.
    """
    layers = []
    for name, layer in exchange_layers(net).items():
        masks = layer.replaced().cpu()
        scales, parts = layer.weight.detach().abs().float().cpu(), layer.own.cpu()
        levels = torch.quantile(scales, torch.linspace(0, 1, 5), dim=1).T
        gradient = layer.weight.grad
        for s, stream in enumerate(layer.streams.names):
            if not layer.partnered[s]:
                continue
            own, replaced = int(parts[s].sum()), int((masks[s] & parts[s]).sum())
            attracted = None
            if gradient is not None and task_gradient_below is not None and own:
                weak = gradient[s].abs().cpu()[parts[s]] < task_gradient_below
                attracted = float(weak.float().mean())
            layers.append(
                LayerExchange(
                    name=name,
                    stream=stream,
                    channels=layer.num_features,
                    own=own,
                    own_start=int(parts[s].int().argmax()) if own else 0,
                    replaced=replaced,
                    rate=replaced / own if own else 0.0,
                    quantiles=tuple(levels[s].tolist()),
                    mask=tuple(masks[s].tolist()),
                    attracted=attracted,
                )
            )
    alpha: dict[str, dict[str, float]] = {}
    for module in net.modules():
        weights = getattr(module, "alpha_weights", None)
        if callable(weights):
            alpha.update(weights())
    return Inspection(layers, alpha)
