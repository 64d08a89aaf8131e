"""HHA: the channels mean what they say, and nothing that a sensor misses makes them NaN."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cen.data.fields.geometry import normals_from_depth, rays
from cen.data.fields.hha import gravity, hha
from cen.data.rooms.raycast import camera_of
from cen.data.rooms.render import render_scene
from cen.data.rooms.scene import sample_scene

SIZE = (60, 80)
K = np.array([[70.0, 0, 39.5], [0, 70.0, 29.5], [0, 0, 1]])


def room(pitch, height=1.2, wall=3.5, ceiling=2.6):
    """Depth of a room without furniture; the camera looks down by ``pitch`` degrees.

    Returns:
        Depth, and down, in the camera's axes.
    """
    c, s = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    down, ahead = np.array((0, c, s)), np.array((0, -s, c))
    sight = rays(K, SIZE)
    with np.errstate(divide="ignore"):
        surfaces = (height / (sight @ down), (height - ceiling) / (sight @ down))
        depth = np.minimum.reduce([np.where(d > 0, d, np.inf) for d in surfaces])
    return np.minimum(depth, wall / (sight @ ahead)), down


@pytest.mark.parametrize("pitch", [0.0, 10.0, 20.0])
def test_the_channels_of_a_room(pitch):
    depth, down = room(pitch)
    encoded = hha(depth, K)
    height = 100 * (1.2 - depth * (rays(K, SIZE) @ down))
    floor, ceiling = height < 0.01, height > 259.99
    wall = ~floor & ~ceiling
    np.testing.assert_allclose(
        encoded[..., 0], np.minimum(310 / np.maximum(depth, 1), 255), rtol=1e-5
    )
    np.testing.assert_allclose(encoded[..., 1], np.clip(height, 0, 255), atol=2)
    assert floor.any()
    assert wall.any()
    for surface, angle in ((floor, 0), (wall, 90), (ceiling, 180)):
        if surface.sum() > 400:  # in a strip of a few rows every window holds some wall
            assert abs(np.median(encoded[surface, 2]) - (angle + 38)) < 2


def test_gravity_of_rooms():
    """Estimated from noisy depth with holes it is that of the renderer within 2 degrees."""
    for index in range(4):
        drawn = sample_scene(np.random.default_rng([0, index, 0]))
        camera = camera_of(drawn, SIZE)
        focal = camera.focal
        intrinsics = np.array([[focal, 0, 39.5], [0, focal, 29.5], [0, 0, 1]])
        depth = render_scene(0, index, SIZE, ("depth",))["depth"]
        true = camera.rotation.T @ (0, 1, 0)
        found = gravity(normals_from_depth(depth, intrinsics, 1))
        assert np.degrees(np.arccos(np.clip(found @ true, -1, 1))) < 2


def test_a_camera_that_sees_no_floor_stands_on_one():
    """The published constants: nothing 0.9 m below, so the camera is at 1.3 m."""
    encoded = hha(np.full(SIZE, 1.0), K)
    assert encoded[29:31, 39:41, 1].mean() == pytest.approx(130, abs=3)


@settings(max_examples=40, deadline=None)
@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 24), st.integers(1, 24)),
        elements=st.one_of(
            st.floats(0, 20, width=32), st.sampled_from([np.nan, np.inf, 0.0, -1.0, 1e-6, 1e6])
        ),
    )
)
def test_nothing_that_a_sensor_gives_makes_it_nan(depth):
    intrinsics = np.array([[20.0, 0, 10], [0, 20.0, 10], [0, 0, 1]])
    encoded = hha(depth, intrinsics)
    assert encoded.shape == (*depth.shape, 3)
    assert encoded.dtype == np.float32
    assert np.isfinite(encoded).all()
    assert encoded.min() >= 0
    assert encoded.max() <= 255


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.97))
def test_holes_hardly_change_what_is_seen_around_them(seed, share):
    depth, _ = room(15.0)
    generator = np.random.default_rng(seed)
    holes = generator.random(SIZE) < share
    encoded = hha(np.where(holes, np.nan, depth), K)
    assert np.isfinite(encoded).all()
    if share < 0.3:
        change = np.abs(encoded - hha(depth, K))[~holes]
        assert np.median(change[:, 1]) < 5
        assert np.median(change[:, 2]) < 5


def test_mirrored_depth_is_mirrored_hha():
    depth, _ = room(12.0)
    mirrored = hha(depth[:, ::-1], K)
    np.testing.assert_allclose(mirrored, hha(depth, K)[:, ::-1], atol=0.2)
