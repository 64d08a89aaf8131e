"""The numbers that a network sees, and back."""

import numpy as np
import pytest

from cen.data import Modality


def test_holes_become_the_fill():
    depth = Modality.of("depth", fill=-7.0)
    numbers = depth.to_network(np.array([[np.nan, 3.0], [np.inf, 4.25]], dtype=np.float32))
    np.testing.assert_allclose(numbers, [[[-7.0, 0.0], [-7.0, 1.0]]])


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


def test_looking_values_up_is_the_arithmetic_to_the_last_bit():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    modality = Modality.of("image", mean=(0.1, 0.2, 0.3), std=(0.9, 0.8, 0.7))
    mean, std = np.array((modality.mean, modality.std), dtype=np.float32)
    for view in (colours, colours[:, ::-1], colours[3:17, 5:9]):
        expected = (view.astype(np.float32) * np.float32(modality.scale) - mean) / std
        np.testing.assert_array_equal(modality.to_network(view), expected.transpose(2, 0, 1))
