"""How inputs of any number of channels reach a first convolution made for three.

One channel is tiled to three and rides through the shared first convolution, and so does an input
of three. Any other count gets a private first convolution, started from the shared one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cen.exchange import adapt_channels

TILED = (1, 3)
"""Numbers of input channels that use the shared three-channel first convolution."""


def tile(image: Tensor) -> Tensor:
    """Repeat a one-channel image (B, 1, H, W) to three channels; others are handed back."""
    return image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image


def private_stem(shared: nn.Conv2d, channels: int, fresh: bool = False) -> nn.Conv2d:
    """A first convolution for ``channels`` input channels.

    Args:
        shared: the convolution of three channels that others use.
        channels: number of input channels.
        fresh: draw weights of the size of the shared one's, which are random themselves, so that
            no two channels begin alike; otherwise start from the shared one's.
    """
    stem = nn.Conv2d(
        channels,
        shared.out_channels,
        (shared.kernel_size[0], shared.kernel_size[1]),
        (shared.stride[0], shared.stride[1]),
        (int(shared.padding[0]), int(shared.padding[1])),
        bias=shared.bias is not None,
        device=shared.weight.device,
        dtype=shared.weight.dtype,
    )
    with torch.no_grad():
        if fresh and not shared.weight.is_meta:
            stem.weight.normal_(0.0, float(shared.weight.std()))
        else:
            stem.weight.copy_(adapt_channels(shared.weight, channels))
        if stem.bias is not None and shared.bias is not None:
            stem.bias.copy_(shared.bias)
    return stem
