"""``cen train``: a run is made, gone on with, and started from another one's network."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cen import cli
from cen.documents import read_yaml
from cen.models import load


def test_train_prints_figures_and_what_comes_next(
    rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["train", "rooms-small", "--data.root", str(rooms), "--out", str(out)]
    assert cli.main([*words, "--train.steps", "1"]) == 0
    printed = capsys.readouterr().out
    assert "train/loss" in printed
    assert f"next: cen evaluate {out}; cen report {out}" in printed
    assert cli.main(words) == 2
    assert f"cen train --resume {out}" in capsys.readouterr().err


def test_run_is_resumed_as_it_was_configured(
    run: Path, rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--resume", str(run), "--train.momentum", "0.5"]) == 2
    assert "a run keeps what it was configured with" in capsys.readouterr().err
    assert cli.main(["train", "rooms-small", "--resume", str(run)]) == 2
    assert "leave out CONFIG" in capsys.readouterr().err
    capsys.readouterr()
    assert cli.main(["train", "--resume", str(run), "--data.root", str(rooms)]) == 0
    told = f"the run had done all of its steps; longer: cen train --resume {run} --train.steps N"
    assert told in capsys.readouterr().out


def test_run_starts_from_the_network_of_another(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The learning rates are 0: what is not of the other run is what a new network has."""
    still = ["--train.steps", "1", "--train.encoder_lr", "0", "--train.decoder_lr", "0"]
    rgb = ["train", "--from", str(run), "--model.inputs", "{rgb: 3}", *still]
    assert cli.main([*rgb, "--out", str(tmp_path / "rgb")]) == 0
    old, new = load(run), load(tmp_path / "rgb")
    assert list(new.inputs) == ["rgb"]
    for part in ("encoder.conv1", "heads.segmentation"):
        assert torch.equal(old.get_submodule(part).weight, new.get_submodule(part).weight), part
    kept = read_yaml(tmp_path / "rgb" / "config.yaml").value
    assert kept["train"]["start"] == str(run.resolve())

    more = [str(run / "best.safetensors"), "--data.classes", "60", *still]
    command = ["train", str(run / "config.yaml"), "--out", str(tmp_path / "more"), "--from", *more]
    assert cli.main([*command, "--train.freeze_encoder", "true"]) == 0
    new = load(tmp_path / "more")
    assert new.heads["segmentation"].weight.shape[0] == 60
    for name, value in old.encoder.state_dict().items():
        assert torch.equal(value, new.encoder.state_dict()[name]), name

    capsys.readouterr()
    for words, said in (
        (
            ["--train.freeze_encoder", "true", "--model.width", "8"],
            "model.width: 8, but the network",
        ),
        (["--model.weights", "imagenet"], "leave model.weights out"),
        (["--train.start", "x"], "is what --from says"),
    ):
        assert cli.main(["train", "--from", str(run), *words, "--out", str(tmp_path / "x")]) == 2
        assert said in capsys.readouterr().err
    frozen = ["train", str(run / "config.yaml"), "--train.freeze_encoder", "true"]
    assert cli.main([*frozen, "--out", str(tmp_path / "y")]) == 2
    assert "would keep random weights" in capsys.readouterr().err


@pytest.mark.slow
def test_wrong_data_ends_with_one_message(rooms: Path, tmp_path: Path) -> None:
    """In a process of its own: no traceback, no warning of a library in front of it."""
    command = [sys.executable, "-m", "cen", "train", "rooms-small", "--data.classes=3"]
    command += ["--data.root", str(rooms), "--out", str(tmp_path / "run"), "--train.steps=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("cen: ")
    assert "Traceback" not in done.stderr
