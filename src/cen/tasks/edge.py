"""Edges: strengths in 0..1, one logit (method.md 3.3; this project's extension)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from cen.errors import DataError
from cen.tasks.kind import Kind, Score, checked_sums, plain_scores
from cen.tasks.masks import masked_mean, resize
from cen.tasks.pairs import check_finite, check_numbers, check_range, or_nan, values_checked

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

LEVELS = 100
"""Thresholds tried: 0.01, 0.02, ..., 0.99."""

EDGE = 0.5
"""From this strength on, a graded truth counts as an edge."""

_RANGE = "strengths in 0..1"


class EdgeScores(NamedTuple):
    """Scores of predicted edges, float64 on the CPU, nan where no pixel is valid.

    Attributes:
        max_f: greatest F = 2PR / (P + R) over the thresholds, precision and recall being counted
            over the whole data set: ODS-F, but pixel by pixel. Unlike the benchmark of BSDS there
            is neither thinning nor a tolerance for displaced edges.
        threshold: the probability at which it is reached.
        pixels: number of valid pixels, int64.
    """

    max_f: Tensor
    threshold: Tensor
    pixels: Tensor

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain numbers for JSON; ``None`` stands for nan."""
        return plain_scores(self)


class Edge(Kind):
    """Strengths of edges in 0..1, predicted as logits; NaN where unknown."""

    name = "edge"
    fixed_channels = 1
    fields = ("edge",)
    classifies = True
    losses = ("balanced_cross_entropy",)
    scores: ClassVar[Mapping[str, Score]] = {
        "max_f": Score("max-F", text="greatest F over thresholds, counted over the data set"),
        "threshold": Score("at", "", text="the threshold of max-F"),
    }
    main_score = "max_f"
    headline_score = "max_f"

    def loss(
        self,
        prediction: Tensor,
        target: Tensor,
        class_weights: Tensor | None = None,
        tally: Tensor | None = None,
    ) -> Tensor:
        """See `edge_loss`."""
        share = None if tally is None else tally[0] / tally[1].clamp(min=1)
        return edge_loss(prediction, target, share)

    def tally(self, target: Tensor) -> Tensor:
        """Strength of all edges and number of valid pixels, (2,); their quotient is the share."""
        import torch

        valid = target.isfinite()
        return torch.stack([target.where(valid, 0).sum(), valid.sum().to(target.dtype)])

    def activate(self, values: Tensor) -> Tensor:
        """Probabilities."""
        return values.sigmoid()

    def comparable(self, values: Tensor) -> Tensor:
        """The logits (this project's choice)."""
        return values

    def decide(self, values: Tensor) -> Tensor:
        """Probabilities in float32."""
        return values.float().sigmoid()

    def counts(self) -> dict[str, Tensor]:
        """See `edge_counts`."""
        import torch

        return {"counts": torch.zeros(2, LEVELS, dtype=torch.int64)}

    def count(self, decided: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See `edge_counts`."""
        return {"counts": edge_counts(decided, target)}

    def score(self, counts: Mapping[str, Tensor]) -> EdgeScores:
        """See `EdgeScores`."""
        return edge_scores(counts["counts"])

    @classmethod
    def expected(cls, array: NDArray[Any]) -> str | None:
        """(H, W)."""
        return None if array.ndim == 2 else "(H, W)"


def edge_loss(logits: Tensor, target: Tensor, share: Tensor | None = None) -> Tensor:
    """Class-balanced binary cross-entropy over valid pixels (method.md 3.3; ours).

    Edge and other pixels get weights by the share of the other kind in the batch.

    Args:
        logits: (B, 1, h, w).
        target: (B, 1, H, W) in [0, 1]; NaN where missing.
        share: The share of edges, a scalar in 0..1, where the batch is a part of a larger one.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    Edge.check(logits, target)
    outside = _outside(target)
    check_range(outside, target, "edge", _RANGE, "target")
    target = target.float()
    if share is None:
        edges, pixels = Edge(1).tally(target)
        share = edges / pixels.clamp(min=1)
    else:
        check_numbers(share, "the share of edges", "")
        if values_checked(share) and not 0 <= share <= 1:
            raise DataError(f"the share of edges is in 0..1, not {share:.4g}")
    valid = target.isfinite()
    clean = target.where(valid, 0)
    losses = binary_cross_entropy_with_logits(
        resize(logits.float(), clean), clean, reduction="none"
    )
    loss = masked_mean(losses * (clean * (1 - share) + (1 - clean) * share), valid)
    return or_nan(loss, outside, target)


def _outside(target: Tensor) -> Tensor:
    """Whether a strength is outside 0..1, a bool scalar; holes are not."""
    return (target.isfinite() & ((target < 0) | (target > 1))).any()


def edge_counts(probabilities: Tensor, target: Tensor) -> Tensor:
    """How many pixels of either truth have which probability.

    Nothing is read back to the host.

    Args:
        probabilities: (B, 1, H, W) in 0..1.
        target: the same shape, in 0..1; from `EDGE` on an edge, NaN where unknown.

    Returns:
        (2, 100) int64: row 0 counts other pixels, row 1 edges; bin k holds the probabilities from
        k / 100 up to (k + 1) / 100.

    Raises:
        ShapeError: the shapes differ.
        DataError: a type or (on the CPU) a value does not fit.
    """
    import torch

    Edge.check_same(probabilities, target)
    check_range(_outside(target), target, "edge", _RANGE, "target")
    check_range(_outside(probabilities), probabilities, "edge", _RANGE, "prediction")
    valid = target.isfinite()
    check_finite(probabilities, valid)
    level = (probabilities.double() * LEVELS).floor().long().clamp(0, LEVELS - 1)
    cell = (target >= EDGE).long() * LEVELS + level
    index = torch.where(valid, cell, 2 * LEVELS).flatten()  # one spare cell for the rest
    counts = torch.zeros(2 * LEVELS + 1, dtype=torch.int64, device=target.device)
    counts.scatter_add_(0, index, torch.ones_like(index))
    return counts[: 2 * LEVELS].view(2, LEVELS)


def edge_scores(counts: Tensor) -> EdgeScores:
    """The scores of what :func:`edge_counts` counted, added up over a data set."""
    import torch

    others, edges = checked_sums(counts, (2, LEVELS), "edge counts")
    pixels = counts.detach().cpu().sum()
    # From bin k on: what is called an edge at the threshold k / 100.
    hits, wrong = edges.flip(0).cumsum(0).flip(0)[1:], others.flip(0).cumsum(0).flip(0)[1:]
    f = 2 * hits / (hits + wrong + edges.sum())  # = 2PR / (P + R)
    if not pixels or not edges.sum():
        nan = torch.tensor(torch.nan, dtype=torch.float64)
        return EdgeScores(nan, nan, pixels)
    best = int(f.argmax())
    return EdgeScores(f[best], torch.tensor((best + 1) / LEVELS, dtype=torch.float64), pixels)
