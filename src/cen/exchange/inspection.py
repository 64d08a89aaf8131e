"""What a network exchanges at present, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cen import notebook
from cen.exchange.functional import whole
from cen.exchange.penalty import exchange_layers
from cen.exchange.stream_norm import StreamNorm


@dataclass(frozen=True)
class LayerExchange:
    """The exchange of one stream at one layer.

    Attributes:
        name: Qualified name of the norm layer.
        stream: Name of the stream.
        channels: C.
        own: Size of the stream's own part.
        own_start: First own channel.
        replaced: Own channels that are replaced.
        rate: ``replaced / own``, the exchange rate, in [0, 1]; 0 for an empty part.
        quantiles: Minimum, quartiles and maximum of |γ| over all C channels.
        mask: Per channel, whether it is replaced (with scope "any" also outside the own part).
        attracted: Share of the own channels whose task gradient |∂L/∂γ| is below λ, so that the
            penalty wins (the measured counterpart of the paper's Theorem 1); None without
            gradients.
        own_parts: The pieces of the own part, each from its first channel up to the one behind its
            last: more than one where ``parts`` is "keeper" and there are three streams or more.
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
    own_parts: tuple[tuple[int, int], ...] = ()


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

    def _repr_html_(self) -> str:
        """For notebooks: the rate, α, and the layers."""
        alpha = [
            (f"α of {output}", ", ".join(f"{name} {value:.2f}" for name, value in weights.items()))
            for output, weights in self.alpha.items()
        ]
        layers = (
            (layer.name, layer.stream, f"{layer.replaced} of {layer.own}", f"{layer.rate:.1%}")
            for layer in self.layers
        )
        return notebook.table(
            "Exchange", [("own channels exchanged", f"{self.rate:.1%}"), *alpha]
        ) + notebook.table("Layers", layers, ("layer", "stream", "exchanged", "rate"))


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
    norms = exchange_layers(net)
    read = _read_back(list(norms.values()))
    for (name, layer), (scales, parts, masks, partnered) in zip(norms.items(), read, strict=True):
        levels = torch.quantile(scales, torch.linspace(0, 1, 5), dim=1).T
        gradient = None if layer.weight.grad is None else whole(layer.weight.grad)
        for s, stream in enumerate(layer.streams.names):
            if not partnered[s]:
                continue
            own, replaced = int(parts[s].sum()), int((masks[s] & parts[s]).sum())
            attracted = None
            if gradient is not None and task_gradient_below is not None and own:
                weak = gradient[s].abs().cpu()[parts[s]] < task_gradient_below
                attracted = float(weak.float().mean())
            layers.append(
                LayerExchange(
                    name=name,
                    stream=str(stream),
                    channels=layer.num_features,
                    own=own,
                    own_start=int(parts[s].int().argmax()) if own else 0,
                    replaced=replaced,
                    rate=replaced / own if own else 0.0,
                    quantiles=tuple(levels[s].tolist()),
                    mask=tuple(masks[s].tolist()),
                    attracted=attracted,
                    own_parts=_pieces(parts[s]),
                )
            )
    alpha: dict[str, dict[str, float]] = {}
    for module in net.modules():
        weights = getattr(module, "alpha_weights", None)
        if callable(weights):
            alpha.update(weights())
    return Inspection(layers, alpha)


def _pieces(part: Tensor) -> tuple[tuple[int, int], ...]:
    """The runs of channels in (C,) bool, each from its first up to the one behind its last."""
    none = part.new_zeros(1, dtype=torch.int8)
    changes = torch.cat([none, part.to(torch.int8), none]).diff().nonzero().flatten().tolist()
    return tuple(zip(changes[::2], changes[1::2], strict=True))


def _read_back(layers: Sequence[StreamNorm]) -> Iterator[tuple[Tensor, Tensor, Tensor, list[bool]]]:
    """|γ|, own parts, what is replaced, each (S, C) on the host, and which streams have a partner.

    One copy for all layers: each of its own would wait for the device.
    """
    if not layers:
        return
    masks = [torch.stack([layer.own, layer.replaced()]).flatten() for layer in layers]
    sizes = [mask.numel() for mask in masks]
    bits = torch.split(torch.cat(masks).cpu(), sizes)
    scales = (
        torch.cat([whole(layer.weight.detach()).float().flatten() for layer in layers]).abs().cpu()
    )
    partnered = torch.cat([layer.partnered.flatten() for layer in layers]).cpu()
    values = torch.split(scales, [size // 2 for size in sizes])
    partners = torch.split(partnered, [len(layer.streams) for layer in layers])
    for layer, bit, value, partner in zip(layers, bits, values, partners, strict=True):
        own, replaced = bit.view(2, *layer.own.shape)
        yield value.view(layer.own.shape), own, replaced, partner.tolist()
