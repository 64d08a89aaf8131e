from pathlib import Path

import pytest

from cen.data import write_rooms


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rooms on disk: 12 training and 4 test scenes of 24 x 32 pixels. Tests only read it."""
    return write_rooms(tmp_path_factory.mktemp("rooms"), size=(24, 32), train=12, test=4, seed=3)


class Layouts:
    """Rooms in every layout, written when first asked for: 8 training and 3 test scenes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, layout: str) -> Path:
        return write_rooms(self.root / layout, layout, size=(32, 40), train=8, test=3, seed=5)


@pytest.fixture(scope="session")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    """Where Rooms is written in a layout. Tests only read it."""
    return Layouts(tmp_path_factory.mktemp("layouts"))
