"""What cycle fusion makes of its data: mirrored, of odd sizes, without a modality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.generation.pictures import Pictures
from tests.training.generation.test_cycle_fusion import TASKS, cycle, network
from tests.training.generation.test_translation import rows
from torch.nn import functional as F
from torch.utils.data import Dataset

import cen
from cen.config import Config
from cen.data import Modality
from cen.errors import ConfigError, DataError
from cen.models import Task
from cen.training import score_network, train_network


class Fields(Dataset[dict[str, Any]]):
    """Vectors, distances and labels, with pixels missing; mirrored by hand if asked to be."""

    def __init__(self, mirrored: bool) -> None:
        self.mirrored = mirrored
        self.modalities: dict[str, Modality] = {}
        self.targets = {
            "normal": Modality.of("normal"),
            "depth": Modality.of("depth"),
            "parts": Modality.of("label", 3),
        }

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        coarse = torch.randn(1, 4, 4, 4, generator=generator)
        smooth = F.interpolate(coarse, (32, 32), mode="bicubic")[0]
        normal, depth = F.normalize(smooth[:3], dim=0), 2 + smooth[3:]
        parts = (smooth[3] > 0).long() + (smooth[0] > 0)
        normal[:, :, :5], depth[:, 3:9], parts[20:] = torch.nan, torch.nan, 255
        if self.mirrored:
            normal, depth, parts = normal.flip(-1), depth.flip(-1), parts.flip(-1)
            normal[0] *= -1
        return {"normal": normal, "depth": depth, "parts": parts, "name": str(index)}


@pytest.mark.parametrize("kind", ["image", "normal"])
def test_flipping_makes_the_scores_those_of_a_mirrored_world(kind: Any) -> None:
    """Of every subset: labels, missing values and vectors go through both ways."""
    torch.manual_seed(0)
    net = cen.build(
        "cycle",
        encoder="unet3",
        width=4,
        inputs={"normal": 3, "depth": 1, "parts": 3},
        outputs={
            "normal": Task(kind, 3),
            "depth": Task("depth", 1),
            "parts": Task("segmentation", 3),
        },
        feeds={"normal": [[0.5] * 3, [0.25] * 3]},
        statistics="instance",
    )
    with torch.no_grad():
        for head in net.heads.parameters():
            head *= 10  # predictions that depend on what is given
    scores = [
        score_network(net, Fields(mirrored), scales=scales, flip=flip, accelerator="cpu")
        for scales, flip in (((1.0, 0.75), True), ((1.0,), False))
        for mirrored in (False, True)
    ]
    names = {"normal": "mean_angle" if kind == "normal" else "mae", "depth": "rmse"}
    names["parts"] = "pixel_accuracy"
    for subset, entry in scores[0].items():
        for output in entry:
            found = [s[subset][output]["ensemble"][names[output]] for s in scores]
            assert found[0] == pytest.approx(found[1], rel=1e-5), (subset, output)
            assert output == "parts" or found[2] != pytest.approx(found[3], rel=1e-4)
    assert set(scores[0]["depth"]) == {"normal", "parts"}


@pytest.mark.parametrize("options", [{}, {"adversarial": "bce", "momentum": 0.5}])
def test_sizes_that_do_not_halve_evenly_are_trained_on(
    options: dict[str, Any], tmp_path: Path
) -> None:
    class Odd(Pictures):
        def __getitem__(self, key: Any) -> dict[str, Any]:
            sample = super().__getitem__(key)
            return {k: sample[k][:, :31, :29] for k in TASKS} | {"name": sample["name"]}

    config = cycle(steps=2, validate_every=2, **options)
    train_network(config, tmp_path / "run", network(config), Odd(4), Odd(2), progress=False)
    assert float(rows(tmp_path / "run")[0]["train/cycle"]) > 0


class Lacking(Pictures):
    """Some samples, or all, have no colours."""

    def __init__(self, length: int, every: int = 1) -> None:
        super().__init__(length)
        self.every = every

    def __getitem__(self, key: Any) -> dict[str, Any]:
        sample = super().__getitem__(key)
        if int(sample["name"]) % self.every == 0:
            del sample["rgb"]
        return sample


@pytest.mark.parametrize("every", [1, 2])
def test_samples_without_a_modality_are_refused(every: int, tmp_path: Path) -> None:
    """It would be an input of zeros, and a target with the loss 0, without a word."""
    config = cycle()
    words = "has no rgb; it has .* In cycle fusion every modality is an input and a target"
    with pytest.raises(DataError, match=words):
        train_network(
            config, tmp_path / "run", network(config), Lacking(4, every), None, progress=False
        )
    with pytest.raises(DataError, match=words):
        score_network(network(config), Lacking(2, every), accelerator="cpu")
    partial = config.to_dict()
    partial["data"]["partial"] = True
    with pytest.raises(ConfigError, match=r"data\.partial: true is not for model\.name cycle"):
        Config.from_dict(partial)
