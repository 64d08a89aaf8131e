import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from cen.errors import ConfigError, ShapeError
from cen.metrics import ImageMetric, image_scores, image_sums


def pair(count=3, channels=3, size=(24, 32)):
    rng = np.random.default_rng(0)
    truth = rng.uniform(-1, 1, (count, channels, *size)).astype(np.float32)
    guess = np.clip(truth + rng.normal(0, 0.2, truth.shape), -1, 1).astype(np.float32)
    return torch.from_numpy(guess), torch.from_numpy(truth)


def test_errors_are_those_of_numpy():
    guess, truth = pair()
    scores = image_scores(image_sums(guess, truth))
    error = (guess - truth).double().numpy()
    assert scores.mae.item() == pytest.approx(np.abs(error).mean())
    assert scores.rmse.item() == pytest.approx(np.sqrt((error**2).mean()))
    each = [10 * math.log10(4 / (e**2).mean()) for e in error]
    assert scores.psnr.item() == pytest.approx(np.mean(each))
    assert scores.images == 3


def ssim(x, y):
    """Wang et al., 2004, with a Gaussian window of standard deviation 1.5 over 11 pixels."""

    def mean(a):
        return gaussian_filter(a, 1.5, truncate=3.5, mode="mirror")

    mu_x, mu_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mu_x**2, mean(y * y) - mu_y**2
    both = mean(x * y) - mu_x * mu_y
    c1, c2 = 0.01**2, 0.03**2
    found = (2 * mu_x * mu_y + c1) * (2 * both + c2)
    return (found / ((mu_x**2 + mu_y**2 + c1) * (var_x + var_y + c2))).mean()


def test_structural_similarity_is_that_of_its_definition():
    guess, truth = pair()
    found = image_scores(image_sums(guess, truth)).ssim.item()
    x, y = ((t.double().numpy() + 1) / 2 for t in (guess, truth))
    expected = np.mean(
        [[ssim(*pair) for pair in zip(*z, strict=True)] for z in zip(x, y, strict=True)]
    )
    assert found == pytest.approx(expected, abs=1e-6)


def test_class_accumulates_what_the_function_counts():
    guess, truth = pair(count=4)
    metric = ImageMetric()
    metric.update(guess[:1], truth[:1])
    metric.update(guess[1:], truth[1:])
    whole = image_scores(image_sums(guess, truth))
    for found, expected in zip(metric.compute(), whole, strict=True):
        assert found.item() == pytest.approx(expected.item())


def test_missing_values_do_not_count():
    guess, truth = pair()
    truth[:, :, :4] = torch.nan
    truth[2] = torch.nan
    scores = image_scores(image_sums(guess, truth))
    error = (guess - truth)[:2, :, 4:]
    assert scores.mae.item() == pytest.approx(error.abs().mean().item())
    assert scores.images == 2
    assert 0 < scores.ssim < 1


def test_perfect_and_no_images():
    _, truth = pair()
    perfect = image_scores(image_sums(truth, truth)).to_dict()
    assert perfect["mae"] == 0
    assert perfect["psnr"] == 100
    assert perfect["ssim"] == pytest.approx(1)
    nothing = image_scores(torch.zeros(6)).to_dict()
    assert nothing == {"mae": None, "rmse": None, "psnr": None, "ssim": None, "images": 0}


def test_shapes_that_do_not_fit():
    guess, truth = pair()
    with pytest.raises(ShapeError, match="differ in shape"):
        image_sums(guess[:, :1], truth)
    with pytest.raises(ShapeError, match=r"\(B, C, h, w\)"):
        image_sums(guess[0], truth[0])
    with pytest.raises(ShapeError, match=r"\(6,\)"):
        image_scores(torch.zeros(4))


@pytest.mark.parametrize("limits", [(1.0, 1.0), (1.0, -1.0), (0.0, float("nan")), 3, "ab"])
def test_limits_that_are_no_range(limits):
    image = torch.rand(1, 1, 8, 8)
    with pytest.raises(ConfigError, match="range"):
        image_sums(image, image, limits)


def test_images_smaller_than_the_window_have_no_ssim():
    image = torch.rand(1, 1, 5, 8)
    with pytest.raises(ShapeError, match="6 × 6"):
        image_sums(image, image)
    assert image_scores(image_sums(image, image, None)).mae == 0
    image = torch.rand(1, 1, 6, 6)
    assert image_scores(image_sums(image, image)).ssim == pytest.approx(1)
