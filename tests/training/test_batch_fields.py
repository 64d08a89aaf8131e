"""What a network takes of a batch, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.training.toy import (
    Blocks,
    Scenes,
    several_config,
    several_network,
    toy_config,
    toy_network,
)

from cen.errors import ConfigError, ShapeError
from cen.training import score_network, train_network
from cen.training.batch_fields import targets_of


def test_labels_of_another_size_are_refused() -> None:
    net = several_network(several_config(("segmentation", "distance")))
    batch = {k: v[None] for k, v in Scenes(1)[0].items() if k != "name"}
    batch["distance"] = batch["distance"][..., :16]
    with pytest.raises(ShapeError, match=r"'distance' is 32 × 16.*'rgb' is 32 × 32"):
        targets_of(net, batch)
    del batch["distance"]
    with pytest.raises(ConfigError, match="no ground truth 'distance'"):
        targets_of(net, batch)


def test_own_data_without_an_input_are_told_apart(tmp_path: Path) -> None:
    class Blind(Blocks):
        def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
            sample = super().__getitem__(key)
            del sample["depth"]
            return sample

    config = toy_config()
    words = "the samples have no input 'depth', which the network takes; they have rgb, segm"
    with pytest.raises(ConfigError, match=words):
        train_network(config, tmp_path / "run", toy_network(config), Blind(8), None, progress=False)
    with pytest.raises(ConfigError, match=words):
        score_network(toy_network(config), Blind(2), accelerator="cpu")
