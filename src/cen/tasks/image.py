"""Images: pictures in [-1, 1], and continuous values like them, of any number of channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from cen.errors import ConfigError, ShapeError, described
from cen.tasks.kind import Kind, Score, as_array, checked_sums, plain_scores
from cen.tasks.pairs import check_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

HIGHEST_PSNR = 100.0
"""What an image without any error counts as, in dB; its PSNR is infinite."""

_WINDOW = 6
"""Least side of an image whose border is mirrored for the 11 × 11 window of SSIM."""


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


class Image(Kind):
    """What a generator makes: a picture in [-1, 1], or standardised values without a range."""

    name = "image"
    fields = ("image", "continuous", "normal")
    generated = True
    scores: ClassVar[Mapping[str, Score]] = {
        "rmse": Score("RMSE", "", higher=False, text="root of the mean squared error"),
        "mae": Score("MAE", "", higher=False, text="mean absolute error"),
        "psnr": Score("PSNR", "dB", text="peak signal-to-noise ratio"),
        "ssim": Score("SSIM", "", text="structural similarity"),
        "fid": Score("FID", "", higher=False, text="Fréchet distance of Inception features"),
        "kid": Score(
            "KID ×100", "", higher=False, text="kernel distance of Inception features, times 100"
        ),
        "frechet_efficientnet_lite0": Score(
            "Fréchet (EfficientNet-Lite0)",
            "",
            higher=False,
            text="Fréchet distance of EfficientNet-Lite0's features; not comparable with FID",
        ),
        "kernel_efficientnet_lite0": Score(
            "kernel ×100 (EfficientNet-Lite0)",
            "",
            higher=False,
            text="kernel distance of EfficientNet-Lite0's features; not comparable with KID",
        ),
    }
    main_score = "mae"
    headline_score = "mae"
    headline_worst = 2.0

    def counts(self) -> dict[str, Tensor]:
        """See `image_sums`."""
        import torch

        return {"sums": torch.zeros(6, dtype=torch.float64)}

    def count(self, decided: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See `image_sums`; of pictures in [-1, 1]."""
        return {"sums": image_sums(decided, target)}

    def score(self, counts: Mapping[str, Tensor]) -> ImageScores:
        """See `ImageScores`."""
        return image_scores(counts["sums"])

    def array(self, values: Tensor) -> NDArray[Any]:
        """A picture of 1 or 3 channels in uint8; values of other channels in float32."""
        if len(values) not in (1, 3):
            return as_array(values)
        return as_array((127.5 * (values + 1)).nan_to_num().round().clamp(0, 255).byte())

    def truth(self, target: Tensor) -> NDArray[Any]:
        """As `array`."""
        return self.array(target.float())


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
        ShapeError: the shapes differ or are not those of images, or the images are too small for
            the window of SSIM.
        DataError: a type or (on the CPU) a value does not fit.
        ConfigError: the limits are no range.
    """
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    Image.check_same(prediction, target)
    valid = torch.isfinite(target)
    check_finite(prediction, valid)
    truth = torch.where(valid, target, 0).double()
    guess = torch.where(valid, prediction, 0).double()
    error = guess - truth
    values = valid.flatten(1).sum(1).double()
    squares = error.square().flatten(1).sum(1)
    there = values > 0
    psnr = ssim = torch.full_like(values, torch.nan)
    if limits is not None:
        low, peak = _range(limits)
        if min(target.shape[-2:]) < _WINDOW:
            raise ShapeError(
                f"SSIM needs images of at least {_WINDOW} × {_WINDOW} pixels, got "
                f"{tuple(target.shape)}; give limits=None for none"
            )
        share = squares.clamp(min=torch.finfo(torch.float64).tiny) / values
        psnr = torch.where(there, (10 * torch.log10(peak**2 / share)).clamp(max=HIGHEST_PSNR), 0)
        # SSIM depends on where 0 is, so it is taken on [0, 1], as usual.
        similarity = structural_similarity_index_measure(
            (guess - low) / peak, (truth - low) / peak, data_range=1.0, reduction="none"
        )
        assert isinstance(similarity, torch.Tensor)
        ssim = torch.where(there, similarity, 0)
    sums = (error.abs(), squares, values, psnr, ssim, there)
    return torch.stack([value.double().sum() for value in sums])


def image_scores(sums: Tensor) -> ImageScores:
    """The scores of what :func:`image_sums` counted, added up over a data set."""
    absolute, squares, values, psnr, ssim, images = checked_sums(sums, (6,), "image sums")
    return ImageScores(
        mae=absolute / values,
        rmse=(squares / values).sqrt(),
        psnr=psnr / images,
        ssim=ssim / images,
        images=images.long(),
    )


def _range(limits: Range) -> tuple[float, float]:
    """Least value and width of a range."""
    low, high = limits if isinstance(limits, tuple | list) and len(limits) == 2 else (0, 0)
    if not (-math.inf < low < high < math.inf):
        raise ConfigError(f"limits are a range such as (-1.0, 1.0), not {described(limits)}")
    return low, high - low
