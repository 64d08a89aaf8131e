"""Errors of generated images: MAE and RMSE, and PSNR and SSIM where a range is declared."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from cen.errors import ShapeError
from cen.masks import same_shape
from cen.metrics.common import SumMetric, plain_scores
from cen.pairs import check_finite

HIGHEST_PSNR = 100.0
"""What an image without any error counts as, in dB; its PSNR is infinite."""


class ImageScores(NamedTuple):
    """Scores of generated images, float64 on the CPU, nan where nothing was counted.

    Attributes:
        mae: mean absolute error over all values of the data set; of pictures on the range
            [-1, 1]. Published tables print that times 10.
        rmse: root of the mean squared error over all values, likewise (the "MSE" columns of the
            released code and of papers that follow it are this root).
        psnr: mean over images of the peak signal-to-noise ratio, in dB, at most 100; nan where no
            range is declared.
        ssim: mean over images of the structural similarity, in [-1, 1]; nan likewise.
        images: number of images, int64.
    """

    mae: Tensor
    rmse: Tensor
    psnr: Tensor
    ssim: Tensor
    images: Tensor

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain numbers for JSON; ``None`` stands for nan."""
        return plain_scores(self)


Range = tuple[float, float]
"""Least and greatest value that an image can have."""


def image_sums(prediction: Tensor, target: Tensor, limits: Range | None = (-1.0, 1.0)) -> Tensor:
    """What image scores are made of, summed over a batch. Nothing is read back to the host.

    Values that are not finite in ``target`` do not count; for SSIM, which compares windows, they
    are taken as equal in both.

    Args:
        prediction: (B, C, H, W).
        target: the same shape.
        limits: the range of the values, which PSNR and SSIM refer to; None where there is none.

    Returns:
        (6,) float64: Σ |error|, Σ error², values, Σ PSNR, Σ SSIM, images; the sums of PSNR and SSIM
        are nan without limits.

    Raises:
        ShapeError: the shapes differ or are not those of images.
    """
    same_shape(prediction, target)
    if target.ndim != 4:
        raise ShapeError(f"images are (B, C, H, W), got {tuple(target.shape)}")
    valid = torch.isfinite(target)
    check_finite(prediction, valid)
    truth = torch.where(valid, target, 0).double()
    guess = torch.where(valid, prediction, 0).double()
    error = guess - truth
    values = valid.flatten(1).sum(1).double()
    squares = error.square().flatten(1).sum(1)
    counted = values > 0
    psnr = ssim = torch.full_like(values, torch.nan)
    if limits is not None:
        low, peak = limits[0], limits[1] - limits[0]
        share = squares.clamp(min=torch.finfo(torch.float64).tiny) / values
        psnr = torch.where(counted, (10 * torch.log10(peak**2 / share)).clamp(max=HIGHEST_PSNR), 0)
        # SSIM depends on where 0 is, so it is taken on [0, 1], as usual.
        found = structural_similarity_index_measure(
            (guess - low) / peak, (truth - low) / peak, data_range=1.0, reduction="none"
        )
        assert isinstance(found, Tensor)
        ssim = torch.where(counted, found, 0)
    sums = (error.abs(), squares, values, psnr, ssim, counted)
    return torch.stack([value.double().sum() for value in sums])


def image_scores(sums: Tensor) -> ImageScores:
    """The scores of what :func:`image_sums` counted, added up over a data set."""
    if sums.shape != (6,):
        raise ShapeError(f"image sums have the shape (6,), got {tuple(sums.shape)}")
    absolute, squares, values, psnr, ssim, images = sums.detach().cpu().double()
    return ImageScores(
        mae=absolute / values,
        rmse=(squares / values).sqrt(),
        psnr=psnr / images,
        ssim=ssim / images,
        images=images.long(),
    )


class ImageMetric(SumMetric):
    """Accumulates the scores of generated images over batches and processes.

    Args:
        limits: as for :func:`image_sums`.
        **kwargs: passed to :class:`torchmetrics.Metric`.
    """

    def __init__(self, limits: Range | None = (-1.0, 1.0), **kwargs: Any) -> None:
        super().__init__(6, **kwargs)
        self.limits = limits

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Count one batch; see :func:`image_sums`."""
        self.sums += image_sums(pred, target, self.limits)

    def compute(self) -> ImageScores:
        """The scores of everything counted so far, over all processes."""
        return image_scores(self.sums)
