"""Means over what counts, as depth and images take them."""

import math

import pytest
import torch

from cen.losses import depth_loss, image_loss


@pytest.mark.parametrize("loss", [depth_loss, image_loss])
def test_absolute_errors_leave_out_missing_values(loss) -> None:
    target = torch.tensor([[[[1.0, math.nan], [3.0, 2.0]]]])
    prediction = torch.tensor([[[[1.5, 7.0], [2.0, 2.0]]]], requires_grad=True)
    value = loss(prediction, target)
    value.backward()
    assert value.item() == pytest.approx((0.5 + 1.0) / 3)
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()
    assert prediction.grad[0, 0, 0, 1] == 0
