"""What a network predicts as arrays people use: class ids, metres, unit vectors, strengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cen.data import Modality
from cen.models import Output, Task


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
    if task.kind == "segmentation":
        return values.argmax(0).numpy().astype(np.uint8 if task.channels <= 256 else np.uint16)
    if task.kind == "depth":
        return values[0].numpy()
    if task.kind == "normal":
        return F.normalize(values, dim=0).permute(1, 2, 0).contiguous().numpy()
    if task.kind == "edge":
        return values[0].sigmoid().numpy()
    if target is not None and target.kind in ("continuous", "normal"):
        return target.from_target(values.numpy())
    return _image(values)


def read_truth(task: Task, target: Tensor) -> NDArray[Any]:
    """The ground truth of one sample, laid out like `read_prediction`, NaN where there is none."""
    target = target.detach().cpu()
    if task.kind == "segmentation":
        narrow = task.channels <= 255 and task.ignore_index <= 255
        return target.numpy().astype(np.uint8 if narrow else np.uint16)
    if task.kind in ("depth", "edge"):
        return target[0].float().numpy()
    if task.kind == "normal":
        return target.float().permute(1, 2, 0).contiguous().numpy()
    return _image(target.float())


def read_streams(
    task: Task, output: Output, target: Modality | None = None
) -> dict[str, NDArray[Any]]:
    """The predictions of the streams of a batch of one sample, by stream."""
    return {
        name: read_prediction(task, values[0], target) for name, values in output.streams.items()
    }


def _image(values: Tensor) -> NDArray[Any]:
    picture = values.permute(1, 2, 0).contiguous()
    if picture.shape[-1] not in (1, 3):
        return picture.numpy()
    eight = torch.nan_to_num(127.5 * (picture + 1)).round().clamp(0, 255).to(torch.uint8).numpy()
    return eight[..., 0] if eight.shape[-1] == 1 else eight
