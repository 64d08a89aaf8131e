"""What docs/datasets.md says was verified, measured again where real files are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cen.cli import main
from cen.data.fields.geometry import normals_from_depth, rays
from cen.data.fields.modality import Modality
from cen.data.readers.opening import open_layout
from cen.data.readers.taskonomy import DOMAINS

REAL = next(
    (p / "shared/real" for p in Path(__file__).resolve().parents if (p / "shared/real").is_dir()),
    Path("absent"),
)
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")


@pytest.fixture(scope="module")
def taskonomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real part of Taskonomy by links, with lists, since a folder may only be read."""
    root = tmp_path_factory.mktemp("taskonomy")
    for folder in (REAL / "taskonomy").iterdir():
        (root / folder.name).symlink_to(folder)
    frames = sorted(p.name.split("_domain")[0] for p in (root / "depth_euclidean").iterdir())
    (root / "train.txt").write_text(
        "\n".join([name for name in frames[:-2] if "point_202_" not in name]) + "\n"
    )
    (root / "validation.txt").write_text(frames[-1] + "\n")
    (root / "test.txt").write_text(frames[-2] + "\n")
    return root


def test_normals_of_taskonomy_lie_along_its_z_buffer_and_face_the_camera(taskonomy: Path) -> None:
    wanted = {"depth_zbuffer": {"encoding": "normals", "channels": 3}, "depth_euclidean": {}}
    (taskonomy / "one.txt").write_text("point_202_view_5\n")
    data = open_layout(
        "taskonomy",
        taskonomy,
        "test",
        inputs=wanted,
        outputs={"normal": {}},
        options={"lists": {"train": "train.txt", "test": "one.txt"}},
    )
    sample = data.raw(0)
    sight = rays(sample["intrinsics"], (512, 512))
    computed = normals_from_depth(sample["depth_zbuffer"], sample["intrinsics"])
    cosine = (computed * sample["normal"]).sum(-1)
    angles = np.degrees(np.arccos(np.clip(cosine[np.isfinite(cosine)], -1, 1)))
    assert np.median(angles) < 1.2
    assert np.percentile(angles, 75) < 5
    known = np.isfinite(sample["normal"][..., 0])
    assert ((sight * sample["normal"]).sum(-1)[known] < 0).mean() > 0.99
    # Both depths are of the same points.
    along = sample["depth_zbuffer"] * np.linalg.norm(sight, axis=-1)
    off = (along / sample["depth_euclidean"] - 1)[np.isfinite(sample["depth_euclidean"])]
    assert np.sqrt((off**2).mean()) < 0.001


def test_every_normal_of_taskonomy_faces_the_camera(taskonomy: Path) -> None:
    normal = Modality.of(**DOMAINS["normal"])
    focal = 0.5 * 512 / np.tan(np.radians(30))
    camera = np.array([[focal, 0, 255.5], [0, focal, 255.5], [0, 0, 1]])
    for path in (taskonomy / "normal").iterdir():
        vectors = normal.read(path)
        known = np.isfinite(vectors[..., 0])
        facing = (rays(camera, (512, 512)) * vectors).sum(-1)[known] < 0
        assert facing.mean() >= 0.95


def test_taskonomy_is_trained_on_by_list(taskonomy: Path, tmp_path: Path) -> None:
    lists = "{train: train.txt, validation: validation.txt, test: test.txt}"
    config = tmp_path / "taskonomy.yaml"
    config.write_text(
        f"data: {{layout: taskonomy, root: {taskonomy}, options: {{lists: {lists}}},\n"
        "  transforms: {crop: [96, 96]}}\n"
        "model: {encoder: resnet18, decoder_channels: 32, inputs: {rgb: 3},\n"
        "  outputs: {depth_euclidean: {kind: depth}}}\n"
        "train: {steps: 2, batch_size: 2, validate_every: 2, accelerator: cpu}\n"
    )
    assert main(["train", str(config), "--out", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "best.safetensors").is_file()
