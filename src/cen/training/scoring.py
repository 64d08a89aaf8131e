"""Scores of every stream and of the ensemble, for one or several subsets of the modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from torch import Tensor, nn

from cen.metrics import SegmentationMetric
from cen.models import Output, Task

Subset = tuple[str, ...]


def subsets(inputs: Sequence[str]) -> list[Subset]:
    """Every non-empty subset of the modalities, the full one first, in the network's order."""
    names = tuple(inputs)
    sizes = range(len(names), 0, -1)
    return [subset for size in sizes for subset in combinations(names, size)]


class FusionScores(nn.Module):
    """Confusion matrices of the segmentation outputs of a network.

    One per output for each stream and for the ensemble. Counts are summed over processes when the
    scores are read.

    Args:
        inputs: the modalities that the network is given, in its order.
        outputs: the tasks by output name; only segmentations are scored.
    """

    def __init__(self, inputs: Sequence[str], outputs: Mapping[str, Task]) -> None:
        super().__init__()
        self.inputs = tuple(inputs)
        self.tasks = {o: t for o, t in outputs.items() if t.kind == "segmentation"}
        self.matrices = nn.ModuleDict(
            {
                f"{output}/{column}": SegmentationMetric(task.channels, task.ignore_index)
                for output, task in self.tasks.items()
                for column in ("ensemble", *(f"streams/{name}" for name in self.inputs))
            }
        )

    def update(self, outputs: Mapping[str, Output], targets: Mapping[str, Tensor]) -> None:
        """Counts one batch.

        Args:
            outputs: what the network returned at the size of the labels, (B, C, H, W) each.
            targets: labels (B, H, W) by output name.
        """
        for name in self.tasks:
            self._count(f"{name}/ensemble", outputs[name].ensemble, targets[name])
            for stream, logits in outputs[name].streams.items():
                self._count(f"{name}/streams/{stream}", logits, targets[name])

    def compute(self) -> dict[str, dict[str, Any]]:
        """Scores as ``{output: {"ensemble": {...}, "streams": {stream: {...}}}}``.

        The innermost dicts are those of :meth:`cen.metrics.SegmentationScores.to_dict`.
        """
        scores: dict[str, dict[str, Any]] = {}
        for key, metric in self.matrices.items():
            output, column = key.split("/", 1)
            values = metric.compute().to_dict()  # type: ignore[operator]
            entry = scores.setdefault(output, {"ensemble": {}, "streams": {}})
            if column == "ensemble":
                entry["ensemble"] = values
            else:
                entry["streams"][column.removeprefix("streams/")] = values
        return scores

    def reset(self) -> None:
        """Forgets everything counted so far."""
        for metric in self.matrices.values():
            metric.reset()  # type: ignore[operator]

    def _count(self, key: str, logits: Tensor, target: Tensor) -> None:
        self.matrices[key].update(logits.argmax(1), target)  # type: ignore[operator]


def mean_iou(scores: Mapping[str, Mapping[str, Any]]) -> float | None:
    """What checkpoints are chosen by: mIoU of the ensemble, averaged over the outputs."""
    values = [entry["ensemble"]["mean_iou"] for entry in scores.values()]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
