"""What a network predicts as arrays people use: class ids, metres, unit vectors, strengths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cen.data import Modality
from cen.models import Output
from cen.predict.views import Band
from cen.tasks import Task


def read_prediction(task: Task, values: Tensor, target: Modality | None = None) -> NDArray[Any]:
    """One prediction of one sample in its own unit.

    Args:
        task: the output.
        values: (C, H, W), as the network gives it.
        target: how the ground truth of an image was read. Where that was no picture but continuous
            values or normals, it brings the prediction back to what these are worth. None: a
            picture of it.

    Returns:
        Segmentation: (H, W) class ids, uint8 (uint16 with more than 256 classes). Depth: (H, W)
        float32 metres. Normals: (H, W, 3) float32 unit vectors. Edges: (H, W) float32
        probabilities. Image: (H, W, 3) uint8, or (H, W) with one channel, from −1..1; float32
        (H, W, C) with another number of channels; with a ``target`` of continuous values or normals
        (H, W) or (H, W, C) float32 in their unit.
    """
    values = values.detach().float().cpu()
    if task.rules.generated and target is not None:
        kind = target.field_kind
        if kind.open_range or kind.directions:
            return target.from_target(values.numpy())
    return task.rules.array(values)


def read_truth(task: Task, target: Tensor) -> NDArray[Any]:
    """The ground truth of one sample, laid out like `read_prediction`, NaN where there is none."""
    return task.rules.truth(target.detach().cpu())


def read_streams(
    task: Task, output: Output, target: Modality | None = None, sample: int = 0
) -> dict[str, NDArray[Any]]:
    """The predictions of the streams of one sample of a batch, by stream."""
    return {
        name: read_prediction(task, values[sample], target)
        for name, values in output.streams.items()
    }


@dataclass
class Arrays:
    """What is predicted of one sample for one output, put together of bands.

    Attributes:
        task: the output.
        values: of the ensemble, as `read_prediction` gives them.
        streams: the same by stream.
        alpha: weight of each of these streams in the ensemble.
        shown: a picture of the values, where these are no picture of a generated image.
        probabilities: of the classes of a segmentation, (C, H, W) float32; None unless asked for.
    """

    task: Task
    values: NDArray[Any]
    streams: dict[str, NDArray[Any]]
    alpha: dict[str, float]
    shown: NDArray[Any] | None = None
    probabilities: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Reading:
    """How bands of a batch become arrays.

    Attributes:
        tasks: the outputs.
        targets: how the ground truth of outputs was read, as far as it is known.
        probabilities: whether those of segmentations are kept.
        averaged: whether bands hold means over several views, of segmentations: probabilities.
    """

    tasks: Mapping[str, Task]
    targets: Mapping[str, Modality] = field(default_factory=dict)
    probabilities: bool = False
    averaged: bool = False

    def band(self, name: str, output: Output, sample: int) -> Arrays:
        """The arrays of one sample of one output in a band."""
        task, target, values = self.tasks[name], self.targets.get(name), output.ensemble[sample]
        shares = None
        if task.rules.labels and self.probabilities:
            class_scores = values.detach().float()
            shares = (class_scores if self.averaged else class_scores.softmax(0)).cpu().numpy()
        return Arrays(
            task,
            read_prediction(task, values, target),
            read_streams(task, output, target, sample),
            dict(zip(output.streams, output.alpha.tolist(), strict=True)),
            read_prediction(task, values) if task.rules.generated else None,
            shares,
        )

    def whole(self, bands: Iterable[Band], height: int) -> list[dict[str, Arrays]]:
        """The arrays of a batch, for each sample by output."""
        by_sample: list[dict[str, Arrays]] = []
        for first, outputs in bands:
            samples = len(next(iter(outputs.values())).ensemble)
            by_sample = by_sample or [{} for _ in range(samples)]
            for name, output in outputs.items():
                for sample, arrays in enumerate(by_sample):
                    band = self.band(name, output, sample)
                    if len(band.values) == height:
                        arrays[name] = band
                    else:
                        _put(arrays.setdefault(name, _empty(band, height)), band, first)
        return by_sample


def _empty(band: Arrays, height: int) -> Arrays:
    """Room for all rows of what a band has some of."""

    def room(values: NDArray[Any]) -> NDArray[Any]:
        return np.empty((height, *values.shape[1:]), values.dtype)

    shares = band.probabilities
    return Arrays(
        band.task,
        room(band.values),
        {name: room(values) for name, values in band.streams.items()},
        band.alpha,
        None if band.shown is None else room(band.shown),
        None if shares is None else np.empty((len(shares), height, shares.shape[2]), np.float32),
    )


def _put(prediction: Arrays, band: Arrays, first: int) -> None:
    """Copies a band to its rows."""
    rows = slice(first, first + len(band.values))
    prediction.values[rows] = band.values
    for name, values in band.streams.items():
        prediction.streams[name][rows] = values
    if prediction.shown is not None and band.shown is not None:
        prediction.shown[rows] = band.shown
    if prediction.probabilities is not None and band.probabilities is not None:
        prediction.probabilities[:, rows] = band.probabilities
