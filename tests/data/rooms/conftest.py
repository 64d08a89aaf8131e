import pytest

from cen.data import render_scene


@pytest.fixture(scope="session")
def scenes():
    """20 scenes of 48 x 64 pixels with every domain. Tests only read them."""
    return [render_scene(5, index, (48, 64)) for index in range(20)]
