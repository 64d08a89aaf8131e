"""A small network for two modalities and a scene in files."""

import numpy as np
import pytest
import torch
from tests.predict.scene import CLASSES, MODALITIES, PALETTE

from cen.data.formats.pictures import write_png
from cen.models import Task, build


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = build(
        "segformer", encoder="resnet18", inputs={"rgb": 3, "depth": 1}, width=8,
        outputs={"segmentation": Task("segmentation", 4, CLASSES)}, decoder_channels=8,
    )  # fmt: skip
    net.metadata = {
        "preprocessing": {name: modality.to_dict() for name, modality in MODALITIES.items()},
        "palette": {"segmentation": PALETTE},
    }
    return net


@pytest.fixture
def scene(tmp_path):
    """An RGB image and a depth map of 45 × 61 pixels as files."""
    rng = np.random.default_rng(0)
    files = {"rgb": tmp_path / "a.png", "depth": tmp_path / "b.png"}
    write_png(files["rgb"], rng.integers(0, 255, (45, 61, 3), dtype=np.uint8))
    depth = rng.integers(500, 6000, (45, 61), dtype=np.uint16)
    depth[:5] = 0  # a hole
    write_png(files["depth"], depth)
    return files
