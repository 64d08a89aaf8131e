"""Rooms in the forms of other data sets, for the tests of their lists, classes and files."""

import shutil
from pathlib import Path

import pytest

from cen.data import write_rooms


@pytest.fixture(scope="session")
def mat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NYUDv2's .mat with 12 training and 4 test images of 24 x 32. Tests only read it."""
    root = tmp_path_factory.mktemp("mat")
    return write_rooms(root, "nyudv2-mat", size=(24, 32), train=12, test=4, seed=3)


@pytest.fixture(scope="session")
def taskonomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 training and 4 test frames of 24 x 32. Tests only read it."""
    root = tmp_path_factory.mktemp("taskonomy")
    return write_rooms(root, "taskonomy", size=(24, 32), train=12, test=4, seed=3)


@pytest.fixture
def frames(taskonomy: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(taskonomy, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def bare(frames: Path) -> Path:
    """As the authors distribute the sample building: no lists, no dataset.yaml."""
    for name in ("dataset.yaml", "train.txt", "test.txt"):
        (frames / name).unlink()
    return frames
