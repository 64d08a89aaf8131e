"""What the decoders of feature maps have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from cen.arguments import option
from cen.models.input_checks import same_size
from cen.options.constraints import Dropout, Width
from cen.tasks import Task


class ConvNorm(nn.Module):
    """A convolution, a batch norm behind it or a bias instead, and a ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=not norm)
        self.norm = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        return F.relu(self.norm(self.conv(x)))


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    """A map (N, C, h, w) at the height and width of another."""
    size = (like.shape[-2], like.shape[-1])
    if same_size(x.shape[-2:], size):
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


class DenseDecoder(nn.Module):
    """A plain decoder of feature maps.

    Args:
        in_channels: channels of the encoder's feature maps, finest first.
        channels: channels of the decoder's output.
        dropout: probability of its dropout layer.

    Attributes:
        channels: channels of the decoder's output.
        reads: which of the encoder's feature maps it uses, as indices: all, unless it says.
        output_stride: that of the encoder that it is for.
        head_kernel: side of the kernel of its classifiers.
        first_norms: pattern of the names of the norms that see the encoder features first.
        batches: it is trained on batches, so that batch norms suit it.
        sees_whole: what in it looks at the whole of a picture, so that tiles predicted one by one
            (`cen.predict.tiles`) see less; "": nothing.

    Raises:
        ConfigError: ``channels`` is below 1 or ``dropout`` not within [0, 1).
    """

    output_stride: ClassVar[int] = 32
    head_kernel: ClassVar[int] = 1
    first_norms: ClassVar[str]
    batches: ClassVar[bool] = True
    sees_whole: ClassVar[str] = ""

    def __init__(self, in_channels: Sequence[int], channels: int, dropout: float) -> None:
        super().__init__()
        self.reads = tuple(range(len(in_channels)))
        self.channels = int(option("decoder_channels", channels, Width))
        self.dropout = nn.Dropout(option("dropout", dropout, Dropout))

    def make_head(self, task: Task) -> nn.Conv2d:
        """The classifier of one output."""
        kernel = self.head_kernel
        head = nn.Conv2d(self.channels, task.channels, kernel, padding=kernel // 2)
        nn.init.normal_(head.weight, std=0.01)
        assert head.bias is not None
        nn.init.zeros_(head.bias)
        return head
