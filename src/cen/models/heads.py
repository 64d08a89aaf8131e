"""The classifier between a decoder and an output."""

from __future__ import annotations

from torch import nn

from cen.tasks import Task


def classifier(channels: int, task: Task, kernel: int) -> nn.Conv2d:
    """A convolution from the decoder's channels to those of one output.

    Args:
        channels: channels of the decoder's output.
        task: the output.
        kernel: side of the kernel, odd.
    """
    head = nn.Conv2d(channels, task.channels, kernel, padding=kernel // 2)
    nn.init.normal_(head.weight, std=0.01)
    assert head.bias is not None
    nn.init.zeros_(head.bias)
    return head
