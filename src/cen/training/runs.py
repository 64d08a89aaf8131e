"""The run folder: what is written when a run starts and when it ends."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from cen.config import Config
from cen.errors import CheckpointError, ConfigError
from cen.files import contained, is_unfinished, remove_unfinished, write_json
from cen.launch import is_first
from cen.runfiles import read_if_there, way_on
from cen.training.resume import UNFINISHED

_PACKAGES = (
    "cen",
    "torch",
    "lightning",
    "torchmetrics",
    "numpy",
    "opencv-python-headless",
    "torchjd",
)


_LOCK = ".lock"
# What is written into or deleted from without being replaced as a whole.
_WRITTEN = (
    _LOCK,
    "checkpoints",
    UNFINISHED,
    "panels",
    "tensorboard",
    "metrics.csv",
)


@contextmanager
def claim_run(run_dir: Path, resume: bool) -> Iterator[None]:
    """Checks a run folder and keeps other processes out of it meanwhile (process 0 alone).

    The lock goes with the process, however that ends.

    Args:
        run_dir: the folder.
        resume: go on with the run in it; otherwise it must be new, empty, or all that is left of
            a run that failed before its first checkpoint.
    """
    # The processes that Lightning starts for further devices find the folder already filled.
    if not is_first():
        yield
        return
    if resume and not (run_dir / "config.yaml").exists():
        raise CheckpointError(f"{run_dir} holds no run to resume; config.yaml is missing")
    if not resume and run_dir.exists() and not (_empty(run_dir) or _nothing_learnt(run_dir)):
        kept = (run_dir / "config.yaml").exists()
        going = f", or go on with the run in it by: {way_on(run_dir)}" if kept else ""
        raise ConfigError(f"{run_dir} already holds something; choose another folder{going}")
    run_dir.mkdir(parents=True, exist_ok=True)
    for name in _WRITTEN:
        contained(run_dir, run_dir / name, ConfigError)
    lock = FileLock(run_dir / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigError(
            f"another process trains in {run_dir}; wait for it, or choose another folder"
        ) from None
    try:
        remove_unfinished(run_dir)
        (run_dir / UNFINISHED).unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def start_run(config: Config, run_dir: Path, resume: bool, called: bool) -> None:
    """Writes config.yaml and run.json of a run (process 0 alone)."""
    if not is_first():
        return
    config.save(run_dir / "config.yaml")
    sessions = read_if_there(run_dir / "run.json", {}).get("sessions", []) if resume else []
    write_json(run_dir / "run.json", _facts(config, sessions) | {"called": called})


def finish_run(run_dir: Path, status: str, step: int, *, always: bool = False) -> None:
    """Notes in run.json how the run ended; ``always``: also if this process is not to write."""
    # One that was removed is not made anew.
    if (is_first() or always) and run_dir.is_dir():
        facts = read_if_there(run_dir / "run.json", {})
        facts |= {"status": status, "finished": _now(), "step": step}
        write_json(run_dir / "run.json", facts)


def _facts(config: Config, sessions: list[dict[str, Any]]) -> dict[str, Any]:
    session = {"started": _now(), "command": sys.argv, "directory": str(Path.cwd())}
    return {
        "started": sessions[0]["started"] if sessions else session["started"],
        "finished": None,
        "status": "running",
        "step": 0,
        "seed": config.seed,
        "command": sys.argv,
        "versions": {"python": platform.python_version()} | _versions(),
        "machine": _machine(),
        "git": _git(),
        "sessions": [*sessions, session],
    }


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _machine() -> dict[str, Any]:
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": ", ".join(gpus) or None,
    }


def _git() -> str | None:
    """Revision of the checkout that the program runs from; None outside of one."""
    where = Path(__file__).parent

    def ask(*arguments: str) -> str:
        command = ["git", "-C", str(where), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return result.stdout.strip()

    try:
        # An installed package below some other project's checkout is not that project.
        if ask("ls-files", Path(__file__).name) == "":
            return None
        changed = ask("status", "--short", "--", ".")
        return ask("rev-parse", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _empty(run_dir: Path) -> bool:
    """Whether it holds no more than what a process leaves that is killed before its first file."""
    return run_dir.is_dir() and all(
        entry.name == _LOCK or is_unfinished(entry.name) for entry in run_dir.iterdir()
    )


def _nothing_learnt(run_dir: Path) -> bool:
    """Whether a run failed here before it had a checkpoint: its command may be given again."""
    status = read_if_there(run_dir / "run.json", {}).get("status")
    kept = [*run_dir.glob("*.safetensors"), *run_dir.glob("checkpoints/*")]
    return status == "failed" and not kept


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
