import re

import numpy as np
import pytest
import tifffile

from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.data.readers.opening import DatasetRecipe
from cen.data.tools.checking import check_data
from cen.data.tools.statistics import as_yaml, measure
from cen.data.tools.value_ranges import ValueRange, value_doubts

LOWEST = float(np.finfo(np.float32).min)


def field(number: int, value: float | None = None, kind: str = "f4") -> np.ndarray:
    values = np.random.default_rng(number).uniform(20, 30, (16, 24)).astype(kind)
    if value is not None:
        values[:2] = value
    return values


def total(*pictures: np.ndarray) -> ValueRange:
    made = ValueRange()
    for picture in pictures:
        made.add(ValueRange.of(picture))
    return made


@pytest.mark.parametrize("value", [-9999.0, LOWEST, 65535.0, 1e20, -1e20, -50.0])
def test_a_repeated_extreme_far_from_the_rest_is_no_value(value):
    found = list(total(field(0), field(1, value), field(2)).strange())
    assert [(v, count, wrong) for v, count, _, _, wrong in found] == [
        (np.float32(value), 48, value != -50.0)
    ]
    assert 19 < found[0][2] < found[0][3] < 31


def test_two_sentinels_in_one_field():
    assert {v for v, *_ in total(field(0, -9999.0), field(1, 65535.0)).strange()} == {-9999, 65535}


def test_values_that_are_values_are_left_alone():
    binary = (field(0) > 25).astype(np.float32)
    saturated = np.minimum(field(0), 25)
    tail = np.random.default_rng(0).lognormal(0, 1.5, (64, 64)).astype(np.float32)
    speckle = np.where(field(0) > 29, field(0) - 29, 0).astype(np.float32)
    steps = np.repeat(np.array([[1.5, 2, 3]], np.float32), 9, axis=0)
    for values in (field(0), binary, saturated, tail, speckle, steps, np.full((9, 9), 3.0)):
        assert not list(total(values).strange())
    assert np.isnan(total(np.full((3, 3), np.nan)).to_dict()["low"])


def test_the_range_is_that_of_all_pictures():
    values = np.stack([field(n) for n in range(5)])
    told = total(*values).to_dict()
    assert told["low"] == values.min()
    assert told["high"] == values.max()
    for key, percent in (("percent_1", 1), ("median", 50), ("percent_99", 99)):
        assert told[key] == pytest.approx(np.percentile(values, percent), abs=0.25)


def test_percentiles_are_of_pixels_however_far_the_ends_of_pictures_are_out():
    """Noise: of 24 pictures of 6,144 pixels the ends lie 3.6 deviations out, 1 % of pixels 2.33."""
    values = np.random.default_rng(0).normal(20, 5, (24, 64, 96)).astype(np.float32)
    told = total(*values).to_dict()
    for key, percent in (("percent_1", 1), ("median", 50), ("percent_99", 99)):
        assert told[key] == pytest.approx(np.percentile(values, percent), abs=0.1)
    rare = values.copy()
    rare[:, 0, :8] = 60  # 0.13 % of the pixels
    assert total(*rare).to_dict()["percent_99"] == pytest.approx(np.percentile(rare, 99), abs=0.1)


def test_a_picture_counts_by_its_pixels():
    """Of one of two pictures all but one pixel is missing."""
    some, few = field(0), field(1) + 100
    few.flat[1:] = np.nan
    told = total(some, few).to_dict()
    every = np.concatenate([some.ravel(), few[np.isfinite(few)]])
    assert told["median"] == pytest.approx(np.percentile(every, 50), abs=0.1)
    assert told["percent_99"] == pytest.approx(np.percentile(every, 99), abs=0.1)
    assert told["percent_1"] == pytest.approx(np.percentile(every, 1), abs=0.1)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_depth_has_one_median_wherever_it_is_told(tmp_path, scale):
    """That of all pixels, in a wrong unit as well, of pictures that differ."""
    rng = np.random.default_rng(0)
    depth = [scale * rng.gamma(2, level, (16, 24)) + 0.2 for level in (0.3, 0.5, 3.0)]
    told = total(*depth).to_dict()["median"]
    assert told == pytest.approx(np.median(depth), rel=0.02)
    (tmp_path / "depth").mkdir()
    (tmp_path / "rgb").mkdir()
    for number, picture in enumerate([*depth, *depth[:2]]):
        np.save(tmp_path / f"depth/{number}.npy", picture.astype(np.float32))
        colour = rng.integers(0, 255, (16, 24, 3), np.uint8)
        write_png(tmp_path / f"rgb/{number}.png", colour)
    (tmp_path / "dataset.yaml").write_text(
        "modalities:\n  rgb: {pattern: 'rgb/{id}.png'}\n"
        "  depth: {pattern: 'depth/{id}.npy', kind: depth, unit: 1}\n"
        "splits: {train: train.txt, validation: some.txt, test: test.txt}\n"
    )
    (tmp_path / "train.txt").write_text("0\n1\n2\n")
    (tmp_path / "some.txt").write_text("3\n")
    (tmp_path / "test.txt").write_text("4\n")
    recipe = DatasetRecipe("folder", str(tmp_path))
    checked = check_data(recipe, ["train"]).to_dict()["splits"]["train"]
    measured = measure(recipe.open("train")).to_dict()["depth"]["depth"]
    for summary in (checked["depth"]["depth"], checked["ranges"]["depth"], measured):
        assert summary["median"] == pytest.approx(told, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "value", "missing"),
    [
        ("f4", LOWEST, [-3.4028235e38]),
        ("f4", LOWEST, [-3.4e38]),
        ("f4", 0.1, [0.1]),
        ("f8", -9999.0, [-9999]),
        ("u2", 65535, [65535, -1]),
        ("i2", -32768, [1e20, -32768]),
        ("f4", np.nan, [-9999]),
        ("u1", 0, 0),
        ("f2", -9999.0, [-9999]),
        ("f2", 65504.0, [65504, 1e20]),
    ],
)
def test_missing_is_compared_in_the_type_of_the_file(tmp_path, kind, value, missing):
    np.save(tmp_path / "a.npy", field(0, value, kind))
    read = Modality.of("continuous", missing=missing, unit=0.5).read(tmp_path / "a.npy")
    np.testing.assert_array_equal(np.isnan(read), (np.arange(16) < 2)[:, None].repeat(24, 1))
    modality = Modality.of("continuous", missing=missing)
    assert Modality.from_dict(modality.to_dict()) == modality


YAML = """
modalities:
  rgb: {pattern: "rgb/{id}.png"}
  height: {pattern: "height/{id}.tif", kind: continuous, unit: 0.5MORE}
outputs:
  segmentation: {pattern: "labels/{id}.png", kind: label, classes: 2}
splits: {test: 0.3}
"""


def folder(root, tag: str | None, more: str = "") -> DatasetRecipe:
    for name in ("rgb", "height", "labels"):
        (root / name).mkdir()
    extra = {"extratags": [(42113, 2, len(tag) + 1, tag, True)]} if tag else {}
    for n in range(8):
        rgb = np.random.default_rng(n).integers(0, 255, (16, 24, 3)).astype(np.uint8)
        write_png(root / "rgb" / f"{n}.png", rgb)
        write_png(root / "labels" / f"{n}.png", (rgb[..., 0] > 99).astype(np.uint8))
        tifffile.imwrite(root / "height" / f"{n}.tif", field(n, -9999.0), metadata=None, **extra)
    (root / "dataset.yaml").write_text(YAML.replace("MORE", more))
    return DatasetRecipe("folder", str(root))


def test_an_undeclared_sentinel_is_an_error_of_check(tmp_path):
    report = check_data(folder(tmp_path, None), workers=1)
    assert [f.kind for f in report.errors] == ["values"]
    assert "exactly -4999.5" in report.errors[0].text
    assert "say missing: -9999 for height" in report.errors[0].text
    assert report.modalities["height"].unit_or_one == 0.5
    text = as_yaml(measure(DatasetRecipe("folder", str(tmp_path)).open("train"), workers=1), "x")
    assert "# height: -5000 to 15, 98 % of it" in text
    assert "exactly -4999.5, far from the rest" in text


def test_the_tag_of_the_file_is_missing(tmp_path):
    report = check_data(folder(tmp_path, "-9999"), workers=1)
    assert not report.errors
    told = report.total.ranges["height"].to_dict()
    assert told["missing"] == pytest.approx(48 / 384)
    assert 10 <= told["low"] < told["high"] <= 15
    notes = [f.text for f in report.findings if f.kind == "values"]
    assert any("no-data tag" in text and "-9999; it is read as missing" in text for text in notes)


@pytest.mark.parametrize(("more", "told"), [("", True), (", ignore: 0", False)])
def test_a_tag_of_labels_that_is_a_class_is_told(tmp_path, more, told):
    folder(tmp_path, None)
    tag = (42113, 2, 2, "0", True)
    for path in list((tmp_path / "labels").iterdir()):
        labels = (np.random.default_rng(0).random((16, 24)) > 0.5).astype(np.uint8)
        tifffile.imwrite(path.with_suffix(".tif"), labels, metadata=None, extratags=[tag])
        path.unlink()
    yaml = (tmp_path / "dataset.yaml").read_text().replace("labels/{id}.png", "labels/{id}.tif")
    (tmp_path / "dataset.yaml").write_text(yaml.replace("kind: label", f"kind: label{more}"))
    report = check_data(DatasetRecipe("folder", str(tmp_path)), workers=1)
    notes = [f.text for f in report.findings]
    assert any("says 0, but it is read as class 0" in text for text in notes) == told


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (", missing: [-1]", "-9999; it is read as missing, besides -1"),
        (", missing: []", "but missing says that no value is"),
    ],
)
def test_a_conflict_with_missing_is_told(tmp_path, more, message):
    report = check_data(folder(tmp_path, "-9999", more), workers=1)
    assert any(message in f.text for f in report.findings)
    assert bool(report.errors) == (more == ", missing: []")


def test_the_value_that_is_advised_is_the_one_in_the_file(tmp_path):
    """65.535 m are 65535 mm, not the 65535.0037 that 32-bit floats make of it."""
    source = folder(tmp_path, None)
    for n in range(8):
        stored = (1000 * (2 + np.arange(16 * 24) % 7)).astype(np.uint16).reshape(16, 24)
        stored[:2] = 65535
        (tmp_path / "height" / f"{n}.tif").unlink()
        tifffile.imwrite(tmp_path / "height" / f"{n}.tif", stored)
    text = YAML.replace("kind: continuous, unit: 0.5MORE", "kind: depthMORE")
    (tmp_path / "dataset.yaml").write_text(text.replace("MORE", ""))
    errors = [f.text for f in check_data(source, workers=1).errors]
    assert any(text.endswith("say missing: [0, 65535] for height") for text in errors)
    (tmp_path / "dataset.yaml").write_text(text.replace("MORE", ", missing: [0, 65535]"))
    assert not [f for f in check_data(source, workers=1).errors if f.kind == "values"]


@pytest.mark.parametrize("value", [-9999.0, 1e20, LOWEST])
def test_training_warns_of_a_sentinel_that_nobody_declared(tmp_path, value):
    source = folder(tmp_path, None)
    for n in range(8):
        tifffile.imwrite(tmp_path / "height" / f"{n}.tif", field(n, value), metadata=None)
    (text,) = value_doubts(source.open("train"))
    assert re.search(r"height: \d+ pixels .* are exactly .*say missing", text)
    declared = YAML.replace("MORE", f", missing: [{value:.9e}]")
    (tmp_path / "dataset.yaml").write_text(declared)
    assert list(value_doubts(source.open("train"))) == []


def test_training_warns_of_negative_depth(tmp_path):
    source = folder(tmp_path, None)
    for n in range(8):
        depth = np.linspace(1, 5, 384, dtype=np.float32).reshape(16, 24)
        depth[:2] = -1
        tifffile.imwrite(tmp_path / "height" / f"{n}.tif", depth, metadata=None)
    text = YAML.replace("kind: continuous, unit: 0.5MORE", "kind: depth, unit: 1")
    (tmp_path / "dataset.yaml").write_text(text)
    (text,) = value_doubts(source.open("train"))
    assert re.search("negative depth, down to -1 m.*say missing: \\[0, -1\\]", text)


def test_training_warns_of_edges_of_0_and_1(tmp_path):
    source = folder(tmp_path, None)
    for n in range(8):
        np.save(tmp_path / "height" / f"{n}.npy", np.eye(16, 24).astype(np.uint8))
    text = YAML.replace("{id}.tif", "{id}.npy")
    (tmp_path / "dataset.yaml").write_text(text.replace("continuous, unit: 0.5MORE", "edge"))
    (told,) = value_doubts(source.open("train"))
    assert re.search(r"height: .*no edge is stronger .*say unit: 1$", told)
    (tmp_path / "dataset.yaml").write_text(
        text.replace("continuous, unit: 0.5MORE", "edge, unit: 1")
    )
    assert list(value_doubts(source.open("train"))) == []


def test_pictures_of_floats_have_holes_too(tmp_path):
    """The no-data tag of a picture of any type and number of bands is not trained on."""
    picture = np.repeat(field(0, -9999.0)[..., None], 4, axis=2)
    tag = {"extratags": [(42113, 2, 6, "-9999", True)], "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", picture, metadata=None, planarconfig="contig", **tag)
    modality = Modality.of("image", 4, mean=[0] * 4, std=[1] * 4, scale=1)
    read = modality.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.isnan(read), picture == -9999)
    assert modality.to_network(read).min() >= 0  # holes are fill
    source = folder(tmp_path, None)
    for n in range(8):
        np.save(tmp_path / "height" / f"{n}.npy", picture)
    text = YAML.replace("{id}.tif", "{id}.npy").replace("continuous, unit: 0.5MORE", "image")
    (tmp_path / "dataset.yaml").write_text(text.replace("kind: image", "kind: image, channels: 4"))
    errors = [f.text for f in check_data(source, workers=1).errors]
    assert any(
        "height[3]: " in text and "say kind: continuous and missing: -9999" in text
        for text in errors
    ), errors
