from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cen.config import Config
from cen.data import Modality
from cen.data.readers.opening import DatasetRecipe
from cen.data.tools.statistics import (
    ClassCounts,
    Moments,
    as_yaml,
    measure,
    measure_samples,
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.floats(-1e6, 1e6))
def test_moments_are_those_of_numpy_however_far_from_zero(sizes, offset):
    rng = np.random.default_rng(0)
    parts = [offset + rng.normal(size=(2, 1, size)) for size in sizes]
    total = Moments()
    for part in parts:
        total.add(Moments.of(part, np.ones(part.shape[1:], dtype=bool)))
    values = np.concatenate(parts, axis=2)[:, 0]
    assert total.count == values.shape[1]
    if values.shape[1]:
        np.testing.assert_allclose(total.mean, values.mean(axis=1), rtol=1e-11)
        np.testing.assert_allclose(total.std, values.std(axis=1), rtol=1e-9, atol=1e-12)


def test_missing_pixels_count_for_nothing():
    planes = np.array([[[1.0, 3.0, 99.0]]])
    moments = Moments.of(planes, np.array([[True, True, False]]))
    assert (moments.mean, moments.std, moments.count) == ([2.0], [1.0], 2)


def test_class_weights_are_median_frequency_and_finite():
    """By hand: two pictures of 8 labelled pixels; class 2 occurs in one of them, class 3 never."""
    one = np.array([0] * 6 + [1] * 2 + [255] * 2)
    other = np.array([0] * 4 + [1] * 2 + [2] * 2)
    counts = ClassCounts.of(one, 4)
    counts.add(ClassCounts.of(other, 4))
    np.testing.assert_array_equal(counts.pixels, [10, 4, 2, 0])
    frequency = np.array([10 / 16, 4 / 16, 2 / 8])
    np.testing.assert_allclose(counts.weights(), [*(0.25 / frequency), 1.0])
    assert np.isfinite(ClassCounts.of(np.full(4, 255), 3).weights()).all()


def test_an_ignored_class_has_no_part_in_the_weights():
    """A class 0 of pixels that nobody knows: the others weigh what they would without it."""
    labels = np.array([0] * 50 + [1] * 6 + [2] * 2)
    counts = ClassCounts.of(labels, 3, ignore_index=0)
    np.testing.assert_array_equal(counts.pixels, [0, 6, 2])
    frequency = np.array([6 / 8, 2 / 8])
    np.testing.assert_allclose(counts.weights(), [1.0, *(np.median(frequency) / frequency)])


def test_holes_that_an_encoding_leaves_count_for_nothing():
    """No plane fits where hardly anything was seen: such pixels have a depth and no normal."""
    depth = np.full((32, 40), np.nan, np.float32)
    depth[:12] = np.linspace(2.0, 3.0, 40, dtype=np.float32)
    depth[20:, ::8] = 2.0
    camera = (50.0, 50.0, depth.shape[1] / 2, depth.shape[0] / 2)
    modality = Modality.of("depth", encoding="normals", channels=3, intrinsics=camera)

    class One:
        """A data set of one picture."""

        modalities: ClassVar = {"depth": modality}
        targets: ClassVar = {}
        labels: ClassVar = {}

        def raw(self, index):
            return {"depth": depth}

    moments = measure_samples(One(), range(1)).moments["depth"]
    normals = modality.prepare(depth)
    known = np.isfinite(normals).all(axis=-1)
    assert 0 < known.sum() < np.isfinite(depth).sum()
    np.testing.assert_allclose(moments.mean, normals[known].mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(moments.std, normals[known].std(axis=0), rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def found(layouts):
    dataset = DatasetRecipe("nyudv2", str(layouts("nyudv2"))).open("train")
    return dataset, measure(dataset)


def test_statistics_of_a_data_set_are_those_of_numpy_over_all_its_pixels(found):
    dataset, statistics = found
    samples = [dataset.raw(index) for index in range(len(dataset))]
    rgb = np.concatenate([s["rgb"].reshape(-1, 3) for s in samples]) / 255.0
    depth = np.concatenate([s["depth"].ravel() for s in samples]).astype(np.float64)
    labels = np.concatenate([s["segmentation"].ravel() for s in samples])
    told = statistics.to_dict()
    np.testing.assert_allclose(told["modalities"]["rgb"]["mean"], rgb.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(told["modalities"]["rgb"]["std"], rgb.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(told["modalities"]["depth"]["mean"], [np.nanmean(depth)], rtol=1e-5)
    np.testing.assert_allclose(told["modalities"]["depth"]["std"], [np.nanstd(depth)], rtol=1e-5)
    pixels = np.bincount(labels, minlength=15)
    assert told["classes"]["segmentation"]["pixels"] == pixels.tolist()
    assert told["samples"] == len(dataset) == 7


def test_the_number_of_calls_changes_no_digit_that_is_told(found):
    from cen.data.tools.statistics import Statistics

    dataset, statistics = found
    total = Statistics()
    for index in range(len(dataset)):
        total.add(measure_samples(dataset, range(index, index + 1)))
    assert total.to_dict() == statistics.to_dict()


def test_the_yaml_is_a_configuration(found, tmp_path):
    _, statistics = found
    text = as_yaml(statistics, "of a test")
    (tmp_path / "stats.yaml").write_text(text)
    config = Config.load(tmp_path / "stats.yaml")
    told = statistics.to_dict()
    assert config.data.modalities["depth"].mean == told["modalities"]["depth"]["mean"]
    assert config.train.class_weights == told["classes"]["segmentation"]["weights"]
    assert text.startswith(
        "# of a test\n# 7 training samples\n# Merge the keys below into the YAML"
    )
    assert list(yaml.safe_load(text)) == ["data", "train"]


def test_the_page_tells_the_defaults_without_statistics():
    page = (Path(__file__).parents[3] / "docs" / "checking.md").read_text("utf-8")
    table = page.split("| kind | scale | mean | std |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    told = {row[0]: row[1:] for row in rows}
    colour, grey, depth = Modality.of("image", 3), Modality.of("image", 4), Modality.of("depth", 1)
    assert told["`image`, 3 channels"] == [
        "1 / 255", f"{str(colour.mean)[1:-1]} (ImageNet)", str(colour.std)[1:-1]
    ]  # fmt: skip
    assert colour.scale == grey.scale == 1 / 255
    assert Modality.of("image", 1, bits=16).scale == 1 / 65535
    assert told["`image`, other channels"][1:] == [f"{grey.mean[0]} each", f"{grey.std[0]} each"]
    assert told["`depth`"] == ["metres", f"{depth.mean[0]:g}", f"{depth.std[0]:g}"]
    for kind, channels in (("continuous", 2), ("normal", 3), ("edge", 1)):
        plain = Modality.of(kind, channels)
        assert (plain.scale, set(plain.mean), set(plain.std)) == (1.0, {0.0}, {1.0})
    assert told["`continuous`, `normal`, `edge`"] == ["1", "0", "1"]
