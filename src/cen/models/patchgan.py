"""The PatchGAN discriminator of image translation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cen.errors import ConfigError, ShapeError
from cen.models.unet import Statistics, draw_weights, instance_norm


class PatchGAN(nn.Module):
    """Says of every 70x70 patch of an image whether it looks real, given the input image.

    Isola et al., CVPR 2017, in the layout of the released CEN code. One discriminator serves all
    streams, its norms included: it sees the streams as further samples of the batch. It returns
    logits, where the released code returns probabilities, because binary cross-entropy on
    probabilities overflows in half precision.

    Args:
        channels: channels of the input image and of the generated one together; 6 as released.
        filters: channels after the first convolution; 64 as released.
        layers: convolutions that halve the size; 3 as released. Fewer see smaller patches (34x34
            with two, 16x16 with one), for smaller images.
        statistics: whether the norms keep running statistics (as released) or not.

    Raises:
        ConfigError: if a number is below 1.
    """

    def __init__(
        self,
        channels: int = 6,
        filters: int = 64,
        *,
        layers: int = 3,
        statistics: Statistics = "running",
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("filters", filters), ("layers", layers)):
            if value < 1:
                raise ConfigError(f"the {name} of a discriminator are at least 1, not {value}")
        self.channels = channels
        self.config = {
            "channels": channels,
            "filters": filters,
            "layers": layers,
            "statistics": statistics,
        }
        widths = [filters * min(2**level, 8) for level in range(layers + 1)]
        strides = [2] * layers + [1, 1]
        ins, outs = [channels, *widths], [*widths, 1]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride, 1)
            for before, after, stride in zip(ins, outs, strides, strict=True)
        )
        # The first and the last convolution have no norm, as released.
        self.norms = nn.ModuleList(instance_norm(width, statistics) for width in widths[1:])
        draw_weights(self)

    def forward(self, source: Tensor, image: Tensor) -> Tensor:
        """Logits of "real", one per patch.

        Args:
            source: the input of the translation, (B, C1, H, W).
            image: the real or generated image, (B, C2, H, W) with C1 + C2 = ``channels``.

        Returns:
            (B, 1, h, w); 30x30 for images of 256x256.

        Raises:
            ShapeError: if the two do not fit each other or this discriminator.
        """
        if source.shape[0] != image.shape[0] or source.shape[2:] != image.shape[2:]:
            raise ShapeError(
                f"the discriminator got an input of shape {tuple(source.shape)} and an image of "
                f"shape {tuple(image.shape)}; batch, height and width must agree"
            )
        if source.shape[1] + image.shape[1] != self.channels:
            raise ShapeError(
                f"this discriminator judges {self.channels} channels together, not "
                f"{source.shape[1]} + {image.shape[1]}"
            )
        halvings = len(self.convs) - 2
        if min(source.shape[2:]) >> halvings < 3:
            raise ShapeError(
                f"this discriminator needs images of at least {3 * 2**halvings} pixels, not "
                f"{tuple(source.shape[2:])}; build it with fewer layers "
                "(model.discriminator_layers)"
            )
        x = F.leaky_relu(self.convs[0](torch.cat([source, image], 1)), 0.2)
        for conv, norm in zip(list(self.convs)[1:-1], self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), 0.2)
        logits: Tensor = self.convs[-1](x)
        return logits
