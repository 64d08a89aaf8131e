"""The UPerNet decoder, written as a plain single-stream network.

Xiao, Liu, Zhou, Jiang, Sun, "Unified Perceptual Parsing for Scene Understanding", ECCV 2018, as it
is used on Swin and ConvNeXt: pyramid pooling of the deepest feature map, a feature pyramid from
there to the finest, and one convolution that reads all of it. The auxiliary classifier that such
networks are trained with is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from cen.models.dense_decoder import ConvNorm, DenseDecoder, enlarged
from cen.models.fpn import TopDown
from cen.models.pspnet import BINS, pooled


class UPerNetDecoder(DenseDecoder):
    """Pyramid pooling, a feature pyramid, and a convolution of all its maps.

    Args:
        in_channels: channels of the encoder's feature maps, finest first.
        channels: channels of every map and of the output; 512 in the paper.
        norm: batch norms behind the convolutions, as in the paper; without, biases.
        dropout: probability of dropout before the classifier; 0.1 in the code of its users.

    Raises:
        ConfigError: if ``channels`` is below 1 or ``dropout`` not within [0, 1).
    """

    first_norms = "p*s.*.norm"  # those of the pooled maps, and the laterals
    sees_whole = "pyramid pooling"

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 512,
        *,
        norm: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(in_channels, channels, dropout)
        deepest = in_channels[-1]
        self.pools = nn.ModuleList(ConvNorm(deepest, channels, 1, norm=norm) for _ in BINS)
        self.join = ConvNorm(deepest + len(BINS) * channels, channels, 3, norm=norm)
        self.pyramid = TopDown(in_channels[:-1], channels, norm=norm)
        self.fuse = ConvNorm(len(in_channels) * channels, channels, 3, norm=norm)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map the feature maps, finest first, to (N, channels, H, W) at the finest one's size."""
        deepest = self.join(torch.cat(pooled(features[-1], self.pools), 1))
        maps = [*self.pyramid(features[:-1], deepest), deepest]
        joined = torch.cat([enlarged(x, features[0]) for x in maps], 1)
        return cast(Tensor, self.dropout(self.fuse(joined)))
