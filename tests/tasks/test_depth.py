"""Depth: its loss, and its scores against a plain loop in numpy."""

import numpy as np
import pytest
import torch
from tests.metrics.processes import depth_batch

from cen.losses import depth_loss
from cen.tasks.depth import Depth, depth_scores, depth_sums


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


def test_depth_ignores_zeros() -> None:
    assert depth_loss(torch.ones(1, 1, 1, 2), torch.tensor([[[[0.0, 3.0]]]])).item() == 2


def test_millimetres_are_written_where_there_is_depth() -> None:
    depth = np.array([[0.001, 70.0], [np.nan, -1.0]], dtype=np.float32)
    files = Depth.further_files(depth)
    assert files["millimetres"].dtype == np.uint16
    assert files["millimetres"].tolist() == [[1, 65535], [0, 0]]
    assert Depth.further_files(np.full((2, 2), np.nan)) == {}
