"""Processes of a run end together: with one message where one met a damaged sample."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from cen.data import write_rooms
from cen.data.sampling import StepBatches

SCENES, BATCH, STEP = 20, 4, 2
CONFIG = {
    "model": {"encoder": "resnet18", "width": 4, "decoder_channels": 4, "dropout": 0.0},
    "train": {"steps": 5, "batch_size": BATCH, "accelerator": "cpu", "devices": 2},
}
TORCHRUN = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--rdzv_backend", "c10d"]
STARTERS = {"cen": [], "torchrun": [*TORCHRUN, "--rdzv_endpoint", "localhost:0"]}


def damaged(folder: Path, rank: int, workers: int) -> Path:
    """A configuration on data of which the process meets a file that was cut short, in a step."""
    write_rooms(folder / "rooms", size=(32, 48), train=SCENES, test=2)
    steps = StepBatches(SCENES, BATCH // 2, STEP + 1, STEP, rank=rank, world=2)
    (((_, index), _),) = steps
    file = folder / f"rooms/rgb/train_{index:05d}.png"
    file.write_bytes(file.read_bytes()[:300])
    data = {"root": str(folder / "rooms"), "validation": 0, "workers": workers}
    (folder / "toy.yaml").write_text(yaml.safe_dump(CONFIG | {"data": data}))
    return folder / "toy.yaml"


def ended(*words: str) -> tuple[int, Sequence[str]]:
    """The exit code of a command, and what ``cen`` said; it is killed where it hangs."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    found = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=500, check=False,
        env=environment | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return found.returncode, [line for line in found.stderr.splitlines() if line[:4] == "cen:"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("starter", "rank", "workers"),
    [("cen", 0, 0), ("cen", 1, 0), ("cen", 1, 1), ("torchrun", 0, 0), ("torchrun", 1, 1)],
)
def test_a_damaged_sample_of_one_process_ends_all_with_one_message(
    tmp_path: Path, starter: str, rank: int, workers: int
) -> None:
    config = damaged(tmp_path, rank, workers)
    command = [*STARTERS[starter], "-m", "cen", "train", str(config)]
    code, said = ended(*command, "--out", str(tmp_path / "run"))
    assert code == (1 if starter == "torchrun" else 2)  # torchrun has a code of its own
    assert len(said) == 1, said
    assert "its header cannot be read" in said[0]
    assert "rooms/rgb/train_" in said[0]


@pytest.mark.slow
def test_two_processes_of_torchrun_evaluate_as_one_does(tmp_path: Path) -> None:
    """Seven scenes, which two processes cannot share evenly; each of them is counted once."""
    write_rooms(tmp_path / "rooms", size=(32, 48), train=SCENES, test=7)
    train = {**CONFIG["train"], "devices": 1, "steps": 2}
    data = {"root": str(tmp_path / "rooms")}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump({**CONFIG, "data": data, "train": train}))
    run = tmp_path / "run"
    assert ended("-m", "cen", "train", str(tmp_path / "toy.yaml"), "--out", str(run))[0] == 0
    evaluate = ["-m", "cen", "evaluate", str(run)]
    assert ended(*evaluate) == (0, [])
    alone = json.loads((run / "evaluation.json").read_text())
    (run / "evaluation.json").unlink()
    code, said = ended(*STARTERS["torchrun"], *evaluate)
    assert code == 1
    assert len(said) == 1, said
    assert "train.devices: 1 make 1 processes, but torchrun started 2" in said[0]
    assert ended(*STARTERS["torchrun"], *evaluate, "--train.devices", "2") == (0, [])
    both = json.loads((run / "evaluation.json").read_text())
    assert sum(both["scores"]["rgb"]["segmentation"]["ensemble"]["pixels"]) == 7 * 32 * 48
    assert both.keys() == alone.keys()
    for subset, entry in alone["scores"].items():
        found = both["scores"][subset]["segmentation"]["ensemble"]["iou"]
        assert found == pytest.approx(
            entry["segmentation"]["ensemble"]["iou"], abs=1e-3, nan_ok=True
        )
