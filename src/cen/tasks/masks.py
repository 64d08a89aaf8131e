"""Means over the pixels that count, for kinds whose values are compared one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def resize(values: Tensor, target: Tensor) -> Tensor:
    """A prediction (B, C, h, w) at the size of a ground truth (..., H, W), bilinear."""
    from torch.nn.functional import interpolate

    size = target.shape[-2:]
    if values.shape[-2:] == size:
        return values
    if values.requires_grad and values.device.type == "cpu" and values.element_size() >= 4:
        return _product(values, size)
    return interpolate(values, size=size, mode="bilinear", align_corners=False)


def _product(values: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resizing as two matrix products, whose gradients are products as well.

    On a CPU the gradient of ``interpolate`` adds pixel by pixel, and takes four times as long.
    """
    from torch import autocast, eye
    from torch.nn.functional import interpolate

    rows, columns = (
        interpolate(eye(n, dtype=values.dtype)[None], size=m, mode="linear", align_corners=False)[0]
        for n, m in zip(values.shape[-2:], size, strict=True)
    )
    with autocast("cpu", enabled=False):
        return rows.T @ (values @ columns)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """The mean where ``valid``; 0 where that is nowhere."""
    # where, not multiplication: NaN · 0 is NaN.
    return values.where(valid, 0).sum() / valid.sum().clamp(min=1)


def absolute_error(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute error over valid values of a ground truth in float32."""
    # The NaN must go before the subtraction: a masked NaN still makes the gradient NaN.
    clean = target.where(valid, 0)
    return masked_mean((resize(prediction.float(), clean) - clean).abs(), valid)
