"""The Inception network whose features FID and KID are computed on.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, in the
variant of the TensorFlow file of 2015-12-05 that Heusel et al. (NeurIPS 2017) defined FID with:
average pools leave the padding out, the last block pools with a maximum, and images are resized
the way TensorFlow 1 did. Modules bear the names of that file's conversions to PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Kernel = tuple[int, int]


class Layer(NamedTuple):
    """One convolution of a branch; ``fork`` layers see the same input as the one before them."""

    name: str
    channels: int
    kernel: Kernel = (1, 1)
    stride: int = 1
    fork: bool = False


class BasicConv2d(nn.Module):
    """A convolution, a batch norm and a ReLU.

    Args:
        in_channels: channels of the input.
        layer: what the convolution is; padded to keep the size where the stride is 1, else not.
        padded: False for no padding at all.
    """

    def __init__(self, in_channels: int, layer: Layer, *, padded: bool = True) -> None:
        super().__init__()
        same = (layer.kernel[0] // 2, layer.kernel[1] // 2)
        padding = same if padded and layer.stride == 1 else (0, 0)
        self.conv = nn.Conv2d(
            in_channels, layer.channels, layer.kernel, layer.stride, padding, bias=False
        )
        self.bn = nn.BatchNorm2d(layer.channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H', W')."""
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches side by side, their results stacked.

    Args:
        in_channels: channels of the input.
        branches: the convolutions of each branch.
        pool: how the last branch pools first: ``"average"`` or ``"max"`` with stride 1, before a
            convolution ``branch_pool``; or ``"halve"``: maximum with stride 2 and nothing more.
        pooled: channels of ``branch_pool``.
    """

    def __init__(
        self, in_channels: int, branches: Sequence[Sequence[Layer]], pool: str, pooled: int = 0
    ) -> None:
        super().__init__()
        self.branches, self.pool = branches, pool
        self.channels = 0
        for branch in branches:
            width, before = in_channels, in_channels
            for layer in branch:
                before = before if layer.fork else width
                self.add_module(layer.name, BasicConv2d(before, layer))
                width = layer.channels
            self.channels += sum(end.channels for end in _ends(branch))
        if pooled:
            self.branch_pool = BasicConv2d(in_channels, Layer("branch_pool", pooled))
        self.channels += pooled or in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H', W')."""
        results = []
        for branch in self.branches:
            value, before = x, x
            ends: list[Tensor] = []
            for layer in branch:
                if not layer.fork:
                    before, ends = value, []
                value = self.get_submodule(layer.name)(before)
                ends.append(value)
            results += ends
        if self.pool == "halve":
            return torch.cat([*results, F.max_pool2d(x, 3, 2)], 1)
        if self.pool == "average":
            x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        else:
            x = F.max_pool2d(x, 3, 1, 1)
        return torch.cat([*results, self.branch_pool(x)], 1)


def _ends(branch: Sequence[Layer]) -> list[Layer]:
    """The last layer of a branch, and the one before it where the last is a fork."""
    return list(branch[-2:]) if branch[-1].fork else [branch[-1]]


def _chain(name: str, *layers: tuple[int, Kernel], stride: int = 1) -> list[Layer]:
    """Convolutions in a row by channels and kernel, numbered from 1; the stride is the last's."""
    strides = [1] * (len(layers) - 1) + [stride]
    return [
        Layer(f"{name}_{number}", channels, kernel, strides[number - 1])
        for number, (channels, kernel) in enumerate(layers, start=1)
    ]


def _fork(name: str, channels: int) -> list[Layer]:
    """Two convolutions side by side, one along the rows and one along the columns."""
    return [Layer(f"{name}a", channels, (1, 3)), Layer(f"{name}b", channels, (3, 1), fork=True)]


def _block_a(channels: int, pooled: int) -> Mixed:
    branches = (
        [Layer("branch1x1", 64)],
        _chain("branch5x5", (48, (1, 1)), (64, (5, 5))),
        _chain("branch3x3dbl", (64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
    )
    return Mixed(channels, branches, "average", pooled)


def _block_b(channels: int) -> Mixed:
    branches = (
        [Layer("branch3x3", 384, (3, 3), 2)],
        _chain("branch3x3dbl", (64, (1, 1)), (96, (3, 3)), (96, (3, 3)), stride=2),
    )
    return Mixed(channels, branches, "halve")


def _block_c(channels: int, inner: int) -> Mixed:
    row, column = (inner, (1, 7)), (inner, (7, 1))
    branches = (
        [Layer("branch1x1", 192)],
        _chain("branch7x7", (inner, (1, 1)), row, (192, (7, 1))),
        _chain("branch7x7dbl", (inner, (1, 1)), column, row, column, (192, (1, 7))),
    )
    return Mixed(channels, branches, "average", 192)


def _block_d(channels: int) -> Mixed:
    seven = (192, (1, 7)), (192, (7, 1))
    branches = (
        _chain("branch3x3", (192, (1, 1)), (320, (3, 3)), stride=2),
        _chain("branch7x7x3", (192, (1, 1)), *seven, (192, (3, 3)), stride=2),
    )
    return Mixed(channels, branches, "halve")


def _block_e(channels: int, pool: str) -> Mixed:
    branches = (
        [Layer("branch1x1", 320)],
        [Layer("branch3x3_1", 384), *_fork("branch3x3_2", 384)],
        [*_chain("branch3x3dbl", (448, (1, 1)), (384, (3, 3))), *_fork("branch3x3dbl_3", 384)],
    )
    return Mixed(channels, branches, pool, 192)


class Inception(nn.Module):
    """Inception features of images: the 2048 numbers of the last average pool.

    Attributes:
        num_features: 2048.
    """

    num_features = 2048

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = BasicConv2d(3, Layer("", 32, (3, 3), 2))
        self.Conv2d_2a_3x3 = BasicConv2d(32, Layer("", 32, (3, 3)), padded=False)
        self.Conv2d_2b_3x3 = BasicConv2d(32, Layer("", 64, (3, 3)))
        self.Conv2d_3b_1x1 = BasicConv2d(64, Layer("", 80))
        self.Conv2d_4a_3x3 = BasicConv2d(80, Layer("", 192, (3, 3)), padded=False)
        self.Mixed_5b = _block_a(192, 32)
        self.Mixed_5c = _block_a(256, 64)
        self.Mixed_5d = _block_a(288, 64)
        self.Mixed_6a = _block_b(288)
        self.Mixed_6b = _block_c(768, 128)
        self.Mixed_6c = _block_c(768, 160)
        self.Mixed_6d = _block_c(768, 160)
        self.Mixed_6e = _block_c(768, 192)
        self.Mixed_7a = _block_d(768)
        self.Mixed_7b = _block_e(1280, "average")
        self.Mixed_7c = _block_e(2048, "max")

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images (B, 3, H, W) of any size to features (B, 2048)."""
        x = (resize_like_tensorflow(images.float(), (299, 299)) - 128) / 128
        for layer in (self.Conv2d_1a_3x3, self.Conv2d_2a_3x3, self.Conv2d_2b_3x3):
            x = layer(x)
        x = F.max_pool2d(x, 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean((2, 3))


def resize_like_tensorflow(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resizing as in TensorFlow 1: pixel i of the result lies at i · H / H' of the image.

    Unlike in PyTorch, the first pixels of both coincide, the last ones are repeated beyond the
    border, and nothing is averaged where the image shrinks.

    Args:
        images: (B, C, H, W), floating point.
        size: height and width wanted.
    """
    for axis, length in ((2, size[0]), (3, size[1])):
        count = images.shape[axis]
        position = torch.arange(length, device=images.device, dtype=torch.float32)
        position = position * (count / length)
        low = position.long()
        high = (low + 1).clamp(max=count - 1)
        shape = [1, 1, 1, 1]
        shape[axis] = length
        share = (position - low).to(images.dtype).view(shape)
        first, second = images.index_select(axis, low), images.index_select(axis, high)
        images = first + (second - first) * share
    return images
