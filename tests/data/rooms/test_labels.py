"""What objects are called."""

import numpy as np

from cen.data import render_scene


def test_functions_are_a_latin_square_of_parts(scenes):
    for scene in scenes:
        objects = scene["parts"] >= 3
        shape, material = np.divmod(scene["parts"][objects].astype(int) - 3, 3)
        np.testing.assert_array_equal(scene["functions"][objects], 3 + (shape + material) % 3)
        np.testing.assert_array_equal(scene["functions"][~objects], scene["parts"][~objects])


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
