"""Scores of depth, normals and edges against plain loops in numpy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.metrics.processes import (
    KINDS,
    depth_batch,
    edge_batch,
    normal_batch,
    scores_of_two_processes,
)

from cen.errors import ShapeError
from cen.metrics import (
    DepthMetric,
    EdgeMetric,
    NormalMetric,
    angles,
    depth_scores,
    depth_sums,
    edge_counts,
    edge_scores,
    normal_counts,
    normal_scores,
)


def test_depth_against_a_loop() -> None:
    guess, truth = depth_batch(2)
    errors, relative, within = [], [], []
    for p, t in zip(guess.double().numpy().ravel(), truth.double().numpy().ravel(), strict=True):
        if np.isfinite(t) and t > 0:
            errors.append((p - t) ** 2)
            relative.append(abs(p - t) / t)
            within.append(p > 0 and max(p / t, t / p) < 1.25)
    scores = depth_scores(depth_sums(guess, truth))
    assert scores.pixels == len(errors) < truth.numel()
    assert scores.rmse.item() == pytest.approx(np.sqrt(np.mean(errors)), rel=1e-12)
    assert scores.abs_rel.item() == pytest.approx(np.mean(relative), rel=1e-12)
    assert scores.delta1.item() == pytest.approx(np.mean(within), rel=1e-12)
    assert 0 < scores.delta1 < 1


def test_depth_metric_pools_pixels_rather_than_images() -> None:
    """The mean over images of their RMSE is another number where they have other holes."""
    guess, truth = torch.tensor([[[[1.0, 3.0]]], [[[1.0, 1.0]]]]), torch.ones(2, 1, 1, 2)
    truth[1, 0, 0, 1] = torch.nan
    metric = DepthMetric()
    for k in range(2):
        metric.update(guess[k : k + 1], truth[k : k + 1])
    assert metric.compute().rmse.item() == pytest.approx(np.sqrt(4 / 3))


def test_normals_against_a_loop() -> None:
    guess, truth = normal_batch(3)
    found = []
    for p, t in zip(
        guess.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy(),
        truth.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy(),
        strict=True,
    ):
        if np.isfinite(t).all() and np.linalg.norm(t) > 0.5:
            cosine = p @ t / np.linalg.norm(p) / np.linalg.norm(t)
            found.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    scores = normal_scores(*normal_counts(guess, truth))
    assert scores.pixels == len(found)
    assert scores.mean_angle.item() == pytest.approx(np.mean(found), abs=1e-4)
    # An even number of pixels: any value between the two in the middle is a median.
    low, high = np.sort(found)[[(len(found) - 1) // 2, len(found) // 2]]
    assert low - 0.01 <= scores.median_angle.item() <= high + 0.01
    for limit, share in ((11.25, scores.within_11), (22.5, scores.within_22), (30, scores[4])):
        assert share.item() == pytest.approx(np.mean(np.array(found) < limit))


def test_median_of_many_angles_is_exact_to_a_bin() -> None:
    rng = np.random.default_rng(0)
    tilt = np.radians(rng.gamma(2.0, 8.0, 4001))
    guess = np.stack([np.sin(tilt), 0 * tilt, np.cos(tilt)])[None, :, None].astype(np.float32)
    truth = torch.zeros(1, 3, 1, 4001)
    truth[:, 2] = 1
    scores = normal_scores(*normal_counts(torch.from_numpy(guess), truth))
    assert scores.median_angle.item() == pytest.approx(np.degrees(np.median(tilt)), abs=0.01)


def test_small_angles_keep_their_digits() -> None:
    """An arc cosine in float32 cannot tell 0.01 degrees from 0."""
    tilt = torch.deg2rad(torch.tensor(0.01, dtype=torch.float64))
    guess = torch.stack([tilt.sin(), torch.zeros_like(tilt), tilt.cos()]).float().view(1, 3, 1, 1)
    truth = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)
    assert angles(guess, truth).item() == pytest.approx(0.01, rel=1e-3)
    assert angles(torch.zeros(1, 3, 1, 1), truth).item() == 90.0


def test_edges_against_every_threshold() -> None:
    guess, truth = edge_batch(4)
    known = torch.isfinite(truth)
    p, t = guess[known].double().numpy(), truth[known].numpy() >= 0.5
    best, at = 0.0, 0.0
    for k in range(1, 100):
        called = np.floor(p * 100) >= k
        hits = (called & t).sum()
        if hits:
            precision, recall = hits / called.sum(), hits / t.sum()
            f = 2 * precision * recall / (precision + recall)
            best, at = (f, k / 100) if f > best else (best, at)
    scores = edge_scores(edge_counts(guess, truth))
    assert scores.max_f.item() == pytest.approx(best)
    assert scores.threshold.item() == pytest.approx(at)
    assert scores.pixels == len(p)


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


def test_two_processes_count_together(tmp_path: Path) -> None:
    found = scores_of_two_processes(tmp_path)
    for kind, (metric_of, batch_of) in KINDS.items():
        metric = metric_of()
        for rank in range(2):
            metric.update(*batch_of(rank))
        expected = metric.compute().to_dict()
        for scores in found:
            assert scores[kind] == pytest.approx(expected)
