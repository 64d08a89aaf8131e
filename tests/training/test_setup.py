"""From a configuration and files to data sets and runs."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from tests.training.rooms_run import configuration
from tests.training.toy import same

from cen.config import Config
from cen.data import write_rooms
from cen.errors import ConfigError
from cen.options.data_options import ModalityConfig
from cen.training import evaluate, fit
from cen.training.setup import metadata, open_dataset


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Rooms data set of files."""
    folder = tmp_path_factory.mktemp("data") / "rooms"
    write_rooms(folder, size=(40, 56), train=20, test=3)
    return folder


def test_every_key_of_a_modality_arrives(root: Path) -> None:
    keys = {
        "kind": "depth",
        "unit": 0.01,
        "missing": [65535.0, -1.0],
        "scale": 2.0,
        "mean": [1.5],
        "std": [0.5],
        "fill": -1.0,
        "interpolation": "linear",
        "encoding": "log",
        "clip": [0.5, 6.0],
        "fill_holes": "nearest",
        "intrinsics": [50.0, 50.0, 27.5, 19.5],
        "bits": 16,
        "axes": "+x +y +z",  # others are for normals
        "bands": [0],
        "page": 1,
        "variable": "depth",
        "exif": "turn",
    }
    assert {*keys, "augment"} == {field.name for field in fields(ModalityConfig)}
    data = {"root": str(root), "modalities": {"rgb": {}, "depth": keys}}
    config = Config.from_dict({"data": data, "train": {"steps": 1}})
    found = open_dataset(config, "train").modalities["depth"].to_dict()
    # What the files of labels and rotated depth are, a data set alone knows.
    files = {"first": 0, "ignore": [], "ignore_index": 255, "values": []}
    files |= {"bit_rotation": 0, "farthest": None, "beyond": "clip"}
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()} == {
        **keys, "channels": 1, **files
    }  # fmt: skip


def test_inputs_are_augmented_in_training_alone(root: Path) -> None:
    values = configuration(root).to_dict()
    plain = open_dataset(Config.from_dict(values), "train")
    values["data"]["modalities"] = {"rgb": {"augment": {"brightness": 0.5, "patches": 4}}}
    config = Config.from_dict(values)
    train, before = open_dataset(config, "train")[3, 0], plain[3, 0]
    assert torch.equal(train["depth"], before["depth"])
    assert not torch.equal(train["rgb"], before["rgb"])
    assert torch.equal(train["rgb"], open_dataset(config, "train")[3, 0]["rgb"]), "resuming"
    tested = [open_dataset(one, "test")[0]["rgb"] for one in (config, configuration(root))]
    assert torch.equal(*tested)
    values["data"]["modalities"] = {"segmentation": {"augment": {"patches": 4}}}
    with pytest.raises(ConfigError, match=r"segmentation.augment: is for inputs"):
        open_dataset(Config.from_dict(values), "train")


def test_a_third_modality_is_a_column_more(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "three")
    for name in ("train.txt", "val.txt"):
        path = tmp_path / "three" / name
        lines = [f"{line}\t{line.split(chr(9))[0]}" for line in path.read_text().splitlines()]
        path.write_text("\n".join(lines) + "\n")
    values = configuration(tmp_path / "three").to_dict()
    values["data"]["options"]["columns"] = ["rgb", "segmentation", "depth", "thermal"]
    values["data"]["modalities"]["thermal"] = {"kind": "image", "bands": [1]}
    values["model"]["inputs"] = {"rgb": 3, "depth": 1, "thermal": 1}
    fit(Config.from_dict(values), tmp_path / "run", progress=False)
    scores = evaluate(tmp_path / "run")["scores"]
    assert len(scores) == 7, "every subset of three modalities"


def test_a_checkpoint_keeps_the_size_to_which_pictures_are_brought(root: Path) -> None:
    base = configuration(root).to_dict()
    assert "resize" not in metadata(open_dataset(Config.from_dict(base), "train"))
    base["data"]["transforms"]["resize"] = [32, 44]
    for split in ("train", "test"):
        assert metadata(open_dataset(Config.from_dict(base), split))["resize"] == [32, 44]


def test_workers_change_nothing(root: Path, tmp_path: Path) -> None:
    nets = [
        fit(configuration(root, train_steps=3, data_workers=n), tmp_path / str(n), progress=False)
        for n in (0, 2)
    ]
    assert same(nets[0].state_dict(), nets[1].state_dict())


def test_mixed_precision(root: Path, tmp_path: Path) -> None:
    config = configuration(root, train_steps=2, train_precision="bf16-mixed")
    net = fit(config, tmp_path / "run", progress=False)
    assert all(p.dtype == torch.float32 for p in net.parameters())
    assert all(torch.isfinite(p).all() for p in net.parameters())


def test_modalities_as_configured(root: Path) -> None:
    values = configuration(root).to_dict()
    values["data"]["modalities"]["rgb"] = {"mean": [0.5, 0.4, 0.3], "scale": 0.01}
    values["data"]["modalities"]["depth"] = {"unit": 0.002, "fill": -1.0}
    modalities = open_dataset(Config.from_dict(values), "test").modalities
    assert (modalities["rgb"].mean, modalities["rgb"].scale) == ((0.5, 0.4, 0.3), 0.01)
    assert (modalities["depth"].unit, modalities["depth"].fill) == (0.002, -1.0)


def test_a_misspelt_modality_is_refused(root: Path) -> None:
    """Its unit would be that of the data set, without a word."""
    data = {"root": str(root), "modalities": {"dpeth": {"unit": 0.01}}}
    config = Config.from_dict({"data": data, "train": {"steps": 1}})
    with pytest.raises(ConfigError, match=r"data\.modalities\.dpeth: .*did you mean 'depth'"):
        open_dataset(config, "train")
    # A field that such data may have, and this folder has not.
    options = {"columns": ["rgb", "segmentation", "reshading"]}
    data |= {"modalities": {"depth": {"unit": 0.01}}, "options": options}
    config = Config.from_dict({"data": data, "model": {"inputs": {"rgb": 3}}})
    assert list(open_dataset(config, "train").modalities) == ["rgb"]
