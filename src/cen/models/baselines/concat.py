"""Fusion by concatenation, the common baseline of RGB-D segmentation."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from cen.models.baselines.fuse import Fuse


class Concat(Fuse):
    """The streams' maps side by side, brought back to C channels by a 1x1 convolution.

    A batch norm and a ReLU follow, so that the result looks like the feature maps it is made of;
    without the norm, a bias alone. An absent stream counts as zeros.
    """

    def __init__(self, channels: int, streams: int, *, norm: bool = True) -> None:
        super().__init__(channels, streams, norm=norm)
        self.conv = nn.Conv2d(streams * channels, channels, 1, bias=not norm)
        self.norm = nn.BatchNorm2d(channels) if norm else None
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, packed: Tensor, present: Sequence[int]) -> Tensor:
        """Map (B * P, C, H, W) to (B, C, H, W)."""
        out: Tensor = self.conv(self.side_by_side(packed, present))
        return out if self.norm is None else F.relu(self.norm(out))
