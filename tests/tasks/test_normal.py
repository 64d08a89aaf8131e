"""Normals: their loss, and their scores against a plain loop in numpy."""

import numpy as np
import pytest
import torch
from tests.metrics.processes import normal_batch

from cen.losses import normal_loss
from cen.tasks.normal import angles, normal_counts, normal_scores


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


def test_normals_are_compared_by_angle() -> None:
    target = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 0]]).T.reshape(1, 3, 1, 3)
    prediction = torch.tensor([[2.0, 0, 0], [3.0, 3.0, 0], [1.0, 1, 1]]).T.reshape(1, 3, 1, 3)
    expected = (0 + 1 - 2**-0.5) / 2
    assert normal_loss(prediction, target).item() == pytest.approx(expected, abs=1e-6)
