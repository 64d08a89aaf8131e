"""Which pixels of a ground truth count: one definition for losses, metrics and their balance."""

from __future__ import annotations

import torch
from torch import Tensor

from cen.errors import ShapeError
from cen.pairs import check_pair, check_together


def valid_depth(target: Tensor) -> Tensor:
    """Where depth was measured: finite and above 0; bool of the shape of ``target``."""
    return torch.isfinite(target) & (target > 0)


def valid_normals(target: Tensor) -> Tensor:
    """Where there is a normal: finite and no zero vector.

    Args:
        target: (B, 3, H, W) unit vectors.

    Returns:
        (B, H, W) bool.
    """
    return torch.isfinite(target).all(1) & (target.square().sum(1) > 0.25)


def valid_pixels(kind: str, target: Tensor, ignore_index: int = 255) -> Tensor:
    """Where a ground truth counts, by the kind of its output.

    Args:
        kind: "segmentation", "depth", "normal", "edge" or "image".
        target: (B, H, W) labels of a segmentation, else (B, C, H, W).
        ignore_index: label of pixels that do not count.

    Returns:
        Bool, (B, H, W) for segmentation and normals, else the shape of ``target``.
    """
    if kind == "segmentation":
        return target != ignore_index
    if kind == "normal":
        return valid_normals(target)
    return valid_depth(target) if kind == "depth" else torch.isfinite(target)


def same_shape(kind: str, prediction: Tensor, target: Tensor) -> None:
    """Refuses a prediction and a truth that broadcasting would compare silently.

    Args:
        kind: "depth", "normal", "edge" or "image".
        prediction: (B, C, H, W), floating point.
        target: the same.

    Raises:
        ShapeError: the shapes differ or are not those of the kind.
        DataError: one is no floating point tensor, there are no samples, or the devices differ.
    """
    check_together(prediction, target)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in "
            "shape; resize the prediction to the truth, and give both as (B, C, H, W)"
        )
    check_pair(kind, prediction, target)
