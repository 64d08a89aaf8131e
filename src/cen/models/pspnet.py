"""The PSPNet decoder, written as a plain single-stream network.

Zhao, Shi, Qi, Wang, Jia, "Pyramid Scene Parsing Network", CVPR 2017: the deepest feature map of a
dilated ResNet (output stride 8) is pooled to 1x1, 2x2, 3x3 and 6x6 bins, each level is convolved to
a quarter of the channels and enlarged, and a 3x3 convolution reads all of it together. The paper of
CEN names PSPNet-152 among its networks, but its released code has none: how exchange and pyramid
meet here (exchange in the encoder, private norms in the decoder) is this project's reading. The
auxiliary classifier that PSPNet trains at the third stage is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cen.models.dense_decoder import ConvNorm, DenseDecoder

BINS = (1, 2, 3, 6)
"""Sides of the grids to which the deepest feature map is averaged."""


def pooled(x: Tensor, convs: nn.ModuleList) -> list[Tensor]:
    """A map (N, C, H, W), and what a convolution makes of it pooled to each of the `BINS`."""
    size = (x.shape[-2], x.shape[-1])
    levels = [x]
    for bins, conv in zip(BINS, convs, strict=True):
        level: Tensor = conv(F.adaptive_avg_pool2d(x, bins))
        levels.append(F.interpolate(level, size, mode="bilinear", align_corners=True))
    return levels


class PSPNetDecoder(DenseDecoder):
    """Pyramid pooling of the deepest feature map.

    Args:
        in_channels: channels of the encoder's feature maps, finest first.
        channels: channels of the output; 512 in the paper.
        norm: batch norms behind the convolutions, as in the paper; without, biases (this project's
            extension).
        dropout: probability of dropout before the classifier; 0.1 in the paper's code.

    Raises:
        ConfigError: if ``channels`` is below 1 or ``dropout`` not within [0, 1).
    """

    output_stride = 8
    first_norms = "pyramid.*.norm"
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
        level = max(1, deepest // len(BINS))
        self.reads = (len(in_channels) - 1,)
        self.pyramid = nn.ModuleList(ConvNorm(deepest, level, 1, norm=norm) for _ in BINS)
        self.join = ConvNorm(deepest + len(BINS) * level, channels, 3, norm=norm)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map the feature maps, finest first, to (N, channels, H, W) at the deepest one's size."""
        levels = pooled(features[-1], self.pyramid)
        return cast(Tensor, self.dropout(self.join(torch.cat(levels, 1))))
