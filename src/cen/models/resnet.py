"""ResNet encoders, written as plain single-stream networks.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, with the stride of
a bottleneck in its 3x3 convolution (as in torchvision). The modules bear the names of torchvision's
ResNet (``conv1``, ``bn1``, ``layer1`` ...), so that ImageNet weights load without renaming.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from cen.errors import ConfigError


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (ResNet-18 and ResNet-34)."""

    expansion = 1
    # The released code never exchanges in basic blocks; after the first norm is this project's
    # choice: like bn2 of a bottleneck it lies inside the residual branch and before a ReLU.
    exchanging = "layer*.bn1"

    def __init__(self, in_channels: int, channels: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride, dilation)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels, 1, dilation)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution and a shortcut (ResNet-50, ResNet-101 and ResNet-152)."""

    expansion = 4
    exchanging = "layer*.bn2"  # as in the released code: after the norm of the 3x3 convolution

    def __init__(self, in_channels: int, channels: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels, stride, dilation)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 4 * channels, ceil(H / stride), ceil(W / stride))."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


def conv3x3(in_channels: int, channels: int, stride: int, dilation: int) -> nn.Conv2d:
    """A 3x3 convolution without bias, padded so that stride 1 keeps the size."""
    return nn.Conv2d(in_channels, channels, 3, stride, dilation, dilation, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


LAYOUTS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
"""Block and number of blocks in each of the four stages, by depth."""


class ResNet(nn.Module):
    """A ResNet without its classifier: four feature maps at strides 4, 8, 16 and 32.

    With ``output_stride`` 16 or 8 the strides beyond it become dilations (Yu, Koltun, Funkhouser,
    "Dilated Residual Networks", CVPR 2017), in the way of torchvision: the first block of a stage
    keeps the dilation of the stage before. The weights are the same, so those of ImageNet load.
    Dilated basic blocks (ResNet-18 and 34) are this project's extension.

    Args:
        depth: 18, 34, 50, 101 or 152.
        width: channels of the stem; the stages have 1, 2, 4 and 8 times as many (times 4 with
            bottlenecks). 64 is the ResNet of the paper; this project's narrow ones train on a
            laptop.
        output_stride: greatest stride of a feature map: 32, 16 or 8.

    Attributes:
        channels: channels of the four feature maps, finest first.
        exchanging: pattern of the names of the norms after which channels are exchanged.
        stages: names of the modules that give the feature maps, which follow one another.

    Raises:
        ConfigError: if there is no ResNet of this depth, the width is below 1 or the output stride
            none of the three.
    """

    stages = ("layer1", "layer2", "layer3", "layer4")

    def __init__(self, depth: int, width: int = 64, output_stride: int = 32) -> None:
        super().__init__()
        if depth not in LAYOUTS:
            depths = ", ".join(map(str, LAYOUTS))
            raise ConfigError(f"there is no ResNet of depth {depth}; the depths are {depths}")
        if width < 1:
            raise ConfigError(f"the width of a ResNet is at least 1, not {width}")
        if output_stride not in (8, 16, 32):
            raise ConfigError(f"the output stride of a ResNet is 8, 16 or 32, not {output_stride}")
        block, counts = LAYOUTS[depth]
        self.depth = depth
        self.width = width
        self.output_stride = output_stride
        self.exchanging = block.exchanging
        self.channels = tuple(width * 2**stage * block.expansion for stage in range(4))
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        in_channels, reached, dilation = width, 4, 1
        for stage, count in enumerate(counts):
            stride, first_dilation = 1 if stage == 0 else 2, dilation
            if reached * stride > output_stride:
                stride, dilation = 1, dilation * 2
            reached *= stride
            blocks: list[nn.Module] = []
            for index in range(count):
                how = (stride, first_dilation) if index == 0 else (1, dilation)
                blocks.append(block(in_channels, width * 2**stage, *how))
                in_channels = self.channels[stage]
            setattr(self, self.stages[stage], nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map an image (N, 3, H, W) to its feature maps at strides 4, 8, 16 and 32."""
        return self.body(self.conv1(x))

    def body(self, x: Tensor, after: Callable[[int, Tensor], Tensor] | None = None) -> list[Tensor]:
        """Map what the first convolution gave, (N, width, H/2, W/2), to the feature maps.

        Args:
            x: the result of the first convolution.
            after: maps the number of a stage (from 1) and its feature map to the map that the next
                stage sees and that is handed back; None changes nothing.
        """
        return stage_maps(self, self.stages, self.maxpool(F.relu(self.bn1(x))), after)


def stage_maps(
    encoder: nn.Module,
    stages: Sequence[str],
    x: Tensor,
    after: Callable[[int, Tensor], Tensor] | None,
) -> list[Tensor]:
    """The feature maps of stages that follow one another; see `ResNet.body`.

    Args:
        encoder: what holds the stages.
        stages: their names.
        x: what the first stage sees.
        after: maps number and feature map of a stage to what the next one sees; None: nothing.
    """
    features = []
    for number, stage in enumerate(stages, 1):
        x = cast(Tensor, getattr(encoder, stage)(x))
        if after is not None:
            x = after(number, x)
        features.append(x)
    return features
