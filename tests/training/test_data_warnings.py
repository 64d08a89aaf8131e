"""What training tells of its data before the first step, and the command that tells the rest."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import Any

import pytest

from cen import cli
from cen.config import Config
from cen.data import write_rooms
from cen.errors import CenWarning
from cen.training import fit
from cen.training.data_warnings import check_command

SMALL = {"name": "unet", "encoder": "unet3", "width": 4}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name a shell would take apart."""
    place = tmp_path_factory.mktemp("with a space")
    return write_rooms(place, size=(32, 40), train=8, test=3, seed=5)


def run(root: Path, out: Path, unit: float, **data: Any) -> list[str]:
    """The warnings of a run of one step."""
    said = {"root": str(root), "modalities": {"depth": {"unit": unit}}, **data}
    train = {"steps": 1, "batch_size": 2, "validate_every": 1, "checkpoint_every": 1}
    config = Config.from_dict({"data": said, "model": SMALL, "train": train})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(config, out, progress=False)
    return [str(w.message) for w in caught if issubclass(w.category, CenWarning)]


def test_a_run_in_a_wrong_unit_is_told_so_and_names_a_command_that_runs(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a run"
    (told,) = (text for text in run(root, out, 1.0) if "unit" in text)
    assert told.startswith("depth: with unit 1 (metres) half of the depth is beyond ")
    command = told.rpartition(": ")[2]
    words = shlex.split(command)
    assert words == ["cen", "data", str(out / "config.yaml"), "check"]
    assert cli.main(words[1:]) == 1
    assert "error: unit:" in capsys.readouterr().out


def test_a_run_in_the_right_unit_is_told_nothing_of_it(root: Path, tmp_path: Path) -> None:
    assert not [text for text in run(root, tmp_path / "run", 0.001) if "unit" in text]


def test_the_command_names_what_is_fetched(tmp_path: Path) -> None:
    """A URL in a file is refused, so it is given again."""
    address = "https://example.org/shards"
    config = Config.from_dict({"data": {"layout": "shards", "root": address}})
    assert shlex.split(check_command(config, tmp_path))[-2:] == ["check", address]
