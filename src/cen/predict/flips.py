"""Mirroring of batches left and right, where vectors change their sign."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cen.data import Modality
from cen.models import Task


def mirror(image: Tensor, modality: Modality | None) -> Tensor:
    """A batch of inputs (B, C, H, W) mirrored left and right; vectors then point the other way."""
    mirrored = image.flip(-1)
    if modality is None or not modality.vectors:
        return mirrored
    # The network sees (x * scale - mean) / std.
    across = -mirrored[:, :1] - 2 * modality.mean[0] / modality.std[0]
    return torch.cat((across, mirrored[:, 1:]), dim=1)


def mirror_truth(values: Tensor, vectors: bool) -> Tensor:
    """Ground truth or a prediction, (B, C, H, W) or labels (B, H, W), mirrored left and right.

    With ``vectors`` the three channels are directions, whose x then points the other way.
    """
    mirrored = values.flip(-1)
    return torch.cat((-mirrored[:, :1], mirrored[:, 1:]), dim=1) if vectors else mirrored


def vector_fields(tasks: Mapping[str, Task], targets: Mapping[str, Modality]) -> frozenset[str]:
    """The outputs whose values are directions, also those predicted as images.

    ``targets`` say how their ground truth is read, as far as it is known.
    """
    return frozenset(
        name
        for name, task in tasks.items()
        if task.rules.directions or (name in targets and targets[name].vectors)
    )
