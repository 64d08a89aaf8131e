"""Networks that look no further than a few pixels, so that tiles change nothing."""

import torch
from torch import nn

from cen.exchange import Streams
from cen.models import Task, build, encoders
from cen.models.network import ChannelExchangeNetwork


class Encoder(nn.Module):
    """A quarter of the size; sees `reach` pixels to every side of the four of an output."""

    smallest = 32

    def __init__(self, reach):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 4, stride=4)
        self.convs = nn.ModuleList(nn.Conv2d(6, 6, 3, padding=1) for _ in range(reach // 4))

    def body(self, x):
        for conv in self.convs:
            x = torch.tanh(conv(x))
        return [x]


class First(nn.Module):
    def forward(self, features):
        return features[0]


class Padded(nn.Conv2d):
    """Sizes that are no multiple of 4 are rounded up, as encoders do."""

    def forward(self, x):
        height, width = (-side % 4 for side in x.shape[-2:])
        return super().forward(nn.functional.pad(x, (0, width, 0, height)))


def local_network(reach, task=None, output="out"):
    """Two inputs, rgb and depth, and one output, segmentation or the task."""
    torch.manual_seed(0)
    task = task or Task("segmentation", 4)
    encoder, streams = Encoder(reach), Streams(["rgb", "depth"])
    encoder.conv1 = Padded(3, 6, 4, stride=4)
    return ChannelExchangeNetwork(
        encoder=encoder,
        decoder=First(),
        stems={},
        heads={output: nn.Conv2d(6, task.channels, 1)},
        inputs={"rgb": 3, "depth": 1},
        outputs={output: task},
        encoder_streams=streams,
        decoder_streams=streams,
        config={},
    ).eval()


class Patches(nn.Module):
    """Cuts off what is left of the last patch, as ConvNeXt does, or takes no such size, as Swin."""

    def __init__(self, stride, multiple):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, stride, stride)
        self.norm = nn.BatchNorm2d(16)
        self.multiple = multiple

    def forward(self, x):
        height, width = x.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(f"{height} x {width} is no multiple of {self.multiple}")
        return [self.norm(self.conv(x))]


def patch_network(monkeypatch, stride, multiple):
    """Streams of `Patches`."""
    torch.manual_seed(0)
    monkeypatch.setitem(encoders, "patches", lambda options, of: Patches(stride, multiple))
    inputs, outputs = {"rgb": 3, "depth": 1}, {"out": 4}
    return build(
        "segformer", encoder="patches", inputs=inputs, outputs=outputs, decoder_channels=8
    ).eval()
