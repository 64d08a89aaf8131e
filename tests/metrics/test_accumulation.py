"""Counts that are summed over batches and processes, of any kind of output."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from tests.metrics.processes import (
    KINDS,
    label_batch,
    scores_of_two_processes,
)

from cen.errors import ShapeError
from cen.metrics import (
    DepthMetric,
    EdgeMetric,
    NormalMetric,
    confusion_matrix,
    segmentation_scores,
)


def test_depth_metric_pools_pixels_rather_than_images() -> None:
    """The mean over images of their RMSE is another number where they have other holes."""
    guess, truth = torch.tensor([[[[1.0, 3.0]]], [[[1.0, 1.0]]]]), torch.ones(2, 1, 1, 2)
    truth[1, 0, 0, 1] = torch.nan
    metric = DepthMetric()
    for k in range(2):
        metric.update(guess[k : k + 1], truth[k : k + 1])
    assert metric.compute().rmse.item() == pytest.approx(np.sqrt(4 / 3))


def test_edges_are_counted_over_the_data_set() -> None:
    """One threshold for all images: each alone would do better at its own."""
    metric = EdgeMetric()
    truth = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    for values in ((0.9, 0.8), (0.3, 0.2)):
        metric.update(torch.tensor(values).view(1, 1, 1, 2), truth)
    assert metric.compute().max_f.item() == pytest.approx(0.8)  # P 2/3, R 1


@pytest.mark.parametrize("metric", [DepthMetric(), NormalMetric(), EdgeMetric()])
def test_nothing_labelled_is_none_in_json(
    metric: DepthMetric | NormalMetric | EdgeMetric,
) -> None:
    shape = (1, 3, 2, 2) if isinstance(metric, NormalMetric) else (1, 1, 2, 2)
    metric.update(torch.rand(shape), torch.full(shape, torch.nan))
    plain = json.loads(json.dumps(metric.compute().to_dict(), allow_nan=False))
    assert plain.pop("pixels") == 0
    assert set(plain.values()) == {None}


@pytest.mark.parametrize("kind", KINDS)
def test_update_reads_nothing_back(kind: str) -> None:
    """On the meta device any read of a value raises, as a hidden synchronisation would."""
    metric_of, batch_of = KINDS[kind]
    metric = metric_of().to("meta")
    metric.update(*(x.to("meta") for x in batch_of(0)))


@pytest.mark.parametrize("kind", KINDS)
def test_other_shapes_are_refused(kind: str) -> None:
    metric_of, batch_of = KINDS[kind]
    guess, truth = batch_of(0)
    with pytest.raises(ShapeError, match="differ in shape"):
        metric_of().update(guess[:, :, :1], truth)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Any]]]:
    """Scores by kind as each of two processes reads them: starting them takes seconds."""
    return scores_of_two_processes(tmp_path_factory.mktemp("processes"))


def test_two_processes_count_together(found: list[dict[str, dict[str, Any]]]) -> None:
    for kind, (metric_of, batch_of) in KINDS.items():
        metric = metric_of()
        for rank in range(2):
            metric.update(*batch_of(rank))
        expected = metric.compute().to_dict()
        for scores in found:
            assert scores[kind] == pytest.approx(expected)


def test_two_processes_sum_their_matrices(found: list[dict[str, dict[str, Any]]]) -> None:
    """They hold different numbers of images."""
    expected = confusion_matrix(*label_batch(0), 3) + confusion_matrix(*label_batch(1), 3)
    for scores in found:
        assert torch.equal(scores["segmentation"]["matrix"], expected)
        assert scores["segmentation"]["mean_iou"] == segmentation_scores(expected).mean_iou
