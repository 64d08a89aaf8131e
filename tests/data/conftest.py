from pathlib import Path

import pytest

from cen.data import write_rooms


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rooms on disk: 12 training and 4 test scenes of 24 x 32 pixels. Tests only read it."""
    return write_rooms(tmp_path_factory.mktemp("rooms"), size=(24, 32), train=12, test=4, seed=3)
