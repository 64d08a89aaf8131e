"""What is written when a run is evaluated, and on which data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.training.rooms_run import configuration

import cen
from cen.config import Config
from cen.data import write_rooms
from cen.errors import ConfigError
from cen.report.panels import load_panel
from cen.training import evaluate, fit
from cen.training.setup import open_dataset


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Rooms data set of files."""
    folder = tmp_path_factory.mktemp("data") / "rooms"
    write_rooms(folder, size=(40, 56), train=20, test=3)
    return folder


def test_data_with_other_classes_are_refused(root: Path, tmp_path: Path) -> None:
    fit(configuration(root), tmp_path / "run", progress=False)
    write_rooms(tmp_path / "functions", labels="functions", size=(40, 56), train=4, test=2)
    with pytest.raises(ConfigError, match=r"has the 6 classes floor.*trained for 15"):
        evaluate(tmp_path / "run", overrides={"data.root": str(tmp_path / "functions")})
    assert not (tmp_path / "run" / "evaluation.json").exists()


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


def test_panels_are_of_the_views_that_scores_are_of(root: Path, tmp_path: Path, run: Path) -> None:
    """They were of one view, whatever --scales and --flip said."""
    shutil.copytree(run, tmp_path / "run")
    evaluate(tmp_path / "run", panels=2, scales=(1.5, 2.0), flip=True)
    predictor = cen.Predictor(cen.load(run / "best.safetensors"), scales=(1.5, 2.0), flip=True)
    raw = open_dataset(configuration(root), "test").raw(0)
    panel = load_panel(tmp_path / "run" / "panels" / "00.npz").outputs["segmentation"]
    labels = predictor({"rgb": raw["rgb"], "depth": raw["depth"]}).labels
    assert (labels == panel.ensemble).mean() > 0.999
    one_view = load_panel(run / "panels" / "00.npz").outputs["segmentation"]
    assert (one_view.ensemble != panel.ensemble).any()


def test_one_modality_alone(root: Path, tmp_path: Path) -> None:
    """The baseline of the comparison: no partner, so nothing is exchanged or penalised."""
    values = configuration(root, train_steps=2).to_dict()
    values["model"]["inputs"] = {"depth": 1}
    fit(Config.from_dict(values), tmp_path / "run", progress=False)
    scores = evaluate(tmp_path / "run", panels=1)["scores"]
    assert list(scores) == ["depth"]
    assert scores["depth"]["segmentation"]["alpha"] == {"depth": 1.0}
