"""What a layer computes is found by trying, not by its name."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cen.exchange.conversion.plain_norms import PlainNorm, plain_norm


class ChannelNorm(nn.LayerNorm):
    """Over the channels of maps, as timm and ConvNeXt have it."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 3, 1)
        return F.layer_norm(rows, self.normalized_shape, self.weight, self.bias, self.eps).permute(
            0, 3, 1, 2
        )


class RootMeanSquare(nn.Module):
    """As transformers' LlamaRMSNorm, under a name that says nothing."""

    def __init__(self, channels: int, offset: float = 0.0) -> None:
        super().__init__()
        self.weight, self.variance_epsilon = nn.Parameter(torch.ones(channels)), 1e-6
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        square = x.float().pow(2).mean(-1, keepdim=True)
        scaled = x.float() * torch.rsqrt(square + self.variance_epsilon)
        return (self.weight + self.offset) * scaled.to(x.dtype)


class HalfNorm(nn.LayerNorm):
    """Is a layer norm by its class alone."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * super().forward(x)


class WrongEps(nn.LayerNorm):
    """Adds another number to the variance than it says."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, 100 * self.eps)


class EitherAxis(nn.LayerNorm):
    """Has its channels here or there."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            return super().forward(x.movedim(1, -1)).movedim(-1, 1)
        return super().forward(x)


class LayerNormAct(nn.LayerNorm):
    """A norm and what comes after it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Dropout(0.5), nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.drop(super().forward(x)).movedim(-1, 1)).movedim(1, -1)
        return out


class GroupNormAct(nn.GroupNorm):
    """The same of groups, with the name that transformers gives the activation."""

    activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(super().forward(x))
        return out


@pytest.mark.parametrize(
    ("layer", "kind", "axis", "after"),
    [
        (nn.LayerNorm(8), "layer norm", -1, 0),
        (nn.LayerNorm(3), "layer norm", -1, 0),
        (nn.LayerNorm(1), "layer norm", -1, 0),
        (nn.LayerNorm(8, bias=False), "layer norm", -1, 0),
        (nn.LayerNorm(8, elementwise_affine=False), "layer norm", -1, 0),
        (nn.LayerNorm(8, device="meta"), "layer norm", -1, 0),
        (nn.RMSNorm(8), "RMS norm", -1, 0),
        (ChannelNorm(8), "layer norm", 1, 0),
        (RootMeanSquare(8), "RMS norm", -1, 0),
        (GroupNormAct(2, 8), "group norm", 1, 1),
        (nn.BatchNorm1d(8), "batch norm", 1, 0),
        (nn.InstanceNorm3d(8), "instance norm", 1, 0),
    ],
)
def test_what_it_computes_is_found(layer: nn.Module, kind: str, axis: int, after: int) -> None:
    norm = plain_norm(layer)
    assert isinstance(norm, PlainNorm)
    assert (norm.kind, norm.channel_axis, len(norm.after)) == (kind, axis, after)


@pytest.mark.parametrize(
    "layer",
    [HalfNorm(8), WrongEps(8), EitherAxis(8), nn.LayerNorm((3, 8)), LayerNormAct(8)],
)
def test_what_only_looks_like_a_norm_is_none(layer: nn.Module) -> None:
    assert isinstance(plain_norm(layer), str)


@pytest.mark.parametrize(
    "layer", [nn.Linear(8, 8), nn.PReLU(8), nn.Embedding(3, 8), RootMeanSquare(8, offset=1.0)]
)
def test_other_layers_are_no_norms(layer: Any) -> None:
    assert plain_norm(layer) is None
