"""Every encoding: its formula, its holes, its way back, and when it runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cen.data import Modality, Transform
from cen.data.fields.encodings import ENCODINGS, jet
from cen.errors import ConfigError, DataError

CAMERA = (40.0, 40.0, 15.5, 11.5)


def made(name: str, **options) -> Modality:
    """A modality with an encoding, without normalisation."""
    encoding = ENCODINGS[name]
    kind = "depth" if "depth" in encoding.kinds else encoding.kinds[0]
    count = options.pop("channels", 3 if encoding.colours or name == "hha" else 1)
    plain = {"scale": 1.0, "mean": [0] * count, "std": [1] * count}
    camera = {"intrinsics": CAMERA} if encoding.camera else {}
    return Modality.of(kind, count, encoding=name, **{**plain, **camera, **options})


def scene(holes: float = 0.2, size=(24, 32)) -> np.ndarray:
    generator = np.random.default_rng(0)
    depth = generator.uniform(0.5, 8.0, size).astype(np.float32)
    depth[generator.random(size) < holes] = np.nan
    return depth


def test_the_formulas():
    metres = np.array([[0.05, 0.5], [2.0, np.nan]], np.float32)

    def of(name, **options):
        return made(name, fill=-9.0, **options).to_network(metres)[0]

    np.testing.assert_allclose(of("raw"), [[0.05, 0.5], [2, -9]])
    np.testing.assert_allclose(of("inverse"), [[10, 2], [0.5, -9]], rtol=1e-6)
    np.testing.assert_allclose(of("log"), [[np.log(0.1), np.log(0.5)], [np.log(2), -9]], rtol=1e-6)
    np.testing.assert_allclose(of("minmax"), [[0, 0.45 / 1.95], [1, -9]], rtol=1e-6)


def test_the_released_encodings():
    """method.md, section 4: functions of the stored 16-bit values, whatever their unit."""
    stored = np.array([[1, 100], [12345, 65534]], np.float64)
    expected = {
        "released_segmentation": stored / 5000,
        "taskonomy_depth": np.log(1 + stored) * 255 / 11.1,
        "taskonomy_edge_texture": stored * 255 / 11355,
        "taskonomy_edge_occlusion": stored * 255 / 11584,
    }
    for name, values in expected.items():
        for unit in (1.0, 0.001, 1 / 512):
            raw = (stored * unit).astype(np.float32)
            if name.startswith("taskonomy"):
                field = Modality.of("continuous", 1, encoding=name, unit=unit)
                np.testing.assert_allclose(field.to_network(raw)[0], values / 127.5 - 1, atol=1e-4)
                np.testing.assert_allclose(field.to_target(raw)[0], values / 127.5 - 1, atol=1e-4)
            if "depth" in ENCODINGS[name].kinds:
                found = made(name, unit=unit).to_network(raw)[0]
                np.testing.assert_allclose(found, values, rtol=1e-5)
    released = Modality.of("depth", encoding="released_segmentation", unit=0.0002)
    assert (released.mean, released.std, released.scale) == ((0.0,), (1.0,), 1.0)


def test_edges_of_taskonomy_have_their_white(tmp_path):
    """The greatest value of the released code is 1 in the program and 255 encoded."""
    np.save(tmp_path / "e.npy", np.array([[0, 11355, 5000]], np.uint16))
    field = Modality.of("edge", encoding="taskonomy_edge_texture")
    raw = field.read(tmp_path / "e.npy")
    np.testing.assert_allclose(raw, [[0, 1, 5000 / 11355]], rtol=1e-6)
    np.testing.assert_allclose(field.to_target(raw)[0], raw)
    np.testing.assert_allclose(field.to_network(raw)[0], [[-1, 1, 10000 / 11355 - 1]], atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([name for name, e in ENCODINGS.items() if e.decode and "depth" in e.kinds]),
    st.floats(0.15, 60.0),
    st.sampled_from([1, 3]),
    st.sampled_from([0.001, 0.0002, 1 / 512]),
)
def test_what_is_encoded_is_decoded(name, metres, channels, unit):
    """Also through the default normalisation, with one channel or three."""
    field = Modality.of("depth", channels, encoding=name, unit=unit)
    raw = np.full((2, 3), metres, np.float32)
    back = field.from_network(field.to_network(raw))
    assert back.shape == (2, 3)
    np.testing.assert_allclose(back, raw, rtol=2e-3)


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("holes", [0.0, 0.5, 1.0])
def test_nothing_that_reaches_the_network_is_nan(name, holes):
    depth = scene(holes)
    field = made(name, fill=-5.0)
    raw = depth / 8.0 if field.kind == "edge" else depth
    numbers = field.to_network(raw)
    assert numbers.shape == (field.channels, *depth.shape)
    assert numbers.dtype == np.float32
    assert np.isfinite(numbers).all()
    missing = ~np.isfinite(raw)
    if name == "hha" and holes < 1:
        assert (numbers != -5.0).all()  # holes are filled before
    else:
        assert (numbers[:, missing] == -5.0).all()
        if holes == 0:
            assert (numbers != -5.0).mean() > 0.9


def test_three_channels_of_one_are_equal():
    for name in ("raw", "inverse", "log", "minmax", "taskonomy_depth"):
        three = made(name, channels=3).to_network(scene())
        one = made(name).to_network(scene())
        for channel in three:
            np.testing.assert_array_equal(channel, one[0])


def test_jet_is_the_colour_map_near_red_far_blue():
    from matplotlib import colormaps

    share = np.linspace(0, 1, 256)[None]
    theirs = 255 * colormaps["jet"](share)[..., :3]
    assert np.abs(jet(share) - theirs).max() < 40  # matplotlib bends its ramps a little
    depth = np.array([[1.0, 3.0, 5.0]], np.float32)
    near, middle, far = made("jet").to_network(depth)[:, 0].T
    np.testing.assert_allclose(near, (127.5, 0, 0))
    np.testing.assert_allclose(middle, (127.5, 255, 127.5))
    np.testing.assert_allclose(far, (0, 0, 127.5))
    fixed = made("jet", clip=[1.0, 9.0]).to_network(depth)[:, 0].T
    np.testing.assert_allclose(fixed[2], middle)
    # Another pixel changes the range of a picture, but not a fixed one.
    other = np.array([[1.0, 3.0, 9.0]], np.float32)
    assert not np.allclose(made("jet").to_network(other)[:, 0, 1], middle)
    np.testing.assert_allclose(
        made("jet", clip=[1.0, 9.0]).to_network(other)[:, 0, :2], fixed[:2].T
    )


def test_a_flat_picture_has_a_min_and_max_encoding():
    np.testing.assert_array_equal(made("minmax").to_network(np.full((3, 4), 2.0, np.float32)), 0)


@pytest.mark.parametrize("name", ["minmax", "jet", "normals", "hha"])
def test_encodings_of_the_whole_picture_do_not_depend_on_the_crop(name):
    """A crop shows what the picture shows there."""
    sample = {"depth": scene(0.05), "name": "one"}
    modality = made(name)
    whole = Transform({"depth": modality})(sample)["depth"]
    for seed in range(5):
        part = Transform({"depth": modality}, crop=(10, 12))(sample, np.random.default_rng(seed))
        generator = np.random.default_rng(seed)
        _, _, top, left = generator.random(4)
        row, column = int(top * 15), int(left * 21)
        np.testing.assert_array_equal(
            part["depth"].numpy(), whole[:, row : row + 10, column : column + 12].numpy()
        )


def test_the_intrinsics_of_the_sample_come_before_those_of_the_modality():
    depth = np.linspace(1, 2, 24 * 32, dtype=np.float32).reshape(24, 32)
    modality = made("normals")
    own, other = modality.to_network(depth), modality.to_network(depth, (20.0, 20.0, 15.5, 11.5))
    assert not np.allclose(own, other)
    sample = {"depth": depth, "intrinsics": np.array([[20.0, 0, 15.5], [0, 20.0, 11.5], [0, 0, 1]])}
    found = Transform({"depth": modality})(sample)
    np.testing.assert_array_equal(found["depth"].numpy(), other)
    without = Modality.of("depth", 3, encoding="hha")
    with pytest.raises(DataError, match=r"needs the camera.*intrinsics: \[fx, fy, cx, cy\]"):
        without.to_network(depth)


def test_clipping_and_filling_come_first():
    depth = np.array([[0.2, np.nan, 9.0, np.inf]], np.float32)
    clipped = made("raw", clip=[1.0, 4.0], fill=-1.0).to_network(depth)[0, 0]
    np.testing.assert_allclose(clipped, [1, -1, 4, -1])
    filled = made("raw", clip=[1.0, 4.0], fill_holes="nearest").to_network(depth)[0, 0]
    assert set(filled.tolist()) == {1.0, 4.0}
    # They are of inputs; ground truth stays what was measured.
    truth = made("raw", clip=[1.0, 4.0], fill_holes="nearest").to_target(depth)[0, 0]
    np.testing.assert_allclose(truth[:3], [0.2, np.nan, 9.0], rtol=1e-6)


@pytest.mark.parametrize("name", ENCODINGS)
def test_what_is_infinite_is_missing_in_every_encoding(name: str):
    depth = scene()
    endless = depth.copy()
    depth[3, 4] = depth[5, 6] = np.nan
    endless[3, 4], endless[5, 6] = np.inf, -np.inf
    modality = made(name, fill=-9.0)
    np.testing.assert_array_equal(modality.to_network(endless), modality.to_network(depth))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "depth", "encoding": "hah"}, "encoding: 'hah' is none of.*mean 'hha'"),
        ({"kind": "image", "encoding": "hha"}, "hha is not for kind image; there are raw"),
        ({"kind": "depth", "encoding": "normals", "channels": 1}, "channels: .*cannot have 1"),
        ({"kind": "depth", "clip": [4, 1]}, "clip: .*must rise"),
        ({"kind": "depth", "clip": [4]}, "clip: 1 numbers for 2"),
        ({"kind": "image", "clip": [1, 4]}, "clip: is for kind depth or edge or continuous"),
        ({"kind": "normal", "fill_holes": "nearest"}, "fill_holes: is for kind depth"),
        ({"kind": "depth", "fill_holes": "telea"}, "fill_holes"),
        ({"kind": "depth", "intrinsics": [1, 2, 3]}, "intrinsics: 3 numbers for 4"),
        ({"kind": "depth", "bits": 12}, "bits: 12 is none of 8, 16"),
        ({"kind": "depth", "unit": 0}, "std and unit must be positive"),
        ({"kind": "depth", "fill": float("nan")}, "fill: nan is no finite number"),
        ({"kind": "normal", "axes": "xyz"}, "axes: 'xyz' does not say"),
        ({"kind": "normal", "axes": "+x +y -y"}, "axes: "),
        ({"kind": "label", "interpolation": "linear"}, "labels are resized by nearest"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Modality.from_dict(options)
