"""Every real layout through the command line, on Rooms written in its form."""

import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from tests.cli.conftest import Layouts
from tests.data.readers.made_up import MADE_UP

from cen import cli
from cen.data.formats.label_maps import read_labels
from cen.data.formats.pictures import write_png
from cen.data.readers.opening import open_layout

LAYOUTS = ("nyudv2", "nyudv2-mat", "sunrgbd", "taskonomy", "folder")


def check(layout: str, root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and report of ``cen data LAYOUT check ROOT``."""
    capsys.readouterr()
    code = cli.main(["data", layout, "check", str(root), "--json"])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_wrong_with_what_is_written(
    layout: str, layouts: Layouts, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = check(layout, layouts(layout), capsys)
    assert code == 0
    found = json.loads(out)
    assert found["ok"]
    assert found["splits"]["test"]["samples"] == 3
    unit = {"nyudv2-mat": 1.0, "taskonomy": 1 / 512}.get(layout, 0.001)
    assert found["units"] == {"depth_zbuffer" if layout == "taskonomy" else "depth": unit}


@pytest.mark.parametrize("layout", MADE_UP)
def test_nothing_is_wrong_with_what_is_made_up(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = check(layout, MADE_UP[layout](tmp_path / "data"), capsys)
    found = json.loads(out)
    assert (code, found["ok"], found["splits"]["test"]["samples"]) == (0, True, 2)


def test_a_label_beyond_the_mapping_is_found(
    layouts: Layouts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(layouts("nyudv2-mat"), tmp_path / "data"))
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["labels"][3, 1, 1] = 900
    code, out = check("nyudv2-mat", root, capsys)
    assert code == 1
    assert "nyu_depth_v2_labeled.mat, image 4 " in out
    assert "label 900" in out


def test_a_depth_of_8_bits_is_found(
    layouts: Layouts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(layouts("sunrgbd"), tmp_path / "data"))
    path = root / "SUNRGBD/realsense/lg/train_00002/depth_bfx/train_00002.png"
    write_png(path, np.ones((32, 48), np.uint8))
    code, out = check("sunrgbd", root, capsys)
    assert code == 1
    assert "train_00002.png" in out


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_epoch_is_trained_and_evaluated(
    layout: str, layouts: Layouts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """About nine training frames are three batches of three; of one layout two workers read."""
    run = tmp_path / "run"
    words = ["train", "rooms-small", "--data.layout", layout, "--data.root", str(layouts(layout))]
    words += [f"--data.workers={2 if layout == 'nyudv2-mat' else 0}", "--train.batch_size=3"]
    words += ["--train.steps=3", "--model.name=fpn", "--model.width=4"]
    if layout == "taskonomy":  # fields have the names of its domains
        words += ["--model.inputs={rgb: 3, depth_zbuffer: 1}"]
        words += ["--model.outputs={segment_semantic: {kind: segmentation}}"]
    assert cli.main([*words, "--train.validate_every=3", "--out", str(run)]) == 0
    capsys.readouterr()
    assert cli.main(["evaluate", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "test" in json.dumps(found)


UNET = ["--model.name=unet", "--model.encoder=unet3", "--model.decoder_channels=null"]
UNET += ["--model.decoder_norm=null"]


def test_pst900_is_trained_evaluated_and_predicted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own folders, with thermal pictures; validation takes a whole recording."""
    root, run = MADE_UP["pst900"](tmp_path / "PST900_RGBT_Dataset"), tmp_path / "run"
    words = ["train", "rooms-small", "--data.layout=pst900", "--data.root", str(root), *UNET]
    words += ["--data.classes=5", "--data.validation=0.3", "--model.width=4"]
    words += ["--model.inputs={rgb: 3, thermal: 1, depth: 1}", "--train.batch_size=2"]
    assert cli.main([*words, "--train.steps=2", "--out", str(run)]) == 0
    capsys.readouterr()
    assert cli.main(["evaluate", str(run)]) == 0
    found = json.loads((run / "evaluation.json").read_text())
    assert found["samples"] == 2
    assert len(found["scores"]) == 7, "all subsets of three modalities"
    files = [f"--{name}={next((root / 'test' / name).iterdir())}" for name in ("rgb", "thermal")]
    assert cli.main(["predict", str(run), *files, "-o", str(tmp_path / "out")]) == 0
    assert read_labels(tmp_path / "out/labels.png").shape == (32, 48)
    legend = json.loads((tmp_path / "out/classes.json").read_text())["classes"]
    assert [entry["class"] for entry in legend][-1] == "rescue_randy"


IGNORE = ["--data.ignore_index", "65535"]
MODEL = {
    "name": "fpn",
    "encoder": "resnet18",
    "width": 4,
    "decoder_channels": 4,
    "decoder_norm": "batch",
}


def file_894(root: Path, folder: Path) -> Path:
    """A configuration of all classes that NYUDv2 labels."""
    data = {"layout": "nyudv2-mat", "root": str(root), "classes": 894, "validation": 0.0}
    train = {"steps": 2, "batch_size": 2, "log_every": 1, "checkpoint_every": 2}
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump({"data": data, "model": MODEL, "train": train}))
    return file


def test_the_894_classes_of_nyudv2_are_trained_and_predicted(
    layouts: Layouts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = file_894(layouts("nyudv2-mat"), tmp_path), tmp_path / "run"
    assert cli.main(["train", str(file), "--out", str(run)]) == 2
    assert "255 is one of the 894 classes; choose another value, such as 65535" in (
        capsys.readouterr().err
    )
    assert cli.main(["train", str(file), "--out", str(run), *IGNORE]) == 0
    colours, depth = (tmp_path / name for name in ("c.png", "d.png"))
    write_png(colours, np.full((32, 48, 3), 99, np.uint8))
    write_png(depth, np.full((32, 48), 2, np.uint16))
    words = ["predict", str(run), "--rgb", str(colours), "--depth", str(depth)]
    assert cli.main([*words, "-o", str(tmp_path / "out")]) == 0
    assert read_labels(tmp_path / "out" / "labels.png").dtype == np.uint16
    legend = json.loads((tmp_path / "out" / "classes.json").read_text())["classes"]
    assert len(legend) == 894


@pytest.mark.slow
def test_the_894_classes_of_nyudv2_go_all_the_way(
    layouts: Layouts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evaluation, the page, the check and shards."""
    root = layouts("nyudv2-mat")
    file, run = file_894(root, tmp_path), tmp_path / "run"
    assert cli.main(["train", str(file), "--out", str(run), *IGNORE]) == 0
    assert cli.main(["evaluate", str(run)]) == 0
    assert cli.main(["report", str(run)]) == 0
    shown = [panel for file in (run / "panels").glob("*.npz") for panel in np.load(file).items()]
    labels = [value for _, value in shown if value.dtype == np.uint16]
    assert labels
    assert max(value.max() for value in labels) < 894
    capsys.readouterr()
    assert (
        cli.main(["data", "nyudv2-mat", "check", str(root), "--data.classes", "894", *IGNORE]) == 0
    )
    assert re.search(r"\d+ classes without a pixel", capsys.readouterr().out)
    shards = ["nyudv2-mat", "convert", str(root), "--out", str(tmp_path / "shards")]
    assert cli.main(["data", *shards, "--data.classes", "894", *IGNORE]) == 0
    source = open_layout("nyudv2-mat", root, "test", options={}, classes=894, ignore_index=65535)
    copied = open_layout("shards", tmp_path / "shards", "test")
    for index in range(3):
        np.testing.assert_array_equal(
            copied.raw(index)["segmentation"], source.raw(index)["segmentation"]
        )
