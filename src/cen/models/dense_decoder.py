"""What the decoders for a ResNet have in common."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from cen.arguments import option
from cen.options.constraints import Dropout, Width
from cen.tasks import Task


class DenseDecoder(nn.Module):
    """A plain decoder of the feature maps of a ResNet.

    Args:
        channels: channels of the decoder's output.
        dropout: probability of its dropout layer.

    Attributes:
        channels: channels of the decoder's output.
        output_stride: that of the encoder that it is for.
        head_kernel: side of the kernel of its classifiers.
        first_norms: pattern of the names of the norms that see the encoder features first.
        batches: it is trained on batches, so that batch norms suit it.
    """

    output_stride: ClassVar[int]
    head_kernel: ClassVar[int]
    first_norms: ClassVar[str]
    batches: ClassVar[bool] = True

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
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
