import numpy as np
import pytest

from cen.data import Modality
from cen.data.formats.pictures import write_png
from cen.errors import ConfigError, DataError


def test_images_are_normalised_as_for_imagenet():
    rgb = Modality.of("image")
    mean_colour = np.array([[[123.675, 116.28, 103.53]]])
    np.testing.assert_allclose(rgb.to_network(mean_colour), 0.0, atol=1e-5)
    white = rgb.to_network(np.full((1, 1, 3), 255, dtype=np.uint8))
    np.testing.assert_allclose(white.ravel(), [2.2489, 2.4286, 2.64], atol=1e-4)


def test_depth_is_metres_with_nan_for_missing(tmp_path):
    stored = np.array([[0, 1000], [2500, 65535]], dtype=np.uint16)
    write_png(tmp_path / "d.png", stored)
    depth = Modality.of("depth").read(tmp_path / "d.png")
    np.testing.assert_allclose(depth, [[np.nan, 1.0], [2.5, 65.535]])
    assert depth.dtype == np.float32
    taskonomy = Modality.of("depth", unit=1 / 512, missing=65535).read(tmp_path / "d.png")
    np.testing.assert_allclose(taskonomy, [[0.0, 1000 / 512], [2500 / 512, np.nan]])


def test_holes_become_the_fill():
    depth = Modality.of("depth", fill=-7.0)
    numbers = depth.to_network(np.array([[np.nan, 3.0], [np.inf, 4.25]], dtype=np.float32))
    np.testing.assert_allclose(numbers, [[[-7.0, 0.0], [-7.0, 1.0]]])


def test_the_released_depth_encoding():
    """Stored value / 5000, nothing else, 0 stays 0: whatever the unit."""
    for unit in (0.001, 0.0002):
        released = Modality.of("depth", unit=unit, scale=1 / (5000 * unit), mean=[0], std=[1])
        stored = np.array([[0, 100, 12345]])
        metres = np.where(stored == 0, np.nan, stored * unit).astype(np.float32)
        np.testing.assert_allclose(released.to_network(metres)[0], stored / 5000, rtol=1e-6)


@pytest.mark.parametrize(
    "modality", [Modality.of("image"), Modality.of("image", 1), Modality.of("depth")]
)
def test_from_network_inverts_to_network(modality):
    rng = np.random.default_rng(0)
    if modality.kind == "depth":
        values = rng.uniform(0.5, 8.0, (5, 7)).astype(np.float32)
        np.testing.assert_allclose(
            modality.from_network(modality.to_network(values)), values, rtol=1e-5
        )
    else:
        shape = (5, 7, 3) if modality.channels == 3 else (5, 7)
        image = rng.integers(0, 256, shape).astype(np.uint8)
        np.testing.assert_array_equal(modality.from_network(modality.to_network(image)), image)


def test_plain_dict_round_trip():
    for modality in (Modality.of("image", 5, mean=[1] * 5), Modality.of("depth", unit=0.0002)):
        values = modality.to_dict()
        assert all(not isinstance(value, tuple) for value in values.values())
        assert Modality.from_dict(values) == modality
    assert Modality.from_dict({"kind": "depth"}) == Modality.of("depth")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "thermal"}, "modality.kind is thermal; expected: one of image"),
        ({"units": 1}, "units: no key"),
        ({"mean": [0.5]}, "mean: 1 numbers for 3 channels"),
        ({"std": [1, 0, 1]}, "std and unit must be positive"),
        ({"kind": "depth", "channels": 2}, "channels"),
        ({"kind": "depth", "unit": "mm"}, "modality.unit is mm; expected: number"),
        ({"mean": [0, 0, "a"]}, "mean.2 is a; expected: number"),
        ({"interpolation": "bicubic"}, "interpolation is bicubic; expected: one of nearest"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        Modality.from_dict(values)


def test_wrong_channels_are_named(tmp_path):
    write_png(tmp_path / "rgb.png", np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(DataError, match=r"rgb\.png: 3 channels; depth"):
        Modality.of("depth").read(tmp_path / "rgb.png")
    with pytest.raises(DataError, match=r"rgb\.png: 3 channels, .* declared with 4"):
        Modality.of("image", 4).read(tmp_path / "rgb.png")
    with pytest.raises(DataError, match="1 channels"):
        Modality.of("image").to_network(np.zeros((4, 4), dtype=np.uint8))
    assert Modality.of("image", 1).read(tmp_path / "rgb.png").shape == (4, 4)


def test_depth_is_not_blended_when_resized():
    depth = np.array([[1.0, np.nan], [4.0, 2.0]], dtype=np.float32)
    larger = Modality.of("depth").resize(depth, (8, 8))
    assert np.isnan(larger).mean() == 0.25
    assert set(np.unique(larger[np.isfinite(larger)])) == {1.0, 2.0, 4.0}


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_not_cut_to_eight(tmp_path, channels):
    shape = (4, 4) if channels == 1 else (4, 4, 3)
    write_png(tmp_path / "deep.png", np.full(shape, 3000, np.uint16))
    with pytest.raises(DataError, match=r"deep\.png: is of type uint16"):
        Modality.of("image", channels).read(tmp_path / "deep.png")


def test_looking_values_up_is_the_arithmetic_to_the_last_bit():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    modality = Modality.of("image", mean=(0.1, 0.2, 0.3), std=(0.9, 0.8, 0.7))
    mean, std = np.array((modality.mean, modality.std), dtype=np.float32)
    for view in (colours, colours[:, ::-1], colours[3:17, 5:9]):
        expected = (view.astype(np.float32) * np.float32(modality.scale) - mean) / std
        np.testing.assert_array_equal(modality.to_network(view), expected.transpose(2, 0, 1))


def test_depth_of_16_bits_is_the_same_in_large_and_small_files(tmp_path):
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 2**16, (300, 300), dtype=np.uint16)
    stored[0, :2] = 0, 65535
    write_png(tmp_path / "large.png", stored)
    write_png(tmp_path / "small.png", stored[:100, :100])
    for missing, hole in ((0, 0), (65535, 1)):
        modality = Modality.of("depth", unit=1 / 512, missing=missing)
        large = modality.read(tmp_path / "large.png")
        np.testing.assert_array_equal(large[:100, :100], modality.read(tmp_path / "small.png"))
        assert np.isnan(large[0, hole])
        assert not np.isnan(large[0, 1 - hole])


@pytest.mark.parametrize(
    ("kind", "option", "told"),
    [
        ("label", {"missing": 0}, "missing: is for kind .*ignore says which"),
        ("image", {"missing": [-9999]}, "missing: .*not for kind image.*kind: continuous"),
        ("image", {"unit": 0.001}, "unit: is for kind depth or edge or continuous"),
        ("label", {"unit": 2}, "unit: .*not for kind label"),
        ("continuous", {"axes": "+x -y -z"}, "axes: is for kind normal"),
        ("continuous", {"beyond": "missing"}, "beyond: is for kind depth"),
    ],
)
def test_options_that_would_change_nothing_are_refused(kind, option, told):
    """``missing: 0`` of a label, taken without a word, would train 0 as the first class."""
    with pytest.raises(ConfigError, match=told):
        Modality.of(kind, **option)
    # Checkpoints of a time when they were taken, to no effect, are loaded.
    assert Modality.from_dict({"kind": kind, **option}) == Modality.of(kind)


def test_an_array_of_stored_values_is_told_what_it_lacks():
    warmth = Modality.of("continuous", unit=0.01)
    stored = np.full((4, 5), 2950, np.uint16)
    with pytest.raises(DataError, match=r"stored values times their unit \(0\.01\), got uint16"):
        warmth.field_kind.check_array("warmth", stored, warmth)
    with pytest.raises(DataError, match="must be of float, got uint16"):
        Modality.of("continuous").field_kind.check_array(
            "warmth", stored, Modality.of("continuous")
        )
