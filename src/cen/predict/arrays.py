"""What a network predicts as arrays people use: class ids, metres, unit vectors, strengths."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from cen.data import Modality
from cen.models import Output
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
    if task.rules.generated and target is not None and target.kind in ("continuous", "normal"):
        return target.from_target(values.numpy())
    return task.rules.array(values)


def read_truth(task: Task, target: Tensor) -> NDArray[Any]:
    """The ground truth of one sample, laid out like `read_prediction`, NaN where there is none."""
    return task.rules.truth(target.detach().cpu())


def read_streams(
    task: Task, output: Output, target: Modality | None = None
) -> dict[str, NDArray[Any]]:
    """The predictions of the streams of a batch of one sample, by stream."""
    return {
        name: read_prediction(task, values[0], target) for name, values in output.streams.items()
    }
