"""Means over the pixels that count, for kinds whose values are compared one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def resize(values: Tensor, target: Tensor) -> Tensor:
    """A prediction (B, C, h, w) at the size of a ground truth (..., H, W), bilinear."""
    from torch.nn.functional import interpolate

    size = target.shape[-2:]
    if values.shape[-2:] == size:
        return values
    return interpolate(values, size=size, mode="bilinear", align_corners=False)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """The mean where ``valid``; 0 where that is nowhere."""
    # where, not multiplication: NaN · 0 is NaN.
    return values.where(valid, 0).sum() / valid.sum().clamp(min=1)


def absolute_error(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute error over valid values of a ground truth in float32."""
    # The NaN must go before the subtraction: a masked NaN still makes the gradient NaN.
    clean = target.where(valid, 0)
    return masked_mean((resize(prediction.float(), clean) - clean).abs(), valid)
