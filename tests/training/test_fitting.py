"""Runs: what they write, resuming, stopping."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.running import At, killed, rows, train
from tests.training.toy import RESNET, Blocks, same, tensors, toy_config, toy_network

import cen
from cen.config import Config
from cen.errors import CheckpointError
from cen.training import train_network


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    train(toy_config(), folder)
    return folder


def test_run_folder(finished: Path) -> None:
    present = {str(p.relative_to(finished)) for p in finished.rglob("*") if p.is_file()}
    for name in ("config.yaml", "run.json", "metrics.csv", "exchange.json", "last.safetensors"):
        assert name in present
    assert {"best.safetensors", "checkpoints/last.ckpt"} <= present
    assert any(name.startswith("tensorboard/events") for name in present)
    hidden = {name for name in present if Path(name).name.startswith(".")}
    assert hidden == {".lock"}, "a temporary file was left behind"
    facts = json.loads((finished / "run.json").read_text())
    assert (facts["status"], facts["step"], facts["seed"]) == ("finished", 12, 0)
    assert facts["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert Config.load(finished / "config.yaml") == toy_config()


def test_columns_of_the_metrics(finished: Path) -> None:
    table = rows(finished)
    for column in (
        "train/loss",
        "train/segmentation/rgb",
        "train/segmentation/ensemble",
        "train/sparsity",
        "train/penalty",
        "val/segmentation/ensemble/mean_iou",
        "val/segmentation/streams/depth/mean_iou",
        "alpha/segmentation/rgb",
        "exchange/rate",
        "exchange/encoder.downs.0.norm/rgb",
        "lambda",
        "lr",
    ):
        assert any(row[column] for row in table), column
    logged = [int(row["step"]) for row in table if row["train/loss"]]
    assert logged == [2, 4, 6, 8, 10, 12]
    validated = [int(r["step"]) for r in table if r["val/segmentation/ensemble/mean_iou"]]
    assert validated == [5, 10, 12]  # the last step is always validated


def test_exchange_history_has_masks_in_its_last_entry_alone(finished: Path) -> None:
    history = json.loads((finished / "exchange.json").read_text())
    assert [entry["step"] for entry in history] == [2, 4, 6, 8, 10, 12]
    assert all("mask" in layer for layer in history[-1]["layers"])
    assert not any("mask" in layer for entry in history[:-1] for layer in entry["layers"])


def test_a_checkpoint_works_alone(finished: Path) -> None:
    net = cen.load(finished / "last.safetensors")
    assert net.metadata["note"] == 1
    assert net.metadata["step"] == 12
    assert net.outputs["segmentation"].classes == ("left", "middle", "right")
    scores = net.metadata["metrics"]["segmentation"]["ensemble"]
    assert 0 <= scores["mean_iou"] <= 1


def test_best_is_the_highest_validated(finished: Path) -> None:
    column = "val/segmentation/ensemble/mean_iou"
    scores = {int(r["step"]): float(r[column]) for r in rows(finished) if r[column]}
    best = cen.load(finished / "best.safetensors")
    assert best.metadata["step"] == max(scores, key=lambda step: scores[step])
    found = best.metadata["metrics"]["segmentation"]["ensemble"]["mean_iou"]
    assert found == pytest.approx(max(scores.values()))


@pytest.mark.parametrize(
    ("options", "kills"),
    [
        ({"model": RESNET, "modality_dropout": 0.4, "weight_decay": 1e-3}, (7, 9)),
        # Saved after a validation.
        ({"exchange_rate": 0.3, "robust": True, "checkpoint_every": 5}, (6, 11)),
        ({"validate_every": 1, "checkpoint_every": 1, "steps": 5}, (1, 4)),
        ({"precision": "64-true", "steps": 5, "checkpoint_every": 2}, (3,)),
        (
            {
                "optimizer": "sgd",
                "schedule": "staged",
                "stages": [
                    {"steps": 4, "encoder_lr": 0.1, "decoder_lr": 0.2},
                    {"steps": 8, "encoder_lr": 0.05, "decoder_lr": 0.05},
                ],
            },
            (5,),  # resumes at the very start of a stage
        ),
    ],
    ids=["dropout", "rate", "every-step", "double", "staged"],
)
def test_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, options: dict[str, Any], kills: tuple[int, ...]
) -> None:
    config = toy_config(**options)
    whole = dict(train(config, tmp_path / "whole").seen)
    parts = [
        killed(config, tmp_path / "parts", step, resume=number > 0)
        for number, step in enumerate(kills)
    ]
    parts.append(train(config, tmp_path / "parts", resume=True))
    for at in parts:
        steps = [step for step, _ in at.seen]
        assert steps == list(range(steps[0], steps[-1] + 1))
        assert all(whole[step] == batch for step, batch in at.seen)
    assert parts[-1].seen[-1][0] == config.train.max_steps - 1
    assert parts[-1].seen[0][0] > 0
    for name in ("last", "best"):
        first, second = (tensors(tmp_path / d / f"{name}.safetensors") for d in ("whole", "parts"))
        assert same(first, second)
    for name in ("metrics.csv", "exchange.json"):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "parts" / name).read_text()


def test_a_run_stopped_before_its_first_checkpoint_starts_again(tmp_path: Path) -> None:
    killed(toy_config(), tmp_path / "run", 2)
    again = train(toy_config(), tmp_path / "run", resume=True)
    assert [step for step, _ in again.seen] == list(range(12))
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["sessions"]) == 2


def test_resuming_a_finished_run_changes_nothing(finished: Path) -> None:
    before = tensors(finished / "last.safetensors")
    assert train(toy_config(), finished, resume=True).seen == []
    assert same(before, tensors(finished / "last.safetensors"))
    assert json.loads((finished / "run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step_and_it_can_be_resumed(
    tmp_path: Path, finished: Path, number: int
) -> None:
    former = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match=r"step 7 of 12.*resume=True"):
        train(toy_config(), tmp_path / "run", At(6, lambda _: os.kill(os.getpid(), number)))
    assert signal.getsignal(number) is former
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (facts["status"], facts["step"]) == ("interrupted", 7)
    rest = train(toy_config(), tmp_path / "run", resume=True)
    assert [step for step, _ in rest.seen] == [7, 8, 9, 10, 11]
    assert same(
        tensors(tmp_path / "run" / "last.safetensors"), tensors(finished / "last.safetensors")
    )


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    killed(toy_config(), tmp_path / "run", 5)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"last\.ckpt"):
        train(toy_config(), tmp_path / "run", resume=True)


def test_without_validation_there_is_no_best(tmp_path: Path) -> None:
    config = toy_config(steps=3)
    train_network(config, tmp_path / "run", toy_network(config), Blocks(10), None, progress=False)
    assert not (tmp_path / "run" / "best.safetensors").exists()
    assert cen.load(tmp_path / "run" / "last.safetensors").metadata["step"] == 3


def test_progress_bar_shows_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setattr("rich._console", None)  # an earlier one keeps the width of its time
    train(toy_config(steps=6), tmp_path / "run", progress=True)
    shown = capsys.readouterr().out
    for word in ("6/6", "loss", "mIoU", "exchange", "α"):
        assert word in shown, shown


def test_a_signal_before_the_first_step_of_a_resumed_run_keeps_its_step(tmp_path: Path) -> None:
    class Early(At):
        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        train(toy_config(), tmp_path / "run", At(6, lambda _: os.kill(os.getpid(), signal.SIGTERM)))
    with pytest.raises(KeyboardInterrupt, match="step 7 of 12"):
        train(toy_config(), tmp_path / "run", Early(), resume=True)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (facts["status"], facts["step"]) == ("interrupted", 7)
