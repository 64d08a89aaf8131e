"""What a fusion block is: several streams' feature maps in, one feature map out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cen.exchange.streams import widen


class Fuse(nn.Module):
    """Base of the fusion blocks.

    Args:
        channels: C, channels of each stream's feature map and of the result.
        streams: S, number of the streams.
        norm: put a batch norm behind the block's last convolution, if it has one; False for
            networks that are trained on single images.
    """

    def __init__(self, channels: int, streams: int, *, norm: bool = True) -> None:
        super().__init__()
        self.channels = channels
        self.streams = streams

    def forward(self, packed: Tensor, present: Sequence[int]) -> Tensor:
        """Fuse the feature maps of the streams that are present.

        Args:
            packed: (B * P, C, H, W), sample by sample, P the number of streams present.
            present: their indices, rising.

        Returns:
            (B, C, H, W).
        """
        raise NotImplementedError

    def side_by_side(self, packed: Tensor, present: Sequence[int]) -> Tensor:
        """All S streams' maps along the channels, (B, S * C, H, W); zeros for an absent stream.

        Zeros are what is left of a ReLU's or a normalised image's signal where there is none (this
        project's choice: the sources of the baselines know no missing modality).
        """
        wide = widen(packed, len(present))
        if len(present) == self.streams:
            return wide
        known = dict(zip(present, wide.chunk(len(present), 1), strict=True))
        blank = torch.zeros_like(next(iter(known.values())))
        return torch.cat([known.get(stream, blank) for stream in range(self.streams)], 1)

    def apart(self, wide: Tensor) -> Tensor:
        """View (B, P * C, H, W) as (B, P, C, H, W)."""
        return torch.unflatten(wide, 1, (-1, self.channels))
