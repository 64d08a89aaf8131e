"""From a configuration and files to a run, its evaluation and its pictures."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.toy import same

import cen
from cen.config import Config
from cen.data import write_rooms
from cen.errors import ConfigError
from cen.options.data_options import ModalityConfig
from cen.report.panels import load_panel
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


def test_data_with_other_classes_are_refused(root: Path, tmp_path: Path) -> None:
    fit(configuration(root), tmp_path / "run", progress=False)
    write_rooms(tmp_path / "functions", labels="functions", size=(40, 56), train=4, test=2)
    with pytest.raises(ConfigError, match=r"has the 6 classes floor.*trained for 15"):
        evaluate(tmp_path / "run", overrides={"data.root": str(tmp_path / "functions")})
    assert not (tmp_path / "run" / "evaluation.json").exists()


def configuration(root: Path, **values: Any) -> Config:
    """A short run on these files; the arguments are dotted keys with ``_`` for the dot."""
    model = {"encoder": "resnet18", "width": 4, "decoder_channels": 4, "decoder_norm": "batch"}
    train = {"steps": 4, "batch_size": 2, "validate_every": 2, "log_every": 2, "accelerator": "cpu"}
    data = {
        "root": str(root),
        "transforms": {"scale": [0.8, 1.2], "crop": [32, 48], "shorter_side": 32},
    }
    base = Config.from_dict({"data": data, "model": model, "train": train}).to_dict()
    return Config.from_dict(base, {k.replace("_", ".", 1): v for k, v in values.items()})


@pytest.fixture(scope="module")
def run(root: Path) -> Path:
    """A finished and evaluated run."""
    folder = root.parent / "run"
    fit(configuration(root), folder, progress=False)
    evaluate(folder, panels=2)
    return folder


def test_test_split_is_opened_by_evaluation_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    original = cen.data.NYUDv2Folder.raw

    def watched(self: Any, index: int) -> Any:
        opened.append(self.split)
        return original(self, index)

    monkeypatch.setattr(cen.data.NYUDv2Folder, "raw", watched)
    fit(configuration(root, train_steps=2), tmp_path / "run", progress=False)
    assert set(opened) == {"train", "validation"}
    opened.clear()
    evaluate(tmp_path / "run", panels=0)
    assert set(opened) == {"test"}


def test_evaluation_file(run: Path) -> None:
    found = json.loads((run / "evaluation.json").read_text())
    assert (found["split"], found["samples"]) == ("test", 3)
    assert list(found["scores"]) == ["rgb+depth", "rgb", "depth"]
    assert len(found["classes"]["segmentation"]) == len(found["palette"]["segmentation"])
    assert "wall" in found["classes"]["segmentation"]
    entry = found["scores"]["rgb+depth"]["segmentation"]
    assert sum(entry["ensemble"]["pixels"]) <= 3 * 40 * 56
    assert sorted(entry["streams"]) == sorted(entry["alpha"]) == ["depth", "rgb"]


def test_panels_show_inputs_truth_and_predictions(run: Path, root: Path) -> None:
    files = sorted((run / "panels").iterdir())
    assert len(files) == 2
    first, last = (load_panel(file) for file in files)
    test = open_dataset(configuration(root), "test")
    assert np.array_equal(first.inputs["rgb"], test.raw(0)["rgb"])
    assert np.array_equal(last.inputs["depth"], test.raw(2)["depth"], equal_nan=True)
    output = first.outputs["segmentation"]
    assert output.truth is not None
    assert np.array_equal(output.truth, test.raw(0)["segmentation"])
    assert output.ensemble is not None
    assert output.ensemble.shape == output.streams["rgb"].shape == (40, 56)


def test_checkpoint_needs_neither_configuration_nor_data(run: Path, root: Path) -> None:
    net = cen.load(run / "best.safetensors")
    dataset = open_dataset(configuration(root), "test")
    assert net.metadata["preprocessing"]["depth"] == dataset.modalities["depth"].to_dict()
    assert net.metadata["preprocessing"]["depth"]["unit"] == 0.001  # what dataset.yaml says
    assert net.metadata["classes"]["segmentation"] == list(dataset.classes)
    raw = dataset.raw(0)
    labels = cen.Predictor(net)({"rgb": raw["rgb"], "depth": raw["depth"]}).labels
    panel = load_panel(run / "panels" / "00.npz").outputs["segmentation"]
    assert (labels == panel.ensemble).mean() > 0.999
    alone = cen.Predictor(net)({"depth": raw["depth"]}).labels
    assert list(panel.without) == ["rgb", "depth"]
    assert (alone == panel.without["rgb"]).mean() > 0.999


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


def test_one_modality_alone(root: Path, tmp_path: Path) -> None:
    """The baseline of the comparison: no partner, so nothing is exchanged or penalised."""
    values = configuration(root, train_steps=2).to_dict()
    values["model"]["inputs"] = {"depth": 1}
    fit(Config.from_dict(values), tmp_path / "run", progress=False)
    scores = evaluate(tmp_path / "run", panels=1)["scores"]
    assert list(scores) == ["depth"]
    assert scores["depth"]["segmentation"]["alpha"] == {"depth": 1.0}


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
