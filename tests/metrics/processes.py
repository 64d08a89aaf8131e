"""What two processes count together must be what one counts: run by the tests of the metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tests.processes import side_by_side
from torch import Tensor
from torchmetrics import Metric

from cen.metrics import DepthMetric, EdgeMetric, NormalMetric, SegmentationMetric

Batch = tuple[Tensor, Tensor]


def depth_batch(seed: int) -> Batch:
    """Predicted and true depth with holes; sizes of the batches differ by seed."""
    rng = torch.Generator().manual_seed(seed)
    truth = 0.5 + 4 * torch.rand(1 + seed, 1, 6, 7, generator=rng)
    guess = truth * (0.6 + torch.rand(truth.shape, generator=rng))
    guess[0, 0, 0, 0] = -1.0
    truth[:, :, 2] = torch.nan
    truth[:, :, 3, 3] = 0.0
    return guess, truth


def normal_batch(seed: int) -> Batch:
    """Predicted vectors of any length, and true unit vectors with holes of both kinds."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.randn(1 + seed, 3, 6, 7, generator=rng)
    truth = truth / truth.norm(dim=1, keepdim=True)
    guess = 3 * (truth + 0.4 * torch.randn(truth.shape, generator=rng))
    truth[:, :, 1] = torch.nan
    truth[:, :, 2, 2] = 0.0
    return guess, truth


def edge_batch(seed: int) -> Batch:
    """Probabilities and graded edges with unknown pixels."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.rand(1 + seed, 1, 6, 7, generator=rng)
    guess = (truth + 0.5 * torch.randn(truth.shape, generator=rng)).clamp(0, 1)
    truth[:, :, 4] = torch.nan
    return guess, truth


def label_batch(seed: int) -> Batch:
    """Predicted and true classes, of which one is none of the three."""
    rng = torch.Generator().manual_seed(seed)
    shape = (1 + seed, 5, 7)
    guess = torch.randint(0, 3, shape, generator=rng)
    return guess, torch.randint(0, 4, shape, generator=rng)


KINDS: dict[str, tuple[Callable[[], Metric], Callable[[int], Batch]]] = {
    "depth": (DepthMetric, depth_batch),
    "normal": (NormalMetric, normal_batch),
    "edge": (EdgeMetric, edge_batch),
}


def scores_of_two_processes(folder: Path) -> list[dict[str, dict[str, Any]]]:
    """Scores by kind as each of two processes reads them, which counted batch 0 and batch 1.

    Those of a segmentation with the matrix that they are read off.
    """
    side_by_side(_count, str(folder))
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def _count(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    found = {}
    for kind, (metric_of, batch_of) in KINDS.items():
        metric = metric_of()
        metric.update(*batch_of(rank))
        found[kind] = metric.compute().to_dict()
    matrix = SegmentationMetric(3)
    matrix.update(*label_batch(rank))
    found["segmentation"] = matrix.compute().to_dict()
    with matrix.sync_context():
        found["segmentation"]["matrix"] = matrix.matrix
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()
