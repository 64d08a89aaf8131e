"""Edge scores over all valid pixels of a data set (method.md 3.3; this project's extension)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from cen.masks import same_shape, valid_pixels
from cen.metrics.common import counted, plain_scores
from cen.pairs import check_finite, check_range

LEVELS = 100
"""Thresholds tried: 0.01, 0.02, ..., 0.99."""

EDGE = 0.5
"""From this strength on, a graded truth counts as an edge."""


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
    same_shape("edge", probabilities, target)
    check_range("edge", target)
    check_range("edge", probabilities, "prediction")
    valid = valid_pixels("edge", target)
    check_finite(probabilities, valid)
    level = (probabilities.double() * LEVELS).floor().long().clamp(0, LEVELS - 1)
    cell = (target >= EDGE).long() * LEVELS + level
    index = torch.where(valid, cell, 2 * LEVELS).flatten()  # one spare cell for the rest
    counts = torch.zeros(2 * LEVELS + 1, dtype=torch.int64, device=target.device)
    counts.scatter_add_(0, index, torch.ones_like(index))
    return counts[: 2 * LEVELS].view(2, LEVELS)


def edge_scores(counts: Tensor) -> EdgeScores:
    """The scores of what :func:`edge_counts` counted, added up over a data set."""
    others, edges = counted(counts, (2, LEVELS), "edge counts")
    pixels = counts.detach().cpu().sum()
    # From bin k on: what is called an edge at the threshold k / 100.
    hits, wrong = edges.flip(0).cumsum(0).flip(0)[1:], others.flip(0).cumsum(0).flip(0)[1:]
    f = 2 * hits / (hits + wrong + edges.sum())  # = 2PR / (P + R)
    if not pixels or not edges.sum():
        nan = torch.tensor(torch.nan, dtype=torch.float64)
        return EdgeScores(nan, nan, pixels)
    best = int(f.argmax())
    return EdgeScores(f[best], torch.tensor((best + 1) / LEVELS, dtype=torch.float64), pixels)


class EdgeMetric(Metric):
    """Accumulates edge scores over batches and processes, on valid pixels only.

    Args:
        **kwargs: passed to :class:`torchmetrics.Metric`.
    """

    full_state_update = False
    is_differentiable = False
    counts: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        empty = torch.zeros(2, LEVELS, dtype=torch.int64)
        self.add_state("counts", default=empty, dist_reduce_fx="sum")

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Count one batch of probabilities; see :func:`edge_counts`."""
        self.counts += edge_counts(pred, target)

    def compute(self) -> EdgeScores:
        """The scores of everything counted so far, over all processes."""
        return edge_scores(self.counts)
