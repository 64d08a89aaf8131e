"""Run folders as training and evaluation leave them, made from nothing but NumPy."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cen.report import Panel, PanelOutput, save_panel, write_report

CLASSES = [
    "wall", "floor", "ceiling", "wooden box", "metal box", "cloth box", "wooden ball",
    "metal ball", "cloth ball", "wooden drum", "metal drum", "cloth drum",
]  # fmt: skip
LAYERS = [f"encoder.layer{i}.{j}.bn1" for i in range(1, 5) for j in range(2)]
STEPS = 1200


def make_run(path: Path, lean: bool = False) -> Path:
    """A finished and evaluated run of two modalities on 12 classes.

    A lean one has something for every section of its page, and little of it: drawing takes longest.
    """
    rng = np.random.default_rng(0)
    path.mkdir(parents=True)
    write_config(path)
    write_info(path, finished="2026-11-23T15:09:30+00:00")
    write_metrics(path, rng, ("train/loss", "exchange/rate") if lean else ())
    write_exchange(path, rng, LAYERS[:1] if lean else LAYERS, maps=not lean)
    write_evaluation(path, rng)
    for index in range(1 if lean else 3):
        save_panel(path / "panels" / f"{index:03d}.npz", make_panel(rng, index))
    return path


def write_config(path: Path) -> None:
    config = {
        "data": {"root": "data/rooms", "layout": "nyudv2", "classes": CLASSES},
        "model": {
            "name": "refinenet", "encoder": "resnet18", "inputs": {"rgb": 3, "depth": 1},
            "width": 24, "decoder_channels": 32, "decoder_norm": "batch", "threshold": 0.02,
            "scope": "own", "exchange": True,
        },
        "train": {
            "steps": STEPS, "batch_size": 8, "optimizer": "adam", "encoder_lr": 3e-3,
            "decoder_lr": 3e-3, "schedule": "poly", "sparsity": 1e-3, "exchange_rate": None,
        },
        "seed": 0,
    }  # fmt: skip
    (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def write_info(path: Path, finished: str | None) -> None:
    info = {
        "command": ["cen", "train", "rooms-demo", "--out", "runs/demo"],
        "seed": 0,
        "started": "2026-11-23T15:00:00+00:00",
        "finished": finished,
        "machine": {"cpu": "x86_64, 2 cores", "gpu": None, "memory": "8 GB"},
        "versions": {"cen": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6"},
        "git": "7680f81",
    }
    (path / "run.json").write_text(json.dumps(info))


def write_metrics(path: Path, rng: np.random.Generator, only: Sequence[str] = ()) -> None:
    rows: list[dict[str, float]] = []
    for step in range(10, STEPS + 1, 10):
        share = step / STEPS
        loss = 6 * np.exp(-4 * share) + 1.2 + 0.25 * rng.normal()
        parts = {"rgb": 0.3, "depth": 0.35, "ensemble": 0.25}
        terms = {
            f"train/segmentation/{k}": v * loss + 0.05 * rng.normal() for k, v in parts.items()
        }
        penalty = {"train/sparsity": 420 * (1 - 0.5 * share), "lambda": 1e-3}
        rows.append({"step": step, "train/loss": loss, **terms, **penalty, "lr": 3e-3})
        if step % 100 == 0:
            rise = 1 - np.exp(-3 * share)
            rows.append({
                "step": step,
                "val/segmentation/ensemble/mean_iou": 0.88 * rise,
                "val/segmentation/streams/rgb/mean_iou": 0.85 * rise - 0.01,
                "val/segmentation/streams/depth/mean_iou": 0.83 * rise - 0.03 + 0.01 * rng.normal(),
                "alpha/segmentation/rgb": 0.5 + 0.1 * share,
                "alpha/segmentation/depth": 0.5 - 0.1 * share,
                "exchange/rate": 0.54 * share**2,
            })  # fmt: skip
    columns = dict.fromkeys(key for row in rows for key in row)
    shown = [name for name in columns if not only or name in ("step", *only)]
    with (path / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, shown, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def make_layers(
    rng: np.random.Generator, names: Sequence[str], share: float, masks: bool
) -> list[dict[str, Any]]:
    layers = []
    for depth, name in enumerate(names):
        channels = 24 * 2 ** (depth // 2)
        half = channels // 2
        for stream, start in (("rgb", 0), ("depth", half)):
            mask = rng.random(channels) < share * (0.25 + 0.1 * depth)
            mask[:start] = False
            mask[start + half :] = False
            replaced = int(mask[start : start + half].sum())
            layer = {
                "name": name, "stream": stream, "channels": channels, "own": half,
                "own_start": start, "replaced": replaced, "rate": replaced / half,
                "quantiles": [0.0, 0.01, 0.4, 0.8, 1.3], "mask": mask.tolist(),
            }  # fmt: skip
            layers.append(layer if masks else {k: v for k, v in layer.items() if k != "mask"})
    return layers


def write_exchange(path: Path, rng: np.random.Generator, names: Sequence[str], maps: bool) -> None:
    entries = []
    for step in range(100, STEPS + 1, 100):
        layers = make_layers(rng, names, (step / STEPS) ** 2, masks=maps and step == STEPS)
        rate = sum(x["replaced"] for x in layers) / sum(x["own"] for x in layers)
        alpha = {"segmentation": {"rgb": 0.6, "depth": 0.4}}
        entries.append({"step": step, "rate": rate, "alpha": alpha, "layers": layers})
    (path / "exchange.json").write_text(json.dumps(entries))


def make_scores(rng: np.random.Generator, level: float) -> dict[str, Any]:
    iou = np.clip(level + 0.08 * rng.normal(size=len(CLASSES)), 0, 1).tolist()
    pixels = (rng.integers(1, 40, len(CLASSES)) * 1000).tolist()
    iou[-1], pixels[-1] = None, 0  # the last class occurs nowhere
    mean = float(np.mean(iou[:-1]))
    return {"pixel_accuracy": 0.5 + mean / 2, "mean_accuracy": mean + 0.05, "mean_iou": mean,
            "iou": iou, "accuracy": iou, "pixels": pixels}  # fmt: skip


def write_evaluation(path: Path, rng: np.random.Generator) -> None:
    def entry(**levels: float) -> dict[str, Any]:
        ensemble = levels.pop("ensemble")
        streams = {name: make_scores(rng, level) for name, level in levels.items()}
        alpha = {name: 1 / len(levels) for name in levels}
        return {"segmentation": {"ensemble": make_scores(rng, ensemble), "streams": streams,
                                 "alpha": alpha}}  # fmt: skip

    scores = {
        "rgb": entry(rgb=0.55, ensemble=0.55),
        "depth": entry(depth=0.35, ensemble=0.35),
        "rgb+depth": entry(rgb=0.85, depth=0.83, ensemble=0.88),
    }
    evaluation = {"split": "test", "step": STEPS, "images": 200, "scores": scores,
                  "classes": {"segmentation": CLASSES}}  # fmt: skip
    (path / "evaluation.json").write_text(json.dumps(evaluation))


def make_panel(rng: np.random.Generator, index: int) -> Panel:
    """Boxes on a floor, with holes in depth and an ignored strip."""
    height, width = 96, 128
    truth = np.zeros((height, width), dtype=np.int64)
    truth[55:] = 1
    truth[:12] = 2
    depth = np.linspace(6, 1.5, height, dtype=np.float32)[:, None].repeat(width, 1)
    for _ in range(6):
        y, x, size = rng.integers(15, 70), rng.integers(5, 100), rng.integers(12, 28)
        truth[y : y + size, x : x + size] = rng.integers(3, 11)
        depth[y : y + size, x : x + size] -= 0.6
    colours = np.random.default_rng(5).integers(60, 230, (len(CLASSES), 3))
    rgb = colours[truth] + rng.normal(0, 12, (height, width, 3))
    depth[rng.random((height, width)) < 0.03] = np.nan
    depth[30:40, 90:110] = np.nan
    wrong = np.where(rng.random(truth.shape) < 0.15, rng.integers(0, 11, truth.shape), truth)
    less = np.where(rng.random(truth.shape) < 0.05, rng.integers(0, 11, truth.shape), truth)
    marked = truth.copy()
    marked[:3] = marked[-3:] = 255
    output = PanelOutput(marked, {"rgb": less, "depth": wrong}, truth)
    inputs = {"rgb": rgb.clip(0, 255).astype(np.uint8), "depth": depth}
    return Panel(f"rooms/{index:04d}", inputs, {"segmentation": output})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A complete run folder, free to be changed."""
    return make_run(tmp_path / "demo")


@pytest.fixture
def evaluation(run: Path) -> Any:
    """What that run scored."""
    return json.loads((run / "evaluation.json").read_text())


@pytest.fixture
def inspection(run: Path) -> Any:
    """What that run exchanged at last."""
    return json.loads((run / "exchange.json").read_text())[-1]


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run folder with its report, shared by the tests that only read it."""
    run = make_run(tmp_path_factory.mktemp("runs") / "demo")
    write_report(run)
    return run
