"""Blocks of networks to fold, and scales drawn so that some channels are exchanged."""

import torch
from torch import Tensor, nn

from cen.exchange import StreamNorm


def scatter(net: nn.Module, rate: float, seed: int = 0, statistics: bool = True) -> nn.Module:
    """Random scales, shifts and (where wanted) statistics; a share of the own scales below θ."""
    generator = torch.Generator().manual_seed(seed)

    def draw(like: Tensor, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(like.shape, generator=generator, dtype=like.dtype)

    with torch.no_grad():
        for layer in net.modules():
            if not isinstance(layer, StreamNorm):
                continue
            if statistics:
                layer.weight.copy_(draw(layer.weight, 0.5, 1.5))
                layer.bias.copy_(draw(layer.bias, -0.5, 0.5))
            if statistics and getattr(layer, "running_mean", None) is not None:
                layer.running_mean.copy_(draw(layer.running_mean, -0.2, 0.2))  # type: ignore[union-attr,operator,arg-type]
                layer.running_var.copy_(draw(layer.running_var, 0.5, 1.5))  # type: ignore[union-attr,operator,arg-type]
            if layer.exchange is not None:
                small = torch.rand(layer.own.shape, generator=generator) < rate
                any_channel = layer.exchange.scope == "any"
                layer.weight[small if any_channel else small & layer.own] *= 1e-3
    return net


class ChannelNorm(nn.LayerNorm):
    """Over the channels of maps, as ConvNeXt has them."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """A random block of a random network."""

    def __init__(self, kind: str, channels: int) -> None:
        super().__init__()
        self.kind = kind
        groups = {"depthwise": channels, "grouped": 2}.get(kind, 1)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=groups)
        self.norm: nn.Module = nn.BatchNorm2d(channels)
        if kind == "group norm":
            self.norm = nn.GroupNorm(2, channels)
        if kind == "layer norm":
            self.norm = ChannelNorm(channels)
        if kind == "instance norm":
            self.norm = nn.InstanceNorm2d(channels, affine=True)
        self.act = {"in place": nn.ReLU(inplace=True), "gelu": nn.GELU()}.get(kind, nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor
        if self.kind == "norm first":
            y = self.conv(self.act(self.norm(x)))
        else:
            y = self.act(self.norm(self.conv(x)))
        if self.kind == "residual":
            return y + x
        if self.kind == "gated":
            return y * y.mean((2, 3), keepdim=True).sigmoid()
        if self.kind == "halves":
            first, second = y.chunk(2, 1)
            return torch.cat([second, first], 1)
        if self.kind == "unknown":
            return nn.functional.channel_shuffle(y, 2)
        return nn.functional.max_pool2d(y, 3, 1, 1) if self.kind == "pooled" else y


KINDS = (
    "plain",
    "in place",
    "gelu",
    "residual",
    "gated",
    "halves",
    "unknown",
    "pooled",
    "depthwise",
    "grouped",
    "norm first",
    "group norm",
    "instance norm",
    "layer norm",
)
