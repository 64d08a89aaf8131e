"""What a network costs: parameters and multiply-adds."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from cen.errors import ShapeError
from cen.exchange import exchange_layers
from cen.folding import plan_of
from cen.models.foreign_weights import shadow_copy
from cen.models.network import ChannelExchangeNetwork


class Costs(NamedTuple):
    """What a network costs.

    Attributes:
        parameters: Values that are learned, each once, however many streams use it.
        multiply_adds: Multiplications with an addition in the convolutions and matrix products of
            one forward pass, for one sample with all its inputs. Norms and what they exchange,
            activations and resizing are not counted, as is usual.
    """

    parameters: int
    multiply_adds: int


def costs(net: ChannelExchangeNetwork, size: tuple[int, int]) -> Costs:
    """Counts the parameters and multiply-adds of a network.

    Nothing is computed: PyTorch's `FlopCounterMode` watches a copy without values, so that large
    networks and images take seconds on any machine. Streams ride on the batch axis and are counted
    as often as they run.

    Args:
        net: a network made by `cen.build`; it is not changed.
        size: height and width of the inputs in pixels.

    Raises:
        ShapeError: the size is too small for the network.
    """
    if min(size) < 1:
        raise ShapeError(f"the size of an image is at least 1 pixel, not {size[0]} × {size[1]}")
    shadow = shadow_copy(net).eval()
    inputs = {
        name: torch.empty(1, channels, *size, device="meta")
        for name, channels in net.inputs.items()
    }
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(inputs)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return Costs(parameters, counted(counter, exchange_layers(net)))


def counted(counter: FlopCounterMode, exchanging: Collection[str]) -> int:
    """Multiply-adds that were counted in one call of a module, but for what norms exchange.

    The mean of several streams is a small product, which is none of those of the network.

    Args:
        counter: What counted.
        exchanging: Names of the norms that exchange.
    """
    counts = counter.get_flop_counts()
    # Names begin with that of the module that was called.
    norms = [counts[name] for name in counts if name.partition(".")[2] in exchanging]
    return (counter.get_total_flops() - sum(sum(norm.values()) for norm in norms)) // 2


def folded_multiply_adds(net: ChannelExchangeNetwork, size: tuple[int, int], unfolded: int) -> int:
    """Counts what is left of the multiply-adds when `cen.fold` folds a network.

    Args:
        net: the network; it is not changed.
        size: height and width of the inputs in pixels.
        unfolded: what `costs` counts.
    """
    # Of one value, as only the sizes are read.
    value = next(net.parameters()).new_zeros(())
    inputs = {name: value.expand(1, channels, *size) for name, channels in net.inputs.items()}
    plan = plan_of(net, inputs)
    if plan.graph is None:
        return unfolded
    return unfolded - sum(layer.before - layer.after for layer in plan.layers)
