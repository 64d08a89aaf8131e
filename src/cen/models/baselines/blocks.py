"""Fusion blocks: several streams' feature maps in, one feature map out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
        maps_by_stream = dict(zip(present, wide.chunk(len(present), 1), strict=True))
        blank = torch.zeros_like(next(iter(maps_by_stream.values())))
        return torch.cat([maps_by_stream.get(stream, blank) for stream in range(self.streams)], 1)

    def apart(self, wide: Tensor) -> Tensor:
        """View (B, P * C, H, W) as (B, P, C, H, W)."""
        return torch.unflatten(wide, 1, (-1, self.channels))


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


class Average(Fuse):
    """The mean of the streams that are present."""

    def forward(self, packed: Tensor, present: Sequence[int]) -> Tensor:
        """Map (B * P, C, H, W) to (B, C, H, W)."""
        return self.apart(widen(packed, len(present))).mean(1)


class Sum(Fuse):
    """The sum of the streams that are present.

    So FuseNet adds depth features to colour features (Hazirbas, Ma, Domokos, Cremers, ACCV 2016).
    """

    def forward(self, packed: Tensor, present: Sequence[int]) -> Tensor:
        """Map (B * P, C, H, W) to (B, C, H, W)."""
        return self.apart(widen(packed, len(present))).sum(1)


class Attention(Fuse):
    """Self-attention fusion by squeeze-and-excite gates; an absent stream counts as zeros.

    Valada, Mohan, Burgard, "Self-Supervised Model Adaptation for Multimodal Semantic Segmentation",
    IJCV 2019 (SSMA): the streams' maps side by side pass a bottleneck of two 3x3 convolutions that
    ends in a sigmoid, the maps are multiplied with the result, value by value, and a 3x3
    convolution with a norm joins them. Their own encoder and decoder are not rebuilt here.

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


class Gate(Fuse):
    """Soft gating: a sum of the streams weighted by a softmax over those that are present.

    After the gated fusion layer of Cheng, Cai, Li, Zhao, Huang, "Locality-Sensitive Deconvolution
    Networks with Gated Fusion for RGB-D Indoor Semantic Segmentation", CVPR 2017, which weighs the
    predictions of two streams by a gate and its complement. The softmax over any number of streams,
    and gated feature maps, are this project's extension.

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


FUSIONS: Mapping[str, type[Fuse]] = {
    "concat": Concat,
    "average": Average,
    "sum": Sum,
    "attention": Attention,
    "gate": Gate,
}
"""The fusion blocks, by the name that ``fusion`` of `cen.build` gives them."""
