import hashlib
import subprocess
import sys

import numpy as np
import pytest

from cen.data import render_scene
from cen.data.rooms.domains import DOMAINS
from cen.data.rooms.raycast import camera_of
from cen.data.rooms.render import MIN_SIZE
from cen.data.rooms.scene import sample_scene

SIZE = (48, 64)


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(5, index, SIZE) for index in range(20)]


def test_every_domain_has_its_type_and_shape(scenes):
    expected = {
        "rgb": ((*SIZE, 3), np.uint8),
        "depth": (SIZE, np.float32),
        "depth_clean": (SIZE, np.float32),
        "normal": ((*SIZE, 3), np.float32),
        "reshading": (SIZE, np.float32),
        "albedo": ((*SIZE, 3), np.uint8),
        "edge_texture": (SIZE, np.float32),
        "edge_occlusion": (SIZE, np.float32),
        "principal_curvature": ((*SIZE, 2), np.float32),
        "parts": (SIZE, np.uint8),
        "functions": (SIZE, np.uint8),
    }
    assert {name: (a.shape, a.dtype.type) for name, a in scenes[0].items()} == expected
    assert set(DOMAINS) == set(expected)


def test_values_are_in_their_ranges(scenes):
    for scene in scenes:
        for name in ("reshading", "edge_texture", "edge_occlusion"):
            assert scene[name].min() >= 0.0
            assert scene[name].max() <= 1.0
        assert np.isfinite(scene["depth_clean"]).all()
        assert scene["depth_clean"].min() > 0.3
        assert scene["depth_clean"].max() < 12.0
        np.testing.assert_allclose(np.linalg.norm(scene["normal"], axis=-1), 1.0, atol=1e-5)
        assert scene["parts"].max() < 15
        assert scene["functions"].max() < 6


def test_the_same_scene_in_another_process():
    code = (
        "import hashlib; from cen.data import render_scene;"
        "s = render_scene(2, 7, (48, 64));"
        "print(hashlib.sha256(b''.join(s[n].tobytes() for n in sorted(s))).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    scene = render_scene(2, 7, SIZE)
    here = hashlib.sha256(b"".join(scene[name].tobytes() for name in sorted(scene))).hexdigest()
    assert here == there


def test_a_domain_does_not_depend_on_which_others_are_rendered():
    everything = render_scene(1, 1, SIZE)
    for name in DOMAINS:
        alone = render_scene(1, 1, SIZE, (name,))
        assert list(alone) == [name]
        np.testing.assert_array_equal(alone[name], everything[name])


def test_seed_and_index_make_different_scenes():
    pictures = [render_scene(s, i, SIZE, ("rgb",))["rgb"] for s, i in ((0, 1), (1, 0), (0, 0))]
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


@pytest.mark.parametrize("size", [(16, 16), (33, 65), (96, 128), (120, 50)])
def test_any_size_shows_the_same_scene(size):
    parts = render_scene(4, 2, size, ("parts", "depth_clean"))
    assert parts["parts"].shape == size
    # The focal length is the same for all sizes, so the scene at twice the size agrees with this
    # one at every pixel but those that borders pass through.
    double = render_scene(4, 2, (2 * size[0], 2 * size[1]), ("parts",))["parts"]
    assert np.mean(double[::2, ::2] == parts["parts"]) > 0.85


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


def test_functions_are_a_latin_square_of_parts(scenes):
    for scene in scenes:
        objects = scene["parts"] >= 3
        shape, material = np.divmod(scene["parts"][objects].astype(int) - 3, 3)
        np.testing.assert_array_equal(scene["functions"][objects], 3 + (shape + material) % 3)
        np.testing.assert_array_equal(scene["functions"][~objects], scene["parts"][~objects])


def test_sensed_depth_is_in_millimetres_with_noise_and_holes(scenes):
    holes = np.mean([np.isnan(s["depth"]).mean() for s in scenes])
    assert 0.01 < holes < 0.15
    for scene in scenes:
        known = np.isfinite(scene["depth"])
        millimetres = 1000.0 * scene["depth"][known].astype(np.float64)
        np.testing.assert_allclose(millimetres, np.rint(millimetres), atol=1e-2)
        error = scene["depth"][known] - scene["depth_clean"][known]
        assert 0.002 < error.std() < 0.06
        assert abs(error.mean()) < 0.01


def test_materials_are_invisible_to_depth_and_prints_are_flat(monkeypatch):
    """Other paint and no prints: the geometry, and what the depth sensor makes of it, stay."""
    import dataclasses

    from cen.data.rooms import render

    def repainted(rng):
        scene = sample_scene(rng)
        solids = [dataclasses.replace(s, material=(s.material + 1) % 3) for s in scene.objects]
        return dataclasses.replace(scene, solids=tuple(solids))

    scenes = range(6)
    before = [render_scene(8, index, SIZE) for index in scenes]
    monkeypatch.setattr(render, "sample_scene", repainted)
    after = [render_scene(8, index, SIZE) for index in scenes]
    for old, new in zip(before, after, strict=True):
        for name in ("depth", "depth_clean", "normal", "principal_curvature", "edge_occlusion"):
            np.testing.assert_array_equal(old[name], new[name])
        assert not np.array_equal(old["albedo"], new["albedo"])


def test_prints_are_seen_in_colour_but_labelled_as_what_they_are_printed_on(monkeypatch):
    import dataclasses

    from cen.data.rooms import render

    scenes = range(10)
    before = [render_scene(9, index, SIZE, ("albedo", "parts")) for index in scenes]

    def unprinted(rng):
        scene = sample_scene(rng)
        return dataclasses.replace(scene, solids=scene.objects)

    monkeypatch.setattr(render, "sample_scene", unprinted)
    after = [render_scene(9, index, SIZE, ("albedo", "parts")) for index in scenes]
    shares = []
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old["parts"], new["parts"])
        changed = (old["albedo"] != new["albedo"]).any(-1)
        assert (old["parts"][changed] < 3).all()
        shares.append(changed.mean())
    assert 0.01 < np.mean(shares) < 0.2


def test_every_class_is_frequent_and_one_modality_says_nothing_of_the_function():
    counts = np.zeros(15)
    for index in range(150):
        counts += np.bincount(
            render_scene(0, index, (24, 32), ("parts",))["parts"].ravel(), minlength=15
        )
    shares = counts / counts.sum()
    assert shares.min() > 0.01
    assert shares[3:].sum() > 0.2
    # The material is drawn apart from the shape, so it hints at the function only as far as
    # boxes and cones, which share theirs, fill another area than spheres or cylinders.
    box, sphere, cylinder, cone = counts[3:].reshape(4, 3).sum(axis=1) / counts[3:].sum()
    np.testing.assert_allclose((box + cone, sphere, cylinder), 1 / 3, atol=0.06)


def test_the_data_set_stays_as_it_was_fixed():
    """Figures measured on Rooms are comparable only while the pictures stay the same."""
    parts = {
        (0, 0): [833, 5743, 821, 0, 0, 0, 2065, 0, 180, 1877, 0, 0, 769, 0, 0],
        (0, 2**31): [1210, 7592, 427, 0, 0, 0, 1897, 242, 920, 0, 0, 0, 0, 0, 0],
        (7, 3): [1888, 4682, 405, 0, 0, 882, 0, 0, 0, 0, 0, 2118, 0, 807, 1506],
    }
    colours = {
        (0, 0): (145.87, 130.63, 116.89),
        (0, 2**31): (163.25, 174.44, 159.09),
        (7, 3): (121.53, 102.14, 97.87),
    }
    depths = {(0, 0): (2.677, 774), (0, 2**31): (3.2819, 437), (7, 3): (3.1048, 651)}
    for key, counts in parts.items():
        scene = render_scene(*key)
        found = np.bincount(scene["parts"].ravel(), minlength=15)
        assert np.abs(found - counts).max() <= 2
        np.testing.assert_allclose(scene["rgb"].mean((0, 1)), colours[key], atol=0.3)
        assert np.nanmean(scene["depth"]) == pytest.approx(depths[key][0], abs=0.01)
        assert abs(np.isnan(scene["depth"]).sum() - depths[key][1]) <= 5


def test_some_scenes_are_dim():
    exposures = [sample_scene(np.random.default_rng(index)).exposure for index in range(200)]
    assert 0.18 < np.mean(np.array(exposures) < 0.3) < 0.32


def test_objects_do_not_touch_and_stand_inside_the_room():
    for index in range(50):
        scene = sample_scene(np.random.default_rng(index))
        floor = scene.high[1]
        standing = [solid for solid in scene.objects if solid.base[1] == floor]
        assert standing
        for solid in standing:
            for axis in (0, 2):
                assert solid.base[axis] + solid.footprint < scene.high[axis]
                assert solid.base[axis] - solid.footprint > scene.low[axis]
        for one in standing:
            for other in standing:
                gap = np.hypot(one.base[0] - other.base[0], one.base[2] - other.base[2])
                assert one is other or gap > one.footprint + other.footprint


def test_camera_frame_is_right_handed_and_level():
    camera = camera_of(sample_scene(np.random.default_rng(0)), SIZE)
    right, down, forward = camera.rotation.T
    np.testing.assert_allclose(np.cross(right, down), forward, atol=1e-12)
    assert right[1] == 0.0
    assert down[1] > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1, "index": 0}, "negative"),
        ({"seed": 0, "index": 0, "size": (MIN_SIZE - 1, 64)}, "at least 16"),
        ({"seed": 0, "index": 0, "domains": ("rgb", "thermal")}, "no domain 'thermal'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        render_scene(**arguments)
