"""Training by another loss of segmentation, as it is asked for on the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from cen.cli import main
from cen.models import load

TINY = {
    "data": {"layout": "rooms", "options": {"size": [32, 48], "train": 10, "test": 2}},
    "model": {"name": "fpn", "encoder": "resnet18", "width": 4, "decoder_channels": 4},
    "train": {"steps": 2, "batch_size": 2, "log_every": 1, "accelerator": "cpu"},
}


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return str(path)


def test_a_run_learns_by_the_loss_asked_for_and_keeps_it(config: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    asked = "--model.outputs={segmentation: {loss: dice}}"
    assert main(["train", config, "--out", str(run), asked]) == 0
    assert load(run).outputs["segmentation"].loss == "dice"
    kept = yaml.safe_load((run / "config.yaml").read_text())
    assert kept["model"]["outputs"]["segmentation"]["loss"] == "dice"
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/segmentation/ensemble"]]
    # 15 classes by chance: cross-entropy starts at log 15 = 2.7, Dice is below 1.
    assert rows
    assert all(0 < float(row["train/segmentation/ensemble"]) < 1 for row in rows)


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ("{segmentation: {loss: lovaz}}", "model.outputs.segmentation.loss: segmentation has no"),
        ("{normal: {kind: normal, loss: dice}}", "model.outputs.normal.loss: normal has no"),
    ],
)
def test_a_loss_that_is_none_is_refused_before_anything_starts(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], outputs: str, words: str
) -> None:
    run = tmp_path / "run"
    assert main(["train", config, "--out", str(run), f"--model.outputs={outputs}"]) == 2
    assert words in capsys.readouterr().err
    assert not run.exists()
