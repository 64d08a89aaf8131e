"""Data that the tests of the commands share."""

from pathlib import Path

import pytest

from cen import cli
from cen.data import write_rooms


class Layouts:
    """Rooms in the form of other data sets, written when first asked for: 10 and 3 scenes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, layout: str) -> Path:
        out = self.root / layout
        if not out.exists():
            words = ["data", "rooms", str(out), "--layout", layout, "--size", "32", "48"]
            assert cli.main([*words, "--train", "10", "--test", "3"]) == 0
        return out


@pytest.fixture(scope="session")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    """Where Rooms is written in a layout. Tests only read it."""
    return Layouts(tmp_path_factory.mktemp("layouts"))


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten rooms to train on and three to test; nobody writes there."""
    out = tmp_path_factory.mktemp("data") / "rooms"
    words = ["data", "rooms", str(out), "--size", "64", "96", "--train", "10", "--test", "3"]
    assert cli.main(words) == 0
    return out


@pytest.fixture(scope="session")
def run(rooms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of rooms-small with the decoder of fewest layers, two steps long, evaluated."""
    out = tmp_path_factory.mktemp("runs") / "small"
    words = ["train", "rooms-small", "--data.root", str(rooms), "--out", str(out)]
    words += ["--model.name", "fpn", "--model.width", "4", "--model.decoder_channels", "8"]
    assert cli.main([*words, "--train.steps", "2", "--train.validate_every", "2"]) == 0
    assert cli.main(["evaluate", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight smaller rooms to train on and three to test; nobody writes there."""
    return write_rooms(tmp_path_factory.mktemp("rooms"), size=(32, 40), train=8, test=3, seed=5)
