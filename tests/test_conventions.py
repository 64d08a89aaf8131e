"""Networks and shards of versions that read Taskonomy's normals with a wrong z are told of it."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import cen
from cen.config import Config
from cen.conventions import CONVENTIONS, REVERSED_AXES, normals_in_doubt
from cen.data import write_rooms
from cen.data.readers.opening import DatasetRecipe
from cen.data.readers.shards import Shards
from cen.data.readers.taskonomy import Taskonomy
from cen.data.tools.sharding import write_shards
from cen.errors import CenWarning, ConfigError
from cen.training import evaluate, fit


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames that nothing marks as Rooms, as those of Taskonomy. Tests only read them."""
    folder = tmp_path_factory.mktemp("conventions") / "data"
    write_rooms(folder, "taskonomy", size=(32, 48), train=6, test=2)
    said = yaml.safe_load((folder / "dataset.yaml").read_text())
    kept = {key: said[key] for key in ("classes", "lists")}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(kept))
    return folder


def configuration(root: Path) -> Config:
    return Config.from_dict(
        {
            "data": {"layout": "taskonomy", "root": str(root), "validation": 0.25},
            "model": {
                "name": "unet",
                "encoder": "unet3",
                "width": 4,
                "inputs": {"rgb": 3},
                "outputs": {"normal": {"kind": "normal"}},
            },
            "train": {"steps": 2, "batch_size": 2, "validate_every": 2, "accelerator": "cpu"},
        }
    )


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of this version. Tests only read it."""
    folder = tmp_path_factory.mktemp("runs") / "new"
    fit(configuration(root), folder, progress=False)
    return folder


def aged(run: Path, folder: Path) -> Path:
    """The run as an older version would have left it."""
    shutil.copytree(run, folder)
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            header = json.loads(opened.metadata()["cen"])
        assert header["metadata"].pop("conventions") == CONVENTIONS
        header["metadata"]["targets"]["normal"]["axes"] = REVERSED_AXES
        save_file(load_file(file), file, metadata={"cen": json.dumps(header)})
    return folder


def test_networks_of_this_version_say_what_they_keep_to(run: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = cen.load(run)
    assert net.metadata["conventions"] == CONVENTIONS
    assert net.adapt().metadata["conventions"] == CONVENTIONS
    evaluate(run, panels=0)


def test_an_older_network_is_told_of_and_not_measured_on_other_normals(
    run: Path, tmp_path: Path
) -> None:
    old = aged(run, tmp_path / "old")
    with pytest.warns(CenWarning, match=r"best\.safetensors: .* z of its normal has the other"):
        cen.load(old)
    with (
        pytest.warns(CenWarning),
        pytest.raises(ConfigError, match=r"data\.modalities\.normal\.axes .*as it did"),
    ):
        evaluate(old, panels=0)
    with pytest.warns(CenWarning):
        evaluate(old, panels=0, overrides={"data.modalities.normal.axes": REVERSED_AXES})


def test_an_older_run_is_not_resumed_on_other_normals(run: Path, tmp_path: Path) -> None:
    old = aged(run, tmp_path / "old")
    config = Config.load(old / "config.yaml", {"train.steps": 4})
    with pytest.raises(ConfigError, match=r"data\.modalities\.normal\.axes"):
        fit(config, old, resume=True, progress=False)
    given = {"train.steps": 4, "data.modalities.normal.axes": REVERSED_AXES}
    fit(Config.load(old / "config.yaml", given), old, resume=True, progress=False)
    with pytest.warns(CenWarning, match="wrong sign"):
        cen.load(old / "last.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [{}, {"targets": 3}, {"targets": {"normal": 1}, "preprocessing": [1]}, {"targets": {"n": {}}}],
)
def test_metadata_of_any_form_are_no_reason_to_fail(metadata: dict[str, Any]) -> None:
    assert normals_in_doubt(metadata) == []


def test_older_shards_are_told_of(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    wanted: dict[str, dict[str, Any]] = {"rgb": {}, "normal": {}}
    write_shards(DatasetRecipe("taskonomy", str(root), inputs=wanted, outputs={}), out)
    path = out / "shards.yaml"
    said = yaml.safe_load(path.read_text())
    assert (said.pop("conventions"), said.pop("rendered")) == (CONVENTIONS, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Shards(out, "test")
        said["fields"]["normal"]["axes"] = REVERSED_AXES
        path.write_text(yaml.safe_dump(said | {"conventions": CONVENTIONS}))
        Shards(out, "test")
    path.write_text(yaml.safe_dump(said))
    with pytest.warns(CenWarning, match=r"shards\.yaml: .*set axes of normal there to '\+x \+y"):
        Shards(out, "test")


def test_a_network_trained_on_rooms_goes_on(run: Path, tmp_path: Path) -> None:
    """Its normals were right, and Rooms written anew is read as the same numbers."""
    rooms = write_rooms(tmp_path / "rooms", "taskonomy", size=(32, 48), train=6, test=2)
    assert Taskonomy(rooms, "test").rendered
    old = aged(run, tmp_path / "old")
    with pytest.warns(CenWarning, match="trained on Rooms are right"):
        evaluate(old, panels=0, overrides={"data.root": str(rooms)})
