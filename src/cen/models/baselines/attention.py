"""Self-attention fusion by squeeze-and-excite gates.

Valada, Mohan, Burgard, "Self-Supervised Model Adaptation for Multimodal Semantic Segmentation",
IJCV 2019: the streams' maps side by side pass a bottleneck of two 3x3 convolutions that ends in a
sigmoid, the maps are multiplied with the result, value by value, and a 3x3 convolution with a norm
joins them. Their own encoder and decoder are not rebuilt here; the block stands in the method's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from cen.models.baselines.fuse import Fuse


class Attention(Fuse):
    """An SSMA block for any number of streams; an absent stream counts as zeros.

    Args:
        channels: C, channels of each stream's feature map and of the result.
        streams: S, number of the streams.
        norm: a batch norm behind the last convolution; without, a bias.
        reduction: how many times narrower the bottleneck is than the S * C channels; 16 in the
            paper's deep block. It has at least 4 channels.
    """

    def __init__(
        self, channels: int, streams: int, *, norm: bool = True, reduction: int = 16
    ) -> None:
        super().__init__(channels, streams, norm=norm)
        wide = streams * channels
        self.squeeze = nn.Conv2d(wide, max(4, wide // reduction), 3, padding=1)
        self.excite = nn.Conv2d(self.squeeze.out_channels, wide, 3, padding=1)
        self.join = nn.Conv2d(wide, channels, 3, padding=1, bias=not norm)
        self.norm = nn.BatchNorm2d(channels) if norm else nn.Identity()
        nn.init.kaiming_normal_(self.squeeze.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.join.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, packed: Tensor, present: Sequence[int]) -> Tensor:
        """Map (B * P, C, H, W) to (B, C, H, W)."""
        wide = self.side_by_side(packed, present)
        gates = self.excite(F.relu(self.squeeze(wide))).sigmoid()
        return cast(Tensor, self.norm(self.join(wide * gates)))
