"""Weights from one network to another that has the same layers, but for their streams."""

import pytest
import torch
from torch import Tensor, nn

from cen.exchange import StreamNorm, Streams, convert_layers
from cen.models.weight_transfer import transfer


class NormAct(nn.BatchNorm2d):
    """A norm and an activation in one layer, as timm has them."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))


class RootMeanSquare(nn.Module):
    """Somebody's own norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.eps, self.weight = 1e-6, nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(x, x.shape[-1:], self.weight, self.eps)


@pytest.mark.parametrize(
    "make", [nn.BatchNorm2d, nn.LayerNorm, nn.RMSNorm, NormAct, RootMeanSquare], ids=str
)
def test_every_stream_starts_from_a_norm_that_was_shared(make) -> None:
    old, new = (nn.ModuleDict({"norm": make(4)}) for _ in range(2))
    for value in (*old.parameters(), *old.buffers()):
        value.data.fill_(3)
    convert_layers(new, Streams(["a", "b"]))
    with torch.no_grad():
        assert transfer(old, new) == []
    (norm,) = (layer for layer in new.modules() if isinstance(layer, StreamNorm))
    assert all(value.eq(3).all() for value in norm.state_dict().values())
