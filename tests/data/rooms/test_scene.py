"""What is drawn at random."""

import numpy as np

from cen.data.rooms.scene import sample_scene


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
