"""The MLP decoder of SegFormer, written as a plain single-stream network.

Xie, Wang, Yu, Anandkumar, Alvarez, Luo, "SegFormer", NeurIPS 2021: every feature map is mapped to
the same number of channels and enlarged to the finest one, and one layer reads all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from cen.models.dense_decoder import ConvNorm, DenseDecoder, enlarged


class SegFormerDecoder(DenseDecoder):
    """A linear layer for each feature map, and one for all of them.

    Args:
        in_channels: channels of the encoder's feature maps, finest first.
        channels: channels of every map and of the output; in the paper 256 for MiT-B0 and B1, 768
            for the others.
        norm: a batch norm behind the layer that reads all maps, as in the paper; without, a bias.
        dropout: probability of dropout before the classifier; 0.1 in the paper's code.

    Raises:
        ConfigError: if ``channels`` is below 1 or ``dropout`` not within [0, 1).
    """

    # There is but one norm, so outputs exchange after it.
    first_norms = ""

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        *,
        norm: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(in_channels, channels, dropout)
        self.linears = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.fuse = ConvNorm(len(in_channels) * channels, channels, 1, norm=norm)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map the feature maps, finest first, to (N, channels, H, W) at the finest one's size."""
        pairs = zip(self.linears, features, strict=True)
        maps = [enlarged(linear(feature), features[0]) for linear, feature in pairs]
        return cast(Tensor, self.dropout(self.fuse(torch.cat(maps, 1))))
