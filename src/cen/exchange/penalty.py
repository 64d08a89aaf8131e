"""The sparsity penalty on the scales of a network (paper, equation 4), and its exchange rate."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from cen.errors import ConfigError, described
from cen.exchange.functional import whole
from cen.exchange.stream_norm import StreamNorm


def exchange_layers(net: nn.Module) -> dict[str, StreamNorm]:
    """The norms of a network that have an exchange rule, by qualified name, each once.

    Raises:
        ConfigError: ``net`` is no network.
    """
    if not isinstance(net, nn.Module):
        raise ConfigError(f"exchange is read off a network (nn.Module), not {described(net)}")
    return {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, StreamNorm) and module.exchange is not None
    }


def sparsity(net: nn.Module, streams: Collection[str] | None = None) -> Tensor:
    """The penalty Σ_l Σ_s Σ_{c in part s} |γ_{s,l,c}| (paper, equation 4), counted once.

    Multiply by λ and add it to the task loss inside the training step, so that DDP sees it. The
    released code adds the term once per output; here a layer used in several places or a network
    with several outputs still counts it once. Scales that FSDP2 has sharded are put together, so
    all processes have to call it, as they have to call `exchange_rate` and `inspect`.

    Args:
        net: Any network with stream norms.
        streams: Count these streams only (those present in the step); default: all.

    Returns:
        A scalar; 0 for a network that exchanges nothing.

    Raises:
        ConfigError: ``net`` is no network.
        StreamError: A name in ``streams`` is unknown to a layer.
    """
    layers = exchange_layers(net).values()
    device = next((p.device for p in net.parameters()), None)
    return total_penalty([(layer, streams) for layer in layers], device)


def total_penalty(
    layers: Sequence[tuple[StreamNorm, Collection[str] | None]], device: torch.device | None
) -> Tensor:
    """The penalty of several layers, each with the streams that count in it (None: all).

    All scales at once: on a GPU, a sum per layer costs more launches than the layer itself.

    Args:
        layers: Layers and names of streams.
        device: Where the scalar lies if no layer is penalised.

    Raises:
        StreamError: A name is unknown to its layer.
    """
    counted = [layer.counted(streams).flatten() for layer, streams in layers]
    if not counted:
        return torch.zeros((), device=device)
    scales = torch.cat([whole(layer.weight).flatten() for layer, _ in layers])
    return torch.where(torch.cat(counted), scales.abs(), 0).sum()


def exchange_rate(net: nn.Module) -> Tensor:
    """Share of the own channels that are replaced, over all exchanging layers and streams.

    Streams without a partner do not count. A scalar in [0, 1] on the network's device (no
    synchronisation); 0 for a network that exchanges nothing.
    """
    layers = list(exchange_layers(net).values())
    if not layers:
        device = next((p.device for p in net.parameters()), None)
        return torch.zeros((), device=device)
    own = torch.stack([layer.owned.sum() for layer in layers]).sum()
    gone = torch.stack([(layer.own & layer.replaced()).sum() for layer in layers]).sum()
    return gone / own.clamp(min=1)
