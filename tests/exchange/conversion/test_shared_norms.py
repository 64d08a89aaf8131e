"""Norms that are functions stay shared by all streams, and are told of."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cen.errors import CenWarning
from cen.exchange import convert


class Whitened(nn.Module):
    """A batch norm without parameters, whose statistics are buffers of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("variance", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = self.mean, self.variance
        assert isinstance(mean, Tensor)
        assert isinstance(variance, Tensor)
        return F.batch_norm(self.norm(x), mean, variance, training=self.training)


def test_statistics_without_parameters_are_told_of() -> None:
    net = convert(Whitened(), ["a", "b"])
    with pytest.warns(CenWarning, match=r"'mean', 'variance' belong to norms that are no modules"):
        net({"a": torch.randn(2, 3, 4, 4)})
    assert net.summary().shared == ("mean", "variance")


def test_of_norms_that_were_asked_to_stay_nothing_is_said(recwarn: pytest.WarningsRecorder) -> None:
    plain = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    convert(plain, ["a", "b"], shared="1")({"a": torch.randn(2, 3, 4, 4)})
    assert not list(recwarn)
