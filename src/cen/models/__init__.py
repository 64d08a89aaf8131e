"""Networks: plain encoders and decoders, the network of streams, checkpoints."""

from cen.models.builders import build, builders, encoders
from cen.models.network import ChannelExchangeNetwork, Output
from cen.models.refinenet import RefineNetDecoder
from cen.models.resnet import ResNet
from cen.models.task import Task

__all__ = [
    "ChannelExchangeNetwork",
    "Output",
    "RefineNetDecoder",
    "ResNet",
    "Task",
    "build",
    "builders",
    "encoders",
]
