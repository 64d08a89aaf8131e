"""What several metrics share: scores as plain values, and sums over batches and processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from cen.errors import DataError, ShapeError, described


def plain_scores(scores: Any) -> dict[str, Any]:
    """A NamedTuple of tensors as plain numbers and lists for JSON; ``None`` stands for nan."""
    return {name: _plain(value.tolist()) for name, value in scores._asdict().items()}


def counted(sums: Tensor, shape: tuple[int, ...], what: str) -> Tensor:
    """Sums of a metric on the host, float64, refused where they cannot be what was counted.

    Raises:
        ShapeError: they have another shape.
        DataError: they are no tensor.
    """
    if not isinstance(sums, Tensor):
        raise DataError(f"{what} must be a tensor, got {described(sums)}")
    if sums.shape != shape:
        raise ShapeError(f"{what} have the shape {shape}, got {tuple(sums.shape)}")
    return sums.detach().cpu().double()


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value


class SumMetric(Metric):
    """A metric whose state is one vector of sums, added up over batches and processes.

    Args:
        count: length of the vector.
        **kwargs: passed to :class:`torchmetrics.Metric`.
    """

    full_state_update = False
    is_differentiable = False
    sums: Tensor

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        empty = torch.zeros(count, dtype=torch.float64)
        self.add_state("sums", default=empty, dist_reduce_fx="sum")
