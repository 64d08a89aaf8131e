import hashlib
import subprocess
import sys

import numpy as np
import pytest

from cen.data import render_scene
from cen.data.rooms.domains import DOMAINS
from cen.data.rooms.render import MIN_SIZE

SIZE = (48, 64)


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
