from pathlib import Path

import pytest

from cen.data import write_rooms
from cen.data.readers.opening import DatasetRecipe
from cen.data.tools.sharding import write_shards


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


@pytest.fixture(scope="session")
def shards(layouts: Layouts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The NYUDv2 layout as shards of 3 samples. Tests only read them."""
    pytest.importorskip("webdataset")
    out = tmp_path_factory.mktemp("shards") / "nyudv2"
    write_shards(DatasetRecipe("nyudv2", str(layouts("nyudv2"))), out, per_shard=3)
    return out
