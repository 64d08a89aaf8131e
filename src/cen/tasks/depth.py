"""Depth scores over all valid pixels of a data set (method.md 3.3; this project's extension)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from cen.masks import same_shape, valid_depth
from cen.metrics.common import SumMetric, counted, plain_scores
from cen.pairs import check_finite


class DepthScores(NamedTuple):
    """Scores of predicted depth, float64 on the CPU, nan where no pixel is valid.

    Attributes:
        rmse: root of the mean squared error, in the unit of depth (metres).
        abs_rel: mean of |prediction − truth| / truth.
        delta1: share of pixels with max(prediction / truth, truth / prediction) < 1.25; a
            prediction of 0 or less counts as beyond.
        pixels: number of valid pixels, int64.
    """

    rmse: Tensor
    abs_rel: Tensor
    delta1: Tensor
    pixels: Tensor

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain numbers for JSON; ``None`` stands for nan."""
        return plain_scores(self)


def depth_sums(prediction: Tensor, target: Tensor) -> Tensor:
    """What depth scores are made of, summed over valid pixels.

    Nothing is read back to the host.

    Args:
        prediction: (B, 1, H, W), metres.
        target: the same shape; NaN, infinity or a value ≤ 0 where depth is missing.

    Returns:
        (4,) float64: Σ error², Σ |error| / truth, pixels within the factor 1.25, valid pixels.

    Raises:
        ShapeError: the shapes differ or are not those of depth.
        DataError: a type or (on the CPU) a value does not fit.
    """
    same_shape("depth", prediction, target)
    valid = valid_depth(target)
    check_finite(prediction, valid)
    truth = torch.where(valid, target, 1).double()
    guess = torch.where(valid, prediction, 1).double()
    error = guess - truth
    # Compared without a division, so that 0 and negative predictions are beyond by themselves.
    within = (guess < 1.25 * truth) & (truth < 1.25 * guess)
    sums = (error.square(), error.abs() / truth, within, torch.ones_like(truth))
    return torch.stack([torch.where(valid, value, 0).double().sum() for value in sums])


def depth_scores(sums: Tensor) -> DepthScores:
    """The scores of what :func:`depth_sums` counted, added up over a data set."""
    squares, relative, within, count = counted(sums, (4,), "depth sums")
    return DepthScores(
        rmse=(squares / count).sqrt(),
        abs_rel=relative / count,
        delta1=within / count,
        pixels=count.long(),
    )


class DepthMetric(SumMetric):
    """Accumulates depth scores over batches and processes, on valid pixels only.

    Args:
        **kwargs: passed to :class:`torchmetrics.Metric`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(4, **kwargs)

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Count one batch; see :func:`depth_sums`."""
        self.sums += depth_sums(pred, target)

    def compute(self) -> DepthScores:
        """The scores of everything counted so far, over all processes."""
        return depth_scores(self.sums)
