"""Random normals for the tests of fields."""

import numpy as np

generator = np.random.default_rng(0)


def unit_vectors(size=(12, 16)) -> np.ndarray:
    """Random directions towards the camera."""
    vectors = generator.normal(size=(*size, 3))
    vectors[..., 2] = -np.abs(vectors[..., 2]) - 0.2
    return (vectors / np.linalg.norm(vectors, axis=2, keepdims=True)).astype(np.float32)
