"""Distances, normals and curvatures of what rays meet."""

import numpy as np

from cen.data.rooms.raycast import camera_of
from cen.data.rooms.scene import sample_scene

SIZE = (48, 64)


def test_normals_belong_to_the_surfaces_seen(scenes):
    """Points made from exact depth lie on planes with the stated normals."""
    height, width = SIZE
    focal = 0.82 * np.sqrt(height * width)
    u = (np.arange(width) + 0.5 - width / 2) / focal
    v = (np.arange(height) + 0.5 - height / 2) / focal
    rays = np.stack(
        (np.broadcast_to(u, SIZE), np.broadcast_to(v[:, None], SIZE), np.ones(SIZE)), -1
    )
    for scene in scenes:
        assert (np.einsum("hwc,hwc->hw", rays, scene["normal"]) < 1e-6).all()
        points = rays * scene["depth_clean"][..., None]
        step = points[:, 1:] - points[:, :-1]
        same_plane = (
            (scene["parts"][:, 1:] == scene["parts"][:, :-1])
            & (np.abs(scene["normal"][:, 1:] - scene["normal"][:, :-1]).max(-1) < 1e-6)
            & (np.abs(step[..., 2]) < 0.2)
            & (scene["parts"][:, 1:] < 3)
        )
        assert same_plane.sum() > 500
        along = np.einsum("hwc,hwc->hw", step, scene["normal"][:, 1:])
        assert np.abs(along[same_plane]).max() < 1e-4


def test_curvature_tells_shapes_apart(scenes):
    curvature = np.concatenate([s["principal_curvature"].reshape(-1, 2) for s in scenes])
    parts = np.concatenate([s["parts"].ravel() for s in scenes])
    assert (curvature[parts < 3] == 0).all()
    box, sphere, cylinder, cone = (curvature[(parts - 3) // 3 == k] for k in range(4))
    assert (box == 0).all()
    np.testing.assert_array_equal(sphere[:, 0], sphere[:, 1])
    assert (sphere > 1.0).all()
    assert (cylinder[:, 1] == 0).all()
    assert (cone[:, 1] == 0).all()
    assert (cylinder[:, 0] > 0).mean() > 0.3
    assert (cone[:, 0] > 0).mean() > 0.9


def test_camera_frame_is_right_handed_and_level():
    camera = camera_of(sample_scene(np.random.default_rng(0)), SIZE)
    right, down, forward = camera.rotation.T
    np.testing.assert_allclose(np.cross(right, down), forward, atol=1e-12)
    assert right[1] == 0.0
    assert down[1] > 0.9
