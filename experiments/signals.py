"""Ends trainings by signals, over and over, and counts how they end.

Usage: python experiments/signals.py [--tries 20] [--only workers0 SIGTERM ...]

Kinds: {SIGTERM, SIGINT} × {the main process, its whole group} × {no workers, 2 workers, 2
processes}, and, with ``--kill``, SIGKILL of one of two processes and of a reading process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cen.data import write_rooms

CONFIG = """\
data: {{root: {root}}}
model: {{encoder: resnet18, width: 4, decoder_channels: 4, decoder_norm: batch}}
train: {{steps: 100000, batch_size: 4, log_every: 10, validate_every: 25, checkpoint_every: 10,
  accelerator: cpu}}
"""
SETTINGS = {
    "workers0": ["--data.workers", "0"],
    "workers2": ["--data.workers", "2"],
    "devices2": ["--data.workers", "0", "--train.devices", "2"],
}
HANG = 60


def started(config: Path, run: Path, setting: str) -> subprocess.Popen[str]:
    """A training, in a group of its own, that has logged something."""
    words = [sys.executable, "-m", "cen", "train", str(config), "--out", str(run)]
    process = subprocess.Popen(
        [*words, *SETTINGS[setting]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while not (run / "metrics.csv").exists() and time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"the training ended by itself: {process.communicate()[1]}")
        time.sleep(0.05)
    time.sleep(random.uniform(0, 2))
    return process


def children(process: int) -> list[int]:
    """Processes that a process has started."""
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(word) for word in text.split()]


def ended(process: subprocess.Popen[str], run: Path, wanted: str) -> dict[str, object]:
    """How a training ends that has been sent a signal."""
    begin = time.monotonic()
    try:
        said = process.communicate(timeout=HANG)[1]
        hung = False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, hung = process.communicate()[1], True
    lines = [line for line in said.splitlines() if line.strip()]
    status = json.loads((run / "run.json").read_text())["status"]
    fine = not hung and len(lines) == 1 and status == wanted
    return {
        "seconds": round(time.monotonic() - begin, 2),
        "hung": hung,
        "code": process.returncode,
        "status": status,
        "fine": fine and process.returncode == (130 if wanted == "interrupted" else 2),
        "said": said[-2000:],
    }


def tries_of(kind: tuple[str, str, str], config: Path, tries: int) -> list[dict[str, object]]:
    """Ends some trainings in one way."""
    name, whom, setting = kind
    found = []
    for _ in range(tries):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            process = started(config, run, setting)
            number = signal.Signals[name]
            if whom == "group":
                os.killpg(process.pid, number)
            else:
                os.kill(process.pid if whom == "main" else children(process.pid)[0], number)
            wanted = "failed" if number == signal.SIGKILL else "interrupted"
            found.append(ended(process, run, wanted))
    return found


def main() -> None:
    """Runs the campaign and prints a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--kill", action="store_true", help="SIGKILL of one process instead")
    parser.add_argument("--only", nargs="*", default=[], help="words that a kind must have")
    args = parser.parse_args()
    kinds = [
        (name, whom, setting)
        for setting in SETTINGS
        for name in ("SIGTERM", "SIGINT")
        for whom in ("main", "group")
    ]
    if args.kill:
        kinds = [("SIGKILL", "child", "devices2"), ("SIGKILL", "child", "workers2")]
    with tempfile.TemporaryDirectory() as folder:
        write_rooms(Path(folder) / "rooms", size=(32, 48), train=20, test=2)
        config = Path(folder) / "toy.yaml"
        config.write_text(CONFIG.format(root=Path(folder) / "rooms"))
        for kind in kinds:
            if not set(args.only) <= set(kind):
                continue
            found = tries_of(kind, config, args.tries)
            slowest = max(float(str(one["seconds"])) for one in found)
            bad = [one for one in found if not one["fine"]]
            hung = sum(bool(one["hung"]) for one in found)
            print(
                f"{' '.join(kind)}: {len(found)} tries, {hung} hung, {len(bad)} not as they "
                f"should, slowest {slowest:.1f} s",
                flush=True,
            )
            for one in bad[:2]:
                print("   ", {**one}, flush=True)


if __name__ == "__main__":
    main()
