"""Runs of the experiments: trained, resumed or kept, then evaluated, each with a log beside it."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def parser_of(description: str | None, jobs: int = 2) -> argparse.ArgumentParser:
    """What every experiment on Rooms can be asked; other options go to ``cen train``."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=jobs, help="runs at once")
    parser.add_argument("--table", action="store_true", help="print the tables, train nothing")
    return parser


Job = tuple[str, str, Sequence[str]]
"""Name of a run, its configuration, and the options of ``cen train`` behind that."""


def complete_all(
    out: Path, jobs: Iterable[Job], at_once: int, evaluation: Sequence[str] = ()
) -> None:
    """Completes runs in OUT/runs, some at once."""
    with ThreadPoolExecutor(at_once) as pool:
        waiting = [
            pool.submit(complete, out / "runs" / name, config, options, evaluation)
            for name, config, options in jobs
        ]
        for job in waiting:
            job.result()


def complete(
    folder: Path, config: str, options: Sequence[str], evaluation: Sequence[str] = ()
) -> None:
    """Trains and evaluates one run, goes on with it, or leaves it as it is where it is finished."""
    if (folder / "evaluation.json").exists():
        return
    if (folder / "run.json").exists():
        done = call(["train", "--resume", str(folder)], log=folder)
    else:
        done = call(["train", config, "--out", str(folder), *options], log=folder)
    if done:
        call(["evaluate", str(folder), *evaluation], log=folder)


def evaluated(folder: Path) -> dict[str, Any]:
    """What evaluation.json holds, and as ``full`` the scores of all modalities of the run together.

    Empty where the run is not finished.
    """
    file = folder / "evaluation.json"
    if not file.exists():
        return {}
    evaluation = json.loads(file.read_text())
    full = max(evaluation["scores"], key=lambda subset: subset.count("+"))
    return {**evaluation, "full": evaluation["scores"][full]}


def rooms(out: Path, size: Sequence[int], scenes: int) -> list[str]:
    """Writes the domains of Rooms once; the option that names them."""
    data = out / "data"
    if not (data / "dataset.yaml").exists():
        sides = [str(side) for side in size]
        layout = ["--layout", "taskonomy", "--size", *sides, "--train", str(scenes)]
        call(["data", "rooms", str(data), *layout])
    return ["--data.root", str(data.resolve())]


def call(arguments: list[str], log: Path | None = None) -> bool:
    """One ``cen`` command on one thread; its output goes to a log beside the run.

    Returns:
        Whether it succeeded; without a log, a failure is raised.
    """
    command = [sys.executable, "-m", "cen", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if log is None:
        subprocess.run(command, check=True, env=environment)
        return True
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.with_suffix(".log").open("a") as file:
        done = subprocess.run(command, env=environment, stdout=file, stderr=file)
    print(f"{'done' if done.returncode == 0 else 'FAILED'}: cen {' '.join(arguments)}", flush=True)
    return done.returncode == 0


def mean_spread(values: Sequence[float], form: str, spread_form: str | None = None) -> str:
    """The mean and, of several values, the standard deviation behind it."""
    mean = f"{statistics.mean(values):{form}}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):{spread_form or form}}"
