"""The real command, killed or interrupted at some step, and resumed."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tests.training.toy import same, tensors

from cen.data import write_rooms

CONFIG = {
    "model": {
        "encoder": "resnet18",
        "width": 4,
        "decoder_channels": 4,
        "decoder_norm": "batch",
        "dropout": 0.1,
    },
    "train": {
        "steps": 30,
        "batch_size": 4,
        "log_every": 1,
        "validate_every": 7,
        "checkpoint_every": 4,
        "accelerator": "cpu",
        "modality_dropout": 0.3,
    },
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration file on a small data set of files."""
    folder = tmp_path_factory.mktemp("kill")
    write_rooms(folder / "rooms", size=(32, 48), train=20, test=2)
    values = CONFIG | {"data": {"root": str(folder / "rooms"), "workers": 1}}
    (folder / "toy.yaml").write_text(yaml.safe_dump(values))
    return folder / "toy.yaml"


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cen", "train", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def finish(*arguments: str) -> None:
    process = start(*arguments)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-3000:]


def wait_for_step(run: Path, step: int) -> None:
    """Waits until a run has logged a step."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if (run / "metrics.csv").exists():
            with (run / "metrics.csv").open(newline="") as file:
                steps = [row["step"] for row in csv.DictReader(file)]
            if steps and (steps[-1] or "").isdigit() and int(steps[-1]) >= step:
                return
        time.sleep(0.02)
    raise AssertionError(f"step {step} was not reached")


@pytest.fixture(scope="module")
def whole(config: Path) -> Path:
    """A run that nothing interrupted."""
    run = config.parent / "whole"
    finish(str(config), "--out", str(run))
    return run


def assert_same_run(first: Path, second: Path) -> None:
    for name in ("last.safetensors", "best.safetensors"):
        assert same(tensors(first / name), tensors(second / name))
    for name in ("metrics.csv", "exchange.json"):
        assert (first / name).read_text() == (second / name).read_text()


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_metrics(config: Path, whole: Path) -> None:
    step = random.SystemRandom().randint(1, 28)
    run = config.parent / "killed"
    process = start(str(config), "--out", str(run))
    wait_for_step(run, step)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert json.loads((run / "run.json").read_text())["status"] == "running"
    finish("--resume", str(run))
    assert_same_run(whole, run)


@pytest.mark.slow
def test_interrupted_run_exits_with_130_and_resumes(config: Path, whole: Path) -> None:
    run = config.parent / "interrupted"
    process = start(str(config), "--out", str(run))
    wait_for_step(run, 9)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers as well
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output[-3000:]
    assert "--resume" in output
    assert "Traceback" not in output
    facts = json.loads((run / "run.json").read_text())
    assert facts["status"] == "interrupted"
    assert 9 <= facts["step"] < 30
    finish("--resume", str(run))
    assert_same_run(whole, run)
