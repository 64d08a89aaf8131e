"""Means over what counts, as depth and images take them."""

import math

import pytest
import torch
from torch.nn.functional import interpolate

from cen.losses import depth_loss, image_loss
from cen.tasks.masks import resize


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


@pytest.mark.parametrize("size", [(7, 5), (13, 4), (24, 32)])
@pytest.mark.parametrize("autocast", [False, True])
def test_a_resized_prediction_and_its_gradient_are_those_of_bilinear_interpolation(
    size: tuple[int, int], autocast: bool
) -> None:
    values = torch.randn(2, 3, 6, 8, requires_grad=True)
    same = values.detach().clone().requires_grad_()
    weights = torch.randn(2, 3, *size)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        result = resize(values, weights)
    expected = interpolate(same, size=size, mode="bilinear", align_corners=False)
    (result * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(result, expected, rtol=0, atol=2e-6)
    torch.testing.assert_close(values.grad, same.grad, rtol=0, atol=1e-5)
