"""Discriminators of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.generation.pictures import Pictures, network, translation

from cen.config import Config
from cen.errors import CheckpointError
from cen.training import load_discriminators, train_network


def learn(config: Config, folder: Path) -> None:
    train_network(config, folder, network(config), Pictures(8), None, progress=False)


def test_discriminators_of_a_run_can_be_had(tmp_path: Path) -> None:
    config = translation({"statistics": "instance"}, adversarial="least_squares", steps=2)
    learn(config, tmp_path / "run")
    (judge,) = load_discriminators(tmp_path / "run").values()
    assert not judge.training
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    weights = checkpoint["state_dict"]
    for key, value in judge.state_dict().items():
        assert torch.equal(value, weights[f"discriminators.rgb.{key}"]), key
    assert judge.channels == 6
    assert judge(torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)).shape[:2] == (2, 1)

    other = translation({"statistics": "instance"}, adversarial="none", steps=2)
    learn(other, tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"trained without discriminators"):
        load_discriminators(tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"nowhere holds no checkpoint"):
        load_discriminators(tmp_path / "nowhere")
    text = (tmp_path / "run" / "config.yaml").read_text()
    assert "discriminator_width: 4" in text
    (tmp_path / "run" / "config.yaml").write_text(
        text.replace("discriminator_width: 4", "discriminator_width: 5")
    )
    with pytest.raises(
        CheckpointError, match=r"last\.ckpt does not fit .*convs\.0\.weight has shape"
    ):
        load_discriminators(tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(b"cut")
    with pytest.raises(
        CheckpointError, match=r"last\.ckpt cannot be gone on from: it is no archive"
    ):
        load_discriminators(tmp_path / "run")
