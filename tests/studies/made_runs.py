"""Run folders that no run has made, with scores that are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cen.cli import sources
from cen.studies.grid import Choice, Run, expand
from cen.studies.run_store import Store
from cen.studies.spec import Comparison, DataVariant, Published, RowSpec, Study, Sweep

# mIoU of the ensemble by row, budget and seed.
SCORES = {
    ("cen", 1.0): (0.50, 0.60, 0.70),
    ("cen", 2.0): (0.80, 0.82, 0.84),
    ("rgb", 1.0): (0.45, 0.54, 0.66),
    ("theta=0.01", 1.0): (0.30,),
    ("theta=0.5", 1.0): (0.20,),
}


def known_study() -> Study:
    """Two rows and a sweep, of which `SCORES` are the results."""
    return Study(
        title="Known",
        config="rooms-small",
        data={"parts": DataVariant(label="Parts")},
        rows={
            "cen": RowSpec(label="CEN", budgets=[1.0, 2.0]),
            "rgb": RowSpec(label="RGB | alone", set={"model.inputs": {"rgb": 3}}),
        },
        sweeps={"theta": Sweep("model.threshold", [0.01, 0.5], label="θ", seeds=1)},
        columns=["ensemble", "depth", "depth:ensemble", "exchange_rate"],
        compare=[Comparison("cen", ["rgb", "theta"])],
        published=[Published("Someone", "elsewhere", {"mIoU": 51.1}, "A paper")],
    )


def filled(study: Study, tmp_path: Path, choice: Choice | None = None) -> tuple[Store, list[Run]]:
    """The folder of a study all of whose runs are done, and the runs."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "dataset.yaml").write_text("name: known\n")
    runs = expand(study, choice or Choice(), {"parts": root}, sources.load_config)
    store = Store(tmp_path / "out", {})
    for run in runs:
        write_run(store.folder(run), run, SCORES[run.row.name, run.budget][run.seed])
    return store, runs


def write_run(folder: Path, run: Run, score: float) -> None:
    """The files of a finished and evaluated run."""
    folder.mkdir(parents=True)
    run.config.save(folder / "config.yaml")
    inputs = list(run.config.model.inputs)
    streams = {name: {"mean_iou": score - 0.1} for name in inputs}
    full = {
        "ensemble": {"mean_iou": score},
        "streams": streams,
        "alpha": dict.fromkeys(inputs, 0.5),
    }
    scores = {"+".join(inputs): {"segmentation": full}}
    if len(inputs) > 1:
        scores["depth"] = {"segmentation": {"ensemble": {"mean_iou": 0.25}, "streams": {}}}
    half = run.config.train.max_steps // 2
    files: dict[str, Any] = {
        "run.json": {"status": "finished", "started": "2026-01-01T00:00:00+00:00", "git": "abc"},
        "evaluation.json": {
            "split": "test", "scales": [1.0], "flip": False, "samples": 3, "scores": scores
        },
        "exchange.json": [{"step": half, "rate": 0.125, "layers": []}],
        "study.json": {"seconds": {"train": 30.0, "evaluate": 6.0}, "threads": 2},
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    name = "val/segmentation/ensemble/mean_iou"
    lines = [f"step,{name}", f"{half},{score / 2}", f"{2 * half},{score}"]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
