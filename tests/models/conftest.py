"""Tiny networks that the tests of the models share."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.models.predicting import predict
from torch import Tensor

from cen.exchange import exchange_layers
from cen.models import ChannelExchangeNetwork, build

TINY: dict[str, Any] = {
    "name": "refinenet",
    "encoder": "resnet18",
    "inputs": {"rgb": 3, "depth": 1},
    "outputs": {"segmentation": 5},
    "width": 4,
    "decoder_channels": 4,
}


@pytest.fixture(scope="session")
def make_net() -> Callable[..., ChannelExchangeNetwork]:
    """Build a tiny network with some scales below the threshold, so that channels are exchanged."""

    def make(**changes: Any) -> ChannelExchangeNetwork:
        torch.manual_seed(0)
        net = build(**{**TINY, **changes})
        with torch.no_grad():
            for layer in exchange_layers(net).values():
                layer.weight[torch.rand_like(layer.weight) < 0.3] = 0.001
            for name in net.alpha:
                net.alpha[name].copy_(torch.randn(len(net.inputs)))
        return net

    return make


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., dict[str, Tensor]]:
    """Random images for a network."""

    def make(
        net: ChannelExchangeNetwork, size: tuple[int, int] = (33, 47), batch: int = 2
    ) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(1)
        return {
            name: torch.randn(batch, channels, *size, generator=generator)
            for name, channels in net.inputs.items()
        }

    return make


@pytest.fixture(scope="module")
def inputs(net, make_inputs):
    """Images for the network that the tests of a module share, their ``net``."""
    return make_inputs(net)


@pytest.fixture(scope="module")
def expected(net, inputs):
    """What that network gives for them."""
    return predict(net, inputs)
