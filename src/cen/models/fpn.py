"""The semantic branch of Panoptic FPN, written as a plain single-stream network.

Kirillov, Girshick, He, Dollár, "Panoptic Feature Pyramid Networks", CVPR 2019, on the pyramid of
Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017. Its norms are group norms
there and batch norms here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from cen.models.dense_decoder import ConvNorm, DenseDecoder, enlarged


class TopDown(nn.Module):
    """Feature maps of one number of channels, each with what the coarser ones know."""

    def __init__(self, in_channels: Sequence[int], channels: int, *, norm: bool) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(ConvNorm(c, channels, 1, norm=norm) for c in in_channels)
        self.smooth = nn.ModuleList(ConvNorm(channels, channels, 3, norm=norm) for _ in in_channels)

    def forward(self, features: Sequence[Tensor], coarsest: Tensor | None = None) -> list[Tensor]:
        """Map the feature maps, finest first, to (N, channels, H, W) each.

        Args:
            features: what the laterals read.
            coarsest: a coarser map still, which has the number of channels already.
        """
        maps: list[Tensor] = []
        above = coarsest
        for lateral, smooth, feature in zip(
            reversed(self.laterals), reversed(self.smooth), reversed(features), strict=True
        ):
            here = lateral(feature)
            above = here if above is None else here + enlarged(above, here)
            maps.insert(0, smooth(above))
        return maps


class FPNDecoder(DenseDecoder):
    """A feature pyramid whose maps are enlarged step by step and summed.

    Args:
        in_channels: channels of the encoder's feature maps, finest first.
        channels: channels of the output; 128 in the paper. The pyramid has twice as many, as there.
        norm: batch norms behind the convolutions; without, biases.
        dropout: probability of dropout before the classifier.

    Raises:
        ConfigError: if ``channels`` is below 1 or ``dropout`` not within [0, 1).
    """

    first_norms = "pyramid.laterals.*.norm"

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 128,
        *,
        norm: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(in_channels, channels, dropout)
        self.pyramid = TopDown(in_channels, 2 * channels, norm=norm)
        self.levels = nn.ModuleList(
            nn.ModuleList(
                ConvNorm(2 * channels if step == 0 else channels, channels, 3, norm=norm)
                for step in range(max(1, level))
            )
            for level in self.reads
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map the feature maps, finest first, to (N, channels, H, W) at the finest one's size."""
        maps = self.pyramid(features)
        total = torch.zeros((), device=maps[0].device, dtype=maps[0].dtype)
        for level, steps in enumerate(cast(Sequence[nn.ModuleList], self.levels)):
            x = maps[level]
            for step, conv in enumerate(steps, 1):
                x = enlarged(conv(x), maps[max(0, level - step)])
            total = total + x
        return cast(Tensor, self.dropout(total))
