"""Soft gating: how much each stream has to say is computed anew for every value.

After the gated fusion layer of Cheng, Cai, Li, Zhao, Huang, "Locality-Sensitive Deconvolution
Networks with Gated Fusion for RGB-D Indoor Semantic Segmentation", CVPR 2017, which weighs the
predictions of two streams by a gate and its complement. Here the gates of any number of streams
are a softmax, and feature maps can be gated, too (this project's extension).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cen.exchange.streams import widen
from cen.models.baselines.fuse import Fuse


class Gate(Fuse):
    """A sum of the streams weighted by a softmax over those that are present.

    A 1x1 convolution over all the streams' maps side by side gives the weights, one for every
    stream, channel and position. It starts at zero, so that the block starts as the mean.
    """

    def __init__(self, channels: int, streams: int, *, norm: bool = True) -> None:
        super().__init__(channels, streams, norm=norm)
        self.conv = nn.Conv2d(streams * channels, streams * channels, 1)
        nn.init.zeros_(self.conv.weight)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, packed: Tensor, present: Sequence[int]) -> Tensor:
        """Map (B * P, C, H, W) to (B, C, H, W)."""
        logits = self.apart(self.conv(self.side_by_side(packed, present)))
        if len(present) < self.streams:
            logits = torch.stack([logits[:, stream] for stream in present], 1)
        features = self.apart(widen(packed, len(present)))
        return (logits.softmax(1) * features).sum(1)
