"""Scores of every stream and of the ensemble, for one or several subsets of the modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from cen.errors import DataError
from cen.metrics import ImageMetric, OutputMetric
from cen.models import Output, Task
from cen.stream import Stream
from cen.tasks.pairs import values_checked
from cen.training.file_units import FileUnit

Subset = tuple[str, ...]


def _not_finite(prediction: Stream, count: int) -> str:
    who = "ensemble" if prediction.input == "ensemble" else f"stream {prediction.input}"
    return (
        f"the prediction of {prediction.output!r} ({who}) holds NaN or infinity in {count} values; "
        "the network or what it was given is not finite (cen data check looks at the files)"
    )


def subsets(inputs: Sequence[str]) -> list[Subset]:
    """Every non-empty subset of the modalities, the full one first, in the network's order."""
    names = tuple(inputs)
    sizes = range(len(names), 0, -1)
    return [subset for size in sizes for subset in combinations(names, size)]


class _Infinite(Metric):
    """Numbers of values that are not finite, by prediction."""

    full_state_update = False
    is_differentiable = False
    counts: Tensor

    def __init__(self, predictions: int) -> None:
        super().__init__()
        empty = torch.zeros(predictions, dtype=torch.int64)
        self.add_state("counts", default=empty, dist_reduce_fx="sum")

    def update(self, count: Tensor, at: int) -> None:
        """Adds to those of one prediction."""
        self.counts[at] += count

    def compute(self) -> list[int]:
        """Their numbers, over all processes."""
        return [int(count) for count in self.counts.tolist()]


class FusionScores(nn.Module):
    """Metrics of the outputs of a network, each of the kind of its output.

    One per output for each stream and for the ensemble. Counts are summed over processes when the
    scores are read. Predictions that are not finite are refused, as the greatest of NaN logits
    would be class 0: at once on the CPU, elsewhere when the scores are read.

    Args:
        inputs: the modalities that the network is given, in its order.
        outputs: the tasks by output name.
        streams: the streams that give a prediction each; None for the modalities. None at all for
            a network that makes one prediction of everything.
        units: outputs whose scores are in the unit of their files.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        outputs: Mapping[str, Task],
        streams: Sequence[str] | None = None,
        units: Mapping[str, FileUnit] | None = None,
    ) -> None:
        super().__init__()
        self.inputs = tuple(inputs)
        self.units = dict(units or {})
        self.tasks = dict(outputs)
        stream_names = self.inputs if streams is None else tuple(streams)
        self.predictions = [
            Stream(output, name)
            for output in self.tasks
            # In cycle fusion no modality is among the streams that predict it.
            for name in ("ensemble", *(name for name in stream_names if name != output))
        ]
        self.metrics = nn.ModuleList(
            self._metric(prediction.output) for prediction in self.predictions
        )
        self.infinite = _Infinite(len(self.metrics))

    def _metric(self, output: str) -> OutputMetric[Any]:
        unit = self.units.get(output)
        return OutputMetric(self.tasks[output].rules) if unit is None else ImageMetric(unit.limits)

    def update(self, outputs: Mapping[str, Output], targets: Mapping[str, Tensor]) -> None:
        """Counts one batch.

        Args:
            outputs: what the network returned at the size of the targets, (B, C, H, W) each.
            targets: ground truth by output name, as in the losses.

        Raises:
            DataError: a prediction is not finite (on the CPU).
        """
        for name in self.tasks:
            self._count(Stream(name, "ensemble"), outputs[name].ensemble, targets[name])
            for stream, values in outputs[name].streams.items():
                self._count(Stream(name, stream), values, targets[name])

    def compute(self) -> dict[str, dict[str, Any]]:
        """Scores as ``{output: {"ensemble": {...}, "streams": {stream: {...}}}}``.

        The innermost dicts are those of ``to_dict`` of the scores of the output's kind, for
        instance :meth:`cen.metrics.SegmentationScores.to_dict`.

        Raises:
            DataError: a prediction was not finite.
        """
        for prediction, count in zip(self.predictions, self.infinite.compute(), strict=True):
            if count:
                raise DataError(_not_finite(prediction, count))
        scores: dict[str, dict[str, Any]] = {}
        for prediction, metric in zip(self.predictions, self.metrics, strict=True):
            values = metric.compute().to_dict()  # type: ignore[operator]
            entry = scores.setdefault(prediction.output, {"ensemble": {}, "streams": {}})
            if prediction.input == "ensemble":
                entry["ensemble"] = values
            else:
                entry["streams"][prediction.input] = values
        return scores

    def reset(self) -> None:
        """Forgets everything counted so far."""
        for metric in (*self.metrics, self.infinite):
            metric.reset()

    def _count(self, prediction: Stream, values: Tensor, target: Tensor) -> None:
        place, output = self.predictions.index(prediction), prediction.output
        metric, wrong = self.metrics[place], (~torch.isfinite(values)).sum()
        if values_checked(values) and wrong:
            raise DataError(_not_finite(prediction, int(wrong)))
        self.infinite.update(wrong, place)
        if (unit := self.units.get(output)) is not None:
            values, target = unit.values(values.float()), unit.values(target.float())
        metric.update(self.tasks[output].rules.decide(values), target)  # type: ignore[operator]
