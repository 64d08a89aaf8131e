"""The commands on runs that learn a picture of values which are none, or every field in turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cen
from cen.cli import main
from cen.data import write_rooms

TINY = [
    "--data.layout=taskonomy",
    "--data.validation=0.25",
    "--model.encoder=unet3",
    "--model.width=4",
    "--train.steps=2",
    "--train.batch_size=2",
    "--train.validate_every=2",
    "--train.accelerator=cpu",
]
FILE = "{domain}/point_0_view_0_domain_{name}.png"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rooms as Taskonomy, 32 x 48."""
    folder = tmp_path_factory.mktemp("rooms")
    return write_rooms(folder, layout="taskonomy", labels="parts", size=(32, 48), train=8, test=2)


def file_of(root: Path, domain: str) -> str:
    return str(root / FILE.format(domain=domain, name=domain.replace("segment_", "segment")))


def trained(root: Path, out: Path, config: str, *options: str) -> str:
    path = out.parent / "config.yaml"
    path.write_text(config.format(root=root))
    assert main(["train", str(path), "--out", str(out), *TINY, *options]) == 0
    return str(out)


CURVATURE = """
data: {{root: {root}}}
model:
  name: unet
  inputs: {{rgb: 3}}
  outputs: {{principal_curvature: {{kind: image}}}}
"""

CYCLE = """
data: {{root: {root}}}
model:
  name: cycle
  inputs: {{rgb: 3, depth_zbuffer: 1, segment_semantic: 15}}
  outputs:
    rgb: {{kind: image}}
    depth_zbuffer: {{kind: depth}}
    segment_semantic: {{kind: segmentation}}
"""

DEPTH = """
data:
  root: {root}
  modalities:
    depth_zbuffer: {{missing: 65535, encoding: taskonomy_depth{kind}}}
model:
  name: unet
  inputs: {{rgb: 3}}
  outputs: {{depth_zbuffer: {{kind: image}}}}
"""


def test_two_bands_as_a_target(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(root, tmp_path / "run", CURVATURE)
    assert main(["evaluate", run, "--features", "none"]) == 0
    assert main(["report", run]) == 0
    capsys.readouterr()
    options = ["--rgb", file_of(root, "rgb"), "-o", str(tmp_path / "out")]
    assert main(["predict", run, *options]) == 0
    values = np.load(tmp_path / "out" / "values.npy")
    assert values.shape == (32, 48, 2)
    capsys.readouterr()
    # A unit of depth where there is no depth.
    assert main(["predict", run, *options, "--unit", "0.001"]) == 2
    told = capsys.readouterr().err
    assert "unit: is of files of kind depth, but there are only rgb (image)" in told
    assert len(told.splitlines()) == 1


def test_a_segmentation_as_the_only_source(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(root, tmp_path / "run", CYCLE, "--model.statistics=instance")
    labels = file_of(root, "segment_semantic")
    out = tmp_path / "out"
    assert main(["predict", run, "--segment_semantic", labels, "-o", str(out)]) == 0
    assert (out / "rgb-picture.png").is_file()  # beside the depth of the cycle
    assert not list(out.glob("segment_semantic*"))
    # The classes are those that it was trained with: stored 1 is class 0.
    assert cen.Predictor(run).modalities["segment_semantic"].first == 1
    capsys.readouterr()
    # Depth is among the fields of the run, but not among the files given.
    options = ["--segment_semantic", labels, "--unit", "0.001", "-o", str(out)]
    assert main(["predict", run, *options]) == 2
    assert "only segment_semantic (label)" in capsys.readouterr().err


def test_depth_as_a_picture_needs_kind_continuous(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(DEPTH.format(root=root, kind=""))
    assert main(["train", str(path), "--out", str(tmp_path / "run"), *TINY]) == 2
    told = capsys.readouterr().err
    assert "say kind: depth, or, to translate it" in told
    assert "data.modalities.depth_zbuffer.kind: continuous" in told
    path.write_text(DEPTH.format(root=root, kind=", unit: 0.001953125, kind: continuous"))
    assert main(["train", str(path), "--out", str(tmp_path / "run"), *TINY]) == 0
    options = ["--rgb", file_of(root, "rgb"), "-o", str(tmp_path / "out")]
    assert main(["predict", str(tmp_path / "run"), *options]) == 0
    metres = np.load(tmp_path / "out" / "values.npy")
    # The encoding ends at stored 65534: what tanh gives lies between nothing and that.
    assert metres.min() >= 0
    assert metres.max() < 130
    assert (metres % (1 / 512) > 1e-5).any()
