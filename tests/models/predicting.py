"""Predictions of a network without gradients."""

from typing import Any

import torch
from torch import Tensor, nn


def predict(net: nn.Module, inputs: dict[str, Tensor], **options: Any) -> Any:
    """What the network gives."""
    with torch.no_grad():
        return net(inputs, **options)
