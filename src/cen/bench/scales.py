"""Scales at which a network exchanges a share of its own channels."""

from __future__ import annotations

import torch
from torch import nn

from cen.errors import ConfigError
from cen.exchange import exchange_layers


def set_rate(net: nn.Module, rate: float) -> None:
    """Sets the scales of a network so that a share of the own channels is exchanged.

    In every layer and stream the same share (as near as whole channels allow), spread evenly over
    its own part: these scales become 0, the others 1.

    Args:
        net: Any network with stream norms; changed in place.
        rate: The share, in [0, 1].

    Raises:
        ConfigError: The scales do not say what is exchanged: guide "random", a threshold of 0, or
            no exchange at all.
    """
    layers = exchange_layers(net)
    for name, layer in layers.items():
        rule = layer.exchange
        assert rule is not None
        if rate and (layer.chosen is not None or not rule.threshold or not rule.enabled):
            raise ConfigError(
                f"no rate can be set by scales: {name} exchanges by the rule {rule}; leave the "
                "rate out, or take guide 'scale', a threshold above 0 and exchange enabled"
            )
    if rate and not layers:
        raise ConfigError("no rate can be set in a network that exchanges nothing")
    with torch.no_grad():
        for layer in layers.values():
            for scales, owned in zip(layer.weight, layer.owned, strict=True):
                own = owned.nonzero().flatten()
                count = round(rate * len(own))
                scales.fill_(1.0)
                scales[own[[i * len(own) // count for i in range(count)]]] = 0.0
