"""Single-stream networks that tests convert, and their inputs."""

import torch
from torch import Tensor, nn


class FrozenBatchNorm2d(nn.Module):
    """Normalises without being a subclass of a PyTorch norm."""


def small() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, stride=2),
        nn.InstanceNorm2d(4, affine=True),
        nn.GroupNorm(2, 4),
        nn.Conv2d(4, 5, 1),
    )
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net


def inputs(*names: str, size: tuple[int, int] = (7, 9)) -> dict[str, Tensor]:
    return {name: torch.randn(2, 3, *size) for name in names}
