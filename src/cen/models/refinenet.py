"""The RefineNet decoder, written as a plain single-stream network.

Lin, Milan, Shen, Reid, "RefineNet: Multi-Path Refinement Networks for High-Resolution Semantic
Segmentation", CVPR 2017, in the layout of the released CEN code. The norms
(``norm=True``) are this project's extension: the released decoder has none and relies on an
encoder pretrained on ImageNet.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cen.models.dense_decoder import DenseDecoder


class Conv(nn.Module):
    """A 3x3 convolution, with a batch norm behind it or not.

    A bias is dropped where a norm follows: the norm's own shift takes its place.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, norm: bool, bias: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias and not norm)
        self.norm = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        # Without norms the residual branches of a path add up. A third of He's standard deviation
        # keeps the signal's size about the same from end to end (this project's choice).
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        if not norm:
            nn.init.normal_(self.conv.weight, std=(2 / 9 / in_channels) ** 0.5 / 3)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        out: Tensor = self.norm(self.conv(x))
        return out


class ResidualConv(nn.Module):
    """One block of a residual convolution unit (RCU).

    In the released code the first ReLU works in place and so rectifies the shortcut as well; here
    the shortcut is written out as the rectified input.
    """

    def __init__(self, channels: int, *, norm: bool) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels, norm=norm, bias=True)
        self.conv2 = Conv(channels, channels, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        x = F.relu(x)
        out: Tensor = self.conv2(F.relu(self.conv1(x)))
        return out + x


class ChainedPooling(nn.Module):
    """Chained residual pooling (CRP): four times pool and convolve, all results summed."""

    def __init__(self, channels: int, *, norm: bool, stages: int = 4) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Conv(channels, channels, norm=norm) for _ in range(stages))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        pooled = x
        for conv in self.convs:
            pooled = conv(pool5(pooled))
            x = x + pooled
        return x


def pool5(x: Tensor) -> Tensor:
    """5x5 max pooling with stride 1: (N, C, H, W) to the same shape and memory format."""
    if x.device.type == "cpu" and x.is_contiguous():
        # PyTorch's CPU kernel is several times faster with channels last, conversions included.
        x = x.contiguous(memory_format=torch.channels_last)
        return F.max_pool2d(x, 5, stride=1, padding=2).contiguous()
    return F.max_pool2d(x, 5, stride=1, padding=2)


class RefineLevel(nn.Module):
    """One level of the decoder: adapt an encoder feature, merge the coarser path, refine.

    Args:
        in_channels: channels of the encoder feature.
        channels: channels inside the level.
        out_channels: channels handed to the next finer level; None for the finest level, which
            hands on what it has.
        deepest: True for the level that has no coarser path to merge.
        norm: put a batch norm behind every convolution.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        out_channels: int | None,
        *,
        deepest: bool,
        norm: bool,
    ) -> None:
        super().__init__()
        self.reduce = Conv(in_channels, channels, norm=norm)
        self.adapt = nn.Sequential(*(ResidualConv(channels, norm=norm) for _ in range(2)))
        self.merge = None if deepest else Conv(channels, channels, norm=norm)
        self.pool = ChainedPooling(channels, norm=norm)
        self.refine = nn.Sequential(*(ResidualConv(channels, norm=norm) for _ in range(3)))
        self.project = None if out_channels is None else Conv(channels, out_channels, norm=norm)

    def forward(self, feature: Tensor, coarser: Tensor | None = None) -> Tensor:
        """Map the encoder feature (N, C, H, W) and the coarser path to (N, out, H, W)."""
        x: Tensor = self.adapt(self.reduce(feature))
        if self.merge is not None and coarser is not None:
            size = (feature.shape[-2], feature.shape[-1])
            x = self.merge(x) + F.interpolate(coarser, size, mode="bilinear", align_corners=True)
        x = self.refine(self.pool(F.relu(x)))
        return x if self.project is None else self.project(x)


class RefineNetDecoder(DenseDecoder):
    """Four refinement levels, from the deepest encoder feature to the finest.

    Args:
        in_channels: channels of the four encoder features, finest first.
        channels: channels of the levels; the deepest has twice as many. 256 as released.
        norm: put a batch norm behind every convolution (this project's extension).
        dropout: probability of dropout on the two deepest encoder features and before the
            classifier; 0.5 as released.

    Raises:
        ConfigError: if ``channels`` is below 1 or ``dropout`` not within [0, 1).
    """

    head_kernel = 3  # as released
    first_norms = "levels.*.reduce.norm"

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        *,
        norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(in_channels, channels, dropout)
        finest = len(in_channels) - 1
        self.levels = nn.ModuleList(
            RefineLevel(
                width,
                2 * channels if index == 0 else channels,
                None if index == finest else channels,
                deepest=index == 0,
                norm=norm,
            )
            for index, width in enumerate(reversed(in_channels))
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map features, finest first, to (N, channels, H, W) at the finest one's size."""
        x: Tensor | None = None
        for index, (level, feature) in enumerate(zip(self.levels, reversed(features), strict=True)):
            x = level(self.dropout(feature) if index < 2 else feature, x)
        out: Tensor = self.dropout(x)
        return out
