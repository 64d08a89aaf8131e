"""How far a score hangs on the scenes of a small test split: bootstrap intervals over scenes.

The mIoU of the ensemble of each run, all inputs present, with the percentile interval of 10,000
resamplings of its scenes; and the difference of every run to the first, over the same scenes.
Runs must have one segmentation output and be evaluated on their test split: what is counted here is
compared with what `cen evaluate` wrote.

    python experiments/scene_bootstrap.py runs/cen runs/late runs/depth
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import cen
from cen.config import Config
from cen.tasks.segmentation import confusion_matrix
from cen.training.setup import open_dataset

RESAMPLINGS = 10_000


def confusions(run: Path) -> NDArray[np.int64]:
    """Pixels of every scene by true and predicted class, (scenes, classes, classes)."""
    net = cen.load(run).eval()
    ((name, task),) = net.outputs.items()
    dataset = open_dataset(Config.load(run / "config.yaml", of_run=True), "test")
    counts = []
    for index in range(len(dataset)):
        sample = dataset[index]
        truth = torch.as_tensor(sample[name])
        inputs = {key: sample[key][None] for key in net.inputs}
        with torch.no_grad():
            logits = net(inputs, truth.shape[-2:])[name].ensemble
        labels = logits.argmax(1)[0]
        counts.append(confusion_matrix(labels, truth, task.channels, task.ignore_index))
    found = torch.stack(counts).numpy()
    evaluation = json.loads((run / "evaluation.json").read_text())
    written = evaluation["scores"]["+".join(net.inputs)][name]["ensemble"]["mean_iou"]
    if evaluation["split"] != "test" or abs(float(mean_iou(found.sum(0))) - written) > 1e-4:
        raise SystemExit(f"{run}: {mean_iou(found.sum(0)):.4f}, but evaluation.json: {written:.4f}")
    return np.asarray(found)


def mean_iou(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean over classes that occur, of (..., classes, classes)."""
    hits = counts.diagonal(axis1=-2, axis2=-1)
    union = counts.sum(-1) + counts.sum(-2) - hits
    return np.asarray(np.nanmean(np.where(union > 0, hits / np.maximum(union, 1), np.nan), -1))


def interval(values: NDArray[np.float64]) -> str:
    """The 95 % percentile interval, in points."""
    low, high = 100 * np.percentile(values, [2.5, 97.5])
    return f"[{low:.1f}, {high:.1f}]"


def main() -> None:
    """Prints a row per run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "runs", type=Path, nargs="+", help="run folders; the first is compared with"
    )
    runs = parser.parse_args().runs
    counts = [confusions(run) for run in runs]
    scenes = len(counts[0])
    if any(len(own) != scenes for own in counts):
        raise SystemExit(f"scenes differ: {[len(own) for own in counts]}")
    drawn = np.random.default_rng(0).integers(scenes, size=(RESAMPLINGS, scenes))
    # How often each scene is drawn, so that sums over scenes are products of matrices.
    times = np.stack([np.bincount(row, minlength=scenes) for row in drawn])
    resampled = [mean_iou(np.einsum("rs,sij->rij", times, own)) for own in counts]
    print(f"{scenes} scenes, {RESAMPLINGS} resamplings; first minus run in the last columns")
    for run, own, values in zip(runs, counts, resampled, strict=True):
        score, first = (100 * float(mean_iou(c.sum(0))) for c in (own, counts[0]))
        difference = f"{first - score:+.1f} {interval(resampled[0] - values)}"
        print(f"{run.name:24} {score:.1f} {interval(values)}   {difference}")


if __name__ == "__main__":
    main()
