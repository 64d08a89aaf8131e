"""Scores of surface normals over all valid pixels (method.md 3.3; this project's extension)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from cen.masks import same_shape, valid_normals
from cen.metrics.common import SumMetric, counted, plain_scores
from cen.pairs import check_finite, check_range

BINS = 18_000
"""Bins of the histogram of angles, 0.01° each."""

_LIMITS = (11.25, 22.5, 30.0)


class NormalScores(NamedTuple):
    """Angles between predicted and true normals, float64 on the CPU, nan where no pixel is valid.

    Attributes:
        mean_angle: mean angle in degrees, exact.
        median_angle: median angle in degrees, from a histogram: exact to 0.01°.
        within_11: share of pixels with an angle below 11.25°.
        within_22: share below 22.5°.
        within_30: share below 30°.
        pixels: number of valid pixels, int64.
    """

    mean_angle: Tensor
    median_angle: Tensor
    within_11: Tensor
    within_22: Tensor
    within_30: Tensor
    pixels: Tensor

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain numbers for JSON; ``None`` stands for nan."""
        return plain_scores(self)


def angles(prediction: Tensor, target: Tensor) -> Tensor:
    """Angle between vectors in degrees, (B, 3, H, W) twice to (B, H, W) float32.

    By atan2 of cross and dot product: the arc cosine loses half the digits near 0°. A prediction
    of length 0 has no direction and counts as 90°.

    Raises:
        ShapeError: the shapes differ or are not those of normals.
        DataError: a type does not fit.
    """
    same_shape("normal", prediction, target)
    a, b = prediction.float(), target.float()
    sine, cosine = torch.linalg.cross(a, b, dim=1).norm(dim=1), (a * b).sum(1)
    found = torch.rad2deg(torch.atan2(sine, cosine))
    return torch.where(a.square().sum(1) > 0, found, 90.0)


def normal_counts(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """What the scores of normals are made of.

    Nothing is read back to the host.

    Args:
        prediction: (B, 3, H, W), of any length.
        target: (B, 3, H, W) unit vectors; NaN or zero where missing.

    Returns:
        (4,) float64: the sum of the angles and the pixels below each of the three limits; and
        (18000,) int64: the histogram of the angles, 0.01° a bin.

    Raises:
        ShapeError: the shapes differ or there are not three channels.
        DataError: a type or (on the CPU) a value does not fit.
    """
    same_shape("normal", prediction, target)
    check_range("normal", target)
    valid = valid_normals(target)
    check_finite(prediction, valid[:, None])
    found = angles(prediction, torch.where(valid[:, None], target, 1))
    sums = [torch.where(valid, found, 0).double().sum()]
    sums += [(valid & (found < limit)).sum().double() for limit in _LIMITS]
    bins = (found * (BINS / 180)).long().clamp(0, BINS - 1)
    index = torch.where(valid, bins, BINS).flatten()  # one spare bin for the rest
    histogram = torch.zeros(BINS + 1, dtype=torch.int64, device=found.device)
    histogram.scatter_add_(0, index, torch.ones_like(index))
    return torch.stack(sums), histogram[:BINS]


def normal_scores(sums: Tensor, histogram: Tensor) -> NormalScores:
    """The scores of what :func:`normal_counts` counted, added up over a data set."""
    total, *below = counted(sums, (4,), "sums of normals")
    counts = counted(histogram, (BINS,), "the histogram of angles").long()
    pixels = counts.sum()
    within_11, within_22, within_30 = (count / pixels for count in below)
    return NormalScores(total / pixels, _median(counts), within_11, within_22, within_30, pixels)


def _median(counts: Tensor) -> Tensor:
    """Median of a histogram, interpolated inside its bin."""
    pixels = counts.sum().double()
    cumulative = counts.cumsum(0).double()
    if not pixels:
        return torch.tensor(torch.nan, dtype=torch.float64)
    bin_ = int(torch.searchsorted(cumulative, pixels / 2))
    before = cumulative[bin_] - counts[bin_]
    return (bin_ + (pixels / 2 - before) / counts[bin_]) * (180 / BINS)


class NormalMetric(SumMetric):
    """Accumulates the scores of normals over batches and processes, on valid pixels only.

    Args:
        **kwargs: passed to :class:`torchmetrics.Metric`.
    """

    histogram: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(4, **kwargs)
        empty = torch.zeros(BINS, dtype=torch.int64)
        self.add_state("histogram", default=empty, dist_reduce_fx="sum")

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Count one batch; see :func:`normal_counts`."""
        sums, histogram = normal_counts(pred, target)
        self.sums += sums
        self.histogram += histogram

    def compute(self) -> NormalScores:
        """The scores of everything counted so far, over all processes."""
        return normal_scores(self.sums, self.histogram)
