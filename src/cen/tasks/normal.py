"""Surface normals: unit vectors, three channels (method.md 3.3; this project's extension)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from cen.tasks.kind import Kind, Score, checked_sums, plain_scores
from cen.tasks.masks import masked_mean, resize
from cen.tasks.pairs import check_finite, check_range, or_nan

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

BINS = 18_000
"""Bins of the histogram of angles, 0.01° each."""

_LIMITS = (11.25, 22.5, 30.0)
_LONGEST = 1.5


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


class Normal(Kind):
    """Unit vectors (x right, y down, z forward); NaN or zero where there is none."""

    name = "normal"
    fixed_channels = 3
    fields = ("normal",)
    directions = True
    losses = ("cosine",)
    scores: ClassVar[Mapping[str, Score]] = {
        "mean_angle": Score("mean °", "°", higher=False, text="mean angle to the true normal"),
        "median_angle": Score(
            "median °", "°", higher=False, text="median angle to the true normal"
        ),
        "within_11": Score("<11.25°", text="share of pixels within 11.25° of the true normal"),
        "within_22": Score("<22.5°", text="share of pixels within 22.5°"),
        "within_30": Score("<30°", text="share of pixels within 30°"),
    }
    main_score = "mean_angle"
    headline_score = "mean_angle"
    headline_worst = 90.0

    def valid(self, target: Tensor) -> Tensor:
        """Where there is a normal, finite and no zero vector, (B, H, W)."""
        return target.isfinite().all(1) & (target.square().sum(1) > 0.25)

    def loss(
        self,
        prediction: Tensor,
        target: Tensor,
        class_weights: Tensor | None = None,
        tally: Tensor | None = None,
    ) -> Tensor:
        """1 − cosine of the angle between the two, over valid pixels."""
        from torch.nn.functional import cosine_similarity

        self.check(prediction, target)
        outside = _too_long(target)
        check_range(outside, target, self.name, "unit vectors", "target")
        target = target.float()
        valid = self.valid(target)
        truth = target.where(valid[:, None], 1)
        cosine = cosine_similarity(resize(prediction.float(), truth), truth, dim=1)
        return or_nan(masked_mean(1 - cosine, valid), outside, target)

    def constrain(self, values: Tensor) -> Tensor:
        """Unit length: the loss leaves the lengths open, and α alone shall weigh the streams."""
        from torch.nn.functional import normalize

        return normalize(values, dim=1)

    def counts(self) -> dict[str, Tensor]:
        """See `normal_counts`."""
        import torch

        return {
            "sums": torch.zeros(4, dtype=torch.float64),
            "histogram": torch.zeros(BINS, dtype=torch.int64),
        }

    def count(self, decided: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See `normal_counts`."""
        sums, histogram = normal_counts(decided, target)
        return {"sums": sums, "histogram": histogram}

    def score(self, counts: Mapping[str, Tensor]) -> NormalScores:
        """See `NormalScores`."""
        return normal_scores(counts["sums"], counts["histogram"])

    @classmethod
    def expected(cls, array: NDArray[Any]) -> str | None:
        """(H, W, 3)."""
        return None if array.shape[2:] == (3,) else "(H, W, 3)"


def _too_long(target: Tensor) -> Tensor:
    """Whether a vector is too long to be a unit vector, a bool scalar; holes are none."""
    squares = target.float().square().sum(1)
    return (squares.isfinite() & (squares > _LONGEST**2)).any()


def angles(prediction: Tensor, target: Tensor) -> Tensor:
    """Angle between vectors in degrees, (B, 3, H, W) twice to (B, H, W) float32.

    By atan2 of cross and dot product: the arc cosine loses half the digits near 0°. A prediction
    of length 0 has no direction and counts as 90°.

    Raises:
        ShapeError: the shapes differ or are not those of normals.
        DataError: a type does not fit.
    """
    import torch

    Normal.check_same(prediction, target)
    a, b = prediction.float(), target.float()
    sine, cosine = torch.linalg.cross(a, b, dim=1).norm(dim=1), (a * b).sum(1)
    degrees = torch.rad2deg(torch.atan2(sine, cosine))
    return torch.where(a.square().sum(1) > 0, degrees, 90.0)


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
    import torch

    Normal.check_same(prediction, target)
    check_range(_too_long(target), target, "normal", "unit vectors", "target")
    valid = Normal(3).valid(target)
    check_finite(prediction, valid[:, None])
    degrees = angles(prediction, torch.where(valid[:, None], target, 1))
    sums = [torch.where(valid, degrees, 0).double().sum()]
    sums += [(valid & (degrees < limit)).sum().double() for limit in _LIMITS]
    bins = (degrees * (BINS / 180)).long().clamp(0, BINS - 1)
    index = torch.where(valid, bins, BINS).flatten()  # one spare bin for the rest
    histogram = torch.zeros(BINS + 1, dtype=torch.int64, device=degrees.device)
    histogram.scatter_add_(0, index, torch.ones_like(index))
    return torch.stack(sums), histogram[:BINS]


def normal_scores(sums: Tensor, histogram: Tensor) -> NormalScores:
    """The scores of what :func:`normal_counts` counted, added up over a data set."""
    total, *below = checked_sums(sums, (4,), "sums of normals")
    counts = checked_sums(histogram, (BINS,), "the histogram of angles").long()
    pixels = counts.sum()
    within_11, within_22, within_30 = (count / pixels for count in below)
    return NormalScores(total / pixels, _median(counts), within_11, within_22, within_30, pixels)


def _median(counts: Tensor) -> Tensor:
    """Median of a histogram, interpolated inside its bin."""
    import torch

    pixels = counts.sum().double()
    cumulative = counts.cumsum(0).double()
    if not pixels:
        return torch.tensor(torch.nan, dtype=torch.float64)
    bin_ = int(torch.searchsorted(cumulative, pixels / 2))
    before = cumulative[bin_] - counts[bin_]
    return (bin_ + (pixels / 2 - before) / counts[bin_]) * (180 / BINS)
