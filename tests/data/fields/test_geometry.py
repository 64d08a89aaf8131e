"""Pictures and cameras stay true to each other through zoom, mirror, turn and crop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cen.data import Modality, Transform
from cen.data.fields.geometry import (
    as_intrinsics,
    crop_intrinsics,
    flip_intrinsics,
    normals_from_depth,
    rays,
    resize,
    resize_part,
    rotate,
    rotate_intrinsics,
    turn_vectors,
    zoom_intrinsics,
)
from cen.data.rooms.raycast import camera_of
from cen.data.rooms.render import render_scene
from cen.data.rooms.scene import sample_scene
from cen.errors import DataError

K = np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]])
SIZE = (48, 64)


def plane(normal, distance=3.0, intrinsics=K, size=SIZE):
    """Depth of a plane n · P = -distance that faces the camera."""
    direction = np.asarray(normal) / np.linalg.norm(normal)
    return -distance / (rays(intrinsics, size) @ direction), direction


def angle(found, true):
    return np.degrees(np.arccos(np.clip((found * true).sum(-1), -1, 1)))


normals = st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.just(-1.0))


@settings(max_examples=30, deadline=None)
@given(normals, st.integers(1, 4), st.integers(0, 1000))
def test_normals_of_a_plane_are_exact_with_and_without_holes(normal, radius, seed):
    depth, direction = plane(normal)
    assert angle(normals_from_depth(depth, K, radius), direction).max() < 0.05
    holes = np.random.default_rng(seed).random(SIZE) < 0.3
    found = normals_from_depth(np.where(holes, np.nan, depth), K, radius)
    known = np.isfinite(found).all(axis=2)
    assert not (known & holes).any()
    assert known.sum() > 0.6 * depth.size
    assert angle(found[known], direction).max() < 0.05
    np.testing.assert_allclose(np.linalg.norm(found[known], axis=1), 1.0, atol=1e-5)


def test_normals_of_rooms():
    """Computed from exact depth they are those that the renderer gives, but for rims."""
    size = (96, 128)
    scene = render_scene(0, 3, size, ("depth_clean", "normal"))
    focal = camera_of(sample_scene(np.random.default_rng([0, 3, 0])), size).focal
    intrinsics = as_intrinsics((focal, focal, 63.5, 47.5), size)
    found = normals_from_depth(scene["depth_clean"], intrinsics, 1)
    assert np.median(angle(found, scene["normal"])) < 0.1
    assert np.percentile(angle(found, scene["normal"]), 80) < 5
    assert (found[..., 2] < 0).all() or (angle(found, -rays(intrinsics, size)) < 90).all()


@pytest.mark.parametrize(
    "depth", [np.full((5, 6), np.nan), np.zeros((5, 6)), np.full((1, 1), 2.0), -np.ones((5, 6))]
)
def test_no_normals_where_nothing_is_known(depth):
    found = normals_from_depth(depth, K)
    assert found.shape == (*depth.shape, 3)
    assert np.isnan(found).all()


RAW_DEPTH = Modality.of("depth", mean=[0], std=[1], fill=-1.0)
NORMAL = Modality.of("normal", interpolation="nearest")


@settings(max_examples=40, deadline=None)
@given(
    normals,
    st.tuples(st.integers(8, 80), st.integers(8, 80)),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_normals_of_a_transformed_depth_are_the_transformed_normals(normal, crop, flip, turn, seed):
    """Zoom, mirror, turn and crop commute with computing normals, with the intrinsics given back.

    The depth is that of a plane, so that only resampling makes a difference: nearest neighbours
    are up to half a pixel off, 3 degrees here, which is also what the bound leaves.
    """
    depth, direction = plane(normal)
    sample = {
        "depth": depth.astype(np.float32),
        "normal": np.broadcast_to(direction.astype(np.float32), (*SIZE, 3)).copy(),
        "intrinsics": K,
        "name": "plane",
    }
    linear = Modality.of("depth", mean=[0], std=[1], fill=-1.0, interpolation="linear")
    transform = Transform(
        {"depth": linear},
        targets={"normal": NORMAL},
        scale=(1.0, 2.0),
        flip=float(flip),
        rotate=30.0 if turn else None,
        crop=crop,
    )
    result = transform(sample, np.random.default_rng(seed))
    moved = result["depth"][0].numpy().astype(np.float64)
    moved[moved < 0] = np.nan
    true = result["normal"].numpy().transpose(1, 2, 0)
    found = normals_from_depth(moved, result["intrinsics"], 3)
    # The rim of a picture, where OpenCV repeats the last pixel, is left out.
    inner = np.isfinite(true).all(axis=2) & np.isfinite(moved)
    inner = np.asarray(resize(inner.astype(np.uint8), inner.shape, "nearest"))
    for _ in range(8):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    inner = inner.astype(bool)
    if inner.any():
        assert np.percentile(angle(found[inner], true[inner]), 95) < 1.5
        np.testing.assert_allclose(np.linalg.norm(true[inner], axis=1), 1.0, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(1, 5)),
    st.tuples(st.integers(20, 100), st.integers(20, 100)),
    st.floats(-90, 90),
    st.integers(-10, 10),
    st.integers(-10, 10),
)
def test_intrinsics_project_a_point_where_the_pictures_show_it(point, size, degrees, top, left):
    """A point's pixel moves as the picture does, and the point as the camera's axes do."""
    x, y, z = point
    u, v, _ = K @ (x / z, y / z, 1)
    zoom_y, zoom_x = size[0] / SIZE[0], size[1] / SIZE[1]
    matrix = zoom_intrinsics(K, SIZE, size)
    u, v = (u + 0.5) * zoom_x - 0.5, (v + 0.5) * zoom_y - 0.5
    np.testing.assert_allclose(matrix @ (x / z, y / z, 1), (u, v, 1), atol=1e-9)
    matrix, x, u = flip_intrinsics(matrix, size[1]), -x, size[1] - 1 - u
    np.testing.assert_allclose(matrix @ (x / z, y / z, 1), (u, v, 1), atol=1e-9)
    matrix = rotate_intrinsics(matrix, degrees, size)
    x, y = turn_vectors(np.array([[[x, y, z]]]), degrees)[0, 0, :2]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    cu, cv = (size[1] - 1) / 2, (size[0] - 1) / 2
    u, v = cu + cos * (u - cu) + sin * (v - cv), cv - sin * (u - cu) + cos * (v - cv)
    np.testing.assert_allclose(matrix @ (x / z, y / z, 1), (u, v, 1), atol=1e-9)
    matrix = crop_intrinsics(matrix, top, left)
    np.testing.assert_allclose(matrix @ (x / z, y / z, 1), (u - left, v - top, 1), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(["nearest", "linear", "cubic"]),
    st.floats(0, 1),
    st.integers(0, 1000),
)
def test_resized_depth_never_blends_a_hole(size, to, interpolation, share, seed):
    """Where 5 m is all that was measured, everything is 5 m or missing."""
    holes = np.random.default_rng(seed).random(size) < share
    values = np.where(holes, np.nan, 5.0).astype(np.float32)
    resized = resize(values, to, interpolation)
    assert resized.shape == to
    assert resized.dtype == np.float32
    known = resized[np.isfinite(resized)]
    np.testing.assert_allclose(known, 5.0, rtol=1e-5)
    if not holes.any():
        assert len(known) == resized.size


def test_linear_depth_keeps_its_holes():
    values = np.full((20, 20), 2.0, np.float32)
    values[5:10, 5:10] = np.nan
    larger = resize(values, (40, 40), "linear")
    assert np.isnan(larger[11:19, 11:19]).all()
    assert np.isfinite(larger[:9]).all()
    assert 80 <= np.isnan(larger).sum() <= 120


@pytest.mark.parametrize("kind", ["u1", "u2", "i4", "i8", "?", "f4", "f8"])
@pytest.mark.parametrize("bands", [None, 1, 2, 3, 7])
def test_any_type_and_number_of_bands(kind, bands):
    shape = (6, 8) if bands is None else (6, 8, bands)
    values = (np.arange(np.prod(shape)).reshape(shape) % 2).astype(kind)
    for made in (resize(values, (12, 16), "nearest"), rotate(values, 0.0, "nearest", 0)):
        assert made.dtype == kind
        assert made.ndim == values.ndim
        assert set(np.unique(made)) <= {0, 1}
    np.testing.assert_array_equal(resize(values, (12, 16), "nearest")[::2, ::2], values)


def test_large_labels_survive():
    labels = np.array([[2**31 + 5, 7], [70_000, 0]])
    np.testing.assert_array_equal(resize(labels, (4, 4), "nearest")[::2, ::2], labels)


def test_a_quarter_turn_is_exact():
    values = np.random.default_rng(0).random((9, 9)).astype(np.float32)
    turned = rotate(values, 90.0, "linear", np.nan)
    # The last pixels lie on the rim, where rounding decides.
    np.testing.assert_allclose(turned[1:-1, 1:-1], np.rot90(values)[1:-1, 1:-1], atol=1e-4)
    right = np.zeros((9, 9, 3), np.float32)
    right[..., 0] = 1  # to the right; counter-clockwise that is up, against y
    turned = Modality.of("normal").rotate(right, 90.0, 0)
    np.testing.assert_allclose(turned[4, 4], (0, -1, 0), atol=1e-6)


def test_intrinsics_that_are_none_are_named():
    for wrong in ((1, 2, 3), (0, 50, 3, 3), (np.nan, 50, 3, 3), np.eye(2)):
        with pytest.raises(DataError, match="fx, fy, cx, cy"):
            as_intrinsics(wrong, SIZE)
    with pytest.raises(DataError, match="another resolution"):
        as_intrinsics((500, 500, 320, 240), (48, 64))
    np.testing.assert_array_equal(as_intrinsics((60, 60, 31.5, 23.5), SIZE), K)


@settings(deadline=None)
@given(st.data())
def test_a_part_resized_by_nearest_neighbour_is_the_part_of_the_whole(data):
    sides = st.integers(1, 90)
    values = np.random.default_rng(0).random((data.draw(sides), data.draw(sides), 2))
    size = (data.draw(st.integers(1, 200)), data.draw(st.integers(1, 200)))
    part = tuple(
        slice(start := data.draw(st.integers(0, n - 1)), data.draw(st.integers(start + 1, n)))
        for n in size
    )
    whole = resize(values.astype(np.float32), size, "nearest")
    np.testing.assert_array_equal(resize_part(values.astype(np.float32), size, part), whole[part])
