"""Pictures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.training.toy import TASKS, UNET, Scenes, several_config, several_network

import cen
from cen.report.panels import load_panel
from cen.training.sample_panels import write_panels


class Shown(Scenes):
    """`Scenes` with what the pictures of a run ask for."""

    def __init__(self) -> None:
        super().__init__(4, partial=True)
        self.targets: Any = {}
        self.modalities = {
            "rgb": cen.data.Modality.of("image"),
            "depth": cen.data.Modality.of("depth"),
        }

    def raw(self, index: int) -> dict[str, Any]:
        return {"rgb": np.zeros((32, 32, 3), np.uint8), "depth": np.ones((32, 32), np.float32)}


def test_panels_hold_every_kind(tmp_path: Path) -> None:
    write_panels(tmp_path, several_network(several_config(model=UNET)), Shown(), 2)
    panel = load_panel(tmp_path / "00.npz")
    kinds = {name: output.kind for name, output in panel.outputs.items()}
    assert kinds == {name: task.kind for name, task in TASKS.items()}
    shapes = {name: output.ensemble.shape for name, output in panel.outputs.items()}  # type: ignore[union-attr]
    assert shapes == {n: (32, 32, 3) if n == "normal" else (32, 32) for n in TASKS}
    lengths = np.linalg.norm(panel.outputs["normal"].streams["rgb"].astype(float), axis=-1)
    assert lengths == pytest.approx(np.ones((32, 32)), abs=2e-3)
    assert np.isnan(panel.outputs["distance"].truth).all()  # type: ignore[arg-type]
