"""Data that the tests of the commands share."""

from pathlib import Path

import pytest

from cen import cli


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten rooms to train on and three to test; nobody writes there."""
    out = tmp_path_factory.mktemp("data") / "rooms"
    words = ["data", "rooms", str(out), "--size", "64", "96", "--train", "10", "--test", "3"]
    assert cli.main(words) == 0
    return out
