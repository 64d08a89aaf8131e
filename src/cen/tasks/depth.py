"""Depth: metres, one channel (method.md 3.3; this project's extension)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from cen.tasks.kind import Kind, Score, checked_sums, plain_scores
from cen.tasks.pairs import check_finite

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


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


class Depth(Kind):
    """Distances in metres; 0, negative or not finite where they were not measured."""

    name = "depth"
    fixed_channels = 1
    fields = ("depth",)
    scores: ClassVar[Mapping[str, Score]] = {
        "rmse": Score("RMSE", "", higher=False, text="root of the mean squared error"),
        "abs_rel": Score("abs-rel", "", higher=False, text="mean of |error| / true depth"),
        "delta1": Score("δ<1.25", text="share of pixels within a factor of 1.25 of the truth"),
    }
    main_score = "rmse"
    headline_score = "abs_rel"
    headline_worst = 1.0

    def valid(self, target: Tensor) -> Tensor:
        """Where depth was measured: finite and above 0."""
        return target.isfinite() & (target > 0)

    def counts(self) -> dict[str, Tensor]:
        """See `depth_sums`."""
        import torch

        return {"sums": torch.zeros(4, dtype=torch.float64)}

    def count(self, decided: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See `depth_sums`."""
        return {"sums": depth_sums(decided, target)}

    def score(self, counts: Mapping[str, Tensor]) -> DepthScores:
        """See `DepthScores`."""
        return depth_scores(counts["sums"])

    @classmethod
    def expected(cls, array: NDArray[Any]) -> str | None:
        """(H, W), or with an axis of one."""
        flat = array.ndim == 2 or 1 in (array.shape[0], array.shape[-1])
        return None if flat else "(H, W)"

    @classmethod
    def further_files(cls, array: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """``millimetres``, uint16: 0 where depth is 0 or less; none where it is so everywhere."""
        import numpy as np

        if not (np.isfinite(array) & (array > 0)).any():
            return {}
        return {
            "millimetres": (1000 * np.nan_to_num(array)).round().clip(0, 65535).astype(np.uint16)
        }


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
    import torch

    Depth.check_same(prediction, target)
    valid = Depth(1).valid(target)
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
    squares, relative, within, count = checked_sums(sums, (4,), "depth sums")
    return DepthScores(
        rmse=(squares / count).sqrt(),
        abs_rel=relative / count,
        delta1=within / count,
        pixels=count.long(),
    )
