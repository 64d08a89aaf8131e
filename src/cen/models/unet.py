"""The U-Net generator of image translation, written as a plain single-stream network.

Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR
2017, in the layout of the released CEN code: every block activates first, convolves, then
normalises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cen.arguments import option
from cen.errors import ConfigError, did_you_mean
from cen.options.constraints import Dropout
from cen.options.network_options import NetworkOptions
from cen.tasks import Task

Statistics = Literal["running", "instance"]
FirstNorm = Literal["batch", "instance"]

encoders: dict[str, int] = {f"unet{depth}": depth for depth in range(3, 10)}
"""Number of halvings by the name of the encoder; ``"unet8"`` is that of the paper."""


def block_widths(filters: int, depth: int) -> tuple[int, ...]:
    """Channels after each of the ``depth`` encoder convolutions: doubling, up to 8 times."""
    return tuple(filters * min(2**level, 8) for level in range(depth))


class Down(nn.Module):
    """Leaky ReLU, a 4x4 convolution that halves the size, and an instance norm or none.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: a norm behind the convolution; the deepest block has none, as released.
        statistics: whether the norm keeps running statistics.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, norm: bool, statistics: Statistics
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 4, 2, 1)
        self.norm = instance_norm(out_channels, statistics) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H // 2, W // 2)."""
        out: Tensor = self.norm(self.conv(F.leaky_relu(x, 0.2)))
        return out


class Up(nn.Module):
    """ReLU, a transposed 4x4 convolution that doubles the size, an instance norm, dropout.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        dropout: probability behind the norm; 0 for none.
        statistics: whether the norm keeps running statistics.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, dropout: float, statistics: Statistics
    ) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, 4, 2, 1)
        self.norm = instance_norm(out_channels, statistics)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, 2 H, 2 W)."""
        out: Tensor = self.dropout(self.norm(self.conv(F.relu(x))))
        return out


class UNetEncoder(nn.Module):
    """The contracting half: ``depth`` convolutions, each of which halves the size.

    Args:
        depth: number of convolutions; 8 in the paper, for images of 256x256.
        filters: channels after the first one; 64 in the paper.
        statistics: whether the norms keep running statistics (``"running"``, as released) or
            always use those of the image at hand (``"instance"``).
        first_norm: a norm of this kind behind the first convolution too, so that channels are
            exchanged from half of the image's size on (this project's extension, for small
            images); None for none, as released. A batch norm keeps how bright an image is.

    Attributes:
        channels: channels of the feature maps, finest first.
        exchanging: pattern of the names of the norms after which channels are exchanged: all of
            them, those of the second to the last convolution but one as released.
        stages: names of the modules that give the feature maps, which follow one another.
        smallest: least height and width of an image.
    """

    exchanging = "*norm*"

    def __init__(
        self,
        depth: int = 8,
        filters: int = 64,
        *,
        statistics: Statistics = "running",
        first_norm: FirstNorm | None = None,
    ) -> None:
        super().__init__()
        if filters < 1:
            raise ConfigError(f"the width of a U-Net is at least 1, not {filters}")
        if depth < 3:
            raise ConfigError(f"a U-Net halves at least 3 times, not {depth}")
        self.depth = depth
        self.width = filters
        self.smallest = 2**depth
        self.channels = block_widths(filters, depth)
        self.stages = ("conv1", *(f"downs.{level}" for level in range(depth - 1)))
        self.conv1 = nn.Conv2d(3, filters, 4, 2, 1)
        self.norm1: nn.Module | None = None
        if first_norm is not None:
            batch = first_norm == "batch"
            self.norm1 = nn.BatchNorm2d(filters) if batch else instance_norm(filters, statistics)
        self.downs = nn.ModuleList(
            Down(before, after, norm=level < depth - 2, statistics=statistics)
            for level, (before, after) in enumerate(
                zip(self.channels[:-1], self.channels[1:], strict=True)
            )
        )
        draw_weights(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map an image (N, 3, H, W) to its feature maps at strides 2, 4, ..., 2**depth."""
        return self.body(self.conv1(x))

    def body(self, x: Tensor, after: Callable[[int, Tensor], Tensor] | None = None) -> list[Tensor]:
        """Map what the first convolution gave, (N, filters, H/2, W/2), to the feature maps.

        Args:
            x: the result of the first convolution.
            after: maps each convolution's feature map (counted from 1) to what is used of it.
        """
        if self.norm1 is not None:
            x = self.norm1(x)
        features = [x if after is None else after(1, x)]
        for level, down in enumerate(self.downs, 2):
            x = down(features[-1])
            features.append(x if after is None else after(level, x))
        return features


class UNetDecoder(nn.Module):
    """The expanding half, but for its last convolution, which is each output's head.

    Args:
        in_channels: channels of the encoder's feature maps, finest first.
        dropout: probability of dropout in the first blocks: three with eight halvings, as
            released, and one less for each halving less (this project's choice).
        statistics: as for `UNetEncoder`.

    Attributes:
        channels: channels of the decoder's output.
        first_norms: pattern of the names of the norms that see the encoder features first.
        reads: which of the encoder's feature maps the decoder uses, as indices.
    """

    first_norms = "ups.0.norm"
    batches = False

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        dropout: float = 0.5,
        statistics: Statistics = "running",
    ) -> None:
        super().__init__()
        dropout = option("dropout", dropout, Dropout)
        depth = len(in_channels)
        outs = in_channels[-2::-1]
        ins = [in_channels[-1], *(2 * width for width in outs)]
        dropping = min(3, max(0, depth - 5))
        self.channels = ins[-1]
        self.reads = tuple(range(depth))
        self.ups = nn.ModuleList(
            Up(before, after, dropout=dropout if i < dropping else 0.0, statistics=statistics)
            for i, (before, after) in enumerate(zip(ins[:-1], outs, strict=True))
        )
        draw_weights(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Map the feature maps, finest first, to (N, channels, H/2, W/2)."""
        x = features[-1]
        for up, skip in zip(self.ups, features[-2::-1], strict=True):
            x = torch.cat([_fit(up(x), skip), skip], 1)
        return x

    def make_head(self, task: Task) -> nn.Module:
        """The last convolution, for one output; shared by its streams."""
        return UNetHead(self.channels, task)


class UNetHead(nn.Module):
    """ReLU, a transposed convolution to the image's own size and, for images, tanh.

    Args:
        channels: channels of the decoder's output.
        task: the output. Images lie in [-1, 1], as released; other kinds stay as they are.
    """

    def __init__(self, channels: int, task: Task) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(channels, task.channels, 4, 2, 1)
        self.bounded = task.rules.generated
        draw_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, task.channels, 2 H, 2 W)."""
        out: Tensor = self.conv(F.relu(x))
        return torch.tanh(out) if self.bounded else out


def instance_norm(channels: int, statistics: Statistics) -> nn.InstanceNorm2d:
    """An instance norm with a scale and shift, with running statistics or without."""
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=statistics == "running")


def draw_weights(module: nn.Module, std: float = 0.02) -> None:
    """Draws the kernels of all convolutions from N(0, std), as released; biases stay."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)


def _fit(x: Tensor, skip: Tensor) -> Tensor:
    """``x`` at the size of ``skip``, which is a row or column larger where it was odd."""
    down, right = skip.shape[-2] - x.shape[-2], skip.shape[-1] - x.shape[-1]
    # Sizes that are no numbers are those of a graph, which is to hold for odd and even ones.
    if not isinstance(down, int) or down or right:
        x = F.pad(x, (0, right, 0, down), mode="replicate")
    return x


def make_unet(options: NetworkOptions) -> tuple[UNetEncoder, UNetDecoder]:
    """A plain encoder and decoder."""
    encoder = options.resolved("encoder")
    if encoder not in encoders:
        hint = did_you_mean(encoder, encoders)
        raise ConfigError(
            f"unknown encoder {encoder!r} of a U-Net{hint}; known: {', '.join(encoders)}"
        )
    plain = UNetEncoder(
        encoders[encoder],
        options.width or 64,
        statistics=options.statistics,
        first_norm=options.first_norm,
    )
    dropout = options.resolved("dropout")
    return plain, UNetDecoder(plain.channels, dropout=dropout, statistics=options.statistics)
