import numpy as np
import pytest
import torch
from scipy import linalg
from tests.processes import side_by_side
from torch import nn

from cen.errors import ConfigError, DataError, ShapeError
from cen.metrics import (
    Features,
    ImageDistance,
    frechet_distance,
    kernel_distance,
    score_names,
    to_bytes,
)


class Moments(nn.Module):
    """Some numbers of an image, in place of a trained network."""

    num_features = 12

    def forward(self, images):
        x = images.float() / 255
        quarters = nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)
        return quarters


def sets(count=40, width=6):
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(width, width))
    real = rng.normal(size=(count, width)) @ mixing
    generated = rng.normal(size=(count + 5, width)) + 0.5
    return real, generated


def test_frechet_distance_is_that_of_its_definition():
    real, generated = sets()
    first, second = (np.cov(x, rowvar=False) for x in (real, generated))
    root = linalg.sqrtm(first @ second).real
    expected = ((real.mean(0) - generated.mean(0)) ** 2).sum()
    expected += np.trace(first + second - 2 * root)
    found = frechet_distance(torch.from_numpy(real), torch.from_numpy(generated))
    assert found.item() == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(*[torch.from_numpy(real)] * 2).item() == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_fewer_images_than_features():
    real, generated = (torch.from_numpy(x[:4]) for x in sets())
    assert torch.isfinite(frechet_distance(real, generated))


def test_kernel_distance_is_that_of_its_definition():
    real, generated = (x[:20] for x in sets())

    def kernel(x, y):
        return (np.dot(x, y) / len(x) + 1) ** 3

    expected = 0.0
    for k in range(20):
        for m in range(20):
            if k != m:
                expected += kernel(real[k], real[m]) / 380
                expected += kernel(generated[k], generated[m]) / 380
            expected -= 2 * kernel(real[k], generated[m]) / 400
    found = kernel_distance(torch.from_numpy(real), torch.from_numpy(generated))
    assert found.item() == pytest.approx(expected)


def test_kernel_distance_over_subsets_is_repeatable_and_about_the_same():
    real, generated = (torch.from_numpy(x) for x in sets(400))
    whole = kernel_distance(real[:400], generated[:400]).item()
    options = {"subsets": 60, "subset_size": 100}
    found = kernel_distance(real, generated, **options)
    assert found.item() == pytest.approx(whole, rel=0.2)
    assert torch.equal(found, kernel_distance(real, generated, **options))
    assert not torch.equal(found, kernel_distance(real, generated, seed=1, **options))


def images(seed, count=16):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 8, 8, generator=generator) * 2 - 1


def test_classes_compute_what_the_functions_do():
    features = Features("moments", Moments())
    real, near, far = images(0), images(1), images(2) * 0.3
    metric = ImageDistance(features, ("near", "far"))
    for part in (slice(0, 5), slice(5, 16)):
        metric.update({"near": near[part], "far": far[part]}, real[part])
    scores = metric.compute()
    truth = features(to_bytes(real))
    for column, generated in (("near", near), ("far", far)):
        found = features(to_bytes(generated))
        expected = frechet_distance(truth, found).item()
        assert scores[column].frechet.item() == pytest.approx(expected, rel=1e-4)
        expected = 100 * kernel_distance(truth, found).item()
        assert scores[column].kernel.item() == pytest.approx(expected, rel=1e-4)
    assert scores["near"].frechet < scores["far"].frechet
    assert metric.compute()["far"].kernel == scores["far"].kernel
    metric.reset()
    metric.update({"near": near, "far": near}, real)
    again = metric.compute()
    assert again["far"] == again["near"]


@pytest.mark.parametrize("shares", [((0, 2, 4), (1, 3)), ((0, 1, 2, 3, 4), ())])
def test_processes_may_count_other_numbers_of_batches(tmp_path, shares):
    """As with an odd number of samples; what they have together is what one has."""
    side_by_side(_distances, str(tmp_path), shares)
    alone = _counted(range(5)).compute()
    for rank in range(2):
        together = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for column, scores in alone.items():
            assert together[column] == pytest.approx(scores.to_dict("m"), rel=1e-9)


def _counted(indices):
    metric = ImageDistance(Features("m", Moments()), ("near", "far"))
    real, near, far = images(0), images(1), images(2) * 0.3
    for index in indices:
        one = slice(index, index + 1)
        metric.update({"near": near[one], "far": far[one]}, real[one])
    return metric


def _distances(rank, folder, shares):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    scores = _counted(shares[rank]).compute()
    found = {column: values.to_dict("m") for column, values in scores.items()}
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_subsets_of_the_class_leave_the_random_state_alone():
    metric = ImageDistance(Features("m", Moments()), ("a",), subset_size=4, subsets=3)
    metric.update({"a": images(1)}, images(0))
    torch.manual_seed(3)
    first = metric.compute()["a"].kernel
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    metric.update({"a": images(1)[:1]}, images(0)[:1])
    assert metric.compute()["a"].kernel != first


def test_too_few_images_have_no_distance():
    metric = ImageDistance(Features("m", Moments()), ("a",))
    metric.update({"a": images(1)[:1]}, images(0)[:1])
    assert metric.compute()["a"].to_dict("m") == {"frechet_m": None, "kernel_m": None}


def test_only_inception_features_give_fid():
    assert score_names("inception") == ("fid", "kid")
    assert score_names("efficientnet_lite0") == (
        "frechet_efficientnet_lite0",
        "kernel_efficientnet_lite0",
    )


def test_protocols():
    picture = torch.tensor([-1.0, -0.5, 0.0, 2.0]).view(1, 1, 2, 2)
    assert to_bytes(picture).shape == (1, 3, 2, 2)
    assert to_bytes(picture)[0, 0].flatten().tolist() == [0, 64, 128, 255]
    # From its own least to its greatest value, cut off: 127.5 becomes 127.
    narrow = torch.tensor([-0.1, 0.0, 0.0, 0.1]).view(1, 1, 2, 2)
    assert to_bytes(narrow, "released")[0, 0].flatten().tolist() == [0, 127, 127, 255]
    both = torch.cat([narrow, narrow * 5])
    stretched = to_bytes(both, "released")
    assert torch.equal(stretched[0], stretched[1])
    flat = to_bytes(torch.full((1, 3, 2, 2), 0.3), "released")
    assert flat.eq(0).all()
    missing = to_bytes(torch.full((1, 1, 1, 1), torch.nan))
    assert missing.eq(0).all()


def test_what_does_not_fit():
    with pytest.raises(ConfigError, match="'clean' or 'released', not 'fast'"):
        to_bytes(images(0), "fast")
    with pytest.raises(ShapeError, match=r"not \(16, 2, 8, 8\)"):
        to_bytes(images(0)[:, :2])
    with pytest.raises(ShapeError, match="the same F"):
        frechet_distance(torch.zeros(3, 2), torch.zeros(3, 4))
    with pytest.raises(ShapeError, match="at least 2 images"):
        kernel_distance(torch.zeros(3, 2), torch.zeros(1, 2))


def spoilt(value):
    features = torch.rand(6, 3)
    features[2, 1] = value
    return features


FEATURE_FAULTS = {
    "NaN": (spoilt(torch.nan), DataError, "NaN"),
    "infinity": (spoilt(torch.inf), DataError, "NaN, infinity"),
    "beyond": (spoilt(1e38), DataError, "beyond"),
    "integers": (torch.ones(6, 3).long(), DataError, "int64"),
    "uint8": (torch.ones(6, 3).byte(), DataError, "uint8"),
    "complex": (torch.ones(6, 3).cfloat(), DataError, "real numbers"),
    "array": (np.ones((6, 3)), DataError, "ndarray"),
    "device": (torch.ones(6, 3, device="meta"), DataError, "meta"),
    "width": (torch.ones(6, 2), ShapeError, "same F"),
    "dimensions": (torch.ones(3), ShapeError, "same F"),
}


@pytest.mark.parametrize("fault", FEATURE_FAULTS)
@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_features_that_are_none(distance, fault):
    features, error, words = FEATURE_FAULTS[fault]
    for pair in ((torch.rand(6, 3), features), (features, torch.rand(6, 3))):
        with pytest.raises(error, match=words):
            distance(*pair)


@pytest.mark.parametrize("options", [{"subsets": 0}, {"subset_size": 1}, {"seed": "x"}])
def test_subsets_that_are_none(options):
    features = torch.rand(6, 3), torch.rand(7, 3)
    with pytest.raises(ConfigError, match=next(iter(options))):
        kernel_distance(*features, **options)
    assert kernel_distance(*features, subset_size=2).isfinite()


def test_images_that_are_none():
    whole = (images(0) * 255).byte()
    with pytest.raises(DataError, match="uint8"):
        to_bytes(whole)
    metric = ImageDistance(Features("m", Moments()), ("a",))
    for generated, real, error, words in (
        ({}, images(0), ConfigError, "'a'"),
        ({"a": images(1)[:2]}, images(0), ShapeError, "shape"),
        ({"a": whole}, images(0), DataError, "floating point"),
    ):
        with pytest.raises(error, match=words):
            metric.update(generated, real)
    with pytest.raises(ConfigError, match="load_features"):
        ImageDistance(Moments(), ("a",))
