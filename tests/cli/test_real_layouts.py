"""Every real layout through the command line, on Rooms written in its form."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from cen import cli
from cen.data.files import write_png

LAYOUTS = ("nyudv2", "nyudv2-mat", "sunrgbd", "taskonomy", "folder")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All layouts, 10 training and 3 test scenes each. Tests only read it."""
    out = tmp_path_factory.mktemp("written")
    for layout in LAYOUTS:
        words = ["data", "rooms", str(out / layout), "--layout", layout, "--size", "32", "48"]
        assert cli.main([*words, "--train", "10", "--test", "3"]) == 0
    return out


def check(layout: str, root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and report of ``cen data LAYOUT check ROOT``."""
    capsys.readouterr()
    code = cli.main(["data", layout, "check", str(root), "--json"])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_wrong_with_what_is_written(
    layout: str, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = check(layout, written / layout, capsys)
    assert code == 0
    found = json.loads(out)
    assert found["ok"]
    assert found["splits"]["test"]["samples"] == 3
    unit = {"nyudv2-mat": 1.0, "taskonomy": 1 / 512}.get(layout, 0.001)
    assert found["units"] == {"depth_zbuffer" if layout == "taskonomy" else "depth": unit}


def test_a_label_beyond_the_mapping_is_found(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(written / "nyudv2-mat", tmp_path / "data"))
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["labels"][3, 1, 1] = 900
    code, out = check("nyudv2-mat", root, capsys)
    assert code == 1
    assert "nyu_depth_v2_labeled.mat, image 4 " in out
    assert "label 900" in out


def test_a_depth_of_8_bits_is_found(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(written / "sunrgbd", tmp_path / "data"))
    path = root / "SUNRGBD/realsense/lg/train_00002/depth_bfx/train_00002.png"
    write_png(path, np.ones((32, 48), np.uint8))
    code, out = check("sunrgbd", root, capsys)
    assert code == 1
    assert "train_00002.png" in out


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_epoch_is_trained_and_evaluated(
    layout: str, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two workers read; about nine training frames are three batches of three."""
    run = tmp_path / "run"
    words = ["train", "rooms-small", "--data.layout", layout, "--data.root", str(written / layout)]
    words += ["--data.workers=2", "--train.batch_size=3", "--train.steps=3"]
    if layout == "taskonomy":  # fields have the names of its domains
        words += ["--model.inputs={rgb: 3, depth_zbuffer: 1}"]
        words += ["--model.outputs={segment_semantic: {kind: segmentation}}"]
    assert cli.main([*words, "--train.validate_every=3", "--out", str(run)]) == 0
    capsys.readouterr()
    assert cli.main(["evaluate", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "test" in json.dumps(found)
