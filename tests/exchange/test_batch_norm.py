"""Statistics of batch norms of streams."""

import pytest
import torch

from cen.errors import ShapeError
from cen.exchange import (
    StreamBatchNorm,
    StreamInstanceNorm,
    Streams,
    freeze_statistics,
)


def test_frozen_statistics_let_scales_learn() -> None:
    norm = StreamBatchNorm(3, Streams(["a", "b"]))
    freeze_statistics(norm)
    values = torch.randn(4, 3, 2, 2)
    torch.testing.assert_close(norm.train()(values), values / (1 + norm.eps) ** 0.5)
    assert norm.running_mean is not None
    assert torch.equal(norm.running_mean, torch.zeros(2, 3))
    norm(values).square().sum().backward()
    assert norm.weight.grad is not None
    freeze_statistics(norm, False)
    norm(values)
    assert not torch.equal(norm.running_mean, torch.zeros(2, 3))


def test_one_value_per_channel_in_training_is_refused() -> None:
    norm = StreamBatchNorm(3, Streams(["a", "b"]))
    with pytest.raises(ShapeError, match="one value per channel"):
        norm(torch.ones(2, 3, 1, 1))
    assert norm.eval()(torch.ones(2, 3, 1, 1)).shape == (2, 3, 1, 1)
    with pytest.raises(ShapeError, match="one pixel"):
        StreamInstanceNorm(3, Streams(["a"]))(torch.ones(2, 3, 1, 1))
